#!/bin/bash
# test_lost_wake.sh - no wake-up is lost, in either direction, around the moment of falling asleep:
# five seconds, or with IXY_LONG=1 a minute. The proof is tests/model; this is the real code.
set -eu
# shellcheck source=tests/lib.sh
. "${IXY_SOURCE_DIR:-$(dirname "$0")/../..}/tests/lib.sh"
LOST_WAKE=$IXY_BUILD_DIR/tests/integration/lost_wake
need_programs "$SERVER" "$IXYCTL" "$LOST_WAKE"

seconds=5
[ -z "${IXY_LONG:-}" ] || seconds=60
seed=${IXY_SEED:-$RANDOM}

# it says how it ended, or it has found something and is gone
has_ended() {
	is_gone "$LAST_PID" || has_line '^ended' "$TEST_DIR/lost_wake.log"
}

# a port that never does anything by itself, so that nothing but a wake-up ends a sleep
start_server --name main --port p0=pcap:none --bufs 1024 --hugepages none --poll adaptive
sleeps=$(stat_of server.counters.sleeps)
start lost_wake "$LOST_WAKE" main p0 "$seconds" "$seed"
wait_until "$((seconds + 40))" has_ended || fail "lost_wake does not end (seed $seed)"
if is_gone "$LAST_PID"; then
	cat "$TEST_DIR/lost_wake.log"
	fail "a wake-up was lost, or could not be waited for (seed $seed)"
fi
# what they did is known only while they are attached
wakeups=$(stat_of clients.0.counters.wakeups)
doorbells=$(stat_of clients.0.counters.doorbells)
kill "$LAST_PID"
wait_gone 40 "$LAST_PID" || fail "lost_wake does not end (seed $seed)"
status=0
wait "$LAST_PID" || status=$?
forget "$LAST_PID"
cat "$TEST_DIR/lost_wake.log"
[ "$status" = 0 ] || fail "a wake-up was lost, or could not be waited for (seed $seed)"
sleeps=$(($(stat_of server.counters.sleeps) - sleeps))

# A test in which nobody sleeps proves nothing.
least=$((seconds * 20))
for count in sleeps wakeups doorbells; do
	[ "${!count}" -ge "$least" ] || fail "only ${!count} $count: this proves nothing"
done
expect_whole_pool "at the end"
ok "no wake-up was lost in $seconds s (seed $seed): the worker slept $sleeps times, was rung for
     $doorbells times by one of the clients, and woke it $wakeups times"
