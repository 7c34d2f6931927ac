#!/bin/bash
# test_violation.sh - a client that breaks a rule: told why, counted by kind, killed where asked for
set -eu
# shellcheck source=tests/lib.sh
. "${IXY_SOURCE_DIR:-$(dirname "$0")/../..}/tests/lib.sh"
need_root
OFFENDER=$IXY_BUILD_DIR/tests/integration/offender
REFLECT=$IXY_BUILD_DIR/tests/integration/reflect
need_programs "$SERVER" "$IXYCTL" "$OFFENDER" "$REFLECT"
give_to_users "$OFFENDER"

counter() {
	stat_of "server.counters.$1"
}

counter_is() {
	[ "$(counter "$1")" = "$2" ]
}

# -- each kind, beside a client that behaves -----------------------------------------------------------
start_server --name main --port p0=null:rate=20k,flows=64 --hugepages none
start honest "$REFLECT" main
for kind in double-free:holder:hold foreign:holder:hold wild:buffer:exist bounds:bounds:outside \
	flags:flags:flag port:port:port; do
	IFS=: read -r how which word <<<"$kind"
	before=$(counter "violation_$which")
	start "$how" "${AS_A[@]}" "$TEST_DIR/bin/offender" main "$how"
	log_says 10 "$how" "told: .*$word"
	expect_equal "violation_$which" "$(counter "violation_$which")" $((before + 1))
	! is_gone "$LAST_PID" || fail "the offender is gone, although it was not to be killed"
	end KILL "$LAST_PID"
	ok "$how: the session is closed and the client told why"
done
expect_equal "sessions that are left" "$(stat_of server.clients)" 1
expect_equal tainted "$(counter tainted)" 6
received=$(stat_of clients.0.counters.rx_packets)
sleep 0.3
[ "$(stat_of clients.0.counters.rx_packets)" -gt "$received" ] || fail "the honest client stopped"
end TERM "$SERVER_PID"
ok "the client beside them goes on"

# -- killed, by a server that is not root any more --------------------------------------------------------
chown games "$IXY_SOCKET_DIR"
start_server --name main --port p0=null:rate=20k --hugepages none --on-violation kill --user games
start killed "${AS_A[@]}" "$TEST_DIR/bin/offender" main wild
wait_gone 10 "$LAST_PID" || fail "the offender lives"
wait_until 5 counter_is killed 1 || fail "it is not counted"
expect_equal tainted "$(counter tainted)" 0
expect_whole_pool "after the offender was killed"
grep -q '^Uid:[[:space:]]*5[[:space:]]' "/proc/$SERVER_PID/status" || fail "the server is not 'games'"
# CAP_KILL (bit 5) and CAP_IPC_LOCK (bit 14), no other
expect_equal "the server's capabilities" "$(awk '/^CapEff/{print $2}' "/proc/$SERVER_PID/status")" \
	0000000000004020
ok "--on-violation kill kills it, with no privilege beyond that"
end TERM "$SERVER_PID"
expect_equal "what is left in the socket directory" "$(ls "$IXY_SOCKET_DIR")" ""
