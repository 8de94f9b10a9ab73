# All eight types: new, shared with the host, joined by path.
load lib
setup() { oci_setup; }
teardown() { oci_teardown; }

ns() { readlink "/proc/$1/ns/$2"; }

@test "each listed namespace is new, each other one the host's" {
	only_ours "runc 1.1 has no time namespaces"
	spec '.process.args=["sleep","100"] | .linux.namespaces=[{type:"mount"},{type:"pid"},{type:"time"}]
		| del(.hostname) | .mounts |= map(select(.type != "sysfs" and .type != "mqueue"))'
	start_c1
	for n in mnt pid time; do [ "$(ns $PID $n)" != "$(ns self $n)" ]; done
	for n in net ipc uts cgroup user; do [ "$(ns $PID $n)" = "$(ns self $n)" ]; done
}

@test "the default ones, hostname, loopback up" {
	script 'hostname; ip -o addr show lo; sleep 100'
	spec '.hostname="box"'
	start_c1
	for n in mnt pid net ipc uts; do [ "$(ns $PID $n)" != "$(ns self $n)" ]; done
	eventually grep -q 127.0.0.1/8 "$T/out"
	grep -qx box "$T/out"
	[ "$(hostname)" != box ]
}

@test "namespaces are joined by path" {
	spec '.process.args=["sleep","100"]'
	start_c1
	first=$PID
	mkdir "$T/b2"
	jq --arg p "/proc/$first/ns" --arg cg "$CG" '.process.args=["sh","-c","ps; sleep 100"] | del(.hostname)
		| .linux.cgroupsPath=$cg+"/c2" | .root.path="'"$B"'/rootfs"
		| .linux.namespaces=[{type:"mount"},{type:"pid",path:($p+"/pid")},{type:"network",path:($p+"/net")},
		  {type:"ipc",path:($p+"/ipc")},{type:"uts",path:($p+"/uts")}]' "$B/config.json" >"$T/b2/config.json"
	rt create -b "$T/b2" --pid-file "$T/pid2" c2 >"$T/out2" 2>&1 </dev/null
	rt start c2
	second=$(cat "$T/pid2")
	for n in pid net ipc uts; do [ "$(ns $first $n)" = "$(ns $second $n)" ]; done
	[ "$(ns $first mnt)" != "$(ns $second mnt)" ]
	eventually grep -q 'sleep 100' "$T/out2"
	rt exec c2 ps | grep -q "sleep 100"
	rt delete -f c2
	is running
}

@test "a path that is no namespace, or of another type, is refused by name" {
	spec '.linux.namespaces |= map(if .type=="network" then .path="/dev/null" else . end)'
	run_c1
	[ "$status" = 1 ]
	only_ours "runc's text does not name it"
	[[ "$stderr" == *"/dev/null"* ]]
	spec '.linux.namespaces |= map(if .type=="network" then .path="/proc/self/ns/uts" else . end)'
	run_c1
	[[ "$stderr" == *"linux.namespaces[1].path: /proc/self/ns/uts is not a network namespace"* ]]
}

@test "a user namespace: ids are mapped, devices are there, the cgroup is readable" {
	only_ours "runc opens the rootfs with the rights of the container's root"
	spec '.linux.namespaces += [{type:"user"}] | .linux.uidMappings=[{containerID:0,hostID:100000,size:65536}]
		| .linux.gidMappings=[{containerID:0,hostID:200000,size:65536}] | .root.readonly=false'
	chown -R 100000:200000 "$B/rootfs"
	chmod 711 "$T" "$B"
	script 'id -u; cat /proc/self/uid_map; touch /made; echo x >/dev/null && ls -l /dev/null; sleep 100'
	start_c1
	eventually grep -q '1, *3' "$T/out"
	[ "$(head -n1 "$T/out")" = 0 ]
	grep -qE '^ +0 +100000 +65536' "$T/out"
	[ "$(stat -c %u:%g "$B/rootfs/made")" = 100000:200000 ]
	[ "$(stat -c %u /proc/$PID)" = 100000 ]
	[ "$(rt exec c1 id -u)" = 0 ]
	[ "$(rt exec -u 5:6 c1 sh -c 'id -u; id -g' | tr '\n' ' ')" = "5 6 " ]
}

