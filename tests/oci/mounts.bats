# The file system: mounts, devices, masks, propagation. Asserted on mountinfo.
load lib
setup() { oci_setup; }
teardown() { oci_teardown; }

# The line of a mount point in c1's mountinfo.
mi() { awk -v m="$1" '$5==m' "/proc/$PID/mountinfo" | tail -n1; }

@test "bind mounts: read-only, recursive, of a file, into what is not there yet" {
	mkdir -p "$T/v/sub"; echo data >"$T/v/f"
	mount -t tmpfs t "$T/v/sub"; echo deep >"$T/v/sub/g"
	spec '.root.readonly=false | .process.args=["sleep","100"] | .mounts += [
		{destination:"/a/b",type:"bind",source:($t+"/v"),options:["rbind","ro"]},
		{destination:"/c",type:"bind",source:($t+"/v"),options:["bind","rw"]},
		{destination:"/d",type:"bind",source:($t+"/v"),options:["rbind","rro","nosuid"]},
		{destination:"/e/file",type:"bind",source:($t+"/v/f"),options:["bind","ro","nodev","noexec"]}]'
	if [ -z "$OURS" ]; then spec '.mounts |= map(select(.destination != "/d"))'; fi
	start_c1
	[ "$(rt exec c1 cat /a/b/sub/g)" = deep ]
	run rt exec c1 touch /a/b/x
	[[ "$output" == *"Read-only"* ]]
	rt exec c1 touch /a/b/sub/x # ro is the top mount's only
	rt exec c1 touch /c/x
	[ -e "$T/v/x" ]
	run rt exec c1 cat /c/sub/g
	[ "$status" != 0 ]
	[[ "$(mi /e/file)" == *" ro,nodev,noexec,"* ]]
	[ "$(rt exec c1 cat /e/file)" = data ]
	if [ -n "$OURS" ]; then
		run rt exec c1 touch /d/sub/x
		[[ "$output" == *"Read-only"* ]]
		[[ "$(mi /d/sub)" == *" ro,"* ]]
	fi
	rt delete -f c1
	umount "$T/v/sub"
}

@test "a missing source is named" {
	spec '.mounts += [{destination:"/a",type:"bind",source:"/no/such",options:["bind"]}]'
	run_c1
	[ "$status" = 1 ]
	[[ "$stderr" == *"/no/such"* ]]
	[ ! -e "$ROOT/c1" ]
}

@test "tmpfs with options; an option that the file system does not know is named" {
	spec '.root.readonly=false | .process.args=["sleep","100"] | .mounts += [{destination:"/t",type:"tmpfs",source:"t",options:["size=64k","mode=1777","noexec"]}]'
	start_c1
	[[ "$(mi /t)" == *"noexec"*"size=64k"* ]]
	[ "$(rt exec c1 stat -c %a /t)" = 1777 ]
	rt delete -f c1
	spec '.mounts[-1].options += ["nonsense=1"]'
	run_c1
	[ "$status" = 1 ]
	only_ours "runc says only: invalid argument"
	[[ "$stderr" == *"mount /t"*"nonsense"* ]]
}

@test "tmpcopyup: a tmpfs begins with what it covers" {
	mkdir -p "$B/rootfs/data/sub"
	echo one >"$B/rootfs/data/f"; chmod 644 "$B/rootfs/data/f"; chown 7:8 "$B/rootfs/data/f"
	ln -s f "$B/rootfs/data/link"; echo two >"$B/rootfs/data/sub/g"; chmod 705 "$B/rootfs/data/sub"
	spec '.process.args=["sleep","100"] | .mounts += [{destination:"/data",type:"tmpfs",source:"t",options:["tmpcopyup"]}]'
	start_c1
	[ "$(rt exec c1 cat /data/link /data/sub/g | tr '\n' ' ')" = "one two " ]
	[ "$(rt exec c1 stat -c '%a %u:%g' /data/f)" = "644 7:8" ]
	[ "$(rt exec c1 stat -c %a /data/sub)" = 705 ]
	rt exec c1 touch /data/new
	[ ! -e "$B/rootfs/data/new" ]
}

@test "masked and read-only paths" {
	script 'head -c1 /proc/keys | wc -c; ls /sys/firmware | wc -l; ls -l /proc/timer_list; sleep 100'
	start_c1
	eventually grep -q timer_list "$T/out"
	[ "$(head -n2 "$T/out" | tr '\n' ' ')" = "0 0 " ]
	grep -q '1, *3' "$T/out"
	[[ "$(mi /proc/sys)" == *" ro,"* ]]
	run rt exec c1 sh -c 'echo 1 >/proc/sys/kernel/hostname'
	[ "$status" != 0 ]
}

