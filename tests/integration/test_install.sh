#!/bin/bash
# test_install.sh - what `cmake --install` puts in place is enough to build and run programs elsewhere
set -eu
# shellcheck source=tests/lib.sh
. "${IXY_SOURCE_DIR:-$(dirname "$0")/../..}/tests/lib.sh"
need_commands cmake gcc pkg-config readelf nm

root=$TEST_DIR/prefix
expect_ok cmake --install "$IXY_BUILD_DIR" --prefix "$root"

# -- the files ----------------------------------------------------------------------------------------
# one PATTERN - the only installed file of that name
one() {
	local found
	found=$(find "$root" -name "$1" -not -type d)
	[ -n "$found" ] || fail "$1 is not installed"
	[ "$(wc -l <<<"$found")" = 1 ] || fail "$1 is installed more than once: $found"
	echo "$found"
}
for name in ixy-server ixyctl ixy-dump libixy-client.so libixy-client.a libixy-client.pc; do
	one "$name" >/dev/null
done
for header in client abi ring version; do
	[ -f "$root/include/ixy/$header.h" ] || fail "include/ixy/$header.h is not installed"
done
libdir=$(dirname "$(one libixy-client.so)")
ok "server, tools, both libraries, headers and pkg-config file are installed"

# -- what they depend on --------------------------------------------------------------------------------
# needed FILE - names of the shared libraries, without version
needed() {
	readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\.so.*\]/\1/p' | grep -v '^ld-linux' | sort -u |
		paste -sd ' '
}
if ! is_sanitized; then
	expect_equal "what libixy-client.so needs" "$(needed "$libdir/libixy-client.so")" "libc"
	expect_equal "what ixy-server needs" "$(needed "$(one ixy-server)")" "libc liburcu-qsbr"
	! readelf -d "$(one ixy-server)" "$(one ixyctl)" | grep -Eq 'RUNPATH|RPATH' ||
		fail "an installed program has a run path into the build directory"
	ok "the client library needs libc alone, the server libc and liburcu"
fi
public=$(nm -g --defined-only "$libdir/libixy-client.a" | awk 'NF == 3 { print $3 }')
foreign=$(grep -Ev '^ixy_' <<<"$public" | grep -Ev '^(__odr_asan|_?_?asan)' || true)
[ -z "$foreign" ] || fail "libixy-client.a defines global names without ixy_: $foreign"
ok "libixy-client.a defines no global name without ixy_"

# -- programs outside the tree ------------------------------------------------------------------------------
mkdir "$TEST_DIR/outside"
cd "$TEST_DIR/outside"
cat >program.c <<'END'
#include <ixy/client.h>
#include <stdio.h>
#include <string.h>

/* a program's own function of a name that the library uses inside */
int message_init(void);
int message_init(void)
{
	return 7;
}

int main(int argc, char **argv)
{
	struct ixy_attach_opts opts = IXY_ATTACH_OPTS_INIT;
	struct ixy_desc descs[8];
	struct ixy_client *client;
	struct ixy_qp *qp;
	char why[256] = "";
	int n;

	opts.error = why;
	opts.error_bytes = sizeof(why);
	if (argc != 2 || ixy_attach(argv[1], &opts, &client) < 0) {
		fprintf(stderr, "cannot attach: %s\n", why);
		return 1;
	}
	qp = ixy_queue_pair(client, 0);
	if (ixy_wait(qp, IXY_WAKE_RX, 5000) != IXY_WAKE_RX)
		return 2;
	n = ixy_rx_batch(qp, descs, 8);
	if (n < 1 || memcmp((const char *)ixy_data(qp, &descs[0]) + 12, "\x08\x00", 2) != 0)
		return 3;
	ixy_free_batch(qp, descs, (unsigned int)n);
	ixy_detach(client);
	printf("version %s, frames %s, own function %d\n", IXY_VERSION_STRING, n > 0 ? "yes" : "no",
	       message_init());
	return 0;
}
END
cp program.c program.cc

