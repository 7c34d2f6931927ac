#!/bin/bash
# run.sh - measures the service beside the bare ring, DPDK, memif and libxdp; see README.md
#
# Installs what is missing (with root), builds a Release tree of its own in build-bench/, makes sure
# that there are hugepages, and hands over to bench.py, which takes the samples.
set -eu

started=$EPOCHSECONDS
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source_dir=$(cd "$here/../.." && pwd)
build_dir=${IXY_BENCH_BUILD_DIR:-$source_dir/build-bench}

# the largest consumer is a server with 131,072 buffers; testpmd takes 64
huge_pages=${IXY_HUGEPAGES:-144}

# Scripts expect Debian's interpreter, whatever stands before it in the PATH
export PATH=/usr/bin:$PATH

case " $* " in
*" --help "* | *" -h "*)
	exec python3 "$here/bench.py" --help
	;;
esac

# shellcheck source=tests/setup.sh
. "$source_dir/tests/setup.sh"

need_commands cmake:cmake gcc:gcc pkg-config:pkg-config python3:python3
need_libraries liburcu-qsbr:liburcu-dev
# The peers are optional: what is missing is said, with the reason.
need_commands ip:iproute2 || true
if ! have_command dpdk-testpmd || ! pkg-config --exists libdpdk; then
	install_packages dpdk-dev libdpdk-dev librte-net-memif23 ||
		say "DPDK cannot be installed; its rows will be missing"
fi
need_libraries libxdp:libxdp-dev libbpf:libbpf-dev || say "the forwarder on libxdp will be missing"
reserve_hugepages "$huge_pages"
# a server with 1,000 clients has six descriptors for each
ulimit -n "$(ulimit -H -n)" 2>/dev/null || true

cmake -S "$here" -B "$build_dir" >/dev/null
cmake --build "$build_dir" -j "$(nproc)" >&2

exec python3 "$here/bench.py" --build-dir "$build_dir" --started "$started" "$@"
