# State files and records that are cut off, empty, changed in a bit, replaced by garbage, by a directory
# or by a link, or gone, one at a time: the daemon serves within a second, at most that one pod or image is
# set aside, the others run on, new pods can be made, and `caisson doctor` says so.
#
# The table below has every file that the daemon, its shims and the runtime keep; FAULTS=all goes through
# all of it (half an hour), else a cut. ROW=text takes only rows with that text.

bats_require_minimum_version 1.5.0
load ../cri/daemon.bash

setup_file() {
	daemon_prepare
	daemon_ready
	export other other_ctr other_pid
	other=$(crictl runp "$(pod_config o)")
	other_ctr=$(run_container "$other" "$dir/pod-o.json" c 'sleep 1000')
	other_pid=$(crictl inspect "$other_ctr" | jq .info.pid)
}

teardown_file() { daemon_end; }

teardown() {
	[ -n "$BATS_TEST_COMPLETED" ] || tail -n 15 "$dir/log"
	for p in $(crictl pods -q); do [ "$p" = "$other" ] || crictl rmp -f "$p" >/dev/null 2>&1; done
}

doctor() { "$build/src/prog/caisson/caisson" --address "$socket" doctor; }

# what becomes of the victim:
#   runs      as if nothing had happened
#   runs!     it runs, and the doctor has words about it
#   ended     its container is over with code 137; it had been killed before the damage
#   lost!     the same, but its code is not known, with words
#   exec!     it runs, and an exec may say why it cannot be made; words
#   noctr!    the container is not on the list, its pod is; words
#   aside!    the pod is not on the list; words
#   any       that is not said: the others run on, and it can be removed
#   image!    the image has to be pulled again; words
# who else dies before the damage: k the container, s the shim
#
# what                             victim  who   ways                           words of the doctor
table() {
	cat <<-TABLE
	root/meta.db                       runs!   -     empty cut garbage dir link gone        meta.db is damaged
	root/meta.db-wal                   runs    -     empty cut bit garbage dir link gone    .
	root/meta.db-shm                   runs    -     empty cut bit garbage dir link gone    .
	root/meta.db.copy                  runs    -     empty cut bit garbage dir link gone    .
	root/meta.db.copy.new              runs    -     garbage dir link                       .
	root/lock                          runs    -     garbage dir link gone                  .
	record:pod                         runs!   -     empty cut bit garbage                  its copy taken
	record:container                   runs!   -     empty cut bit garbage                  its copy taken
	record:image                       runs!   -     empty cut bit garbage                  its copy taken
	both:pod                           aside!  -     empty cut bit garbage                  pod record
	both:container                     noctr!  -     empty cut bit garbage                  container record
	both:image                         image!  -     empty cut bit garbage                  unnamed
	root/sums/1                        runs    -     empty cut bit garbage dir link gone    .
	root/blobs/sha256/MANIFEST         runs    -     empty cut bit garbage dir link gone    .
	root/blobs/sha256/DOCUMENT         image!  -     empty cut bit garbage dir link gone    cannot be read
	root/partial/x                     runs    -     garbage dir link                       .
	root/trash/x                       runs    -     garbage dir link                       .
	root/cni/NET/last_reserved_ip.0    runs    -     empty cut bit garbage gone             .
	state/caissond.lock                runs    -     empty garbage dir link gone            .
	state/pause/caisson-pause          runs    -     garbage dir link gone                  .
	state/runtime/V/state.json         exec!   -     empty cut garbage dir link gone        state.json
	state/runtime/V/state.json         any     -     bit                                    .
	state/runtime/V/seccomp.bpf        runs    -     empty cut bit garbage dir link gone    .
	state/runtime/C/state.json         exec!   -     empty cut garbage dir link gone        state.json
	state/runtime/C/state.json         any     -     bit                                    .
	state/pods/V/shim.json             runs    -     empty cut bit garbage dir link gone    .
	state/pods/V/shim.log              runs    -     garbage dir link gone                  .
	state/pods/V/s                     runs!   -     garbage dir link gone                  shim
	state/pods/V/log.journal           runs    -     empty cut bit garbage dir link gone    .
	state/pods/V/log.journal           runs!   s     empty cut bit garbage dir link gone    shim
	state/pods/V/hosts                 runs    -     empty cut bit garbage                  .
	state/pods/V/resolv.conf           runs    -     empty cut bit garbage                  .
	state/pods/V/hostname              runs    -     empty cut bit garbage                  .
	state/pods/V/pause/config.json     exec!   -     empty cut garbage dir link gone        config.json
	state/pods/V/pause/config.json     any     -     bit                                    .
	state/pods/V/pause/init.pid        runs    -     empty cut bit garbage dir link gone    .
	state/pods/V/pause/runtime-root    runs    -     empty cut bit garbage dir link gone    .
	state/pods/V/C/config.json         exec!   -     empty cut garbage dir link gone        config.json
	state/pods/V/C/config.json         any     -     bit                                    .
	state/pods/V/C/streams             exec!   -     empty cut garbage dir                  streams
	state/pods/V/C/streams             runs    -     link gone                              .
	state/pods/V/C/streams             runs!   s     empty cut garbage dir link gone        shim
	state/pods/V/C/init.pid            runs    -     empty cut bit garbage dir link gone    .
	state/pods/V/C/runtime-root        runs    -     empty cut bit garbage dir link gone    .
	state/pods/V/C/stdin               runs    -     garbage dir link gone                  .
	state/pods/V/C/exit.json           ended   k     empty cut bit garbage dir link gone    .
	state/pods/V/C/exit.json           lost!   ks    empty cut bit garbage dir              exit.json
	state/pods/V/C/exit.json           lost!   ks    link gone                              exit code is not known
	TABLE
}

