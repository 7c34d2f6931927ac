# lib.sh - what the test scripts share: processes that are ended, namespaces that go away; sourced
#
#	#!/bin/bash
#	set -eu
#	. "${IXY_SOURCE_DIR:-$(dirname "$0")/../..}/tests/lib.sh"
#	need_root
#	start_server --name main --port p0=null:rate=1000
#	expect_ok "$IXYCTL" -n main show pool
#
# Everything lies in $TEST_DIR, which others may enter but not list, and which is gone afterwards.
# Whatever a script starts with start or start_server is ended when it exits, in whatever way.
# shellcheck shell=bash

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

IXY_SOURCE_DIR=${IXY_SOURCE_DIR:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)}
IXY_BUILD_DIR=${IXY_BUILD_DIR:-$IXY_SOURCE_DIR/build}
export IXY_SOURCE_DIR IXY_BUILD_DIR

SERVER=$IXY_BUILD_DIR/server/ixy-server
# shellcheck disable=SC2034 # for the scripts
{
	IXYCTL=$IXY_BUILD_DIR/client-lib/tools/ixyctl
	DUMP=$IXY_BUILD_DIR/client-lib/tools/ixy-dump
	EXAMPLES=$IXY_BUILD_DIR/examples
	# Two users that nobody has, as prefixes of a command; numbers, so that no account has to be made.
	UNPRIVILEGED=(setpriv --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs)
	AS_A=("${UNPRIVILEGED[@]}" --reuid=61001 --regid=61001)
	AS_B=("${UNPRIVILEGED[@]}" --reuid=61002 --regid=61002)
}

TEST_DIR=$(mktemp -d /tmp/ixy-test.XXXXXX)
chmod 711 "$TEST_DIR"
export IXY_SOCKET_DIR=$TEST_DIR/run
mkdir -m 755 "$IXY_SOCKET_DIR"

PIDS=()
NAMESPACES=()

# A failed start of a sanitized program takes longer than that of a plain one.
START_TIMEOUT_S=${IXY_START_TIMEOUT_S:-20}

say() {
	echo "$(basename "$0"): $*"
}

