# What the process is: user, capabilities, limits, filter, directory, environment.
load lib
setup() { oci_setup; }
teardown() { oci_teardown; }

@test "user, group, additional groups and umask" {
	spec '.process.user={uid:1000,gid:1001,additionalGids:[5,6],umask:63}'
	script 'id -u; id -g; grep Groups /proc/self/status; umask; env | grep HOME'
	run_c1
	[ "$status" = 0 ]
	[ "${lines[0]}" = 1000 ]
	[ "${lines[1]}" = 1001 ]
	[[ "${lines[2]}" == *"5 6"* ]]
	[ "${lines[3]}" = 0077 ]
	[ "${lines[4]}" = HOME=/home/user ]
}

@test "capabilities are exactly those given, none of the runtime's" {
	spec '.process.capabilities={bounding:["CAP_KILL","CAP_CHOWN"],permitted:["CAP_KILL"],effective:["CAP_KILL"],inheritable:["CAP_KILL"],ambient:["CAP_KILL"]}'
	script 'grep Cap /proc/self/status'
	run_c1
	[ "${lines[0]}" = $'CapInh:\t0000000000000020' ]
	[ "${lines[1]}" = $'CapPrm:\t0000000000000021' ] || [ "${lines[1]}" = $'CapPrm:\t0000000000000020' ]
	[ "${lines[3]}" = $'CapBnd:\t0000000000000021' ]
	[ "${lines[4]}" = $'CapAmb:\t0000000000000020' ]
	spec 'del(.process.capabilities)'
	run_c1
	[ "${lines[1]}" = $'CapPrm:\t0000000000000000' ]
	[ "${lines[3]}" = $'CapBnd:\t0000000000000000' ]
}

@test "an ordinary user keeps ambient capabilities only" {
	spec '.process.user={uid:1000,gid:1000} | .process.capabilities={bounding:["CAP_KILL","CAP_CHOWN"],permitted:["CAP_KILL","CAP_CHOWN"],effective:["CAP_KILL"],inheritable:["CAP_KILL"],ambient:["CAP_KILL"]}'
	script 'grep -E "CapPrm|CapEff" /proc/self/status'
	run_c1
	[ "${lines[0]}" = $'CapPrm:\t0000000000000020' ]
	[ "${lines[1]}" = $'CapEff:\t0000000000000020' ]
}

@test "no_new_privs as asked" {
	script 'grep NoNewPrivs /proc/self/status'
	run_c1
	[ "$output" = $'NoNewPrivs:\t1' ]
	spec '.process.noNewPrivileges=false'
	run_c1
	[ "$output" = $'NoNewPrivs:\t0' ]
}

@test "resource limits" {
	spec '.process.rlimits=[{type:"RLIMIT_NOFILE",soft:100,hard:200},{type:"RLIMIT_CORE",soft:0,hard:0}]'
	script 'grep -E "open files|core file" /proc/self/limits'
	run_c1
	[[ "${lines[0]}" =~ core\ file\ size\ +0\ +0 ]]
	[[ "${lines[1]}" =~ open\ files\ +100\ +200 ]]
}

@test "a filter with and without no_new_privs" {
	spec '.linux.seccomp={defaultAction:"SCMP_ACT_ALLOW",architectures:["SCMP_ARCH_X86_64"],syscalls:[{names:["mkdir","mkdirat"],action:"SCMP_ACT_ERRNO",errnoRet:95}]}'
	script 'grep Seccomp: /proc/self/status; mkdir /tmp/x'
	run_c1
	[ "${lines[0]}" = $'Seccomp:\t2' ]
	[[ "$stderr" == *"not supported"* ]]
	spec '.process.noNewPrivileges=false'
	run_c1
	[ "${lines[0]}" = $'Seccomp:\t2' ]
	[[ "$stderr" == *"not supported"* ]]
	script 'sleep 100'
	start_c1
	run rt exec c1 mkdir /tmp/y
	[[ "$output" == *"not supported"* ]]
}

@test "a filter that does not let the last steps of the runtime pass still works with no_new_privs" {
	spec '.linux.seccomp={defaultAction:"SCMP_ACT_ALLOW",syscalls:[{names:["setgroups","capset","fchdir","openat2","close_range","accept4","sendmsg","recvmsg"],action:"SCMP_ACT_KILL_PROCESS"}]}'
	only_ours "runc installs it before the last steps"
	run_c1
	[ "$status" = 0 ]
}

