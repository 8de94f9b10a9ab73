# One test for each published escape or bypass of an OCI runtime, from its public description.
load ../oci/lib
setup() { oci_setup; }
teardown() { oci_teardown; }

# All capabilities that the machine gives: what must hold against root in the container.
privileged() {
	local all='["CAP_SYS_PTRACE","CAP_SYS_ADMIN","CAP_DAC_OVERRIDE","CAP_DAC_READ_SEARCH","CAP_SYS_CHROOT","CAP_MKNOD","CAP_CHOWN","CAP_FOWNER","CAP_SETUID","CAP_SETGID","CAP_NET_ADMIN"]'
	spec '.process.capabilities=({bounding:$c,permitted:$c,effective:$c}) | .root.readonly=false | .process.noNewPrivileges=false' --argjson c "$all"
}

# A runtime that keeps a descriptor too long waits for ever: it has ten seconds.
soon() { timeout -k 1 10 "$RUNTIME" --root "$ROOT" "$@" 3>&-; }

@test "CVE-2016-9962: a process about to be executed shows no descriptor of the host" {
	# whoever may not trace sees nothing, though it is the same user
	spec '.process.args=["sleep","100"]'
	soon create -b "$B" c1 >/dev/null 2>&1 </dev/null
	run soon exec c1 sh -c 'readlink /proc/1/fd/0 /proc/1/exe /proc/1/cwd; test -r /proc/1/fd && ls -l /proc/1/fd 2>/dev/null'
	! grep -e '->' -e / <<<"$output" || false
	soon delete -f c1
	# who may trace sees none of the host's
	privileged
	soon create -b "$B" c1 >/dev/null 2>&1 </dev/null
	soon exec c1 ls -l /proc/1/fd >"$T/out" 2>&1 || [ $? != 124 ]
	! grep -E 'state|cgroup|/proc$' "$T/out" || false
	[ "$(grep -c -- '->' "$T/out")" -le 5 ] # stdio, and what start is waited for by
}

@test "CVE-2019-5736: the runtime's file cannot be opened for writing from inside" {
	only_ours "about our own file"
	cp "$RUNTIME" "$T/caisson-oci" # nobody else runs it: "text file busy" would hide the answer
	RUNTIME=$T/caisson-oci
	before=$(sha256sum "$RUNTIME")
	privileged
	spec '.process.args=["sleep","100"]'
	rt create -b "$B" c1 >/dev/null 2>&1 </dev/null
	# in a created container process 1 still is the runtime: its file is held open until it is not
	rt exec -d c1 sh -c 'exec 3</proc/1/exe; echo held >/tmp/held; while [ ! -e /tmp/go ]; do sleep 0.02; done
		wc -c <&3 >/tmp/size; (: >>/proc/self/fd/3) 2>/tmp/why; echo $? >/tmp/done' >/dev/null 2>&1 </dev/null
	eventually test -s "$B/rootfs/tmp/held"
	rt start c1
	touch "$B/rootfs/tmp/go"
	eventually test -s "$B/rootfs/tmp/done"
	[ "$(cat "$B/rootfs/tmp/done")" != 0 ]
	[ "$(cat "$B/rootfs/tmp/size")" = "$(stat -c %s "$RUNTIME")" ]
	grep -q "Read-only file system" "$B/rootfs/tmp/why"
	rt delete -f c1
	# the program, an interpreter: what runs is the runtime's file, and still cannot be written
	printf '#!/proc/self/exe\n' >"$B/rootfs/bin/evil"; chmod +x "$B/rootfs/bin/evil"
	for p in /proc/self/exe evil; do
		spec '.process.args=[$p,"--version"]' --arg p "$p"
		run_c1
	done
	[ "$(sha256sum "$RUNTIME")" = "$before" ]
}

