#!/bin/bash
# test_tap_port.sh - the tap driver, without a server (port_exercise takes its place)
. "${IXY_SOURCE_DIR:?set it to the source tree}/tests/netns/netns_lib.sh"

# The kernel's side of the TAP is in the port's namespace; frames.py sends into it from there.

frames_are_echoed() {
	start --port t=tap:tp0 || return
	frames "$NS" tp0 --count 20
	finish
	[ "$(value rx_packets '^t.0')" = 220 ] || fail "rx_packets"
	[ "$(value device)" = 0 ] || fail "a TAP holds no buffers"
	[ "$(value mac '^port t')" = 00:00:00:00:00:00 ] || fail "the port has no MAC of its own"
}

macs_exchanged_by_the_worker_arrive_exchanged() {
	start --port t=tap:tp0 --mode swap || return
	frames "$NS" tp0 --swap
}

sleeping_worker_is_woken_by_frames() {
	start --port t=tap:tp0 --sleep || return
	frames "$NS" tp0 --timeout 0.5 # it ticks once a second
	sleep 1
	finish
	[ "$(value sleeps)" -gt 3 ] || fail "it did not sleep"
	[ "$(value loops)" -lt 3000000 ] || fail "it polled all the time"
}

privileges_are_not_needed_after_open() {
	start --port t=tap:tp0 --user 65534 || return
	frames "$NS" tp0
}

two_taps_are_joined() {
	start --port t=tap:tp0 --port u=tap:tp1 --mode forward || return
	frames "$NS" tp0 --receive-on tp1
	frames "$NS" tp1 --receive-on tp0
}

tap_and_xdp_port_are_joined() {
	ip -n "$NS" link add va type veth peer name vb netns "$PEER" || return
	in_ns "$PEER" ethtool -K vb tx off >/dev/null
	ip -n "$NS" link set va up
	ip -n "$PEER" link set vb up
	start --port t=tap:tp0 --port x=xdp:va --mode echo || return
	frames "$NS" tp0
	frames "$PEER" vb
	ip -n "$NS" link del va
}

mtu_option_sets_the_mtu() {
	start --port t=tap:tp0,mtu=1000 || return
	ip -n "$NS" link show tp0 | grep -q 'mtu 1000' || fail "mtu"
	[ "$(value max_frame '^port t')" = 1018 ] || fail "max_frame"
	refused "that is mtu=1774" --port u=tap:tp1,mtu=1775
}

interface_of_its_own_goes_with_the_server() {
	start --port t=tap:tp0 || return
	ip -n "$NS" link show tp0 | grep -q '[<,]UP[,>]' || fail "not up"
	end KILL $PID
	PID=
	! ip -n "$NS" link show tp0 2>/dev/null || fail "tp0 is still there"
}

persistent_interface_of_a_user_needs_no_root() {
	local AS="setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps -all"
	ip -n "$NS" tuntap add dev tp2 mode tap user 65534
	refused "ip link set dev tp2 up" --port t=tap:tp2
	ip -n "$NS" link set tp2 up
	start --port t=tap:tp2 || return
	frames "$NS" tp2
	finish
	ip -n "$NS" link show tp2 >/dev/null || fail "tp2 is gone"
	ip -n "$NS" tuntap del dev tp2 mode tap
}

user_without_permission_is_told_the_command() {
	local AS="setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps -all"
	refused "ip tuntap add dev tp0 mode tap user \$USER" --port t=tap:tp0
}

frame_longer_than_a_buffer_is_counted() {
	ip -n "$NS" tuntap add dev tp2 mode tap
	ip -n "$NS" link set tp2 mtu 4000 up
	start --port t=tap:tp2 || return
	grep -q 'use mtu=1774' "$WORK/err" || fail "no warning"
	frames "$NS" tp2 --sizes 1793,2048,2500,4014 --count 3 --want none --timeout 0.3
	frames "$NS" tp2 --sizes 1792
	finish
	[ "$(value rx_too_long '^t.0')" = 12 ] || fail "rx_too_long"
	ip -n "$NS" tuntap del dev tp2 mode tap
}

