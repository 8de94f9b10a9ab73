# When, where and as what a process runs: affinity, memory policy, scheduler, I/O priority, personality.

setup() {
	load lib
	oci_setup
}

teardown() { oci_teardown; }

@test "execCPUAffinity holds for exec and not for the container's first process" {
	only_ours "runc 1.1 and crun 1.8 have no execCPUAffinity"
	[ "$(nproc)" -ge 2 ] || skip "needs two CPUs"
	spec '.process.execCPUAffinity={initial:"0",final:"1"} | .process.args=["sleep","100"]'
	start_c1
	[ "$(rt exec c1 sh -c 'grep Cpus_allowed_list /proc/self/status | cut -f2')" = 1 ]
	grep -q "Cpus_allowed_list:.*0-" "/proc/$PID/status"
	jq '.process+{args:["sh","-c","grep Cpus_allowed_list /proc/self/status"]} | .execCPUAffinity={initial:"0-1"}' \
		"$B/config.json" >"$T/process.json"
	[ "$(rt exec --process "$T/process.json" c1 | cut -f2)" = 0-1 ]
	jq '.execCPUAffinity={final:"1-x"}' "$T/process.json" >"$T/bad.json"
	run --separate-stderr rt exec --process "$T/bad.json" c1
	[ "$status" -eq 255 ]
	[[ "$stderr" == *"process.execCPUAffinity.final: "*1-x* ]]
	jq '.execCPUAffinity={final:"4095"}' "$T/process.json" >"$T/bad.json"
	run --separate-stderr rt exec --process "$T/bad.json" c1
	[ "$status" -eq 255 ]
	[[ "$stderr" == *"process.execCPUAffinity.final: Invalid argument"* ]]
}

@test "memoryPolicy holds for the container's processes, exec too" {
	only_ours "runc 1.1 and crun 1.8 have no memoryPolicy"
	[ -d /sys/devices/system/node/node0 ] || skip "this kernel has no memory nodes"
	spec '.linux.memoryPolicy={mode:"MPOL_BIND",nodes:"0",flags:["MPOL_F_STATIC_NODES"]}'
	script 'head -n 1 /proc/self/numa_maps; sleep 100'
	start_c1
	eventually test -s "$T/out"
	grep -q " bind=static:0 " "$T/out"
	[[ "$(rt exec c1 head -n 1 /proc/self/numa_maps)" == *" bind=static:0 "* ]]
	rt delete -f c1
	local row
	for row in '{mode:"MPOL_X"}|linux.memoryPolicy.mode' '{mode:"MPOL_BIND"}|nodes: MPOL_BIND needs some' \
		'{mode:"MPOL_LOCAL",nodes:"0"}|takes none' '{mode:"MPOL_BIND",nodes:"0-"}|no list of memory nodes' \
		'{mode:"MPOL_BIND",nodes:"0",flags:["X"]}|linux.memoryPolicy.flags[0]' \
		'{mode:"MPOL_BIND",nodes:"999"}|linux.memoryPolicy: Invalid argument' '{nodes:"0"}|linux.memoryPolicy.mode'; do
		spec ".linux.memoryPolicy=${row%%|*}"
		run_c1
		echo "$row: $stderr"
		[ "$status" -eq 1 ]
		[[ "$stderr" == *"${row#*|}"* ]]
	done
}

@test "scheduler, ioPriority and personality are the process's" {
	only_ours "runc 1.1 and crun 1.8 have no scheduler"
	spec '.process.scheduler={policy:"SCHED_BATCH",nice:5} | .process.ioPriority={class:"IOPRIO_CLASS_IDLE",priority:0} |
		.linux.personality={domain:"LINUX32"}'
	script 'uname -m; cut -d" " -f19,41 /proc/self/stat; sleep 100'
	ln -s busybox "$B/rootfs/bin/uname"
	start_c1
	eventually grep -q ' ' "$T/out"
	[ "$(cat "$T/out")" = "i686
5 3" ]
	[ "$(ionice -p "$PID")" = idle ]
	[ "$(rt exec c1 uname -m)" = i686 ]
	rt delete -f c1
	local row
	for row in '.process.scheduler={policy:"SCHED_X"}|process.scheduler.policy' \
		'.process.scheduler={policy:"SCHED_OTHER",flags:["X"]}|process.scheduler.flags[0]' \
		'.process.ioPriority={class:"X",priority:1}|process.ioPriority.class' \
		'.process.ioPriority={class:"IOPRIO_CLASS_BE",priority:8}|process.ioPriority.priority' \
		'.linux.personality={domain:"X"}|linux.personality.domain'; do
		spec "del(.process.scheduler,.process.ioPriority,.linux.personality) | ${row%%|*}"
		run_c1
		echo "$row: $stderr"
		[ "$status" -eq 1 ]
		[[ "$stderr" == *"${row#*|}"* ]]
	done
}