@test "a masked path that is not there is no error, a link in it is followed inside only" {
	ln -s /etc/secret "$B/rootfs/link"; echo s >"$B/rootfs/etc/secret"
	ln -s ../../../../../../../../etc/hostname "$B/rootfs/up"
	spec '.linux.maskedPaths += ["/none","/link","/up"]'
	script 'wc -c </etc/secret; sleep 100'
	start_c1
	eventually grep -qx 0 "$T/out"
	! grep -F "$T" /proc/self/mountinfo || false
	[ -s /etc/hostname ]
}

@test "devices: the default ones and those asked for" {
	spec '.linux.devices=[{type:"c",path:"/dev/my",major:1,minor:5,fileMode:384,uid:7,gid:8},{type:"p",path:"/dev/sub/pipe"}] | .process.args=["sleep","100"]'
	start_c1
	[ "$(rt exec c1 stat -c '%t:%T %a %u:%g' /dev/my)" = "1:5 600 7:8" ]
	rt exec c1 test -p /dev/sub/pipe
	for d in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
		[ "$(rt exec c1 stat -c '%t:%T %a' "/dev/${d%%:*}")" = "${d#*:} 666" ]
	done
	[ "$(rt exec c1 readlink /dev/ptmx)" = pts/ptmx ]
	[ "$(rt exec c1 readlink /dev/stdout)" = /proc/self/fd/1 ]
	# what was not allowed can be made, but not opened
	rt exec --cap CAP_MKNOD c1 sh -c 'mknod /dev/kmsg c 1 11'
	run rt exec --cap CAP_MKNOD c1 cat /dev/kmsg
	[[ "$output" == *"not permitted"* ]]
}

@test "the root is read-only or not, and its propagation is as asked" {
	spec '.process.args=["sleep","100"]'
	start_c1
	[[ "$(mi /)" == *" ro,"* ]]
	[[ "$(mi /)" != *shared:* ]]
	rt delete -f c1
	only_ours "runc 1.1 leaves the root private; config-linux.md: it sets the rootfs's propagation"
	spec '.root.readonly=false | .linux.rootfsPropagation="shared"'
	start_c1
	[[ "$(mi /)" == *" rw,"*shared:* ]]
}

@test "propagation: slave sees the host's later mounts, private does not, nothing travels back" {
	mkdir -p "$T/v/a"
	mount -t tmpfs t "$T/v" && mount --make-shared "$T/v" && mkdir "$T/v/a"
	spec '.root.readonly=false | .process.args=["sleep","100"] | .process.capabilities.bounding += ["CAP_SYS_ADMIN"]
		| .process.capabilities.effective += ["CAP_SYS_ADMIN"] | .process.capabilities.permitted += ["CAP_SYS_ADMIN"]
		| .mounts += [{destination:"/slave",type:"bind",source:($t+"/v"),options:["rbind","rslave"]},
		{destination:"/private",type:"bind",source:($t+"/v"),options:["rbind","rprivate"]},
		{destination:"/default",type:"bind",source:($t+"/v"),options:["rbind"]}]'
	start_c1
	mount -t tmpfs inner "$T/v/a"
	s=$(mi /slave/a) p=$(mi /private/a)
	rt exec c1 mount -t tmpfs back /default
	rt exec c1 mount -t tmpfs back /slave
	back=$(grep -c ' back ' /proc/self/mountinfo || true)
	rt delete -f c1
	umount "$T/v/a"; umount "$T/v"
	[ -n "$s" ]
	[ -z "$p" ]
	[ "$back" = 0 ]
}

@test "propagation: shared with a shared root travels to the host" {
	mkdir -p "$T/v"
	mount -t tmpfs t "$T/v" && mount --make-shared "$T/v" && mkdir "$T/v/a"
	spec '.root.readonly=false | .process.args=["sleep","100"] | .linux.rootfsPropagation="rshared"
		| .process.capabilities.bounding += ["CAP_SYS_ADMIN"] | .process.capabilities.effective += ["CAP_SYS_ADMIN"]
		| .process.capabilities.permitted += ["CAP_SYS_ADMIN"]
		| .mounts += [{destination:"/shared",type:"bind",source:($t+"/v"),options:["rbind","rshared"]}]'
	start_c1
	rt exec c1 mount -t tmpfs back /shared/a
	back=$(grep -c " $T/v/a " /proc/self/mountinfo || true)
	others=$(grep -F "$T" /proc/self/mountinfo | grep -vcF " $T/v" || true)
	umount "$T/v/a"
	rt delete -f c1
	umount "$T/v"
	[ "$back" = 1 ]
	[ "$others" = 0 ]
}

@test "the cgroup mount shows the container's own cgroup" {
	! is_v2 || skip "about v1"
	script 'ls /sys/fs/cgroup; cat /sys/fs/cgroup/memory/cgroup.procs; sleep 100'
	start_c1
	eventually grep -qx 1 "$T/out"
	grep -qx memory "$T/out"
	grep -qx pids "$T/out"
	[[ "$(mi /sys/fs/cgroup/memory)" == *" $CG/c1 "*" ro,"* ]]
}