@test "CVE-2019-16884, CVE-2023-28642: nothing is mounted over /proc to keep labels and masks away" {
	for d in /proc /proc/self /proc/thread-self /proc/1; do
		spec '.mounts += [{destination:$d,type:"tmpfs",source:"t"}]' --arg d "$d"
		run_c1
		[ "$status" = 1 ]
		spec 'del(.mounts[-1])'
	done
	mkdir "$T/fake"
	spec '.mounts += [{destination:"/proc",type:"bind",source:($t+"/fake"),options:["bind"]}]'
	run_c1
	[ "$status" = 1 ]
	only_ours "its words"
	[[ "$stderr" == *"is not a procfs"* ]]
}

@test "CVE-2019-19921, CVE-2023-27561: /proc and /sys that are links are refused" {
	for d in proc sys; do
		rmdir "$B/rootfs/$d"; mkdir "$B/rootfs/vol"; ln -s vol "$B/rootfs/$d"
		run_c1
		[ "$status" = 1 ]
		rm "$B/rootfs/$d"; rmdir "$B/rootfs/vol"; mkdir "$B/rootfs/$d"
	done
}

@test "CVE-2021-30465, CVE-2024-45310: a destination that is exchanged for a link stays inside" {
	command -v python3 >/dev/null || skip "needs python3"
	mkdir -p "$B/rootfs/a/dir" "$B/rootfs/b"
	ln -s / "$B/rootfs/a/link"
	cat >"$T/race.py" <<-X
		import ctypes, time
		libc = ctypes.CDLL(None)
		a, b = b"$B/rootfs/a/dir", b"$B/rootfs/a/link"
		end = time.time() + 60
		while time.time() < end:
		    for _ in range(1000): libc.renameat2(-100, a, -100, b, 2)
	X
	python3 "$T/race.py" 3>&- &
	race=$!
	spec '.root.readonly=false | .mounts += [{destination:("/a/dir/caisson-race"),type:"tmpfs",source:"t"}]'
	for i in $(seq 20); do run_c1 || true; rt delete -f c1 2>/dev/null || true; done
	kill $race
	[ ! -e /caisson-race ]
	# one that leads to a directory of the host that is there: what is mounted shows inside
	mkdir -p "$T/victim/sub"
	for to in "$T/victim" "../../../../../../../../../../../../../../..$T/victim"; do
		rm -rf "$B/rootfs/a/link" "$B/rootfs/a/dir"
		ln -s "$to" "$B/rootfs/a/link"
		spec '.mounts[-1].destination="/a/link/sub" | .process.args=["cat","/proc/self/mountinfo"]'
		run_c1
		[ "$status" = 0 ]
		grep -q " $T/victim/sub .* - tmpfs t " <<<"$output"
	done
}

@test "CVE-2022-29162, CVE-2022-27650: no inheritable capabilities unless asked for" {
	spec '.process.args=["grep","CapInh","/proc/self/status"]'
	run_c1
	[ "$output" = $'CapInh:\t0000000000000000' ]
	spec '.process.args=["sleep","100"]'
	start_c1
	[ "$(rt exec --cap CAP_NET_RAW c1 grep CapInh /proc/self/status)" = $'CapInh:\t0000000000000000' ]
}

@test "CVE-2023-25809: the cgroup tree of the host is not writable from inside" {
	privileged
	spec '.process.capabilities |= map_values(map(select(. != "CAP_SYS_ADMIN")))'
	script 'for d in /sys/fs/cgroup /sys/fs/cgroup/*; do mkdir $d/caisson-out 2>/dev/null && echo made $d; done; true'
	run_c1
	[ "$output" = "" ]
}

