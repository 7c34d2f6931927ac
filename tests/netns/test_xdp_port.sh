#!/bin/bash
# test_xdp_port.sh - the xdp driver on veth pairs, without a server (port_exercise takes its place)
. "${IXY_SOURCE_DIR:?set it to the source tree}/tests/netns/netns_lib.sh"

# cable QUEUES [PEER_QUEUES] - a new veth pair: va in $NS for the port, vb in $PEER
cable() {
	local q=$1 p=${2-$1}
	ip -n "$NS" link del va 2>/dev/null
	ip -n "$NS" link add va numrxqueues "$q" numtxqueues "$q" type veth \
		peer name vb numrxqueues "$p" numtxqueues "$p" netns "$PEER" || return 1
	# veth leaves checksums of the peer's frames to a device that is not there
	in_ns "$PEER" ethtool -K vb tx off >/dev/null
	ip -n "$NS" link set va up
	ip -n "$PEER" link set vb up
}

program_on() {
	ip -n "$NS" link show "$1" | grep -o 'xdp[a-z]*' | head -1
}

native_program_echoes_frames() {
	cable 1 || return
	start --port a=xdp:va || return
	[ "$(program_on va)" = xdp ] || fail "no native XDP program"
	frames "$PEER" vb --count 40
	finish
	[ "$(value rx_packets '^a.0')" = 440 ] || fail "rx_packets"
	[ "$(value tx_packets '^a.0')" = 440 ] || fail "tx_packets"
	[ "$(value device)" = 1024 ] || fail "the device should have its 1024 buffers at the end"
}

generic_program_echoes_frames() {
	# veth has no native XDP where the peer can send on more queues than it receives on
	cable 1 2 || return
	start --port a=xdp:va || return
	[ "$(program_on va)" = xdpgeneric ] || fail "no generic XDP program"
	frames "$PEER" vb --count 40
}

macs_exchanged_by_the_worker_arrive_exchanged() {
	cable 1 || return
	start --port a=xdp:va --mode swap || return
	frames "$PEER" vb --swap
}

two_queues_both_carry_frames() {
	cable 2 || return
	start --port a=xdp:va || return
	frames "$PEER" vb --sizes 60,700 --count 200 --flows 64
	finish
	[ "$(value rx_packets '^a.0')" -gt 0 ] || fail "nothing on queue 0"
	[ "$(value rx_packets '^a.1')" -gt 0 ] || fail "nothing on queue 1"
	[ "$(value device)" = 2048 ] || fail "two queues hold 2048 buffers"
}

one_of_two_queues_is_said() {
	cable 2 || return
	start --port a=xdp:va,queues=1 || return
	grep -q 'the kernel keeps what arrives on 1 of the 2 queues of va' "$WORK/err" ||
		fail "no warning"
}

buffers_of_4096_bytes_carry_jumbo_frames() {
	cable 1 || return
	ip -n "$NS" link set va mtu 3000
	ip -n "$PEER" link set vb mtu 3000
	start --port a=xdp:va --buf-size 4096 --mode swap || return
	frames "$PEER" vb --sizes 60,1514,2500,3014 --swap
	finish
	[ "$(value max_frame '^port a')" = 3018 ] || fail "max_frame"
}

hugepages_carry_frames() {
	local free
	free=$(awk '/HugePages_Free/ {print $2}' /proc/meminfo)
	[ "${free:-0}" -ge 16 ] || { echo "     (needs 16 hugepages, left out)"; return 0; }
	cable 1 || return
	start --port a=xdp:va --hugepages --mode swap || return
	frames "$PEER" vb --swap
}

frame_longer_than_a_buffer_is_counted() {
	cable 1 || return
	ip -n "$NS" link set va mtu 3000
	ip -n "$PEER" link set vb mtu 3000
	start --port a=xdp:va || return
	grep -q 'ip link set dev va mtu 1774' "$WORK/err" || fail "no warning"
	frames "$PEER" vb --sizes 2500 --count 5 --want none --timeout 0.5
	frames "$PEER" vb --sizes 1792
	finish
	[ "$(value rx_too_long '^a.0')" = 5 ] || fail "rx_too_long"
	[ "$(value rx_no_buffer '^a.0')" = 0 ] || fail "rx_no_buffer"
}

empty_pool_does_not_stop_the_port() {
	cable 1 || return
	start --port a=xdp:va,desc=64 --free 0 || return
	# several times the ring, so that it must have been filled again
	frames "$PEER" vb --sizes 100 --count 32 --want none --timeout 0.2
	frames "$PEER" vb --sizes 100 --count 32 --want none --timeout 0.2
	frames "$PEER" vb --sizes 100 --count 32 --want none --timeout 0.2
	frames "$PEER" vb --sizes 100 --count 32 --want none --timeout 0.2
	kill -USR1 $PID
	sleep 0.1
	frames "$PEER" vb --count 20
	finish
	[ "$(value rx_no_buffer '^a.0')" = 128 ] || fail "rx_no_buffer"
}

