#!/bin/bash
# run.sh - measures the service beside the bare ring and beside dpdk-testpmd with memif
#
# Installs what is missing (with root), builds a Release tree of its own in build-bench/, makes sure
# that there are hugepages, and hands over to bench.py, which takes the samples.
set -eu

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source_dir=$(cd "$here/../.." && pwd)
build_dir=${IXY_BENCH_BUILD_DIR:-$source_dir/build-bench}

# the largest consumer is testpmd: two processes of 32 pages each, beside a pool of 64 or less
huge_pages=${IXY_HUGEPAGES:-128}

case " $* " in
*" --help "* | *" -h "*)
	exec python3 "$here/bench.py" --help
	;;
esac

# shellcheck source=tests/setup.sh
. "$source_dir/tests/setup.sh"

need_commands cmake:cmake gcc:gcc pkg-config:pkg-config python3:python3
need_libraries liburcu-qsbr:liburcu-dev
# The peer is optional: without it the table says so.
if ! have_command dpdk-testpmd; then
	install_packages dpdk-dev librte-net-memif23 ||
		echo "run.sh: dpdk-testpmd cannot be installed; the peer's rows will be missing" >&2
fi
reserve_hugepages "$huge_pages"

cmake -S "$here" -B "$build_dir" >/dev/null
cmake --build "$build_dir" -j "$(nproc)" -- --no-print-directory >&2

exec python3 "$here/bench.py" --build-dir "$build_dir" "$@"
