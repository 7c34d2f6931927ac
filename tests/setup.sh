# setup.sh - brings a machine into the state that building and testing need; sourced, not run
#
# Everything that changes the machine says so on standard error. Without root nothing is changed:
# the command that a person has to run is printed instead.
# shellcheck shell=bash

# A user's PATH has no sbin, where ip, ethtool and tcpdump may lie.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

say() {
	echo "$(basename "$0"): $*" >&2
}

have_command() {
	command -v "$1" >/dev/null 2>&1
}

# install_packages PACKAGE... - returns 1, with the command to run, where it cannot
install_packages() {
	if [ "$(id -u)" != 0 ] || ! have_command apt-get; then
		say "missing: $*. Install with: sudo apt-get install $*"
		return 1
	fi
	say "installing $*"
	if ! apt-get update -qq >&2 ||
		! DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2; then
		say "apt-get could not install $*"
		return 1
	fi
}

# need_commands COMMAND:PACKAGE... - installs the packages of the commands that there are not
need_commands() {
	local pair missing=()
	for pair in "$@"; do
		have_command "${pair%%:*}" || missing+=("${pair#*:}")
	done
	[ ${#missing[@]} = 0 ] || install_packages "${missing[@]}"
}

# need_libraries PKG_CONFIG_NAME:PACKAGE...
need_libraries() {
	local pair missing=()
	for pair in "$@"; do
		pkg-config --exists "${pair%%:*}" 2>/dev/null || missing+=("${pair#*:}")
	done
	[ ${#missing[@]} = 0 ] || install_packages "${missing[@]}"
}

# need_python MODULE:PACKAGE... - for Debian's own interpreter; another one cannot see its packages
need_python() {
	local pair missing=()
	for pair in "$@"; do
		/usr/bin/python3 -c "import ${pair%%:*}" 2>/dev/null || missing+=("${pair#*:}")
	done
	[ ${#missing[@]} = 0 ] || install_packages "${missing[@]}"
}

# reserve_hugepages N - makes sure that N pages of 2 MiB are free; never takes any away
reserve_hugepages() {
	local wanted=$1 dir=/sys/kernel/mm/hugepages/hugepages-2048kB total free
	if [ ! -d "$dir" ]; then
		say "this kernel has no hugepages of 2 MiB"
		return 0
	fi
	total=$(cat "$dir/nr_hugepages")
	free=$(cat "$dir/free_hugepages")
	[ "$free" -lt "$wanted" ] || return 0
	total=$((total + wanted - free))
	if [ "$(id -u)" != 0 ]; then
		say "only $free free hugepages; tests that need $wanted will be skipped. Reserve with:"
		say "	echo $total | sudo tee $dir/nr_hugepages"
		return 0
	fi
	say "only $free free hugepages of 2 MiB: raising $dir/nr_hugepages to $total"
	echo "$total" >"$dir/nr_hugepages"
	free=$(cat "$dir/free_hugepages")
	[ "$free" -ge "$wanted" ] || say "the kernel found memory for $free free ones only"
}
