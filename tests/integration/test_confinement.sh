#!/bin/bash
# test_confinement.sh - law 3 from inside: an unprivileged client turns everything that it is given, and
# everything that it can name, against the server and the other clients. No byte is written that is not
# its own, nothing is resized, punched out, sealed or re-owned, no process is read or traced.
set -eu
. "${IXY_SOURCE_DIR:-$(dirname "$0")/../..}/tests/lib.sh"

need_root
need_commands setpriv python3 unshare
MEMORY=$IXY_BUILD_DIR/tests/integration/confine_memory
PROCESS=$IXY_BUILD_DIR/tests/integration/confine_process
need_programs "$SERVER" "$IXYCTL" "$DUMP" "$MEMORY" "$PROCESS"
give_to_users "$SERVER" "$IXYCTL" "$DUMP" "$MEMORY" "$PROCESS"
BIN=$TEST_DIR/bin
SOCKET=$IXY_SOCKET_DIR/main.sock
SERVER_UID=61003 # no client has it, save where it is said
AS_SERVER=("${UNPRIVILEGED[@]}" --reuid="$SERVER_UID" --regid="$SERVER_UID")

# start_confining UID OPTION... - a server of this user; without frames, so that memory is still
start_confining() {
	local uid=$1 prefix=()
	shift
	[ "$uid" != 0 ] || set -- "$@" --user root # and not ixy, where that user exists
	chown "$uid:$uid" "$IXY_SOCKET_DIR"
	[ "$uid" = 0 ] || prefix=("${AS_SERVER[@]}")
	start server "${prefix[@]}" "$BIN/ixy-server" --socket-dir "$IXY_SOCKET_DIR" --name main \
		--socket-mode 0666 --bufs 1024 --port p0=pcap:none "$@"
	SERVER_PID=$LAST_PID
	log_says "$START_TIMEOUT_S" server ready
}

# marks_in_server - the server's memory files in which an attack left its mark, as root sees them
marks_in_server() {
	python3 - "/proc/$SERVER_PID/fd" <<'PYTHON'
import os, sys
seen = set()
for number in os.listdir(sys.argv[1]):
    path = os.path.join(sys.argv[1], number)
    name = os.readlink(path)
    if not name.startswith("/memfd:"):
        continue
    seen.add(name.split()[0].split(":")[1].split("-")[1])
    with open(path, "rb") as file:
        if b"CONFINEMENT-BROKEN" in file.read():
            print(name.split()[0])
missing = {"header", "pool", "state", "down", "up"} - seen
if missing:
    print("not found:", *missing)
PYTHON
}

# attack_memory MODE WHOSE-MARKS - the pool's, for a client that may write there; the marks that remain
attack_memory() {
	local mode=$1 allowed=$2 fifo=$TEST_DIR/go marks
	mkfifo "$fifo"
	start "memory-$mode" "${AS_A[@]}" bash -c "exec '$BIN/confine_memory' '$SOCKET' $mode <'$fifo'"
	local client=$LAST_PID
	exec 9>"$fifo"
	wait_until 60 has_line "^attacked" "$TEST_DIR/memory-$mode.log" || fail "$mode: no end of it"
	marks=$(marks_in_server | sort -u | tr '\n' ' ')
	exec 9>&-
	rm "$fifo"
	wait "$client" || fail "$mode: $(grep FAILED "$TEST_DIR/memory-$mode.log")"
	forget "$client"
	expect_equal "$mode: memory with marks" "${marks% }" "$allowed"
	grep -Eo '[0-9]+ attacks' "$TEST_DIR/memory-$mode.log" |
		awk -v mode="$mode" '{n += $1} END {print "     " mode ": " n " attacks"}'
	grep '^known: pool' "$TEST_DIR/memory-$mode.log" | sed 's/^known: /     as documented: /' || true
}

expect_answer() {
	is_gone "$SERVER_PID" && fail "the server died: $1"
	expect_ok timeout 10 "$IXYCTL" -n main show pool
	expect_whole_pool "$1"
	ok "$1"
}


attack_server() {
	local uid=$1 pages=$2
	start_confining "$uid" --hugepages "$pages"
	attack_memory readonly ""
	attack_memory shared "/memfd:ixy-pool-main"
	expect_answer "user $uid, pages $pages: memory, before and after MAPPED"
	expect_ok "${AS_A[@]}" "$BIN/confine_memory" "$SOCKET" seals
	expect_answer "user $uid, pages $pages: seals of the client's own"
	end TERM "$SERVER_PID"
	expect_equal "exit status" "$LAST_STATUS" 0
}

