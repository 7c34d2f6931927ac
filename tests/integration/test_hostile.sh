#!/bin/bash
# test_hostile.sh - clients that write garbage into their lanes cost themselves only: the server lives,
# a neighbour goes on forwarding, and afterwards every buffer is free again.
#
#	IXY_HOSTILE_SEED=N      the same attack again; default: another one each time
#	IXY_HOSTILE_SECONDS=N   default: 2
set -eu
. "${IXY_SOURCE_DIR:-$(dirname "$0")/../..}/tests/lib.sh"

need_root
need_commands setpriv python3
HOSTILE=$IXY_BUILD_DIR/tests/integration/hostile_client
need_programs "$SERVER" "$IXYCTL" "$HOSTILE"
give_to_users "$HOSTILE"

seed=${IXY_HOSTILE_SEED:-$((RANDOM * 32768 + RANDOM))}
seconds=${IXY_HOSTILE_SECONDS:-2}
say "IXY_HOSTILE_SEED=$seed repeats this"

attack_poll_mode() {
	local mode=$1 pids=() i
	start_server --name main --hugepages none --socket-mode 0666 --poll "$mode" \
		--port p0=null:rate=200000,flows=64 --port p1=null:rate=10
	start "honest-$mode" "${AS_B[@]}" "$TEST_DIR/bin/hostile_client" main honest $((seconds + 2))
	local honest=$LAST_PID
	for i in 1 2 3; do
		start "hostile-$mode-$i" "${AS_A[@]}" "$TEST_DIR/bin/hostile_client" main $((seed + i)) \
			"$seconds"
		pids+=("$LAST_PID")
	done
	for i in "${pids[@]}" "$honest"; do
		wait "$i" || fail "process $i failed in mode $mode (server gone: $(is_gone "$SERVER_PID" && echo yes || echo no))"
		forget "$i"
	done
	cat "$TEST_DIR"/honest-"$mode".log "$TEST_DIR"/hostile-"$mode"-*.log
	is_gone "$SERVER_PID" && fail "the server died"
	expect_whole_pool "after the attack"
	[ "$(stat_of pool.0.reserved)" = 0 ] || fail "buffers stay reserved for nobody"
	end TERM "$SERVER_PID"
	[ "$LAST_STATUS" = 0 ] || fail "the server ended with status $LAST_STATUS"
	ok "$mode: hostile clients cost themselves only"
}

attack_poll_mode adaptive
attack_poll_mode busy
