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
	# whatever the test was about: nothing is left, and nothing of the host's was changed
	leak_check && same "$(secret)" "$SECRET_IS" "the host's directory"
}

secret() { stat -c '%n %F %a %u %g %s %Y' "$SECRET" "$SECRET"/* && cat "$SECRET"/*; }
evil() { in_node "$BUILD/src/prog/caisson/caisson" -a "$SOCKET" import "$EVIL/$1" "evil.test/$1:latest"; }
of() { echo "evil.test/$1:latest"; }
inside() { cri exec -s "$1" sh -c "$2"; }

as_other() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }

# connects WHO… SOCKET: whatever is answered. It must be a way for root to be none for others.
connects() {
	local status=0
	"${@:1:$#-1}" curl -s -o /dev/null -m 0.3 --unix-socket "${!#}" http://x/ || status=$?
	[ $status -ne 7 ]
}

# The most that the daemon had in memory since then, in kB: what was freed at once counts as well.
memory_mark() {
	echo 5 >"/proc/$(daemon_pid)/clear_refs"
	MEMORY=$(memory_peak)
}
memory_peak() { status_of "$(daemon_pid)" VmHWM | cut -d' ' -f1; }
memory_grew_less() { # kB [WHAT]
	local peak
	peak=$(memory_peak)
	[ $((peak - MEMORY)) -lt "$1" ] || { echo "${2:-it} grew from $MEMORY to $peak kB"; return 1; }
}

user_of() { status_of "$(pid_of "$1")" "${2:-Uid}" | awk '{ print $1 }'; }

@test "CVE-2020-15257: no socket of ours can be reached from the node's network namespace but by its path" {
	pod=$(run_pod host '.linux.security_context.namespace_options.network = 2')
	ctr=$(run_container "$pod" "$(of plain)")
	sockets=$(inside "$ctr" 'cat /proc/net/unix')
	# nobody else lives in the network of this node, so none may have a name without a path
	same "$(awk '$8 ~ /^@/' <<<"$sockets")" "" "abstract sockets"
	# and those with a path are not for everybody: the daemon's two and the shim's
	mapfile -t paths < <(awk '$8 ~ "^/" { print $8 }' <<<"$sockets" | sort -u)
	[ ${#paths[@]} -ge 3 ]
	has "${paths[*]}" "$SOCKET"
	has "${paths[*]}" "$pod"
	for path in "${paths[@]}"; do
		connects env "$path"
		fails connects as_other "$path"
	done
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
	for name in dots hard-out hard-through whiteout-dots; do
		fails evil $name
	done
	for name in through-link through-link-up through-two-links through-earlier-link absolute hard-chmod chmod-link \
		chown-link xattr-link fifo-link whiteout-out; do
		evil $name >/dev/null
		same "$(secret)" "$SECRET_IS" "the host's directory after $name"
	done
	same "$(find "$SECRET" -exec getfattr -h -d -m trusted.planted {} +)" "" "attributes of the host's"
	pod=$(run_pod unpacked)
	for name in through-link through-link-up through-two-links absolute whiteout-out; do
		ctr=$(run_container "$pod" "$(of $name)" ".metadata.name = \"$name\"")
		# what was planted is in the container, where it would be if the image's root were the host's
		[ $name = whiteout-out ] || same "$(inside "$ctr" "cat $SECRET/planted")" planted $name
		lacks "$(inside "$ctr" 'cat /h /x/* /s/* 2>/dev/null; true')" "the host's"
	done
}

@test "CVE-2021-41103, CVE-2024-25621: what is under the daemon's directories is not for other users" {
	evil suid >/dev/null
	ctr=$(run_container "$(run_pod perm)" "$(of suid)")
	pid=$(pid_of "$ctr")
	for d in "$ROOT" "$STATE"; do
		fails as_other ls "$d"
		# by the names that root sees: they may be known to who cannot list them, as those of mounts are
		found=$(find "$d" -mindepth 1 ! -type l -print0 |
			as_other xargs -0 sh -c 'for f; do [ ! -r "$f" ] && [ ! -w "$f" ] || echo "$f"; done' sh)
		same "$(grep -vE "^$STATE/pause(/|\$)" <<<"$found" || true)" "" "what another user reaches below $d"
	done
	# a set-user-ID program of an image is not to be reached by users of the node
	suid=$(find "$ROOT" -name suid -perm -4000)
	[ -n "$suid" ]
	fails as_other "$suid"
	lacks "$(cat /proc/self/mountinfo)" " $STATE/pods/$(cri inspect "$ctr" | jq -r .info.sandboxID)/$ctr/rootfs "
	fails connects as_other "$SOCKET"
	fails as_other ls "/proc/$pid/root/"
}

@test "CVE-2022-23648: volumes of an image are not filled from the host" {
	evil volume >/dev/null
	pod=$(run_pod volume)
	ctr=$(run_container "$pod" "$(of volume)")
	lacks "$(inside "$ctr" 'cat /vol/* /deep/* /deep/sub/* 2>/dev/null; ls -laR /vol/ /deep/ /; cat /proc/mounts; true')" "the host's"
	lacks "$(mounts_of "$(pid_of "$ctr")")" "$SECRET"
	fails inside "$ctr" "echo changed >/vol/keep"
	fails inside "$ctr" "echo changed >/deep/sub/keep"
	# nor is an image that is mounted as a volume
	for path in vol deep two vol/.. ../bin /bin; do
		fails create_container "$pod" "$(of plain)" ".metadata.name = \"at\" | .mounts = [{container_path: \"/v\", readonly: true,
			image: {image: \"$(of volume)\"}, image_sub_path: \"$path\"}]"
		has "$output" "image_sub_path $path: "
	done
	ctr=$(run_container "$pod" "$(of plain)" ".metadata.name = \"whole\" | .mounts = [{container_path: \"/v\", readonly: true,
		image: {image: \"$(of volume)\"}}]")
	lacks "$(inside "$ctr" 'cat /v/vol/* /v/deep/* /v/two/* 2>/dev/null; true')" "the host's"
}

@test "CVE-2024-5154, CVE-2019-18837: files of /etc that are links to the host's" {
	for name in etc-links etc-is-link; do
		evil $name >/dev/null
		ctr=$(run_container "$(run_pod $name)" "$(of $name)")
		# the pod's file is where the link leads in the image
		has "$(inside "$ctr" 'cat /etc/hosts')" localhost
		inside "$ctr" 'for f in resolv.conf hosts hostname mtab; do echo changed >/etc/$f; cat /etc/$f; done' >/dev/null 2>&1 || true
		lacks "$(inside "$ctr" 'cat /etc/hosts /etc/resolv.conf' 2>/dev/null)" "the host's"
	done
	[ ! -e "$SECRET/new" ]
}

@test "CVE-2022-31030, CVE-2022-1708: output of an exec without end does not fill the daemon's memory" {
	ctr=$(run_container "$(run_pod output)" "$(of plain)")
	memory_mark
	run cri exec -s --timeout 2 "$ctr" yes "a line that is quite long, so that it fills memory sooner"
	[ "$status" -ne 0 ]
	[ ${#output} -lt $((40 << 20)) ]
	# 16 MiB are kept and answered, in a few copies
	memory_grew_less $((100 << 10))
	# one that ends has its answer: what fits, and the code
	memory_mark
	[ "$(cri exec -s "$ctr" sh -c 'yes "a line of output" | head -c 209715200; yes "a line of complaints" | head -c 209715200 >&2; exit 0' 2>&1 | wc -c)" -lt $((17 << 20)) ]
	memory_grew_less $((100 << 10))
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
		memory_mark
		fails in_node "$BUILD/src/prog/caisson/caisson" -a "$SOCKET" import "$WORK/large" evil.test/large:latest
		memory_grew_less $((32 << 10)) $file
	done
	rm -rf "$WORK/large"
	memory_mark
	fails evil config-huge
	memory_grew_less $((32 << 10)) "a configuration"
}

@test "CVE-2023-25173, CVE-2022-2995: the groups of a user are those it should have, all of them" {
	evil user-named >/dev/null
	pod=$(run_pod groups)
	groups_are() { # CONTAINER GROUPS; those of an exec, too
		same "$(status_of "$(pid_of "$1")" Groups | xargs)" "$2" groups
		same "$(inside "$1" 'grep Groups: /proc/self/status' | cut -f2 | xargs)" "$2" "groups of an exec"
	}
	ctr=$(run_container "$pod" "$(of user-named)" '.metadata.name = "a"')
	groups_are "$ctr" "1002 2000"
	ctr=$(run_container "$pod" "$(of plain)" '.metadata.name = "b" | .linux.security_context += {run_as_user: {value: 1002}, supplemental_groups: [77]}')
	groups_are "$ctr" "77 1002 2000"
	ctr=$(run_container "$pod" "$(of plain)" '.metadata.name = "c" | .linux.security_context += {run_as_user: {value: 4711}, run_as_group: {value: 88}, supplemental_groups: [77]}')
	groups_are "$ctr" "77 88"
	same "$(user_of "$ctr" Gid)" 88 group
}

@test "CVE-2024-40635: a user or group number that is too large is refused, not root" {
	pod=$(run_pod user)
	for name in user-31 user-32 user-64 user-minus user-space user-plus user-hex user-float group-31 group-32 group-minus; do
		evil $name >/dev/null
		fails create_container "$pod" "$(of $name)" ".metadata.name = \"$name\""
	done
	evil user-long >/dev/null
	ctr=$(run_container "$pod" "$(of user-long)" '.metadata.name = "long"')
	same "$(user_of "$ctr")" 1 user
	for id in 2147483648 4294967295 4294967296 4294967297 9007199254740992 -1; do
		for field in run_as_user.value=$id run_as_group.value=$id supplemental_groups=[$id]; do
			fails create_container "$pod" "$(of plain)" ".metadata.name = \"id\" | .linux.security_context.run_as_user.value = 1 |
				.linux.security_context.${field/=/ = }"
			has "$output" "$id is no "
		done
	done
}

@test "CVE-2016-3697: a number is a number, whatever the image's passwd calls root" {
	evil user-number-name >/dev/null
	pod=$(run_pod number)
	ctr=$(run_container "$pod" "$(of user-number-name)")
	same "$(user_of "$ctr") $(user_of "$ctr" Gid)" "4242 4343" "user and group"
	ctr=$(run_container "$pod" "$(of user-number-name)" '.metadata.name = "asked" | .linux.security_context.run_as_user.value = 4242')
	same "$(user_of "$ctr")" 4242 "user"
}

@test "CVE-2025-4437: a huge passwd file, or one that never ends, costs an error" {
	pod=$(run_pod passwd)
	for name in passwd-huge passwd-fifo passwd-zero group-huge; do
		evil $name >/dev/null
		memory_mark
		began=$SECONDS
		# a user that is asked for by number is that one, whatever the file
		ctr=$(create_container "$pod" "$(of $name)" ".metadata.name = \"$name\" | .linux.security_context.run_as_user.value = 1999999")
		has "$(cri inspect "$ctr" | jq -c .status.user.linux)" '"uid":"1999999"'
		[ $name = group-huge ] || fails create_container "$pod" "$(of $name)" ".metadata.name = \"by-name-$name\""
		[ $((SECONDS - began)) -lt 10 ]
		memory_grew_less $((20 << 10)) $name
	done
}

@test "CVE-2022-23471, CVE-2025-64329: execs and attaches that end badly leave nothing in the daemon" {
	ctr=$(run_container "$(run_pod attach)" "$(of plain)" '.stdin = true')
	shim=$(awk '/^PPid/ { print $2 }' "/proc/$(pid_of "$ctr")/status")
	held() { ls "/proc/$1/fd" | wc -l; }
	threads() { ls "/proc/$(daemon_pid)/task" | wc -l; }
	served() { [ "$(held "$shim")" -gt "$shim_before" ]; }
	settled() { [ "$(held "$(daemon_pid)")" -le "$1" ] && [ "$(threads)" -le "$2" ] && [ "$(held "$shim")" -le "$3" ]; }
	# killed in the middle: when the container's side of it is there
	ends_badly() { # ARGUMENTS of crictl…
		nsenter --net="$NODE" "$CRICTL" -c "$WORK/crictl.yaml" "$@" <&8 >/dev/null 2>&1 3>&- 8>&- &
		eventually 10 served
		kill -KILL $!
		wait $! || true
		eventually 10 settled $((before + 2)) $((before_threads + 4)) "$shim_before"
	}
	mkfifo "$WORK/no-input"
	exec 8<>"$WORK/no-input"
	cri version >/dev/null
	before=$(held "$(daemon_pid)") before_threads=$(threads) shim_before=$(held "$shim")
	# more than a stream lets attach at once; the container says nothing meanwhile
	for _ in $(seq 10); do
		ends_badly attach -i "$ctr"
	done
	for _ in $(seq 3); do
		ends_badly exec -i "$ctr" cat
		fails cri exec -it "$ctr" /no/such/program </dev/null
	done
	exec 8>&-
	eventually 15 settled $((before + 2)) $((before_threads + 4)) "$shim_before"
}

@test "CVE-2022-0811: a sysctl's value is one value" {
	pattern=$(cat /proc/sys/kernel/core_pattern)
	fails run_pod sysctl '.linux.sysctls = {"kernel.shm_rmid_forced": "1+kernel.core_pattern=|/evil"}'
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
	refused() { # LOG-PATH
		fails run_container "$pod" "$(of plain)" ".metadata.name = \"$((++n))\" | .log_path = \"$1\"" sh -c 'echo changed'
		has "$output" "log"
	}
	n=0 dir=$WORK/logs/logs
	for path in ../../secret/keep /etc/passwd a/../../../secret/keep a//../../../secret/keep / . .. ./ a/; do
		refused "$path"
	done
	# links that a container made which has the directory as a volume
	ln -s "$SECRET/keep" "$dir/file.log"
	ln -s "$SECRET/new" "$dir/none.log"
	ln -s "$SECRET" "$dir/way"
	ln -s way "$dir/two"
	ln -s ../../secret "$dir/up"
	for path in file.log none.log way/keep way/new way/new/0.log two/keep up/keep ./way/./keep; do
		refused "$path"
	done
	# and names that are odd but lead nowhere
	for path in b/c/0.log ./d//0.log; do
		ctr=$(run_container "$pod" "$(of plain)" ".metadata.name = \"${path//[^a-z]/}\" | .log_path = \"$path\"" sh -c 'echo fine')
		wait_exit "$ctr"
		has "$(cat "$dir/$path")" fine
	done
	rm "$dir"/*.log "$dir"/{way,two,up}
	same "$(ls "$dir")" "$(printf 'b\nd')" "what is in the log directory"
}

@test "CVE-2024-3154: annotations of a pod give no properties to systemd" {
	pod=$(run_pod systemd '.annotations["org.systemd.property.ExecStartPre"] = "[[\"/bin/sh\"]]" | .annotations["run.oci.handler"] = "krun"')
	ctr=$(run_container "$pod" "$(of plain)" '.annotations["org.systemd.property.ExecStartPre"] = "x" | .annotations["run.oci.hooks.stderr"] = "/x"')
	mapfile -t configs < <(find "$STATE" -name config.json)
	same ${#configs[@]} 2 "configurations of pause and container"
	for config in "${configs[@]}"; do
		lacks "$(jq -r '.annotations // {} | keys[]' "$config")" org.systemd.property
		lacks "$(jq -r '.annotations // {} | keys[]' "$config")" run.oci.
	done
}

@test "CVE-2019-14891: what watches a container is not in the cgroup that its memory is counted in" {
	ctr=$(run_container "$(run_pod memory)" "$(of plain)" '.linux.resources.memory_limit_in_bytes = 33554432')
	pid=$(pid_of "$ctr")
	shim=$(awk '/^PPid/ { print $2 }' "/proc/$pid/status")
	same "$(cat "/proc/$shim/comm")" caisson-shim "the parent"
	# neither the container's nor the pod's, whose memory is limited as a whole
	lacks "$(cgroup_of "$shim" memory)" "$TAG"
	has "$(cgroup_of "$pid" memory)" "$TAG"
}
