# checkpoint and restore: a container as files, and back. Needs a CRIU that works here.

setup_file() {
	if [ "$(id -u)" = 0 ]; then
		CRIU=$(tools/install-criu 2>"$BATS_FILE_TMPDIR/why") || CRIU=
		export CRIU NO_CRIU="$(tail -n 1 "$BATS_FILE_TMPDIR/why")"
	fi
}

setup() {
	load lib
	oci_setup
	only_ours "runc and crun take the criu of PATH"
	spec '.root.readonly=true | .mounts+=[{destination:"/tmp",type:"tmpfs",source:"tmpfs"}]'
	# counts in memory, and in a file of the container's own tmpfs
	script 'x=0; while :; do x=$((x+1)); echo $x; echo $x >/tmp/x; sleep 0.05; done'
}

teardown() { oci_teardown; }

criu() { [ -n "${CRIU:-}" ] || skip "no CRIU: ${NO_CRIU:-}"; }
ck() { rt --criu "$CRIU" checkpoint --image-path "$T/img" "$@"; }
re() { rt --criu "$CRIU" restore -d -b "$B" --image-path "$T/img" --pid-file "$T/pid" "$@"; }

# As engines do: output through a pipe.
begin() {
	mkfifo -m 666 "$T/pipe" # CRIU opens it again, as the container's root
	cat "$T/pipe" >"$T/out" 3>&- &
	rt create -b "$B" c1 </dev/null >"$T/pipe" 2>&1
	rt start c1
	eventually grep -q 3 "$T/out"
}

again() {
	mkfifo -m 666 "$T/pipe2"
	cat "$T/pipe2" >"$T/out2" 3>&- &
	re "$@" c1 </dev/null >"$T/pipe2" 2>&1 || { cat "$T/out2"; false; }
	eventually test -s "$T/out2" || { cat "$T/img/restore.log"; false; }
}

went_on() {
	local last first
	last=$(tail -n 1 "$T/out") first=$(head -n 1 "$T/out2")
	echo "$last, then $first"
	[ "$first" -eq $((last + 1)) ]
}

@test "a container goes on where it was: memory, its own tmpfs, what was mounted from outside, its cgroup" {
	criu
	mkdir "$T/vol" && echo outside >"$T/vol/f"
	spec '.mounts+=[{destination:"/data",source:($t+"/vol"),type:"bind",options:["bind","ro"]}] |
		.linux.resources.pids.limit=33 | .annotations.a="b"'
	begin
	ck c1
	[ -z "$(rt list -q)" ]
	again
	went_on
	[ "$(status)" = running ]
	[ "$(cat "$T/pid")" = "$(rt state c1 | jq .pid)" ]
	[ "$(rt state c1 | jq -r .annotations.a)" = b ]
	[ "$(rt exec c1 cat /data/f)" = outside ]
	rt exec c1 sh -c '! echo x >/data/f' 2>/dev/null
	rt exec c1 sh -c '! echo x >/x' 2>/dev/null
	[ "$(rt exec c1 cat /tmp/x)" -gt 3 ]
	[ "$(cat "$(cgdir pids)/pids.max")" = 33 ]
	grep -qx "$(cat "$T/pid")" "$(cgdir pids)/cgroup.procs"
	rt exec c1 sh -c '[ -z "$(cat /proc/keys)" ]'
	rt kill c1 KILL
	eventually is stopped
	rt delete c1
}

@test "the same where the host's mounts are shared, and nothing of it shows there" {
	criu
	mkdir "$T/vol" && echo outside >"$T/vol/f"
	spec '.mounts+=[{destination:"/data",source:($t+"/vol"),type:"bind",options:["bind"]}]'
	printf '#!/bin/sh\nexec unshare -m --propagation shared "%s" "$@"\n' "$RUNTIME" >"$T/shared"
	printf '#!/bin/sh\ngrep -c " %s" "/proc/$PPID/mountinfo" >%s\nexec %s "$@"\n' "$ROOT" "$T/shows" "$CRIU" >"$T/criu"
	chmod +x "$T/shared" "$T/criu"
	RUNTIME=$T/shared
	begin
	ck c1
	CRIU=$T/criu again
	went_on
	[ "$(rt exec c1 cat /data/f)" = outside ]
	[ "$(cat "$T/shows")" = 0 ]
}

@test "a checkpoint can leave the container running, or take it while it is paused" {
	criu
	begin
	ck --leave-running --work-path "$T/work" c1
	[ "$(status)" = running ]
	[ -s "$T/work/dump.log" ]
	[ ! -e "$T/img/dump.log" ]
	rt pause c1
	rm -r "$T/img"
	ck c1
	again
	went_on
}