@test "the working directory is made, is inside, and is not a way out" {
	spec '.process.cwd="/not/there" | .root.readonly=false'
	script pwd
	run_c1
	[ "$output" = /not/there ]
	for fd in 3 4 5 6 7 8 9 10 11 12; do
		spec '.process.cwd="/proc/self/fd/'$fd'"'
		run_c1
		[ "$status" != 0 ] || [[ "$output" != *unreachable* ]]
		[[ "$output" != *"$T"* ]]
	done
	ln -s /proc/self/fd/7 "$B/rootfs/link"
	spec '.process.cwd="/link/../../.."'
	run_c1
	[ "$status" != 0 ] || [ "$output" = / ]
}

@test "no descriptor of the runtime is left open" {
	script 'ls /proc/self/fd | tr "\n" " "'
	run_c1
	[ "$output" = "0 1 2 3 " ]  # 3 is the directory that ls reads
}

@test "descriptors asked for are preserved" {
	echo kept >"$T/kept"
	script 'cat <&3; ls /proc/self/fd | tr "\n" " "'
	run --separate-stderr "$RUNTIME" --root "$ROOT" run --preserve-fds 1 -b "$B" c1 3<"$T/kept"
	[ "${lines[0]}" = kept ]
	[ "${lines[1]}" = "0 1 2 3 4 " ]
}

@test "signals are neither blocked nor ignored" {
	spec '.process.args=["grep","-E","SigBlk|SigIgn","/proc/self/status"]'
	run_c1
	[ "${lines[0]}" = $'SigBlk:\t0000000000000000' ]
	[ "${lines[1]}" = $'SigIgn:\t0000000000000000' ]
}

@test "the oom score: raised, and lowered or left with a warning" {
	spec '.process.oomScoreAdj=500'
	script 'cat /proc/self/oom_score_adj'
	run_c1
	[ "$output" = 500 ]
	only_ours "runc fails where it may not lower it"
	spec '.process.oomScoreAdj=-500'
	run_c1
	[ "$status" = 0 ]
	[ "$output" = -500 ] || [[ "$stderr" == *"CAP_SYS_RESOURCE"* ]]
}

@test "the environment is exactly what was given, and HOME" {
	spec '.process.env=["PATH=/bin","A=1","B="]'
	spec '.process.args=["env"]'
	run_c1
	[ "$(sort <<<"$output" | tr '\n' ' ')" = "A=1 B= HOME=/root PATH=/bin " ]
}

@test "programs are found along PATH; each failure has its own words" {
	spec '.process.args=["nosuch"]'
	run_c1
	[ "$status" = 1 ]
	[[ "$stderr" == *'exec: \"nosuch\": executable file not found in $PATH'* ]]
	spec '.process.args=["/nosuch"]'
	run_c1
	[[ "$stderr" == *'stat /nosuch: no such file or directory'* || "$stderr" == *'stat /nosuch: No such file or directory'* ]]
	touch "$B/rootfs/bin/noexec"
	spec '.process.args=["noexec"]'
	run_c1
	[[ "${stderr,,}" == *'permission denied'* ]]
	spec '.process.args=["/tmp"]'
	run_c1
	[ "$status" = 1 ]
	printf '#!/no/interpreter\n' >"$B/rootfs/bin/script"; chmod +x "$B/rootfs/bin/script"
	spec '.process.args=["script"]'
	run_c1
	[ "$status" != 0 ]
	[ ! -e "$ROOT/c1" ]
}

@test "scheduler, io priority, personality" {
	only_ours "newer than runc 1.1"
	spec '.process.ioPriority={class:"IOPRIO_CLASS_IDLE",priority:0} | .process.scheduler={policy:"SCHED_BATCH",nice:5} | .linux.personality={domain:"LINUX32"}'
	script 'cut -d" " -f19,41 /proc/self/stat; cat /proc/self/personality 2>/dev/null; busybox uname -m'
	run_c1
	[ "$status" = 0 ]
	[ "${lines[0]}" = "5 3" ]
	[[ "$output" == *i686* ]]
}
