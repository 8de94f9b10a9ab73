# checkpoint and restore of what processes hold: connections, locks, terminals, pages that come later.

setup_file() {
	if [ "$(id -u)" = 0 ]; then
		CRIU=$(tools/install-criu 2>"$BATS_FILE_TMPDIR/why") || CRIU=
		export CRIU NO_CRIU="$(tail -n 1 "$BATS_FILE_TMPDIR/why")"
		gcc -O2 -Wall -static -D_GNU_SOURCE -o "$BATS_FILE_TMPDIR/holds" tests/oci/holds.c
	fi
}

setup() {
	load lib
	oci_setup
	only_ours "runc and crun take the criu of PATH"
	[ -n "${CRIU:-}" ] || skip "no CRIU: ${NO_CRIU:-}"
	cp "$BATS_FILE_TMPDIR/holds" "$B/rootfs/bin/holds"
	spec '.root.readonly=false'
}

teardown() {
	[ -z "${HELPER:-}" ] || kill "$HELPER" 2>/dev/null || true
	oci_teardown
	[ -z "${HOST:-}" ] || ip netns del "$HOST"
}

ck() { rt --criu "$CRIU" checkpoint --image-path "$T/img" "$@" c1; }

begin() { # arguments of holds
	spec '.process.args=["holds",$what,$on]' --arg what "$1" --arg on "${2:-}"
	mkfifo -m 666 "$T/pipe"
	cat "$T/pipe" >"$T/out" 3>&- &
	rt create -b "$B" c1 </dev/null >"$T/pipe" 2>&1
	rt start c1
	eventually grep -qx 3 "$T/out"
}

again() {
	mkfifo -m 666 "$T/pipe2"
	cat "$T/pipe2" >"$T/out2" 3>&- &
	rt --criu "$CRIU" restore -d -b "$B" --image-path "$T/img" "$@" c1 </dev/null >"$T/pipe2" 2>&1 ||
		{ cat "$T/out2"; return 1; }
}

went_on() { # from its next number, and three more
	local last
	last=$(tail -n 1 "$T/out")
	eventually grep -qx $((last + 4)) "$T/out2" || { echo "$last, then $(cat "$T/out2")"; return 1; }
	[ "$(head -n 1 "$T/out2")" -eq $((last + 1)) ]
}

# The option is what makes it possible: CRIU says so without.
needs() { # option, what CRIU says
	run --separate-stderr ck
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"criu dump failed: "*"$2"* ]]
	is running
	ck "$1"
}

@test "--tcp-established: a connection goes on, or comes back closed with --tcp-close" {
	begin tcp
	needs --tcp-established "--tcp-established"
	cp -r "$T/img" "$T/img2"
	again --tcp-established
	went_on
	rt delete -f c1
	rm -r "$T/img" "$T/pipe2"
	mv "$T/img2" "$T/img"
	again --tcp-close
	eventually grep -q "the connection" "$T/out2"
	eventually is stopped
}

@test "--file-locks: POSIX locks and flock are held again" {
	begin locks /tmp/lock
	needs --file-locks "--file-locks"
	again --file-locks
	went_on
	[ "$(rt exec c1 holds try /tmp/lock)" = "posix flock" ]
}

@test "--link-remap: an open file whose name is gone" {
	begin unlinked /tmp/file
	needs --link-remap "link-remap"
	again
	went_on
}

@test "--ext-unix-sk: a datagram socket that leads outside" {
	mkdir "$T/s"
	python3 -c 'import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
while True: s.recv(9)' "$T/s/sock" 3>&- &
	HELPER=$!
	eventually test -S "$T/s/sock"
	spec '.linux.namespaces|=map(select(.type!="network")) |
		.mounts+=[{destination:($t+"/s"),source:($t+"/s"),type:"bind",options:["bind"]}]'
	begin unix "$T/s/sock"
	needs --ext-unix-sk "--ext-unix-sk"
	again --ext-unix-sk
	went_on
}

@test "a terminal comes back, with its new master at the console socket" {
	cat >"$T/console.py" <<-'X'
		import socket, sys, array, os
		s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(1)
		fd = array.array("i", s.accept()[0].recvmsg(256, socket.CMSG_SPACE(4))[1][0][2])[0]
		out = open(sys.argv[2], "wb", buffering=0)
		os.write(fd, sys.argv[3].encode())
		try:
		    while d := os.read(fd, 4096): out.write(d)
		except OSError: pass
	X
	spec '.process.terminal=true'
	script 'x=0; while read l; do x=$((x+1)); echo "$x: $l"; done'
	python3 "$T/console.py" "$T/s1" "$T/shown1" $'one\n' 3>&- &
	eventually test -S "$T/s1"
	rt create -b "$B" --console-socket "$T/s1" c1
	rt start c1
	eventually grep -q "1: one" "$T/shown1"
	ck
	run --separate-stderr rt --criu "$CRIU" restore -d -b "$B" --image-path "$T/img" c1
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"console socket"* ]]
	python3 "$T/console.py" "$T/s2" "$T/shown2" $'two\n' 3>&- &
	eventually test -S "$T/s2"
	rt --criu "$CRIU" restore -d -b "$B" --console-socket "$T/s2" --image-path "$T/img" c1
	eventually grep -q "2: two" "$T/shown2"
	[ "$(rt exec c1 readlink /proc/1/fd/0)" = /dev/pts/0 ]
}

