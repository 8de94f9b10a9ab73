# Every resource of the runtime specification, read back from the kernel's files: on v1, on v2
# and, where it runs, through systemd. What a hierarchy cannot do is refused by its name.
load lib
load drivers

setup() {
	drivers_setup
	spec '.process.args=["sleep","1000"] | .root.readonly=false'
	BASE=$(cat "$B/config.json")
	DISK=$(lsblk -dno MAJ:MIN 2>/dev/null | tr -d ' ' | head -n 1)
}
teardown() { drivers_teardown; }

# limit 'resources' v1 CONTROLLER FILE VALUE v2 CONTROLLER FILE VALUE ['annotations']
# "refused TEXT" instead of three words.
limit() {
	local d want where=$7
	[ "$where" != refused ] || where=$3
	if in_v2 "$where"; then want=("${@:7:3}"); else want=("${@:3:3}"); fi
	for d in "${drivers[@]}"; do
		begin "$d" "$1" "${10:-"{}"}"
		if [ "${want[0]}" = refused ]; then
			[ "$status" = 1 ] || { echo "$d: taken"; false; }
			[[ "$output" == *"${want[1]}"* ]] || { echo "$output"; false; }
			[ -z "$(rt list -q)" ]
			continue
		fi
		[ "$status" = 0 ] || { echo "$d: $output"; false; }
		holds "${want[@]}"
		end
	done
}

@test "memory: limit, none, reservation" {
	has memory || skip "no memory controller"
	limit '{"memory":{"limit":67108864}}' v1 memory memory.limit_in_bytes 67108864 v2 memory memory.max 67108864
	limit '{"memory":{"limit":-1}}' v1 memory memory.limit_in_bytes 9223372036854771712 v2 memory memory.max max
	limit '{"memory":{"reservation":33554432}}' v1 memory memory.soft_limit_in_bytes 33554432 v2 memory memory.low 33554432
}

@test "memory: swap is memory and swap together" {
	has memory || skip "no memory controller"
	limit '{"memory":{"limit":67108864,"swap":100663296}}' v1 memory memory.memsw.limit_in_bytes 100663296 v2 memory memory.swap.max 33554432
	limit '{"memory":{"limit":67108864,"swap":67108864}}' v1 memory memory.memsw.limit_in_bytes 67108864 v2 memory memory.swap.max 0
	limit '{"memory":{"limit":67108864,"swap":-1}}' v1 memory memory.memsw.limit_in_bytes 9223372036854771712 v2 memory memory.swap.max max
	limit '{"memory":{"limit":67108864,"swap":1048576}}' v1 refused "below the memory limit" . v2 refused "below the memory limit" .
}

@test "memory: kernel is ignored; what only v1 has is refused on v2" {
	has memory || skip "no memory controller"
	limit '{"memory":{"kernel":16777216,"limit":67108864,"useHierarchy":true}}' v1 memory memory.limit_in_bytes 67108864 v2 memory memory.max 67108864
	limit '{"memory":{"kernelTCP":16777216}}' v1 memory memory.kmem.tcp.limit_in_bytes 16777216 v2 refused "kernel TCP memory limit does not exist" .
	limit '{"memory":{"swappiness":10}}' v1 memory memory.swappiness 10 v2 refused "memory swappiness does not exist" .
	limit '{"memory":{"disableOOMKiller":true}}' v1 memory memory.oom_control "oom_kill_disable 1" v2 refused "OOM killer does not exist" .
	limit '{"memory":{"disableOOMKiller":false}}' v1 memory memory.oom_control "oom_kill_disable 0" v2 memory memory.max max
}

@test "cpu: shares and their two curves" {
	limit '{"cpu":{"shares":512}}' v1 cpu cpu.shares 512 v2 cpu cpu.weight 20
	limit '{"cpu":{"shares":1024}}' v1 cpu cpu.shares 1024 v2 cpu cpu.weight 39
	limit '{"cpu":{"shares":2}}' v1 cpu cpu.shares 2 v2 cpu cpu.weight 1
	limit '{"cpu":{"shares":262144}}' v1 cpu cpu.shares 262144 v2 cpu cpu.weight 10000
	limit '{"cpu":{"shares":1024}}' v1 cpu cpu.shares 1024 v2 cpu cpu.weight 100 '{"org.caisson.cpu-weight-curve":"quadratic"}'
	limit '{"cpu":{"shares":512}}' v1 cpu cpu.shares 512 v2 cpu cpu.weight 59 '{"org.caisson.cpu-weight-curve":"quadratic"}'
	limit '{"cpu":{"shares":512}}' v1 refused "neither linear nor quadratic" . v2 refused "neither linear nor quadratic" . '{"org.caisson.cpu-weight-curve":"cubic"}'
}

