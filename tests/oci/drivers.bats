# What holds for a running container through each driver of cgroups: it stands still when it is
# paused, statistics and process lists are the kernel's, and deleted leaves nothing.
load lib
load drivers

setup() {
	drivers_setup
	spec '.process.args=["sleep","1000"] | .root.readonly=false'
	BASE=$(cat "$B/config.json")
}
teardown() { drivers_teardown; }

program() { BASE=$(jq --arg s "$1" '.process.args=["sh","-c",$s]' <<<"$BASE"); }
lines() { wc -l <"$B/rootfs/tmp/ticks"; }
ticks() { [ "$(lines)" -gt "$1" ]; }

# bats test_tags=systemd
@test "paused it stands still, resumed it goes on, and is deleted even while it is paused" {
	local d before
	program 'while :; do echo x >>/tmp/ticks; sleep 0.01; done'
	for d in "${drivers[@]}"; do
		rm -f "$B/rootfs/tmp/ticks"
		begin "$d" '{}'
		rt start c1
		eventually ticks 2
		rt pause c1
		[ "$(status)" = paused ]
		if is_v2; then holds freezer cgroup.freeze 1; else holds freezer freezer.state FROZEN; fi
		before=$(lines)
		rt ps -f json c1 | jq -e 'length >= 1'
		run rt exec c1 true
		[ "$status" = 255 ]
		[[ "$output" == *paused* ]]
		sleep 0.2
		[ "$(lines)" = "$before" ]
		rt resume c1
		[ "$(status)" = running ]
		eventually ticks "$before"
		rt pause c1
		where
		rt delete -f c1
		nothing_left
	done
}

# all processes below the directory of a controller
procs() { find "$(dir_of "$1")" -name cgroup.procs -exec cat {} + | sort -n | tr '\n' ' '; }

# bats test_tags=systemd
@test "ps lists every process, of an exec and of a cgroup below too, and no other" {
	local d want
	program 'sleep 1000 & sleep 1000 & wait'
	for d in "${drivers[@]}"; do
		begin "$d" '{}'
		rt start c1
		rt exec -d c1 sleep 1001 </dev/null >"$T/out" 2>&1
		rt exec -d --cgroup below c1 sleep 1002 </dev/null >"$T/out" 2>&1
		eventually sh -c '[ $("$0" --root "$1" ps -f json c1 | jq length) = 5 ]' "$RUNTIME" "$ROOT"
		want=$(procs freezer)
		[ "$(rt ps -f json c1 | jq 'sort | .[]' | tr '\n' ' ')" = "$want" ]
		# the table is of the host's ps, which names its columns
		[ "$(rt ps c1 | awk 'NR == 1 {for (i = 1; i <= NF; i++) if ($i == "PID") c = i} NR > 1 {print $c}' | sort -n | tr '\n' ' ')" = "$want" ]
		where
		rt delete -f c1
		nothing_left
	done
}

# kernel NAME: the counter as the kernel has it
kernel() {
	case $1 in
	cpu) if in_v2 cpu; then awk '$1 == "usage_usec" {print $2 * 1000}' "$(dir_of cpu)/cpu.stat"; else cat "$(dir_of cpuacct)/cpuacct.usage"; fi ;;
	memory) if in_v2 memory; then cat "$(dir_of memory)/memory.current"; else cat "$(dir_of memory)/memory.usage_in_bytes"; fi ;;
	pids) cat "$(dir_of pids)/pids.current" ;;
	esac
}

# Memory stands still now and then only: the figure of a moment when the kernel's was the same on
# both sides of it.
memory_agrees() {
	local before after stat
	before=$(kernel memory)
	stat=$(rt events --stats c1 | jq .data.memory.usage.usage)
	after=$(kernel memory)
	[ "$before" = "$after" ] && [ "$stat" = "$before" ]
}

# bats test_tags=systemd
@test "events --stats says what the kernel says" {
	local d before after memory=
	has memory && memory='"memory":{"limit":67108864},'
	program 'i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done; sleep 1000 & sleep 1000 & wait'
	for d in "${drivers[@]}"; do
		begin "$d" "{$memory"'"pids":{"limit":44},"cpu":{"quota":50000,"period":100000}}'
		rt start c1
		eventually sh -c '[ $("$0" --root "$1" ps -f json c1 | jq length) = 3 ]' "$RUNTIME" "$ROOT"
		before=$(kernel cpu)
		rt events --stats c1 >"$T/stats"
		after=$(kernel cpu)
		jq -e --argjson b "$before" --argjson a "$after" '.data.cpu.usage.total as $t | $t > 0 and $t >= $b and $t <= $a' "$T/stats"
		jq -e --argjson n "$(kernel pids)" '.data.pids | .current == 3 and .current == $n and .limit == 44' "$T/stats"
		if [ -n "$memory" ]; then
			jq -e '.data.memory.usage.limit == 67108864' "$T/stats"
			eventually memory_agrees
		fi
		end
	done
}

# bats test_tags=systemd
@test "an out-of-memory kill that ends the container is still an event" {
	has memory || skip "no memory controller"
	local d events
	ln -sf busybox "$B/rootfs/bin/tail"
	program 'while [ ! -e /tmp/go ]; do sleep 0.05; done; exec tail /dev/zero'
	for d in "${drivers[@]}"; do
		rm -f "$B/rootfs/tmp/go"
		begin "$d" '{"memory":{"limit":16777216,"swap":16777216}}'
		rt start c1
		"$RUNTIME" --root "$ROOT" events --interval 60s c1 >"$T/events" 2>&1 3>&- &
		events=$!
		# it has the container's cgroup open, and listens
		eventually sh -c 'ls -l "/proc/$0/fd" 2>/dev/null | grep -qE "memory.events|eventfd"' "$events"
		touch "$B/rootfs/tmp/go"
		wait "$events"
		[ "$(cat "$T/events")" = '{"type":"oom","id":"c1"}' ] || { cat "$T/events"; false; }
		rt delete -f c1
	done
}

# A shell that goes on when a fork is refused, as no script does: it is told line by line.
bomb='yes "sleep 1000 & true &" | sh -i >/dev/null 2>&1'

# bats test_tags=systemd
@test "delete --force leaves nothing of a fork bomb" {
	local d
	ln -sf busybox "$B/rootfs/bin/yes"
	program "$bomb"
	for d in "${drivers[@]}"; do
		begin "$d" '{"pids":{"limit":60}}'
		rt start c1
		where
		eventually sh -c '[ "$(cat "$0/pids.current")" -gt 40 ]' "$(dir_of pids)"
		rt delete -f c1
		nothing_left
	done
}

# bats test_tags=systemd
@test "nor of one that has no pid namespace, and whose first process is gone" {
	local d dir
	ln -sf busybox "$B/rootfs/bin/yes"
	mkfifo "$B/rootfs/tmp/go"
	program "{ $bomb; } & read go </tmp/go"
	BASE=$(jq '.linux.namespaces |= map(select(.type != "pid"))' <<<"$BASE")
	for d in "${drivers[@]}"; do
		begin "$d" '{"pids":{"limit":60}}'
		rt start c1
		where
		dir=$(dir_of pids)
		eventually sh -c '[ "$(cat "$0/pids.current")" -gt 40 ]' "$dir"
		timeout 10 sh -c 'echo x >"$0"' "$B/rootfs/tmp/go"
		eventually is stopped
		[ "$(cat "$dir/pids.current")" -gt 20 ]
		rt delete -f c1
		nothing_left
	done
}
