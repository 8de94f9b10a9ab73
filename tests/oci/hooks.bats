# All six kinds: order, namespaces, state on stdin, failures, timeouts.
load lib
setup() { oci_setup; }
teardown() { oci_teardown; }

# A hook on the host that writes its name, the state and its namespaces to $T/log.
hook() { printf '{path:"/bin/sh",args:["sh","-c","read -r s; echo %s $(readlink /proc/self/ns/mnt) $s >>%s/log"]}' "$1" "$T"; }

@test "hooks run in order, with the state on stdin" {
	spec ".hooks={prestart:[$(hook prestart)],createRuntime:[$(hook createRuntime)],poststart:[$(hook poststart)],poststop:[$(hook poststop)],createContainer:[$(hook createContainer)]}"
	start_c1
	eventually is stopped
	rt delete c1
	[ "$(cut -d' ' -f1 "$T/log" | tr '\n' ' ')" = "prestart createRuntime createContainer poststart poststop " ]
	host=$(readlink /proc/self/ns/mnt)
	for h in prestart createRuntime poststart poststop; do [ "$(grep ^$h "$T/log" | cut -d' ' -f2)" = "$host" ]; done
	[ "$(grep ^createContainer "$T/log" | cut -d' ' -f2)" != "$host" ]
	state() { grep "^$1 " "$T/log" | cut -d' ' -f3-; }
	[ "$(state prestart | jq -c '[.id,.status,.bundle]')" = "[\"c1\",\"creating\",\"$B\"]" ]
	[ "$(state prestart | jq .pid)" -gt 1 ]
	# runc 1.1 says created; runtime.md: the program runs when poststart hooks are called
	[ -z "$OURS" ] || [ "$(state poststart | jq -r .status)" = running ]
	[ "$(state poststop | jq -r .status)" = stopped ]
}

@test "startContainer runs inside, before the program" {
	spec '.root.readonly=false | .hooks={startContainer:[{path:"/bin/sh",args:["sh","-c","cat >/state; ls / >/list"]}]} | .process.args=["cat","/list"]'
	run_c1
	[ "$status" = 0 ]
	grep -qx bin <<<"$output"
	[ "$(jq -r .id "$B/rootfs/state")" = c1 ]
	[ "$(jq -r .status "$B/rootfs/state")" = created ]
}

@test "a hook that fails undoes the create" {
	for kind in prestart createRuntime createContainer; do
		spec ".hooks={$kind:[{path:\"/bin/sh\",args:[\"sh\",\"-c\",\"echo why >&2; exit 9\"]}]}"
		run rt create -b "$B" c1 </dev/null
		[ "$status" = 1 ]
		[[ "$output" == *"hook"* ]]
		[[ "$output" == *"9"* ]]
		[[ "$output" == *"why"* ]]
		[ ! -e "$ROOT/c1" ]
		[ ! -e "$(cgdir pids)" ]
	done
}

@test "a hook that does not end is killed after its timeout" {
	spec '.hooks={createRuntime:[{path:"/bin/sleep",args:["sleep","100"],timeout:1}]}'
	run rt create -b "$B" c1 </dev/null
	[ "$status" = 1 ]
	[[ "$output" == *"hook"* ]]
}

@test "a poststart hook that fails is the start's error and ends the container; a poststop hook ends nothing" {
	only_ours "runc 1.1 calls poststart hooks while it creates, crun ignores that they fail"
	spec '.hooks={poststart:[{path:"/bin/false"}],poststop:[{path:"/bin/false"}]} | .process.args=["sleep","100"]'
	rt create -b "$B" c1 </dev/null >/dev/null 2>&1
	run --separate-stderr rt start c1
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"poststart"* ]]
	eventually is stopped
	rt delete c1
	spec 'del(.hooks.poststart)'
	start_c1
	is running
	rt delete -f c1
	[ -z "$(rt list -q)" ]
}

@test "createRuntime sees the process in its cgroup and namespaces" {
	spec '.hooks={createRuntime:[{path:"/bin/sh",args:["sh","-c","p=$(jq .pid); cat /proc/$p/cgroup >\($t)/cg; readlink /proc/$p/ns/net >\($t)/net"],env:["PATH=/usr/bin:/bin"]}]}'
	run_c1
	[ "$status" = 0 ]
	grep -q "$CG/c1" "$T/cg"
	[ "$(cat "$T/net")" != "$(readlink /proc/self/ns/net)" ]
}

@test "a hook that ends without reading its state, which is more than a pipe holds, harms nothing" {
	local true='{path:"/bin/true"}'
	head -c 100000 /dev/zero | tr '\0' x >"$T/long"
	spec ".hooks={prestart:[$true],createRuntime:[$true],createContainer:[$true],startContainer:[$true],poststart:[$true],poststop:[$true]}
		| .process.args=[\"sh\",\"-c\",\"echo runs\"]"
	jq --rawfile long "$T/long" '.annotations.long=$long' "$B/config.json" >"$T/c.json" && mv "$T/c.json" "$B/config.json"
	run_c1
	echo "$status: $output $stderr"
	[ "$status" = 0 ] && [ "$output" = runs ]
}
