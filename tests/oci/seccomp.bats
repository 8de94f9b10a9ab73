# linux.seccomp: actions, flags and the listener, seen from inside.

setup() {
	load lib
	oci_setup
}

teardown() {
	[ -z "${AGENT:-}" ] || kill "$AGENT"
	oci_teardown
}

agent() {
	python3 tests/oci/seccomp-agent.py "$T/agent" "$T/states" 3>&- &
	AGENT=$!
	eventually test -S "$T/agent"
	spec '.linux.seccomp={defaultAction:"SCMP_ACT_ALLOW",listenerPath:($t+"/agent"),listenerMetadata:"m 1",
		syscalls:[{names:["mkdir","mkdirat"],action:"SCMP_ACT_NOTIFY"}]} | .annotations.a="b" |
		.mounts+=[{destination:"/tmp",type:"tmpfs",source:"tmpfs"}]'
}

@test "an agent gets the listener and the state of the container, and answers its system calls" {
	agent
	script 'mkdir /tmp/d; echo $?; sleep 100'
	start_c1
	eventually grep -q 1 "$T/out"
	grep -q "mkdir: can't create directory '/tmp/d': Cannot assign requested address" "$T/out"
	jq -e --arg b "$B" --argjson p "$PID" '.fds==["seccompFd"] and .pid==$p and .metadata=="m 1" and .ociVersion==.state.ociVersion
		and .state.id=="c1" and .state.pid==$p and .state.bundle==$b and .state.annotations.a=="b" and
		(.state.status|length>0)' "$T/states"
	only_ours "runc 1.1 hangs in an exec whose filter asks an agent"
	run rt exec c1 mkdir /tmp/e
	[ "$status" -eq 1 ]
	[[ "$output" == *"Cannot assign"* ]]
	[ "$(wc -l <"$T/states")" = 2 ]
	[ "$(sed -n 2p "$T/states" | jq .pid)" != "$PID" ]
	[ "$(sed -n 2p "$T/states" | jq .state.pid)" = "$PID" ]
}

@test "the listener is handed over without no_new_privs too, while the container is created" {
	agent
	spec '.process.noNewPrivileges=false | .process.capabilities.effective+=["CAP_SYS_ADMIN"] |
		.process.capabilities.permitted+=["CAP_SYS_ADMIN"] | .process.capabilities.bounding+=["CAP_SYS_ADMIN"]'
	script 'mkdir /tmp/d'
	rt create -b "$B" c1 >"$T/out" 2>&1 </dev/null
	[ "$(jq -r .state.status "$T/states")" = creating ]
	rt start c1
	eventually is stopped
	grep -q "Cannot assign" "$T/out"
}

@test "without an agent the container does not start, and says why" {
	only_ours "runc 1.1 does not name the field"
	spec '.linux.seccomp={defaultAction:"SCMP_ACT_ALLOW",syscalls:[{names:["mkdir"],action:"SCMP_ACT_NOTIFY"}]}'
	run_c1
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"linux.seccomp.listenerPath"* ]]
	spec '.linux.seccomp.listenerPath=$t+"/nobody"'
	run_c1
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"listenerPath $T/nobody"*"No such file"* ]]
	[ -z "$(rt list -q)" ]
	spec '.linux.seccomp={defaultAction:"SCMP_ACT_ALLOW",listenerMetadata:"m"}'
	run_c1
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"listenerMetadata"* ]]
	spec '.linux.seccomp={defaultAction:"SCMP_ACT_ALLOW",listenerPath:"/x",syscalls:[{names:["sendmsg"],action:"SCMP_ACT_NOTIFY"}]}'
	run_c1
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"sendmsg"* ]]
	# a path that no rule needs is ignored
	spec '.linux.seccomp={defaultAction:"SCMP_ACT_ALLOW",listenerPath:"/nowhere",syscalls:[]}'
	run_c1
	[ "$status" -eq 0 ]
}

@test "actions, argument rules and errno values do what they say" {
	spec '.linux.seccomp={defaultAction:"SCMP_ACT_ALLOW",flags:$flags,architectures:["SCMP_ARCH_X86_64","SCMP_ARCH_X86"],
		syscalls:[{names:["mkdir","mkdirat"],action:"SCMP_ACT_ERRNO",errnoRet:28},
		{names:["kill"],action:"SCMP_ACT_ERRNO",errnoRet:1,args:[{index:1,value:10,op:"SCMP_CMP_EQ"}]},
		{names:["sync"],action:"SCMP_ACT_KILL_PROCESS"}, {names:["no_such_call"],action:"SCMP_ACT_ERRNO"}]}' \
		--argjson flags "$([ -n "$OURS" ] && echo '["SECCOMP_FILTER_FLAG_LOG"]' || echo '[]')" # runc 1.1 takes none
	ln -s busybox "$B/rootfs/bin/sync"
	script 'mkdir /tmp/x; kill -USR1 $$; echo $?; kill -URG $$; echo $?; sync; echo $?'
	run_c1
	[ "$status" -eq 0 ]
	[[ "$stderr" == *"No space left"* ]]
	[ "${lines[0]}" = 1 ]
	[ "${lines[1]}" = 0 ]
	[ "${lines[2]}" = 159 ]
}
