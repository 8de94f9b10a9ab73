# One test for each published escape, leak or exhaustion of containerd and CRI-O, from its public
# description. docs/security.md is the table.

load ../lib/load

setup_file() {
	work_start
	export SECRET=$WORK/secret EVIL=$WORK/evil
	mkdir -p "$SECRET"
	echo "the host's" >"$SECRET/read"
	echo "the host's" >"$SECRET/keep"
	chmod 711 "$SECRET"
	"$BATS_TEST_DIRNAME/make-evil" "$EVIL" "$SECRET"
	node_start
	daemon_start
	evil plain
	SECRET_IS=$(secret)
	export SECRET_IS
}
teardown_file() { suite_stop; }
setup() { leak_mark; }
teardown() {
	pods_clear
	leak_check
	# whatever the test was about: nothing of the host's was changed
	same "$(secret)" "$SECRET_IS" "the host's directory"
}

secret() { stat -c '%n %a %u %s' "$SECRET" "$SECRET"/* && cat "$SECRET"/*; }
evil() { in_node "$BUILD/src/prog/caisson/caisson" -a "$SOCKET" import "$EVIL/$1" "evil.test/$1:latest"; }
of() { echo "evil.test/$1:latest"; }
inside() { cri exec -s "$1" sh -c "$2"; }

# An image that must not unpack, or if so then harmlessly: refused says which
refused() {
	fails evil "$1"
	cri images | lacks "$(cat)" "evil.test/$1"
}

daemon_memory() { awk '/^Rss/ { print $2 }' "/proc/$(daemon_pid)/smaps_rollup"; }

@test "CVE-2020-15257: no socket of ours can be reached from the node's network namespace but by its path" {
	pod=$(run_pod host '.linux.security_context.namespace_options.network = 2')
	ctr=$(run_container "$pod" "$(of plain)")
	sockets=$(inside "$ctr" 'cat /proc/net/unix')
	lacks "$(echo "$sockets" | awk '$8 ~ /^@/')" "$TAG"
	lacks "$(echo "$sockets" | awk '$8 ~ /^@/')" caisson
	# and those with a path are not for everybody
	while read -r path; do
		[ "$(stat -c %u "$path")" = 0 ]
		fails setpriv --reuid=65534 --regid=65534 --clear-groups nc -w 1 -U "$path" </dev/null
	done < <(echo "$sockets" | awk -v w="$WORK/" 'index($8, w) == 1 { print $8 }')
}

@test "CVE-2021-21334: the environment of one container is not the other's" {
	pod=$(run_pod one)
	a=$(run_container "$pod" "$(of plain)" '.metadata.name = "a" | .envs = [{key: "PASSWORD", value: "s3cret"}]')
	b=$(run_container "$pod" "$(of plain)" '.metadata.name = "b" | .envs = [{key: "OTHER", value: "1"}]')
	has "$(inside "$a" env)" PASSWORD=s3cret
	lacks "$(inside "$b" env)" PASSWORD
	lacks "$(cri inspecti "$(of plain)")" PASSWORD
}

@test "CVE-2021-32760, CVE-2025-47290: a layer's links lead nowhere out of it, nor do its names and whiteouts" {
	for name in through-link through-earlier-link dots absolute hard-out hard-chmod chmod-link whiteout-out whiteout-dots; do
		evil $name >/dev/null 2>&1 || continue
		ctr=$(run_container "$(run_pod $name)" "$(of $name)")
		lacks "$(inside "$ctr" 'cat /h /x/* /s/* 2>/dev/null')" "the host's"
	done
	same "$(secret)" "$SECRET_IS" "the host's directory"
}

@test "CVE-2021-41103, CVE-2024-25621: what is under the daemon's directories is not for other users" {
	ctr=$(run_container "$(run_pod perm)" "$(of plain)")
	pid=$(pid_of "$ctr")
	as_other() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
	for d in "$ROOT" "$STATE"; do
		fails as_other ls "$d"
		# a set-user-ID program of an image is not to be reached by users of the node
		found=$(as_other find "$d" -mindepth 2 2>/dev/null || true)
		same "$found" "" "what another user sees below $d"
	done
	fails as_other nc -w 1 -U "$SOCKET" </dev/null
	fails as_other ls "/proc/$pid/root/"
}

@test "CVE-2022-23648: volumes of an image are not filled from the host" {
	evil volume >/dev/null
	pod=$(run_pod volume)
	if ctr=$(run_container "$pod" "$(of volume)" 2>&1); then
		lacks "$(inside "$ctr" 'cat /vol/* /deep/* /deep/sub/* 2>/dev/null; ls -laR /vol/ /deep/')" "the host's"
		inside "$ctr" "echo changed >/vol/keep; echo changed >/deep/sub/keep" || true
	fi
}

@test "CVE-2024-5154, CVE-2019-18837: files of /etc that are links to the host's" {
	for name in etc-links etc-is-link; do
		evil $name >/dev/null
		if ctr=$(run_container "$(run_pod $name)" "$(of $name)" 2>&1); then
			inside "$ctr" 'for f in resolv.conf hosts hostname mtab; do echo changed >/etc/$f; cat /etc/$f; done' >/dev/null 2>&1 || true
			lacks "$(inside "$ctr" 'cat /etc/hosts /etc/resolv.conf' 2>/dev/null)" "the host's"
		fi
	done
	[ ! -e "$SECRET/new" ]
}

@test "CVE-2022-31030, CVE-2022-1708: output of an exec without end does not fill the daemon's memory" {
	ctr=$(run_container "$(run_pod output)" "$(of plain)")
	before=$(daemon_memory)
	run cri exec -s --timeout 5 "$ctr" yes "a line that is quite long, so that it fills memory sooner"
	[ ${#output} -lt $((40 << 20)) ]
	after=$(daemon_memory)
	# 16 MiB are kept and answered, in a few copies
	[ $((after - before)) -lt $((100 << 10)) ] || { echo "grew from $before to $after kB"; false; }
	# the pod's shim too
	eventually 10 eval '! pgrep -f "[y]es a line that is quite long"'
}

@test "CVE-2023-25153: an import whose documents are too large is refused, not read" {
	for file in index.json manifest; do
		rm -rf "$WORK/large"
		cp -r "$EVIL/plain" "$WORK/large"
		target=$WORK/large/index.json
		[ $file = index.json ] || target=$WORK/large/blobs/sha256/$(jq -r '.manifests[0].digest[7:]' "$WORK/large/index.json")
		{ head -c -1 "$target"; head -c $((200 << 20)) /dev/zero | tr '\0' ' '; echo '}'; } >"$WORK/large.new"
		mv "$WORK/large.new" "$target"
		before=$(daemon_memory)
		fails in_node "$BUILD/src/prog/caisson/caisson" -a "$SOCKET" import "$WORK/large" evil.test/large:latest
		after=$(daemon_memory)
		[ $((after - before)) -lt $((32 << 10)) ] || { echo "$file: grew from $before to $after kB"; false; }
	done
	rm -rf "$WORK/large"
}

@test "CVE-2023-25173, CVE-2022-2995: the groups of a user are those it should have, all of them" {
	evil user-named >/dev/null
	pod=$(run_pod groups)
	ctr=$(run_container "$pod" "$(of user-named)" '.metadata.name = "a"')
	same "$(status_of "$(pid_of "$ctr")" Groups | xargs)" 1002 "groups of the image's user"
	ctr=$(run_container "$pod" "$(of plain)" '.metadata.name = "b" | .linux.security_context += {run_as_user: {value: 1002}, supplemental_groups: [77]}')
	same "$(status_of "$(pid_of "$ctr")" Groups | xargs)" "77 1002" "groups of run_as_user"
}

@test "CVE-2024-40635: a user or group number that is too large is refused, not root" {
	pod=$(run_pod user)
	for name in user-32 user-31 user-minus group-32 user-long; do
		evil $name >/dev/null 2>&1 || continue
		if ctr=$(run_container "$pod" "$(of $name)" ".metadata.name = \"$name\"" 2>&1); then
			pid=$(pid_of "$ctr")
			[ "$(status_of "$pid" Uid | awk '{ print $1 }')" != 0 ]
			[ "$(status_of "$pid" Gid | awk '{ print $1 }')" != 0 ] || [ $name != group-32 ]
		fi
	done
	for user in 4294967296 -1 2147483648 9223372036854775807; do
		if ctr=$(run_container "$pod" "$(of plain)" ".metadata.name = \"u$user\" | .linux.security_context.run_as_user.value = $user" 2>&1); then
			[ "$(status_of "$(pid_of "$ctr")" Uid | awk '{ print $1 }')" = "$user" ]
		fi
	done
}

@test "CVE-2016-3697: a number is a number, whatever the image's passwd calls root" {
	evil user-number-name >/dev/null
	ctr=$(run_container "$(run_pod number)" "$(of user-number-name)")
	same "$(status_of "$(pid_of "$ctr")" Uid | awk '{ print $1 }')" 4242 "user"
}

@test "CVE-2025-4437: a huge passwd file, or one that never ends, costs an error" {
	pod=$(run_pod passwd)
	for name in passwd-huge passwd-fifo; do
		evil $name >/dev/null
		before=$(daemon_memory)
		began=$SECONDS
		fails run_container "$pod" "$(of $name)" ".metadata.name = \"$name\""
		[ $((SECONDS - began)) -lt 10 ]
		after=$(daemon_memory)
		[ $((after - before)) -lt $((16 << 10)) ] || { echo "$name: grew from $before to $after kB"; false; }
	done
}

@test "CVE-2022-23471, CVE-2025-64329: execs and attaches that end badly leave nothing in the daemon" {
	ctr=$(run_container "$(run_pod attach)" "$(of plain)" '.stdin = true | .tty = true')
	held() { ls "/proc/$(daemon_pid)/fd" | wc -l; }
	threads() { ls "/proc/$(daemon_pid)/task" | wc -l; }
	settled() { [ "$(held)" -le "$1" ] && [ "$(threads)" -le "$2" ]; }
	timeout 1 "$CRICTL" -c "$WORK/crictl.yaml" version >/dev/null 2>&1 || true
	before=$(held) before_threads=$(threads)
	for _ in $(seq 20); do
		in_node timeout -s KILL 0.1 "$CRICTL" -c "$WORK/crictl.yaml" exec -it "$ctr" sh </dev/null >/dev/null 2>&1 || true
		in_node timeout -s KILL 0.1 "$CRICTL" -c "$WORK/crictl.yaml" attach -it "$ctr" </dev/null >/dev/null 2>&1 || true
		fails cri exec -it "$ctr" /no/such/program </dev/null
	done
	eventually 15 settled $((before + 2)) $((before_threads + 4))
}

@test "CVE-2022-0811: a sysctl's value is one value" {
	pattern=$(cat /proc/sys/kernel/core_pattern)
	run run_pod sysctl '.linux.sysctls = {"kernel.shm_rmid_forced": "1+kernel.core_pattern=|/evil"}'
	same "$(cat /proc/sys/kernel/core_pattern)" "$pattern" core_pattern
	fails run_pod sysctl-newline '.linux.sysctls = {"kernel.shm_rmid_forced\nkernel.core_pattern": "|/evil"}'
	fails run_pod sysctl-path '.linux.sysctls = {"net/../kernel/core_pattern": "|/evil"}'
	fails run_pod sysctl-dots '.linux.sysctls = {"net.../kernel/core_pattern": "|/evil"}'
	same "$(cat /proc/sys/kernel/core_pattern)" "$pattern" core_pattern
}

@test "CVE-2022-0532: sysctls of a namespace that the pod shares with the node are refused" {
	before=$(cat /proc/sys/kernel/shm_rmid_forced)
	fails run_pod host-ipc '.linux.security_context.namespace_options.ipc = 2 | .linux.sysctls = {"kernel.shm_rmid_forced": "1"}'
	has "$output" kernel.shm_rmid_forced
	fails run_pod host-net '.linux.security_context.namespace_options.network = 2 | .linux.sysctls = {"net.ipv4.ip_forward": "1"}'
	has "$output" net.ipv4.ip_forward
	same "$(cat /proc/sys/kernel/shm_rmid_forced)" "$before" shm_rmid_forced
}

@test "CVE-2022-4318: a line break in HOME makes no user" {
	pod=$(run_pod home)
	if ctr=$(run_container "$pod" "$(of plain)" '.envs = [{key: "HOME", value: "/root\nevil::0:0::/:/bin/sh"}] | .working_dir = "/tmp\nevil::0:0::/:/bin/sh"' 2>&1); then
		lacks "$(inside "$ctr" 'cat /etc/passwd')" evil
	fi
	ctr=$(run_container "$pod" "$(of plain)" '.metadata.name = "b" | .envs = [{key: "HOME", value: "/root\nevil::0:0::/:/bin/sh"}] | .linux.security_context.run_as_user.value = 4711')
	lacks "$(inside "$ctr" 'cat /etc/passwd')" evil
}

@test "CVE-2025-0750: a log path stays in the pod's log directory" {
	pod=$(run_pod logs)
	for path in ../../secret/keep /etc/passwd a/../../../secret/keep; do
		if ctr=$(run_container "$pod" "$(of plain)" ".metadata.name = \"${path//[^a-z]/}\" | .log_path = \"$path\" | .command = [\"sh\", \"-c\", \"echo changed\"]" 2>&1); then
			wait_exit "$ctr"
		fi
	done
	ln -s "$SECRET/keep" "$WORK/logs/logs/link.log"
	if ctr=$(run_container "$pod" "$(of plain)" '.metadata.name = "link" | .log_path = "link.log" | .command = ["sh", "-c", "echo changed"]' 2>&1); then
		wait_exit "$ctr"
	fi
	rm -f "$WORK/logs/logs/link.log"
	lacks "$(cat /etc/passwd)" changed
}

@test "CVE-2024-3154: annotations of a pod give no properties to systemd" {
	pod=$(run_pod systemd '.annotations["org.systemd.property.ExecStartPre"] = "[[\"/bin/sh\"]]" | .annotations["run.oci.handler"] = "krun"')
	ctr=$(run_container "$pod" "$(of plain)" '.annotations["org.systemd.property.ExecStartPre"] = "x" | .annotations["run.oci.hooks.stderr"] = "/x"')
	for config in $(find "$STATE" -name config.json); do
		lacks "$(jq -r '.annotations // {} | keys[]' "$config")" org.systemd.property
		lacks "$(jq -r '.annotations // {} | keys[]' "$config")" run.oci.
	done
}

@test "CVE-2019-14891: what watches a container is not in the cgroup that its memory is counted in" {
	ctr=$(run_container "$(run_pod memory)" "$(of plain)" '.linux.resources.memory_limit_in_bytes = 33554432')
	pid=$(pid_of "$ctr")
	shim=$(awk '/^PPid/ { print $2 }' "/proc/$pid/status")
	[ "$(cgroup_of "$shim" memory)" != "$(cgroup_of "$pid" memory)" ]
	[[ $(cgroup_of "$shim" memory) != "$(cgroup_of "$pid" memory)"/* ]]
}
