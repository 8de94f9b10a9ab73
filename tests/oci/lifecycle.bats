# create, start, state, kill, delete: the states and what is refused in each.
load lib
setup() { oci_setup; }
teardown() { oci_teardown; }

@test "run gives the output and the exit code" {
	script 'echo out; echo err >&2; exit 7'
	run_c1
	[ "$status" = 7 ]
	[ "$output" = out ]
	[ "$stderr" = err ]
	[ -z "$(rt list -q)" ]
	[ ! -e "$ROOT/c1" ]
}

@test "a process killed by a signal gives 128 + its number" {
	# process 1 of a pid namespace is immune to its own signals
	spec '.linux.namespaces |= map(select(.type != "pid"))'
	script 'kill -KILL $$'
	run_c1
	[ "$status" = 137 ]
}

@test "create, start, stop, delete: the state at each step" {
	spec '.process.args=["sleep","100"] | .annotations={"a.b":"c"}'
	rt create -b "$B" --pid-file "$T/pid" c1 >"$T/out" 2>&1 </dev/null
	pid=$(cat "$T/pid")
	is created
	[ "$(rt state c1 | jq -c '[.id,.pid,.bundle,.rootfs,.annotations["a.b"]]')" = "[\"c1\",$pid,\"$B\",\"$B/rootfs\",\"c\"]" ]
	rt state c1 | jq -e '.created | test("^[0-9-]{10}T[0-9:]{8}\\.[0-9]+Z$")'
	[ "$(tr '\0' ' ' </proc/$pid/cmdline | cut -d' ' -f1)" != sleep ]
	rt start c1
	is running
	eventually sh -c "tr '\\0' ' ' </proc/$pid/cmdline | grep -q '^sleep 100'"
	run rt delete c1
	[ "$status" != 0 ]
	[[ "$output" == *"not stopped"* ]]
	rt kill c1 KILL
	eventually is stopped
	[ "$(rt state c1 | jq .pid)" = 0 ]
	rt delete c1
	run rt state c1
	[ "$status" = 1 ]
	[[ "$output" == *"does not exist"* ]]
}

@test "an id is used once" {
	spec '.process.args=["sleep","100"]'
	start_c1
	run rt create -b "$B" c1 </dev/null
	[ "$status" = 1 ]
	[[ "$output" == *"exists"* || "$output" == *"already exists"* ]]
	is running
}

@test "an id that could be a path is refused" {
	for id in ../x a/b . .. ''; do
		run rt create -b "$B" "$id" </dev/null
		[ "$status" = 1 ]
	done
	[ ! -e "$T/x" ]
}

@test "start is refused when running and when stopped" {
	spec '.process.args=["sleep","100"]'
	start_c1
	run rt start c1
	[ "$status" = 1 ]
	[[ "$output" == *"cannot start an already running container"* ]]
	rt kill c1 9
	eventually is stopped
	run rt start c1
	[ "$status" = 1 ]
	[[ "$output" == *"stopped"* ]]
}

@test "signals by name and number reach the process" {
	script 'trap "echo usr1" USR1; trap "echo term; exit 3" TERM; while :; do sleep 0.02; done'
	start_c1
	eventually sh -c "grep -q '^SigCgt:.*[1-9a-f]' /proc/$PID/status"
	sleep 0.1
	rt kill c1 SIGUSR1
	eventually grep -q usr1 "$T/out"
	rt kill c1 15
	eventually grep -q term "$T/out"
	eventually is stopped
	run rt kill c1 KILL
	[ "$status" = 1 ]
	[[ "$output" == *"container not running"* ]]
	run rt kill c1 NOSUCH
	[[ "$output" == *"unknown signal"* ]]
}

@test "delete --force kills, and is content when nothing is there" {
	script 'sleep 100 & sleep 100 & wait'
	start_c1
	rt delete -f c1
	run rt state c1
	[ "$status" = 1 ]
	[ ! -e /proc/$PID ] || [ "$(cut -d' ' -f3 /proc/$PID/stat)" = Z ]
	rt delete --force nothing
}

