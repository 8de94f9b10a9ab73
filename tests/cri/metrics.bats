# Stats and metrics: complete, and what the kernel's own files say.

load daemon.bash
load rpc.bash

setup_file() {
	command -v protoc >/dev/null || skip "protoc is not installed"
	daemon_prepare
	registry_start
	export metrics_port
	metrics_port=$((20000 + RANDOM % 20000))
	printf 'metrics: {port: %s}\n' "$metrics_port" >>"$dir/config.yaml"
	daemon_start
	crictl pull "$image" >/dev/null
	export pod pod_json id
	pod_json=$(pod_config metrics)
	pod=$(crictl runp "$pod_json")
	# busy for a while, with files, memory, descriptors and traffic of its own
	id=$(run_container "$pod" "$pod_json" busy \
		'dd if=/dev/zero of=/written bs=1M count=20 2>/dev/null; sync
		 i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done; exec sleep 1000' \
		'{"linux": {"resources": {"memory_limit_in_bytes": 268435456, "cpu_quota": 90000, "cpu_period": 100000, "cpu_shares": 512}}}')
	for _ in $(seq 900); do
		[[ $(tr '\0' ' ' <"/proc/$(pid_of "$id")/cmdline") == "sleep 1000 " ]] && break
		sleep 0.1
	done
	sleep 2.5 # the kernel sums up its counters of memory every two seconds
}

teardown_file() { daemon_end; }

teardown() {
	[ -n "$BATS_TEST_COMPLETED" ] || tail -n 15 "$dir/log"
}

pid_of() { crictl inspect "$1" | jq -r .info.pid; }

# kernel CONTROLLER V1-FILE V2-FILE [KEY]: one number from the container's cgroup
kernel() {
	local line pid=$container_pid file
	line=$(grep -E "^[0-9]+:([^:]*,)?$1(,[^:]*)?:" "/proc/$pid/cgroup" | head -n 1)
	if [ -n "$line" ]; then
		file=/sys/fs/cgroup/$1${line#*:*:}/$2
	else
		line=$(grep '^0::' "/proc/$pid/cgroup")
		file=/sys/fs/cgroup${line#0::}/$3
	fi
	if [ -n "${4:-}" ]; then
		awk -v key="$4" '$1 == key { print $2 }' "$file"
	else
		cat "$file"
	fi
}

near() { # A B: within 1 %
	awk -v a="$1" -v b="$2" 'BEGIN { d = a - b; if (d < 0) d = -d; exit !(a != "" && b != "" && d <= 0.01 * (b > 1 ? b : 1)) }' ||
		{ echo "$1 is not $2"; return 1; }
}

# The names that a kubelet and critest expect.
names='container_blkio_device_usage_total container_cpu_cfs_periods_total container_cpu_cfs_throttled_periods_total
	container_cpu_cfs_throttled_seconds_total container_cpu_system_seconds_total container_cpu_usage_seconds_total
	container_cpu_user_seconds_total container_file_descriptors container_fs_inodes_free container_fs_inodes_total
	container_fs_limit_bytes container_fs_reads_bytes_total container_fs_reads_total container_fs_usage_bytes
	container_fs_writes_bytes_total container_fs_writes_total container_hugetlb_max_usage_bytes
	container_hugetlb_usage_bytes container_last_seen container_memory_cache container_memory_failcnt
	container_memory_failures_total container_memory_kernel_usage container_memory_mapped_file
	container_memory_max_usage_bytes container_memory_rss container_memory_swap container_memory_usage_bytes
	container_memory_working_set_bytes container_network_receive_bytes_total container_network_receive_errors_total
	container_network_receive_packets_dropped_total container_network_receive_packets_total
	container_network_transmit_bytes_total container_network_transmit_errors_total
	container_network_transmit_packets_dropped_total container_network_transmit_packets_total
	container_oom_events_total container_pressure_cpu_stalled_seconds_total container_pressure_cpu_waiting_seconds_total
	container_pressure_io_stalled_seconds_total container_pressure_io_waiting_seconds_total
	container_pressure_memory_stalled_seconds_total container_pressure_memory_waiting_seconds_total container_processes
	container_sockets container_spec_cpu_period container_spec_cpu_quota container_spec_cpu_shares
	container_spec_memory_limit_bytes container_spec_memory_reservation_limit_bytes container_spec_memory_swap_limit_bytes
	container_start_time_seconds container_threads container_threads_max container_ulimits_soft'

# What this kernel does not measure: pressure outside cgroup v2, block devices that count nothing.
optional='_pressure_|_hugetlb_|_blkio_|_fs_(reads|writes)_'

@test "every metric is described, and has a value with as many labels as described" {
	crictl metricdescs >"$dir/descs.json"
	crictl metricsp >"$dir/metrics.json"
	for name in $names; do
		jq -e --arg n "$name" '[.. | objects | select(.name? == $n and .help?)] | length == 1' "$dir/descs.json" >/dev/null ||
			{ echo "$name is not described"; false; }
		[[ $name =~ $optional ]] && continue
		jq -e --arg n "$name" --slurpfile d "$dir/descs.json" '
			([$d[0] | .. | objects | select(.name? == $n and .help?)][0].labelKeys | length) as $keys |
			[.. | objects | select(.name? == $n and .labelValues?)] | length > 0 and all(.labelValues | length == $keys)' \
			"$dir/metrics.json" >/dev/null || { echo "$name has no value, or other labels"; false; }
	done
}

@test "stats and metrics are within 1 % of the kernel's own files" {
	container_pid=$(pid_of "$id")
	rpc ContainerStats "container_id: \"$id\"" >"$dir/stats"
	stat() { sed -n "/$1/,/}/s/.*value: //p" "$dir/stats" | head -n 1; }
	if [ -e /sys/fs/cgroup/cpuacct ]; then
		near "$(stat usage_core_nano_seconds)" "$(kernel cpuacct cpuacct.usage x)"
	else
		near "$(stat usage_core_nano_seconds)" "$(($(kernel cpu x cpu.stat usage_usec) * 1000))"
	fi
	near "$(stat usage_bytes)" "$(kernel memory memory.usage_in_bytes memory.current)"
	near "$(stat rss_bytes)" "$(kernel memory memory.stat memory.stat "$([ -e /sys/fs/cgroup/memory ] && echo total_rss || echo anon)")"
	# as the kubelet computes it
	near "$(stat working_set_bytes)" "$(($(kernel memory memory.usage_in_bytes memory.current) -
		$(kernel memory memory.stat memory.stat "$([ -e /sys/fs/cgroup/memory ] && echo total_inactive_file || echo inactive_file)")))"
	near "$(stat available_bytes)" "$((268435456 - $(stat working_set_bytes)))"
	# 20 MiB were written
	[ "$(stat used_bytes)" -ge 20971520 ]
	[ "$(stat used_bytes)" -le 21500000 ]
	# neighbours talk meanwhile: the figure lies between those of before and after
	pause=$(crictl inspectp "$pod" | jq -r .info.pid)
	before=$(awk '$1 == "eth0:" { print $2 }' "/proc/$pause/net/dev")
	rpc PodSandboxStats "pod_sandbox_id: \"$pod\"" >"$dir/stats"
	after=$(awk '$1 == "eth0:" { print $2 }' "/proc/$pause/net/dev")
	[ "$(stat rx_bytes)" -ge "$before" ]
	[ "$(stat rx_bytes)" -le "$after" ]
	near "$(stat tx_bytes)" "$(awk '$1 == "eth0:" { print $10 }' "/proc/$pause/net/dev")"
	near "$(stat process_count)" 2
	in_net curl -sf "http://127.0.0.1:$metrics_port/metrics" >"$dir/text"
	value() { sed -n "s/^$1{container=\"busy\",.*} //p" "$dir/text" | head -n 1; }
	near "$(value container_memory_usage_bytes)" "$(kernel memory memory.usage_in_bytes memory.current)"
	near "$(value container_spec_memory_limit_bytes)" 268435456
	near "$(value container_spec_cpu_quota)" 90000
	near "$(value container_spec_cpu_shares)" 512
	near "$(value container_processes)" 1
	near "$(value container_file_descriptors)" "$(ls "/proc/$container_pid/fd" | wc -l)"
	near "$(value container_ulimits_soft)" "$(awk '/^Max open files/ { print $4 }' "/proc/$container_pid/limits")"
	near "$(value container_threads)" 1
}

@test "every figure of a container's stats is the kernel's" {
	local v1 unified value key
	container_pid=$(pid_of "$id")
	[ -e /sys/fs/cgroup/memory ] && v1=1 || v1=
	rpc ContainerStats "container_id: \"$id\"" >"$dir/stats"
	stat() { sed -n "/^    $1 {/,/^    }/s/.*value: //p" "$dir/stats" | head -n 1; }
	# what the kernel has counted is never 0 and left out, and what it has not is not there as 0
	for value in cpu memory writable_layer; do grep -q "^  $value {" "$dir/stats" || { echo "no $value"; cat "$dir/stats"; false; }; done
	near "$(stat page_faults)" "$(kernel memory memory.stat memory.stat "${v1:+total_}pgfault")"
	key=$(kernel memory memory.stat memory.stat "${v1:+total_}pgmajfault")
	[ "$(stat major_page_faults)" = "${key/#0/}" ] || [ "$(stat major_page_faults)" = "$key" ] || { stat major_page_faults; false; }
	if [ -n "$v1" ] && [ -e /sys/fs/cgroup/memory/memory.memsw.usage_in_bytes ]; then
		swap=$(($(kernel memory memory.memsw.usage_in_bytes x) - $(kernel memory memory.usage_in_bytes x)))
		free=$(($(kernel memory memory.memsw.limit_in_bytes x) - $(kernel memory memory.limit_in_bytes x) - swap))
	elif [ -z "$v1" ]; then
		swap=$(kernel memory x memory.swap.current)
		free=$(($(kernel memory x memory.swap.max) - swap))
	fi
	if [ -n "${swap:-}" ]; then
		near "$(sed -n '/^    swap_usage_bytes {/,/}/s/.*value: //p' "$dir/stats" | grep . || echo 0)" "$swap"
		near "$(sed -n '/^    swap_available_bytes {/,/}/s/.*value: //p' "$dir/stats" | grep . || echo 0)" "$free"
	else
		! grep -q '^  swap {' "$dir/stats"
	fi
	# pressure: the container sleeps, so its totals stand still
	unified=$(awk '$9 == "cgroup2" || $(NF - 2) == "cgroup2" { print $5; exit }' /proc/self/mountinfo)
	unified+=$(sed -n 's/^0:://p' "/proc/$container_pid/cgroup")
	for value in cpu memory io; do
		if [ -e "$unified/$value.pressure" ] && cat "$unified/$value.pressure" >/dev/null 2>&1; then
			for key in Some Full; do
				ours=$(sed -n "/^  $value {/,/^  }/p" "$dir/stats" | sed -n "/^      $key {/,/^      }/s/.* Total: //p")
				near "${ours:-0}" "$(($(sed -n "s/^${key,} .*total=//p" "$unified/$value.pressure") * 1000))"
			done
		else
			! sed -n "/^  $value {/,/^  }/p" "$dir/stats" | grep -q 'psi {'
		fi
	done
	upper=$dir/root/snapshots/$id/upper
	near "$(stat used_bytes)" "$(du -s -B1 "$upper" | cut -f1)"
	near "$(stat inodes_used)" "$(find "$upper" | wc -l)"
}

@test "the Prometheus endpoint: text that promtool would take, one family after another" {
	in_net curl -sf -D "$dir/head" "http://127.0.0.1:$metrics_port/metrics" >"$dir/text"
	grep -qi '^content-type: text/plain; version=0.0.4' "$dir/head"
	# each family has one HELP and one TYPE line, and its samples stand together
	[ "$(grep -c '^# TYPE' "$dir/text")" -eq "$(grep '^# TYPE' "$dir/text" | sort -u | wc -l)" ]
	awk '/^# TYPE/ { family = $3; next } /^#/ { next } { sub(/\{.*/, "", $1); if ($1 != family) { print $0; bad = 1 } } END { exit bad }' "$dir/text"
	grep -qE '^container_cpu_usage_seconds_total\{container="busy",id="[^"]*'"$id"'",image="[^"]*busybox:1",name="'"$id"'",namespace="default",pod="metrics"\} [0-9]+\.[0-9]{9}$' "$dir/text"
	grep -qE '^container_network_receive_bytes_total\{container="",.*pod="metrics",interface="eth0"\} [0-9]+$' "$dir/text"
	[ "$(in_net curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$metrics_port/other")" = 404 ]
	[ "$(in_net curl -s -o /dev/null -w '%{http_code}' -X POST "http://127.0.0.1:$metrics_port/metrics")" = 405 ]
	# nonsense, and clients that say nothing, hold up nobody for long
	in_net python3 - "$metrics_port" <<-'PY'
		import socket, sys
		port = int(sys.argv[1])
		idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
		s = socket.create_connection(("127.0.0.1", port))
		s.sendall(b"\x00\xff nonsense\r\n\r\n")
		s.settimeout(5)
		assert s.recv(100).startswith(b"HTTP/1.1 400"), "nonsense"
		s = socket.create_connection(("127.0.0.1", port))
		s.sendall(b"GET /metrics HTTP/1.1\r\nX: " + b"a" * 20000 + b"\r\n\r\n")
		s.settimeout(5)
		assert s.recv(100).startswith(b"HTTP/1.1 431"), "too long"
		s = socket.create_connection(("127.0.0.1", port))
		s.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
		s.close()
	PY
	in_net curl -sf -o /dev/null "http://127.0.0.1:$metrics_port/metrics"
}

@test "an address that others can reach is refused" {
	sed "s/^metrics:.*/metrics: {address: 0.0.0.0, port: $metrics_port}/; s|$dir/state|$dir/other-state|; s|$socket|$dir/o.sock|; s|$dir/root|$dir/other-root|" \
		"$dir/config.yaml" >"$dir/open.yaml"
	run timeout 10 "$build/src/prog/caissond/caissond" --config "$dir/open.yaml"
	[ "$status" -ne 0 ]
	[[ $output == *"metrics.address 0.0.0.0: not a loopback address"* ]] || { echo "$output"; false; }
}

@test "metrics of pods, streamed" {
	[ "$(rpc_stream StreamPodSandboxMetrics | grep -c '^pod_sandbox_metrics')" -eq 1 ]
}

@test "what has ended has no metrics, and is no error" {
	crictl stop -t 0 "$id"
	crictl metricsp >"$dir/metrics.json"
	! grep -q "$id" "$dir/metrics.json" || false
	grep -q "$pod" "$dir/metrics.json"
	crictl stopp "$pod"
	crictl metricsp >/dev/null
	crictl stats >/dev/null
	crictl statsp >/dev/null
}

@test "nothing is left" {
	crictl rmp -f "$pod"
	left=$(leftovers)
	[ -z "$left" ] || { echo "$left"; false; }
}