# -- the attacks themselves ------------------------------------------------------------------------
"${AS_A[@]}" "$BIN/confine_memory" self || fail "an attack does not work at all"
"${AS_A[@]}" "$BIN/confine_process" self || fail "an attack does not work at all"
ok "every attack succeeds where nothing forbids it"

# -- memory ----------------------------------------------------------------------------------------
attack_server $SERVER_UID none
attack_server 0 none
need_hugepages 2
attack_server $SERVER_UID 2M

# -- processes, and descriptors in other hands -----------------------------------------------------
start_confining $SERVER_UID --hugepages none
start victim "${AS_B[@]}" "$BIN/ixy-dump" -q -n main -p p0
victim=$LAST_PID
is_client() {
	ctl show clients | grep -Eq "$1"
}
wait_until 10 is_client "$victim" || fail "no second client"
"${AS_A[@]}" "$BIN/confine_process" "$SERVER_PID" "$victim" || fail "a process was not safe"
expect_answer "server and client, as processes of other users"

"${AS_A[@]}" "$BIN/confine_process" signals "$SERVER_PID" "$SOCKET" || fail "signals"
expect_answer "signals by way of a descriptor's owner"

mkdir -m 777 "$TEST_DIR/meet"
start take "${AS_B[@]}" "$BIN/confine_memory" take "$TEST_DIR/meet/socket"
taker=$LAST_PID
log_says 10 take listening
expect_ok "${AS_A[@]}" "$BIN/confine_memory" give "$TEST_DIR/meet/socket" "$SOCKET"
wait "$taker" || fail "another user: $(grep FAILED "$TEST_DIR/take.log")"
forget "$taker"
expect_answer "descriptors in the hands of another user"

# the library keeps other people's frames out of core files, and out of a child
mappings=$(awk '/^[0-9a-f]+-/ {name = $NF ? $0 : ""; shared = /memfd:ixy-/}
	/^VmFlags/ && shared {n++; if (!(/ dd/ && / dc/)) print "unmarked: " name} END {print n}' \
	"/proc/$victim/smaps")
expect_equal "mappings of a client without DONTDUMP and DONTFORK, and all of them" "$mappings" 4
ok "a client's mappings are in no core file and in no child"

# -- who is confined -------------------------------------------------------------------------------
# shown UID PREFIX... - what show clients says of a client that is started by this prefix
shown() {
	start "shown" "$@" "$BIN/ixy-dump" -q -n main -p p0
	local pid=$LAST_PID
	wait_until 10 is_client "\b$pid\b" || fail "$*: not attached"
	ctl show clients | grep -w "$pid" | grep -o unconfined || echo confined
	end INT "$pid"
}
expect_equal "another user's client" "$(shown "${AS_A[@]}")" confined
expect_equal "a client of the server's user" "$(shown "${AS_SERVER[@]}")" unconfined
expect_equal "root's client" "$(shown env)" unconfined
expect_equal "root of a user namespace" "$(shown "${AS_A[@]}" unshare -Ur)" confined
session=$(stat_of clients.0.session)
expect_fail "only root or the server" "${AS_A[@]}" unshare -Ur "$BIN/ixyctl" -n main kick "$session"
ok "who is confined, by the user that the kernel names"

# AddressSanitizer's leak checker needs a process that is dumpable
if ! grep -Eq '^CMAKE_BUILD_TYPE:[^=]*=ASan' "$IXY_BUILD_DIR/CMakeCache.txt"; then
	"${AS_SERVER[@]}" "$BIN/confine_process" same "$SERVER_PID" || fail "the server is dumpable"
	ok "the server, as a process of the same user"
fi

# -- the name --------------------------------------------------------------------------------------
refused() {
	! "${AS_A[@]}" "$@" 2>/dev/null || fail "not refused: $*"
}
refused rm -f "$SOCKET"
refused mv "$SOCKET" "$TEST_DIR/meet/"
refused ln -s /etc/passwd "$IXY_SOCKET_DIR/other.sock"
refused ln "$SOCKET" "$TEST_DIR/meet/hard"
refused touch "$IXY_SOCKET_DIR/other.lock"
refused chmod 600 "$SOCKET"
refused cat "$IXY_SOCKET_DIR/main.lock"
refused flock -n "$IXY_SOCKET_DIR/main.lock" true
expect_fail "cannot|permission" "${AS_A[@]}" "$BIN/ixy-server" --socket-dir "$IXY_SOCKET_DIR" \
	--name main --bufs 1024 --hugepages none --port p0=null:
expect_answer "socket and lock file"
end TERM "$SERVER_PID"
expect_equal "exit status" "$LAST_STATUS" 0
