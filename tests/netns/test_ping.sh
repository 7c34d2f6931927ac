#!/bin/bash
# test_ping.sh - the main job: a namespace pings an address that only an unprivileged client answers,
# while a client of another user captures both directions, and both see undamaged packets
#
#	namespace "peer"                  namespace "host"
#	ping, tcpdump -- veth/tap -- xdp or tap port -- ixy-server -- ixy-echo (user A)
#	                                                           `- ixy-dump (user B)
set -eu
# shellcheck source=tests/lib.sh
. "${IXY_SOURCE_DIR:-$(dirname "$0")/../..}/tests/lib.sh"
need_root
need_commands ip ping tcpdump ethtool setpriv python3
need_programs "$SERVER" "$IXYCTL" "$DUMP" "$EXAMPLES/ixy-echo"
need_hugepages 2
give_to_users "$EXAMPLES/ixy-echo" "$DUMP"
export LD_LIBRARY_PATH=$TEST_DIR/bin # the examples' shared library, where the users can read it
install -m 755 "$IXY_BUILD_DIR"/client-lib/libixy-client.so* "$TEST_DIR/bin/"

V4=10.88.0.2
V6=fd88::2
FLOOD=1000

# ping_all COMMAND... - pings, which must lose nothing
ping_all() {
	local out
	out=$("$@" 2>&1) || fail "\"$*\" failed: $out"
	grep -Eq ' 0% packet loss' <<<"$out" || fail "\"$*\" lost packets: $out"
	! grep -Eqi 'duplicate|corrupt|wrong' <<<"$out" || fail "\"$*\": $out"
}

# count_frames FILE FILTER...
count_frames() {
	tcpdump -nr "$@" 2>/dev/null | wc -l
}

has_at_least() {
	[ "$(count_frames "$2" "${@:3}")" -ge "$1" ]
}

# undamaged FILE - every checksum that tcpdump can see is right
undamaged() {
	local bad
	tcpdump -nvvr "$1" >"$TEST_DIR/verbose" 2>/dev/null || fail "tcpdump cannot read $1"
	bad=$(grep -Ei 'bad|wrong|incorrect|truncated|\[\|' "$TEST_DIR/verbose" | head -3 || true)
	[ -z "$bad" ] || fail "damaged frames in $1: $bad"
}

# requests_and_replies FILE - as many of each as were pinged, and none twice
requests_and_replies() {
	local pings=$((FLOOD + 3)) kind n
	for kind in "icmp[icmptype] == icmp-echo" "icmp[icmptype] == icmp-echoreply"; do
		n=$(count_frames "$1" "$kind")
		expect_equal "the number of frames \"$kind\" in $(basename "$1")" "$n" "$pings"
	done
	for kind in "icmp6 and ip6[40] == 128" "icmp6 and ip6[40] == 129"; do
		n=$(count_frames "$1" "$kind")
		expect_equal "the number of frames \"$kind\" in $(basename "$1")" "$n" "$pings"
	done
}

# contents FILE - ICMP frames as bytes, sorted, to compare two captures of the same wire
contents() {
	tcpdump -nxxtr "$1" 'icmp or (icmp6 and (ip6[40] == 128 or ip6[40] == 129))' 2>/dev/null |
		grep -E '^[[:space:]]+0x' | sed 's/^[[:space:]]*0x\([0-9a-f]*\):[[:space:]]*/\1 /' |
		awk '{ if ($1 == "0000" && line != "") { print line; line = "" }
		       for (i = 2; i <= NF; i++) line = line $i } END { print line }' | sort
}

