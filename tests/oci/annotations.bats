# Annotations that engines set for crun: "run.oci.…": each does what it says or is refused by name.

setup() {
	load lib
	oci_setup
	only_ours "crun's annotations, our texts"
}

teardown() {
	[ -z "${AGENT:-}" ] || kill "$AGENT"
	oci_teardown
}

refused() { # value, what is said; the annotation is $KEY
	spec '.annotations={($k):$v}' --arg k "$KEY" --arg v "$1"
	run_c1
	[ "$status" -eq 1 ] && [[ "$stderr" == *"$KEY"*"$2"* ]] || { echo "$stderr"; false; }
	[ -z "$(rt list -q)" ]
}

@test "keep_original_groups: the caller's groups stay, for exec too" {
	spec '.annotations={"run.oci.keep_original_groups":"1"} | .process.args=["sleep","100"]'
	setpriv --groups 77,88 "$RUNTIME" --root "$ROOT" create -b "$B" --pid-file "$T/pid" c1 </dev/null >/dev/null 2>&1
	rt start c1
	grep -q "^Groups:.77 88 *$" "/proc/$(cat "$T/pid")/status"
	[ "$(setpriv --groups 78 "$RUNTIME" --root "$ROOT" exec c1 id -G)" = "0 78" ]
}

@test "what would load other programs is refused; unknown ones are nothing" {
	KEY=run.oci.handler refused wasm "executed by the kernel only"
	KEY=run.oci.seccomp.plugins refused /x.so "loads no libraries"
	spec '.annotations={"run.oci.handler":"","run.oci.seccomp.plugins":"","run.oci.no_such":"x"}'
	rt run -b "$B" c1
}

@test "hooks.stdout and hooks.stderr: files that all hooks write to, and that grow" {
	spec '.annotations={"run.oci.hooks.stdout":($t+"/out.log"),"run.oci.hooks.stderr":($t+"/err.log")} |
		.hooks=(["prestart","createRuntime","createContainer","startContainer","poststart","poststop"] |
			map({(.):[{path:"/bin/sh",args:["sh","-c","echo \(.) out; echo \(.) err >&2"]}]}) | add)'
	rt run -b "$B" c1
	[ "$(paste -sd ' ' "$T/out.log")" = "prestart out createRuntime out createContainer out startContainer out poststart out poststop out" ]
	[ "$(grep -c ' err$' "$T/err.log")" = 6 ]
	rt run -b "$B" c1
	[ "$(wc -l <"$T/out.log")" = 12 ]
	KEY=run.oci.hooks.stdout
	spec '.annotations={"run.oci.hooks.stdout":"/no/where"}'
	run_c1
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"run.oci.hooks.stdout: open /no/where"* ]]
	[ -z "$(rt list -q)" ]
}

@test "timens_offset: a line for a clock, by name or number" {
	spec '.linux.namespaces+=[{type:"time"}] | .annotations={"run.oci.timens_offset":"monotonic 100000 5\nboottime 200000 0"} |
		.process.args=["cat","/proc/self/timens_offsets"]'
	run_c1
	[[ "$output" == *"monotonic"*"100000"*"5"*"boottime"*"200000"* ]]
	spec '.annotations={"run.oci.timens_offset":"7 300000 0"}'
	run_c1
	[[ "$output" == *"boottime"*"300000"* ]]
	KEY=run.oci.timens_offset
	refused "realtime 1 0" "monotonic (1) and boottime (7)"
	refused "monotonic x" "not CLOCK SECONDS NANOSECONDS"
	spec '.linux.namespaces|=map(select(.type!="time"))'
	refused "monotonic 1 0" "new time namespace"
}

@test "seccomp_fail_unknown_syscall: a name that is no system call is an error" {
	spec '.linux.seccomp={defaultAction:"SCMP_ACT_ALLOW",syscalls:[{names:["mkdir","no_such_call"],action:"SCMP_ACT_ERRNO"}]}'
	rt run -b "$B" c1
	spec '.annotations={"run.oci.seccomp_fail_unknown_syscall":"1"}'
	run_c1
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"linux.seccomp: "*no_such_call*"no system call"* ]]
	spec '.annotations={"run.oci.seccomp_fail_unknown_syscall":"0"}'
	rt run -b "$B" c1
	spec '.linux.seccomp.syscalls[0].names=["mkdir"] | .annotations={"run.oci.seccomp_fail_unknown_syscall":"1"}'
	rt run -b "$B" c1
}

@test "seccomp_bpf_data: a program as it is, instead of the profile, for exec too" {
	command -v python3 >/dev/null || skip "python3 is not installed"
	# number of mkdir: errno 28; all else: allowed. LD nr; JEQ 83; RET ERRNO|28; RET ALLOW
	local data
	data=$(python3 -c 'import base64, struct
i = lambda *a: struct.pack("HBBI", *a)
print(base64.b64encode(i(0x20, 0, 0, 0) + i(0x15, 0, 1, 83) + i(6, 0, 0, 0x50000 | 28) + i(6, 0, 0, 0x7fff0000)).decode())')
	[ "$(uname -m)" = x86_64 ] || skip "the number is of x86_64"
	spec '.annotations={"run.oci.seccomp_bpf_data":$d} | .process.args=["sleep","100"] |
		.linux.seccomp={defaultAction:"SCMP_ACT_KILL"} | .mounts+=[{destination:"/tmp",type:"tmpfs",source:"tmpfs"}]' --arg d "$data"
	start_c1
	is running
	run rt exec c1 mkdir /tmp/x
	[ "$status" -eq 1 ]
	[[ "$output" == *"No space left"* ]]
	rt delete -f c1
	KEY=run.oci.seccomp_bpf_data
	refused "!" "no base64"
	refused AAAA "no whole number of instructions"
	refused "$(head -c 40000 /dev/zero | base64 -w0)" "4096 instructions"
	spec '.annotations[$k]="AAAAAAAAAAA="' --arg k "$KEY" # one instruction that is none
	run_c1
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"seccomp filter: Invalid argument"* ]]
}

