#!/bin/bash
# test_privileges.sh - a running server has the privileges that server/README.md says, and no other, no
# matter who started it. Which system calls it may make is for unit_seccomp.
set -eu
# shellcheck source=tests/lib.sh
. "${IXY_SOURCE_DIR:-$(dirname "$0")/../..}/tests/lib.sh"
# shellcheck source=tests/status_lib.sh
. "$IXY_SOURCE_DIR/tests/status_lib.sh"
need_root
need_commands setpriv setcap python3
REFLECT=$IXY_BUILD_DIR/tests/integration/reflect
need_programs "$SERVER" "$IXYCTL" "$REFLECT"
give_to_users "$SERVER" "$REFLECT"
BECOMES=1 STAYS=2 OTHER=3
# an account that every Debian has, and that no process runs as
USER_NAME=games
USER_ID=$(id -u "$USER_NAME")
PORTS=(--port p0=null:rate=1000 --hugepages none --bufs 1024)
: >"$TEST_DIR/out.pcap"
chmod 666 "$TEST_DIR/out.pcap"
PORTS+=(--port "p1=pcap:none,out=$TEST_DIR/out.pcap")

# attach_once PREFIX... - a client comes, gets frames, goes: the server does what it does all day
attach_once() {
	start client "$@" "$TEST_DIR/bin/reflect" main
	wait_until 10 has_traffic || fail "a client gets nothing from the server"
	end KILL "$LAST_PID"
	expect_whole_pool "after the client was killed"
}

has_traffic() {
	[ "$(stat_of clients.0.counters.rx_packets)" -gt 0 ]
}

# stop - in order
stop() {
	end TERM "$SERVER_PID"
	expect_equal "exit status of the server" "$LAST_STATUS" 0
}

# start_as PREFIX... -- OPTION... - a server whose program is started by that prefix
start_as() {
	local prefix=()
	while [ "$1" != -- ]; do
		prefix+=("$1")
		shift
	done
	start server "${prefix[@]}" "$SERVER" --socket-dir "$IXY_SOCKET_DIR" --name main "${@:2}"
	SERVER_PID=$LAST_PID
	wait_until "$START_TIMEOUT_S" server_answers && ! is_gone "$SERVER_PID" ||
		fail "the server does not start: $*"
}

# -- root, becomes a user ---------------------------------------------------------------------------------
chown "$USER_NAME" "$IXY_SOCKET_DIR"
# with groups that it has to give up
start_as setpriv --groups 2,3 -- "${PORTS[@]}" --user "$USER_NAME"
attach_once "${AS_A[@]}"
expect_confined "$SERVER_PID" $BECOMES "$USER_ID"
expect_not_dumpable "$SERVER_PID"
stop
ok "--user: no capability but CAP_IPC_LOCK, no group, no new privileges, not dumpable, confined"

start_server --name main "${PORTS[@]}" --user "$USER_NAME" --on-violation kill
attach_once "${AS_A[@]}"
expect_confined "$SERVER_PID" $BECOMES "$USER_ID" --on-violation kill
expect_not_dumpable "$SERVER_PID"
stop
ok "--on-violation kill: CAP_KILL as well"
chown root "$IXY_SOCKET_DIR"

# -- root, stays root ---------------------------------------------------------------------------------------
# where there is a user ixy, that has to be somebody who is root
getent passwd ixy >/dev/null && STAY=(--user root) || STAY=()
start_server --name main "${PORTS[@]}" "${STAY[@]}"
attach_once "${AS_A[@]}"
expect_confined "$SERVER_PID" $STAYS 0
stop
start_server --name main "${PORTS[@]}" "${STAY[@]}" --on-violation kill
expect_confined "$SERVER_PID" $STAYS 0 --on-violation kill
stop
ok "a server that stays root gives up the same capabilities"

# -- somebody else --------------------------------------------------------------------------------------------
chown 61001 "$IXY_SOCKET_DIR"
AS_61001=(setpriv --reuid=61001 --regid=61001 --clear-groups)
SERVER=$TEST_DIR/bin/ixy-server
start_as "${AS_61001[@]}" -- "${PORTS[@]}"
attach_once
expect_confined "$SERVER_PID" $OTHER 61001
expect_not_dumpable "$SERVER_PID"
if is_sanitized; then
	grep -q 'warning:.*not confined.*sanitizer' "$TEST_DIR/server.log" ||
		fail "a sanitizer build does not say that it is not confined"
fi
stop
ok "a server of an ordinary user has none"

setcap cap_net_raw,cap_net_admin,cap_bpf+ep "$SERVER" || fail "setcap does not work in $TEST_DIR"
start_as "${AS_61001[@]}" -- "${PORTS[@]}" --no-seccomp
expect_confined "$SERVER_PID" $OTHER 61001 --no-seccomp
grep -q 'warning:.*--no-seccomp' "$TEST_DIR/server.log" || fail "--no-seccomp is not warned of"
attach_once
stop
ok "one whose program file has capabilities gives them up; --no-seccomp is warned of"
setcap -r "$SERVER"
