# events: statistics and out-of-memory kills, one JSON object a line.

setup() {
	load lib
	oci_setup
}

teardown() { oci_teardown; }

@test "events --stats prints one object, with what the kernel counts" {
	spec '.linux.resources={memory:{limit:67108864},pids:{limit:20}} | .process.args=["sleep","100"]'
	start_c1
	rt events --stats c1 >"$T/stats"
	[ "$(wc -l <"$T/stats")" = 1 ]
	jq -e '.type=="stats" and .id=="c1" and .data.pids.current==1 and .data.pids.limit==20 and
		.data.memory.usage.usage>0 and .data.memory.usage.limit==67108864 and (.data.cpu.usage.total>0)
		and (.data.memory.raw|length>5) and (.data|has("cpuset","blkio","hugetlb","intel_rdt"))' "$T/stats"
	[ "$(jq -c .data.cpuset.mems "$T/stats")" != null ]
}

@test "events go on at their interval and end with the container" {
	only_ours "runc 1.1 waits for more than the end of the container"
	spec '.process.args=["sleep","100"]'
	start_c1
	rt events --interval 100ms c1 >"$T/events" &
	local events=$!
	eventually sh -c '[ "$(wc -l <"$1")" -ge 3 ]' sh "$T/events"
	rt kill c1 KILL
	wait "$events"
	jq -es 'all(.type=="stats")' "$T/events"
}

@test "an out-of-memory kill is an event" {
	ln -s busybox "$B/rootfs/bin/tail"
	spec '.linux.resources.memory={limit:16777216,swap:16777216}'
	script 'while [ ! -e /tmp/go ]; do sleep 0.05; done; tail /dev/zero; sleep 0.2'
	spec '.mounts+=[{destination:"/tmp",type:"tmpfs",source:"tmpfs"}]'
	start_c1
	rt events --interval 60s c1 >"$T/events" &
	local events=$!
	sleep 0.3
	rt exec c1 touch /tmp/go
	wait "$events"
	[ "$(jq -c . "$T/events")" = '{"type":"oom","id":"c1"}' ]
}

# As systemd does it at once: the cgroup is gone before anybody could look.
@test "an out-of-memory kill is an event even when the cgroup is gone with its counters" {
	only_ours "runc cannot know"
	[ -r /dev/kmsg ] || skip "the kernel's log cannot be read here"
	ln -s busybox "$B/rootfs/bin/tail"
	spec '.linux.resources.memory={limit:16777216,swap:16777216} | .process.args=["tail","/dev/zero"]'
	rt create -b "$B" c1 >"$T/out" 2>&1 </dev/null
	"$RUNTIME" --root "$ROOT" events --interval 60s c1 >"$T/events" 2>&1 3>&- &
	local events=$!
	eventually sh -c 'ls -l "/proc/$0/fd" 2>/dev/null | grep -q kmsg' "$events"
	eventually sh -c '[ "$(cut -d" " -f3 "/proc/$0/stat")" = S ]' "$events"
	kill -STOP "$events"
	rt start c1
	eventually is stopped
	rt delete c1
	[ ! -e "$(cgdir memory)" ]
	kill -CONT "$events"
	wait "$events"
	[ "$(cat "$T/events")" = '{"type":"oom","id":"c1"}' ] || { cat "$T/events"; false; }
	# and an end that was none is not taken for one
	spec '.process.args=["sleep","0"]'
	rt create -b "$B" c1 >"$T/out" 2>&1 </dev/null
	"$RUNTIME" --root "$ROOT" events --interval 60s c1 >"$T/events" 2>&1 3>&- &
	events=$!
	eventually sh -c 'ls -l "/proc/$0/fd" 2>/dev/null | grep -q kmsg' "$events"
	kill -STOP "$events"
	rt start c1
	eventually is stopped
	rt delete c1
	kill -CONT "$events"
	wait "$events"
	[ ! -s "$T/events" ]
}

@test "events of what does not run, and of an interval that is none, are refused" {
	run --separate-stderr rt events nobody
	[ "$status" -eq 1 ]
	start_c1
	eventually is stopped
	run --separate-stderr rt events c1
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"not running"* ]]
	run --separate-stderr rt events --interval 0s c1
	[ "$status" -eq 1 ]
	[[ "$stderr" == *interval* ]]
}
