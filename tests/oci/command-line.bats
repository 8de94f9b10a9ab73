# The command line beyond the life of a container: features, logs, sockets, flags.

setup() {
	load lib
	oci_setup
}

teardown() { oci_teardown; }

@test "features is complete and names only what config.json may have" {
	only_ours "the lists of others are theirs"
	"$RUNTIME" features >"$T/f"
	jq -e '.ociVersionMin=="1.0.0" and .ociVersionMax=="1.3.0" and (.hooks|length)==6 and
		(.linux.namespaces|sort)==["cgroup","ipc","mount","network","pid","time","user","uts"] and
		(.linux.capabilities|index("CAP_CHECKPOINT_RESTORE")) and (.linux.capabilities|length)==41 and
		(.linux.seccomp.actions|index("SCMP_ACT_NOTIFY")) and (.linux.seccomp.archs|index("SCMP_ARCH_X86_64")) and
		(.linux.seccomp.supportedFlags|length)>=4 and .linux.netDevices.enabled and .linux.intelRdt.enabled and
		(.linux.memoryPolicy.modes|index("MPOL_BIND")) and .linux.mountExtensions.idmap.enabled and
		(.potentiallyUnsafeConfigAnnotations|index("run.oci.")) and (.mountOptions|index("rro"))' "$T/f"
	run "$RUNTIME" features x
	[ "$status" -eq 1 ]
	# every mount option that is said to be known is taken
	spec '.mounts+=[{destination:"/m",type:"tmpfs",source:"tmpfs",options:["size=1m"]}]'
	local o
	for o in $(jq -r '.mountOptions[]|select(test("bind|remount|shared|slave|private|idmap|acl|mand|iversion|-")|not)' "$T/f"); do
		spec '.mounts[-1].options=[$o]' --arg o "$o"
		rt run -b "$B" c1 || { echo "$o"; false; }
	done
	spec '.mounts[-1]={destination:"/file",type:"bind",source:"/bin/busybox"}'
	for o in $(jq -r '.mountOptions[]|select(test("-"))' "$T/f"); do
		spec '.mounts[-1].options=["bind",$o]' --arg o "$o"
		rt run -b "$B" c1 || { echo "$o"; false; }
	done
}

@test "ociVersion from the least to the newest is accepted" {
	local v
	for v in 1.0.0 1.0.2-dev 1.1.0 1.2.1 1.3.0; do
		spec '.ociVersion=$v' --arg v "$v"
		rt run -b "$B" c1
	done
}

@test "every command has a help with its options" {
	only_ours "its own"
	local c
	for c in $("$RUNTIME" --help | sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
		"$RUNTIME" "$c" --help | grep -q "^usage: caisson-oci .* $c"
	done
	"$RUNTIME" exec --help | grep -q -- '-p, --process FILE'
}

@test "every option that runc and crun list is known to the same command" {
	only_ours "about us beside them"
	local peer c o ours unknown=
	for peer in runc crun; do
		command -v $peer >/dev/null || continue
		for c in create run start state list kill delete exec ps pause resume update spec features checkpoint restore ''; do
			ours=$("$RUNTIME" $c --help)
			for o in $("$peer" $c --help 2>/dev/null | grep -oE '(^|[ ,])--[a-z][a-z0-9-]+' | grep -oE '[a-z].*'); do
				[[ $o = help || $o = usage ]] || grep -q -- "--$o\b" <<<"$ours" || unknown+="$peer $c --$o "
			done
		done
	done
	[ -z "$unknown" ] || { echo "$unknown"; false; }
}

@test "a pidfd goes to --pidfd-socket" {
	only_ours "runc has it since 1.2"
	spec '.process.args=["sleep","100"]'
	python3 tests/oci/pidfd.py "$T/s1" >"$T/got1" 3>&- &
	eventually test -S "$T/s1"
	rt create -b "$B" --pid-file "$T/pid" --pidfd-socket "$T/s1" c1 </dev/null >/dev/null 2>&1
	eventually test -s "$T/got1"
	[ "$(cat "$T/got1")" = "standard $(cat "$T/pid")" ]
	rt start c1
	python3 tests/oci/pidfd.py "$T/s2" >"$T/got2" 3>&- &
	eventually test -S "$T/s2"
	rt exec -d --pid-file "$T/pid2" --pidfd-socket "$T/s2" c1 sleep 5 </dev/null >/dev/null 2>&1
	eventually test -s "$T/got2"
	[ "$(cat "$T/got2")" = "setns $(cat "$T/pid2")" ]
	run rt create -b "$B" --pidfd-socket "$T/none" c2
	[ "$status" -eq 1 ]
	[[ "$output" == *"--pidfd-socket $T/none"* ]]
	[ "$(rt list -q)" = c1 ]
}

@test "update takes one limit at a time, and empty ones as not given" {
	spec '.process.args=["sleep","100"] | .linux.resources={memory:{limit:67108864}}'
	start_c1
	rt update --pids-limit 44 --memory "" c1
	[ "$(cat "$(cgdir pids)/pids.max")" = 44 ]
	printf '{"pids":{"limit":45}}' | rt update -r - c1
	[ "$(cat "$(cgdir pids)/pids.max")" = 45 ]
	is_v2 || [ "$(cat "$(cgdir memory)/memory.limit_in_bytes")" = 67108864 ]
	rt update --cpu-share 512 c1
	is_v2 || [ "$(cat "$(cgdir cpu)/cpu.shares")" = 512 ]
	only_ours "the rest is about texts of errors"
	run --separate-stderr rt update --memory 12x c1
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"--memory"* ]]
	run --separate-stderr rt update --l3-cache-schema L3:0=f c1
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"created without it"* ]]
}

