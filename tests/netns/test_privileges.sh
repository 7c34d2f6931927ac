#!/bin/bash
# test_privileges.sh - with xdp and tap ports, which need capabilities to open, a server keeps no more
# than with others, and its ports go on working: frames both ways, the link's state, a port that is lost
set -eu
# shellcheck source=tests/lib.sh
. "${IXY_SOURCE_DIR:-$(dirname "$0")/../..}/tests/lib.sh"
# shellcheck source=tests/status_lib.sh
. "$IXY_SOURCE_DIR/tests/status_lib.sh"
need_root
need_commands ip ping ethtool setpriv python3
need_programs "$SERVER" "$IXYCTL" "$EXAMPLES/ixy-echo"
give_to_users "$EXAMPLES/ixy-echo"
export LD_LIBRARY_PATH=$TEST_DIR/bin
install -m 755 "$IXY_BUILD_DIR"/client-lib/libixy-client.so* "$TEST_DIR/bin/"
BECOMES=1
USER_NAME=games

host='' peer='' # make_netns sets them
make_netns host
make_netns peer
make_veth "$host" port0 "$peer" eth0
ip -n "$peer" addr add 10.88.0.1/24 dev eth0
chown "$USER_NAME" "$IXY_SOCKET_DIR"
SERVER_NETNS=$host

# link_is PORT True/False - up, as the server's once-a-second look has found it
link_is() {
	[ "$(stat_of "ports.$1.link_up")" = "$2" ]
}

with_ports() {
	start_server --name main --bufs 4096 --hugepages none --user "$USER_NAME" \
		--port p0=xdp:port0 --port p1=tap:tap0 --port "p2=pcap:none,out=$TEST_DIR/out.pcap" "$@"
	quiet_interface "$host" tap0
	ip -n "$host" addr add 10.89.0.1/24 dev tap0
	expect_confined "$SERVER_PID" $BECOMES "$(id -u "$USER_NAME")" "$@"
	expect_not_dumpable "$SERVER_PID"
	ok "${*:-no option}: xdp, tap and pcap ports are open, and the capabilities for that are gone"

	start echo0 "${AS_A[@]}" "$TEST_DIR/bin/ixy-echo" -m 02:00:00:00:88:02 -a 10.88.0.2 main p0
	start echo1 "${AS_A[@]}" "$TEST_DIR/bin/ixy-echo" -m 02:00:00:00:89:02 -a 10.89.0.2 main p1
	wait_until 10 ip netns exec "$peer" ping -nqc 1 -W 1 10.88.0.2 || fail "xdp: nobody answers"
	wait_until 10 ip netns exec "$host" ping -nqc 1 -W 1 10.89.0.2 || fail "tap: nobody answers"
	ok "frames go both ways on both"

	ip -n "$peer" link set eth0 down
	wait_until 10 link_is 0 False || fail "xdp: the server does not notice that the link is down"
	ip -n "$peer" link set eth0 up
	wait_until 10 link_is 0 True || fail "xdp: the server does not notice that the link is up"
	ip -n "$host" link delete tap0
	log_says 10 server 'p1.*deleted'
	ok "a link that goes and comes, and an interface that is deleted, are noticed"
	end TERM "$SERVER_PID"
	expect_equal "exit status of the server" "$LAST_STATUS" 0
	ip netns exec "$host" ip link show port0 | grep -q xdp && fail "the XDP program is still attached"
	expect_equal "what is left in the socket directory" "$(ls "$IXY_SOCKET_DIR")" ""
	ok "it ends in order"
}

with_ports
with_ports --on-violation kill
