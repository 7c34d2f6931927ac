#!/bin/bash
# test_captures.sh - real captures through a pcap port, a client and back into a file, byte for byte
#
# The captures are nobody's here (tcpdump's test suite, many malformed on purpose). 32 files at a time
# are the ports of one server; a client sends each frame back to its port, in place.
set -eu
# shellcheck source=tests/lib.sh
. "${IXY_SOURCE_DIR:-$(dirname "$0")/../..}/tests/lib.sh"
HERE=$IXY_SOURCE_DIR/tests/integration
REFLECT=$IXY_BUILD_DIR/tests/integration/reflect
CAPTURES=${IXY_CAPTURES:-$IXY_SOURCE_DIR/../shared/captures}
need_programs "$SERVER" "$IXYCTL" "$REFLECT"
[ -d "$CAPTURES" ] || skip "there are no captures at $CAPTURES"
# Debian's python3-scapy belongs to Debian's python3, which need not be the first one in the path
PYTHON=/usr/bin/python3
"$PYTHON" -c 'import scapy.utils' 2>/dev/null || skip "needs python3-scapy"

BUF_BYTES=4096
MAX_FRAME=$((BUF_BYTES - 256)) # the headroom
AT_ONCE=32

# All that the ports received came back, and it has not become more since the last look.
seen=-1
all_through() {
	local now
	now=$(ctl stats --json --interval 0 | python3 -c '
import json, sys
ports = [p["counters"] for p in json.load(sys.stdin)["ports"]]
rx, tx = (sum(p.get(k, 0) for p in ports) for k in ("rx_packets", "tx_packets"))
print(rx if rx == tx and rx > 0 else -2)')
	[ "$now" = "$seen" ] && return 0
	seen=$now
	return 1
}

# replay MODE FILE... - through one server
replay() {
	local mode=$1 i=0 file ports=() pairs=()
	shift
	rm -rf "$TEST_DIR/out"
	mkdir "$TEST_DIR/out"
	for file in "$@"; do
		ports+=(--port "p$i=pcap:$file,out=$TEST_DIR/out/$i.pcap")
		pairs+=("$file" "$TEST_DIR/out/$i.pcap")
		i=$((i + 1))
	done
	start_server --name main --hugepages none --buf-size "$BUF_BYTES" --bufs 8192 "${ports[@]}"
	start reflect "$REFLECT" main "$mode"
	seen=-1
	wait_until 60 all_through || fail "not everything came back: $(ctl stats)"
	expect_whole_pool "after the replay"
	end TERM "$SERVER_PID"
	expect_equal "the server's exit status" "$LAST_STATUS" 0
	"$PYTHON" "$HERE/captures_compare.py" "$MAX_FRAME" "${pairs[@]}" ||
		fail "what came back is not what was in the files"
}

mapfile -t files < <(find "$CAPTURES" -name '*.pcap' | sort)
[ "${#files[@]}" -gt 0 ] || fail "no captures in $CAPTURES"
for ((first = 0; first < ${#files[@]}; first += AT_ONCE)); do
	replay shared "${files[@]:first:AT_ONCE}"
done
ok "${#files[@]} captures came back through a shared client"
replay readonly "${files[@]:0:AT_ONCE}"
ok "$AT_ONCE captures came back through a read-only client's verdicts"
