# Container, shim and daemon may die, alone and together: what lives runs on, what ended is known with
# its code, no line of a log is lost, torn or written twice, and nothing is left behind.

bats_require_minimum_version 1.5.0
load ../cri/daemon.bash

# numbered lines, twenty thousand at full speed and then one a second, in pieces that a killed shim could tear
COUNT='i=0; while [ $i -lt 20000 ] || sleep 1; do i=$((i+1)); printf "line "; printf "%s\n" "$i of those that are counted"; done'

setup_file() {
	daemon_prepare
	registry_start
	daemon_start
	crictl pull "$image" >/dev/null
}

teardown_file() { daemon_end; }

teardown() {
	[ -n "$BATS_TEST_COMPLETED" ] || grep -v ": \(Version\|ImageFsInfo\|[A-Za-z]*Status\|List[A-Za-z]*\)[ :]" "$dir/log" | tail -n 15
	pressure_end
	for p in $(crictl pods -q); do crictl rmp -f "$p" >/dev/null 2>&1; done
}

shim_of() { jq -r .pid "$dir/state/pods/$1/shim.json"; }

# the shim of the pod is another one than this, and answers
successor_of() { # pod, old pid
	for _ in $(seq 200); do
		new=$(shim_of "$1" 2>/dev/null)
		[ -n "$new" ] && [ "$new" != "$2" ] && [ -d "/proc/$new" ] && return 0
		sleep 0.02
	done
	echo "no shim after $2" >&2
	return 1
}

pid_of() { crictl inspect "$1" | jq -r .info.pid; }

# the numbers of a counting container's log rise by one from 1; only what it was killed in may be unfinished
whole_log() { # file
	awk 'unfinished || ($3 == "F" && ($4 != "line" || $5 != ++n || NF != 10)) {
		print FILENAME ":" NR ": " $0; bad = 1; exit
	     }
	     $3 == "P" { unfinished = 1 }
	     END { if (!bad && n < 1) print "no line"; exit bad || n < 1 }' "$1"
}

nothing_left() {
	for _ in $(seq 100); do left=$(leftovers); [ -z "$left" ] && return 0; sleep 0.05; done
	echo "$left"
	return 1
}

@test "a shim that is killed: containers run on, log, exec, attach and exit code go on" {
	json=$(pod_config a)
	pod=$(crictl runp "$json")
	id=$(run_container "$pod" "$json" count "$COUNT")
	quit=$(run_container "$pod" "$json" quit 'while [ ! -e /go ]; do sleep 0.05; done; exit 7')
	pid=$(pid_of "$id")
	for _ in 1 2 3; do
		shim=$(shim_of "$pod")
		kill -KILL "$shim"
		successor_of "$pod" "$shim"
	done
	[ "$(crictl inspectp "$pod" | jq -r .status.state)" = SANDBOX_READY ]
	[ "$(status_of "$id" state)" = CONTAINER_RUNNING ]
	[ "$(pid_of "$id")" = "$pid" ]
	[ "$(crictl exec -s "$id" echo hello)" = hello ]
	[ "$(in_net timeout 5 crictl --config "$dir/crictl.yaml" attach "$id" </dev/null | head -n 2 | tail -n 1 | cut -d' ' -f1)" = line ]
	crictl exec -s "$quit" sh -c ": >/go"
	wait_state "$quit" CONTAINER_EXITED
	[ "$(status_of "$quit" exitCode)" = 7 ]
	crictl stop -t 0 "$id"
	[ "$(status_of "$id" exitCode)" = 137 ]
	whole_log "$dir/logs/a/count.log"
	crictl rmp -f "$pod"
	nothing_left
}

@test "the shim dies under a log that is written at full speed, twenty times: no line lost, torn, doubled" {
	json=$(pod_config b)
	pod=$(crictl runp "$json")
	id=$(run_container "$pod" "$json" count 'seq 1 100000000 | sed "s/.*/line & of those that are counted/"')
	for i in $(seq 20); do
		shim=$(shim_of "$pod")
		sleep "0.0$((i * 7 % 10))"
		kill -KILL "$shim"
		# ten deaths in ten seconds are taken for a fault of the pod's
		[ $((i % 8)) -ne 0 ] || sleep 10.5
		successor_of "$pod" "$shim"
	done
	sleep 0.3
	crictl stop -t 0 "$id"
	whole_log "$dir/logs/b/count.log"
	crictl rmp -f "$pod"
}

