# Containers of a user without privileges.
#
# The user is uid 61234 of no name, who can map only the own id, and in the virtual machine
# also "tester", who has a range in /etc/subuid.
# bats file_tags=systemd
load lib

setup() {
	oci_setup
	only_ours "about our own way into a user namespace"
	setpriv --reuid 61234 --regid 61234 --clear-groups unshare -U true 2>/dev/null || skip "users may not make user namespaces here"
	U=$(mktemp -d /tmp/caisson-rootless-XXXXXX)
	mkdir "$U/b" "$U/run"
	mv "$B/rootfs" "$U/b/rootfs"
	cp "$RUNTIME" "$U/caisson-oci"
	chmod 755 "$U"
	become 61234
	as "$U/caisson-oci" spec --rootless -b "$U/b"
	B=$U/b
	uspec '.process.terminal=false | .root.readonly=false'
}

teardown() {
	local id
	if [ -n "${U:-}" ]; then
		for id in $(urt list -q); do urt delete -f "$id"; done
		[ -z "${engine:-}" ] || kill "$engine" 2>/dev/null || true
		rm -rf "$U"
	fi
	oci_teardown
}

# Whose containers: uid
become() {
	WHO=$1
	chown -hR "$WHO:$WHO" "$U/b" "$U/run"
}
as() { (cd / && exec setpriv --reuid "$WHO" --regid "$WHO" --clear-groups env XDG_RUNTIME_DIR="$U/run" "$@" 3>&-); }
urt() { as "$U/caisson-oci" "$@"; }
uspec() { spec "$@" && chown "$WHO:$WHO" "$B/config.json"; }
uscript() { uspec '.process.args=["sh","-c",$s]' --arg s "$1"; }

@test "spec --rootless runs: root inside is the user outside" {
	uscript 'id -u 2>/dev/null; cat /proc/self/uid_map; echo x >/dev/null; touch /root/f; echo ok'
	run --separate-stderr urt run -b "$B" r1
	[ "$status" = 0 ]
	[[ "$output" == *"0      61234          1"*ok ]]
	[ "$(stat -c %u "$B/rootfs/root/f")" = 61234 ]
	[ -z "$(urt list -q)" ]
}

@test "the life of a container, without any privilege" {
	uspec '.process.args=["sleep","100"]'
	urt create -b "$B" r1 >"$T/out" 2>&1 </dev/null
	[ "$(urt state r1 | jq -r .status)" = created ]
	[ "$(urt state r1 | jq -r .owner)" = 61234 ]
	urt start r1
	run --separate-stderr urt exec r1 sh -c 'cat /proc/self/uid_map; cat /proc/1/cmdline'
	[ "$status" = 0 ]
	[[ "$output" == *61234*sleep* ]]
	run urt exec r1 sh -c 'exit 9'
	[ "$status" = 9 ]
	urt kill r1 KILL
	for _ in $(seq 100); do [ "$(urt state r1 | jq -r .status)" = stopped ] && break; sleep 0.05; done
	urt delete r1
	urt run -d -b "$B" r2 >"$T/out" 2>&1 </dev/null
	urt delete -f r2
	[ -z "$(urt list -q)" ]
	[ ! -e "$U/run/caisson-oci/r2" ]
}