# show_logs - what the processes wrote, when it is of interest
show_logs() {
	local log
	for log in "$TEST_DIR"/*.log; do
		[ -s "$log" ] || continue
		echo "---- $(basename "$log")"
		tail -n 40 "$log"
	done
}

cleanup() {
	local status=$? pid namespace
	trap - EXIT
	trap '' INT TERM HUP
	set +e
	[ "$status" = 0 ] || [ "$status" = 77 ] || show_logs
	for pid in "${PIDS[@]}"; do
		kill -TERM "$pid" 2>/dev/null
	done
	for pid in "${PIDS[@]}"; do
		wait_gone 3 "$pid" || kill -KILL "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	done
	for namespace in "${NAMESPACES[@]}"; do
		ip netns delete "$namespace" 2>/dev/null
	done
	rm -rf "$TEST_DIR"
	exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# -- outcomes ---------------------------------------------------------------------------------------

# skip REASON - this machine cannot run the test; ctest shows it as skipped
skip() {
	echo "skipped: $*"
	exit 77
}

fail() {
	echo "FAILED: $*"
	exit 1
}

# ok WHAT - a line for each thing that was shown to hold
ok() {
	echo "ok   $*"
}

# expect_ok COMMAND... - must succeed; its output is shown if it does not
expect_ok() {
	local out
	if ! out=$("$@" 2>&1); then
		fail "\"$*\" failed and said: $out"
	fi
}

# expect_fail PATTERN COMMAND... - must fail, by itself, and say something that matches PATTERN
expect_fail() {
	local pattern=$1 out status=0
	shift
	out=$("$@" 2>&1) || status=$?
	[ "$status" != 0 ] || fail "\"$*\" succeeded; it said: $out"
	[ "$status" -lt 124 ] || fail "\"$*\" ended with status $status: $out"
	grep -Eqi -- "$pattern" <<<"$out" || fail "\"$*\" did not say \"$pattern\" but: $out"
}

# expect_equal WHAT GOT WANTED
expect_equal() {
	[ "$2" = "$3" ] || fail "$1 is \"$2\", not \"$3\""
}

# -- what the machine must have -----------------------------------------------------------------------

need_root() {
	[ "$(id -u)" = 0 ] || skip "needs root"
}

# need_one_worker - for numbers that are those of a pool in one part
need_one_worker() {
	[ "${IXY_TEST_WORKERS:-1}" = 1 ] || skip "its numbers are those of one worker"
}

# need_commands NAME...
need_commands() {
	local command
	for command in "$@"; do
		command -v "$command" >/dev/null 2>&1 || skip "needs the command $command"
	done
}

# need_programs PATH... - of the build
need_programs() {
	local program
	for program in "$@"; do
		[ -x "$program" ] || fail "$program has not been built"
	done
}

# need_hugepages N - of 2 MiB, free
need_hugepages() {
	local free
	free=$(cat /sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages 2>/dev/null || echo 0)
	[ "$free" -ge "$1" ] || skip "needs $1 free hugepages of 2 MiB, there are $free"
}

# is_sanitized - succeeds in an ASan or TSan build, where timing and memory mean little
is_sanitized() {
	grep -Eq '^CMAKE_BUILD_TYPE:[^=]*=(ASan|TSan)' "$IXY_BUILD_DIR/CMakeCache.txt"
}

# -- processes ----------------------------------------------------------------------------------------

# wait_until SECONDS COMMAND... - until the command succeeds; returns 1 when it never did
wait_until() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.05
	done
}

is_gone() {
	# a zombie is gone: only its parent, this shell, has not asked yet
	! kill -0 "$1" 2>/dev/null || grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null
}

# wait_gone SECONDS PID
wait_gone() {
	wait_until "$1" is_gone "$2"
}

# start NAME COMMAND... - in the background, output in $TEST_DIR/NAME.log; sets LAST_PID
start() {
	local name=$1
	shift
	# here, not in the background: nobody may find what an earlier process of this name said
	: >"$TEST_DIR/$name.log"
	"$@" </dev/null >"$TEST_DIR/$name.log" 2>&1 &
	LAST_PID=$!
	PIDS+=("$LAST_PID")
}

# forget PID - cleanup leaves it alone
forget() {
	local pid kept=()
	for pid in "${PIDS[@]}"; do
		[ "$pid" = "$1" ] || kept+=("$pid")
	done
	PIDS=("${kept[@]}")
}

# end SIGNAL PID - sends it, waits for the end; sets LAST_STATUS
# shellcheck disable=SC2034
end() {
	kill "-$1" "$2" 2>/dev/null || true
	wait_gone 15 "$2" || fail "process $2 does not end after SIG$1"
	LAST_STATUS=0
	wait "$2" 2>/dev/null || LAST_STATUS=$?
	forget "$2"
}

has_line() {
	grep -Eq -- "$1" "$2" 2>/dev/null
}

# log_says SECONDS NAME PATTERN - waits until the process started as NAME has said PATTERN
log_says() {
	wait_until "$1" has_line "$3" "$TEST_DIR/$2.log" || fail "$2 never said \"$3\""
}

server_answers() {
	is_gone "$SERVER_PID" || has_line ready "$TEST_DIR/server.log"
}

# start_server OPTION... - waits until it is ready; sets SERVER_PID. Runs in the network namespace
# $SERVER_NETNS if that is set. Its output is in $TEST_DIR/server.log. With IXY_TEST_WORKERS=N it gets
# that many workers, and as many times more buffers than the test asks for.
start_server() {
	local prefix=() i
	if [ -n "${IXY_TEST_WORKERS:-}" ]; then
		for ((i = 1; i < $#; i++)); do
			[ "${!i}" != --bufs ] ||
				set -- "${@:1:i}" "$((${*:i+1:1} * 2 * IXY_TEST_WORKERS))" "${@:i+2}"
		done
		set -- --workers "$IXY_TEST_WORKERS" "$@"
	fi
	[ -z "${SERVER_NETNS:-}" ] || prefix=(ip netns exec "$SERVER_NETNS")
	start server "${prefix[@]}" "$SERVER" --socket-dir "$IXY_SOCKET_DIR" "$@"
	SERVER_PID=$LAST_PID
	if ! wait_until "$START_TIMEOUT_S" server_answers || is_gone "$SERVER_PID"; then
		fail "the server did not start with: $*"
	fi
}

# give_to_users PROGRAM... - copies programs to where unprivileged users can run them, $TEST_DIR/bin
give_to_users() {
	install -d -m 755 "$TEST_DIR/bin"
	install -m 755 "$@" "$TEST_DIR/bin/"
}

# file_of UID NAME - an empty file in $TEST_DIR that this user may write; prints its path
file_of() {
	: >"$TEST_DIR/$2"
	chown "$1:$1" "$TEST_DIR/$2"
	echo "$TEST_DIR/$2"
}

# -- network namespaces -------------------------------------------------------------------------------

# make_netns VARIABLE - makes a namespace with loopback up, and puts its name into VARIABLE
make_netns() {
	local name=ixy-$$-$1
	ip netns add "$name"
	NAMESPACES+=("$name")
	ip -n "$name" link set lo up
	printf -v "$1" '%s' "$name"
}

# make_veth NS_A IF_A NS_B IF_B - a cable between two namespaces, both ends up. Offloads are off:
# a veth peer leaves checksums to hardware that is not there, and merges frames beyond the MTU.
# With IXY_TEST_QUEUES=N both ends have N queues.
make_veth() {
	local queues=(numrxqueues "${IXY_TEST_QUEUES:-1}" numtxqueues "${IXY_TEST_QUEUES:-1}")
	ip -n "$1" link add "$2" "${queues[@]}" type veth peer name "$4" "${queues[@]}" netns "$3"
	quiet_interface "$1" "$2"
	quiet_interface "$3" "$4"
}

# quiet_interface NS IF - up, without offloads, and without frames that nobody asked for
quiet_interface() {
	ip netns exec "$1" ethtool -K "$2" tx off rx off tso off gso off gro off >/dev/null 2>&1 || true
	ip netns exec "$1" sysctl -qw "net.ipv6.conf.$2.accept_dad=0" \
		"net.ipv6.conf.$2.router_solicitations=0" 2>/dev/null || true
	ip -n "$1" link set "$2" up
}

# -- the server's own account of itself -----------------------------------------------------------------

# ctl ARGUMENT... - ixyctl on the server called main
ctl() {
	"$IXYCTL" -n main "$@"
}

# stat_of PATH - one value of `ixyctl stats --json`, such as pool.0.free or clients.0.counters.rx_packets
stat_of() {
	ctl stats --json --interval 0 | python3 -c '
import json, sys
value = json.load(sys.stdin)
for key in sys.argv[1].split("."):
    value = value[int(key) if isinstance(value, list) else key]
print(value)' "$1"
}

# pool_is_whole - no client holds a buffer, none is lent, and the sum is right
pool_is_whole() {
	ctl stats --json --interval 0 | python3 -c '
import json, sys
for pool in json.load(sys.stdin)["pool"]:
    free, total = pool["free"] + pool["in_devices"] + pool["in_worker"], pool["total"]
    if not pool["sum_is_total"] or free != total or pool["in_clients"] or pool["lent"]:
        sys.exit(1)'
}

# expect_whole_pool WHEN - within a few seconds; the sum has to be right at any time
expect_whole_pool() {
	wait_until 10 pool_is_whole || fail "buffers are missing $1: $(ctl show pool 2>&1)"
	expect_ok ctl show pool
	expect_ok ctl show pool --verify
}
