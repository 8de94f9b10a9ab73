# Daemon, shim and runtime of an older build are replaced by those of this one under load: pods run on, logs
# and exit codes are right, exec and attach work, what was recorded is read. And the other way round: what a
# newer build recorded is refused in a sentence, and nothing of it is touched.
#
# OLD_BUILD=directory of a build of an older revision, or OLD_REV=revision, which is built first. FAULTS=all
# takes the commit before this one. Without any of them the programs are replaced by themselves: all but the
# reading of old records is tried that way, and no minutes go into a build.

bats_require_minimum_version 1.5.0
load ../cri/daemon.bash

# numbered lines for ever, the first ones at full speed
COUNT='i=0; while [ $i -lt 20000 ] || sleep 0.05; do i=$((i+1)); printf "line "; printf "%s\n" "$i of those that are counted"; done'

build_old() {
	local rev=${OLD_REV:-HEAD~1}
	git -C "$repo" archive --prefix=old/ "$rev" | tar -x -C "$dir" || return 1
	(cd "$dir/old" && meson setup build && ninja -C build src/prog/caissond/caissond src/prog/caisson-shim/caisson-shim \
		src/prog/caisson-pause/caisson-pause src/prog/caisson-oci/caisson-oci) >"$dir/old.log" 2>&1 3>&- ||
		{ tail -n 20 "$dir/old.log" >&2; return 1; }
	old=$dir/old/build
}

setup_file() {
	daemon_prepare
	registry_start
	export new=$build old=${OLD_BUILD:-$build}
	if [ -z "${OLD_BUILD:-}" ] && [ -n "${OLD_REV:-}${FAULTS:-}" ]; then build_old; fi
	# programs are replaced in their places, as a package does: a path, and what is behind it changes
	mkdir "$dir/bin"
	install_from "$old"
	build=$dir/bin
	sed -i "1i shim_binary: $dir/bin/caisson-shim\npause_binary: $dir/bin/caisson-pause" "$dir/config.yaml"
	# keys that the older build did not have
	cp "$dir/config.yaml" "$dir/old.yaml"
	grep -q /var/run/nri "$old/src/prog/caissond/caissond" || sed -i '/^nri:/,$d' "$dir/old.yaml"
	daemon_start_installed old.yaml
	crictl pull "$image" >/dev/null
}

teardown_file() { daemon_end; }

teardown() {
	[ -n "$BATS_TEST_COMPLETED" ] || tail -n 15 "$dir/log"
	for p in $(crictl pods -q); do crictl rmp -f "$p" >/dev/null 2>&1; done
}

install_from() { # build
	local name
	for name in caissond caisson-shim caisson-pause caisson-oci; do
		cp "$1/src/prog/$name/$name" "$dir/bin/$name.new" && mv "$dir/bin/$name.new" "$dir/bin/$name"
	done
}

daemon_start_installed() { # configuration
	nsenter --net="/proc/$holder/ns/net" "$dir/bin/caissond" --config "$dir/${1:-config.yaml}" >>"$dir/log" 2>&1 3>&- &
	echo $! >"$dir/pid"
	disown
	for _ in $(seq 250); do
		crictl version >/dev/null 2>&1 && return 0
		[ -d "/proc/$(cat "$dir/pid")" ] || break
		sleep 0.02
	done
	tail -n 20 "$dir/log" >&2
	return 1
}

pid_of() { crictl inspect "$1" | jq -r .info.pid; }
shim_of() { jq -r .pid "$dir/state/pods/$1/shim.json"; }

whole_log() { # file
	awk '$3 == "F" && ($4 != "line" || $5 != ++n || NF != 10) { print FILENAME ":" NR ": " $0; bad = 1; exit }
	     END { if (!bad && n < 1) print "no line"; exit bad || n < 1 }' "$1"
}

nothing_left() {
	for _ in $(seq 100); do left=$(leftovers); [ -z "$left" ] && return 0; sleep 0.05; done
	echo "$left"
	return 1
}

# churn: pods come and go until $dir/stop is there; what is cut off by the change of daemons may fail
load_start() {
	rm -f "$dir/stop"
	(
		n=0
		while [ ! -e "$dir/stop" ]; do
			n=$((n + 1))
			p=$(crictl runp "$(pod_config "load$n")" 2>/dev/null) || continue
			run_container "$p" "$dir/pod-load$n.json" c 'sleep 1000' >/dev/null 2>&1
			crictl rmp -f "$p" >/dev/null 2>&1
		done
	) >/dev/null 2>&1 3>&- &
	loader=$!
}

load_stop() {
	: >"$dir/stop"
	wait "$loader" || true
}

