# Shared by all suites of whole programs: `load ../lib/load` at the top of a .bats file.
#
#   lib/node.bash      a network namespace that plays the host: bridge, iptables, registry ports
#   lib/images.bash    the test images, built once and cached
#   lib/registry.bash  a real docker-registry that holds them, on 127.0.0.1 of the node
#   lib/daemon.bash    a private caissond (or a peer: CRI_PEER=containerd), crictl against it
#   lib/cri.bash       configurations of pods and containers, and what they became in the kernel
#   lib/leak.bash      everything of ours that the kernel and the disk hold, before and after
#
# A file that needs a daemon says
#
#   setup_file()    { suite_start; }
#   teardown_file() { suite_stop; }
#   setup()         { leak_mark; }
#   teardown()      { pods_clear; leak_check; }
#
# Everything lives below $WORK and the cgroup /$TAG, so that any number of suites run side
# by side; nothing of the machine's own network, cgroups or images is touched. What is
# environment (SC: exported by suite_start) is named in capitals.
#
# shellcheck shell=bash

LIB=$(dirname "${BASH_SOURCE[0]}")
TOP=$(realpath "$LIB/../..")
export PATH=$PATH:/usr/sbin:/sbin
export CAISSON_TEST_CACHE=${CAISSON_TEST_CACHE:-/var/cache/caisson-tests}
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY # everything here is local
BUILD=${CAISSON_BUILD:-$TOP/build}

for part in node images registry daemon cri leak; do
	# shellcheck source=/dev/null
	source "$LIB/$part.bash"
done
unset part

# eventually SECONDS COMMAND…: tries until it succeeds; shows its last output when it does not.
eventually() {
	local until out
	# an emulated processor takes its time
	until=$((SECONDS + $1 * (${CAISSON_VM:-0} ? 6 : 1)))
	shift
	while ! out=$("$@" 2>&1); do
		if [ $SECONDS -ge $until ]; then
			echo "still failing: $*"
			echo "$out"
			return 1
		fi
		sleep 0.05
	done
	[ -z "$out" ] || echo "$out"
}

# has TEXT WANTED: a substring test that shows both.
has() {
	[[ $1 == *"$2"* ]] && return
	printf 'no "%s" in:\n%s\n' "$2" "$1"
	return 1
}
lacks() {
	[[ $1 != *"$2"* ]] && return
	printf '"%s" is in:\n%s\n' "$2" "$1"
	return 1
}
same() { # GOT WANTED [WHAT]
	[ "$1" = "$2" ] && return
	printf '%s: got "%s", not "%s"\n' "${3:-value}" "$1" "$2"
	return 1
}

# fails COMMAND…: must fail; its output is in $output.
fails() {
	if output=$("$@" 2>&1); then
		printf 'should have failed: %s\n%s\n' "$*" "$output"
		return 1
	fi
}

work_start() {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	WORK=$(mktemp -d /tmp/ct.XXXXXX)
	TAG=${WORK#/tmp/}
	TAG=ct-${TAG#ct.}
	export WORK TAG
	chmod 711 "$WORK"
}

work_stop() {
	[ -n "${WORK:-}" ] && [ -d "$WORK" ] || return 0
	rm -rf --one-file-system "$WORK"
}

# The whole bench: node, registry with the images, daemon.
suite_start() { # [key=value of daemon_start…]
	work_start
	node_start
	registry_start
	daemon_start "$@"
}

suite_stop() {
	local bad=0 pid
	daemon_stop || bad=1
	for pid in "$WORK"/registry.*.pid; do
		pid=${pid%.pid}
		registry_stop "${pid##*.}"
	done
	leak_last || bad=1
	node_stop
	work_stop
	return $bad
}
