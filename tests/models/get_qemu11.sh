#!/bin/sh
# get_qemu11.sh - fetches QEMU 11 (vfio-user-pci) beside the system's own QEMU, into a cache outside of the tree
#
# usage: get_qemu11.sh [--have]
#
# Prints the command that runs it. DEBIAN_MIRROR chooses the mirror, IXY_CACHE the directory; with --have nothing is
# fetched. Returns 1 with a reason on standard error where it cannot be had.
set -eu
cache=${IXY_CACHE:-${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}/ixy-server}
root=$cache/qemu11
mirror=${DEBIAN_MIRROR:-}

give_up() {
	echo "get_qemu11: $*" >&2
	exit 1
}

# fetch DIRECTORY LOG - a minimal Debian 13 in it, with QEMU of its backports
fetch() {
	sources=$1/etc/apt/sources.list
	# With no mirror named, debootstrap's own default is taken.
	# shellcheck disable=SC2086 # one word or none
	debootstrap --variant=minbase trixie "$1" $mirror >"$2" 2>&1 ||
		give_up "debootstrap failed, see $2; set DEBIAN_MIRROR to a mirror you can reach"
	# The chroot reaches the archive the way this machine does: same mirror, same proxy.
	backports=$(sed -n 's/^deb \([^ ]*\) trixie .*/deb \1 trixie-backports main/p' "$sources" | head -n 1)
	[ -n "$backports" ] || give_up "no line \"deb URL trixie ...\" in $sources, to make one for the backports of"
	echo "$backports" >"$1/etc/apt/sources.list.d/backports.list"
	apt-config dump | grep -i '^Acquire::.*proxy' >"$1/etc/apt/apt.conf.d/90this-machine" || true
	{ chroot "$1" apt-get update &&
		chroot "$1" apt-get install -y --no-install-recommends -t trixie-backports qemu-system-x86; } \
		>>"$2" 2>&1 || give_up "qemu-system-x86 was not installed, see $2"
	chroot "$1" apt-get clean
}

if [ ! -d "$root" ]; then
	[ "${1:-}" != --have ] || give_up "no QEMU 11 in $cache; run tests/models/get_qemu11.sh"
	[ "$(uname -m)" = x86_64 ] || give_up "this is for x86-64 machines only"
	[ "$(id -u)" = 0 ] || give_up "needs root once, for debootstrap: sudo IXY_CACHE=$cache $0"
	command -v debootstrap >/dev/null || apt-get install -y --no-install-recommends debootstrap >&2 ||
		give_up "debootstrap is missing; run: apt-get install debootstrap"
	mkdir -p "$cache"
	# Complete or absent: it gets its name when all is there, and a cut-off attempt is not continued.
	work=$(mktemp -d "$cache/qemu11.XXXXXX")
	trap 'rm -rf --one-file-system "$work"' EXIT
	chmod 755 "$work"
	fetch "$work" "$cache/qemu11.log"
	[ -x "$work/usr/bin/qemu-system-x86_64" ] || give_up "there is no qemu-system-x86_64 in the package"
	# somebody else may have been faster
	[ -d "$root" ] || mv -T "$work" "$root"
fi

lib=$root/usr/lib/x86_64-linux-gnu
# Its own modules, not those of the system's QEMU, which it would find first and refuse.
echo "env QEMU_MODULE_DIR=$lib/qemu $root/lib64/ld-linux-x86-64.so.2 --library-path $lib" \
	"$root/usr/bin/qemu-system-x86_64 -L $root/usr/share/qemu -L $root/usr/share/seabios"
