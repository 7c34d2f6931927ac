#!/bin/bash
# test_confine_stall.sh - laws 4 to 6 from inside: an unprivileged client holds a lock of everything that
# it shares with the server, for as long as it likes. Neither worker nor control thread waits for it.
#
#	IXY_LONG=1   also a crowd of some hundred thousand waiters at one wake socket, about 10 s
set -eu
. "${IXY_SOURCE_DIR:-$(dirname "$0")/../..}/tests/lib.sh"

need_root
need_commands setpriv
STALL=$IXY_BUILD_DIR/tests/integration/confine_stall
need_programs "$SERVER" "$IXYCTL" "$STALL"
give_to_users "$STALL"
start_server --name main --hugepages none --socket-mode 0666 --port p0=null:rate=1000

attacks=(wake close doorbell inode)
[ -z "${IXY_LONG:-}" ] || attacks+=(crowd)
failed=0
for attack in "${attacks[@]}"; do
	status=0
	timeout 100 "${AS_A[@]}" "$TEST_DIR/bin/confine_stall" "$IXY_SOCKET_DIR/main.sock" "$attack" ||
		status=$?
	[ "$status" != 77 ] || skip "needs FUSE in a user namespace"
	[ "$status" -lt 2 ] || fail "$attack: the attack could not be made ($status)"
	failed=$((failed + status))
	is_gone "$SERVER_PID" && fail "the server died: $attack"
	expect_whole_pool "after: $attack"
done
[ "$failed" = 0 ] || fail "$failed of ${#attacks[@]} attacks made the server wait"
end TERM "$SERVER_PID"
expect_equal "exit status" "$LAST_STATUS" 0