@test "intelRdt is refused where the kernel has none, and by field where it cannot be" {
	only_ours "texts of errors"
	! grep -q ' - resctrl ' /proc/self/mountinfo || skip "this machine has resctrl"
	spec '.linux.intelRdt={closID:"a"}'
	run_c1
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"linux.intelRdt: no resctrl file system is mounted"* ]]
	spec '.linux.intelRdt={closID:"../a"}'
	run_c1
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"linux.intelRdt.closID"* ]]
	[ -z "$(rt list -q)" ]
}

@test "log records in both forms, a fatal error also on stderr, exec's own failure is 255" {
	run --separate-stderr "$RUNTIME" --root "$ROOT" --log "$T/log" --log-format json start nobody
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"container does not exist"* ]]
	jq -e '.level=="error" and (.msg|test("container does not exist")) and (.time|test("^2.*T.*Z$|^2.*T.*[+-]..:..$"))' "$T/log"
	run --separate-stderr "$RUNTIME" --root "$ROOT" --log "$T/text" start nobody
	grep -Eq '^time="[^"]+" level=error msg=".*container does not exist.*"$' "$T/text"
	[ "$(wc -l <"$T/log")" = 1 ]
	[ "$(wc -l <"$T/text")" = 1 ]
	run "$RUNTIME" --root "$ROOT" exec nobody true
	[ "$status" -eq 255 ] || { [ -z "$OURS" ] && [ "$status" -eq 1 ]; }
	run "$RUNTIME" --log-format xml list
	[ "$status" -eq 1 ]
}

@test "exec in a sub-cgroup, with all that the command line can change" {
	spec '.process.args=["sleep","100"] | .process.capabilities.bounding+=["CAP_SYS_ADMIN"] | .process.noNewPrivileges=false'
	start_c1
	[ "$(rt exec --cwd /tmp --env A=b -u 1000:7 -g 8 -g 9 c1 sh -c 'pwd; echo $A; id -u; id -G; grep NoNewPrivs /proc/self/status' | paste -sd ' ')" = \
		"/tmp b 1000 7 8 9 NoNewPrivs:	0" ]
	[ "$(rt exec --no-new-privs c1 grep NoNewPrivs /proc/self/status)" = "NoNewPrivs:	1" ]
	rt exec --cap CAP_SYS_ADMIN c1 grep CapEff /proc/self/status | grep -q '2.....$'
	only_ours "runc 1.1 takes existing sub-cgroups only"
	rt exec --cgroup /sub c1 grep '/sub$' /proc/self/cgroup
	run --separate-stderr rt exec --cgroup a/b c1 true
	[ "$status" -eq 255 ]
	[[ "$stderr" == *"a/b below $CG/c1"* ]]
}

