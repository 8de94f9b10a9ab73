# A restored container has the label that the caller of restore names: AppArmor's or SELinux's,
# whichever this kernel runs with. Takes its time: only with VM_ALL=1.
load ../oci/lib

setup() {
	[ -n "${VM_ALL:-}" ] || skip "VM_ALL=1"
	CRIU=$(tools/install-criu 2>"$BATS_TEST_TMPDIR/why") || skip "no CRIU: $(tail -n 1 "$BATS_TEST_TMPDIR/why")"
	oci_setup
	spec '.root.readonly=false'
	script 'while :; do sleep 0.1; done'
}
teardown() {
	oci_teardown
	[ -z "${LOADED:-}" ] || for p in ct-criu-a ct-criu-b; do printf 'profile %s {}' $p | apparmor_parser -R; done
}

dumped() {
	rt create -b "$B" c1 >/dev/null 2>&1 </dev/null
	rt start c1
	rt --criu "$CRIU" checkpoint --image-path "$T/img" c1
}
restored() { rt --criu "$CRIU" restore -d -b "$B" --image-path "$T/img" "$@" c1 >/dev/null </dev/null; }
label() { tr -d '\0' <"/proc/$(rt state c1 | jq .pid)/attr/current"; }

@test "--lsm-profile apparmor: instead of the profile of the images" {
	grep -q apparmor /sys/kernel/security/lsm || skip "this kernel runs without AppArmor"
	for p in ct-criu-a ct-criu-b; do
		echo "profile $p flags=(attach_disconnected,mediate_deleted) { file, network, capability, signal, ptrace, mount, umount, pivot_root, unix, }" |
			apparmor_parser -r
	done
	LOADED=1
	spec '.process.apparmorProfile="ct-criu-a"'
	dumped
	restored
	[ "$(label)" = "ct-criu-a (enforce)" ]
	rt delete -f c1
	restored --lsm-profile apparmor:ct-criu-b
	[ "$(label)" = "ct-criu-b (enforce)" ]
	rt delete -f c1
	run --separate-stderr restored --lsm-profile apparmor:ct-criu-none
	[ "$status" = 1 ]
	[ -z "$(rt list -q)" ]
	run --separate-stderr restored --lsm-mount-context system_u:object_r:container_file_t:s0
	[ "$status" = 1 ]
	[[ "$stderr" == *"--lsm-mount-context: SELinux is not enabled here"* ]]
}

@test "--lsm-profile selinux: and --lsm-mount-context, instead of the labels of the images" {
	[ -e /sys/fs/selinux/enforce ] || skip "this kernel runs without SELinux"
	spec '.process.selinuxLabel="system_u:system_r:container_t:s0:c1,c2" | .linux.mountLabel="system_u:object_r:container_file_t:s0:c1,c2"
		| .mounts+=[{destination:"/tmp",type:"tmpfs",source:"tmpfs"}]'
	dumped
	restored
	[ "$(label)" = system_u:system_r:container_t:s0:c1,c2 ]
	rt exec c1 grep ' /tmp ' /proc/self/mountinfo | grep -q 's0:c1,c2'
	rt delete -f c1
	restored --lsm-profile selinux:system_u:system_r:container_t:s0:c3,c4 \
		--lsm-mount-context system_u:object_r:container_file_t:s0:c3,c4
	[ "$(label)" = system_u:system_r:container_t:s0:c3,c4 ]
	rt exec c1 grep ' /tmp ' /proc/self/mountinfo | grep -q 's0:c3,c4'
}
