# status_lib.sh - what the kernel shows of a running server against the table in server/README.md; sourced
#
# Source it after lib.sh.
# shellcheck shell=bash

# wanted FIELD COLUMN - of the table: 1 root becomes a user, 2 root stays root, 3 somebody else
wanted() {
	awk -F '|' -v field="$1" -v column="$(($2 + 2))" '
		{ name = $2; gsub(/^ +| +$|`/, "", name) }
		name == field { value = $column; gsub(/[ `]/, "", value); print value; found++ }
		END { exit found != 1 }' "$IXY_SOURCE_DIR/server/README.md" ||
		fail "server/README.md has not exactly one row \"$1\""
}

# shown FILE FIELD - the field's values, without leading zeros and with single spaces between them
shown() {
	awk -v field="$2:" '$1 == field { $1 = ""; gsub(/^ +| +$/, ""); print; found = 1 }
		END { exit !found }' "$1" | sed -E 's/^0+([0-9a-f])/\1/'
}

# threads_of PID - a sanitizer's own thread is older than the server, which cannot change it
threads_of() {
	if is_sanitized; then
		echo "/proc/$1/task/$1/status"
	else
		ls -d "/proc/$1/task"/*/status
	fi
}

# expect_confined PID COLUMN UID [--on-violation kill | --no-seccomp] - every thread is as the table says
expect_confined() {
	local pid=$1 column=$2 uid=$3 option=${*:4} file field row value threads=0
	for file in $(threads_of "$pid"); do
		for field in CapInh CapPrm CapEff CapAmb NoNewPrivs Seccomp; do
			row=$field
			case "$field $option" in
			"CapPrm --on-violation kill" | "CapEff --on-violation kill")
				row="$field with --on-violation kill"
				;;
			"Seccomp --no-seccomp")
				row="Seccomp in a sanitizer build, or with --no-seccomp"
				;;
			esac
			if [ "$field" = Seccomp ] && is_sanitized; then
				row="Seccomp in a sanitizer build, or with --no-seccomp"
			fi
			value=$(wanted "$row" "$column")
			expect_equal "$row in $file" "$(shown "$file" "$field")" "$value"
		done
		value=$(printf '%s\t%s\t%s\t%s' "$uid" "$uid" "$uid" "$uid")
		expect_equal "Uid in $file" "$(shown "$file" Uid)" "${value//	/ }"
		if [ "$column" = 1 ]; then
			value=$(id -g "$uid")
			expect_equal "Gid in $file" "$(shown "$file" Gid)" "$value $value $value $value"
			expect_equal "Groups in $file" "$(shown "$file" Groups)" ""
		fi
		threads=$((threads + 1))
	done
	is_sanitized || [ "$threads" -ge 2 ] || fail "only $threads threads: the worker was not looked at"
}

# expect_not_dumpable PID - the kernel then gives what is in /proc/PID to root. Says nothing of a root's.
expect_not_dumpable() {
	local build owner
	build=$(sed -n 's/^CMAKE_BUILD_TYPE:[^=]*=//p' "$IXY_BUILD_DIR/CMakeCache.txt")
	[ "$build" != ASan ] || return 0
	owner=$(stat -c %u "/proc/$1/environ")
	expect_equal "the owner of /proc/$1/environ" "$owner" 0
}