# the quick cut: rows of all kinds, of each one way, a different one from row to row
CUT='root/meta.db |root/meta.db-wal|record:pod|both:pod|V/shim.json|C/state.json .*exec|C/exit.json .*lost'

ways_of() { # row number, ways
	local -a all
	read -ra all <<<"$2"
	if [ "${FAULTS:-}" = all ]; then echo "$2"; else echo "${all[$1 % ${#all[@]}]}"; fi
}

damage() { # how, file
	rm -rf "$2.new"
	case $1 in
	empty) : >"$2" ;;
	cut) truncate -s "$(($(stat -c %s "$2") / 2))" "$2" ;;
	bit) python3 - "$2" <<-'PY'
		import sys
		with open(sys.argv[1], "r+b") as f:
		    data = bytearray(f.read())
		    data[len(data) // 2] ^= 0x10
		    f.seek(0)
		    f.write(data)
		PY
		;;
	garbage)
		head -c "$(($(stat -c %s "$2" 2>/dev/null || echo 0) + 100))" /dev/urandom >"$dir/garbage"
		rm -rf "$2"
		cp "$dir/garbage" "$2"
		;;
	dir) rm -rf "$2"; mkdir "$2"; : >"$2/x" ;;
	link) rm -rf "$2"; ln -s /nowhere/x "$2" ;;
	gone) rm -rf "$2" ;;
	esac
}

