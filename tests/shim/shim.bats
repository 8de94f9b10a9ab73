# The shim with real containers, driven by its own client side.

bats_require_minimum_version 1.5.0
load lib

setup() { shim_setup; }
teardown() { shim_teardown; }

@test "a container runs, its output is in the log and its exit code on record" {
	bundle c1 -- sh -c 'echo out; echo err >&2; printf rest; exit 3'
	launch c1
	pid=$(ctl create c1 "$T/c1" "$ROOT" log="$T/logs/deep/c1.log")
	[ "$(ctl state c1)" = "created $pid 0" ]
	[ "$(cut -d' ' -f1 "$T/c1/init.pid")" = "$pid" ]
	[ ! -e "$T/c1/exit.json" ]
	ctl start c1
	[ "$(ctl wait c1)" = 3 ]
	[ "$(ctl state c1)" = "stopped $pid 3" ]
	[ "$(content "$T/logs/deep/c1.log" stdout)" = $'out\nrest' ]
	[ "$(content "$T/logs/deep/c1.log" stderr)" = err ]
	[ "$(stat -c %a "$T/logs/deep/c1.log")" = 640 ]
	grep -qE '^[0-9-]{10}T[0-9:]{8}\.[0-9]{9}Z stdout P rest$' "$T/logs/deep/c1.log"
	[ "$(jq -c '[.id, .pid, .code]' "$T/c1/exit.json")" = "[\"c1\",$pid,3]" ]
	ctl delete c1
	run ctl state c1
	[ "$status" = 102 ]
	[ ! -e "$ROOT/c1" ]
}

@test "the errors are those that containerd expects" {
	bundle c1 -- sleep 1000
	launch c1
	run ctl start c1
	[ "$status" = 102 ] # NOT_FOUND
	ctl create c1 "$T/c1" "$ROOT"
	run ctl create c1 "$T/c1" "$ROOT"
	[ "$status" = 103 ] # EXISTS
	ctl start c1
	run ctl start c1
	[ "$status" = 104 ] # STATE
	run ctl delete c1
	[ "$status" = 104 ]
	run ctl state c1 noexec
	[ "$status" = 102 ]
	ctl kill c1 9
	[ "$(ctl wait c1)" = 137 ]
	run ctl kill c1 9
	[ "$status" = 102 ]
	ctl delete c1
	run ctl delete c1
	[ "$status" = 102 ]
	run ctl create bad "$T/none" "$ROOT"
	[ "$status" -gt 100 ]
	run ctl state bad
	[ "$status" = 102 ]
}

@test "a container that was never started can be deleted" {
	bundle c1 -- sleep 1000
	launch c1
	pid=$(ctl create c1 "$T/c1" "$ROOT")
	ctl delete c1
	[ ! -e "/proc/$pid" ]
	[ ! -e "$ROOT/c1" ]
}

@test "a million lines arrive, each once and whole, while the file is rotated" {
	bundle c1 -- seq 1 1000000
	launch c1
	mkdir "$T/logs"
	ctl create c1 "$T/c1" "$ROOT" log="$T/logs/l" >/dev/null
	ctl start c1 >/dev/null
	for i in $(seq 100 110); do
		mv "$T/logs/l" "$T/logs/r$i"
		ctl reopen c1
		sleep 0.02
	done
	[ "$(ctl wait c1)" = 0 ]
	mv "$T/logs/l" "$T/logs/r999"
	cat "$T"/logs/r* | cut -d' ' -f4 >"$T/got"
	seq 1 1000000 | cmp - "$T/got"
	! cat "$T"/logs/r* | grep -qvE '^[^ ]+ stdout F [0-9]+$'
}