@test "seccomp.receiver, as annotation and from the environment" {
	command -v python3 >/dev/null || skip "python3 is not installed"
	python3 tests/oci/seccomp-agent.py "$T/agent" "$T/states" 3>&- &
	AGENT=$!
	eventually test -S "$T/agent"
	spec '.linux.seccomp={defaultAction:"SCMP_ACT_ALLOW",syscalls:[{names:["mkdir"],action:"SCMP_ACT_NOTIFY"}]} |
		.mounts+=[{destination:"/tmp",type:"tmpfs",source:"tmpfs"}] | .process.args=["mkdir","/tmp/x"]'
	RUN_OCI_SECCOMP_RECEIVER=$T/agent run_c1
	[[ "$stderr" == *"Cannot assign"* ]]
	spec '.annotations={"run.oci.seccomp.receiver":($t+"/agent")}'
	run_c1
	[[ "$stderr" == *"Cannot assign"* ]]
	[ "$(wc -l <"$T/states")" = 2 ]
}

@test "pidfd_receiver gets a pidfd of the container's process" {
	command -v python3 >/dev/null || skip "python3 is not installed"
	spec '.annotations={"run.oci.pidfd_receiver":($t+"/pidfd")} | .process.args=["sleep","100"]'
	python3 tests/oci/pidfd.py "$T/pidfd" >"$T/got" 3>&- &
	eventually test -S "$T/pidfd"
	start_c1
	eventually test -s "$T/got"
	[ "$(cat "$T/got")" = "0 $PID" ]
	rt delete -f c1
	KEY=run.oci.pidfd_receiver
	refused relative "not absolute"
	refused "$T/nobody" "No such file"
	[ ! -e "$(cgdir pids)" ]
}

@test "mount_context_type is one of four" {
	spec '.annotations={"run.oci.mount_context_type":"rootcontext"}'
	rt run -b "$B" c1
	KEY=run.oci.mount_context_type refused x "none of context, fscontext, defcontext, rootcontext"
}

@test "systemd.force_cgroup_v1: a mount becomes the hierarchy of systemd" {
	spec '.annotations={"run.oci.systemd.force_cgroup_v1":"/cg"} | .mounts+=[{destination:"/cg",type:"tmpfs",source:"tmpfs"}] |
		.process.args=["sh","-c","grep \" /cg \" /proc/mounts && [ -e /cg/cgroup.procs ]"]'
	run_c1
	[ "$status" -eq 0 ] && [[ "$output" == *" cgroup "*"name=systemd"* ]] || { echo "$output $stderr"; false; }
	KEY=run.oci.systemd.force_cgroup_v1 refused /nothing "no such destination among the mounts"
}

@test "delegate-cgroup: the process is below the cgroup that it sees as the root and that has the limits" {
	KEY=run.oci.delegate-cgroup
	if ! is_v2; then
		refused below "only cgroup v2"
		return
	fi
	refused a/b "no name of a cgroup"
	spec '.annotations={"run.oci.delegate-cgroup":"below"} | .linux.resources.pids.limit=44'
	script 'cat /proc/self/cgroup; sleep 100'
	start_c1
	eventually grep -qx 0::/below "$T/out"
	[ "$(cat "/sys/fs/cgroup$CG/c1/pids.max")" = 44 ]
	[ "$(cat "/sys/fs/cgroup$CG/c1/below/pids.max" 2>/dev/null || echo max)" = max ]
	grep -qx "$PID" "/sys/fs/cgroup$CG/c1/below/cgroup.procs"
	[ "$(rt exec c1 cat /proc/self/cgroup)" = 0::/below ]
	rt pause c1
	is paused
	rt resume c1
	[ "$(rt ps -f json c1)" = "[$PID]" ]
	rt delete -f c1
	[ ! -e "/sys/fs/cgroup$CG/c1" ]
}

# bats test_tags=systemd
@test "systemd.subgroup: processes are in a cgroup below the scope, which has the limits" {
	[ -d /run/systemd/system ] && is_v2 || skip "systemd on cgroup v2 only"
	local scope=/sys/fs/cgroup/machine.slice/ann-c1.scope
	spec '.annotations={"run.oci.systemd.subgroup":"inner"} | .linux.cgroupsPath="machine.slice:ann:c1" |
		.linux.resources.pids.limit=44 | .process.args=["sleep","100"]'
	rt --systemd-cgroup create -b "$B" --pid-file "$T/pid" c1 >"$T/out" 2>&1 </dev/null
	rt start c1
	grep -qx "$(cat "$T/pid")" $scope/inner/cgroup.procs
	[ -z "$(cat $scope/cgroup.procs)" ]
	[ "$(cat $scope/pids.max)" = 44 ]
	rt exec -d --pid-file "$T/other" c1 sleep 100
	grep -qx "$(cat "$T/other")" $scope/inner/cgroup.procs
	rt delete -f c1
	[ ! -e $scope ]
}