PKG_CONFIG_PATH=$(dirname "$(one libixy-client.pc)")
export PKG_CONFIG_PATH
read -ra cflags <<<"$(pkg-config --cflags libixy-client)"
read -ra libs <<<"$(pkg-config --libs libixy-client)"
read -ra static_libs <<<"$(pkg-config --libs --static libixy-client)"
sanitizer=()
case $(sed -n 's/^CMAKE_BUILD_TYPE:[^=]*=//p' "$IXY_BUILD_DIR/CMakeCache.txt") in
ASan) sanitizer=("-fsanitize=address,undefined") ;;
TSan) sanitizer=(-fsanitize=thread) ;;
esac
# a sanitizer's runtime is the compiler's own
CC=$(sed -n 's/^CMAKE_C_COMPILER:[^=]*=//p' "$IXY_BUILD_DIR/CMakeCache.txt")

start_server --name main --port p0=null:rate=1000 --bufs 1024 --hugepages none

# builds_and_runs WHAT COMPILER... - compiles to ./program, runs it; with LD_LIBRARY_PATH, as README.md has it
# for a prefix of one's own. What it has for /usr/local is tried by test_install_user.sh.
builds_and_runs() {
	local what=$1 out
	shift
	rm -f program
	expect_ok "$@" "${sanitizer[@]}" -o program
	out=$(LD_LIBRARY_PATH=$libdir ./program main 2>&1) || fail "$what: the program says: $out"
	grep -q 'frames yes, own function 7' <<<"$out" || fail "$what: the program says: $out"
	ok "a program built outside the tree receives frames: $what"
}

C=("$CC" -std=c11 -Wall -Wextra -Werror -Wpedantic -O2 "${cflags[@]}")
builds_and_runs "C, shared" "${C[@]}" program.c "${libs[@]}"
readelf -d program | grep -q 'NEEDED.*libixy-client' || fail "the program is not linked shared"
builds_and_runs "C, against the archive" "${C[@]}" program.c "$libdir/libixy-client.a" -pthread
if [ ${#sanitizer[@]} = 0 ]; then
	builds_and_runs "C, all static" "${C[@]}" -static program.c "${static_libs[@]}"
fi
case $CC in
*clang*) CXX=clang++ ;;
*) CXX=g++ ;;
esac
if command -v "$CXX" >/dev/null; then
	for standard in c++11 c++20; do
		CPP=("$CXX" "-std=$standard" -Wall -Wextra -Werror -O2 "${cflags[@]}")
		builds_and_runs "$standard, shared" "${CPP[@]}" program.cc "${libs[@]}"
		builds_and_runs "$standard, against the archive" "${CPP[@]}" program.cc \
			"$libdir/libixy-client.a" -pthread
	done
else
	echo "not tested: C++, since there is no $CXX"
fi

# -- the installed programs -----------------------------------------------------------------------------------
for name in ixy-server ixyctl ixy-dump; do
	out=$(env -u LD_LIBRARY_PATH "$(one "$name")" --version 2>&1) || fail "$name --version: $out"
done
ok "the installed programs run"

# -- a build without checks ------------------------------------------------------------------------------
cmake -S "$IXY_SOURCE_DIR" -B "$TEST_DIR/unchecked" -DIXY_UNCHECKED=ON -DIXY_BUILD_TESTS=OFF \
	-DIXY_BUILD_EXAMPLES=OFF >"$TEST_DIR/unchecked.log" 2>&1 || fail "cmake -DIXY_UNCHECKED=ON fails"
if cmake --install "$TEST_DIR/unchecked" --prefix "$TEST_DIR/never" >"$TEST_DIR/unchecked.log" 2>&1; then
	fail "a build that checks nothing can be installed"
fi
tr '\n' ' ' <"$TEST_DIR/unchecked.log" | grep -Eq 'IXY_UNCHECKED=ON: its server checks +nothing' ||
	fail "the refusal does not say why"
[ ! -e "$TEST_DIR/never" ] || fail "some of it was installed"
ok "a build that checks nothing, for measuring, cannot be installed"