@test "long lines are cut at 16 KiB and come back as they were" {
	bundle c1 -- sh -c 'head -c 100000 /dev/zero | busybox tr "\0" x; echo; echo end'
	launch c1
	[ "$(run_one c1 log="$T/l")" = 0 ]
	[ "$(grep -c ' stdout P ' "$T/l")" = 6 ]
	[ "$(content "$T/l" | head -n 1 | wc -c)" = 100001 ]
	[ "$(content "$T/l" | tail -n 1)" = end ]
	[ "$(awk '{ if (length($0) > m) m = length($0) } END { print m }' "$T/l")" -lt 16500 ]
}

@test "a full disk holds up one container, loses nothing, and no other waits" {
	bundle full -- sh -c 'seq 1 60000; exit 4'
	bundle other -- echo other
	launch full
	# the small disk is seen by this shim alone
	cat >"$T/in-ns" <<-X
		set -e
		mkdir -p "$T/small"
		mount -t tmpfs -o size=1m none "$T/small"
		$SHIMCTL launch "$CAISSON_SHIM" "$T/p2" "$T/full" pod2 | { read -r a p; echo "\$a" >"$T/a2"; echo "\$p" >"$T/pid2"; }
		a=\$(cat "$T/a2")
		$SHIMCTL create "\$a" full "$T/full" "$ROOT" log="$T/small/l" >/dev/null
		$SHIMCTL start "\$a" full >/dev/null
		for i in \$(seq 100); do [ "\$(stat -c %s "$T/small/l")" -ge 1000000 ] && break; sleep 0.05; done
		sleep 0.2
		[ "\$($SHIMCTL state "\$a" full | cut -d' ' -f1)" = running ]
		$SHIMCTL create "\$a" other "$T/other" "$ROOT" log="$T/other.log" >/dev/null
		$SHIMCTL start "\$a" other >/dev/null
		[ "\$($SHIMCTL wait "\$a" other)" = 0 ]
		grep -q 'F other' "$T/other.log"
		mount -o remount,size=20m "$T/small"
		[ "\$($SHIMCTL wait "\$a" full)" = 4 ]
		cut -d' ' -f4 "$T/small/l" >"$T/got"
		$SHIMCTL delete "\$a" full
		$SHIMCTL delete "\$a" other
		$SHIMCTL shutdown "\$a" pod2
	X
	unshare -m bash "$T/in-ns" || { kill -9 "$(cat "$T/pid2")"; false; }
	seq 1 60000 | cmp - "$T/got"
	grep -q 'No space left on device' "$T/p2/shim.log"
}

@test "the log path is not followed when it is a link" {
	bundle c1 -- echo x
	launch c1
	ln -s "$T/elsewhere" "$T/l"
	run ctl create c1 "$T/c1" "$ROOT" log="$T/l"
	[ "$status" -gt 100 ]
	[ ! -e "$T/elsewhere" ]
}

@test "exec-sync gives output, code, and errors" {
	bundle c1 -- sleep 1000
	launch c1
	ctl create c1 "$T/c1" "$ROOT" >/dev/null
	ctl start c1 >/dev/null
	run --separate-stderr ctl exec-sync c1 5000 "$T/c1" sh -c 'echo o; echo e >&2; exit 7'
	[ "$status" = 7 ]
	[ "$output" = o ]
	[ "$stderr" = e ]
	[ "$(ctl exec-sync c1 0 "$T/c1" head -c 3000000 /dev/zero | wc -c)" = 3000000 ]
	run ctl exec-sync c1 5000 "$T/c1" /bin/nonexistent
	[ "$status" = 102 ]
	# a child that holds the output does not hold the answer up
	start=$(date +%s%N)
	[ "$(ctl exec-sync c1 5000 "$T/c1" sh -c 'sleep 100 & echo x')" = x ]
	[ $(($(date +%s%N) - start)) -lt 2000000000 ]
	[ -z "$(find "$T/c1" -type p)" ]
}

