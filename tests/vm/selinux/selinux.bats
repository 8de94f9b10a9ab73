# SELinux, on a kernel and with a policy that have it: labels of processes, mounts, files, keys.

load ../../lib/load

setup_file() {
	[ -e /sys/fs/selinux/enforce ] || skip "this kernel runs without SELinux"
	suite_start
}
teardown_file() { suite_stop; }
setup() {
	need_image busybox:1
	IMAGE=$(image busybox:1)
	leak_mark
}
teardown() { pods_clear; leak_check; }

context() { tr -d '\0' <"/proc/$1/attr/current"; }
label() { getfattr --absolute-names --only-values -h -n security.selinux "$1" | tr -d '\0'; }
level() { cut -d: -f4- <<<"$1"; }

@test "a pod's containers share two categories that no other pod has" {
	one=$(run_pod one)
	two=$(run_pod two)
	a=$(context "$(pid_of "$(run_container "$one" "$IMAGE" '.metadata.name = "a"')")")
	b=$(context "$(pid_of "$(run_container "$one" "$IMAGE" '.metadata.name = "b"')")")
	c=$(context "$(pid_of "$(run_container "$two" "$IMAGE")")")
	[[ $a =~ ^system_u:system_r:container_t:s0:c[0-9]+,c[0-9]+$ ]] || { echo "$a"; false; }
	same "$b" "$a"
	same "$(context "$(pid_of_pod "$one")")" "$a" "label of the pause process"
	[ "$c" != "$a" ]
	# also known to a daemon that was started since
	daemon_restart
	d=$(context "$(pid_of "$(run_container "$one" "$IMAGE" '.metadata.name = "d"')")")
	same "$d" "$a"
}

@test "the root, what the runtime mounts and the pod's files have the file label with the same categories" {
	pod=$(run_pod files)
	ctr=$(run_container "$pod" "$IMAGE")
	pid=$(pid_of "$ctr")
	wanted=system_u:object_r:container_file_t:$(level "$(context "$pid")")
	for path in / /bin/busybox /dev /dev/shm /etc/hosts /etc/resolv.conf; do
		same "$(label "/proc/$pid/root$path")" "$wanted" "label of $path"
	done
	cri exec -s "$ctr" touch /tmp/new
	same "$(label "/proc/$pid/root/tmp/new")" "$wanted" "label of a new file"
	has "$(cri exec -s "$ctr" cat /proc/self/attr/current | tr -d '\0')" "$(context "$pid")"
}

@test "options of a request replace what they name" {
	pod=$(run_pod options '.linux.security_context.selinux_options = {level: "s0:c4,c5"}')
	same "$(context "$(pid_of "$(run_container "$pod" "$IMAGE" '.metadata.name = "a"')")")" system_u:system_r:container_t:s0:c4,c5
	ctr=$(run_container "$pod" "$IMAGE" '.metadata.name = "b" | .linux.security_context.selinux_options = {user: "system_u", role: "system_r", type: "spc_t", level: "s0:c6"}' || true)
	[ -n "$ctr" ]
	case $ctr in
	*\ *) has "$ctr" spc_t ;; # a policy without the type: the kernel's refusal says the label
	*) same "$(context "$(pid_of "$ctr")")" system_u:system_r:spc_t:s0:c6 ;;
	esac
}

@test "privileged has the type that is not confined, and no category, where the policy has one" {
	pod=$(run_pod privileged '.linux.security_context.privileged = true')
	ctr=$(run_container "$pod" "$IMAGE" '.linux.security_context.privileged = true')
	if echo -n system_u:system_r:spc_t:s0 >/sys/fs/selinux/context; then
		same "$(context "$(pid_of "$ctr")")" system_u:system_r:spc_t:s0
	else
		lacks "$(context "$(pid_of "$ctr")")" container_t
	fi
}

@test "options that are no context of the policy's are refused when the container or pod is created" {
	pod=$(run_pod wrong)
	for options in '{level: "s0,c4,c5"}' '{type: "no_such_t"}'; do
		for privileged in true false; do
			fails create_container "$pod" "$IMAGE" ".linux.security_context |= . + {privileged: $privileged, selinux_options: $options}"
			has "$output" "the policy knows no such context"
		done
		fails run_pod wrong-too ".linux.security_context.selinux_options = $options"
		has "$output" "the policy knows no such context"
	done
}