# bats test_tags=systemd
@test "cpu: quota, period, burst, idle" {
	limit '{"cpu":{"quota":50000,"period":100000}}' v1 cpu cpu.cfs_quota_us 50000 v2 cpu cpu.max "50000 100000"
	limit '{"cpu":{"quota":33333,"period":50000}}' v1 cpu cpu.cfs_period_us 50000 v2 cpu cpu.max "33333 50000"
	limit '{"cpu":{"quota":-1}}' v1 cpu cpu.cfs_quota_us -1 v2 cpu cpu.max "max 100000"
	limit '{"cpu":{"period":50000}}' v1 cpu cpu.cfs_period_us 50000 v2 cpu cpu.max "max 50000"
	limit '{"cpu":{"quota":50000,"period":100000,"burst":10000}}' v1 cpu cpu.cfs_burst_us 10000 v2 cpu cpu.max.burst 10000
	limit '{"cpu":{"idle":1}}' v1 cpu cpu.idle 1 v2 cpu cpu.idle 1
	limit '{"cpu":{"quota":5,"period":100000}}' v1 refused "cpu" . v2 refused "cpu.max" .
	limit '{"cpu":{"period":5}}' v1 refused "5 is no valid CPU period" . v2 refused "5 is no valid CPU period" .
}

@test "cpu: sets; realtime only where v1 has it" {
	has cpuset || skip "no cpuset controller"
	limit '{"cpu":{"cpus":"0","mems":"0"}}' v1 cpuset cpuset.cpus 0 v2 cpuset cpuset.cpus 0
	limit '{"cpu":{"cpus":"0","mems":"0"}}' v1 cpuset cpuset.mems 0 v2 cpuset cpuset.mems 0
	limit '{"cpu":{"cpus":"4096"}}' v1 refused cpuset . v2 refused cpuset .
	limit '{"cpu":{"cpus":"zero"}}' v1 refused "no valid CPU set" . v2 refused "no valid CPU set" .
	# the parent has no realtime to give, or the kernel no such file
	limit '{"cpu":{"realtimeRuntime":1000,"realtimePeriod":1000000}}' v1 refused cpu.rt_ . v2 refused "realtime" .
}

# bats test_tags=systemd
@test "pids" {
	limit '{"pids":{"limit":44}}' v1 pids pids.max 44 v2 pids pids.max 44
	limit '{"pids":{"limit":1}}' v1 pids pids.max 1 v2 pids pids.max 1
	limit '{"pids":{"limit":-1}}' v1 pids pids.max max v2 pids pids.max max
}

@test "blockIO: throttles of a device" {
	[ -n "$DISK" ] || skip "no disk"
	local dev="\"major\":${DISK%:*},\"minor\":${DISK#*:}"
	limit "{\"blockIO\":{\"throttleReadBpsDevice\":[{$dev,\"rate\":1048576}]}}" \
		v1 blkio blkio.throttle.read_bps_device "$DISK 1048576" v2 io io.max "$DISK rbps=1048576 wbps=max riops=max wiops=max"
	limit "{\"blockIO\":{\"throttleWriteBpsDevice\":[{$dev,\"rate\":2097152}],\"throttleWriteIOPSDevice\":[{$dev,\"rate\":30}]}}" \
		v1 blkio blkio.throttle.write_iops_device "$DISK 30" v2 io io.max "$DISK rbps=max wbps=2097152 riops=max wiops=30"
	limit "{\"blockIO\":{\"throttleReadIOPSDevice\":[{$dev,\"rate\":40}]}}" \
		v1 blkio blkio.throttle.read_iops_device "$DISK 40" v2 io io.max "$DISK rbps=max wbps=max riops=40 wiops=max"
	limit '{"blockIO":{"throttleReadBpsDevice":[{"major":4000,"minor":4000,"rate":1}]}}' v1 refused 4000:4000 . v2 refused 4000:4000 .
}

@test "blockIO: a weight is set, or the file that lacks is named" {
	local d found=0
	for d in "${drivers[@]}"; do
		begin "$d" '{"blockIO":{"weight":500}}'
		if [ "$status" = 0 ]; then
			cat "$(dir_of "$(is_v2 && echo io || echo blkio)")"/{blkio.weight,blkio.bfq.weight,io.weight,io.bfq.weight} 2>/dev/null |
				grep -qE '^(default )?(500|4950)$'
			end
		else
			[[ "$output" == *"weight"* ]]
		fi
	done
	limit '{"blockIO":{"weight":5}}' v1 refused "5 is no valid weight" . v2 refused "5 is no valid weight" .
}