@test "an exec that is over time dies with its children" {
	bundle c1 -- sleep 1000
	launch c1
	pid=$(ctl create c1 "$T/c1" "$ROOT")
	ctl start c1 >/dev/null
	run ctl exec-sync c1 600 "$T/c1" sh -c 'echo part; sleep 4711 & sh -c "sleep 4711 & sleep 4711" & sleep 4711'
	[ "$status" = 108 ] # TIMEOUT
	[[ "$output" == part* ]]
	eventually sh -c "! ps ax -o args | grep -q '^sleep 471[1]'"
	# before it is there at all it is the same
	run ctl exec-sync c1 1 "$T/c1" sh -c 'sleep 4711'
	[ "$status" = 108 ]
	[ "$(ctl state c1)" = "running $pid 0" ]
}

@test "an exec over FIFOs: input, output, end of input" {
	bundle c1 -- sleep 1000
	launch c1
	ctl create c1 "$T/c1" "$ROOT" >/dev/null
	ctl start c1 >/dev/null
	mkfifo "$T/in" "$T/out"
	ctl exec c1 e1 no "$T/in" "$T/out" "" cat
	cat "$T/out" >"$T/got" &
	reader=$!
	ctl start c1 e1 >/dev/null
	# writers come and go
	echo one >"$T/in"
	echo two >"$T/in"
	ctl close-stdin c1 e1
	[ "$(ctl wait c1 e1)" = 0 ]
	wait "$reader"
	[ "$(cat "$T/got")" = $'one\ntwo' ]
	ctl delete c1 e1
	run ctl state c1 e1
	[ "$status" = 102 ]
}

@test "input that ends before the exec has begun is read to its end" {
	bundle c1 -- sleep 1000
	launch c1
	ctl create c1 "$T/c1" "$ROOT" >/dev/null
	ctl start c1 >/dev/null
	mkfifo "$T/in" "$T/out"
	ctl exec c1 e1 no "$T/in" "$T/out" "" cat
	cat "$T/out" >"$T/got" &
	reader=$!
	# held until the shim has its own end
	(echo early; exec sleep 0.5) >"$T/in" &
	ctl close-stdin c1 e1
	ctl start c1 e1 >/dev/null
	[ "$(ctl wait c1 e1)" = 0 ]
	wait "$reader"
	[ "$(cat "$T/got")" = early ]
}

@test "an exec whose reader never comes does not keep the container from being deleted" {
	bundle c1 -- sleep 1000
	launch c1
	ctl create c1 "$T/c1" "$ROOT" >/dev/null
	ctl start c1 >/dev/null
	mkfifo "$T/out"
	ctl exec c1 e1 no "" "$T/out" "" true
	ctl start c1 e1 2>"$T/said" &
	starter=$!
	sleep 0.3
	[ "$(ctl state c1 e1 | cut -d' ' -f1)" = created ]
	ctl kill c1 9
	ctl wait c1
	timeout 5 "$SHIMCTL" delete "$ADDR" c1
	! wait "$starter"
	! ctl state c1
}

@test "a client that is killed changes nothing" {
	bundle c1 -- sh -c 'i=0; while [ $i -lt 200 ]; do echo $i; i=$((i+1)); busybox usleep 5000; done'
	launch c1
	ctl create c1 "$T/c1" "$ROOT" log="$T/l" >/dev/null
	ctl start c1 >/dev/null
	ctl watch c1 >/dev/null &
	watcher=$!
	ctl exec-sync c1 0 "$T/c1" sleep 1 >/dev/null &
	client=$!
	sleep 0.2
	kill -9 "$watcher" "$client"
	wait "$watcher" "$client" || true
	[ "$(ctl wait c1)" = 0 ]
	[ "$(content "$T/l" | wc -l)" = 200 ]
	read -r found pid < <("$SHIMCTL" find "$STATE")
	[ "$found" = "$ADDR" ]
	[ "$pid" = "$SHIM_PID" ]
}

