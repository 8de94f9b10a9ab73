# A create, or a run, that is killed at any of its system calls, in the caller's process or in the
# container's: `delete --force` takes away what there is, and the id can be used again.
#
# EVERY=1 tries each call; without it each seventh, which is enough to see a step go wrong.
load lib
setup() {
	oci_setup
	only_ours "asks for what our own steps are"
	command -v strace >/dev/null || skip "needs strace"
	spec '.process.args=["sleep","100"]'
	# a profile, hooks and a sysctl: so that these steps are there to be killed in
	spec '.hooks={createRuntime:[{path:"/bin/true"}]} | .linux.sysctl={"kernel.shm_rmid_forced":"1"} |
		.linux.seccomp={defaultAction:"SCMP_ACT_ALLOW",syscalls:[{names:["swapon"],action:"SCMP_ACT_ERRNO"}]}'
}
teardown() { oci_teardown; }

left() {
	pgrep -f -- "--root $ROOT" # every process of ours has it in its command line
	ls "$ROOT" 2>/dev/null | grep -v '\.lock$'
	find /sys/fs/cgroup -type d -path "*$CG/*"
	grep -F " $T/" /proc/self/mountinfo
	return 0
}

# calls PID: how often each system call is in the trace of that process
calls() { awk -v p="$1" '$1 == p && !/resumed>|---|\+\+\+/ { sub(/\(.*/, "", $2); n[$2]++ } END { for (c in n) print c, n[c] }' "$T/trace"; }

killed() { # strace's options…
	timeout 20 strace -o /dev/null "$@" "$RUNTIME" --root "$ROOT" "${verb[@]}" -b "$B" c1 >/dev/null 2>&1 </dev/null 3>&- || true
	tried=$((tried + 1))
	run rt delete --force c1
	[ "$status" = 0 ] || { echo "$*: delete --force: $output"; return 1; }
	output=$(left)
	[ -z "$output" ] || { echo "$*: left: $output"; return 1; }
}

at_every_step() { # STATE that it comes to, VERB…
	local every=${EVERY:-7} tried=0 state=$1 verb=("${@:2}") at call n parents tracer
	strace -f -o "$T/trace" "$RUNTIME" --root "$ROOT" "${verb[@]}" -b "$B" c1 >/dev/null 2>&1 </dev/null 3>&- &
	tracer=$!
	eventually is "$state"
	rt delete --force c1
	wait $tracer
	parent=$(head -n 1 "$T/trace" | cut -d' ' -f1)
	child=$(awk '/move_mount\(/ { print $1; exit }' "$T/trace")
	[ "$parent" != "$child" ]
	n=$(calls "$parent" | awk '{ n += $2 } END { print n }')
	for ((at = 1 + RANDOM % every; at <= n; at += every)); do
		killed -e inject=all:signal=KILL:when=$at
	done
	# in the container's process: calls that the caller does not make so often
	while read -r call n; do
		parents=$(calls "$parent" | awk -v c="$call" '$1 == c { print $2 }')
		for ((at = ${parents:-0} + 1 + (n - ${parents:-0} > every ? RANDOM % every : 0); at <= n; at += every)); do
			killed -f -e "inject=$call:signal=KILL:when=$at"
		done
	done < <(calls "$child")
	echo "$tried steps of ${verb[0]}" >&3
	[ "$tried" -gt 40 ]
}

@test "a create that is killed at any step is taken away by delete --force" {
	at_every_step created create
	# and it works when nobody kills it
	rt create -b "$B" c1 >/dev/null 2>&1 </dev/null
	rt start c1
	is running
}

@test "so is a run, whose program may have begun" {
	spec '.process.args=["sleep","3"]'
	at_every_step running run --detach
	rt run --detach -b "$B" c1 >/dev/null 2>&1 </dev/null
	is running
}
