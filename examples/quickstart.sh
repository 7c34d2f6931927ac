#!/bin/bash
# quickstart.sh - the whole thing in a minute: a ping that an unprivileged program answers, while
# another one captures it. Wants a Debian 12 machine and root; leaves nothing running behind.
#
#	namespace "ixy-peer"          namespace "ixy-port"
#	ping ---- veth cable ---- port p0 (AF_XDP) -- ixy-server -+- ixy-echo   user 61001
#	                                                          `- ixy-dump   user 61002
set -eu

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=tests/setup.sh
. "$root/tests/setup.sh"

if [ "$(id -u)" != 0 ]; then
	echo "quickstart.sh makes network namespaces, which needs root: sudo $0" >&2
	exit 1
fi

build=$root/build
dir=$(mktemp -d /tmp/ixy-quickstart.XXXXXX)
chmod 755 "$dir"
port_ns=ixy-port-$$
peer_ns=ixy-peer-$$
pids=()

cleanup() {
	local status=$? pid
	trap - EXIT
	trap '' INT TERM HUP
	set +e
	# clients first, the server last; whoever does not listen is killed
	for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
		pid=${pids[i]}
		kill -TERM "$pid" 2>/dev/null
		for _ in $(seq 50); do
			kill -0 "$pid" 2>/dev/null || break
			sleep 0.1
		done
		kill -KILL "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	done
	ip netns delete "$peer_ns" 2>/dev/null
	ip netns delete "$port_ns" 2>/dev/null
	if [ "$status" != 0 ]; then
		echo
		echo "quickstart.sh failed. What the programs said:"
		tail -n 20 "$dir"/*.log 2>/dev/null
	fi
	rm -rf "$dir"
	exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

step() {
	echo
	echo "==> $*"
}

# show COMMAND... - says what is run, as a person would type it, and runs it
show() {
	echo "  \$ ${*//$dir\/bin\//}"
	"$@" 2>&1 | sed 's/^/    /'
	return "${PIPESTATUS[0]}"
}

# background NAME COMMAND... - the same, without waiting for it
background() {
	local name=$1
	shift
	echo "  \$ ${*//$dir\/bin\//} &"
	"$@" </dev/null >"$dir/$name.log" 2>&1 &
	pids+=($!)
}

# wait_for NAME COMMAND... - until it succeeds, or the process that was started last is gone
wait_for() {
	local name=$1
	shift
	for _ in $(seq 200); do
		! "$@" >/dev/null 2>&1 || return 0
		kill -0 "${pids[-1]}" 2>/dev/null || break
		sleep 0.05
	done
	echo "$name did not come up" >&2
	return 1
}

# -- 1 -------------------------------------------------------------------------------------------------
step "1. Install what is missing, and build"
need_commands cmake:cmake make:make gcc:gcc pkg-config:pkg-config ip:iproute2 ping:iputils-ping \
	tcpdump:tcpdump ethtool:ethtool setpriv:util-linux
need_libraries liburcu-qsbr:liburcu-dev
cmake -S "$root" -B "$build" >"$dir/cmake.log" 2>&1
cmake --build "$build" -j "$(nproc)" --target ixy-server ixyctl ixy-dump ixy-echo \
	>"$dir/build.log" 2>&1
# where users without privilege can run them, whatever the permissions of this tree are
install -d -m 755 "$dir/bin" "$dir/run"
install -m 755 "$build/server/ixy-server" "$build/client-lib/tools/ixyctl" \
	"$build/client-lib/tools/ixy-dump" "$build/examples/ixy-echo" \
	"$build"/client-lib/libixy-client.so* "$dir/bin/"
export LD_LIBRARY_PATH=$dir/bin
echo "  built in $build"

# -- 2 -------------------------------------------------------------------------------------------------
step "2. Hugepages for the pool of packet buffers (16 MiB)"
reserve_hugepages 8
echo "  $(cat /sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages) pages of 2 MiB are free"

# -- 3 -------------------------------------------------------------------------------------------------
step "3. A network of its own: two namespaces and a cable between them"
show ip netns add "$port_ns"
show ip netns add "$peer_ns"
show ip -n "$port_ns" link add port0 type veth peer name eth0 netns "$peer_ns"
for end in "$port_ns port0" "$peer_ns eth0"; do
	read -r ns interface <<<"$end"
	# a veth leaves checksums to hardware that is not there
	ip netns exec "$ns" ethtool -K "$interface" tx off gso off tso off gro off >/dev/null 2>&1
	ip -n "$ns" link set "$interface" up
done
show ip -n "$peer_ns" addr add 10.77.0.1/24 dev eth0
show ip -n "$peer_ns" addr add fd77::1/64 dev eth0 nodad

# -- 4 -------------------------------------------------------------------------------------------------
step "4. The server: it alone owns the interface, through AF_XDP"
export IXY_SOCKET_DIR=$dir/run
background server ip netns exec "$port_ns" "$dir/bin/ixy-server" --name main \
	--port p0=xdp:port0 --bufs 8192 --hugepages 2M --socket-dir "$dir/run"
wait_for ixy-server grep -q ready "$dir/server.log"
sed 's/^/    /' "$dir/server.log"

# -- 5 -------------------------------------------------------------------------------------------------
step "5. Two programs of two users, neither with any privilege"
unprivileged=(setpriv --clear-groups --no-new-privs)
user_a=("${unprivileged[@]}" --reuid=61001 --regid=61001)
user_b=("${unprivileged[@]}" --reuid=61002 --regid=61002)
: >"$dir/ping.pcap"
chown 61002:61002 "$dir/ping.pcap"
background echo "${user_a[@]}" "$dir/bin/ixy-echo" -m 02:00:00:00:77:02 \
	-a 10.77.0.2 -a fd77::2 main p0
background dump "${user_b[@]}" "$dir/bin/ixy-dump" -n main -p p0 -w "$dir/ping.pcap"
dump_pid=${pids[-1]}
both_attached() {
	[ "$("$dir/bin/ixyctl" -n main show clients | tail -n +2 | wc -l)" = 2 ]
}
wait_for "ixy-echo or ixy-dump" both_attached
show "$dir/bin/ixyctl" -n main show clients

# -- 6 -------------------------------------------------------------------------------------------------
step "6. Ping the address that only ixy-echo answers"
show ip netns exec "$peer_ns" ping -n -c 3 -i 0.3 10.77.0.2
show ip netns exec "$peer_ns" ping -n -c 3 -i 0.3 fd77::2

# -- 7 -------------------------------------------------------------------------------------------------
step "7. What ixy-dump captured: requests, and the replies that were made of them in place"
sleep 0.3
kill -INT "$dump_pid"
wait "$dump_pid" || true
sed 's/^/    /' "$dir/dump.log"
show tcpdump -nr "$dir/ping.pcap" icmp or icmp6

# -- 8 -------------------------------------------------------------------------------------------------
step "8. The server's account: every packet, every drop, every buffer"
show "$dir/bin/ixyctl" -n main stats --interval 0
show "$dir/bin/ixyctl" -n main show pool

step "Done. Namespaces, processes and files of this demonstration are removed now."
echo "  Next: README.md; examples/hello.c is the shortest program of this kind."