@test "exits are announced to those who watch, after the record is written" {
	bundle c1 -- sh -c 'exit 5'
	launch c1
	ctl create c1 "$T/c1" "$ROOT" >/dev/null
	ctl watch c1 >"$T/watched" &
	sleep 0.1
	ctl start c1 >/dev/null
	eventually grep -qx 'c1 5' "$T/watched"
	[ "$(jq .code "$T/c1/exit.json")" = 5 ]
	ctl delete c1
	ctl shutdown pod
	wait
}

@test "a terminal: the program has one, its size is told, newlines stay as they are" {
	bundle c1 '.process.terminal = true' -- sh -c 'tty; busybox usleep 200000; stty size; echo end'
	launch c1
	ctl create c1 "$T/c1" "$ROOT" tty log="$T/l" >/dev/null
	ctl start c1 >/dev/null
	ctl resize c1 132 43
	[ "$(ctl wait c1)" = 0 ]
	content "$T/l" >"$T/got"
	grep -q '^/dev/' "$T/got"
	grep -qx '43 132' "$T/got"
	! grep -q $'\r' "$T/got"
	ctl delete c1
}

@test "an exec with a terminal over FIFOs" {
	bundle c1 -- sleep 1000
	launch c1
	ctl create c1 "$T/c1" "$ROOT" >/dev/null
	ctl start c1 >/dev/null
	mkfifo "$T/in" "$T/out"
	cat "$T/out" >"$T/got" &
	reader=$!
	ctl exec c1 e1 tty "$T/in" "$T/out" "" sh -c 'tty; read x; echo "got $x"; head -c 200000 /dev/zero; exit 6'
	ctl start c1 e1 >/dev/null
	echo hello >"$T/in"
	[ "$(ctl wait c1 e1)" = 6 ]
	ctl delete c1 e1
	wait "$reader"
	tr -d '\0' <"$T/got" | grep -q '^/dev/pts/'
	tr -d '\0' <"$T/got" | grep -qx 'got hello'
	[ "$(tr -cd '\0' <"$T/got" | wc -c)" = 200000 ]
}

@test "stdin of a container is a FIFO that may be written again and again" {
	bundle c1 -- cat
	launch c1
	ctl create c1 "$T/c1" "$ROOT" stdin log="$T/l" >/dev/null
	ctl start c1 >/dev/null
	echo one >"$T/c1/stdin"
	echo two >"$T/c1/stdin"
	ctl close-stdin c1
	[ "$(ctl wait c1)" = 0 ]
	[ "$(content "$T/l")" = $'one\ntwo' ]
}

@test "who attaches gets what comes from then on, and holds nobody up for ever" {
	bundle c1 -- sh -c 'echo before; read x; echo after; busybox yes | head -n 200000; echo end'
	launch c1
	ctl create c1 "$T/c1" "$ROOT" stdin log="$T/l" >/dev/null
	ctl start c1 >/dev/null
	mkfifo "$T/a" "$T/b"
	cat "$T/a" >"$T/got" &
	reader=$!
	# this one never reads
	sleep 20 <>"$T/b" &
	sleeper=$!
	eventually grep -q before "$T/l"
	eventually ctl attach c1 "$T/a" 2>/dev/null
	ctl attach c1 "$T/b"
	echo go >"$T/c1/stdin"
	[ "$(ctl wait c1)" = 0 ]
	kill "$sleeper"
	ctl delete c1
	wait "$reader"
	[ "$(head -n 1 "$T/got")" = after ]
	[ "$(tail -n 1 "$T/got")" = end ]
	[ "$(wc -l <"$T/got")" = 200002 ]
	[ "$(wc -l <"$T/l")" = 200003 ]
}

