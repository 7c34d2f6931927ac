#!/bin/bash
# test_start_stop.sh - a server's life: one per name, ends in order, starts again after SIGKILL, and
# says what is wrong with a command line or a machine before it touches anything
set -eu
# shellcheck source=tests/lib.sh
. "${IXY_SOURCE_DIR:-$(dirname "$0")/../..}/tests/lib.sh"
need_programs "$SERVER" "$IXYCTL"

NULL_PORT=(--port p0=null:rate=1000)
# the smallest pool, and no hugepages: this test also runs where there are none, and without root
SMALL=(--bufs 1024 --hugepages none)

nothing_left() {
	local left
	left=$(ls -A "$IXY_SOCKET_DIR")
	[ -z "$left" ] || fail "$1 left behind in the socket directory: $left"
}

# -- in order -----------------------------------------------------------------------------------------
for signal in TERM INT; do
	start_server --name main "${NULL_PORT[@]}" "${SMALL[@]}"
	[ "$(grep -c ready "$TEST_DIR/server.log")" = 1 ] || fail "not exactly one ready line"
	ctl list | grep -Eq "^main +live +$SERVER_PID " || fail "ixyctl list does not show main as live"
	end "$signal" "$SERVER_PID"
	expect_equal "exit status after SIG$signal" "$LAST_STATUS" 0
	nothing_left "a server that was stopped with SIG$signal"
	ok "SIG$signal ends a server with status 0, and nothing stays"
done

# -- one server per name --------------------------------------------------------------------------------
start_server --name main "${NULL_PORT[@]}" "${SMALL[@]}"
first=$SERVER_PID
expect_fail "pid $first" timeout 10 "$SERVER" --name main "${NULL_PORT[@]}" "${SMALL[@]}" \
	--socket-dir "$IXY_SOCKET_DIR"
expect_fail "pid $first" "$SERVER" --check --name main "${NULL_PORT[@]}" "${SMALL[@]}" \
	--socket-dir "$IXY_SOCKET_DIR"
expect_ok ctl show ports
ok "a second server of the name refuses and says the first one's pid; the first goes on"

start_server --name other "${NULL_PORT[@]}" "${SMALL[@]}"
expect_ok "$IXYCTL" -n other show ports
expect_ok ctl show ports
end TERM "$SERVER_PID"
ok "a server of another name runs beside it"

# -- after SIGKILL ----------------------------------------------------------------------------------------
for _ in 1 2 3; do
	kill -KILL "$first"
	wait "$first" 2>/dev/null || true
	forget "$first"
	[ -S "$IXY_SOCKET_DIR/main.sock" ] || fail "SIGKILL left no socket: then this proves nothing"
	expect_fail "no server|refused|not running|stale|dead|left" ctl show ports
	if ctl list 2>&1 | grep -Eq '^main +live'; then
		fail "ixyctl list calls a dead server live"
	fi
	# at once: nobody cleans up in between
	start_server --name main "${NULL_PORT[@]}" "${SMALL[@]}"
	first=$SERVER_PID
	expect_ok ctl show pool
done
end TERM "$first"
expect_equal "exit status" "$LAST_STATUS" 0
nothing_left "a server that took over from a killed one"
ok "after SIGKILL the next start of the same name works, three times"

# -- the command line -------------------------------------------------------------------------------------
# refuses PATTERN OPTION... - for a start and for --check alike
refuses() {
	local pattern=$1
	shift
	expect_fail "$pattern" timeout 10 "$SERVER" --socket-dir "$IXY_SOCKET_DIR" "$@"
	expect_fail "$pattern" timeout 10 "$SERVER" --socket-dir "$IXY_SOCKET_DIR" --check "$@"
}
P=("${NULL_PORT[@]}" "${SMALL[@]}")
refuses "name" "${P[@]}"
refuses "port" --name main "${SMALL[@]}"
refuses "nonsense" --name main "${P[@]}" --nonsense
refuses "stray" --name main "${P[@]}" stray
refuses "letters" --name "a/b" "${P[@]}"
refuses "name" --name "" "${P[@]}"
refuses "name" --name "$(printf 'x%.0s' {1..40})" "${P[@]}"
refuses "bufs" --name main "${NULL_PORT[@]}" --bufs 0
refuses "bufs" --name main "${NULL_PORT[@]}" --bufs many
refuses "bufs" --name main "${NULL_PORT[@]}" --bufs -1
refuses "bufs" --name main "${NULL_PORT[@]}" --bufs 18446744073709551617
refuses "buf-size" --name main "${P[@]}" --buf-size 3000
refuses "buf-size" --name main "${P[@]}" --buf-size 4294969344
refuses "buf-size.*page" --name main "${P[@]}" --buf-size 8192
refuses "hugepages" --name main "${NULL_PORT[@]}" --hugepages 3M
refuses "cpus" --name main "${P[@]}" --cpus 99999
refuses "poll" --name main "${P[@]}" --poll sometimes
refuses "socket-mode" --name main "${P[@]}" --socket-mode 999
refuses "too long" --name main "${P[@]}" --socket-dir "/tmp/$(printf 'x%.0s' {1..120})"
refuses "p0" --name main "${P[@]}" "${NULL_PORT[@]}"
refuses "nosuch" --name main --port p0=nosuch:x "${SMALL[@]}"
refuses "null.*xdp|xdp.*null" --name main --port p0=nosuch:x "${SMALL[@]}"
refuses "NAME=DRIVER" --name main --port p0 "${SMALL[@]}"
refuses "colour" --name main --port p0=null:colour=blue "${SMALL[@]}"
refuses "rate" --name main --port p0=null:rate=fast "${SMALL[@]}"
refuses "size" --name main --port p0=null:size=1000000 "${SMALL[@]}"
refuses "twice" --name main --port p0=null:rate=1,rate=2 "${SMALL[@]}"
refuses "there-is-none" --name main --port p0=xdp:there-is-none "${SMALL[@]}"
refuses "there-is-none" --name main --port p0=pcap:/there-is-none.pcap "${SMALL[@]}"
nothing_left "a server that refused its command line"
ok "bad options and missing devices are refused by name, by a start and by --check"

