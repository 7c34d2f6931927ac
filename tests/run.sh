#!/bin/bash
# run.sh - installs what is missing, builds, and runs the tests through ctest
set -eu

source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=tests/setup.sh
. "$source_dir/tests/setup.sh"

usage() {
	cat <<'END'
usage: tests/run.sh [--asan | --tsan | --debug] [--clang] [-R REGEX] [LABEL...]

Builds and runs the tests with these labels (default: unit integration netns). Label fuzz runs
each fuzz target for IXY_FUZZ_SECONDS (10), with clang, in a tree of its own; label bench tries
the benchmark's script in build-bench/, and measures nothing.

  --asan    AddressSanitizer and UndefinedBehaviorSanitizer, in build-asan/
  --tsan    ThreadSanitizer, in build-tsan/
  --debug   without optimisation, in build-debug/       (default: Release, in build/)
  --clang   with clang instead of gcc, in build-clang/ and so on
  -R REGEX  only tests whose names match

IXY_BUILD_TYPE and IXY_BUILD_DIR choose the build type and the directory as well; IXY_HUGEPAGES is
the number of free hugepages (2 MiB) to make sure of (256); IXY_JOBS the number of tests that run
at a time (1: they share two cores with the servers they start).

example: tests/run.sh --asan unit integration
END
}

build_type=${IXY_BUILD_TYPE:-Release}
compiler=
filter=()
labels=()
while [ $# -gt 0 ]; do
	case $1 in
	--asan) build_type=ASan ;;
	--tsan) build_type=TSan ;;
	--debug) build_type=Debug ;;
	--clang) compiler=clang ;;
	-R)
		[ $# -ge 2 ] || { usage >&2; exit 2; }
		filter=(-R "$2")
		shift
		;;
	-h | --help)
		usage
		exit 0
		;;
	-*)
		echo "run.sh: unknown option $1" >&2
		usage >&2
		exit 2
		;;
	*) labels+=("$1") ;;
	esac
	shift
done
[ ${#labels[@]} -gt 0 ] || labels=(unit integration netns)

for label in "${labels[@]}"; do
	case $label in
	unit | integration | netns | vm) ;;
	fuzz | bench)
		if [ ${#labels[@]} -gt 1 ]; then
			echo "run.sh: $label is built apart: run it on its own" >&2
			exit 2
		fi
		;;
	*)
		echo "run.sh: unknown label $label; there are unit, integration, netns, vm, fuzz, bench" >&2
		exit 2
		;;
	esac
done

# -- what the machine needs ---------------------------------------------------------------------------
need_commands cmake:cmake make:make "${compiler:-gcc}:${compiler:-gcc}" pkg-config:pkg-config \
	python3:python3
need_libraries liburcu-qsbr:liburcu-dev
project_dir=$source_dir
suffix=${compiler:+-$compiler}
case $build_type in
Release) ;;
*) suffix=-$(tr '[:upper:]' '[:lower:]' <<<"$build_type")$suffix ;;
esac
if [ "${labels[0]}" = fuzz ]; then
	need_commands clang:clang
	project_dir=$source_dir/tests/fuzz
	compiler=clang
	suffix=-fuzz
elif [ "${labels[0]}" = bench ]; then
	need_python matplotlib:python3-matplotlib || say "plots will not be tried"
	project_dir=$source_dir/tests/bench
	build_type=Release
	suffix=-bench
else
	# a test that lacks one of these skips itself, so without root the rest can still run
	need_commands ip:iproute2 ping:iputils-ping iperf3:iperf3 tcpdump:tcpdump ethtool:ethtool \
		setpriv:util-linux sysctl:procps spin:spin \
		systemd-sysusers:systemd setcap:libcap2-bin || say "some tests will be skipped"
	need_python scapy:python3-scapy || say "some tests will be skipped"
	for label in "${labels[@]}"; do
		[ "$label" != vm ] || "$source_dir/tests/vm/setup" || say "guests will be skipped"
	done
	# guests have hugepages of their own
	[ "${labels[*]}" = vm ] || reserve_hugepages "${IXY_HUGEPAGES:-256}"
fi

# Scripts call python3 and expect Debian's packages: no other interpreter may stand in front.
if ! python3 -c 'import scapy' 2>/dev/null && /usr/bin/python3 -c 'import scapy' 2>/dev/null; then
	PATH=/usr/bin:$PATH
fi

# -- build and run ------------------------------------------------------------------------------------
build_dir=${IXY_BUILD_DIR:-$source_dir/build$suffix}
# CMake drops the chosen type when it meets another compiler in an old tree; so it is told every time
cmake -S "$project_dir" -B "$build_dir" -DCMAKE_BUILD_TYPE="$build_type" \
	${compiler:+-DCMAKE_C_COMPILER="$compiler"} >"$build_dir.log" 2>&1 || {
	cat "$build_dir.log" >&2
	exit 1
}
rm -f "$build_dir.log"
cmake --build "$build_dir" -j "$(nproc)" -- --no-print-directory

pattern=$(IFS='|' && echo "${labels[*]}")
exec ctest --test-dir "$build_dir" --output-on-failure --no-tests=error -j "${IXY_JOBS:-1}" \
	--output-junit "$build_dir/ctest.xml" -L "^($pattern)\$" "${filter[@]}"