@test "an older build is replaced under load: pods run on, logs, exit codes, exec and attach are right" {
	json=$(pod_config a)
	pod=$(crictl runp "$json")
	count=$(run_container "$pod" "$json" count "$COUNT")
	quit=$(run_container "$pod" "$json" quit 'while [ ! -e /go ]; do sleep 0.05; done; exit 7')
	gone=$(run_container "$pod" "$json" gone 'exit 3')
	created=$(crictl create "$pod" "$(container_config later 'sleep 1000')" "$json")
	wait_state "$gone" CONTAINER_EXITED
	between=$(run_container "$pod" "$json" between 'while [ ! -e /go ]; do sleep 0.05; done; exit 9')
	pid=$(pid_of "$count")
	shim=$(shim_of "$pod")
	load_start
	sleep 1
	# ends while there is no daemon
	crictl exec -s "$between" sh -c "(sleep 0.3; : >/go) >/dev/null 2>&1 &"
	daemon_kill TERM
	install_from "$new"
	sleep 0.5
	daemon_start_installed
	load_stop
	[ "$(pid_of "$count")" = "$pid" ]
	[ "$(shim_of "$pod")" = "$shim" ]
	[ "$(crictl inspectp "$pod" | jq -r .status.state)" = SANDBOX_READY ]
	[ "$(status_of "$gone" exitCode)" = 3 ]
	wait_state "$between" CONTAINER_EXITED
	[ "$(status_of "$between" exitCode)" = 9 ]
	[ "$(crictl exec -s "$count" echo hello)" = hello ]
	[ "$(in_net timeout 5 crictl --config "$dir/crictl.yaml" exec "$count" echo streamed)" = streamed ]
	[ "$(in_net timeout 5 crictl --config "$dir/crictl.yaml" attach "$count" </dev/null | head -n 2 | tail -n 1 | cut -d' ' -f1)" = line ]
	crictl start "$created"
	[ "$(status_of "$created" state)" = CONTAINER_RUNNING ]
	late=$(run_container "$pod" "$json" late 'sleep 1000')
	[ "$(crictl exec -s "$late" echo hello)" = hello ]
	crictl exec -s "$quit" sh -c ": >/go"
	wait_state "$quit" CONTAINER_EXITED
	[ "$(status_of "$quit" exitCode)" = 7 ]
	crictl stats "$count" >/dev/null
	crictl stop -t 0 "$count"
	[ "$(status_of "$count" exitCode)" = 137 ]
	whole_log "$dir/logs/a/count.log"
	for p in $(crictl pods -q); do crictl rmp -f "$p" >/dev/null; done
	nothing_left
	[ -z "$(find "$dir/root/cni" -name '10.99.*')" ]
}

@test "an older shim that dies has a successor of this build" {
	daemon_kill TERM
	install_from "$old"
	rm -rf "$dir/root/meta.db" "$dir/root/meta.db-wal" "$dir/root/meta.db-shm" "$dir/root/meta.db.copy"
	daemon_start_installed old.yaml
	crictl pull "$image" >/dev/null
	json=$(pod_config s)
	pod=$(crictl runp "$json")
	id=$(run_container "$pod" "$json" count "$COUNT")
	pid=$(pid_of "$id")
	daemon_kill TERM
	install_from "$new"
	daemon_start_installed
	shim=$(shim_of "$pod")
	kill -KILL "$shim"
	for _ in $(seq 200); do
		now=$(shim_of "$pod" 2>/dev/null || true)
		[ -n "$now" ] && [ "$now" != "$shim" ] && [ -d "/proc/$now" ] && break
		sleep 0.02
	done
	[ "$(crictl exec -s "$id" echo hello)" = hello ]
	[ "$(pid_of "$id")" = "$pid" ]
	crictl stop -t 0 "$id"
	[ "$(status_of "$id" exitCode)" = 137 ]
	whole_log "$dir/logs/s/count.log"
	crictl rmp -f "$pod"
	nothing_left
}

sql() { python3 -c 'import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); print(d.execute(sys.argv[2]).rowcount); d.commit()' "$dir/root/meta.db" "$1"; }

# all that the kernel and the disk have of a pod
picture() { # pod, container
	find "$dir/state/pods/$1" "$dir/state/runtime/$1" "$dir/state/runtime/$2" "$dir/root/snapshots/$2" -xdev \
		-type f ! -name '*.log' -printf '%P %s %T@\n' | sort
	find "$dir/root/cni" -name '10.99.*' -exec cat {} +
	find /sys/fs/cgroup -maxdepth 5 -path "*$parent/*$1*" | sort
}

# what a newer build would have written; -sum: the checksum is the newer one's business
newer_record() { # kind, id
	[ "$(sql "UPDATE record SET doc = '{\"format\":9,' || substr(doc, instr(doc, ',') + 1), sum = 0 WHERE kind = '$1' AND id = '$2'")" = 1 ]
}

refused() { # words of the doctor
	daemon_start
	run "$build/src/prog/caisson/caisson" --address "$socket" doctor
	echo "$output"
	[ "$status" -eq 1 ]
	[[ $output == *"$1"*"newer than this program's"* && $output == *"left as it is"* ]]
	[ -z "$(crictl pods -q --id "$pod")" ]
	[ -d "/proc/$pid" ]
	run crictl runp "$dir/pod-n.json"
	[ "$status" -ne 0 ]
	[[ $output == *"made by a newer Caisson"* ]]
	# what sweeps, sweeps at the start
	sleep 0.5
	[ "$(picture "$pod" "$id")" = "$before" ]
}

