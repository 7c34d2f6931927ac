# lib.sh - the words of a case's script in the guest (busybox sh); like tests/lib.sh, as far as there is one
#
# A script runs under set -eu. It ends well (RESULT ok), or with fail or skip and a reason.
# shellcheck shell=sh

. /etc/case.env # the cards, by name: wan=0000:00:10.0, wan_mac=...
export IXY_SOCKET_DIR=/run/ixy
mkdir -p -m 755 "$IXY_SOCKET_DIR"
exec 8</dev/ttyS1 9>/dev/ttyS1

say() {
	echo "vm: $*"
}

ok() {
	say "ok   $*"
}

fail() {
	echo "$*" | tr '\n' ' ' >/tmp/why
	exit 1
}

skip() {
	echo "$*" >/tmp/why
	exit 77
}

# outside WORD... - asks the runner to do something out there (vm_case.py has the words), and waits for it
outside() {
	local answer
	echo "$*" >&9
	read -r answer <&8 || fail "the outside went away"
	case $answer in
	ok*) say "outside: $*:${answer#ok}" ;;
	*) fail "outside: $*: $answer" ;;
	esac
}

# -- processes --------------------------------------------------------------------------------------

# wait_until SECONDS COMMAND... - until it succeeds; returns 1 when it never did
wait_until() {
	local end
	end=$(($(cut -d. -f1 /proc/uptime) + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(cut -d. -f1 /proc/uptime)" -lt "$end" ] || return 1
		usleep 50000
	done
}

is_gone() {
	! kill -0 "$1" 2>/dev/null || grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null
}

# start NAME COMMAND... - in the background, output in /tmp/NAME.log; sets LAST_PID
start() {
	local name=$1
	shift
	: >"/tmp/$name.log"
	"$@" </dev/null >"/tmp/$name.log" 2>&1 8<&- 9>&- &
	LAST_PID=$!
}

# log_says SECONDS NAME PATTERN
log_says() {
	wait_until "$1" grep -Eq -- "$3" "/tmp/$2.log" ||
		fail "$2 never said \"$3\" but: $(tail -n 5 "/tmp/$2.log")"
}

server_answers() {
	is_gone "$SERVER_PID" || grep -q ready /tmp/server.log
}

# start_server OPTION... - waits until it is ready; sets SERVER_PID
start_server() {
	start server ixy-server --name main "$@"
	SERVER_PID=$LAST_PID
	wait_until 40 server_answers || fail "the server is not ready after 40 s with: $*"
	! is_gone "$SERVER_PID" || fail "the server did not start: $(tail -n 3 /tmp/server.log)"
}

# stop_server - by SIGTERM; it has to end well
stop_server() {
	local status=0
	kill -TERM "$SERVER_PID"
	wait_until 20 is_gone "$SERVER_PID" || fail "the server does not end after SIGTERM"
	wait "$SERVER_PID" || status=$?
	[ "$status" = 0 ] || fail "the server ended with $status: $(tail -n 3 /tmp/server.log)"
}

# as_user COMMAND... - somebody without any privilege; a number, no account
as_user() {
	# by its path: this shell would take busybox's own
	exec /bin/setpriv --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs --reuid=61001 \
		--regid=61001 "$@"
}

# start_client NAME COMMAND... - unprivileged; waits until the server lists one more; sets CLIENT_PID
start_client() {
	local name=$1 wanted
	shift
	wanted=$(($(stat_of '^clients\.[0-9]*\.session=' | wc -l) + 1))
	start "$name" as_user "$@"
	CLIENT_PID=$LAST_PID
	wait_until 20 clients_are "$wanted" || fail "$name did not attach: $(tail -n 3 "/tmp/$name.log")"
}

# -- the server's own account of itself ---------------------------------------------------------------

ctl() {
	ixyctl -n main "$@"
}

# stats - everything that ixyctl stats says, a line "pool.0.free=16384" for each value
stats() {
	ctl stats --json --interval 0 | awk -f /lib/vm/json.awk
}

# stat_of PATTERN - the values whose line matches it, as in '^ports\.0\.counters\.rx_packets='
stat_of() {
	stats | sed -n "/$1/s/^[^=]*=//p"
}

clients_are() {
	[ "$(stat_of '^clients\.[0-9]*\.session=' | wc -l)" = "$1" ]
}

pool_is_whole() {
	ctl show pool --verify && [ "$(stat_of '^pool\.[0-9]*\.\(in_clients\|lent\)=' | sort -u)" = 0 ]
}

# expect_whole_pool WHEN - no client has a buffer, none is lost
expect_whole_pool() {
	wait_until 20 pool_is_whole || fail "buffers are missing $1: $(ctl show pool --verify 2>&1)"
	ok "the pool is whole $1"
}

# -- devices --------------------------------------------------------------------------------------------

# driver_of ADDRESS - the kernel's driver of a PCI device, or nothing
driver_of() {
	[ ! -e "/sys/bus/pci/devices/$1/driver" ] || basename "$(readlink -f "/sys/bus/pci/devices/$1/driver")"
}

# interface_of ADDRESS - the name of its network interface, while the kernel has it
interface_of() {
	ls "/sys/bus/pci/devices/$1/"virtio*/net 2>/dev/null | head -n 1
}

# bind_to ADDRESS DRIVER - takes it from the driver that it has
bind_to() {
	[ -z "$(driver_of "$1")" ] || echo "$1" >"/sys/bus/pci/devices/$1/driver/unbind"
	echo "$2" >"/sys/bus/pci/devices/$1/driver_override"
	echo "$1" >/sys/bus/pci/drivers_probe
	[ "$(driver_of "$1")" = "$2" ] || fail "$1 cannot be bound to $2"
}

# expect_given_back ADDRESS DRIVER - the card is the kernel driver's again, and writes to no memory of ours
expect_given_back() {
	[ "$(driver_of "$1")" = "$2" ] || fail "$1 is not $2's again: $(tail -n 3 /tmp/server.log)"
	ok "$1 is $2's again"
}

# bus_master ADDRESS - whether it may read and write memory by itself (command register, bit 2)
bus_master() {
	local command
	command=$(dd if="/sys/bus/pci/devices/$1/config" bs=1 skip=4 count=1 2>/dev/null | od -An -tu1 | tr -d ' ')
	[ $((command >> 2 & 1)) = 1 ]
}

kill_server() {
	kill -KILL "$SERVER_PID"
	wait_until 20 is_gone "$SERVER_PID" || fail "the server survived SIGKILL"
	# its first thread may be gone while others still hold the descriptors: not so once it is waited for
	wait "$SERVER_PID" || true
}
