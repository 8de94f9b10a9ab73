# Terminals: over a console socket, and in the foreground.
load lib
setup() { oci_setup; command -v python3 >/dev/null || skip "needs python3"; }
teardown() { oci_teardown; }

# Accepts one terminal, writes what it shows to $T/shown, types what is given.
console() {
	cat >"$T/console.py" <<-'X'
		import socket, sys, array, os, threading
		s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(1)
		c, _ = s.accept()
		msg, anc, _, _ = c.recvmsg(256, socket.CMSG_SPACE(4))
		fd = array.array("i", anc[0][2])[0]
		out = open(sys.argv[2], "wb", buffering=0)
		os.write(fd, sys.argv[3].encode())
		try:
		    while True:
		        d = os.read(fd, 4096)
		        if not d: break
		        out.write(d)
		except OSError: pass
	X
	python3 "$T/console.py" "$T/console.sock" "$T/shown" "$1" 3>&- &
	eventually test -S "$T/console.sock"
}

@test "a console socket gets the master; the process has a controlling terminal" {
	spec '.process.terminal=true | .process.consoleSize={height:33,width:77}'
	script 'tty; stty size; ls -l /dev/console; readlink /proc/self/fd/0; read x; echo "got $x"; stty -a | grep -o -- "-onlcr"'
	console $'typed\n'
	rt create -b "$B" --console-socket "$T/console.sock" c1
	rt start c1
	eventually grep -q "got typed" "$T/shown"
	grep -q /dev/pts/0 "$T/shown"
	grep -q "33 77" "$T/shown"
	eventually grep -q -- -onlcr "$T/shown"
	eventually is stopped
}

@test "a terminal without a console socket is refused when detached" {
	spec '.process.terminal=true'
	run rt create -b "$B" c1 </dev/null
	[ "$status" = 1 ]
	[[ "$output" == *"cannot allocate tty"* ]]
}

@test "run and exec in the foreground of a terminal" {
	only_ours "runc insists on a terminal of its caller"
	spec '.process.terminal=true'
	script 'tty; exit 4'
	run_c1
	[ "$status" = 4 ]
	[[ "$output" == *"/dev/pts/0"* ]]
	spec '.process.terminal=false'
	script 'sleep 100'
	start_c1
	run --separate-stderr rt exec -t c1 sh -c 'tty; exit 5'
	[ "$status" = 5 ]
	[[ "$output" == *"/dev/pts/0"* ]]
}
