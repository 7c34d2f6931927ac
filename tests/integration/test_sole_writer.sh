#!/bin/bash
# test_sole_writer.sh - a member overwrites every frame at once, a slow monitor captures it all the same
#
# Real processes, in whatever order the machine runs them; unit_sole_writer goes through the orders.
# The control at the end is a member that breaks the rules: what it does, the monitor has to notice.
# IXY_LONG=1 checks 300,000 frames of each way instead of 2,000 (about half a minute).
set -eu
# shellcheck source=tests/lib.sh
. "${IXY_SOURCE_DIR:-$(dirname "$0")/../..}/tests/lib.sh"
CLIENT=$IXY_BUILD_DIR/tests/integration/rewrite_client
need_programs "$SERVER" "$IXYCTL" "$CLIENT"
FRAMES=2000
[ -z "${IXY_LONG:-}" ] || FRAMES=300000

copies() {
	stat_of ports.0.counters.rx_copies
}

received_more_than() {
	[ "$(stat_of ports.0.counters.rx_packets)" -gt "$1" ]
}

# watch N - lets a monitor check N frames of each way; its closing line is in $said
watch() {
	said=$(timeout 170 "$CLIENT" watch main p0 "$1" 2>&1) || fail "the monitor: $said"
	echo "$said"
}

expect_ok "$CLIENT" frames "$TEST_DIR/in.pcap" 509
start_server --name main --hugepages none --bufs 8192 \
	--port "p0=pcap:$TEST_DIR/in.pcap,loop=0,rate=50k"
start member "$CLIENT" rewrite main p0
wait_until 20 received_more_than 100 || fail "nothing arrives"
expect_equal "copies for nobody" "$(copies)" 0

watch "$FRAMES"
grep -q ' wrong 0, bursts that changed while held 0$' <<<"$said" ||
	fail "the monitor saw bytes that neither came in nor went out"
ok "the capture of $FRAMES frames of each way is exact"

# what came in was copied, at most once each; what went out was not
made=$(copies)
[ "$made" -ge "$FRAMES" ] || fail "$made copies for $FRAMES frames"
[ "$made" -le "$(stat_of ports.0.counters.rx_packets)" ] || fail "more copies than frames"
before=$(stat_of ports.0.counters.rx_packets)
wait_until 20 received_more_than $((before + 1000)) || fail "nothing arrives any more"
made=$(copies)
before=$(stat_of ports.0.counters.rx_packets)
wait_until 20 received_more_than $((before + 1000)) || fail "nothing arrives any more"
expect_equal "copies once the monitor has gone" "$(copies)" "$made"
ok "copies are made while somebody looks, and only then"

end TERM "$LAST_PID"
expect_whole_pool "once the member has gone"

# the control: without sole writers the capture would look like this
start scribbler "$CLIENT" scribble main p0
watch 500
! grep -q ' wrong 0,' <<<"$said" || fail "the monitor did not notice frames that were written to"
ok "the monitor notices a member that goes on writing to what it has sent"
