#!/bin/sh
# make_user.sh DESTDIR PREFIX - the last step of an install: makes the system user ixy
#
# Only for an install into this machine. One into DESTDIR is for another one, and one under a prefix of
# its own is a private copy: neither may change who the users of this machine are.
set -eu
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
destdir=$1 prefix=$2
command="useradd --system --user-group --no-create-home --home-dir / --shell /usr/sbin/nologin ixy"

later() {
	echo "-- User ixy: not made, since $1. Servers that root starts become this user; make it with: $2"
	exit 0
}

[ -z "$destdir" ] || later "DESTDIR is set" "systemd-sysusers --root=$destdir, or: $command"
if id -u ixy >/dev/null 2>&1; then
	echo "-- User ixy: is there"
	exit 0
fi
case $prefix in
/ | /usr | /usr/local | /opt/*) ;;
*) later "$prefix is no prefix of the whole machine's" "$command" ;;
esac
[ "$(id -u)" = 0 ] || later "only root can" "$command"

if command -v systemd-sysusers >/dev/null 2>&1; then
	systemd-sysusers "${prefix%/}/lib/sysusers.d/ixy-server.conf" || true
elif command -v useradd >/dev/null 2>&1; then
	$command || true
fi
if ! id -u ixy >/dev/null 2>&1; then
	echo "The user ixy could not be made; everything else is installed. Make it with: $command" >&2
	exit 1
fi
echo "-- User ixy: made"