@test "CVE-2024-21626: neither the directory nor the program is found through our descriptors" {
	# not by a pipe, which what hangs would keep open
	run_c1() { status=0; soon run -b "$B" c1 >"$T/out" 2>&1 </dev/null || status=$?; output=$(<"$T/out"); }
	for n in $(seq 3 40); do
		spec '.process.cwd=$d | .process.args=["pwd"]' --arg d "/proc/self/fd/$n"
		run_c1
		[ "$status" != 124 ]
		[ "$status" != 0 ] || [ "$output" = "/proc/self/fd/$n" ]
		spec '.process.cwd="/" | .process.args=[$d]' --arg d "/proc/self/fd/$n/bin/true"
		run_c1
		[ "$status" != 0 ]
	done
	spec '.process.cwd="/" | .process.args=["sleep","100"]'
	start_c1
	for n in $(seq 3 20); do
		run soon exec --cwd "/proc/self/fd/$n" c1 cat ../../../../../../etc/hostname
		[ "$status" != 0 ]
	done
}

@test "CVE-2025-31133: masks are the host's null device, whatever /dev/null of the image is" {
	spec '.mounts |= map(select(.destination | startswith("/dev") | not))'
	ln -s /proc/sys/kernel/hostname "$B/rootfs/dev/null"
	spec '.root.readonly=false | .linux.maskedPaths=["/proc/uptime"]'
	script 'wc -c </proc/uptime; ls -l /proc/uptime'
	run_c1
	if [ "$status" = 0 ]; then
		[ "${lines[0]}" = 0 ]
		[[ "${lines[1]}" =~ 1,\ +3 ]]
	else
		[[ "$stderr" == *"/dev/null"* ]]
	fi
	only_ours "others refuse or ignore another device by that name"
	# a container whose own is another device, which is no mistake: the mask is not that one
	rm "$B/rootfs/dev/null"
	spec '.linux.devices=[{path:"/dev/null",type:"c",major:1,minor:5}]'
	script 'ls -l /dev/null; ls -l /proc/uptime'
	run_c1
	[ "$status" = 0 ]
	[[ "${lines[0]}" =~ 1,\ +5 ]]
	[[ "${lines[1]}" =~ 1,\ +3 ]]
}

@test "CVE-2025-52565: a link named /dev/console is not followed" {
	command -v python3 >/dev/null || skip "needs python3"
	only_ours "about our own steps"
	spec '.mounts |= map(select(.destination == "/dev" or .destination == "/dev/shm" or .destination == "/dev/mqueue" | not))'
	spec '.root.readonly=false | .process.terminal=true | .process.args=["cat","/proc/self/mountinfo"]'
	ln -s /proc/sys/kernel/core_pattern "$B/rootfs/dev/console"
	mkdir -p "$B/rootfs/dev/pts"
	run_c1
	[ "$status" = 1 ]
	[[ "$stderr" == *"/dev/console"* ]]
}

@test "CVE-2025-52881: sysctls are written to the real procfs of the container's namespaces" {
	rmdir "$B/rootfs/proc"; mkdir -p "$B/rootfs/proc/sys/net/ipv4"; echo fake >"$B/rootfs/proc/sys/net/ipv4/ip_forward"
	spec '.root.readonly=false | .linux.sysctl={"net.ipv4.ip_forward":"1"}'
	script 'cat /proc/sys/net/ipv4/ip_forward'
	run_c1
	[ "$output" = 1 ]
	[ "$(cat "$B/rootfs/proc/sys/net/ipv4/ip_forward")" = fake ]
}

@test "CVE-2025-24965: nothing of the runtime's is written into the image's files, whoever asks" {
	mkdir "$T/victim"
	echo "the host's" >"$T/victim/file"
	# where the krun handler of another runtime keeps its configuration
	ln -s "$T/victim/file" "$B/rootfs/.krun_config.json"
	ln -s "../../../../../../../../../..$T/victim/new" "$B/rootfs/.krun_vm.json"
	spec '.annotations={"run.oci.handler":"krun"}'
	run_c1
	spec 'del(.annotations)'
	run_c1
	[ "$status" = 0 ]
	[ "$(cat "$T/victim/file")" = "the host's" ]
	[ "$(ls "$T/victim")" = file ]
	[ -L "$B/rootfs/.krun_config.json" ]
}
