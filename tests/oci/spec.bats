# What the specification demands and no other file here is about; docs/runtime-spec.md has the list.

setup() {
	load lib
	oci_setup
}

teardown() { oci_teardown; }

@test "a capability that nobody knows is a warning" {
	spec '.process.capabilities.bounding+=["CAP_NOTHING"] | .process.capabilities.effective+=["CAP_NOTHING"]'
	run_c1
	[ "$status" -eq 0 ]
	[ "$(grep -c 'level=warn.*CAP_NOTHING' <<<"$stderr")" = 1 ] || { [ -z "$OURS" ] && [[ "$stderr" == *CAP_NOTHING* ]]; }
}

@test "the domain name is seen inside" {
	only_ours "runc 1.1 has no domainname"
	spec '.domainname="example.org"'
	script 'cat /proc/sys/kernel/domainname'
	run_c1
	[ "$output" = example.org ]
	spec '.linux.namespaces|=map(select(.type!="uts")) | del(.hostname)'
	run_c1
	[ "$status" -eq 1 ]
	[[ "$stderr" == *domainname* ]]
}

@test "what is not known is ignored, what cannot be is refused by its path" {
	spec '.neverHeardOf={a:[1]} | .linux.alsoNot=true | .process.nor="x" | .annotations={"what.ever":"1"}'
	run_c1
	[ "$status" -eq 0 ]
	only_ours "texts of errors"
	local row
	for row in '.process.terminal="yes"|process.terminal' '.process.user.uid=-1|process.user.uid' \
		'.mounts[0].options="ro"|mounts[0].options' '.linux.resources.pids.limit="5"|linux.resources.pids.limit' \
		'.linux.namespaces[0].type="nets"|linux.namespaces[0].type' '.annotations={"a":1}|annotations' \
		'.annotations={"":"1"}|annotations' '.process.user.umask=1.5|process.user.umask' \
		'.linux.maskedPaths=["proc/keys"]|linux.maskedPaths[0]' '.hooks.prestart=[{path:"bin/true"}]|hooks.prestart[0].path' \
		'.hooks.poststop=[{path:"/bin/true",timeout:0}]|hooks.poststop[0].timeout' \
		'.linux.rootfsPropagation="sideways"|linux.rootfsPropagation' '.linux.devices=[{path:"/dev/x",type:"c"}]|linux.devices[0]' \
		'.linux.timeOffsets={monotonic:{secs:1}}|linux.timeOffsets' '.mounts+=[{destination:"/x",type:"tmpfs",uidMappings:[{containerID:0,hostID:0,size:1}]}]|mounts['; do
		cp "$B/config.json" "$T/kept"
		spec "${row%%|*}"
		run_c1
		echo "$row: $stderr"
		[ "$status" -eq 1 ]
		[[ "$stderr" == *"${row#*|}"* ]]
		cp "$T/kept" "$B/config.json"
	done
	[ -z "$(rt list -q)" ]
}

@test "a file where a device is to be, and is another, is an error" {
	only_ours "runc 1.1 puts the device over it"
	spec '.mounts|=map(select(.destination|startswith("/dev")|not)) |
		.linux.devices=[{path:"/etc/passwd",type:"c",major:1,minor:3}]'
	run_c1
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"/etc/passwd"* ]]
}

@test "entries of resources that say nothing are refused" {
	only_ours "texts of errors"
	spec '.linux.resources.rdma={mlx5_1:{}}'
	run_c1
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"linux.resources.rdma.mlx5_1"* ]]
	spec 'del(.linux.resources.rdma) | .linux.resources.blockIO.weightDevice=[{major:8,minor:0}]'
	run_c1
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"linux.resources.blockIO.weightDevice[0]"* ]]
}

@test "a config.json that is changed behind create changes nothing" {
	script 'echo first'
	rt create -b "$B" c1 >"$T/out" 2>&1 </dev/null
	script 'echo second'
	rt start c1
	eventually is stopped
	[ "$(cat "$T/out")" = first ]
}