@test "a volume is labelled with all below it when that is asked, links not followed, and never the node's own" {
	mkdir -p "$WORK/volume/sub" "$WORK/other"
	touch "$WORK/volume/sub/file" "$WORK/other/file"
	ln -s "$WORK/other" "$WORK/volume/link"
	before=$(label "$WORK/other/file")
	pod=$(run_pod volumes)
	ctr=$(run_container "$pod" "$IMAGE" ".mounts = [{container_path: \"/v\", host_path: \"$WORK/volume\", selinux_relabel: true}]")
	wanted=system_u:object_r:container_file_t:$(level "$(context "$(pid_of "$ctr")")")
	for path in "$WORK/volume" "$WORK/volume/sub/file" "$WORK/volume/link"; do
		same "$(label "$path")" "$wanted" "label of $path"
	done
	same "$(label "$WORK/other/file")" "$before" "label behind a link"
	fails run_container "$pod" "$IMAGE" '.metadata.name = "etc" | .mounts = [{container_path: "/v", host_path: "/etc", selinux_relabel: true}]'
	has "$output" "selinux_relabel of /etc"
	lacks "$(label /etc)" container_file_t
}

oci() { "$BUILD/src/prog/caisson-oci/caisson-oci" --root "$WORK/oci" "$@"; }
config() { jq "$1" "$B/config.json" >"$B/new" && mv "$B/new" "$B/config.json"; }

bundle() { # name
	B=$WORK/$1
	mkdir -p "$B/rootfs/bin"
	cp "$(command -v busybox)" "$B/rootfs/bin/busybox"
	oci spec -b "$B"
	config ".process.terminal = false | .linux.cgroupsPath = \"/$TAG/b\" | .process.args = [\"/bin/busybox\", \"cat\", \"/proc/self/attr/current\"]"
	config '.process.selinuxLabel = "system_u:system_r:container_t:s0:c1,c2" | .linux.mountLabel = "system_u:object_r:container_file_t:s0:c1,c2"'
}

@test "a bundle's labels: process and mounts; one that cannot be is refused by name" {
	bundle bundle
	has "$(oci run -b "$B" b1 | tr -d '\0')" "system_u:system_r:container_t:s0:c1,c2"
	config '.process.args = ["/bin/busybox", "sleep", "1000"]'
	oci create -b "$B" --pid-file "$WORK/pid" b1 >/dev/null 2>&1 </dev/null
	same "$(label "/proc/$(cat "$WORK/pid")/root/dev/shm")" "system_u:object_r:container_file_t:s0:c1,c2" "label of /dev/shm"
	oci delete -f b1
	config '.process.selinuxLabel = "nobody:such:label:s0"'
	fails oci run -b "$B" b1
	has "$output" nobody:such:label
	same "$(oci list -q)" ""
}

@test "unit tests of sec pass on this kernel" {
	for t in "$BUILD"/sec/test-*; do "$t" || return 1; done
}

# a CRIU that knows nothing of SELinux restores with its own label
@test "a restored container has its label again, or does not run" {
	criu=$("$TOP/tools/install-criu" 2>"$WORK/why") || skip "$(cat "$WORK/why")"
	bundle restored
	# CRIU makes a directory in the root, and a sleep that it interrupts is over
	config '.root.readonly = false | .process.args = ["/bin/busybox", "sh", "-c", "while :; do /bin/busybox sleep 1; done"]'
	wanted=system_u:system_r:container_t:s0:c1,c2
	oci run -d -b "$B" r1 >/dev/null 2>&1 </dev/null
	same "$(context "$(oci state r1 | jq .pid)")" "$wanted"
	oci --criu "$criu" checkpoint --image-path "$B/img" r1 || { grep Error "$B"/img/*.log; false; }
	if oci --criu "$criu" restore -d -b "$B" --image-path "$B/img" --pid-file "$WORK/pid" r1 >"$WORK/out" 2>&1 </dev/null; then
		same "$(context "$(cat "$WORK/pid")")" "$wanted"
		oci delete -f r1
	else
		cat "$WORK/out"
		has "$(tr A-Z a-z <"$WORK/out")" selinux
		same "$(oci list -q)" ""
		same "$(pgrep -fc 'busybox sh -c while' || true)" 0
	fi
	# without a label nothing is asked for
	config 'del(.process.selinuxLabel)'
	oci --criu "$criu" restore -d -b "$B" --image-path "$B/img" --pid-file "$WORK/pid" r1 >"$WORK/out" 2>&1 </dev/null ||
		{ cat "$WORK/out"; false; }
	oci delete -f r1
}