@test "a terminal and an open input outlive the shim" {
	json=$(pod_config t)
	pod=$(crictl runp "$json")
	tty=$(run_container "$pod" "$json" tty 'trap "exit 9" HUP; while read -r l; do echo "got $l"; done; exit 3' '{"tty": true, "stdin": true}')
	pipe=$(run_container "$pod" "$json" pipe 'while read -r l; do echo "got $l"; done; exit 3' '{"stdin": true}')
	shim=$(shim_of "$pod")
	kill -KILL "$shim"
	successor_of "$pod" "$shim"
	sleep 0.3
	[ "$(status_of "$tty" state)" = CONTAINER_RUNNING ]
	[ "$(status_of "$pipe" state)" = CONTAINER_RUNNING ]
	for id in $tty $pipe; do
		echo one >"$dir/state/pods/$pod/$id/stdin"
	done
	for log in tty pipe; do
		for _ in $(seq 100); do grep -q 'got one' "$dir/logs/t/$log.log" && break; sleep 0.02; done
		grep -q 'stdout F got one' "$dir/logs/t/$log.log"
	done
	crictl rmp -f "$pod"
}

@test "an exec that ran under a shim that died is over, and says so" {
	json=$(pod_config e)
	pod=$(crictl runp "$json")
	id=$(run_container "$pod" "$json" c 'sleep 1000')
	crictl exec -s "$id" sleep 777 >"$dir/exec" 2>&1 &
	for _ in $(seq 100); do crictl exec -s "$id" ps | grep -q 'sleep 777' && break; sleep 0.02; done
	shim=$(shim_of "$pod")
	kill -KILL "$shim"
	! wait $! || false
	grep -q "caisson-shim.* died" "$dir/exec" || { cat "$dir/exec"; false; }
	successor_of "$pod" "$shim"
	for _ in $(seq 100); do crictl exec -s "$id" ps | grep -q 'sleep 777' || break; sleep 0.02; done
	run ! sh -c "crictl exec -s $id ps | grep 'sleep 777'"
	[ "$(status_of "$id" state)" = CONTAINER_RUNNING ]
	crictl rmp -f "$pod"
}

@test "an end while the shim is stopped is seen all the same" {
	json=$(pod_config p)
	pod=$(crictl runp "$json")
	id=$(run_container "$pod" "$json" c 'sleep 1000')
	lone=$(crictl runp "$(pod_config p-lone)")
	kill -STOP "$(shim_of "$pod")" "$(shim_of "$lone")"
	kill -KILL "$(pid_of "$id")" "$(crictl inspectp "$lone" | jq .info.pid)"
	wait_state "$id" CONTAINER_EXITED || wait_state "$id" CONTAINER_EXITED
	[ "$(status_of "$id" exitCode)" = 137 ]
	for _ in $(seq 100); do
		[ "$(crictl inspectp "$lone" | jq -r .status.state)" = SANDBOX_NOTREADY ] && break
		sleep 0.1
	done
	[ "$(crictl inspectp "$lone" | jq -r '.status.state')" = SANDBOX_NOTREADY ]
	kill -CONT "$(shim_of "$pod")" "$(shim_of "$lone")"
	crictl rmp -f "$pod" "$lone"
}

# microseconds of now, and of a time that CRI gives as text
now_us() { echo "${EPOCHREALTIME/[.,]/}"; }
us_of() { date -d "$1" +%s%6N; }

# what must be true of both containers and their pod, in one look each
state_right() { # victim's state
	local both
	both=$(crictl inspect "$id" "$other") || return 1
	[ "$(jq -rs 'flatten | map([.status.state, .info.pid | tostring]) | flatten | join(" ")' <<<"$both")" = \
		"$1 $([ "$1" = CONTAINER_RUNNING ] && echo "$pid" || echo 0) CONTAINER_RUNNING $otherpid" ] &&
		[ "$(crictl inspectp "$pod" | jq -r .status.state)" = SANDBOX_READY ]
}

