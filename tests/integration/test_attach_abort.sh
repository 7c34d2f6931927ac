#!/bin/bash
# test_attach_abort.sh - whatever an unprivileged process does on the control socket and with the
# descriptors that it is given: the server lives, answers at once, and keeps nothing of it.
set -eu
. "${IXY_SOURCE_DIR:-$(dirname "$0")/../..}/tests/lib.sh"

need_root
need_commands setpriv python3
ABORT=$IXY_BUILD_DIR/tests/integration/attach_abort
need_programs "$SERVER" "$IXYCTL" "$ABORT"
give_to_users "$ABORT"
start_server --name main --hugepages none --socket-mode 0666 --port p0=null: \
	--port p1=null:rate=10

attack() {
	"${AS_A[@]}" "$TEST_DIR/bin/attach_abort" "$IXY_SOCKET_DIR/main.sock" "$@"
}

num_fds() {
	find "/proc/$SERVER_PID/fd" -type l | wc -l
}

is_as_before() {
	[ "$(num_fds)" -le "$fds_before" ] && [ "$(stat_of pool.0.reserved)" = 0 ]
}

# survived WHAT - alive, answering, and with nothing left of the attackers
survived() {
	is_gone "$SERVER_PID" && fail "the server died: $1"
	timeout 3 "$IXYCTL" -n main show pool >/dev/null || fail "the server does not answer: $1"
	expect_whole_pool "after: $1"
	wait_until 10 is_as_before || fail "descriptors or promises are left ($(num_fds) of \
$fds_before descriptors, $(stat_of pool.0.reserved) reserved): $1"
	ok "$1"
}

attack abort 1 || fail "the first round"
fds_before=$(num_fds)
attack abort 5 || fail "the handshake"
survived "a handshake that ends at any step, in any way"

attack garbage || fail "the server stopped answering"
survived "malformed and misplaced messages in every state"

attack readers
survived "more read-only pairs than there are places"

attack seals || fail "a client's seals bind others"
survived "a client that seals what it was given"

# whoever drops the last reference to the socket waits for a minute: it must not be the server
timeout 5 "${AS_A[@]}" "$TEST_DIR/bin/attach_abort" "$IXY_SOCKET_DIR/main.sock" linger || true
sleep 0.3
survived "descriptors sent where none belong"

end TERM "$SERVER_PID"
[ "$LAST_STATUS" = 0 ] || fail "the server ended with status $LAST_STATUS"