# -- hugepages ----------------------------------------------------------------------------------------------
free=$(cat /sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages 2>/dev/null || echo 0)
too_many=$(((free + 100) * 1024))
refuses "nr_hugepages" --name main "${NULL_PORT[@]}" --hugepages 2M --bufs "$too_many"
nothing_left "a server without hugepages"
ok "too few hugepages: the message has the file that mends it"
start_server --name main "${P[@]}"
grep -Eqi 'warning.*page' "$TEST_DIR/server.log" || fail "no warning about ordinary pages"
end TERM "$SERVER_PID"
ok "ordinary pages work, with a warning"

# -- a service manager waits for it -----------------------------------------------------------------------------
start manager python3 -c 'if True:
	import os, socket, sys
	s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
	s.bind(sys.argv[1])
	os.chmod(sys.argv[1], 0o777)
	print("waits", flush=True)
	print(s.recv(100).decode(), flush=True)' "$TEST_DIR/notify"
log_says 20 manager '^waits$'
NOTIFY_SOCKET=$TEST_DIR/notify start_server --name main "${P[@]}"
log_says 20 manager '^READY=1$'
end TERM "$SERVER_PID"
ok "NOTIFY_SOCKET is told once clients can attach"

# -- --check touches nothing ----------------------------------------------------------------------------------
rmdir "$IXY_SOCKET_DIR"
out=$("$SERVER" --check --name main "${P[@]}" --socket-dir "$IXY_SOCKET_DIR" 2>&1)
[ ! -e "$IXY_SOCKET_DIR" ] || fail "--check made the socket directory"
for word in "main" "$IXY_SOCKET_DIR/main.sock" "p0"; do
	grep -qF -- "$word" <<<"$out" || fail "--check does not mention $word: $out"
done
mkdir -m 755 "$IXY_SOCKET_DIR"
ok "--check says what would happen and touches nothing"

# -- who may connect --------------------------------------------------------------------------------------------
if [ "$(id -u)" = 0 ]; then
	give_to_users "$IXYCTL" "$SERVER"
	chmod 755 "$IXY_SOCKET_DIR"
	start_server --name main "${P[@]}" --socket-mode 0600
	expect_fail "may not connect|permission" "${AS_A[@]}" "$TEST_DIR/bin/ixyctl" -n main show ports
	end TERM "$SERVER_PID"
	start_server --name main "${P[@]}" --socket-mode 0666
	expect_ok "${AS_A[@]}" "$TEST_DIR/bin/ixyctl" -n main show ports
	end TERM "$SERVER_PID"
	ok "--socket-mode decides who may connect"

	# a container's namespaces: whichever side cannot see the other's processes
	namespaces=(unshare --pid --fork --kill-child --mount-proc --net --ipc)
	if "${namespaces[@]}" true 2>/dev/null; then
		start_server --name main "${P[@]}"
		expect_ok "${namespaces[@]}" timeout 20 "$DUMP" -n main -c 3
		end TERM "$SERVER_PID"
		start inside "${namespaces[@]}" "$SERVER" --socket-dir "$IXY_SOCKET_DIR" --name main "${P[@]}"
		log_says 20 inside ready
		expect_ok timeout 20 "$DUMP" -n main -c 3
		expect_ok ctl show pool --verify
		end KILL "$LAST_PID"
		ok "client or server in pid, network and IPC namespaces of its own"
	fi

	# a user's own server, in a directory of its own
	install -d -m 700 -o 61001 -g 61001 "$TEST_DIR/runtime"
	start user-server "${AS_A[@]}" env XDG_RUNTIME_DIR="$TEST_DIR/runtime" \
		"$TEST_DIR/bin/ixy-server" --name mine "${P[@]}"
	log_says 20 user-server ready
	expect_ok "${AS_A[@]}" env -u IXY_SOCKET_DIR XDG_RUNTIME_DIR="$TEST_DIR/runtime" \
		"$TEST_DIR/bin/ixyctl" -n mine show pool
	end TERM "$LAST_PID"
	expect_equal "exit status" "$LAST_STATUS" 0
	ok "a user without privilege runs a server in \$XDG_RUNTIME_DIR/ixy"
