# A restored container has the AppArmor profile that the caller of restore names. Takes its time: only
# with VM_ALL=1.
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
