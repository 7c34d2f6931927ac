#!/bin/bash
# test_fan_out.sh - twenty monitors that sleep after each frame: each gets every frame, and the poll loop
# goes on beside them. That a round wakes few of them by itself is shown by unit_wake.
set -eu
# shellcheck source=tests/lib.sh
. "${IXY_SOURCE_DIR:-$(dirname "$0")/../..}/tests/lib.sh"
SLEEPERS=$IXY_BUILD_DIR/tests/integration/sleepers
need_programs "$SERVER" "$IXYCTL" "$SLEEPERS"

seconds=3
[ -z "${IXY_LONG:-}" ] || seconds=30

start_server --name main --hugepages none --poll adaptive --bufs 8192 --port p0=null:rate=500
start sleepers "$SLEEPERS" main p0 20 monitor
pid=$LAST_PID
log_says 20 sleepers asleep
sleep "$seconds"
frames=$(stat_of ports.0.counters.rx_packets)
longest=$(stat_of server.counters.longest_loop_ns)
[ "$frames" -ge "$seconds" ] || fail "only $frames frames in $seconds s"
end TERM "$pid"
awk -v frames="$frames" '
	$1 == "received" {
		n++
		if (n == 1 || $2 + $4 < least) least = $2 + $4
		if ($2 + $4 > most) most = $2 + $4
		woken += $6
	}
	END {
		if (n != 20) { print "only " n " of 20 said what they received"; exit 1 }
		printf "%d to %d of %d frames, woken %d times\n", least, most, frames, woken
		if (least * 2 < frames || woken < 20) exit 1
	}' "$TEST_DIR/sleepers.log" >"$TEST_DIR/sum" || fail "twenty sleepers: $(cat "$TEST_DIR/sum")"
expect_whole_pool "after twenty sleepers"
ok "twenty sleepers: $(cat "$TEST_DIR/sum"); longest loop $((longest / 1000)) us"
