# AppArmor, on a kernel that has it: the profile that was asked for is the one that holds.

load ../lib/load

setup_file() {
	grep -q apparmor /sys/kernel/security/lsm || skip "this kernel runs without AppArmor"
	suite_start
	apparmor_parser -r <<-'PROFILE'
		profile ct-no-write flags=(attach_disconnected) {
		  file,
		  network,
		  capability,
		  signal,
		  deny /tmp/** w,
		}
	PROFILE
}
teardown_file() {
	printf 'profile ct-no-write {}' | apparmor_parser -R 2>/dev/null || true
	suite_stop
}
setup() {
	need_image busybox:1
	IMAGE=$(image busybox:1)
	leak_mark
}
teardown() { pods_clear; leak_check; }

confined() { # JQ-FILTER: a running container, $ctr and $pid
	pod=${pod:-$(run_pod p)}
	n=$((${n:-0} + 1))
	ctr=$(run_container "$pod" "$IMAGE" ".metadata.name = \"c$n\" | $1") || { echo "$ctr"; return 1; }
	pid=$(pid_of "$ctr")
}
profile() { cat "/proc/$1/attr/current"; }

@test "the default profile is the one without a word and with RuntimeDefault" {
	confined .
	same "$(profile "$pid")" "caisson-default (enforce)"
	confined '.linux.security_context.apparmor = {profile_type: 0}'
	same "$(profile "$pid")" "caisson-default (enforce)"
	# an exec has it too
	has "$(cri exec -s "$ctr" cat /proc/self/attr/current)" "caisson-default (enforce)"
}

@test "unconfined and privileged are not confined" {
	confined '.linux.security_context.apparmor = {profile_type: 1}'
	same "$(profile "$pid")" unconfined
	pod=$(run_pod privileged '.linux.security_context.privileged = true')
	confined '.linux.security_context.privileged = true'
	same "$(profile "$pid")" unconfined
}

@test "the default profile forbids mounts and the kernel's knobs even with the capability" {
	confined '.linux.security_context += {capabilities: {add_capabilities: ["ALL"]}, seccomp: {profile_type: 1}, masked_paths: ["/none"], readonly_paths: ["/none"]}'
	fails cri exec -s "$ctr" mount -t tmpfs none /tmp
	fails cri exec -s "$ctr" sh -c 'echo 1 >/proc/sys/vm/drop_caches'
	fails cri exec -s "$ctr" sh -c 'echo h >/proc/sysrq-trigger'
	fails cri exec -s "$ctr" sh -c 'echo x >/proc/sys/kernel/core_pattern'
	# what is a namespace's own, and ordinary files, are free
	cri exec -s "$ctr" sh -c 'echo 1 >/proc/sys/kernel/shm_rmid_forced && echo 1 >/proc/sys/net/ipv4/ip_forward && echo x >/tmp/file && ls /proc/1 >/dev/null'
	confined '.linux.security_context += {capabilities: {add_capabilities: ["ALL"]}, seccomp: {profile_type: 1}, apparmor: {profile_type: 1}}'
	cri exec -s "$ctr" mount -t tmpfs none /tmp
}

@test "a profile of the node's by its name, in both spellings" {
	for ref in ct-no-write localhost/ct-no-write; do
		confined ".linux.security_context.apparmor = {profile_type: 2, localhost_ref: \"$ref\"}"
		same "$(profile "$pid")" "ct-no-write (enforce)"
		fails cri exec -s "$ctr" touch /tmp/file
		cri exec -s "$ctr" touch /root/file
	done
}

@test "a profile that is not loaded is named, and nothing is left half made" {
	pod=$(run_pod p)
	fails run_container "$pod" "$IMAGE" '.linux.security_context.apparmor = {profile_type: 2, localhost_ref: "localhost/ct-absent"}'
	has "$output" "ct-absent: not loaded"
	same "$(cri ps -aq)" ""
}

@test "a bundle's profile: held by the program, refused by name if there is none" {
	B=$WORK/bundle
	mkdir -p "$B/rootfs/bin"
	cp "$(command -v busybox)" "$B/rootfs/bin/busybox"
	oci() { "$BUILD/src/prog/caisson-oci/caisson-oci" --root "$WORK/oci" "$@"; }
	oci spec -b "$B"
	config() { jq "$1" "$B/config.json" >"$B/new" && mv "$B/new" "$B/config.json"; }
	config ".process.terminal = false | .linux.cgroupsPath = \"/$TAG/b\" | .process.args = [\"/bin/busybox\", \"cat\", \"/proc/self/attr/current\"]"
	config '.process.apparmorProfile = "ct-no-write"'
	has "$(oci run -b "$B" b1)" "ct-no-write (enforce)"
	config '.process.apparmorProfile = "ct-absent"'
	fails oci run -b "$B" b1
	has "$output" ct-absent
	same "$(oci list -q)" ""
}

@test "a restored container has its profile again" {
	criu=$("$TOP/tools/install-criu" 2>"$WORK/why") || skip "$(cat "$WORK/why")"
	B=$WORK/restored
	oci() { timeout -k 5 60 "$BUILD/src/prog/caisson-oci/caisson-oci" --root "$WORK/oci" --criu "$criu" "$@"; }
	mkdir -p "$B/rootfs/bin"
	cp "$(command -v busybox)" "$B/rootfs/bin/busybox"
	oci spec -b "$B"
	# CRIU makes a directory in the root, and a sleep that it interrupts is over
	jq --arg cg "/$TAG/r" '.process.terminal = false | .root.readonly = false | .linux.cgroupsPath = $cg |
		.process.apparmorProfile = "ct-no-write" |
		.process.args = ["/bin/busybox", "sh", "-c", "while :; do /bin/busybox sleep 1; done"]' "$B/config.json" >"$B/new"
	mv "$B/new" "$B/config.json"
	oci run -d -b "$B" r1 >/dev/null 2>&1 </dev/null
	same "$(profile "$(oci state r1 | jq .pid)")" "ct-no-write (enforce)"
	oci checkpoint --image-path "$B/img" r1 || { tail -n 5 "$B"/img/*.log; false; }
	oci restore -d -b "$B" --image-path "$B/img" --pid-file "$WORK/pid" r1 >"$WORK/out" 2>&1 </dev/null || { cat "$WORK/out"; tail -n 5 "$B"/img/*.log; false; }
	same "$(profile "$(cat "$WORK/pid")")" "ct-no-write (enforce)"
	oci delete -f r1
	# and another one where that is asked for
	oci restore -d -b "$B" --image-path "$B/img" --pid-file "$WORK/pid" --lsm-profile apparmor:unconfined r1 >"$WORK/out" 2>&1 </dev/null ||
		{ cat "$WORK/out"; false; }
	same "$(profile "$(cat "$WORK/pid")")" unconfined
	oci delete -f r1
}
