#!/bin/bash
# test_install_user.sh - an install makes the system user ixy where it is one into the machine, and
# nowhere else; the installed server becomes this user
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
mkdir "$TEST_DIR"/{etc,local,log}
cp -a /etc/. "$TEST_DIR/etc/"
mount --bind "$TEST_DIR/etc" /etc
mount --bind "$TEST_DIR/local" /usr/local
mount --bind "$TEST_DIR/log" /var/log # useradd keeps books there
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