damage_row() { # how, table:kind, file of the database…
	python3 - "$@" "$victim" "$victim_ctr" <<-'PY'
		import os, sqlite3, sys
		how, what, files, (pod, ctr) = sys.argv[1], sys.argv[2], sys.argv[3:-2], sys.argv[-2:]
		for name in files:
		    db = sqlite3.connect(name)
		    where = ("record", "kind = 'pod' AND id = '%s'" % pod) if what == "pod" else \
		            ("record", "kind = 'container' AND id = '%s'" % ctr) if what == "container" else ("image", "num = 1")
		    doc = db.execute("SELECT doc FROM %s WHERE %s" % where).fetchone()[0]
		    if how == "bit":
		        # in a number, where it is as good JSON as before
		        at = doc.rindex("1") if "1" in doc else len(doc) // 2
		        doc = doc[:at] + "3" + doc[at + 1:]
		    else:
		        doc = {"empty": "", "cut": doc[:len(doc) // 2], "garbage": os.urandom(300).hex()}[how]
		    n = db.execute("UPDATE %s SET doc = ? WHERE %s" % where, (doc,)).rowcount
		    assert n == 1, n
		    db.commit()
		    db.close()
	PY
}

# the last start served, and within a second
served_fast() {
	local ms
	ms=$(grep -o 'serves on .* [0-9]* ms after its start' "$dir/log" | tail -n 1 | grep -o '[0-9]* ms' | cut -d' ' -f1)
	[ "$ms" -le 1000 ] || { echo "served after $ms ms"; return 1; }
}

# mounts, cgroups, shims and addresses that are there without the other pod
left() {
	local exe
	grep -F "$dir/" /proc/self/mountinfo | grep -vF "$other"
	find /sys/fs/cgroup -maxdepth 4 -type d -path "*$parent/*" ! -path "*$other*"
	for exe in $(grep -laF "$dir/state" /proc/[0-9]*/cmdline 2>/dev/null); do
		grep -qaF "$other" "$exe" || tr '\0' ' ' <"$exe" 2>/dev/null
	done
	find "$dir/root/cni" -name '10.99.*' -exec grep -LF "$other" {} +
}

nothing_left() {
	local until=$((SECONDS + 8))
	while [ -n "$(left)" ]; do
		if [ $SECONDS -gt $until ]; then
			echo "left:"
			left
			return 1
		fi
		sleep 0.05
	done
}

other_runs() {
	[ "$(status_of "$other_ctr" state)" = CONTAINER_RUNNING ] &&
		[ "$(crictl inspect "$other_ctr" | jq .info.pid)" = "$other_pid" ] &&
		[ "$(crictl exec -s "$other_ctr" echo hello)" = hello ]
}

new_pod_works() {
	local pod id
	pod=$(crictl runp "$(pod_config new)") &&
		id=$(run_container "$pod" "$dir/pod-new.json" c 'sleep 1000') &&
		[ "$(crictl exec -s "$id" echo hello)" = hello ] && crictl rmp -f "$pod" >/dev/null
}

victim_runs() {
	[ "$(status_of "$victim_ctr" state)" = CONTAINER_RUNNING ] &&
		[ "$(crictl inspect "$victim_ctr" | jq .info.pid)" = "$victim_pid" ]
}

says() { # words
	for _ in $(seq 100); do doctor | grep -qF -- "$1" && return 0; sleep 0.05; done
	echo "the doctor says:"
	doctor
	return 1
}

exec_works() {
	for _ in $(seq 50); do
		[ "$(crictl exec -s "$victim_ctr" echo hello 2>"$dir/exec.err")" = hello ] && return 0
		sleep 0.1
	done
	cat "$dir/exec.err"
	return 1
}

expect() { # what becomes of it, words
	case $1 in
	runs) victim_runs && exec_works ;;
	runs!) victim_runs && exec_works && says "$2" ;;
	exec!) victim_runs && says "$2" ;;
	ended) wait_state "$victim_ctr" CONTAINER_EXITED && [ "$(status_of "$victim_ctr" exitCode)" = 137 ] ;;
	lost!)
		wait_state "$victim_ctr" CONTAINER_EXITED && [ "$(status_of "$victim_ctr" exitCode)" = 255 ] &&
			[[ $(status_of "$victim_ctr" message) == *"$2"* ]]
		;;
	aside!) [ -z "$(crictl pods -q --id "$victim")" ] && says "$2" ;;
	noctr!) [ -z "$(crictl ps -aq --id "$victim_ctr")" ] && [ -n "$(crictl pods -q --id "$victim")" ] && says "$2" ;;
	any) true ;;
	image!) victim_runs && says "$2" && crictl pull "$image" >/dev/null && exec_works ;;
	esac
}

