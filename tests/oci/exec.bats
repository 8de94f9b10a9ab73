# A further process in a running container.
load lib
setup() { oci_setup; spec '.process.args=["sleep","100"]'; }
teardown() { oci_teardown; }

@test "exec gives output and exit code, in the container's namespaces" {
	start_c1
	run --separate-stderr rt exec c1 sh -c 'echo out; echo err >&2; exit 9'
	[ "$status" = 9 ]
	[ "$output" = out ]
	[ "$stderr" = err ]
	for n in mnt pid net ipc uts cgroup; do
		[ "$(rt exec c1 readlink /proc/self/ns/$n)" = "$(readlink /proc/$PID/ns/$n)" ]
	done
	[ "$(echo in | rt exec c1 cat)" = in ]
}

@test "a program that is not there is exec's own failure" {
	start_c1
	run rt exec c1 nosuch
	[ "$status" = 255 ]
	[[ "$output" == *'exec: \"nosuch\": executable file not found in $PATH'* ]]
	run rt exec c1 /no/such
	[ "$status" = 255 ]
	[[ "${output,,}" == *"no such file or directory"* ]]
	run rt exec c1 /etc/passwd
	[ "$status" = 255 ]
	[[ "${output,,}" == *"permission denied"* ]]
	is running
}

@test "options: environment, user, directory, capabilities" {
	start_c1
	[ "$(rt exec -e X=1 -e Y=2 c1 sh -c 'echo $X$Y')" = 12 ]
	[ "$(rt exec -u 1000:1001 c1 sh -c 'id -u; id -g; echo $HOME' | tr '\n' ' ')" = "1000 1001 /home/user " ]
	[ "$(rt exec --cwd /tmp c1 pwd)" = /tmp ]
	[ "$(rt exec c1 grep CapEff /proc/self/status)" = $'CapEff:\t0000000020000420' ]
	[ "$(rt exec --cap CAP_CHOWN c1 grep CapEff /proc/self/status)" = $'CapEff:\t0000000020000421' ]
	[ "$(rt exec -g 77 c1 id -G)" = "0 77" ]
}

@test "a process from a file" {
	start_c1
	jq '.process | .args=["sh","-c","pwd; id -u"] | .cwd="/etc" | .user.uid=5' "$B/config.json" >"$T/p.json"
	[ "$(rt exec -p "$T/p.json" c1 | tr '\n' ' ')" = "/etc 5 " ]
}

@test "detached: the pid file names it, in the host's numbers" {
	start_c1
	rt exec -d --pid-file "$T/epid" c1 sleep 200 >/dev/null 2>&1 </dev/null
	[ "$(tr '\0' ' ' <"/proc/$(cat "$T/epid")/cmdline")" = "sleep 200 " ]
	[ "$(rt ps -f json c1 | jq 'length')" = 2 ]
}

@test "exec in what does not run is refused" {
	run rt exec c1 true
	[ "$status" = 255 ]
	[[ "$output" == *"does not exist"* ]]
	start_c1
	rt kill c1 KILL
	eventually is stopped
	run rt exec c1 true
	[ "$status" = 255 ]
	[[ "$output" == *"stopped"* ]]
}

@test "exec works in a created container" {
	rt create -b "$B" c1 >/dev/null 2>&1 </dev/null
	[ "$(rt exec c1 echo yes)" = yes ]
	is created
}

@test "no descriptor of the host comes along" {
	start_c1
	[ "$(rt exec c1 sh -c 'ls /proc/self/fd | tr "\n" " "')" = "0 1 2 3 " ]
}

@test "200 in a row leave nothing" {
	only_ours "slow with others"
	start_c1
	for i in $(seq 200); do rt exec c1 true; done
	[ "$(rt ps -f json c1)" = "[$PID]" ]
}

@test "the process by a descriptor, a pipe, standard input" {
	spec '.process.args=["sleep","100"]'
	start_c1
	jq '.process | .args=["echo","hi"]' "$B/config.json" >"$T/p.json"
	for f in /dev/fd/9 /proc/self/fd/9; do
		[ "$(rt exec --process $f c1 9<"$T/p.json")" = hi ]
	done
	[ "$(rt exec --process /dev/stdin c1 <"$T/p.json")" = hi ]
	[ "$(cat "$T/p.json" | rt exec --process /dev/fd/9 c1 9<&0)" = hi ]
	only_ours "crun's spelling; runc has a file of that name"
	[ "$(rt exec --process - c1 <"$T/p.json")" = hi ]
	run rt exec --process /dev/fd/9 c1 9<&-
	[ "$status" = 255 ]
	[[ "$output" == *"open /dev/fd/9"* ]]
}