@test "--manage-cgroups-mode: CRIU's own ways to the same cgroup; strict is CRIU's refusal" {
	local mode
	begin memory 1
	for mode in soft full; do
		ck --manage-cgroups-mode "$mode"
		again --manage-cgroups-mode "$mode"
		went_on
		grep -q "pids:$CG/c1$\|::$CG/c1$" "/proc/$(rt state c1 | jq .pid)/cgroup"
		mv "$T/out2" "$T/out"
		rm "$T/pipe2"
	done
	ck --manage-cgroups-mode strict
	run again --manage-cgroups-mode strict
	[ "$status" -eq 1 ]
	[[ "$output" == *"criu restore failed: "*"existing cgroups"* ]]
	[ -z "$(rt list -q)" ]
}

@test "--lsm-profile and --lsm-mount-context are refused where there is no such module" {
	[ ! -e /sys/fs/selinux/enforce ] && ! grep -q apparmor /sys/kernel/security/lsm 2>/dev/null || skip "there is one here"
	begin memory 1
	ck
	run again --lsm-profile apparmor:x
	[ "$status" -eq 1 ]
	[[ "$output" == *"apparmor not supported by kernel"* ]]
	rm "$T/pipe2"
	run again --lsm-mount-context system_u:object_r:container_file_t:s0
	[ "$status" -eq 1 ]
	[[ "$output" == *"--lsm-mount-context: SELinux is not enabled here"* ]]
	[ -z "$(rt list -q)" ]
}

@test "--page-server: the pages go to another, and come back from there" {
	begin memory 20
	mkdir "$T/img"
	local port
	port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	"$CRIU" page-server -D "$T/img" --address 127.0.0.1 --port "$port" -d -o server.log 3>&-
	ck --page-server "127.0.0.1:$port"
	[ "$(cat "$T"/img/pages-*.img | wc -c)" -ge 20971520 ]
	again --auto-dedup
	went_on
}

@test "--lazy-pages: the container runs while its pages are still fetched" {
	"$CRIU" check --feature uffd-noncoop >/dev/null 2>&1 || skip "this kernel or CRIU has no lazy pages"
	begin memory 20
	ck
	"$CRIU" lazy-pages -D "$T/img" -W "$T/img" -v4 -d -o lazy.log 3>&-
	again --lazy-pages
	went_on
	eventually grep -q "uffd: .*UFFD transferred pages: (" "$T/img/lazy.log" || { tail -n 3 "$T/img/lazy.log"; false; }
}

@test "--status-fd tells when pages can be fetched; the container can be deleted though nobody does" {
	"$CRIU" check --feature uffd-noncoop >/dev/null 2>&1 || skip "this kernel or CRIU has no lazy pages"
	begin memory 20
	local port
	port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	ck --lazy-pages --page-server "127.0.0.1:$port" --status-fd 9 9>"$T/status" 3>&- &
	HELPER=$!
	eventually test -s "$T/status"
	[ "$(od -An -tx1 "$T/status")" = " 00" ]
	[ "$(cat "$T"/img/pages-*.img | wc -c)" -lt 20971520 ] # the rest is what would be fetched
	timeout 20 "$RUNTIME" --root "$ROOT" delete -f c1
	[ -z "$(rt list -q)" ]
	[ ! -e "$(cgdir pids)" ]
	timeout 5 python3 -c 'import socket, sys; socket.create_connection(("127.0.0.1", int(sys.argv[1])))' "$port" || true
	wait "$HELPER" || true
}

@test "--empty-ns network: a new network, with loopback and what netDevices say" {
	HOST=ct-criu-$$ # stands for the host
	ip netns add "$HOST"
	ip -n "$HOST" link set lo up # CRIU tries things out over it
	ip -n "$HOST" link add d0 type veth peer name p0
	ip -n "$HOST" addr add 10.9.8.7/24 dev d0
	printf '#!/bin/sh\nexec nsenter --net=%s "%s" "$@"\n' "/run/netns/$HOST" "$RUNTIME" >"$T/on_host"
	chmod +x "$T/on_host"
	RUNTIME=$T/on_host
	begin memory 1
	ck --empty-ns network
	spec '.linux.netDevices={d0:{name:"eth0"}}'
	run again
	[ "$status" -eq 1 ]
	[[ "$output" == *"linux.netDevices: "*"--empty-ns network"* ]]
	rm "$T/pipe2"
	run again --empty-ns mount
	[ "$status" -eq 1 ]
	[[ "$output" == *"--empty-ns"* ]]
	rm "$T/pipe2"
	again --empty-ns network
	went_on
	rt exec c1 ip addr show dev eth0 | grep -q 10.9.8.7/24
	rt exec c1 ip link show dev lo | grep -q LOOPBACK,UP
	run ip -n "$HOST" link show d0
	[ "$status" -ne 0 ]
}