@test "a container without a log is read all the same, and can be attached to" {
	bundle c1 -- sh -c 'busybox yes | head -n 200000; read x; echo "got $x"'
	launch c1
	ctl create c1 "$T/c1" "$ROOT" stdin log= >/dev/null
	ctl start c1 >/dev/null
	mkfifo "$T/a"
	cat "$T/a" >"$T/got" &
	reader=$!
	eventually ctl attach c1 "$T/a" 2>/dev/null
	run ctl reopen c1
	[ "$status" -ne 0 ]
	[[ $output == *"no log file"* ]]
	echo it >"$T/c1/stdin"
	[ "$(ctl wait c1)" = 0 ]
	ctl delete c1
	wait "$reader"
	[ "$(tail -n 1 "$T/got")" = "got it" ]
}

@test "pause and resume" {
	bundle c1 -- sleep 1000
	launch c1
	pid=$(ctl create c1 "$T/c1" "$ROOT")
	ctl start c1 >/dev/null
	ctl pause c1
	[ "$(ctl state c1)" = "paused $pid 0" ]
	run ctl exec-sync c1 1000 "$T/c1" true
	[ "$status" = 104 ]
	ctl resume c1
	[ "$(ctl state c1)" = "running $pid 0" ]
	ctl pause c1
	ctl kill c1 9
	[ "$(ctl wait c1)" = 137 ]
}

@test "what a container leaves in a shared pid namespace is killed" {
	bundle c1 '.linux.namespaces |= map(select(.type != "pid"))' -- sh -c 'busybox setsid sleep 4712 & echo $!'
	launch c1
	ctl create c1 "$T/c1" "$ROOT" log="$T/l" >/dev/null
	ctl start c1 >/dev/null
	[ "$(ctl wait c1)" = 0 ]
	eventually sh -c "! ps ax -o args | grep -q '^sleep 471[2]'"
	ctl delete c1
	[ -z "$(ps -o stat= --ppid "$SHIM_PID" | grep Z)" ]
}

@test "an out of memory kill is on record" {
	bundle c1 '.linux.resources.memory.limit = 8388608' -- sh -c 'tail /dev/zero'
	launch c1
	code=$(run_one c1)
	[ "$code" = 137 ]
	[ "$(jq .oomKilled "$T/c1/exit.json")" = true ]
}

@test "overlay: the root is mounted for the container alone" {
	bundle c1 '.root.path = "rootfs"' -- sh -c 'echo x >/new; cat /lower'
	launch c1
	mkdir -p "$T/l1" "$T/u" "$T/w" "$T/c1/rootfs"
	echo low >"$T/l1/lower"
	before=$(grep -cF "$T/" /proc/self/mountinfo || true)
	[ "$(run_one c1 log="$T/l" lower="$T/l1" lower="$T/rootfs" upper="$T/u" work="$T/w")" = 0 ]
	[ "$(content "$T/l")" = low ]
	[ "$(cat "$T/u/new")" = x ]
	[ "$(grep -cF "$T/" /proc/self/mountinfo)" = "$before" ]
}