empty_pool_does_not_stop_the_port() {
	start --port t=tap:tp0 --free 0 || return
	frames "$NS" tp0 --sizes 100 --count 100 --want none --timeout 0.5
	kill -USR1 $PID
	sleep 0.1
	frames "$NS" tp0
	finish
	[ "$(value rx_no_buffer '^t.0')" = 100 ] || fail "rx_no_buffer"
}

interface_that_is_down_drops_what_is_sent() {
	start --port t=tap:tp0,up=0 --mode flood || return
	sleep 0.3
	finish
	[ "$(value link '^t.0')" = 0 ] || fail "link should be down"
	[ "$(value tx_dropped '^t.0')" -gt 1000 ] || fail "tx_dropped"
	[ "$(value tx_dropped '^t.0')" = "$(value tx_packets '^t.0')" ] || fail "some were sent"
	[ "$(value failed '^t.0')" = 0 ] || fail "failed"
}

deleted_interface_is_told_once() {
	start --port t=tap:tp0 || return
	frames "$NS" tp0
	ip -n "$NS" link del tp0
	sleep 1.5
	kill -0 $PID || fail "it died"
	# a worker that sleeps on it would be woken for ever
	! ls -l /proc/$PID/fd | grep -q /dev/net/tun || fail "the descriptor is still open"
	finish
	[ "$(value failed '^t.0')" = 1 ] || fail "not failed"
	[ "$(value link '^t.0')" = 0 ] || fail "link should be down"
	[ "$(grep -c 'TAP interface was deleted' "$WORK/err")" = 1 ] || fail "not told once"
}

interface_in_use_is_refused() {
	start --port t=tap:tp0 || return
	cp "$WORK/out" "$WORK/first"
	refused "another process is attached to tp0" --port u=tap:tp0
	cp "$WORK/first" "$WORK/out"
	frames "$NS" tp0
}

other_kinds_of_interface_are_refused() {
	refused "interface lo exists and is not a TAP" --port t=tap:lo
	ip -n "$NS" tuntap add dev tp2 mode tun
	refused "tp2 is a TUN or has several queues" --port t=tap:tp2
	ip -n "$NS" tuntap del dev tp2 mode tun
}

odd_options_are_refused() {
	refused "cannot be the name of an interface" --port t=tap:a-name-that-is-too-long
	refused "cannot be the name of an interface" --port t=tap:tap%d
	refused "has no option 'queues'" --port t=tap:tp0,queues=2
	refused "up=2 is out of range" --port t=tap:tp0,up=2
}

check_creates_nothing() {
	in_ns "$NS" "$EXERCISE" --mode check --port t=tap:tp0 >"$WORK/out" || fail "check"
	grep -q 'plan t: creates the TAP interface tp0 and sets it up' "$WORK/out" || fail "no plan"
	! ip -n "$NS" link show tp0 2>/dev/null || fail "tp0 was created"
}

need ethtool setpriv
[ -c /dev/net/tun ] || skip "no /dev/net/tun"
for test in ${TESTS:-frames_are_echoed macs_exchanged_by_the_worker_arrive_exchanged \
	sleeping_worker_is_woken_by_frames privileges_are_not_needed_after_open two_taps_are_joined tap_and_xdp_port_are_joined \
	mtu_option_sets_the_mtu interface_of_its_own_goes_with_the_server \
	persistent_interface_of_a_user_needs_no_root user_without_permission_is_told_the_command \
	frame_longer_than_a_buffer_is_counted empty_pool_does_not_stop_the_port \
	interface_that_is_down_drops_what_is_sent deleted_interface_is_told_once \
	interface_in_use_is_refused other_kinds_of_interface_are_refused \
	odd_options_are_refused check_creates_nothing}; do
	run "$test"
done
done_testing
