#!/bin/bash
# test_install_user.sh - an install makes the system user ixy where it is one into the machine, and
# nowhere else; the installed server becomes this user; README.md's own commands install, build and uninstall
#
# Runs in a mount namespace with an /etc and a /usr/local of its own: the machine's users stay as they are.
set -eu
# shellcheck source=tests/lib.sh
. "${IXY_SOURCE_DIR:-$(dirname "$0")/../..}/tests/lib.sh"
need_root
need_commands cmake unshare mount mountpoint getent useradd systemd-sysusers systemd-analyze

if [ -z "${IXY_INSIDE:-}" ]; then
	unshare --mount true 2>/dev/null || skip "mount namespaces are not permitted"
	before=$(getent passwd ixy || true)
	status=0
	IXY_INSIDE=1 unshare --mount --propagation private "$0" || status=$?
	expect_equal "the machine's own user ixy" "$(getent passwd ixy || true)" "$before"
	exit "$status"
fi

# -- an /etc and a /usr/local of its own ----------------------------------------------------------------
mkdir "$TEST_DIR"/{etc,local,log,ldconfig}
cp -a /etc/. "$TEST_DIR/etc/"
mount --bind "$TEST_DIR/etc" /etc
mount --bind "$TEST_DIR/local" /usr/local
mount --bind "$TEST_DIR/log" /var/log # useradd keeps books there
[ ! -d /var/cache/ldconfig ] || mount --bind "$TEST_DIR/ldconfig" /var/cache/ldconfig
for dir in /etc /usr/local /var/log; do
	mountpoint -q "$dir" || fail "$dir is the machine's own"
done

forget_user() {
	sed -i '/^ixy:/d' /etc/passwd /etc/shadow /etc/group /etc/gshadow
	! getent passwd ixy >/dev/null || fail "there is a user ixy that is not in /etc/passwd"
}

# install_into DESTDIR PREFIX - its output is in $TEST_DIR/install.out
install_into() {
	DESTDIR=$1 cmake --install "$IXY_BUILD_DIR" --prefix "$2" >"$TEST_DIR/install.out" 2>&1
}

no_user() {
	! getent passwd ixy >/dev/null || fail "$1 made the user ixy"
	grep -q 'useradd --system' "$TEST_DIR/install.out" || fail "$1 does not say how to make the user"
}

# is_system_user - no password, shell or home, a group of its own, an id that no person gets
is_system_user() {
	local name password uid gid rest home shell
	IFS=: read -r name password uid gid rest home shell <<<"$(getent passwd ixy)"
	expect_equal "the name" "$name" ixy
	[ "$uid" -gt 0 ] && [ "$uid" -lt 1000 ] || fail "uid $uid is none of a system user"
	expect_equal "the group" "$(getent group "$gid" | cut -d : -f 1)" ixy
	expect_equal "the home" "$home" /
	[[ $shell == */nologin ]] || fail "the shell is $shell"
	expect_equal "where the password is" "$password" x
	password=$(sed -n 's/^ixy:\([^:]*\):.*/\1/p' /etc/shadow)
	[[ $password == [!*]* ]] || fail "the password is not locked: \"$password\""
}

# -- not this machine ---------------------------------------------------------------------------------------
forget_user
install_into "$TEST_DIR/dest" /usr || fail "install with DESTDIR: $(cat "$TEST_DIR/install.out")"
no_user "an install with DESTDIR"
[ -f "$TEST_DIR/dest/usr/lib/sysusers.d/ixy-server.conf" ] || fail "sysusers.d lacks a file"
ok "DESTDIR: no user is made here"
mkdir "$TEST_DIR/dest/etc"
expect_ok systemd-sysusers --root="$TEST_DIR/dest"
grep -q '^ixy:' "$TEST_DIR/dest/etc/passwd" || fail "systemd-sysusers does not make the user"
no_user "systemd-sysusers --root"
ok "DESTDIR: systemd-sysusers makes it there"
install_into "" "$TEST_DIR/private" || fail "install: $(cat "$TEST_DIR/install.out")"
no_user "an install under a private prefix"
ok "a private prefix: no user is made"

# -- this machine -------------------------------------------------------------------------------------------
install_into "" /usr/local || fail "install: $(cat "$TEST_DIR/install.out")"
is_system_user
ok "/usr/local: systemd-sysusers makes a system user without password, shell and home"
cp /etc/passwd "$TEST_DIR/passwd"
install_into "" /usr/local || fail "second install: $(cat "$TEST_DIR/install.out")"
cmp -s /etc/passwd "$TEST_DIR/passwd" || fail "the second install changes users"
ok "a second install leaves it as it is"

