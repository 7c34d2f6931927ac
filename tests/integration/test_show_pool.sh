#!/bin/bash
# test_show_pool.sh - ixyctl show pool says who holds every buffer, and the sum is the total, under load
set -eu
# shellcheck source=tests/lib.sh
. "${IXY_SOURCE_DIR:-$(dirname "$0")/../..}/tests/lib.sh"
need_one_worker
HOLD=$IXY_BUILD_DIR/tests/integration/hold_client
need_programs "$SERVER" "$IXYCTL" "$DUMP" "$HOLD"
BUFS=8192

# holders KIND [NAME] - the sum of these rows of show pool --json, which have to add up
holders() {
	ctl show pool --json | python3 -c '
import json, sys
account = json.load(sys.stdin)
rows, kind, name = account["holders"], sys.argv[1], sys.argv[2:]
for pool in account["pool"]:
    total = sum(r["bufs"] for r in rows if r.get("worker") == pool["worker"])
    if not pool["sum_is_total"] or total != pool["total"]:
        sys.exit(f"{total} of {pool}")
print(sum(r["bufs"] for r in rows
          if r["kind"] == kind and (not name or r.get("name") == name[0])))' "$@"
}

holds_at_least() {
	[ "$(holders "$2" "$3")" -ge "$1" ]
}

# frames of the ports are in the worker's hands now and then
all_are_free() {
	[ "$(holders free)" -eq "$BUFS" ]
}

sees_frames() {
	[ "$(stat_of clients.1.counters.rx_packets)" -gt 0 ]
}

start_server --name main --hugepages none --bufs "$BUFS" \
	--port held=null:rate=20k --port seen=null:rate=20k
wait_until 20 all_are_free || fail "not all are free in an idle server: $(ctl show pool)"

start hold "$HOLD" main held hold
hold_pid=$LAST_PID
wait_until 20 holds_at_least 128 client hold_client || fail "the client does not hold what it says"
start dump "$DUMP" -n main -p seen -w /dev/null
dump_pid=$LAST_PID
# a monitor that stands still keeps what it has on loan, alone
log_says 20 hold '^holding'
wait_until 20 sees_frames || fail "nothing is seen"
kill -STOP "$dump_pid"
wait_until 20 holds_at_least 64 on-loan ixy-dump || fail "no loans: $(ctl show pool)"
[ "$(holders lent)" -ge 64 ] || fail "the monitor's buffers are not lent: $(ctl show pool)"
ok "each client is named with what it holds"

# asked all the time by many, the sum stays right, and the workers go on
before=$(stat_of ports.0.counters.rx_packets)
for i in 1 2 3 4; do
	start "asker$i" sh -c 'for i in $(seq 10); do "$0" -n main show pool || exit 1; done' "$IXYCTL"
	askers[i]=$LAST_PID
done
for i in 1 2 3 4; do
	wait_gone 60 "${askers[i]}" || fail "an asker hangs"
	wait "${askers[i]}" || fail "a sum was wrong: $(tail -n 20 "$TEST_DIR/asker$i.log")"
	forget "${askers[i]}"
	expect_equal "sums that were shown" "$(grep -c 'sum is right' "$TEST_DIR/asker$i.log")" 10
done
[ "$(stat_of ports.0.counters.rx_packets)" -gt "$before" ] || fail "the port stands still"
ok "40 accounts, asked for by four at a time, add up"

text=$(ctl show pool)
for line in ' free$' 'being handled$' 'port held, queue 0$' 'client hold_client, session [0-9]+$' \
	'lent to [1-9]' 'on loan to ixy-dump, session [0-9]+$'; do
	grep -Eq "$line" <<<"$text" || fail "no line \"$line\" in: $text"
done
kill -CONT "$dump_pid"
end KILL "$hold_pid"
end TERM "$dump_pid"
expect_whole_pool "after both clients"
wait_until 20 all_are_free || fail "not all are free at the end: $(ctl show pool)"
ok "everything came back"