@test "nothing is mounted inside /proc, or through a link into it" {
	only_ours "runc 1.1 lets some of them pass"
	for d in /proc/sys /proc/self /proc/1/attr /x/../proc/acpi; do
		spec '.mounts += [{destination:"'$d'",type:"tmpfs",source:"t"}]'
		run_c1
		[ "$status" = 1 ]
		[[ "$stderr" == *"/proc"* ]]
		spec 'del(.mounts[-1])'
	done
	ln -s /proc/sys "$B/rootfs/trick"
	spec '.mounts += [{destination:"/trick",type:"tmpfs",source:"t"}]'
	run_c1
	[ "$status" = 1 ]
}

@test "proc and sysfs go on real directories only" {
	rmdir "$B/rootfs/proc"; mkdir "$B/rootfs/elsewhere"; ln -s elsewhere "$B/rootfs/proc"
	run_c1
	[ "$status" = 1 ]
	only_ours "texts differ"
	[[ "$stderr" == *"mount /proc"*"ordinary directory"* ]]
}

@test "a destination that leads out of the rootfs stays inside it" {
	ln -s ../../../../../../../../../tmp "$B/rootfs/out"
	spec '.root.readonly=false | .process.args=["sleep","100"] | .mounts += [{destination:"/out/caisson-escape",type:"tmpfs",source:"t"}]'
	start_c1
	[ ! -e /tmp/caisson-escape ]
	[ -n "$(mi /tmp/caisson-escape)" ]
}

@test "an idmapped bind mount" {
	only_ours "runc 1.1 has none"
	mkdir "$T/v"; touch "$T/v/f"; chown 1000:1000 "$T/v/f"
	spec '.process.args=["sleep","100"] | .mounts += [{destination:"/tmp",type:"bind",source:($t+"/v"),options:["bind"],
		uidMappings:[{containerID:1000,hostID:5000,size:1}],gidMappings:[{containerID:1000,hostID:6000,size:1}]}]'
	start_c1
	[ "$(rt exec c1 stat -c %u:%g /tmp/f)" = 5000:6000 ]
}

@test "idmap= with maps in the option, and by the container's user namespace" {
	only_ours "runc has none; crun's maps are the same"
	mkdir "$T/v"; touch "$T/v/f"; chown 1000:1000 "$T/v/f"
	spec '.process.args=["stat","-c","%u:%g","/tmp/f"] | .mounts += [{destination:"/tmp",type:"bind",source:($t+"/v"),
		options:["bind","idmap=uids=1000-5000-1;gids=1000-6000-1"]}]'
	run_c1
	[ "$output" = 5000:6000 ]
	spec '.mounts[-1].options[1]="idmap=uids=1000-5000;gids=1000-6000-1"'
	run_c1
	[ "$status" = 1 ]
	[[ "$stderr" == *"mount /tmp: idmap: uids[0] is not INSIDE-OUTSIDE-SIZE"* ]]
	# seen from inside: 1000 of the file is 7 of the container, which is 100007 outside
	chown -R 100000:100000 "$B/rootfs"
	chmod 755 "$BATS_TEST_TMPDIR" "$BATS_RUN_TMPDIR" "$(dirname "$BATS_TEST_TMPDIR")"
	spec '.linux.namespaces+=[{type:"user"}] | .linux.uidMappings=[{containerID:0,hostID:100000,size:65536}]
		| .linux.gidMappings=.linux.uidMappings | .mounts[-1].options[1]="idmap=uids=@1000-7-1;gids=@1000-8-1"'
	run_c1
	[ "$output" = 7:8 ] || { echo "$output $stderr"; false; }
}

@test "links: made again, bound as they are, mounted over" {
	only_ours "runc has none of these options"
	echo host >"$T/file"; ln -s file "$T/link"
	mkdir "$B/rootfs/d"; echo image >"$B/rootfs/d/there"; ln -s there "$B/rootfs/d/link"
	spec '.root.readonly=false | .mounts += [
		{destination:"/new/copy",type:"bind",source:($t+"/link"),options:["bind","copy-symlink"]},
		{destination:"/d/bound",type:"bind",source:($t+"/link"),options:["bind","src-nofollow"]},
		{destination:"/d/link",type:"bind",source:($t+"/file"),options:["bind","dest-nofollow"]}]'
	script 'readlink /new/copy; readlink /d/bound; cat /d/link; cat /d/there'
	run_c1
	[ "$output" = $'file\nfile\nhost\nimage' ] || { echo "$output $stderr"; false; }
	run_c1 # the same link is there by now
	[ "$status" = 0 ]
	rm "$B/rootfs/new/copy"; ln -s elsewhere "$B/rootfs/new/copy"
	run_c1
	[ "$status" = 1 ]
	[[ "$stderr" == *"/new/copy"*"File exists"* ]]
	# a source that is no link is bound as ever
	rm "$B/rootfs/new/copy"
	spec '.mounts[-3].source=$t+"/file"'
	script 'cat /new/copy'
	run_c1
	[ "$output" = host ]
}