forget_user
mount --bind /dev/null "$(command -v systemd-sysusers)"
install_into "" /usr/local || fail "install: $(cat "$TEST_DIR/install.out")"
is_system_user
ok "without systemd-sysusers: useradd makes the same"

mv /etc/passwd "$TEST_DIR/with-user"
cp "$TEST_DIR/with-user" /etc/passwd
forget_user
mount --bind /dev/null "$(command -v useradd)"
! install_into "" /usr/local || fail "an install that could not make the user succeeds"
grep -q 'could not be made.*useradd' "$TEST_DIR/install.out" || fail "$(cat "$TEST_DIR/install.out")"
ok "without either: the install fails, and says what to do"

# -- the unit in server/README.md -----------------------------------------------------------------------------
sed -n '/^```ini$/,/^```$/p' "$IXY_SOURCE_DIR/server/README.md" | sed '1d;$d' >"$TEST_DIR/ixy-main.service"
grep -q '^Type=notify$' "$TEST_DIR/ixy-main.service" || fail "server/README.md has no unit"
out=$(systemd-analyze verify --man=no "$TEST_DIR/ixy-main.service" 2>&1) || fail "the unit in server/README.md: $out"
[ -z "$out" ] || fail "the unit in server/README.md: $out"
ok "systemd finds nothing wrong with the unit in server/README.md"

# -- and the server becomes it ---------------------------------------------------------------------------------
mv "$TEST_DIR/with-user" /etc/passwd
SERVER=/usr/local/sbin/ixy-server
IXY_SOCKET_DIR=$TEST_DIR/made-by-server
start_server --name main --port p0=null:rate=1000 --bufs 1024 --hugepages none
expect_equal "the server's user" "$(stat -c %U "/proc/$SERVER_PID")" ixy
expect_equal "the socket directory's owner" "$(stat -c %U "$IXY_SOCKET_DIR")" ixy
end TERM "$SERVER_PID"
expect_equal "exit status" "$LAST_STATUS" 0
expect_equal "what is left in the socket directory" "$(ls "$IXY_SOCKET_DIR")" ""
ok "the installed server becomes ixy"

# -- what README.md has a newcomer type ------------------------------------------------------------------------
# shellcheck disable=SC2016
{
	readme=$IXY_SOURCE_DIR/README.md
	install=$(grep -o 'cmake --install build.*' "$readme" | head -n 1)
	compile=$(grep -o 'cc x\.c $(pkg-config[^`]*' "$readme")
	uninstall=$(grep -o 'xargs rm < build[^`]*' "$readme")
}
if is_sanitized || ! grep -q '^CMAKE_INSTALL_PREFIX:PATH=/usr/local$' "$IXY_BUILD_DIR/CMakeCache.txt"; then
	echo "not tested: README.md's commands, which are for a plain build for /usr/local"
	exit 0
fi
need_commands cc pkg-config ldconfig
find /usr/local -mindepth 1 -delete
rm -f /etc/ld.so.cache # what it says of the machine's own /usr/local is of no help here
ldconfig
mkdir "$TEST_DIR/readme"
cd "$TEST_DIR/readme"
ln -s "$IXY_BUILD_DIR" build
sed -n '/^```c$/,/^```$/p' "$readme" | sed '1d;$d' >x.c
tidy=(env -u LD_LIBRARY_PATH -u PKG_CONFIG_PATH bash -e -c)
expect_ok "${tidy[@]}" "$install"
expect_ok "${tidy[@]}" "$compile -Wall -Wextra -Werror"
start_server --name main --port p0=null:rate=1000 --bufs 1024 --hugepages none
start program "${tidy[@]}" "exec ./a.out"
program_receives() {
	[ "$(stat_of clients.0.counters.rx_packets)" -gt 10 ]
}
wait_until 20 program_receives || fail "README.md's program does not run: $(cat "$TEST_DIR/program.log")"
program_pid=$LAST_PID
end TERM "$SERVER_PID"
wait_gone 10 "$program_pid" || fail "README.md's program goes on without a server"
expect_ok "${tidy[@]}" "$uninstall"
[ -z "$(find /usr/local -not -type d)" ] || fail "the uninstall leaves: $(find /usr/local -not -type d)"
ok "README.md's commands install, and build its program, which runs; and uninstall"
