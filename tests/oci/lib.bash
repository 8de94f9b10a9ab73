# What the suites of the OCI runtime share.
#
# RUNTIME names the binary (default: ours from the build directory); `RUNTIME=runc bats
# tests/oci` runs the same scripts against runc. Everything a test makes is below
# $BATS_TEST_TMPDIR and the cgroup /caisson-oci-test-PID, and teardown finds leftovers.

bats_require_minimum_version 1.5.0

oci_setup() {
	CAISSON_BUILD=${CAISSON_BUILD:-$PWD/build}
	RUNTIME=${RUNTIME:-$CAISSON_BUILD/src/prog/caisson-oci/caisson-oci}
	[ "$(id -u)" = 0 ] || skip "needs root"
	command -v "$RUNTIME" >/dev/null || skip "no $RUNTIME"
	[ -x /bin/busybox ] || skip "needs busybox-static"
	T=$BATS_TEST_TMPDIR
	ROOT=$T/state
	CG=/caisson-oci-test-$$
	B=$T/b
	[ "$(basename "$RUNTIME")" = caisson-oci ] && OURS=1 || OURS=
	hide_v2_from_crun
	mkdir -p "$B"
	rootfs "$B/rootfs"
	"$RUNTIME" spec -b "$B"
	spec '.process.terminal=false | .linux.cgroupsPath=$cg+"/c1" | .process.args=["true"]'
}

# crun refuses a host with cgroup v1 and a v2 mount beside it: it gets a view without the latter.
hide_v2_from_crun() {
	[ "$(basename "$RUNTIME")" = crun ] && [ -d /sys/fs/cgroup/unified ] || return 0
	printf '#!/bin/sh\nexec unshare --mount --propagation unchanged sh -c %s crun "$@"\n' \
		"'mount -t tmpfs none /sys/fs/cgroup/unified; exec \"\$RUNTIME_CRUN\" \"\$@\"'" >"$T/crun"
	chmod +x "$T/crun"
	export RUNTIME_CRUN
	RUNTIME_CRUN=$(command -v "$RUNTIME")
	RUNTIME=$T/crun
}

oci_teardown() {
	[ -n "${T:-}" ] || return 0
	local id left=0
	for id in $(rt list -q 2>/dev/null); do
		# a runtime that hangs is a failure, not the end of the suite
		timeout -k 1 20 "$RUNTIME" --root "$ROOT" delete -f "$id" 3>&- && continue
		left=1
		find /sys/fs/cgroup -path "*$CG*" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -u | xargs -r kill -KILL
	done
	find /sys/fs/cgroup -depth -type d -path "*$CG*" -exec rmdir {} + 2>/dev/null
	find /sys/fs/cgroup -maxdepth 2 -type d -path "*$CG" | grep . && left=1
	if grep -F " $T/" /proc/self/mountinfo; then
		left=1
		awk -v t="$T/" 'index($5, t) == 1 {print $5}' /proc/self/mountinfo | tac | xargs -r umount -l
	fi
	[ "$left" = 0 ]
}

rt() { "$RUNTIME" --root "$ROOT" "$@" 3>&-; }

# A root file system of busybox and its links: the files are shared, the tree is the test's own.
rootfs() {
	local d=$1 a
	mkdir -p "$d"/{bin,dev,etc,proc,root,sys,tmp,home/user}
	cp --reflink=auto /bin/busybox "$d/bin/busybox"
	for a in sh cat ls id echo sleep true false env pwd grep mount umount touch mkdir rm ps kill hostname ip stat head wc \
		readlink tr test dd od find sed cut tty stty mknod chown unshare ln cp; do
		ln -s busybox "$d/bin/$a"
	done
	printf 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n' >"$d/etc/passwd"
}

# Edits config.json: spec 'FILTER' [jq options…]
spec() {
	local filter=$1
	shift
	jq --arg cg "$CG" --arg t "$T" "$@" "$filter" "$B/config.json" >"$B/new" && mv "$B/new" "$B/config.json"
}

# The program as a shell line.
script() { spec '.process.args=["sh","-c",$s]' --arg s "$1"; }

run_c1() { run --separate-stderr rt run -b "$B" c1; }

# create and start in the background, output in $T/out
start_c1() {
	rt create -b "$B" --pid-file "$T/pid" c1 >"$T/out" 2>&1 </dev/null
	rt start c1
	PID=$(cat "$T/pid")
}

status() { rt state c1 | jq -r .status; }

eventually() {
	local i
	for i in $(seq 200); do "$@" && return 0; sleep 0.02; done
	echo "never: $*" >&2
	return 1
}

is() { [ "$(status)" = "$1" ]; }

# The directory of c1's cgroup in the hierarchy of a controller (v1) or the only one (v2).
cgdir() {
	if [ -e /sys/fs/cgroup/cgroup.controllers ]; then echo "/sys/fs/cgroup$CG/c1"; else echo "/sys/fs/cgroup/$1$CG/c1"; fi
}

is_v2() { [ -e /sys/fs/cgroup/cgroup.controllers ]; }

only_ours() { [ -n "$OURS" ] || skip "$1"; }