one() { # what, becomes, who, how, words
	local path=$1 shim
	victim=$(crictl runp "$(pod_config v)") || return 1
	victim_ctr=$(run_container "$victim" "$dir/pod-v.json" c 'sleep 1000' '{"stdin": true}') || return 1
	victim_pid=$(crictl inspect "$victim_ctr" | jq .info.pid)
	shim=$(jq .pid "$dir/state/pods/$victim/shim.json")
	path=${path//V/$victim}
	path=${path//\/C/\/$victim_ctr}
	path=${path/NET/caisson-ct$tag}
	path=${path/MANIFEST/$(jq -r '.manifests[0].digest' "$dir/layout/index.json" | cut -d: -f2)}
	path=${path/DOCUMENT/$(jq -r .config.digest "$dir/layout/blobs/sha256/$(jq -r '.manifests[0].digest' "$dir/layout/index.json" | cut -d: -f2)" | cut -d: -f2)}
	# until the copy has what happened so far: it is two seconds behind
	[[ $1 != record:* && $1 != root/meta.db* ]] || copied || return 1
	# what all pods share is put back for the next one
	case $1 in
	root/sums/* | root/blobs/*) rm -rf "$dir/shared" && cp -a "$dir/$path" "$dir/shared" && shared=$dir/$path || return 1 ;;
	esac
	daemon_kill KILL
	if [[ $3 == *k* ]]; then
		kill -KILL "$victim_pid"
		for _ in $(seq 100); do [ -e "$dir/state/pods/$victim/$victim_ctr/exit.json" ] && break; sleep 0.02; done
	fi
	if [[ $3 == *s* ]]; then
		kill -KILL "$shim"
		wait_gone "$shim"
	fi
	case $1 in
	# what is in the log still would mend it
	root/meta.db) python3 -c 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute("PRAGMA wal_checkpoint(TRUNCATE)")' "$dir/root/meta.db" ;;
	esac
	case $1 in
	record:*) damage_row "$4" "${1#*:}" "$dir/root/meta.db" || return 1 ;;
	both:*) damage_row "$4" "${1#*:}" "$dir/root/meta.db" && rm -f "$dir/root/meta.db.copy" || return 1 ;;
	*) damage "$4" "$dir/$path" || return 1 ;;
	esac
	daemon_start && served_fast && other_runs && expect "$2" "$5" && new_pod_works || return 1
	[ -z "$(crictl pods -q --id "$victim")" ] || crictl rmp -f "$victim" >/dev/null || return 1

	nothing_left && other_runs
}

# the next cell begins with a daemon and with nothing damaged
clear_up() {
	local p
	if [ -n "$shared" ]; then
		rm -rf "$shared"
		cp -a "$dir/shared" "$shared"
	fi
	crictl version >/dev/null 2>&1 || daemon_start
	for p in $(crictl pods -q); do [ "$p" = "$other" ] || crictl rmp -f "$p" >/dev/null 2>&1 || true; done
}

# the copy has the victim as it runs: it is two seconds behind
copied() {
	python3 - "$dir/root/meta.db.copy" "$victim_ctr" "\"pid\":$victim_pid," <<-'PY'
		import sqlite3, sys, time
		until = time.monotonic() + 20
		while time.monotonic() < until:
		    try:
		        db = sqlite3.connect("file:%s?immutable=1" % sys.argv[1], uri=True)
		        row = db.execute("SELECT doc FROM record WHERE id = ?", (sys.argv[2],)).fetchone()
		        if row and sys.argv[3] in row[0]:
		            sys.exit(0)
		    except sqlite3.Error:
		        pass
		    time.sleep(0.05)
		sys.exit(1)
	PY
}

@test "with nothing damaged the doctor finds nothing, and no daemon is a finding" {
	[ "$(doctor)" = "nothing is wrong" ]
	run "$build/src/prog/caisson/caisson" --address "$dir/nowhere.sock" doctor
	[ "$status" -eq 1 ]
	[[ $output == *"no daemon answers"* && $output == *journalctl* ]]
}

@test "every state file, damaged in every way, one at a time" {
	local n=0 bad=0 cells=0 what becomes who rest ways words how shared
	while IFS= read -r line <&4; do
		if [ -n "${FAULTS:-}${ROW:-}" ]; then
			[[ $line == *"${ROW:-}"* ]] || continue
		else
			[[ $line =~ $CUT ]] || continue
		fi
		read -r what becomes who rest <<<"$line"
		words=$(sed 's/.*   *//' <<<"$rest")
		ways=${rest%"$words"}
		n=$((n + 1))
		for how in $(ways_of "$n" "$ways"); do
			cells=$((cells + 1))
			shared=
			if one "$what" "$becomes" "$who" "$how" "$words" >"$dir/out" 2>&1; then
				echo "ok     $what $who $how"
				[ "${FAULTS:-}" != all ] || echo "# ok $what $who $how" >&3
			else
				echo "FAILED $what $who $how, expected $becomes:"
				sed 's/^/       /' "$dir/out" | tail -n 12
				grep -a 'WARN\|ERROR\|warn\|error' "$dir/log" | tail -n 4 | cut -c1-300
				bad=$((bad + 1))
				[ "${FAULTS:-}" != all ] || echo "# FAILED $what $who $how" >&3
			fi
			clear_up
		done
	done 4< <(table)
	echo "$((cells - bad)) of $cells"
	[ "$bad" -eq 0 ]
}