@test "huge pages, where the controller is" {
	ls /sys/kernel/mm/hugepages | grep -q hugepages-2048kB || skip "no huge pages of 2 MiB"
	local d file
	for d in "${drivers[@]}"; do
		begin "$d" '{"hugepageLimits":[{"pageSize":"2MB","limit":4194304}]}'
		if [ "$status" = 0 ]; then
			file=$(find "$(dir_of hugetlb)" -maxdepth 1 -name 'hugetlb.2MB.max' -o -maxdepth 1 -name 'hugetlb.2MB.limit_in_bytes')
			[ "$(cat "$file")" = 4194304 ]
			end
		else
			[[ "$output" == *"hugetlb"* ]]
		fi
	done
	limit '{"hugepageLimits":[{"pageSize":"3XB","limit":1}]}' v1 refused "no page size" . v2 refused "no page size" .
}

@test "rdma and network classes: set, or the controller that lacks is named" {
	local d
	for d in "${drivers[@]}"; do
		begin "$d" '{"rdma":{"mlx5_1":{"hcaHandles":3,"hcaObjects":10}}}'
		# nobody has that device here
		[ "$status" = 1 ]
		[[ "$output" == *rdma* ]]
		begin "$d" '{"network":{"classID":1048577}}'
		if [ "$status" = 0 ]; then holds net_cls net_cls.classid 1048577 && end; else [[ "$output" == *net_cls*network\ class* ]]; fi
		begin "$d" '{"network":{"priorities":[{"name":"lo","priority":5}]}}'
		if [ "$status" = 0 ]; then holds net_prio net_prio.ifpriomap "lo 5" && end; else [[ "$output" == *net_prio*network\ priority* ]]; fi
		[ -z "$(rt list -q)" ]
	done
}

@test "unified: files of v2 by name" {
	has memory || skip "no memory controller"
	limit '{"unified":{"memory.high":"50331648"}}' v1 refused "the controller is not in cgroup v2 here" . v2 memory memory.high 50331648
	limit '{"unified":{"memory.high":"50331648","memory.min":"1048576"}}' v1 refused "not in cgroup v2" . v2 memory memory.min 1048576
	# on its own: where v1 and v2 are both in use each controller is in one of them
	limit '{"unified":{"pids.max":"33"}}' v1 refused "not in cgroup v2" . v2 pids pids.max 33
	limit '{"pids":{"limit":10},"unified":{"pids.max":"33"}}' v1 refused "not in cgroup v2" . v2 pids pids.max 33
	limit '{"unified":{"cgroup.procs":"1"}}' v1 refused "cgroup.procs is not a limit" . v2 refused "cgroup.procs is not a limit" .
	limit '{"unified":{"../../cgroup.kill":"1"}}' v1 refused "no cgroup v2 file" . v2 refused "no cgroup v2 file" .
}

