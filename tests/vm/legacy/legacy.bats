# systemd on the hierarchies of cgroup v1, alone or beside one of v2 (hybrid), as it mounts them itself;
# tests/oci/legacy.bats has the same on this host's kernel, whose v1 has every controller.
#
# Debian 13's kernel has no memory and no cpuset in v1 any more: on the hybrid layout they are in
# v2, on v1 alone nowhere, and a limit of them is refused by that name.
load ../../oci/lib
load ../../oci/drivers

setup() {
	[ -d /run/systemd/system ] && [ ! -e /sys/fs/cgroup/cgroup.controllers ] || skip "needs systemd on cgroup v1"
	drivers_setup
	spec '.process.args=["sleep","1000"]'
	BASE=$(cat "$B/config.json")
}
teardown() {
	[ -n "${T:-}" ] || return 0
	drivers_teardown
}

@test "the conformance suites pass on each layout that the machine shows, and through systemd" {
	local t
	for t in processes limits stats; do
		"$CAISSON_BUILD/cgroup/test-$t" >"$T/out" 2>&1 || { cat "$T/out"; false; }
		grep -q 'LAYOUT.*systemd' "$T/out"
		grep -qE 'LAYOUT.*(v1|hybrid)' "$T/out"
	done
}

@test "a scope is the container's in every hierarchy, also in those that systemd does not use" {
	local pid
	begin systemd '{"pids":{"limit":44},"cpu":{"shares":512}}'
	[ "$status" = 0 ] || { echo "$output"; false; }
	pid=$(rt state c1 | jq .pid)
	! grep -v '/test-c1.scope$' "/proc/$pid/cgroup"
	[ "$(systemctl show test-c1.scope -p TasksMax --value)" = 44 ]
	systemctl daemon-reload
	holds pids pids.max 44
	holds cpu cpu.shares 512
	where
	rt delete -f c1
	nothing_left
}

@test "devices are as the rules say, and stay so when systemd looks at the unit again" {
	begin systemd '{"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":10,"minor":200,"access":"r"}]}'
	[ "$status" = 0 ] || { echo "$output"; false; }
	rt start c1
	systemctl daemon-reload
	rt exec c1 sh -c 'echo x >/dev/null'
	rt exec --cap CAP_MKNOD c1 sh -c 'mknod /dev/mem1 c 1 1'
	run rt exec c1 sh -c 'cat /dev/mem1'
	[[ "$output" == *"not permitted"* ]]
	where
	rt delete -f c1
	nothing_left
}

@test "memory is limited in v2, or refused by the name of what is missing" {
	begin systemd '{"memory":{"limit":67108864}}'
	if in_v2 memory; then
		[ "$status" = 0 ] || { echo "$output"; false; }
		holds memory memory.max 67108864
		end
	else
		[ "$status" = 1 ]
		[[ "$output" == *"cgroup memory: the memory limit cannot be set: the controller is not mounted"* ]]
		[ -z "$(systemctl list-units --plain --no-legend --all test-c1.scope)" ]
	fi
}