# limited MIB - a prefix that lets a command lock so many MiB of memory
limited() {
	echo "prlimit --memlock=$(($1 << 20)) setpriv --bounding-set -ipc_lock --inh-caps -ipc_lock"
}

# two_cables - a second pair, vc and vd
two_cables() {
	cable 1 || return
	ip -n "$NS" link del vc 2>/dev/null
	ip -n "$NS" link add vc type veth peer name vd netns "$PEER" || return
	ip -n "$NS" link set vc up
	ip -n "$PEER" link set vd up
}

two_ports_forward() {
	two_cables || return
	start --port a=xdp:va --port c=xdp:vc --mode forward || return
	frames "$PEER" vb --receive-on vd
	frames "$PEER" vd --receive-on vb
	finish
	[ "$(value device)" = 2048 ] || fail "two ports hold 2048 buffers"
}

two_ports_lock_the_pool_once() {
	two_cables || return
	# 3072 buffers are 6 MiB: enough may be locked to register them once, not twice
	local AS="$(limited 7)"
	start --port a=xdp:va --port c=xdp:vc --mode forward --bufs 3072 || return
	frames "$PEER" vb --receive-on vd
}

locked_memory_limit_is_explained() {
	cable 1 || return
	local AS="$(limited 2)"
	refused "ulimit -l unlimited" --port a=xdp:va
}

killed_server_leaves_no_program_and_can_restart() {
	cable 1 || return
	start --port a=xdp:va || return
	end KILL $PID
	PID=
	[ -z "$(program_on va)" ] || fail "the XDP program is still attached"
	[ "$(promiscuity)" = 0 ] || fail "still promiscuous"
	start --port a=xdp:va || return
	frames "$PEER" vb
}

promiscuity() {
	ip -n "$NS" -d link show va | grep -o 'promiscuity [0-9]*' | cut -d' ' -f2
}

port_is_promiscuous_unless_told() {
	cable 1 || return
	start --port a=xdp:va || return
	[ "$(promiscuity)" = 1 ] || fail "not promiscuous"
	finish
	[ "$(promiscuity)" = 0 ] || fail "still promiscuous"
	start --port a=xdp:va,promisc=0 || return
	[ "$(promiscuity)" = 0 ] || fail "promiscuous in spite of promisc=0"
}

check_changes_nothing() {
	cable 1 || return
	ip -n "$NS" monitor link >"$WORK/monitor" 2>&1 &
	HELPERS+=($!)
	sleep 0.2
	start_check --port a=xdp:va || return
	grep -q 'plan a: va: AF_XDP on 1 of 1 queues' "$WORK/out" || fail "no plan"
	sleep 0.2
	[ ! -s "$WORK/monitor" ] || fail "something changed: $(cat "$WORK/monitor")"
}

start_check() {
	in_ns "$NS" "$EXERCISE" --mode check "$@" >"$WORK/out" 2>"$WORK/err" || fail "check $*"
}

sleeping_worker_is_woken_by_frames() {
	cable 1 || return
	start --port a=xdp:va --sleep || return
	frames "$PEER" vb --timeout 0.5 # it ticks once a second
	sleep 1
	finish
	[ "$(value sleeps)" -gt 3 ] || fail "it did not sleep"
	[ "$(value loops)" -lt 3000000 ] || fail "it polled all the time"
}

privileges_are_not_needed_after_open() {
	cable 1 || return
	start --port a=xdp:va --user 65534 || return
	frames "$PEER" vb
	ip -n "$NS" link set va down
	sleep 0.4
	finish
	[ "$(value link '^a.0')" = 0 ] || fail "the link is not looked at any more"
}

link_down_and_up_again_goes_on() {
	cable 1 || return
	start --port a=xdp:va || return
	frames "$PEER" vb
	ip -n "$NS" link set va down
	sleep 0.5
	ip -n "$NS" link set va up
	sleep 0.2
	frames "$PEER" vb
	ip -n "$PEER" link set vb down
	sleep 1.5 # the kernel tells of a lost carrier once a second (net/core/link_watch.c)
	finish
	[ "$(value failed '^a.0')" = 0 ] || fail "failed"
	[ "$(value link '^a.0')" = 0 ] || fail "link should be down"
}

sending_to_a_dead_link_gives_buffers_back() {
	cable 1 || return
	start --port a=xdp:va --mode flood || return
	sleep 0.3
	ip -n "$NS" link set va down
	sleep 0.5
	ip -n "$NS" link set va up
	sleep 0.3
	finish
	[ "$(value device)" = 1024 ] || fail "sent frames were not completed"
}

removed_interface_is_told_once() {
	cable 1 || return
	start --port a=xdp:va || return
	frames "$PEER" vb
	ip -n "$NS" link del va
	sleep 1
	kill -0 $PID || fail "it died"
	finish
	[ "$(value failed '^a.0')" = 1 ] || fail "not failed"
	[ "$(grep -c 'interface va is gone' "$WORK/err")" = 1 ] || fail "not told once"
	[ "$(grep -c warning "$WORK/err")" = 1 ] || fail "more than one line"
}