@test "exec in sub-cgroups that are there, in some hierarchies or in all" {
	only_ours "runc's words; it is the same elsewhere"
	spec '.process.args=["sleep","100"]'
	start_c1
	mkdir -p "$(cgdir pids)/a/b"
	if is_v2; then
		rt exec --cgroup a/b c1 grep '/a/b$' /proc/self/cgroup
		run --separate-stderr rt exec --cgroup cpu:a/b c1 true
		[ "$status" -eq 255 ]
		[[ "$stderr" == *"no controller with a hierarchy of its own"* ]]
		return
	fi
	mkdir "$(cgdir memory)/m"
	# in the hierarchies named, and nowhere else
	[ "$(rt exec --cgroup pids:/a/b --cgroup memory:m c1 sh -c 'sed "s/.*://" /proc/self/cgroup | sort -u' | paste -sd ' ')" = "/ /a/b /m" ]
	rt exec --cgroup pids:a/b c1 grep ':pids:/a/b$' /proc/self/cgroup
	run --separate-stderr rt exec --cgroup a/b c1 true
	[ "$status" -eq 255 ]
	[[ "$stderr" == *"a/b below $CG/c1"* ]]
	for bad in pids:../.. nothing:a/b :a pids: pids,pids:a/b; do
		run --separate-stderr rt exec --cgroup "$bad" c1 true
		[ "$status" -eq 255 ] && [[ "$stderr" == *cgroup* ]] || { echo "$bad: $stderr"; false; }
	done
}

@test "kill and delete by a pattern" {
	[ "$(basename "$RUNTIME")" != runc ] || skip "crun's spelling"
	spec '.process.args=["sleep","100"] | .linux.cgroupsPath=null'
	for c in a1 a2 b1; do rt run -d -b "$B" "$c" </dev/null >/dev/null 2>&1; done
	rt kill --regex '^a[0-9]$' KILL
	eventually sh -c "[ \"\$('$RUNTIME' --root '$ROOT' list -f json | jq -c '[.[]|select(.status==\"stopped\").id]|sort')\" = '[\"a1\",\"a2\"]' ]"
	rt delete -r '^a'
	[ "$(rt list -q)" = b1 ]
	run rt kill -r '(' KILL
	[ "$status" -ne 0 ]
}

@test "log records to journald and syslog, and only errors where that is asked for" {
	only_ours "crun's spelling, our texts"
	cat >"$T/listen.py" <<-'END'
		import socket, sys
		s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		s.bind(sys.argv[1])
		open(sys.argv[2], "wb").write(s.recv(65536))
	END
	mkdir -p "$T/run/systemd/journal" "$T/dev"
	local pair
	for pair in "run/systemd/journal/socket journald" "dev/log syslog"; do
		# shellcheck disable=SC2086
		set -- $pair
		python3 "$T/listen.py" "$T/$1" "$T/got.$2" 3>&- &
		eventually test -S "$T/$1"
		run --separate-stderr unshare -m sh -c 'mount --bind "$1/run" /run && mount --bind "$1/dev" /dev && shift && exec "$@"' sh \
			"$T" "$RUNTIME" --root "$ROOT" --log "$2:me" start nobody
		[ "$status" -eq 1 ]
		[[ "$stderr" == *"container does not exist"* ]]
		eventually test -s "$T/got.$2"
	done
	grep -qx 'PRIORITY=3' "$T/got.journald" && grep -qx 'SYSLOG_IDENTIFIER=me' "$T/got.journald"
	grep -qa 'container does not exist' "$T/got.journald"
	[[ "$(cat "$T/got.syslog")" == "<11>me: "*"container does not exist"* ]]
	spec '.process.capabilities.bounding+=["CAP_FLY"]'
	"$RUNTIME" --root "$ROOT" --log "file:$T/w" run -b "$B" c1
	grep -q CAP_FLY "$T/w"
	"$RUNTIME" --root "$ROOT" --log "$T/e" --log-level error run -b "$B" c1
	[ ! -s "$T/e" ]
	run "$RUNTIME" --log-level loud list
	[ "$status" -eq 1 ]
	[[ "$output" == *--log-level* ]]
	"$RUNTIME" -V | grep -q '^caisson-oci version'
	"$RUNTIME" list '-?' | grep -q '^usage:'
	"$RUNTIME" spec -b "$T" -f mine.json && [ -s "$T/mine.json" ]
}

@test "--debug says what was asked for" {
	only_ours "its own words"
	"$RUNTIME" --root "$ROOT" --debug --log "$T/log" --log-format json list
	jq -e '.level=="debug" and (.msg|test("list"))' "$T/log"
}
