#!/bin/bash
# test_kill_client.sh - clients killed with SIGKILL in the midst of everything: law 4, law 1
set -eu
# shellcheck source=tests/lib.sh
. "${IXY_SOURCE_DIR:-$(dirname "$0")/../..}/tests/lib.sh"
HOLD=$IXY_BUILD_DIR/tests/integration/hold_client
VANISH=$IXY_BUILD_DIR/tests/integration/vanish_client
need_programs "$SERVER" "$IXYCTL" "$HOLD" "$VANISH"

num_clients_is() {
	[ "$(stat_of server.clients)" = "$1" ]
}

holds_at_least() {
	[ "$(stat_of pool.0.in_clients)" -ge "$1" ]
}

received_more_than() {
	[ "$(stat_of clients.0.counters.rx_packets)" -gt "$1" ]
}

# kill_9 PID - and be sure that it is dead
kill_9() {
	kill -KILL "$1"
	wait_gone 10 "$1" || fail "process $1 survived SIGKILL"
	wait "$1" 2>/dev/null || true
	forget "$1"
}

start_server --name main --port p0=null:rate=200k,flows=64 --bufs 4096 --hugepages none
expect_whole_pool "at the start"

# -- one that holds buffers of every kind ---------------------------------------------------------------
start hold "$HOLD" main p0 hold
log_says 10 hold holding
wait_until 5 holds_at_least 128 || fail "the client does not hold what it says: $(ctl show pool)"
kill_9 "$LAST_PID"
expect_whole_pool "after a client that held 128 was killed"
wait_until 5 num_clients_is 0 || fail "the dead client is still shown"
ok "a client that holds received and allocated buffers is killed: the pool is full again"

# -- one with a child that lives on -------------------------------------------------------------------------
start fork "$HOLD" main p0 fork
parent=$LAST_PID
log_says 10 fork holding
has_child() {
	child=$(pgrep -P "$parent")
}
wait_until 5 has_child || fail "there is no child"
child=$(pgrep -P "$parent")
PIDS+=("$child")
kill_9 "$parent"
! is_gone "$child" || fail "the child died as well: this proves nothing"
expect_whole_pool "while a child of the killed client lives"
end KILL "$child"
ok "a forked child does not keep a dead client's session alive"

# -- at any instruction, also while attaching ---------------------------------------------------------------
for round in $(seq 40); do
	start churn "$HOLD" main p0 churn
	# up to 20 ms: some die before they are attached, some at full speed
	sleep "0.0$((RANDOM % 21 + 10))"
	kill_9 "$LAST_PID"
done
expect_whole_pool "after $round clients were killed at random moments"
ok "40 clients are killed at random moments: the pool is full again"

# -- in the midst of the handshake ----------------------------------------------------------------------------
expect_ok timeout 60 "$VANISH" "$IXY_SOCKET_DIR/main.sock" 3000
wait_until 10 num_clients_is 0 || fail "clients that vanished are still shown: $(ctl show clients)"
expect_whole_pool "after 3000 clients vanished while they attached"
expect_equal "buffers promised to nobody" "$(stat_of pool.0.reserved)" 0
ok "3000 clients vanish at every step of the handshake: the pool is full again"

# -- another one loses nothing ---------------------------------------------------------------------------------
start witness "$HOLD" main p0 churn
witness=$LAST_PID
log_says 10 witness holding
session=$(stat_of clients.0.session)
for _ in $(seq 10); do
	start victim "$HOLD" main p0 hold
	log_says 10 victim holding
	kill_9 "$LAST_PID"
done
wait_until 5 num_clients_is 1 || fail "dead clients are still shown"
expect_equal "session of the survivor" "$(stat_of clients.0.session)" "$session"
! is_gone "$witness" || fail "the survivor died"
before=$(stat_of clients.0.counters.rx_packets)
wait_until 5 received_more_than "$((before + 1000))" || fail "the survivor gets no frames any more"
end KILL "$witness"
expect_whole_pool "after the survivor was killed too"
for kind in ring_index buffer holder bounds flags port verdict; do
	expect_equal "violation_$kind" "$(stat_of server.counters.violation_$kind)" 0
done
ok "other clients keep their session and their frames"

end TERM "$SERVER_PID"
expect_equal "exit status of the server" "$LAST_STATUS" 0