removed_interface_while_sending_is_told_once() {
	cable 1 || return
	start --port a=xdp:va --mode flood || return
	sleep 0.3
	ip -n "$NS" link del va
	sleep 1
	finish
	[ "$(value failed '^a.0')" = 1 ] || fail "not failed"
	[ "$(grep -c warning "$WORK/err")" = 1 ] || fail "not one line"
}

missing_interface_is_refused() {
	cable 1 || return
	refused "there is no interface 'nowhere'; \`ip link show\` lists those that there are: lo" \
		--port a=xdp:nowhere
	refused "there is no interface 'a-name-that-is-too-long'" \
		--port a=xdp:a-name-that-is-too-long
}

interface_that_is_down_is_refused() {
	cable 1 || return
	ip -n "$NS" link set va down
	refused "run \`ip link set dev va up\`" --port a=xdp:va
}

too_many_queues_are_refused() {
	cable 2 || return
	refused "queues=3, but va has 2 receive queues" --port a=xdp:va,queues=3
}

unpaired_queues_are_refused() {
	ip -n "$NS" link del va 2>/dev/null
	ip -n "$NS" link add va numrxqueues 2 numtxqueues 1 type veth peer name vb netns "$PEER"
	ip -n "$NS" link set va up
	refused "ethtool -L va rx 1 tx 1" --port a=xdp:va
}

# squat QUEUE - another process takes a queue of va; its id is in $squatter
squat() {
	: >"$WORK/squatter"
	ip netns exec "$NS" python3 "$SOURCE/tests/netns/xsk_squatter.py" va "$1" >"$WORK/squatter" &
	squatter=$!
	HELPERS+=($squatter)
	wait_for ready "$WORK/squatter"
}

busy_queue_is_refused() {
	cable 2 || return
	squat 1 || return
	refused "its queue 1 is busy" --port a=xdp:va
	[ -z "$(program_on va)" ] || fail "the XDP program was left behind"
	end TERM $squatter
	start --port a=xdp:va || return
}

queue_that_becomes_free_is_waited_for() {
	cable 1 || return
	squat 0 || return
	(sleep 1; kill $squatter) &
	HELPERS+=($!)
	start --port a=xdp:va || return
	frames "$PEER" vb
}

attached_program_is_refused() {
	cable 1 || return
	start --port a=xdp:va || return
	cp "$WORK/out" "$WORK/first"
	refused "ip link set dev va xdp off" --port b=xdp:va --mode check
	refused "ip link set dev va xdp off" --port b=xdp:va
	cp "$WORK/first" "$WORK/out"
	frames "$PEER" vb
}

zerocopy_is_refused_where_there_is_none() {
	cable 1 || return
	refused "cannot do zero-copy AF_XDP" --port a=xdp:va,mode=zerocopy
	start --port a=xdp:va,mode=copy || return
	frames "$PEER" vb
}

odd_options_are_refused() {
	cable 1 || return
	refused "--buf-size 2048" --port a=xdp:va --buf-size 8192
	refused "desc=100 is not a power of two" --port a=xdp:va,desc=100
	refused "mode=fast: it is auto, zerocopy or copy" --port a=xdp:va,mode=fast
	refused "has no option 'speed'" --port a=xdp:va,speed=1
	refused "needs 1024 buffers, and only 512 are free" --port a=xdp:va --bufs 512
	refused "lo is not an Ethernet interface" --port a=xdp:lo
}

missing_privileges_are_explained() {
	cable 1 || return
	local AS="setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps -all"
	refused "setcap cap_net_raw,cap_net_admin,cap_bpf+ep" --port a=xdp:va
}

need ethtool setpriv prlimit
cable 1 || skip "the kernel has no veth"
in_ns "$NS" python3 -c 'import socket; socket.socket(44, socket.SOCK_RAW)' 2>/dev/null ||
	skip "the kernel has no AF_XDP sockets (CONFIG_XDP_SOCKETS)"
for test in ${TESTS:-native_program_echoes_frames generic_program_echoes_frames \
	macs_exchanged_by_the_worker_arrive_exchanged two_queues_both_carry_frames \
	one_of_two_queues_is_said buffers_of_4096_bytes_carry_jumbo_frames \
	hugepages_carry_frames frame_longer_than_a_buffer_is_counted \
	empty_pool_does_not_stop_the_port two_ports_forward two_ports_lock_the_pool_once \
	locked_memory_limit_is_explained killed_server_leaves_no_program_and_can_restart \
	port_is_promiscuous_unless_told check_changes_nothing \
	sleeping_worker_is_woken_by_frames privileges_are_not_needed_after_open link_down_and_up_again_goes_on \
	sending_to_a_dead_link_gives_buffers_back removed_interface_is_told_once \
	removed_interface_while_sending_is_told_once missing_interface_is_refused \
	interface_that_is_down_is_refused too_many_queues_are_refused unpaired_queues_are_refused \
	busy_queue_is_refused queue_that_becomes_free_is_waited_for attached_program_is_refused \
	zerocopy_is_refused_where_there_is_none odd_options_are_refused \
	missing_privileges_are_explained}; do
	run "$test"
done
done_testing
