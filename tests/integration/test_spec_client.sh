#!/bin/bash
# test_spec_client.sh - shm/README.md is complete and true: a Python client made from it alone works
set -eu
# shellcheck source=tests/lib.sh
. "${IXY_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib.sh"

need_commands python3
need_programs "$SERVER"

SOCKET=$IXY_SOCKET_DIR/t.sock
FRAMES=300

# -B: nothing is written into the source tree
CLIENT=(python3 -B "$IXY_SOURCE_DIR/tests/integration/spec_client.py")
RULES=(python3 -B "$IXY_SOURCE_DIR/tests/integration/spec_rules.py")

# run NAME COMMAND... - in the foreground; its output is in $TEST_DIR/NAME.log
run() {
	local name=$1 status=0
	shift
	"$@" >"$TEST_DIR/$name.log" 2>&1 || status=$?
	[ "$status" != 77 ] || skip "$(cat "$TEST_DIR/$name.log")"
	[ "$status" = 0 ] || fail "$name failed, with status $status"
}

expect_line() {
	has_line "$2" "$TEST_DIR/$1.log" || fail "$1 did not print \"$2\""
}

# start_client NAME MODE OPTION... - in the background, until it is attached
start_client() {
	local name=$1 mode=$2
	shift 2
	rm -f "$TEST_DIR/$name.log" # of the one before, which attached as well
	start "$name" "${CLIENT[@]}" "$mode" "$SOCKET" "$@"
	log_says 10 "$name" '^attached'
}

# expect_end NAME PID - of a client that ends by itself
expect_end() {
	wait_gone 10 "$2" || fail "$1 still waits"
	wait "$2" || fail "$1 failed"
	forget "$2"
}

serve() {
	start_server --name t --hugepages none --bufs 4096 "$@"
}

nothing_held() {
	"${CLIENT[@]}" query "$SOCKET" >"$TEST_DIR/query.log" &&
		grep -Eq '^pool .* in_clients=0 lent=0 ' "$TEST_DIR/query.log" &&
		! grep -q '^client ' "$TEST_DIR/query.log"
}

# The server's record of its buffers: all are free again, and their sum is right.
expect_nothing_held() {
	wait_until 5 nothing_held || fail "after $1: $(cat "$TEST_DIR/query.log")"
	[ ! -x "$IXYCTL" ] || expect_ok "$IXYCTL" -n t show pool
}

member_and_monitor() {
	local monitor
	start_client monitor monitor --frames "$FRAMES"
	monitor=$LAST_PID
	run member "${CLIENT[@]}" member "$SOCKET" --frames "$FRAMES"
	expect_line member "^received $FRAMES hashed 0$"
	expect_line member "^sent $((FRAMES + 40)) freed 40 rings [1-9]"
	expect_line member "^detached$"
	expect_end monitor "$monitor"
	expect_line monitor "^received [0-9]+ swapped $FRAMES built 40$"
	expect_nothing_held "the first clients"
	expect_line query "^port name=p0 .* tx_packets=$((FRAMES + 40)) .* tx_dropped=0 tx_bad=0"
	ok "a member swaps addresses and builds frames; a sleeping monitor sees both"
}

two_queue_pairs() {
	run pairs "${CLIENT[@]}" member "$SOCKET" --frames "$FRAMES" --pairs 2
	expect_line pairs "^received [1-9][0-9]* [1-9][0-9]* hashed $FRAMES$"
	expect_nothing_held "two queue pairs"
	ok "two queue pairs get their flows, with a flow hash"
}

verdicts() {
	run filter "${CLIENT[@]}" filter "$SOCKET" --frames "$FRAMES"
	expect_line filter "^passed $((FRAMES / 2)) freed $((FRAMES / 2)) out $((FRAMES / 2))$"
	expect_nothing_held "a filter"
	ok "a readonly member passes frames on or drops them, beside a monitor"
}

broken_rules() {
	run rules "${RULES[@]}" "$SOCKET"
	ok "each ends its session as specified: $(paste -sd, "$TEST_DIR/rules.log")"
	expect_nothing_held "broken rules"
}

deaths_of_clients() {
	local child
	start_client watch watch
	end KILL "$LAST_PID"
	expect_nothing_held "a killed client"
	"${CLIENT[@]}" abandon "$SOCKET" >"$TEST_DIR/abandon.log" 2>&1 || true
	child=$(sed -n 's/^child //p' "$TEST_DIR/abandon.log")
	[ -n "$child" ] || fail "the client that is to die did not attach"
	PIDS+=("$child")
	expect_nothing_held "a client whose child lives on"
	! is_gone "$child" || fail "the child was to outlive the session"
	ok "a killed client leaves nothing behind, not even with a child that has its descriptors"
}

# ends_with SIGNAL PATTERN... - what a client sees when the server gets SIGNAL
ends_with() {
	local signal=$1 watch pattern
	shift
	start_client watch watch
	watch=$LAST_PID
	end "$signal" "$SERVER_PID"
	expect_end watch "$watch"
	for pattern in "$@"; do
		expect_line watch "$pattern"
	done
	ok "the server's end by SIG$signal looks as specified"
}

# skips now if this Python cannot do it
run machine "${CLIENT[@]}" machine -

serve --port p0=null:rate=1000,flows=16
member_and_monitor
two_queue_pairs
verdicts
broken_rules
deaths_of_clients
ends_with KILL '^end 0$' '^alive 0x40000000 state 1$'

serve --port p0=null:rate=1000 --poll busy
run busy "${CLIENT[@]}" member "$SOCKET" --frames "$FRAMES"
expect_line busy "^sent $((FRAMES + 40)) freed 40 rings 0$"
expect_nothing_held "a busy server"
ok "a server that polls needs no doorbell"
ends_with TERM '^closed 1$' '^alive 0x0 state 2$'
