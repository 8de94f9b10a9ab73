# What the kernel says is true, whatever a record says: pids and namespaces of an earlier boot are nobody's
# and are left alone, and what is dead, half gone or half made can be stopped and removed and leaves nothing.

bats_require_minimum_version 1.5.0
load ../cri/daemon.bash

setup_file() {
	daemon_prepare
	daemon_ready
}

teardown_file() { daemon_end; }

teardown() {
	[ -n "$BATS_TEST_COMPLETED" ] || tail -n 15 "$dir/log"
	for p in $(crictl pods -q); do crictl rmp -f "$p" >/dev/null 2>&1; done
}

left() {
	leftovers
	in_net ip -o link | grep -E ' veth[^ ]*:' | sed 's/^[0-9]*: //; s/[:@].*//'
	find "$dir/root/cni" -type f -name '10.99.*' 2>/dev/null
	find "$dir/state/pods" "$dir/root/snapshots" -mindepth 1 -maxdepth 1 2>/dev/null
}

nothing_left() {
	for _ in $(seq 100); do left=$(left); [ -z "$left" ] && return 0; sleep 0.05; done
	echo "$left"
	return 1
}

# a pod with a running container: $pod, $id, $json
one_pod() { # name
	json=$(pod_config "$1")
	pod=$(crictl runp "$json")
	id=$(run_container "$pod" "$json" c 'sleep 1000')
}

# fields of the records of a pod or container, with the daemon down: python on the document `d` (sum 0: one without)
edit_record() { # kind, id, statement
	python3 - "$dir/root/meta.db" "$@" <<-'PY'
		import json, sqlite3, sys
		path, kind, id, statement = sys.argv[1:]
		db = sqlite3.connect(path)
		(doc,) = db.execute("SELECT doc FROM record WHERE kind = ? AND id = ?", (kind, id)).fetchone()
		d = json.loads(doc)
		exec(statement)
		db.execute("UPDATE record SET doc = ?, sum = 0 WHERE kind = ? AND id = ?", (json.dumps(d), kind, id))
		db.commit()
	PY
}

innocent_start() {
	sleep 1000 3>&- &
	innocent=$!
	disown
}

innocent_lives() {
	[ -d "/proc/$innocent" ] || { echo "process $innocent, which was never ours, was killed"; return 1; }
}

# every process of ours but the daemon ends at once
all_die() {
	local pid
	for pid in $(grep -alFf <(echo "$dir/state") /proc/[0-9]*/cmdline 2>/dev/null | cut -d/ -f3); do
		[ "$pid" = "$(daemon_pid)" ] || kill -KILL "$pid" 2>/dev/null || true
	done
	for pid in $(find /sys/fs/cgroup -path "*$parent*" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -u); do
		kill -KILL "$pid" 2>/dev/null || true
	done
	for _ in $(seq 100); do
		[ -n "$(find /sys/fs/cgroup -path "*$parent*" -name cgroup.procs -exec cat {} + 2>/dev/null)" ] || return 0
		sleep 0.02
	done
	return 1
}

# what a reboot takes: processes and cgroups
power_cut() {
	all_die
	find /sys/fs/cgroup -depth -type d -path "*$parent/*" -exec rmdir {} + 2>/dev/null || true
}

@test "of an earlier boot: pids name others now, whom nobody touches; the pod is over, and goes whole" {
	one_pod boot
	innocent_start
	ticks=$(awk '{print $22}' "/proc/$innocent/stat")
	daemon_kill KILL
	power_cut
	# number and even the start time are those of somebody who runs now; only the boot is another one
	for what in "pod $pod" "container $id"; do
		edit_record $what "d['boot_id'] = '11111111-2222-3333-4444-555555555555'; d['pid'] = $innocent; d['pid_ticks'] = $ticks"
	done
	jq -c ".pid = $innocent | .start_ticks = $ticks | .boot_id = \"11111111-2222-3333-4444-555555555555\"" \
		"$dir/state/pods/$pod/shim.json" >"$dir/shim.json"
	cat "$dir/shim.json" >"$dir/state/pods/$pod/shim.json"
	daemon_start
	[ "$(crictl inspectp "$pod" | jq -r .status.state)" = SANDBOX_NOTREADY ]
	[ "$(status_of "$id" state)" = CONTAINER_EXITED ]
	[ "$(status_of "$id" reason)" = Unknown ]
	[[ $(status_of "$id" message) == *"restarted"* ]]
	innocent_lives
	crictl stopp "$pod"
	innocent_lives
	crictl rmp "$pod"
	innocent_lives
	kill "$innocent"
	nothing_left
}