@test "delete removes what the container left in its cgroup" {
	spec '.linux.namespaces |= map(select(.type != "pid"))'
	script 'sleep 100 & exit 0'
	start_c1
	eventually is stopped
	[ -n "$(cat "$(cgdir pids)/cgroup.procs")" ]
	only_ours "runc says: cannot delete, or leaves them"
	rt delete c1
	[ ! -e "$(cgdir pids)" ]
}

@test "pause freezes, resume thaws, exec in between is refused" {
	script 'while :; do echo x; sleep 0.02; done'
	start_c1
	rt pause c1
	is paused
	n=$(wc -l <"$T/out"); sleep 0.2
	[ "$(wc -l <"$T/out")" = "$n" ]
	run rt exec c1 true
	[ "$status" = 255 ]
	[[ "$output" == *"paused"* ]]
	rt resume c1
	is running
	eventually sh -c "[ \$(wc -l <'$T/out') -gt $n ]"
	run rt resume c1
	[ "$status" = 1 ]
	rt pause c1
	rt kill c1 KILL
	eventually is stopped
}

@test "list and ps" {
	spec '.process.args=["sleep","100"]'
	start_c1
	rt list | grep -E "^c1 +$PID +running +$B +[0-9TZ:.-]+ +root$"
	[ "$(rt list -f json | jq -c '.[0]|[.id,.pid,.status]')" = "[\"c1\",$PID,\"running\"]" ]
	[ "$(rt list -q)" = c1 ]
	[ "$(rt ps -f json c1 | jq -c .)" = "[$PID]" ]
	rt ps c1 | grep "sleep 100"
}

@test "run --detach, --keep, and options behind the id" {
	spec '.process.args=["sleep","100"]'
	only_ours "runc takes options before the id only"
	rt run c1 --detach --bundle "$B" --pid-file="$T/pid" >/dev/null 2>&1 </dev/null
	is running
	[ "$(rt state c1 | jq .pid)" = "$(cat "$T/pid")" ]
	rt delete -f c1
	spec '.process.args=["false"]'
	run rt run --keep -b "$B" c1
	[ "$status" = 1 ]
	is stopped
}

@test "a relative pid file counts from the caller's directory" {
	cd "$T"
	spec '.process.args=["sleep","100"]'
	rt create -b "$B" --pid-file rel.pid c1 >/dev/null 2>&1 </dev/null
	[ "$(cat "$T/rel.pid")" = "$(rt state c1 | jq .pid)" ]
}

@test "create that is killed leaves nothing that delete --force does not take" {
	only_ours "runc leaves states that its delete does not know"
	spec '.process.args=["sleep","100"]'
	for delay in 0 0.001 0.002 0.003 0.004 0.005 0.006 0.008 0.010 0.012; do
		"$RUNTIME" --root "$ROOT" create -b "$B" c1 >/dev/null 2>&1 </dev/null 3>&- &
		sleep $delay
		kill -9 $! 2>/dev/null || true
		wait $! 2>/dev/null || true
		rt delete -f c1
		[ ! -e "$ROOT/c1" ]
		[ ! -e "$(cgdir pids)" ]
	done
}

@test "the process dies with a parent that dies during create" {
	only_ours "about our own steps"
	spec '.hooks={createRuntime:[{path:"/bin/sh",args:["sh","-c","cat >\($t)/hook; sleep 100"]}]} | .process.args=["sleep","100"]'
	"$RUNTIME" --root "$ROOT" create -b "$B" c1 >/dev/null 2>&1 </dev/null 3>&- &
	creator=$!
	eventually test -s "$T/hook"
	pid=$(jq .pid "$T/hook")
	[ -e /proc/$pid ]
	kill -9 $creator
	wait $creator || true
	eventually sh -c "[ ! -e /proc/$pid ]"
	kill -9 -- "-$(pgrep -f "cat >$T/hook" | head -n1)" || true
	rt delete -f c1
}