fi

# -- --help and --version -----------------------------------------------------------------------------------------
for program in "$SERVER" "$IXYCTL" "$DUMP" "$EXAMPLES"/ixy-{hello,fwd,pktgen,echo}; do
	name=$(basename "$program")
	help=$("$program" --help) || fail "$name --help fails"
	[ "$(wc -l <<<"$help")" -le 25 ] || fail "$name --help does not fit a screen of 25 lines"
	[ "$(wc -L <<<"$help")" -le 100 ] || fail "$name --help has lines of more than 100 columns"
	grep -q "^example: $name" <<<"$help" || fail "$name --help shows no example"
	# on standard error, so that whoever reads the output of a pipe is not given a help text for frames
	out=$(expect_fail "help|usage" "$program" --nonsense) || fail "$name --nonsense: $out"
	[ -z "$("$program" --nonsense 2>/dev/null)" ] || fail "$name --nonsense speaks on standard output"
done
for words in "ixy-pktgen main" "ixy-echo main p0" "ixy-fwd main p0"; do
	expect_fail "^usage: ${words%% *}" "$EXAMPLES"/$words
done
version=$(sed -n 's/^#define IXY_VERSION_STRING "\(.*\)"/\1/p' "$IXY_SOURCE_DIR/include/ixy/version.h")
for program in "$SERVER" "$IXYCTL" "$DUMP"; do
	"$program" --version | grep -qF "$version" || fail "$(basename "$program") --version is wrong"
done
ok "every program's --help fits a screen and shows an example; unknown options are refused"

# -- options of ports: --help, the table in server/driver/README.md, and what the server takes ---------------
documented=$(awk -F'|' '/^## / { on = /^## Options/ } !on { next }
	$2 ~ /`/ { split($2, word, /[`:]/); driver = word[2] }
	match($3, /`[a-z]+=/) { print driver, substr($3, RSTART + 1, RLENGTH - 2) }' \
	"$IXY_SOURCE_DIR/server/driver/README.md" | sort)
in_help=$("$SERVER" --help | sed '1,/^drivers:/d' | grep -o '^  [a-z]*:.*' | while IFS=: read -r name rest; do
	grep -o '[a-z]*=' <<<"$rest" | sed "s/^/${name// /} /; s/=//"
done | sort)
expect_equal "the table of options" "$documented" "$in_help"
[ "$(wc -l <<<"$documented")" -ge 20 ] || fail "too few options were found: $documented"
while read -r driver key; do
	[ "$driver" != pci ] || continue # which options it has depends on the card
	arg=
	[ "$driver" = null ] || arg=there-is-none,
	refused=$("$SERVER" --check --name main --port "p=$driver:$arg$key=~" "${SMALL[@]}" 2>&1) || true
	grep -Eq 'port p: ' <<<"$refused" || fail "$driver: $key=~ is not refused as an option: $refused"
	! grep -q 'has no option' <<<"$refused" || fail "$driver has no option $key"
done <<<"$documented"
ok "--help and the documents name the options that ports have"

# -- options of ixyctl that a command would ignore ------------------------------------------------------------
start_server --name main "${P[@]}"
for words in "list --json" "show ports --json" "show clients --json" "doctor --json" \
	"show pool --verify --json" "list --verify" "show clients --verify" "stats --verify" \
	"list --interval 2" "show pool --interval 2"; do
	expect_fail "$(sed 's/.*\(--[a-z]*\).*/\1/' <<<"$words")" ctl $words
	[ -z "$(ctl $words 2>/dev/null)" ] || fail "ixyctl $words refuses, and answers"
done
for words in "stats --json --interval 0" "show pool --json" "show pool --verify" "stats --interval 0"; do
	expect_ok ctl $words
done
end TERM "$SERVER_PID"
ok "ixyctl refuses options that the command would ignore"