# ping_through PORT_SPEC NAMESPACE OF THE PEER
ping_through() {
	local port=$1 peer=$2 kind=${1%%:*} interface=$3 captured seen
	start_server --name main --port "p0=$port" --bufs 4096 --hugepages 2M
	"$4" # brings up what the server made
	start "echo" "${AS_A[@]}" "$TEST_DIR/bin/ixy-echo" -m 02:00:00:00:88:02 -a "$V4" -a "$V6" \
		main p0
	local echo_pid=$LAST_PID
	captured=$(file_of 61002 "$kind.pcap")
	start dump "${AS_B[@]}" "$TEST_DIR/bin/ixy-dump" -n main -p p0 -w "$captured"
	local dump_pid=$LAST_PID
	seen=$TEST_DIR/$kind-wire.pcap
	start tcpdump ip netns exec "$peer" tcpdump -Uni "$interface" -B 32768 -w "$seen" \
		'icmp or icmp6'
	local tcpdump_pid=$LAST_PID
	log_says 10 tcpdump 'listening'
	wait_until 10 attached 2 || fail "echo and dump are not both attached: $(ctl show clients)"
	ctl show clients | grep -Eq ' 61001 +shared +member ' || fail "echo is not a member of user A"
	ctl show clients | grep -Eq ' 61002 +readonly +monitor ' || fail "dump is no monitor of user B"

	ping_all ip netns exec "$peer" ping -n -i 0.2 -c 3 -W 5 "$V4"
	ping_all ip netns exec "$peer" ping -n -i 0.2 -c 3 -W 5 "$V6"
	ok "$kind: ping, v4 and v6, no loss"
	# not faster than it is answered: a flood sends the next one when a reply is there
	ping_all ip netns exec "$peer" ping -n -q -f -c "$FLOOD" -W 5 "$V4"
	ping_all ip netns exec "$peer" ping -n -q -f -c "$FLOOD" -W 5 "$V6"
	ok "$kind: $FLOOD pings as a flood, v4 and v6, no loss"

	wait_until 10 has_at_least "$((FLOOD + 3))" "$seen" 'icmp6 and ip6[40] == 129' || true
	sleep 0.3 # the monitor writes what it has
	end INT "$dump_pid"
	expect_equal "exit status of ixy-dump" "$LAST_STATUS" 0
	end INT "$tcpdump_pid"
	undamaged "$captured"
	requests_and_replies "$captured"
	ok "$kind: the capture has every request and every reply, with right checksums"
	contents "$seen" >"$TEST_DIR/wire.txt"
	contents "$captured" >"$TEST_DIR/captured.txt"
	expect_equal "the number of echo frames on the wire" "$(wc -l <"$TEST_DIR/wire.txt")" \
		"$((4 * (FLOOD + 3)))"
	cmp -s "$TEST_DIR/wire.txt" "$TEST_DIR/captured.txt" ||
		fail "capture and wire differ: $(diff "$TEST_DIR/wire.txt" "$TEST_DIR/captured.txt" | head -4)"
	ok "$kind: the capture is, byte for byte, what tcpdump saw at the other end of the cable"

	expect_ok ctl show pool
	end TERM "$echo_pid"
	wait_until 10 attached 0 || fail "the clients are still shown"
	expect_whole_pool "after all clients left"
	ok "$kind: the pool is whole after the clients left"
	end TERM "$SERVER_PID"
	expect_equal "exit status of the server" "$LAST_STATUS" 0
}

attached() {
	[ "$(stat_of server.clients)" = "$1" ]
}

# -- AF_XDP on a veth --------------------------------------------------------------------------------------
host='' peer='' stack='' # make_netns sets them
make_netns host
make_netns peer
make_veth "$host" port0 "$peer" eth0
ip -n "$peer" addr add 10.88.0.1/24 dev eth0
ip -n "$peer" addr add fd88::1/64 dev eth0 nodad
SERVER_NETNS=$host
ping_through xdp:port0 "$peer" eth0 :
ip netns exec "$host" ip link show port0 | grep -q 'xdp' && fail "the XDP program is still attached"
ok "xdp: the program left with the server"

# -- TAP: the kernel's own stack is the peer -----------------------------------------------------------------
make_netns stack
tap_up() {
	quiet_interface "$stack" tap0
	ip -n "$stack" addr add 10.88.0.1/24 dev tap0
	ip -n "$stack" addr add fd88::1/64 dev tap0 nodad
}
SERVER_NETNS=$stack
ping_through tap:tap0 "$stack" tap0 tap_up
