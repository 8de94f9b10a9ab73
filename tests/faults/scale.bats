# Many pods at once and many containers one after another: a daemon that starts again serves all of them
# within a second, and what comes and goes costs nothing that stays.
#
#   SCALE_PODS=500       pods with two containers each that live while the daemon dies (default 10)
#   SCALE_CHURN=20000    containers that come and go (default 100), SCALE_WORKERS=8 at once
#   SCALE_SECONDS=1000   after which no more of them come
#   SCALE_REPORT=FILE    the figures, a line each

load ../lib/load

setup_file() {
	suite_start
	need_image busybox:1
	export churn=$BUILD/tests/cri-churn pods=${SCALE_PODS:-10} turns=${SCALE_CHURN:-100} workers=${SCALE_WORKERS:-8}
	mkdir "$WORK/pods"
}

teardown_file() { suite_stop; }

teardown() {
	[ -n "${BATS_TEST_COMPLETED:-}" ] || tail -n 10 "$LOG"
	# it may have failed while there was no daemon, or while one was starting
	kill -0 "$(daemon_pid)" 2>/dev/null || daemon_run
	"$churn" served "$SOCKET" 30 >/dev/null
	"$churn" down 8 "$SOCKET" >/dev/null
}

report() {
	echo "# $*" >&3
	[ -z "${SCALE_REPORT:-}" ] || echo "$*" >>"$SCALE_REPORT"
}

# the daemon ends by that signal, and another one answers with every pod and every container of it
restarted() { # signal
	local out ms
	daemon_end "$1"
	daemon_spawn "$BUILD/src/prog/caissond/caissond" --config "$WORK/config.yaml"
	out=$("$churn" served "$SOCKET" 30)
	# (fields 14 and 15: user and system time in hundredths of a second)
	report "$pods pods, daemon ended by SIG$1: the next one serves $out," \
		"of which $(awk '{ print ($14 + $15) * 10 }' "/proc/$(daemon_pid)/stat") ms are its own processor time"
	[[ $out == "$pods pods, $((pods * 2)) running, "* ]]
	ms=${out##*after }
	ms=${ms% ms}
	[ "${fastest:-$ms}" -lt "$ms" ] || fastest=$ms
}

shims() { pgrep -cf "caisson-shim.*$STATE" || true; }

@test "many pods: a daemon that is killed or ends is followed by one that serves all of them within a second" {
	only_ours
	out=$("$churn" up "$pods" 2 "$workers" "$SOCKET" "$(image busybox:1)" "$WORK/pods")
	report "$out"
	before=$(cri ps -q | sort | sha256sum)
	for signal in KILL TERM KILL; do
		restarted "$signal"
		# and leads them as the one before it did
		[ "$(cri ps -q | sort | sha256sum)" = "$before" ]
		[ "$(cri exec -s "$(cri ps -q | tail -n 1)" echo hello)" = hello ]
	done
	# what else the machine does makes one of them slow, never fast
	[ "$fastest" -le 1000 ]
	report "$(shims) shims, $(descriptors) descriptors of the daemon"
	out=$("$churn" down "$workers" "$SOCKET")
	report "$out"
	[ -z "$(cri pods -q)$(cri ps -aq)" ]
	eventually 10 no_shims
}

no_shims() { [ "$(shims)" -eq 0 ]; }

of_rollup() { awk -v key="$1:" '$1 == key { print $2 }' "/proc/$(daemon_pid)/smaps_rollup"; }

# name and value of everything that must not grow
stock() {
	local pid
	pid=$(daemon_pid)
	# resident pages count whole here whoever else has them: what is in this bound is in the share (PSS) too
	echo "resident_kib $(of_rollup Rss)"
	echo "pss_kib $(of_rollup Pss)"
	echo "anonymous_kib $(of_rollup Pss_Anon)"
	echo "descriptors $(descriptors)"
	echo "threads $(ls "/proc/$pid/task" | wc -l)"
	echo "root_kib $(du -sk "$ROOT" | cut -f1)"
	echo "state_kib $(du -sk "$STATE" | cut -f1)"
	echo "files $(find "$ROOT" "$STATE" | wc -l)"
	echo "mounts $(leak_mounts | wc -l)"
	echo "cgroups $(leak_cgroups | wc -l)"
	echo "processes $(leak_processes | wc -l)"
	echo "interfaces_rules $(leak_interfaces | wc -l)"
}

value() { awk -v key="$2" '$1 == key { print $2 }' <<<"$1"; }

# two stocks differ by no more than what a database or an allocator rounds to
flat() { # before, after
	local name bound bad=0
	while read -r name bound; do
		[ $(($(value "$2" "$name") - $(value "$1" "$name"))) -le "$bound" ] ||
			{ echo "$name: $(value "$1" "$name"), then $(value "$2" "$name")"; bad=1; }
	done <<-BOUNDS
		resident_kib 2048
		pss_kib 2048
		anonymous_kib 1024
		descriptors 0
		threads 0
		root_kib 5120
		state_kib 64
		files 0
		mounts 0
		cgroups 0
		processes 0
		interfaces_rules 0
	BOUNDS
	return $bad
}

descriptors() { ls "/proc/$(daemon_pid)/fd" | wc -l; }

settled() { flat "$before" "$(stock)" || { diff <(echo "$kinds") <(leak_descriptors) | grep '^[<>]'; return 1; }; }

@test "containers that come and go leave memory, descriptors, threads, disk, cgroups and mounts as they were" {
	local parts=$((turns < 1000 ? 2 : 40)) part until=$((SECONDS + ${SCALE_SECONDS:-1000})) came=0
	# what stays for good is made by the first ones
	"$churn" turn 50 "$workers" "$SOCKET" "$(image busybox:1)" "$WORK/pods" >/dev/null
	eventually 20 leak_at_rest
	before=$(stock)
	kinds=$(leak_descriptors)
	report "before: $(tr '\n' ' ' <<<"$before")"
	for part in $(seq "$parts"); do
		out=$("$churn" turn $((turns / parts)) "$workers" "$SOCKET" "$(image busybox:1)" "$WORK/pods")
		report "$part/$parts: $out, resident $(of_rollup Rss) KiB"
		came=$((came + turns / parts))
		[ $SECONDS -lt $until ] || break
	done
	eventually 10 settled
	report "after $came: $(stock | tr '\n' ' ')"
	[ -z "$(cri pods -q)$(cri ps -aq)" ]
}
