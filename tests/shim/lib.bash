# Bundles and a shim of their own for each test, all below $BATS_TEST_TMPDIR. No network, no
# daemon: shimctl drives caisson-shim, whose runtime makes real containers from busybox.
#
# CAISSON_SHIM and SHIMCTL name other programs than those of the build directory.

CAISSON_BUILD=${CAISSON_BUILD:-$PWD/build}
CAISSON_SHIM=${CAISSON_SHIM:-$CAISSON_BUILD/src/prog/caisson-shim/caisson-shim}
SHIMCTL=${SHIMCTL:-$CAISSON_BUILD/tests/shimctl}

shim_setup() {
	[ "$(id -u)" = 0 ] || skip "needs root"
	[ -x "$CAISSON_SHIM" ] || skip "caisson-shim is not built"
	[ -x "$(command -v busybox)" ] || skip "needs a static busybox"
	T=$BATS_TEST_TMPDIR
	STATE=$T/p ROOT=$T/root ADDR=$T/p/s
	CG=/caisson-shim-test-$$
}

shim_teardown() {
	[ -n "${STATE:-}" ] || return 0
	local pid d
	if pid=$(jq -r .pid "$STATE/shim.json" 2>/dev/null); then
		"$SHIMCTL" shutdown "$ADDR" pod now >/dev/null 2>&1 || true
		# only the process that this test started
		for _ in $(seq 50); do [ -e "/proc/$pid" ] || break; sleep 0.05; done
		[ ! -e "/proc/$pid" ] || kill -9 "$pid"
	fi
	for d in "$T"/*/config.json; do
		[ -e "$d" ] || continue
		d=${d%/config.json}
		"$SHIMCTL" cleanup "$CAISSON_SHIM" "$STATE" "$d" "${d##*/}" "$ROOT" >/dev/null 2>&1 || true
	done
	remove_cgroups "$CG"
}

remove_cgroups() { # path
	local d
	for d in /sys/fs/cgroup/*"$1" /sys/fs/cgroup"$1"; do
		[ ! -d "$d" ] || find "$d" -depth -type d -exec rmdir {} + 2>/dev/null || true
	done
}

rootfs() {
	[ -d "$T/rootfs" ] && return
	mkdir -p "$T"/rootfs/{bin,proc,dev,sys,tmp}
	cp "$(readlink -f "$(command -v busybox)")" "$T/rootfs/bin/busybox"
	local a
	for a in sh cat echo sleep seq head true false kill ps stty tty id dd tail; do ln -s busybox "$T/rootfs/bin/$a"; done
}

# bundle ID [jq filter on config.json] -- ARG…
bundle() {
	local id=$1 filter=. args
	shift
	[ "$1" = -- ] || { filter=$1; shift; }
	shift
	rootfs
	args=$(jq -cn '$ARGS.positional' --args -- "$@")
	mkdir -p "$T/$id"
	jq -n --argjson args "$args" --arg root "$T/rootfs" --arg cg "$CG/$id" '{
		ociVersion: "1.0.2",
		process: { user: { uid: 0, gid: 0 }, cwd: "/", env: ["PATH=/bin", "TERM=xterm"], args: $args },
		root: { path: $root }, hostname: "shimtest",
		mounts: [ { destination: "/proc", type: "proc", source: "proc" },
		          { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755"] },
		          { destination: "/dev/pts", type: "devpts", source: "devpts",
		            options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"] } ],
		linux: { cgroupsPath: $cg, namespaces: [ {type: "pid"}, {type: "mount"}, {type: "ipc"}, {type: "uts"} ] }
	}' | jq "$filter" >"$T/$id/config.json"
}

launch() { # the bundle whose shim it is
	"$SHIMCTL" launch "$CAISSON_SHIM" "$STATE" "$T/$1" pod >"$T/launched"
	read -r ADDR SHIM_PID <"$T/launched"
}

ctl() {
	local command=$1
	shift
	"$SHIMCTL" "$command" "$ADDR" "$@"
}

# run_one ID: create, start, wait, delete; its exit code is on stdout
run_one() {
	local id=$1
	shift
	ctl create "$id" "$T/$id" "$ROOT" "$@" >/dev/null
	ctl start "$id" >/dev/null
	ctl wait "$id"
	ctl delete "$id"
}

# the content of a log file, as the kubelet puts it together again
content() { # file [stream]
	awk -v want="${2:-}" '{
		head = $1 " " $2 " " $3 " "
		if (want != "" && $2 != want) next
		text = substr($0, length(head) + 1)
		if ($3 == "F") print text; else printf "%s", text
	}' "$1"
}

eventually() { # command…
	local i
	for i in $(seq 100); do "$@" && return 0; sleep 0.05; done
	return 1
}