@test "a user namespace joined by path, with a new pid namespace of its own" {
	only_ours "runc needs the other namespaces to be joined as well"
	spec '.linux.namespaces += [{type:"user"}] | .linux.uidMappings=[{containerID:0,hostID:100000,size:65536}]
		| .linux.gidMappings=[{containerID:0,hostID:100000,size:65536}] | .process.args=["sleep","100"]'
	chown -R 100000:100000 "$B/rootfs"; chmod 711 "$T" "$B"
	start_c1
	mkdir "$T/b2"; chmod 711 "$T/b2"
	jq --arg p "/proc/$PID/ns" --arg cg "$CG" '.process.args=["sh","-c","echo $$; id -u; sleep 100"]
		| .linux.cgroupsPath=$cg+"/c2" | .root.path="'"$B"'/rootfs" | del(.linux.uidMappings,.linux.gidMappings)
		| .linux.namespaces |= map(if .type=="user" then .path=$p+"/user" elif .type=="network" then .path=$p+"/net" else . end)' \
		"$B/config.json" >"$T/b2/config.json"
	rt create -b "$T/b2" --pid-file "$T/pid2" c2 >"$T/out2" 2>&1 </dev/null
	rt start c2
	eventually sh -c "[ \"\$(head -n2 '$T/out2' | tr '\n' ' ')\" = '1 0 ' ]"
	[ "$(ns "$(cat "$T/pid2")" user)" = "$(ns $PID user)" ]
	[ "$(ns "$(cat "$T/pid2")" net)" = "$(ns $PID net)" ]
	[ "$(ns "$(cat "$T/pid2")" pid)" != "$(ns $PID pid)" ]
	rt delete -f c2
}

@test "a new user namespace beside a network namespace of the host's owner" {
	only_ours "runc opens the rootfs with the rights of the container's root"
	spec '.linux.namespaces += [{type:"user"}] | .linux.uidMappings=[{containerID:0,hostID:100000,size:65536}]
		| .linux.gidMappings=[{containerID:0,hostID:100000,size:65536}] | .process.args=["sleep","100"]
		| .mounts |= map(select(.type != "sysfs" and .type != "cgroup"))
		| .linux.namespaces |= map(if .type=="network" then .path=$t+"/netns" else . end)'
	chown -R 100000:100000 "$B/rootfs"; chmod 711 "$T" "$B"
	touch "$T/netns"
	unshare -n sh -c "mount --bind /proc/self/ns/net '$T/netns'"
	rt create -b "$B" --pid-file "$T/pid" c1 >"$T/out" 2>&1 </dev/null || { cat "$T/out"; umount "$T/netns"; false; }
	PID=$(cat "$T/pid")
	[ "$(stat -Lc %i /proc/$PID/ns/net)" = "$(stat -Lc %i "$T/netns")" ]
	rt delete -f c1
	umount "$T/netns"
}

@test "time offsets" {
	only_ours "runc 1.1 has no time namespaces"
	spec '.linux.namespaces += [{type:"time"}] | .linux.timeOffsets={"boottime":{"secs":1000000,"nanosecs":0}}'
	script 'cut -d. -f1 /proc/uptime'
	run_c1
	[ "$status" = 0 ]
	[ "$output" -ge 1000000 ]
}

@test "sysctls of the container's namespaces, and no others" {
	spec '.linux.sysctl={"net.ipv4.ip_forward":"1","kernel.shmmni":"99"}'
	script 'cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmni'
	run_c1
	[ "$output" = $'1\n99' ]
	spec '.linux.sysctl={"vm.swappiness":"1"}'
	run_c1
	[ "$status" = 1 ]
	[[ "$stderr" == *"vm.swappiness"*"not in a separate kernel namespace"* ]]
	spec '.linux.sysctl={"net.ipv4.ip_forward":"1"} | .linux.namespaces |= map(select(.type != "network")) | .mounts |= map(select(.type!="sysfs"))'
	run_c1
	[ "$status" = 1 ]
	[[ "$stderr" == *"net.ipv4.ip_forward"* ]]
}

@test "the cgroup namespace begins at the container's cgroup" {
	spec '.linux.namespaces |= (map(select(.type!="cgroup")) + [{type:"cgroup"}])'
	script 'cat /proc/self/cgroup'
	run_c1
	[ "$status" = 0 ]
	! grep -v ':/$' <<<"$output" || false
	spec '.linux.namespaces |= map(select(.type!="cgroup"))'
	run_c1
	grep -q "$CG/c1" <<<"$output"
}
