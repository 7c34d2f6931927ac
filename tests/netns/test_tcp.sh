#!/bin/bash
# test_tcp.sh - TCP between two namespaces whose only connection is an unprivileged forwarder
#
#	"left" eth0 -- veth -- port l -- ixy-fwd (user A) -- port r -- veth or TAP -- eth0 "right"
set -eu
# shellcheck source=tests/lib.sh
. "${IXY_SOURCE_DIR:-$(dirname "$0")/../..}/tests/lib.sh"
need_root
need_commands ip iperf3 ethtool setpriv python3
need_programs "$SERVER" "$IXYCTL" "$EXAMPLES/ixy-fwd"
need_hugepages 8
give_to_users "$EXAMPLES/ixy-fwd"
export LD_LIBRARY_PATH=$TEST_DIR/bin
install -m 755 "$IXY_BUILD_DIR"/client-lib/libixy-client.so* "$TEST_DIR/bin/"

SECONDS_EACH=2
MIN_MBIT=5 # not a benchmark: a connection that lives on retransmissions is slower than that
FILE_MIB=16

host='' left='' right='' # make_netns sets them

address() {
	ip -n "$1" addr add "$2" dev eth0
	ip -n "$1" addr add "$3" dev eth0 nodad
}

# iperf WHAT OPTION... - from left to right; prints the receiver's Mbit/s
iperf() {
	local what=$1 rate
	shift
	timeout 60 ip netns exec "$left" iperf3 -J -t "$SECONDS_EACH" "$@" >"$TEST_DIR/iperf.json" 2>&1 ||
		fail "iperf3, $what: $(tail -n 3 "$TEST_DIR/iperf.json")"
	rate=$(python3 -c '
import json, sys
print(round(json.load(open(sys.argv[1]))["end"]["sum_received"]["bits_per_second"] / 1e6))' \
		"$TEST_DIR/iperf.json")
	[ "$rate" -ge "$MIN_MBIT" ] || fail "iperf3, $what: only $rate Mbit/s"
	ok "$what: $rate Mbit/s"
}

# Sends a file through one connection; what arrives has to have the same digest.
whole_file() {
	head -c "${FILE_MIB}M" /dev/urandom >"$TEST_DIR/file"
	start receiver ip netns exec "$right" python3 -c '
import hashlib, socket
server = socket.create_server(("10.88.1.2", 7777))
print("listening", flush=True)
connection, _ = server.accept()
digest = hashlib.sha256()
while data := connection.recv(65536):
    digest.update(data)
print(digest.hexdigest(), flush=True)'
	log_says 10 receiver listening
	expect_ok timeout 60 ip netns exec "$left" python3 -c '
import socket, sys
with socket.create_connection(("10.88.1.2", 7777)) as connection:
    connection.sendfile(open(sys.argv[1], "rb"))' "$TEST_DIR/file"
	log_says 20 receiver "^$(sha256sum "$TEST_DIR/file" | cut -d' ' -f1)\$"
	ok "$1: a file of $FILE_MIB MiB arrives whole"
}

tcp_through() {
	local what=$1 fwd
	start "fwd" "${AS_A[@]}" "$TEST_DIR/bin/ixy-fwd" -q "${@:2}" main l r
	fwd=$LAST_PID
	start iperf3-server ip netns exec "$right" iperf3 -s --forceflush
	local iperf3_pid=$LAST_PID
	log_says 10 iperf3-server listening
	wait_until 10 timeout 1 ip netns exec "$left" ping -n -c 1 10.88.1.2 ||
		fail "$what: left does not reach right at all"
	iperf "$what, TCP over IPv4" -c 10.88.1.2
	iperf "$what, TCP over IPv4, from right to left" -c 10.88.1.2 -R
	iperf "$what, TCP over IPv6, 4 connections" -c fd88:1::2 -P 4
	whole_file "$what"
	expect_ok ctl show pool
	end TERM "$fwd"
	end TERM "$iperf3_pid"
	expect_whole_pool "after the forwarder left"
	! timeout 2 ip netns exec "$left" ping -n -c 1 -W 1 10.88.1.2 >/dev/null 2>&1 ||
		fail "there is another way between left and right: this proves nothing"
}

make_netns host
make_netns left
make_netns right
SERVER_NETNS=$host

# -- veth on both sides ------------------------------------------------------------------------------
make_veth "$host" porta "$left" eth0
make_veth "$host" portb "$right" eth0
address "$left" 10.88.1.1/24 fd88:1::1/64
address "$right" 10.88.1.2/24 fd88:1::2/64
start_server --name main --port l=xdp:porta --port r=xdp:portb --bufs 8192 --hugepages 2M
tcp_through "veth to veth"
end TERM "$SERVER_PID"
expect_equal "exit status of the server" "$LAST_STATUS" 0

# -- TAP on the right, and a forwarder that can only read the frames -------------------------------------
ip -n "$right" link delete eth0
start_server --name main --port l=xdp:porta --port r=tap:portb --bufs 8192 --hugepages 2M
ip -n "$host" link set portb netns "$right" name eth0
quiet_interface "$right" eth0
address "$right" 10.88.1.2/24 fd88:1::2/64
ip -n "$left" neigh flush dev eth0 # the interface over there is another one now
tcp_through "veth to TAP, read-only" -r
end TERM "$SERVER_PID"
expect_equal "exit status of the server" "$LAST_STATUS" 0
