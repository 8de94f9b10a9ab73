# All seven combinations of deaths of container, shim and daemon, again and again. There is a pod for each, which lives
# through ten cycles: its victim is made anew where it died, its other container runs on all the while and writes. In
# a cycle those die first that the daemon lives through, then the daemon and the rest with it, in another order each
# time. Two seconds after the last death (or the daemon's start) every state, code and time is right, every dead
# shim has a successor; no line of a log is lost, torn or doubled; after ten cycles all is removed and nothing is left.
#
#   CYCLES=100            so many, under pressure (more than one): busy loops (PRESSURE_LOOPS, one a core), and a process
#                         that always wants more memory than its cgroup has
#   DEATHS_SECONDS=800    after which no more of them begin
#   FAULTS_REPORTS=DIR    "deaths" there gets a line for each state that became right, and for each end
#
# FAULTS=all is a hundred of them.

bats_require_minimum_version 1.5.0
load ../cri/daemon.bash
load deaths.bash

# numbered lines, in pieces that a killed shim could tear, fifty at a time
WRITES='i=0; while :; do n=0; while [ $n -lt 50 ]; do n=$((n+1)); i=$((i+1)); printf "line "; printf "%s\n" "$i of those that are counted"; done; sleep 0.2; done'

# letters of c(ontainer), s(him), d(aemon)
with_daemon="d dc ds csd"
without="c s sc"
LIVES=10 # cycles of a pod

setup_file() {
	daemon_prepare
	daemon_ready
}

teardown_file() { daemon_end; }

teardown() {
	[ -n "$BATS_TEST_COMPLETED" ] || grep -v ": \(Version\|ImageFsInfo\|[A-Za-z]*Status\|List[A-Za-z]*\)[ :]" "$dir/log" | tail -n 15
	pressure_end
	for p in $(crictl pods -q); do crictl rmp -f "$p" >/dev/null 2>&1; done
}

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
	kill -KILL $(cat "$dir/pressure") $(cat "$hog_group/cgroup.procs") 2>/dev/null || true
	for _ in $(seq 100); do rmdir "$hog_group" 2>/dev/null && break; kill -KILL $(cat "$hog_group/cgroup.procs") 2>/dev/null || true; sleep 0.05; done
	hog_group=
}

# microseconds of now, and of a time that CRI gives in nanoseconds
now_us() { echo "${EPOCHREALTIME/[.,]/}"; }

declare -gA pod json other otherpid victim pid shim killed

pods_up() { # cycle
	local o
	for o in $without $with_daemon; do
		json[$o]=$(pod_config "m-$o-$1")
		pod[$o]=$(crictl runp "${json[$o]}") && other[$o]=$(run_container "${pod[$o]}" "${json[$o]}" other "$WRITES") || return 1
	done
}

# one look at containers: "id state pid code finished reason", a line each, in the order of their ids
look() { # ids
	crictl inspect "$@" | jq -rs 'flatten[] | [.status.id, .status.state, .info.pid // 0, .status.exitCode // 0,
		.status.finishedAt // "-", .status.reason // "-"] | map(tostring) | join(" ")' | sort
}

# a victim where there is none, and what everybody's pid is
victims_up() { # cycle
	local o id state p rest
	for o in $without $with_daemon; do
		[ -n "${victim[$o]:-}" ] || victim[$o]=$(run_container "${pod[$o]}" "${json[$o]}" "v$1" "$WRITES") || return 1
		shim[$o]=$(shim_of "${pod[$o]}")
	done
	while read -r id state p rest; do
		for o in $without $with_daemon; do
			[ "$id" != "${victim[$o]}" ] || pid[$o]=$p
			[ "$id" != "${other[$o]}" ] || otherpid[$o]=$p
		done
	done < <(look "${victim[@]}" "${other[@]}")
}

strike() { # combination, letters of it
	local letter
	for letter in $(fold -w1 <<<"$2"); do
		case $letter in
		c) killed[$1]=$(now_us) && kill -KILL "${pid[$1]}" ;;
		s) kill -KILL "${shim[$1]}" ;;
		esac
	done
}

# id, state and pid of each container as they must be
wanted() { # combinations
	local o
	for o; do
		if [[ $o == *c* ]]; then echo "${victim[$o]} CONTAINER_EXITED 0"; else echo "${victim[$o]} CONTAINER_RUNNING ${pid[$o]}"; fi
		echo "${other[$o]} CONTAINER_RUNNING ${otherpid[$o]}"
	done | sort
}

all_right() { # combinations
	local o new ids=()
	for o; do
		ids+=("${victim[$o]}" "${other[$o]}")
		new=$(shim_of "${pod[$o]}" 2>/dev/null)
		if [[ $o == *s* ]]; then [ -n "$new" ] && [ "$new" != "${shim[$o]}" ]; else [ "$new" = "${shim[$o]}" ]; fi || return 1
		[ -d "/proc/$new" ] || return 1
	done
	look "${ids[@]}" >"$dir/look" && [ "$(cut -d' ' -f1-3 "$dir/look")" = "$(wanted "$@")" ] &&
		[ "$(crictl pods -q --state ready | sort)" = "$(printf '%s\n' "${pod[@]}" | sort)" ]
}

