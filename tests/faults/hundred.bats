# A hundred pods with a container each, made and removed, and what is left: nothing, neither in the
# kernel nor in the daemon.

load ../lib/load

setup_file() { suite_start; }
teardown_file() { suite_stop; }

one_pod() { # n
	local pod ctr
	pod=$(run_pod "p$1") || return 1
	ctr=$(run_container "$pod" "$(image busybox:1)") || return 1
	[ $(($1 % 3)) -eq 0 ] && { cri stop -t 0 "$ctr" >/dev/null && cri rm "$ctr" >/dev/null || return 1; }
	[ $(($1 % 2)) -eq 0 ] && { cri stopp "$pod" >/dev/null || return 1; }
	cri rmp -f "$pod" >/dev/null
}

# all of its resident pages, each counted whole: its share of them (PSS) is less, and depends on who else runs
resident() { awk '/^Rss:/ { print $2 }' "/proc/$(daemon_pid)/smaps_rollup"; }

@test "a hundred pods, ten at a time, leave nothing behind" {
	need_image busybox:1
	# the first ones make what stays: bridge, directories, caches
	one_pod 0
	eventually 20 leak_at_rest
	leak_mark
	for round in $(seq 0 9); do
		pids=()
		for n in $(seq $((round * 10 + 1)) $((round * 10 + 10))); do
			one_pod "$n" 3>&- >"$WORK/out.$n" 2>&1 &
			pids+=($!)
		done
		for n in "${!pids[@]}"; do
			wait "${pids[$n]}" || { cat "$WORK/out.$((round * 10 + 1 + n))"; false; }
		done
		[ "$round" -ne 1 ] || before=$(resident)
	done
	rm -f "$WORK"/out.*
	[ -z "$(cri pods -q)" ]
	[ -z "$(cri ps -aq)" ]
	leak_check
	only_ours
	leak_check_descriptors
	# after twenty pods it has all that it needs; eighty more cost it nothing lasting
	after=$(resident)
	echo "# resident memory of the daemon: $before KiB after 20 pods, $after KiB after 100" >&3
	[ $((after - before)) -lt 1024 ]
}