@test "layers of a container with a user namespace are idmapped: owners fit inside, nothing changes outside" {
	map='[{"containerID": 0, "hostID": 100000, "size": 65536}]'
	bundle c1 ".root.path = \"rootfs\" | .linux.uidMappings = $map | .linux.gidMappings = $map
		| .linux.namespaces += [{type: \"user\"}]
		| .mounts += [{destination: \"/volume\", type: \"overlay\", source: \"overlay\", uidMappings: $map, gidMappings: $map,
			options: [\"lowerdir+=$T/l1\", \"lowerdir+=$T/rootfs\", \"X-mount.subdir=vol\", \"ro\", \"nosuid\", \"nodev\"]}]" -- \
		sh -c 'busybox stat -c %u:%g /lower /seven /volume/inside; echo more >>/lower && echo x >/new && ! echo x >/volume/inside'
	launch c1
	mkdir -p "$T/l1/vol" "$T/u" "$T/w" "$T/c1/rootfs"
	echo low >"$T/l1/lower"
	echo seven >"$T/l1/seven"
	echo vol >"$T/l1/vol/inside"
	chown 7:8 "$T/l1/seven" "$T/l1/vol/inside"
	chown 100000:100000 "$T/u"
	before=$(grep -cF "$T/" /proc/self/mountinfo || true)
	[ "$(run_one c1 log="$T/l" lower="$T/l1" lower="$T/rootfs" upper="$T/u" work="$T/w" idmap=100000:65536)" = 0 ] || {
		cat "$T/l"; false; }
	[ "$(content "$T/l" stdout | tr '\n' ' ')" = "0:0 7:8 7:8 " ]
	[ "$(stat -c %u:%g "$T/u/lower" "$T/u/new" | tr '\n' ' ')" = "100000:100000 100000:100000 " ]
	[ "$(stat -c %u:%g "$T/l1/lower" "$T/l1/seven" | tr '\n' ' ')" = "0:0 7:8 " ]
	[ "$(cat "$T/l1/lower")" = low ]
	[ "$(grep -cF "$T/" /proc/self/mountinfo)" = "$before" ]
}

@test "the shim ends when told to, and not before" {
	bundle c1 -- sleep 1000
	launch c1
	ctl create c1 "$T/c1" "$ROOT" >/dev/null
	ctl start c1 >/dev/null
	kill -TERM "$SHIM_PID"
	ctl shutdown pod
	sleep 0.1
	ctl state c1
	ctl kill c1 9
	ctl wait c1
	ctl delete c1
	ctl shutdown pod
	eventually [ ! -e "/proc/$SHIM_PID" ]
	[ ! -e "$ADDR" ]
	run "$SHIMCTL" find "$STATE"
	[ "$status" = 102 ]
}

@test "start is answered twice with the same shim" {
	bundle c1 -- true
	launch c1
	first=$ADDR pid=$SHIM_PID
	launch c1
	[ "$ADDR" = "$first" ]
	[ "$SHIM_PID" = "$pid" ]
}

@test "without a shim, delete removes what is left" {
	bundle c1 -- sleep 1000
	launch c1
	pid=$(ctl create c1 "$T/c1" "$ROOT")
	ctl start c1 >/dev/null
	kill -9 "$SHIM_PID"
	eventually [ ! -e "/proc/$SHIM_PID" ]
	run "$SHIMCTL" find "$STATE"
	[ "$status" = 102 ]
	"$SHIMCTL" cleanup "$CAISSON_SHIM" "$STATE" "$T/c1" c1 "$ROOT"
	eventually [ ! -e "/proc/$pid" ]
	[ ! -e "$ROOT/c1" ]
	"$SHIMCTL" cleanup "$CAISSON_SHIM" "$STATE" "$T/c1" c1 "$ROOT"
}

@test "two hundred execs leave neither memory nor descriptors nor zombies" {
	bundle c1 -- sleep 1000
	launch c1
	ctl create c1 "$T/c1" "$ROOT" log="$T/l" >/dev/null
	ctl start c1 >/dev/null
	for i in $(seq 20); do ctl exec-sync c1 5000 "$T/c1" true; done
	# (what the last client had is let go of after it has gone)
	open_fds() { ls "/proc/$SHIM_PID/fd" | wc -l; }
	fewer() { [ "$(open_fds)" -le "$1" ]; }
	fds=$(open_fds)
	rss=$(awk '/Anonymous/ { print $2 }' "/proc/$SHIM_PID/smaps_rollup")
	for i in $(seq 200); do ctl exec-sync c1 5000 "$T/c1" true; done
	eventually fewer "$fds"
	[ -z "$(ps -o stat= --ppid "$SHIM_PID" | grep Z)" ]
	# sanitizers have memory of their own, and keep what was freed
	readelf -l "$CAISSON_SHIM" | grep -q INTERP && return
	[ "$(awk '/Anonymous/ { print $2 }' "/proc/$SHIM_PID/smaps_rollup")" -le $((rss + 16)) ]
	[ "$rss" -le 300 ]
}