# As an engine without privileges has it: the runtime is called by root of a user namespace that is
# the engine's, while the pid namespace is the host's.
@test "root of an engine's user namespace: create, exec, join, and nothing of it stays" {
	uspec 'del(.linux.uidMappings, .linux.gidMappings) | .linux.namespaces|=map(select(.type != "user"))
		| .process.args=["sleep","100"]'
	as unshare --user --map-root-user --mount sh -c 'echo $$ >"$0" && exec sleep 1000' "$U/run/engine" &
	eventually [ -s "$U/run/engine" ]
	engine=$(cat "$U/run/engine")
	urt() { as env USER=engine nsenter -t "$engine" --user --mount --preserve-credentials --wd=/ "$U/caisson-oci" "$@"; }
	urt run -d -b "$B" r1 >"$T/out" 2>&1 </dev/null || { cat "$T/out"; false; }
	[ "$(urt exec r1 echo hi)" = hi ]
	run urt exec r1 sh -c 'cat /proc/1/cmdline; exit 9'
	[ "$status" = 9 ]
	[[ "$output" == *sleep* ]]
	# a second container in the first one's namespaces, of pids too, with a user namespace of its own or not
	uspec '.linux.namespaces|=map(if .type == "pid" or .type == "uts" then .path="/proc/\($pid)/ns/\(.type)" else . end)
		| del(.hostname) | .process.args=["cat","/proc/1/cmdline"] | .mounts|=map(select(.type != "sysfs"))' \
		--argjson pid "$(urt state r1 | jq .pid)"
	run urt run -b "$B" r2
	[ "$status" = 0 ] || { echo "$output"; false; }
	[[ "$output" == sleep* ]]
	uspec '.linux.namespaces+=[{type:"user"}] | .linux.uidMappings=[{containerID:0,hostID:0,size:1}] | .linux.gidMappings=.linux.uidMappings
		| .linux.namespaces|=map(if .type == "pid" then del(.path) else . end) | .process.args=["readlink","/proc/self/ns/uts"]'
	run urt run -b "$B" r3
	[ "$status" = 0 ] || { echo "$output"; false; }
	[ "$output" = "$(readlink "/proc/$(urt state r1 | jq .pid)/ns/uts")" ]
	urt delete -f r1
	[ -z "$(urt list -q)" ]
}

@test "what a user cannot have is refused by name, and nothing is left" {
	uspec '.linux.resources={pids:{limit:5}} | .linux.cgroupsPath="/caisson-oci-test-nobody"'
	run urt --rootless true run -b "$B" r1
	[ "$status" = 1 ]
	[[ "$output" == *"pids.max cannot be set"*"not delegated to this user"* ]]
	uspec 'del(.linux.resources) | del(.linux.cgroupsPath) | .process.user.uid=5'
	run urt run -b "$B" r1
	[ "$status" = 1 ]
	[[ "$output" == *"process.user.uid: 5 is not mapped"* ]]
	uspec '.process.user.uid=0 | .process.user.additionalGids=[0]'
	run urt run -b "$B" r1
	[ "$status" = 1 ]
	[[ "$output" == *"setgroups is denied"* ]]
	uspec 'del(.process.user.additionalGids) | .linux.namespaces |= map(select(.type != "user")) | del(.linux.uidMappings) | del(.linux.gidMappings)'
	run urt run -b "$B" r1
	[ "$status" = 1 ]
	[[ "$output" == *"needs a user namespace"* ]]
	run urt --rootless perhaps run -b "$B" r1
	[ "$status" = 1 ]
	[[ "$output" == *"none of auto, true, false"* ]]
	[ -z "$(urt list -q)" ]
}

@test "ids beyond the own one need newuidmap, and /etc/subuid" {
	uspec '.linux.uidMappings=[{containerID:0,hostID:61234,size:1},{containerID:1,hostID:300000,size:100}]
		| .linux.gidMappings=.linux.uidMappings'
	run urt run -b "$B" r1
	[ "$status" = 1 ]
	if [ -x /usr/bin/newuidmap ]; then
		[[ "$output" == *"are the ids in /etc/subuid?"* ]]
	else
		[[ "$output" == *"/usr/bin/newuidmap is missing"* ]]
	fi
}

@test "a range of /etc/subuid is mapped" {
	[ -x /usr/bin/newuidmap ] && grep -q '^tester:' /etc/subuid || skip "needs newuidmap and a user with a range"
	become "$(id -u tester)"
	first=$(awk -F: '$1 == "tester" {print $2; exit}' /etc/subuid)
	uspec '.linux.uidMappings=[{containerID:0,hostID:$me,size:1},{containerID:1,hostID:$first,size:65535}]
		| .linux.gidMappings=.linux.uidMappings | .process.user={uid:7,gid:8,additionalGids:[9]}' \
		--argjson me "$WHO" --argjson first "$first"
	uscript 'cat /proc/self/uid_map; grep -E "^(Uid|Groups)" /proc/self/status; sleep 100'
	urt create -b "$B" r1 >"$T/out" 2>&1 </dev/null || { cat "$T/out"; false; }
	urt start r1
	eventually grep -q Groups "$T/out"
	grep -q "^Groups:.*9" "$T/out"
	pid=$(urt state r1 | jq .pid)
	[ "$(stat -c %u /proc/$pid)" = $((first + 6)) ]
	[ "$(urt exec --user 0 r1 sh -c 'echo $(cat /proc/self/uid_map | wc -l)')" = 2 ]
	urt delete -f r1
}

