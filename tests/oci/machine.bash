# A machine with systemd as its first process, in a container of the runtime under test: the host's
# programs, cgroups of its own. systemd takes the hierarchies as it finds them.

# machine LAYOUT: boots; "hybrid" as this host is, "v1" without the hierarchy of v2
machine() {
	local root=$B/rootfs hide='[]'
	rm -rf "$root"
	mkdir -p "$root"/{usr,etc/systemd/system,etc/alternatives,run,tmp,var,proc,sys,dev,root}
	for d in bin sbin lib lib64; do ln -s "usr/$d" "$root/$d"; done
	printf 'root:x:0:0:root:/root:/bin/sh\n' >"$root/etc/passwd"
	printf 'root:x:0:\n' >"$root/etc/group"
	echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
	printf '[Unit]\nDefaultDependencies=no\n' >"$root/etc/systemd/system/default.target"
	[ "$1" = hybrid ] || hide='[{"destination":"/sys/fs/cgroup/unified","type":"tmpfs","source":"none"}]'
	spec '.process.args=["/lib/systemd/systemd","--log-target=console"] | .process.env+=["container=caisson"]
		| .root.readonly=false | .linux.cgroupsPath=$cg+"/machine" | .process.noNewPrivileges=false
		| ($caps / " ") as $c | .process.capabilities={bounding:$c,effective:$c,permitted:$c}
		| del(.process.rlimits, .linux.maskedPaths, .linux.readonlyPaths)
		| .linux.resources={devices:[{allow:true,access:"rwm"}]}
		| .linux.namespaces+=[{type:"cgroup"}] | .linux.namespaces|=unique
		| .mounts|=map(select(.destination|startswith("/sys")|not))
		| .mounts+=[{destination:"/sys",type:"sysfs",source:"sysfs"},
			{destination:"/sys/fs/cgroup",type:"cgroup",source:"cgroup",options:["rw"]}] + $hide
		| .mounts+=[("/run","/tmp","/var") | {destination:.,type:"tmpfs",source:"tmpfs"}]
		| .mounts+=[("/usr","/etc/alternatives",$top,$build) | {destination:.,type:"bind",source:.,options:["rbind","ro"]}]' \
		--argjson hide "$hide" --arg top "$PWD" --arg build "$(realpath "$CAISSON_BUILD")" \
		--arg caps "$(capsh --print | sed -n 's/^Bounding set =//p' | tr a-z, 'A-Z ')"
	rt run -d -b "$B" machine >"$T/console" 2>&1 </dev/null
	eventually rt exec machine test -e /run/systemd/private
}

# inside PROGRAM…: in a cgroup of v2 below the machine's own, which may be the parent of others
inside() {
	timeout 900 "$RUNTIME" --root "$ROOT" exec --cgroup tests --cwd "$PWD" -e HOME=/root -e CAISSON_BUILD="$(realpath "$CAISSON_BUILD")" \
		-e DRIVERS=systemd machine "$@" </dev/null 3>&-
}