# within two seconds; a look counts by its begin, since how long a client takes to start is not the daemon's
becomes_right() { # combinations
	local looked o
	restarted=$(now_us)
	looked=$restarted
	until all_right "$@"; do
		looked=$(now_us)
		[ $((looked - restarted)) -le 2000000 ] && continue
		echo "$*: not right two seconds after $(date -d "@$((restarted / 1000000))" +%T):"
		diff <(wanted "$@") <(cut -d' ' -f1-3 "$dir/look")
		for o; do echo "$o: pod ${pod[$o]}, shim ${shim[$o]}, then $(shim_of "${pod[$o]}")"; done
		crictl pods
		return 1
	done
	for o; do echo "$o $(((looked - restarted) / 1000))" >>"$dir/right-after"; done
}

# code and time of what was killed
ends_right() { # combination
	local id state p code at reason watched=2000000
	read -r id state p code at reason < <(grep "^${victim[$1]} " "$dir/look")
	echo "$1 $code $reason" >>"$dir/codes"
	# with all three gone at once nobody was left to be told
	[ "$code" = 137 ] || { [[ $1 == *s* && $1 == *d* ]] && [ "$code $reason" = "255 Unknown" ]; } ||
		{ echo "$1: exit code $code, $reason"; return 1; }
	at=$(date -d "$at" +%s%6N)
	# the shim sees it as soon as it gets a processor; who comes after it cannot know better than when it looks
	[[ $1 != *s* ]] || watched=$((restarted + 2000000 - killed[$1]))
	[ "$at" -ge "${killed[$1]}" ] && [ $((at - killed[$1])) -le "$watched" ] ||
		{ echo "$1: ended $((at - killed[$1])) us after it was killed"; return 1; }
}

# what died goes, its log whole
dead_away() { # combinations
	local o gone=() log
	for o; do
		[[ $o == *c* ]] || continue
		ends_right "$o" || return 1
		log=$dir/logs/m-$o-$born/v$cycle.log
		whole_log "$log" || return 1
		gone+=("${victim[$o]}")
		victim[$o]=
	done
	crictl rm "${gone[@]}" >/dev/null
}

one_cycle() {
	local o orders=(csd cds scd sdc dcs dsc) order before after
	victims_up "$cycle" || return 1
	# the daemon lives through these
	strike c c
	strike s s
	strike sc "$([ $((cycle % 2)) = 0 ] && echo sc || echo cs)"
	becomes_right $without && dead_away $without || return 1
	# before it and while it is dead
	order=${orders[cycle % 6]}
	before=${order%%d*}
	after=${order#*d}
	strike csd "$before"
	if [ $((cycle % 2)) = 0 ]; then strike dc c; else strike ds s; fi
	daemon_kill KILL
	if [ $((cycle % 2)) = 0 ]; then strike ds s; else strike dc c; fi
	strike csd "$after"
	daemon_start
	becomes_right $with_daemon && dead_away $with_daemon || return 1
	for o in s csd; do [ "$(crictl exec -s "${other[$o]}" echo hello)" = hello ] || return 1; done
}

pods_down() {
	local o
	crictl stop -t 0 "${other[@]}" ${victim[*]} >/dev/null || return 1
	for o in $without $with_daemon; do
		for log in "$dir/logs/m-$o-$born"/*.log; do whole_log "$log" || return 1; done
	done
	crictl rmp -f "${pod[@]}" >/dev/null || return 1
	rm -rf "$dir"/logs/m-*
	victim=() other=() pod=()
	nothing_left
}

summary() {
	local o
	for o in $without $with_daemon; do
		awk -v o="$o" '$1 == o { n++; sum += $2; if ($2 > max) max = $2 }
			END { printf "%s: %d times, right after %d ms (at most %d)\n", o, n, n ? sum / n : 0, max }' "$dir/right-after"
	done
	sort "$dir/codes" | uniq -c | awk '{ print $2 ": " $1 " times exit code " $3 ", " $4 }'
}

@test "all seven combinations" {
	local cycle born until=$((SECONDS + ${DEATHS_SECONDS:-100000})) cycles=${CYCLES:-1} bad=0
	[ "${FAULTS:-}" != all ] || cycles=${CYCLES:-100}
	: >"$dir/right-after"
	: >"$dir/codes"
	[ "$cycles" -eq 1 ] || pressure_start
	for cycle in $(seq "$cycles"); do
		[ ${#pod[@]} -gt 0 ] || { born=$cycle; pods_up "$cycle"; }
		one_cycle || { bad=1; echo "(in cycle $cycle)"; break; }
		[ $SECONDS -lt $until ] || break
		[ $((cycle % LIVES)) -ne 0 ] || pods_down || { bad=1; echo "(after cycle $cycle)"; break; }
	done
	[ $bad -ne 0 ] || [ ${#pod[@]} -eq 0 ] || pods_down
	pressure_end
	[ "$cycles" -eq 1 ] || summary | sed 's/^/# /' >&3
	[ -z "${FAULTS_REPORTS:-}" ] || { sed 's/^/right /' "$dir/right-after"; sed 's/^/end /' "$dir/codes"; } >>"$FAULTS_REPORTS/deaths"
	[ $bad -eq 0 ]
}