# bats test_tags=systemd
@test "devices: denied but for the rules; an update keeps /dev/null" {
	local d
	for d in "${drivers[@]}"; do
		begin "$d" '{"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":10,"minor":200,"access":"r"}]}'
		[ "$status" = 0 ]
		rt start c1
		rt exec --cap CAP_MKNOD c1 sh -c 'echo x >/dev/null; mknod /tmp/disk b 259 0; mknod /tmp/tun c 10 200; mknod /tmp/mem c 1 1'
		run rt exec c1 sh -c 'cat /tmp/disk'
		[[ "$output" == *"not permitted"* ]]
		run rt exec c1 sh -c 'cat /tmp/mem'
		[[ "$output" == *"not permitted"* ]]
		run rt exec c1 sh -c 'cat </tmp/tun'
		[[ "$output" != *"not permitted"* ]]
		run rt exec c1 sh -c 'echo x >/tmp/tun'
		[[ "$output" == *"not permitted"* ]]
		rt update --pids-limit 50 c1
		rt exec c1 sh -c 'echo x >/dev/null'
		run rt exec c1 sh -c 'cat /tmp/disk'
		[[ "$output" == *"not permitted"* ]]
		end
		rm -f "$B"/rootfs/tmp/*
	done
}

# bats test_tags=systemd
@test "an update is all or nothing, and each single flag is taken" {
	has memory && has cpuset || skip "no memory or cpuset controller"
	local d
	for d in "${drivers[@]}"; do
		begin "$d" '{"memory":{"limit":67108864},"pids":{"limit":44},"cpu":{"shares":512}}'
		[ "$status" = 0 ]
		rt start c1
		run rt update -r - c1 <<<'{"memory":{"limit":33554432},"pids":{"limit":55},"blockIO":{"throttleReadBpsDevice":[{"major":4000,"minor":4000,"rate":1}]}}'
		[ "$status" = 1 ]
		[[ "$output" == *4000:4000* ]]
		holds pids pids.max 44
		if in_v2 memory; then holds memory memory.max 67108864; else holds memory memory.limit_in_bytes 67108864; fi
		rt update --pids-limit 55 --memory 134217728 --memory-swap -1 --cpu-quota 20000 --cpu-period 50000 --cpuset-cpus 0 --cpu-share 1024 c1
		holds pids pids.max 55
		holds cpuset cpuset.cpus 0
		if in_v2 memory; then holds memory memory.max 134217728; else holds memory memory.limit_in_bytes 134217728; fi
		if in_v2 cpu; then
			holds cpu cpu.max "20000 50000"
			holds cpu cpu.weight 39
		else
			holds cpu cpu.cfs_quota_us 20000
			holds cpu cpu.shares 1024
		fi
		end
	done
}

@test "checkBeforeUpdate refuses a limit below what is used" {
	has memory || skip "no memory controller"
	local d
	for d in "${drivers[@]}"; do
		begin "$d" '{"memory":{"limit":67108864}}'
		rt start c1
		rt exec c1 sh -c 'dd if=/dev/zero of=/tmp/f bs=1M count=20 2>/dev/null'
		run rt update -r - c1 <<<'{"memory":{"limit":1048576,"checkBeforeUpdate":true}}'
		[ "$status" = 1 ]
		[[ "$output" == *"below the"*"bytes in use"* ]]
		if in_v2 memory; then holds memory memory.max 67108864; else holds memory memory.limit_in_bytes 67108864; fi
		end
		rm -f "$B/rootfs/tmp/f"
	done
}

# bats test_tags=systemd
@test "annotations of systemd's properties: only those that are allowed" {
	[ -d /run/systemd/system ] || skip "needs systemd"
	begin systemd '{}' '{"org.systemd.property.TimeoutStopSec":"7","org.systemd.property.CollectMode":"'"'inactive'"'","org.systemd.property.After":"['"'basic.target'"']"}'
	[ "$status" = 0 ] || { echo "$output"; false; }
	[ "$(systemctl show test-c1.scope -p TimeoutStopUSec --value)" = 7s ]
	[ "$(systemctl show test-c1.scope -p CollectMode --value)" = inactive ]
	[[ "$(systemctl show test-c1.scope -p After --value)" == *basic.target* ]]
	end
	begin systemd '{}' '{"org.systemd.property.MemoryMax":"uint64 1"}'
	[ "$status" = 1 ]
	[[ "$output" == *"MemoryMax is no property that an annotation may set"* ]]
	begin systemd '{}' '{"org.systemd.property.CollectMode":"inactive"}'
	[ "$status" = 1 ]
	[[ "$output" == *"is no value of type s"* ]]
}

@test "without systemd the systemd driver says so; a wrong path for it too" {
	jq '.linux.cgroupsPath="/a/b"' <<<"$BASE" >"$B/config.json"
	run rt --systemd-cgroup create -b "$B" c1
	[ "$status" = 1 ]
	[[ "$output" == *'slice:prefix:name'* ]]
	[ ! -d /run/systemd/system ] || return 0
	jq '.linux.cgroupsPath="a.slice:x:y"' <<<"$BASE" >"$B/config.json"
	run rt --systemd-cgroup create -b "$B" c1
	[ "$status" = 1 ]
	[[ "$output" == *"/run/systemd/private"*"is systemd running?"* ]]
	run rt --cgroup-manager runes create -b "$B" c1
	[ "$status" = 1 ]
	[[ "$output" == *"none of cgroupfs, systemd, disabled"* ]]
}

@test "with cgroups disabled there is no cgroup and the container runs" {
	jq '.process.args=["true"]' <<<"$BASE" >"$B/config.json"
	run rt --cgroup-manager disabled run -b "$B" c1
	[ "$status" = 0 ]
	[ -z "$(find /sys/fs/cgroup -maxdepth 3 -type d -path "*$CG*")" ]
}

@test "below a threaded cgroup: cpu and pids can be limited, memory cannot" {
	is_v2 || skip "about v2"
	local top=/sys/fs/cgroup$CG
	mkdir -p "$top/t"
	echo threaded >"$top/t/cgroup.type"
	jq --arg p "$CG/t/c1" '.linux.cgroupsPath=$p | .linux.resources.memory={limit:67108864}' <<<"$BASE" >"$B/config.json"
	run rt create -b "$B" c1
	[ "$status" = 1 ]
	[[ "$output" == *"memory"*"below a threaded cgroup"* ]]
	rmdir "$top/t" "$top"
}