@test "records of a newer build: that pod is left as it is, the doctor says so, and it is there again afterwards" {
	build=$new
	install_from "$new"
	json=$(pod_config n)
	pod=$(crictl runp "$json")
	id=$(run_container "$pod" "$json" c 'sleep 1000')
	pid=$(pid_of "$id")
	other=$(crictl runp "$(pod_config o)")
	before=$(picture "$pod" "$id")
	for kind in pod container shim; do
		daemon_kill KILL
		case $kind in
		pod) newer_record pod "$pod" ;;
		container) newer_record container "$id" ;;
		shim) sed -i 's/"format":1/"format":9/' "$dir/state/pods/$pod/shim.json" ;;
		esac
		before=$(picture "$pod" "$id")
		refused "$kind"
		[ "$(crictl inspectp "$other" | jq -r .status.state)" = SANDBOX_READY ]
		daemon_kill KILL
		case $kind in
		pod) sql "UPDATE record SET doc = replace(doc, '\"format\":9', '\"format\":1') WHERE kind = 'pod'" ;;
		container) sql "UPDATE record SET doc = replace(doc, '\"format\":9', '\"format\":1') WHERE kind = 'container'" ;;
		shim) sed -i 's/"format":9/"format":1/' "$dir/state/pods/$pod/shim.json" ;;
		esac
		daemon_start
		[ "$(crictl exec -s "$id" echo hello)" = hello ]
		[ "$(pid_of "$id")" = "$pid" ]
	done
	crictl rmp -f "$pod" "$other"
	nothing_left
}

@test "an exit record of a newer build: the container is over, and why its code is not known is said" {
	json=$(pod_config x)
	pod=$(crictl runp "$json")
	id=$(run_container "$pod" "$json" c 'sleep 1000')
	shim=$(shim_of "$pod")
	daemon_kill KILL
	kill -KILL "$(cut -d' ' -f1 "$dir/state/pods/$pod/$id/init.pid")"
	record=$dir/state/pods/$pod/$id/exit.json
	for _ in $(seq 100); do [ -e "$record" ] && break; sleep 0.02; done
	kill -KILL "$shim"
	wait_gone "$shim"
	sed -i 's/"format":1/"format":9/' "$record"
	daemon_start
	wait_state "$id" CONTAINER_EXITED
	[ "$(status_of "$id" exitCode)" = 255 ]
	[[ $(status_of "$id" message) == *"exit.json has the format 9, newer than this program's 1"* ]]
	grep -q '"format":9' "$record"
	crictl rmp -f "$pod"
}

refused_start() { # words
	run timeout 10 nsenter --net="/proc/$holder/ns/net" "$build/src/prog/caissond/caissond" --config "$dir/config.yaml"
	echo "$output"
	[ "$status" -eq 1 ]
	for words; do [[ $output == *"$words"* ]]; done
}

@test "a database or a configuration of a newer build: the daemon does not start, says why, and touches nothing" {
	json=$(pod_config d)
	pod=$(crictl runp "$json")
	id=$(run_container "$pod" "$json" c 'sleep 1000')
	pid=$(pid_of "$id")
	daemon_kill TERM
	schema=$(python3 -c 'import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute("PRAGMA user_version").fetchone()[0])' "$dir/root/meta.db")
	sql "PRAGMA user_version = 99"
	before=$(picture "$pod" "$id")$(sha256sum "$dir/root/meta.db")
	refused_start meta.db "schema 99, newer than this program's $schema"
	[ "$(picture "$pod" "$id")$(sha256sum "$dir/root/meta.db")" = "$before" ]
	sql "PRAGMA user_version = $schema"
	cp "$dir/config.yaml" "$dir/config.good"
	echo "from_the_future: yes" >>"$dir/config.yaml"
	refused_start "config.yaml:$(wc -l <"$dir/config.yaml"): from_the_future"
	mv "$dir/config.good" "$dir/config.yaml"
	[ "$(picture "$pod" "$id")$(sha256sum "$dir/root/meta.db" | tr -d x)" != "" ]
	[ -d "/proc/$pid" ]
	daemon_start
	[ "$(pid_of "$id")" = "$pid" ]
	[ "$(crictl exec -s "$id" echo hello)" = hello ]
	crictl rmp -f "$pod"
	nothing_left
}

@test "a record of a newer runtime is refused by it" {
	root=$dir/runtime
	mkdir -p "$root/later"
	echo '{"version":9,"id":"later","ociVersion":"1.0.0","bundle":"/","bootId":"x"}' >"$root/later/state.json"
	for command in "state" "kill" "delete --force" "exec"; do
		# shellcheck disable=SC2086
		run "$new/src/prog/caisson-oci/caisson-oci" --root "$root" $command later true
		echo "$output"
		[ "$status" -ne 0 ]
	done
	run "$new/src/prog/caisson-oci/caisson-oci" --root "$root" delete --force later
	[ "$status" -ne 0 ]
	[[ $output == *"it has the version 9, newer than this program's 1"* ]]
	[ -e "$root/later/state.json" ]
	rm -rf "$root"
}
