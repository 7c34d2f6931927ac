# netns_lib.sh - sourced by the tests of port drivers: namespaces, port_exercise, results
#
# Every interface lives in a namespace that the test makes; the machine's own are not touched.
# Processes are ended by the ids under which they were started.

SOURCE=${IXY_SOURCE_DIR:?set it to the source tree}
EXERCISE=${IXY_BUILD_DIR:?set it to the build tree}/tests/netns/port_exercise
NS=ixy$$ PEER=ixy$$p   # the port's namespace, and the other end of its cable
WORK=$(mktemp -d)
PID=                   # the port_exercise that runs
HELPERS=()             # other processes
failures=0

skip() {
	echo "SKIP: $*"
	exit 77
}

# end SIGNAL PID - only if it still is a child of ours: the id of one that has ended may be another's
end() {
	jobs -p | grep -qx "$2" || return
	kill "-$1" "$2" 2>/dev/null
	wait "$2" 2>/dev/null
}

cleanup() {
	local pid
	for pid in $PID "${HELPERS[@]}"; do
		end KILL "$pid"
	done
	ip netns del "$NS" 2>/dev/null
	ip netns del "$PEER" 2>/dev/null
	rm -rf "$WORK"
}

# need TOOL... - ends the test if it cannot run here; makes the two namespaces
need() {
	local tool
	[ "$(id -u)" = 0 ] || skip "needs root to make network namespaces"
	for tool in ip python3 "$@"; do
		command -v "$tool" >/dev/null || skip "$tool is not installed"
	done
	[ -x "$EXERCISE" ] || skip "$EXERCISE is not built"
	trap cleanup EXIT
	trap 'exit 1' INT TERM
	ip netns add "$NS" && ip netns add "$PEER" || skip "cannot make network namespaces"
	local ns
	for ns in "$NS" "$PEER"; do
		# no neighbour discovery among the frames that are counted
		in_ns "$ns" sh -c 'echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6' 2>/dev/null
		ip -n "$ns" link set lo up
	done
}

# in_ns NS COMMAND... - in the foreground; what runs beside the test is started with `ip netns exec`
# itself, so that $! is the program and not a subshell that runs this function
in_ns() {
	ip netns exec "$@"
}

fail() {
	echo "FAIL $current: $*"
	failures=$((failures + 1))
	return 1
}

# run NAME - runs the function NAME as a test, with nothing left running afterwards
run() {
	current=$1
	local before=$failures began=$SECONDS
	: >"$WORK/out" >"$WORK/err"
	"$current" || [ $failures -gt $before ] || fail "ended with status $?"
	[ -z "$PID" ] || finish
	if [ $failures = $before ]; then
		echo "ok   $current ($((SECONDS - began)) s)"
	else
		sed 's/^/     | /' "$WORK/out" "$WORK/err"
	fi
}

done_testing() {
	[ $failures = 0 ]
	exit
}

# wait_for TEXT FILE - until FILE has TEXT, ten seconds at most
wait_for() {
	local i
	for ((i = 0; i < 200; i++)); do
		grep -q -- "$1" "$2" 2>/dev/null && return 0
		sleep 0.05
	done
	fail "waited in vain for '$1'"
}

# start OPTION... - starts port_exercise in $NS and waits until its ports are open. AS is a prefix
# for the command (setpriv and the like).
start() {
	: >"$WORK/out" # here, or the loop below may see the last one's "ready"
	ip netns exec "$NS" ${AS-} "$EXERCISE" --seconds 60 "$@" >"$WORK/out" 2>"$WORK/err" &
	PID=$!
	local i
	for ((i = 0; i < 200; i++)); do
		grep -q '^ready' "$WORK/out" && return 0
		kill -0 $PID 2>/dev/null || break
		sleep 0.05
	done
	fail "port_exercise $* did not start"
}

# finish - ends it in order; what it printed is in $WORK/out, and has to be sound
finish() {
	end TERM $PID
	local status=$?
	PID=
	[ $status = 0 ] || fail "port_exercise ended with status $status"
}

# refused TEXT OPTION... - such a port must not open, for a reason that says TEXT
refused() {
	local text=$1 status
	shift
	ip netns exec "$NS" ${AS-} "$EXERCISE" --seconds 0.1 "$@" >"$WORK/out" 2>"$WORK/err"
	status=$?
	[ $status = 2 ] || fail "port_exercise $*: status $status, not 2" || return 1
	grep -qF -- "$text" "$WORK/err" || fail "the message does not say: $text"
}

# value KEY [LINE] - of the KEY=value items that port_exercise printed; LINE selects the line
value() {
	grep -- "${2:-.}" "$WORK/out" | grep -o "\b$1=[^ ]*" | tail -1 | cut -d= -f2
}

# frames NS OPTION... - frames.py there
frames() {
	local ns=$1
	shift
	in_ns "$ns" python3 "$SOURCE/tests/netns/frames.py" "$@" >>"$WORK/out" ||
		fail "frames.py $*"
}