# one round: what dies, in which order; a second container in the pod sees nothing of it
combination() { # letters of c(ontainer), s(him), d(aemon)
	local name="m-$1-$RANDOM$RANDOM" json pod id other pid otherpid shim letter code killed watched restarted looked at
	json=$(pod_config "$name")
	pod=$(crictl runp "$json")
	id=$(run_container "$pod" "$json" victim "$COUNT")
	other=$(run_container "$pod" "$json" other "$COUNT")
	pid=$(pid_of "$id")
	otherpid=$(pid_of "$other")
	shim=$(shim_of "$pod")
	for letter in $(echo "$1" | fold -w1); do
		case $letter in
		c) killed=$(now_us) && kill -KILL "$pid" ;;
		s) kill -KILL "$shim" ;;
		d) daemon_kill KILL ;;
		esac
	done
	[[ $1 != *d* ]] || daemon_start
	[[ $1 != *s* ]] || successor_of "$pod" "$shim"
	restarted=$(now_us)
	# a look counts by its begin: how long a client takes to start is not the daemon's
	looked=$(now_us)
	until state_right "$([[ $1 == *c* ]] && echo CONTAINER_EXITED || echo CONTAINER_RUNNING)"; do
		looked=$(now_us)
		[ $((looked - restarted)) -le 2000000 ] || { echo "$1: not right two seconds after the restart ($(date -d "@$((restarted / 1000000)).$((restarted % 1000000))" +%T.%N))"; crictl ps -a; crictl inspectp "$pod" | jq .status.state; ps -o pid,stat,lstart,args -p "$pid,$(shim_of "$pod")"; return 1; }
	done
	echo "$1 $(((looked - restarted) / 1000))" >>"$dir/right-after"
	if [[ $1 == *c* ]]; then
		code=$(status_of "$id" exitCode)
		echo "$1: exit code $code, $(status_of "$id" reason)" | tee -a "$dir/codes"
		# with all three gone at once nobody was left to be told
		[ "$code" = 137 ] || { [[ $1 == *s* && $1 == *d* ]] && [ "$code" = 255 ] && [ "$(status_of "$id" reason)" = Unknown ]; }
		at=$(us_of "$(status_of "$id" finishedAt)")
		# the shim sees it as soon as it gets a processor; who comes after it cannot know better than when it looks
		watched=2000000
		[[ $1 != *s* ]] || watched=$((restarted + 2000000 - killed))
		[ "$at" -ge "$killed" ] && [ $((at - killed)) -le "$watched" ] ||
			{ echo "$1: ended $((at - killed)) us after it was killed"; return 1; }
	fi
	[ "$(crictl exec -s "$other" echo hello)" = hello ]
	crictl stop -t 0 "$id" "$other" >/dev/null
	whole_log "$dir/logs/$name/other.log"
	whole_log "$dir/logs/$name/victim.log"
	crictl rmp -f "$pod" >/dev/null
	rm -rf "$dir/logs/$name"
	nothing_left
}

# busy loops (PRESSURE_LOOPS, one a core), and something that always wants all the memory that its cgroup has
pressure_start() {
	local group=/sys/fs/cgroup/memory limit=memory.limit_in_bytes
	[ ! -e /sys/fs/cgroup/cgroup.controllers ] || group=/sys/fs/cgroup limit=memory.max
	export hog_group=$group/pressure-$tag
	mkdir "$hog_group"
	echo 64M >"$hog_group/$limit"
	: >"$dir/pressure"
	for _ in $(seq "${PRESSURE_LOOPS:-$(nproc)}"); do
		(exec 3>&-; while kill -0 $$; do :; done) &
		echo $! >>"$dir/pressure"
		disown
	done
	(exec 3>&-; echo "$BASHPID" >"$hog_group/cgroup.procs"; while kill -0 $$; do head -c 56M /dev/zero | tail -c 56M >/dev/null; done) &
	echo $! >>"$dir/pressure"
	disown
}

pressure_end() {
	[ -n "${hog_group:-}" ] || return 0
	kill -KILL $(cat "$dir/pressure") $(cat "$hog_group/cgroup.procs") 2>/dev/null
	for _ in $(seq 100); do rmdir "$hog_group" 2>/dev/null && break; kill -KILL $(cat "$hog_group/cgroup.procs") 2>/dev/null; sleep 0.05; done
	hog_group=
}

summary() {
	local order
	for order in $(cut -d' ' -f1 "$dir/right-after" | sort -u); do
		awk -v o="$order" '$1 == o { n++; sum += $2; if ($2 > max) max = $2 }
			END { printf "# %s: %d times, right after %d ms (worst %d)\n", o, n, sum / n, max }' "$dir/right-after" >&3
	done
	sed 's/^/# /' "$dir/codes" | sort | uniq -c | sed 's/^ *\([0-9]*\) # /# \1 times /' >&3
	[ -z "${DEATHS_REPORT:-}" ] || cat "$dir/right-after" >>"$DEATHS_REPORT"
}

# CYCLES=100: each order so often, under pressure, for at most DEATHS_SECONDS. ORDERS: only these; every one of each
# with FAULTS=all.
@test "all seven combinations" {
	local orders=${ORDERS:-c s d sc dc ds csd} order n=0 until=$((SECONDS + ${DEATHS_SECONDS:-100000}))
	[ "${FAULTS:-}" != all ] || orders=${ORDERS:-c s d cs sc cd dc sd ds csd cds scd sdc dcs dsc}
	: >"$dir/right-after"
	: >"$dir/codes"
	[ "${CYCLES:-1}" -eq 1 ] || pressure_start
	for _ in $(seq "${CYCLES:-1}"); do
		for order in $orders; do
			combination "$order" || { pressure_end; summary; echo "(after $n rounds)"; false; }
			n=$((n + 1))
			[ $SECONDS -lt $until ] || break 2
		done
	done
	pressure_end
	[ "${CYCLES:-1}" -eq 1 ] || summary
}
