# Limits, read back from the kernel; v1 and v2.
load lib
setup() { oci_setup; }
teardown() { oci_teardown; }

limits() {
	spec '.process.args=["sleep","100"] | .linux.resources += {memory:{limit:67108864,swap:67108864},cpu:{shares:512,quota:50000,period:100000},pids:{limit:77}}'
}

@test "memory, cpu and pids (v1)" {
	! is_v2 || skip "about v1"
	limits
	spec 'del(.linux.resources.memory.swap)'
	start_c1
	[ "$(cat "$(cgdir memory)/memory.limit_in_bytes")" = 67108864 ]
	[ "$(cat "$(cgdir cpu)/cpu.shares")" = 512 ]
	[ "$(cat "$(cgdir cpu)/cpu.cfs_quota_us")" = 50000 ]
	[ "$(cat "$(cgdir pids)/pids.max")" = 77 ]
	for c in memory cpu pids devices freezer; do grep -qx "$PID" "$(cgdir $c)/cgroup.procs"; done
	rt update --pids-limit 88 --memory 128M c1
	[ "$(cat "$(cgdir pids)/pids.max")" = 88 ]
	[ "$(cat "$(cgdir memory)/memory.limit_in_bytes")" = 134217728 ]
	echo '{"cpu":{"shares":1000}}' | rt update -r - c1
	[ "$(cat "$(cgdir cpu)/cpu.shares")" = 1000 ]
}

@test "memory, cpu and pids (v2)" {
	is_v2 || skip "about v2"
	limits
	start_c1
	[ "$(cat "$(cgdir)/memory.max")" = 67108864 ]
	[ "$(cat "$(cgdir)/cpu.weight")" = 20 ]
	[ "$(cat "$(cgdir)/cpu.max")" = "50000 100000" ]
	[ "$(cat "$(cgdir)/pids.max")" = 77 ]
	grep -qx "$PID" "$(cgdir)/cgroup.procs"
}

@test "a process over its memory limit is killed" {
	spec '.linux.resources.memory={limit:8388608}'
	script 'dd if=/dev/zero of=/dev/null bs=64M count=1; echo code $?'
	run_c1
	[[ "$output" == *"code 137"* || "$status" = 137 ]]
}

@test "no more processes than the limit" {
	spec '.linux.resources.pids={limit:3}'
	script 'for i in 1 2 3 4 5; do sleep 1 & done'
	run_c1
	[[ "$stderr" == *"fork"* ]]
}

@test "true under 512 KiB and one process" {
	only_ours "runc needs megabytes"
	[ "$(uname -m)" = x86_64 ] || skip "the program is for x86_64"
	# an ELF header, one segment, and: mov $60,%eax; xor %edi,%edi; syscall
	base64 -d >"$B/rootfs/bin/least" <<-X
		f0VMRgIBAQAAAAAAAAAAAAIAPgABAAAAeABAAAAAAABAAAAAAAAAAAAAAAAAAAAAAAAAAEAAOAABAAAA
		AAAAAAEAAAAFAAAAAAAAAAAAAAAAAEAAAAAAAAAAQAAAAAAAgQAAAAAAAACBAAAAAAAAAAAQAAAAAAAA
		uDwAAAAx/w8F
	X
	chmod +x "$B/rootfs/bin/least"
	spec '.linux.resources += {memory:{limit:524288},pids:{limit:1}}'
	local programs=(/bin/least)
	[ -n "${CAISSON_VM:-}" ] && [ -z "${VM_ALL:-}" ] || programs+=(true)
	for p in "${programs[@]}"; do
		spec '.process.args=[$p]' --arg p "$p"
		for _ in 1 2 3 4 5; do
			run_c1
			[ "$status" = 0 ]
		done
	done
}

@test "a limit that cannot be is refused by name, and nothing is left" {
	spec '.linux.resources.cpu={cpus:"4096"}'
	run_c1
	[ "$status" = 1 ]
	[[ "$stderr" == *cpuset* ]]
	[ ! -e "$ROOT/c1" ]
	[ ! -e "$(cgdir pids)" ]
}

@test "a relative cgroup path is found again from anywhere" {
	only_ours "the default of runc has no path here"
	spec '.process.args=["sleep","100"] | .linux.cgroupsPath="rel'$$'"'
	start_c1
	grep -q "rel$$\$" /proc/$PID/cgroup
	rt delete -f c1
	[ -z "$(find /sys/fs/cgroup -name "rel$$" -type d)" ]
}

@test "an exec is in the container's cgroup, or in one of its own below" {
	spec '.process.args=["sleep","100"]'
	start_c1
	rt exec -d --pid-file "$T/epid" c1 sleep 100 >/dev/null 2>&1 </dev/null
	grep -q "$CG/c1" "/proc/$(cat "$T/epid")/cgroup"
	only_ours "runc 1.1 has --cgroup for v2"
	rt exec -d --cgroup sub --pid-file "$T/epid" c1 sleep 100 >/dev/null 2>&1 </dev/null
	grep -q "$CG/c1/sub" "/proc/$(cat "$T/epid")/cgroup"
}

@test "two hundred at once: each one runs, and nothing of them is left" {
	local n=200 i pids=() config failed=0
	[ -z "${CAISSON_VM:-}" ] || [ -n "${VM_ALL:-}" ] || skip "VM_ALL=1: an emulated processor"
	spec '.process.args=["echo","ran"] | .root.path=$b' --arg b "$B/rootfs"
	config=$(<"$B/config.json")
	for i in $(seq $n); do
		mkdir "$T/m$i"
		echo "${config//"$CG/c1"/"$CG/m$i"}" >"$T/m$i/config.json"
	done
	for i in $(seq $n); do
		rt run -b "$T/m$i" "m$i" >"$T/m$i/out" 2>&1 </dev/null &
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i" || failed=$((failed + 1)); done
	[ "$failed" = 0 ] || { cat "$T"/m*/out | sort | uniq -c | head; false; }
	[ "$(cat "$T"/m*/out | grep -cx ran)" = "$n" ]
	[ -z "$(rt list -q)" ]
	[ -z "$(find /sys/fs/cgroup -type d -path "*$CG/m*")" ]
}
