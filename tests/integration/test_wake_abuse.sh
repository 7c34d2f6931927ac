#!/bin/bash
# test_wake_abuse.sh - waking cannot be turned against the server: a client that always says "wake me",
# that never reads its wake socket, or that rings all the time, costs no more than one that polls, and is
# woken at most once in 20 us. Two seconds for each, with IXY_LONG=1 twenty.
set -eu
# shellcheck source=tests/lib.sh
. "${IXY_SOURCE_DIR:-$(dirname "$0")/../..}/tests/lib.sh"
ABUSE=$IXY_BUILD_DIR/tests/integration/wake_abuse
need_programs "$SERVER" "$IXYCTL" "$ABUSE"

seconds=2
[ -z "${IXY_LONG:-}" ] || seconds=20
WAKE_INTERVAL_US=20 # of server/dataplane/wake.c
LEAST_PERCENT=50    # of what the server does for others beside a client that polls

client_stat() { # NAME COUNTER
	ctl stats --json --interval 0 | python3 -c '
import json, sys
print(next(c["counters"][sys.argv[2]] for c in json.load(sys.stdin)["clients"] if c["name"] == sys.argv[1]))' "$@"
}

# What the server does for the other one with its CPU time counts. Where it has little to do, and could
# sleep, ringing may cost that time, but not frames: then the better of the two ratios counts.
percent_of() { # PORT-OPTIONS
	awk -v paced="$1" '
		$1 == "polls" || $1 == "abuses" { cpu[$1] = $2; wall[$1] = $12 }
		END {
			if (!cpu["polls"] || !wall["polls"]) exit
			by_cpu = 100 * cpu["abuses"] / cpu["polls"]
			by_wall = 100 * wall["abuses"] / wall["polls"]
			if (paced ~ /rate/ && by_wall > by_cpu) by_cpu = by_wall
			printf "%d\n", by_cpu
		}' "$TEST_DIR/abuse.log"
}

# abuse KIND POLL PORT-OPTIONS
abuse() {
	local begin elapsed wakeups percent pid
	start_server --name main --hugepages none --poll "$2" --port "p0=null:$3"
	begin=${EPOCHREALTIME/./}
	start abuse "$ABUSE" main p0 "$1" "$SERVER_PID" "$seconds"
	pid=$LAST_PID
	log_says $((seconds + 120)) abuse '^abuses'
	wakeups=$(client_stat abuses wakeups)
	elapsed=$((${EPOCHREALTIME/./} - begin))
	expect_equal "wake-ups of the client that polls" "$(client_stat behaves wakeups)" 0
	end TERM "$pid"
	expect_whole_pool "after $1"
	end TERM "$SERVER_PID"
	[ "$1" != unread ] || has_line '^full' "$TEST_DIR/abuse.log" ||
		fail "$1, $2: the wake socket never was full: this proves nothing"
	percent=$(percent_of "$3")
	[ -n "$percent" ] || fail "$1: the server did nothing for the client that behaves"
	[ "$percent" -ge "$LEAST_PERCENT" ] ||
		fail "$1, $2: the server does only $percent % for others: $(cat "$TEST_DIR/abuse.log")"
	[ "$wakeups" -le $((elapsed / WAKE_INTERVAL_US)) ] ||
		fail "$1, $2: $wakeups wake-ups in $elapsed us are more than one in $WAKE_INTERVAL_US us"
	if [ "$1" = rings ]; then
		expect_equal "wake-ups of a client that rings only" "$wakeups" 0
	else
		[ "$wakeups" -ge 16 ] || fail "$1, $2: only $wakeups wake-ups: this proves nothing"
	fi
	ok "$1, $2, $3: $percent % of what the server does beside a client that polls, $wakeups wake-ups in $((elapsed / 1000)) ms"
}

abuse awake adaptive flows=64
abuse unread adaptive flows=64
abuse rings adaptive flows=64
# with pauses, in which the worker goes to sleep if it is let
abuse rings adaptive rate=20000,flows=64
