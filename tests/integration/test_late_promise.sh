#!/bin/bash
# test_late_promise.sh - a minimum promised after somebody has hoarded is there, or the attach fails
set -eu
# shellcheck source=tests/lib.sh
. "${IXY_SOURCE_DIR:-$(dirname "$0")/../..}/tests/lib.sh"
CLIENT=$IXY_BUILD_DIR/tests/integration/crowd_client
need_programs "$SERVER" "$IXYCTL" "$CLIENT"

hoards() {
	[ "$(stat_of clients.0.counters.rx_dropped_held)" -gt 1000 ]
}

start_server --name main --hugepages none --bufs 8192 --port p0=null:rate=200k
start hoard "$CLIENT" hoard main p0 64
wait_until 20 hoards || fail "the hoarder is given more and more"
mkfifo "$TEST_DIR/in"
start crowd sh -c 'exec "$0" crowd main 110 64 <"$1"' "$CLIENT" "$TEST_DIR/in"
exec {to}>"$TEST_DIR/in"
log_says 20 crowd '^attached'
num=$(sed -n 's/^attached //p' "$TEST_DIR/crowd.log")
echo >&"$to"
log_says 60 crowd "^holding $num of $num"
ok "$num late clients hold what they were promised"
