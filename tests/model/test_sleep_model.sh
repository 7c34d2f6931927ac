#!/bin/bash
# test_sleep_model.sh - no wake-up is lost: spin proves it of the models, and refutes each broken one
#
#	test_sleep_model.sh		every state of the models, each mutant, liveness: a minute
#	IXY_LONG=1 test_sleep_model.sh	liveness with both directions at once as well: some minutes
#	test_sleep_model.sh trail MODEL [MUTANT]	prints the shortest way in which a mutant fails
set -eu

SOURCE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
MEMORY_MB=900
# shellcheck disable=SC2034 # both by their names
{
	MUTANTS_sleep="NO_FENCE_CLIENT NO_FENCE_WORKER NO_FENCE_WAIT NO_FENCE_WAKE NO_RECHECK_CLIENT
		NO_RECHECK_WORKER DRAIN_LATE FORGET_DEFERRED NO_DUE"
	MUTANTS_buffers="NO_FENCE_CLIENT NO_FENCE_WORKER NO_FENCE_WAIT NO_FENCE_WAKE NO_RECHECK_CLIENT
		NO_NAP NO_LOOK_STARVING"
	MUTANTS_mesh="NO_FENCE_WAKE NO_FENCE_SLEEP NO_RECHECK FORGET_SKIPPED FORGET_DEFERRED NO_DUE
		WAKE_FIRST DRAIN_LATE"
	MUTANTS_waker="NO_FENCE_KICK NO_FENCE_WAKER NO_RECHECK NO_COMPARE NO_CLEAR CLEAR_LATE NO_KICK"
}

if ! command -v spin >/dev/null 2>&1; then
	echo "skipped: needs the command spin (Debian package spin)"
	exit 77
fi
COMPILER=$(command -v cc || command -v gcc || command -v clang) || {
	echo "skipped: needs a C compiler"
	exit 77
}

WORK=$(mktemp -d /tmp/ixy-model.XXXXXX)
trap 'rm -rf "$WORK"' EXIT
cd "$WORK"
cp "$SOURCE"/*.pml .

failures=0

# verify MODEL DEFINES PAN-BUILD PAN-RUN - leaves $WORK/report; fails when it could not look at all
verify() {
	local model=$1 defines=$2 build=$3 run=$4
	rm -f pan pan.* ./*.trail
	# shellcheck disable=SC2086 # several words each
	if ! spin -a $defines "$model.pml" >spin.log 2>&1 || ! [ -f pan.c ]; then
		cat spin.log
		return 1
	fi
	# shellcheck disable=SC2086
	"$COMPILER" -w -DMEMLIM=$MEMORY_MB $build -o pan pan.c || return 1
	# shellcheck disable=SC2086
	./pan $run >report 2>&1 || true
	grep -q 'errors: ' report
}

# The search is worth something only if it was complete: nothing cut off, and no memory lacking.
complete() {
	! grep -Eq 'max search depth too small|Search not completed|out of memory|reached -DMEMLIM' report
}

# row MODEL VARIANT WANTED DEFINES PAN-BUILD PAN-RUN - WANTED: holds or refuted
row() {
	local model=$1 variant=$2 wanted=$3 got errors states begin=$EPOCHREALTIME ms
	got="no result"
	states=-
	if verify "$model" "$4" "$5" "$6"; then
		errors=$(sed -n 's/.*errors: \([0-9]*\).*/\1/p' report)
		states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' report | head -n 1)
		if [ "$errors" != 0 ]; then
			got=refuted
		elif complete; then
			got=holds
		fi
	fi
	ms=$(((${EPOCHREALTIME/./} - ${begin/./}) / 1000))
	printf '%-8s %-28s %-9s %12s %5d.%d s' "$model" "$variant" "$got" "$states" \
		$((ms / 1000)) $((ms % 1000 / 100))
	if [ "$got" = "$wanted" ]; then
		echo
	else
		echo "   FAILED: should be \"$wanted\""
		failures=$((failures + 1))
		grep -E '^pan|error|not completed' report | head -n 5 || true
	fi
}

SAFETY="-O2 -DSAFETY -DCOLLAPSE"
SHORTEST="-O1 -DSAFETY -DBFS"
LIVENESS="-O2 -DNFAIR=3 -DCOLLAPSE"

if [ "${1:-}" = trail ]; then
	verify "$2" "${3:+-D$3}" "$SHORTEST" ""
	ls ./*.trail >/dev/null 2>&1 || {
		echo "no way in which it fails"
		exit 0
	}
	# shellcheck disable=SC2086
	spin -t -p -g ${3:+-D$3} "$2.pml"
	exit 0
fi

printf '%-8s %-28s %-9s %12s %9s\n' model variant result states time
for model in sleep buffers mesh waker; do
	row $model complete holds "" "$SAFETY" -m1500000
	mutants=MUTANTS_$model
	for mutant in ${!mutants}; do
		row $model "$mutant" refuted "-D$mutant" "$SHORTEST" ""
	done
done
row buffers NO_ANNOUNCE holds -DNO_ANNOUNCE "$SAFETY" -m1500000
row buffers "liveness" holds -DLIVENESS "$LIVENESS" "-a -f -m500000"
row sleep "promise" holds "-DPROMISE -DONLY_UP" "$SAFETY" -m1500000
for mutant in NO_PROMISE_NAP SHORT_NAP NO_FENCE_WORKER NO_FENCE_CLIENT; do
	row sleep "promise, $mutant" refuted "-DPROMISE -DONLY_UP -D$mutant" "$SHORTEST" ""
done
row sleep "liveness, up" holds "-DLIVENESS -DONLY_UP" "$LIVENESS" "-a -f -m500000"
row sleep "liveness, down" holds "-DLIVENESS -DONLY_DOWN" "$LIVENESS" "-a -f -m500000"
row sleep "liveness, NO_DUE" refuted "-DLIVENESS -DONLY_DOWN -DNO_DUE" "$LIVENESS" "-a -f -m500000"
row waker "liveness" holds -DLIVENESS "$LIVENESS" "-a -f -m500000"
row waker "three slots" holds -DSLOTS=3 "$SAFETY" -m1500000
row across "liveness, NO_POKE" refuted "-DLIVENESS -DDEPTH=1 -DNO_POKE" "-O2 -DNFAIR=4 -DCOLLAPSE" \
	"-a -f -m3000000"
if [ -n "${IXY_LONG:-}" ]; then
	row across "liveness" holds "-DLIVENESS -DDEPTH=1" "-O2 -DNFAIR=4 -DCOLLAPSE" "-a -f -m3000000"
	row mesh "liveness" holds "-DLIVENESS -DDEPTH=2" "$LIVENESS" "-a -f -m2000000"
	row mesh "frames both ways" holds "-DBOTH_WIRES -DDEPTH=2" "$SAFETY" -m3000000
	row sleep "liveness, up and down" holds -DLIVENESS "$LIVENESS" "-a -f -m1500000"
fi
[ $failures = 0 ] || {
	echo "FAILED: $failures of the rows above"
	exit 1
}