@test "mounts add and remove, in a container that runs" {
	[ "$(basename "$RUNTIME")" != runc ] || skip "runc has no such command"
	mkdir "$T/v"; echo host >"$T/v/f"
	spec '.process.args=["sleep","100"] | .root.readonly=false | .linux.maskedPaths=["/proc/uptime"]'
	start_c1
	jq -n --arg t "$T" '[{destination:"/data",type:"bind",source:($t+"/v"),options:["bind","ro"]},
		{destination:"/tmp/x",type:"tmpfs",source:"tmpfs",options:["size=64k"]}]' >"$T/m.json"
	rt mounts add c1 "$T/m.json"
	[ "$(rt exec c1 cat /data/f)" = host ]
	! rt exec c1 touch /data/g 2>/dev/null || false
	rt exec c1 grep -q ' /tmp/x .*size=64k' /proc/self/mountinfo
	! grep -F " $B/rootfs" /proc/self/mountinfo || false
	rt mounts remove c1 "$T/m.json"
	[ "$(rt exec c1 grep -cE ' /(data|tmp/x) ' /proc/self/mountinfo)" = 0 ]
	only_ours "its words, and what it lets through"
	run rt mounts remove c1 "$T/m.json"
	[ "$status" = 1 ]
	[[ "$output" == *"mount /data: unmount (is something mounted there?): Invalid argument"* ]]
	# what hides the host's is not taken away, whatever a link says
	rt exec c1 ln -s /proc /evil
	for d in /proc/uptime /evil/uptime; do
		run rt mounts remove c1 - <<<"[{\"destination\":\"$d\"}]"
		[ "$status" = 1 ]
	done
	rt exec c1 sh -c '[ "$(wc -c </proc/uptime)" = 0 ]'
	run rt mounts add c1 - <<<'{"mounts":[{"destination":"/evil/1","type":"tmpfs"}]}'
	[ "$status" = 1 ]
	[[ "$output" == *procfs* ]]
	for bad in '[{}]' '{"mounts":1}' 'x' ''; do
		run rt mounts add c1 - <<<"$bad"
		[ "$status" = 1 ]
		[[ "$output" == *"-: "* ]]
	done
	run rt mounts move c1 "$T/m.json"
	[ "$status" = 1 ]
	[[ "$output" == *"requires add or remove"* ]]
	rt kill c1 KILL
	eventually is stopped
	run rt mounts add c1 "$T/m.json"
	[ "$status" = 1 ]
	[[ "$output" == *"stopped container"* ]]
}

@test "mounts add into a user namespace: the file system is the container's" {
	only_ours "crun makes it as the host's root"
	spec '.process.args=["sleep","100"] | .linux.namespaces+=[{type:"user"}] | .linux.uidMappings=[{containerID:0,hostID:100000,size:65536}]
		| .linux.gidMappings=.linux.uidMappings | .root.readonly=false'
	chown -R 100000:100000 "$B/rootfs"
	chmod 755 "$BATS_TEST_TMPDIR" "$BATS_RUN_TMPDIR" "$(dirname "$BATS_TEST_TMPDIR")"
	start_c1
	rt mounts add c1 - <<<'[{"destination":"/data","type":"tmpfs","source":"tmpfs"}]'
	[ "$(rt exec c1 stat -c %u /data)" = 0 ]
	rt exec c1 touch /data/f
}

@test "no mount of the container is in the host's table" {
	spec '.process.args=["sleep","100"]'
	before=$(grep -cF "$T/" /proc/self/mountinfo || true)
	start_c1
	[ "$(grep -cF "$T/" /proc/self/mountinfo)" = "$before" ]
}

@test "no pivot_root: the root is moved" {
	spec '.process.args=["ls","/"]'
	run --separate-stderr rt run --no-pivot -b "$B" c1
	[ "$status" = 0 ]
	grep -qx bin <<<"$output"
	! grep -qx state <<<"$output" || false
}

@test "without a mount namespace the process is confined by chroot, and exec as well" {
	only_ours "runc stays in the host's root"
	spec '.linux.namespaces |= map(select(.type!="mount")) | .mounts=[] | del(.linux.maskedPaths,.linux.readonlyPaths)'
	script 'ls /; sleep 100'
	start_c1
	eventually grep -qx home "$T/out"
	! grep -qx lib "$T/out" || false
	[ "$(rt exec c1 sh -c 'echo /*')" = "/bin /dev /etc /home /proc /root /sys /tmp" ]
}