# The user tester, with a systemd of its own.
users_systemd() {
	[ -d /run/systemd/system ] && id tester >/dev/null 2>&1 || skip "needs systemd and the user tester"
	WHO=$(id -u tester)
	systemctl start --no-block user@"$WHO".service
	chown -hR "$WHO:$WHO" "$U/b"
	# an emulated machine takes its time
	for _ in $(seq 120); do [ "$(systemctl is-active user@"$WHO".service)" = active ] && return 0; sleep 1; done
	return 1
}

@test "the user's systemd makes the scope, with its limits" {
	users_systemd
	as() { (cd / && exec setpriv --reuid "$WHO" --regid "$WHO" --clear-groups env XDG_RUNTIME_DIR=/run/user/"$WHO" systemd-run --user --quiet --pipe --wait "$@" 3>&-); }
	uspec '.process.args=["sleep","100"] | .linux.uidMappings[0].hostID=$me | .linux.gidMappings[0].hostID=$me
		| .linux.cgroupsPath="user.slice:test:r1" | .linux.resources={memory:{limit:67108864},pids:{limit:44}}' --argjson me "$WHO"
	urt --systemd-cgroup create -b "$B" r1 </dev/null >"$T/out" 2>&1 || { cat "$T/out"; false; }
	urt start r1
	pid=$(urt state r1 | jq .pid)
	cg=/sys/fs/cgroup/user.slice/user-$WHO.slice/user@$WHO.service/user.slice/test-r1.scope
	grep -qx "$pid" "$cg/cgroup.procs"
	[ "$(cat "$cg/memory.max")" = 67108864 ]
	[ "$(cat "$cg/pids.max")" = 44 ]
	urt update --pids-limit 55 r1
	[ "$(cat "$cg/pids.max")" = 55 ]
	urt pause r1
	[ "$(cat "$cg/cgroup.freeze")" = 1 ]
	urt resume r1
	urt delete -f r1
	[ ! -e "$cg" ]
}

# The caller is in no cgroup of the user's, as in a login session: the kernel refuses what it would
# let somebody do who is below the user's systemd, and that one has the system's do it.
@test "the user's systemd makes the scope for who is outside of it, too" {
	users_systemd
	as() { (cd / && exec setpriv --reuid "$WHO" --regid "$WHO" --clear-groups env XDG_RUNTIME_DIR=/run/user/"$WHO" "$@" 3>&-); }
	[[ "$(as cat /proc/self/cgroup)" != *"user@"* ]]
	uspec '.process.args=["sleep","100"] | .linux.uidMappings[0].hostID=$me | .linux.gidMappings[0].hostID=$me
		| .linux.cgroupsPath="user.slice:test:r1" | .linux.resources={memory:{limit:67108864},pids:{limit:44}}' --argjson me "$WHO"
	urt --systemd-cgroup create -b "$B" r1 </dev/null >"$T/out" 2>&1 || { cat "$T/out"; false; }
	urt start r1
	pid=$(urt state r1 | jq .pid)
	cg=/user.slice/user-$WHO.slice/user@$WHO.service/user.slice/test-r1.scope
	[ "$(cat "/proc/$pid/cgroup")" = "0::$cg" ]
	[ "$(cat "/sys/fs/cgroup$cg/memory.max")" = 67108864 ]
	[ "$(urt exec r1 echo hi)" = hi ]
	urt exec -d --pid-file /run/user/"$WHO"/e1.pid r1 sleep 100 </dev/null >"$T/out" 2>&1 || { cat "$T/out"; false; }
	[ "$(cat "/proc/$(cat /run/user/"$WHO"/e1.pid)/cgroup")" = "0::$cg" ]
	urt exec -d --cgroup below --pid-file /run/user/"$WHO"/e2.pid r1 sleep 100 </dev/null >"$T/out" 2>&1 || { cat "$T/out"; false; }
	[ "$(cat "/proc/$(cat /run/user/"$WHO"/e2.pid)/cgroup")" = "0::$cg/below" ]
	[ "$(cat "/sys/fs/cgroup$cg/pids.current")" = 3 ]
	urt delete -f r1
	[ ! -e "/sys/fs/cgroup$cg" ]
}
