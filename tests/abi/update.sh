#!/bin/sh
# update.sh - writes offsets.txt and symbols.txt anew, after a change of the ABI that is meant
#
# First decide which version changes: include/ixy/abi.h says what a major and a minor one mean.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
IXY_SOURCE_DIR=$(cd "$here/../.." && pwd)
IXY_BUILD_DIR=${IXY_BUILD_DIR:-$IXY_SOURCE_DIR/build}
export IXY_SOURCE_DIR IXY_BUILD_DIR
cmake --build "$IXY_BUILD_DIR" --target unit_abi ixy-client
"$IXY_BUILD_DIR/tests/unit/unit_abi" --print-offsets >"$here/offsets.txt"
"$IXY_BUILD_DIR/tests/unit/unit_abi" --print-symbols >"$here/symbols.txt"
git -C "$here" --no-pager diff --stat -- .
