#!/bin/bash
# test_idle_cpu.sh - an idle adaptive server with twenty clients that wait, and a client that waits, use
# less than 0.1 % of a CPU: CPU time in four seconds, with IXY_LONG=1 in a minute. As root with a TAP
# device in a network namespace of its own as well.
set -eu
# shellcheck source=tests/lib.sh
. "${IXY_SOURCE_DIR:-$(dirname "$0")/../..}/tests/lib.sh"
SLEEPERS=$IXY_BUILD_DIR/tests/integration/sleepers
need_programs "$SERVER" "$IXYCTL" "$SLEEPERS"

seconds=4
[ -z "${IXY_LONG:-}" ] || seconds=60
# a sanitizer makes a frame a second and a look at the links dearer
limit_us=$((seconds * 1000))
! is_sanitized || limit_us=$((seconds * 10000))

# cpu_us PID - CPU time of all threads, which the kernel counts in ns; other processes hardly matter to it
cpu_us() {
	cat "/proc/$1/task/"*/schedstat | awk '{ ns += $1 } END { printf "%d\n", ns / 1000 }'
}

ports=(--port "f=pcap:none" --port "n=null:rate=1")
if [ "$(id -u)" = 0 ] && command -v ip >/dev/null; then
	make_netns IDLE_NETNS
	SERVER_NETNS=$IDLE_NETNS
	# its own frames (neighbour discovery) would be traffic
	ip netns exec "$IDLE_NETNS" sysctl -qw net.ipv6.conf.default.disable_ipv6=1
	ports+=(--port t=tap:idle0)
fi
start_server --name main --hugepages none --poll adaptive "${ports[@]}"
# in a namespace the server is a child of ip(8), or has taken its place
names=(server)
pids=("$(ctl stats --json --interval 0 | python3 -c 'import json, sys; print(json.load(sys.stdin)["server"]["pid"])')")
for i in $(seq 20); do
	port=$(cut -d' ' -f$((i % ${#ports[@]} / 2 + 1)) <<<"f n t")
	start "sleeper$i" "$SLEEPERS" main "$port" 1 member
	names+=("client $i, of port $port,")
	pids+=("$LAST_PID")
done
for i in $(seq 20); do
	log_says 20 "sleeper$i" asleep
done
expect_equal "the number of clients" "$(ctl stats --json --interval 0 |
	python3 -c 'import json, sys; print(len(json.load(sys.stdin)["clients"]))')" 20
sleep 1

before=()
for pid in "${pids[@]}"; do
	before+=("$(cpu_us "$pid")")
done
begin=${EPOCHREALTIME/./}
sleep "$seconds"
most=0
for i in "${!pids[@]}"; do
	used=$(($(cpu_us "${pids[i]}") - before[i]))
	[ "$i" != 0 ] || server_used=$used
	[ "$i" = 0 ] || [ "$used" -le "$most" ] || most=$used
	[ "$used" -le "$limit_us" ] ||
		fail "the ${names[i]} used $used us of CPU time in $seconds s, more than $limit_us"
done
elapsed=$((${EPOCHREALTIME/./} - begin))
# it lives, and so do they: who is dead uses no CPU time
for pid in "${pids[@]}"; do
	! is_gone "$pid" || fail "process $pid has ended"
done
ok "in $((elapsed / 1000)) ms the server with twenty clients used $server_used us of CPU time, no client more than $most us"