@test "pre-dumps make the last dump smaller" {
	criu
	"$CRIU" check --feature mem_dirty_track >/dev/null 2>&1 || skip "this kernel does not track dirty memory"
	begin
	rt --criu "$CRIU" checkpoint --pre-dump --image-path "$T/imgs/0" c1
	[ "$(status)" = running ]
	rt --criu "$CRIU" checkpoint --parent-path ../0 --image-path "$T/imgs/1" c1
	[ -L "$T/imgs/1/parent" ]
	ln -s imgs/1 "$T/img"
	again
	went_on
}

@test "namespaces that were joined are joined again" {
	criu
	unshare -n -i -u sh -c 'hostname pod; echo $$ >"$1"; exec sleep 100' sh "$T/holder" 3>&- &
	eventually test -s "$T/holder"
	local h ns
	h=$(cat "$T/holder")
	spec 'del(.hostname) | .linux.namespaces|=map(if .type=="network" then .path=$p+"net" elif .type=="ipc"
		then .path=$p+"ipc" elif .type=="uts" then .path=$p+"uts" else . end)' --arg p "/proc/$h/ns/"
	begin
	ck c1
	again
	went_on
	for ns in net ipc uts; do
		[ "$(readlink "/proc/$(cat "$T/pid")/ns/$ns")" = "$(readlink "/proc/$h/ns/$ns")" ]
	done
	kill "$h"
}

@test "a container in a user namespace comes back in one" {
	criu
	spec '.linux.namespaces+=[{type:"user"}] | .linux.uidMappings=[{containerID:0,hostID:100000,size:65536}] |
		.linux.gidMappings=.linux.uidMappings'
	chown -R 100000:100000 "$B/rootfs"
	chmod 755 "$BATS_TEST_TMPDIR" "$BATS_RUN_TMPDIR" "$(dirname "$BATS_TEST_TMPDIR")"
	begin
	ck c1
	again
	went_on
	[ "$(rt exec c1 id -u)" = 0 ]
	grep -q ' 100000 ' "/proc/$(cat "$T/pid")/uid_map"
	[ "$(stat -c %a "$T/img")" = 710 ]
}

@test "hooks of a restore get its state; the filter holds for exec" {
	criu
	printf '#!/bin/sh\ncat >%s\n' "$T/hook.json" >"$T/hook"
	chmod +x "$T/hook"
	spec '.linux.seccomp={defaultAction:"SCMP_ACT_ALLOW",syscalls:[{names:["mkdir","mkdirat"],action:"SCMP_ACT_ERRNO"}]}'
	begin
	ck c1
	spec '.hooks.createRuntime=[{path:($t+"/hook")}]'
	again
	went_on
	[ "$(jq -r .id "$T/hook.json")" = c1 ]
	[ "$(jq .pid "$T/hook.json")" = "$(cat "$T/pid")" ]
	! rt exec c1 mkdir /tmp/d 2>/dev/null || false
	[ "$(grep ^Seccomp: "/proc/$(cat "$T/pid")/status" | tr -dc 0-9)" = 2 ]
}

@test "what cannot be is refused in CRIU's words, and nothing is left" {
	run --separate-stderr rt --criu "$T/none" checkpoint c1
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"container does not exist"* ]]
	rt create -b "$B" c1 </dev/null >/dev/null 2>&1
	run --separate-stderr rt checkpoint --image-path "$T/img" c1
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"cannot be checkpointed in created state"* ]]
	rt start c1
	run --separate-stderr rt --criu "$T/none" checkpoint --image-path "$T/img" c1
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"$T/none"*"No such file"* ]]
	run --separate-stderr env PATH=/nowhere "$RUNTIME" --root "$ROOT" --criu no-criu checkpoint --image-path "$T/img" c1
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"no-criu is not installed"* ]]
	run --separate-stderr rt checkpoint --manage-cgroups-mode x --image-path "$T/img" c1
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"--manage-cgroups-mode"* ]]
	run --separate-stderr rt checkpoint --page-server 1.2.3.4 --image-path "$T/img" c1
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"--page-server"* ]]
	[ "$(status)" = running ]
	rt delete -f c1
	criu
	run --separate-stderr rt --criu "$CRIU" restore -d -b "$B" --image-path "$T/img" c1
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"criu restore failed: Error (criu/"* ]]
	[ -z "$(rt list -q)" ]
	[ ! -e "$(cgdir pids)" ]
}
