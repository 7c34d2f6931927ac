#!/bin/bash
# test_admission.sh - 1,000 clients' guarantees add up, or the last attach fails; and all can be called in
# at once, beside a client that keeps everything it gets
set -eu
# shellcheck source=tests/lib.sh
. "${IXY_SOURCE_DIR:-$(dirname "$0")/../..}/tests/lib.sh"
CLIENT=$IXY_BUILD_DIR/tests/integration/crowd_client
REFLECT=$IXY_BUILD_DIR/tests/integration/reflect
need_root
need_one_worker
need_commands setpriv
need_programs "$SERVER" "$IXYCTL" "$CLIENT" "$REFLECT"
# six descriptors for each session in the server, three in the client
[ "$(ulimit -Hn)" -ge 8192 ] || ulimit -Hn 8192 || skip "needs 8192 open files (ulimit -Hn)"
give_to_users "$CLIENT"

# crowd NAME MOST MIN [PREFIX...] - attaches sessions and waits; sets NUM, WHY, and TO, its input
crowd() {
	local name=$1 most=$2 min=$3
	shift 3
	mkfifo "$TEST_DIR/$name.in"
	: >"$TEST_DIR/$name.log"
	"$@" "$TEST_DIR/bin/crowd_client" crowd main "$most" "$min" \
		<"$TEST_DIR/$name.in" >"$TEST_DIR/$name.log" 2>&1 &
	LAST_PID=$!
	PIDS+=("$LAST_PID")
	exec {TO}>"$TEST_DIR/$name.in"
	log_says 60 "$name" '^attached'
	NUM=$(sed -n 's/^attached //p' "$TEST_DIR/$name.log")
	WHY=$(head -n 1 "$TEST_DIR/$name.log")
}

# fill NAME FD NUM - all of that crowd take their minimum, and have it at the same time
fill() {
	echo >&"$2"
	log_says 60 "$1" "^holding $3 of $3"
}

# leave FD PID - the end of a crowd's input
leave() {
	eval "exec $1>&-"
	wait_gone 30 "$2" || fail "the crowd does not end"
	wait "$2" || fail "the crowd failed"
	forget "$2"
}

# of_clients NAME FIELD - the sum over all clients of that name
of_clients() {
	ctl stats --json --interval 0 | python3 -c '
import json, sys
clients = [c for c in json.load(sys.stdin)["clients"] if c["name"] == sys.argv[1]]
print(sum({**c, **c["counters"]}[sys.argv[2]] for c in clients))' "$1" "$2"
}

is_above() {
	[ "$(of_clients "$1" "$2")" -gt "$3" ]
}

# number_before TEXT - the number in $WHY in front of these words
number_before() {
	sed -En "s/.*[^0-9]([0-9]+) $1.*/\1/p" <<<"$WHY"
}

# half of each minimum lies in the grant ring at once; the rest is reserved until it is wanted
is_promised() {
	[ $(($(of_clients crowd held_bufs) + $(stat_of pool.0.reserved))) = "$1" ] &&
		[ "$(stat_of pool.0.reserved)" = $(($1 / 2)) ]
}

are_left() {
	[ "$(stat_of server.clients)" = "$1" ]
}

start_server --name main --hugepages none --bufs 24576 --max-clients 1200 \
	--port greedy=null:rate=200k --port modest=null:rate=20k

# -- beside one that keeps everything ----------------------------------------------------------------
crowd many 1000 16
expect_equal "the crowd" "$NUM" 1000
wait_until 20 is_promised 16000 || fail "not all of what was promised is held or reserved"
many_to=$TO many_pid=$LAST_PID
start hoard "$CLIENT" hoard main greedy 64
hoard_pid=$LAST_PID
wait_until 30 is_above hoard rx_dropped_held 1000 || fail "the hoarder is given more and more"
# half of what is neither promised nor kept for those who attach (an eighth of what can be promised), or a
# little less: the modest one, too, holds some for a while
share=$(of_clients hoard held_bufs)
[ "$share" -gt 1800 ] && [ "$share" -lt 3200 ] || fail "the hoarder holds $share buffers"
start modest "$REFLECT" main
wait_until 20 is_above reflect rx_packets 20000 || fail "the modest client receives nothing"
expect_equal "frames that the hoarder cost it" "$(of_clients reflect rx_dropped_held)" 0
ok "a client that keeps $share buffers costs another none of its frames"
fill many "$many_to" 1000
expect_equal "what the crowd holds" "$(of_clients crowd held_bufs)" 16000
[ "$(of_clients hoard held_bufs)" -ge "$share" ] || fail "the hoarder has lost some"
expect_ok ctl show pool
ok "1,000 clients hold their minimum beside it"
end KILL "$LAST_PID"
end KILL "$hoard_pid"
wait_until 20 are_left 1000 || fail "the two do not go"

# -- until one is refused ------------------------------------------------------------------------------
crowd more 1200 64
grep -q '^ENOBUFS: .*64 buffers cannot be guaranteed: .*--bufs' <<<"$WHY" ||
	fail "the attach after $NUM was not refused as it should: $WHY"
capacity=$(number_before 'that can be promised')
expect_equal "what the refusal says is promised" "$(number_before are,)" $((16000 + NUM * 64))
[ $((capacity - 16000 - NUM * 64)) -lt 64 ] || fail "refused, although there was room: $WHY"
expect_equal "the sum of minimums in ixyctl" "$(of_clients crowd min_bufs)" $((16000 + NUM * 64))
fill more "$TO" "$NUM"
expect_equal "what they hold" "$(of_clients crowd held_bufs)" $((16000 + NUM * 64))
expect_equal "what is reserved beyond that" "$(stat_of pool.0.reserved)" 0
expect_ok ctl show pool
leave "$TO" "$LAST_PID"
leave "$many_to" "$many_pid"
wait_until 20 are_left 0 || fail "the sessions do not end"
expect_whole_pool "after the crowds"
expect_equal "what is reserved for nobody" "$(stat_of pool.0.reserved)" 0
ok "1,000 guarantees of 16 and $NUM of 64 buffers add up, are held at once, and come back"

# -- one user gets three quarters of it ------------------------------------------------------------------
crowd users_a 1200 64 "${AS_A[@]}"
grep -q '^ENOBUFS' <<<"$WHY" || fail "user 61001 was not refused with ENOBUFS: $WHY"
expect_equal "what user 61001 was promised" $((NUM * 64)) $((capacity * 3 / 4 / 64 * 64))
a_to=$TO a_pid=$LAST_PID a_num=$NUM
crowd users_b 1200 64 "${AS_B[@]}"
expect_equal "what was left for user 61002" "$NUM" $(((capacity - a_num * 64) / 64))
fill users_a "$a_to" "$a_num"
fill users_b "$TO" "$NUM"
leave "$TO" "$LAST_PID"
leave "$a_to" "$a_pid"
wait_until 20 are_left 0 || fail "the sessions do not end"
expect_whole_pool "at the end"
ok "one user is promised $a_num times 64 buffers at most, and another finds the rest"