@test "a pid that another process has by now: the container is over, and that process is left alone" {
	one_pod reused
	innocent_start
	daemon_kill KILL
	all_die
	rm -f "$dir/state/pods/$pod/$id/exit.json"
	# the records' start times are of those who died
	for what in "pod $pod" "container $id"; do edit_record $what "d['pid'] = $innocent"; done
	jq -c ".pid = $innocent" "$dir/state/pods/$pod/shim.json" >"$dir/shim.json"
	cat "$dir/shim.json" >"$dir/state/pods/$pod/shim.json"
	daemon_start
	wait_state "$id" CONTAINER_EXITED
	[ "$(crictl inspectp "$pod" | jq -r .status.state)" = SANDBOX_NOTREADY ]
	innocent_lives
	crictl stop -t 0 "$id"
	crictl rm "$id"
	innocent_lives
	crictl rmp -f "$pod"
	innocent_lives
	kill "$innocent"
	nothing_left
}

@test "a reboot that took the state directory with it: the pod is over, can be stopped and removed, and goes whole" {
	one_pod run
	daemon_kill KILL
	power_cut
	grep -F "$dir/" /proc/self/mountinfo | cut -d' ' -f5 | xargs -r -n 1 umount -l
	rm -rf --one-file-system "$dir/state"
	in_net ip link del "ct$tag"
	for what in "pod $pod" "container $id"; do
		edit_record $what "d['boot_id'] = '11111111-2222-3333-4444-555555555555'"
	done
	daemon_start
	[ "$(crictl inspectp "$pod" | jq -r .status.state)" = SANDBOX_NOTREADY ]
	[ "$(status_of "$id" state)" = CONTAINER_EXITED ]
	crictl stop -t 0 "$id"
	crictl rm "$id"
	crictl stopp "$pod"
	crictl rmp "$pod"
	nothing_left
	# and the node has addresses for new ones
	one_pod after
	[ "$(crictl exec -s "$id" echo hello)" = hello ]
	crictl rmp -f "$pod"
	nothing_left
}

# takes one piece of a pod away behind the daemon's back
take_away() { # piece
	local bundle=$dir/state/pods/$pod/$id
	case $1 in
	"the shim's record") rm "$dir/state/pods/$pod/shim.json" ;;
	"the shim's socket") rm "$dir/state/pods/$pod/s" ;;
	"the shim") kill -KILL "$(jq -r .pid "$dir/state/pods/$pod/shim.json")" ;;
	"the bundle") rm -r "$bundle" ;;
	"the pod's directory") umount -l "$dir/state/pods/$pod/shm" "$dir/state/pods/$pod/netns" && rm -r "$dir/state/pods/$pod" ;;
	"the runtime's record") rm -r "$dir/state/runtime/$id" ;;
	"the network namespace") umount -l "$dir/state/pods/$pod/netns" ;;
	"the namespace's file") umount -l "$dir/state/pods/$pod/netns" && rm "$dir/state/pods/$pod/netns" ;;
	"the interface") in_net ip -o link show type veth | sed 's/^[0-9]*: //; s/[:@].*//' | while read -r link; do in_net ip link del "$link"; done ;;
	"the bridge") in_net ip link del "ct$tag" ;;
	"the address") find "$dir/root/cni" -type f -name '10.99.*' -delete ;;
	"the snapshot") rm -r "$dir/root/snapshots/$id" ;;
	"the log directory") rm -r "$dir/logs/gone" ;;
	"pause") kill -KILL "$(crictl inspectp "$pod" | jq .info.pid)" ;;
	"the container") kill -KILL "$(crictl inspect "$id" | jq .info.pid)" ;;
	esac
}

# a cut by default, all of them with FAULTS=all; or those that PIECES names, with commas
[ -z "${PIECES:-}" ] || FAULTS=all
CUT="the shim,the pod's directory,the runtime's record,the namespace's file,the snapshot,pause"
[ "${FAULTS:-}" != all ] || CUT+=",the shim's record,the shim's socket,the bundle,the network namespace,the interface,the bridge,\
the address,the log directory,the container"

each_piece() { # function of a piece
	local piece
	while IFS= read -r -d, piece; do
		one_pod gone
		take_away "$piece"
		"$1" || { echo "without $piece"; return 1; }
		nothing_left || { echo "without $piece"; return 1; }
	done <<<"${PIECES:-$CUT},"
}

stop_and_remove() {
	crictl stop -t 0 "$id" && crictl rm "$id" && crictl stopp "$pod" && crictl rmp "$pod"
}

by_another_daemon() {
	daemon_kill KILL && daemon_start && crictl rmp -f "$pod"
}

@test "any piece of a pod that somebody took away: stop and remove succeed, and nothing is left" {
	each_piece stop_and_remove
}

@test "any piece that somebody took away, and another daemon: remove succeeds, and nothing is left" {
	[ "${FAULTS:-}" = all ] || skip "with FAULTS=all"
	each_piece by_another_daemon
}
