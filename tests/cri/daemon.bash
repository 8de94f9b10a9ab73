# A caissond of a test file's own: its directories, network namespace, registry, cgroups.
#
#   setup_file()    { daemon_prepare; daemon_ready; }
#   teardown_file() { daemon_end; }
#
# Exported: $dir (everything is below it), $socket, $registry (host:port), $image (a name in
# it), $holder (a process whose network namespace is the daemon's).

build=${CAISSON_BUILD:-$BATS_TEST_DIRNAME/../../build}
repo=$(realpath "$BATS_TEST_DIRNAME/../..")

in_net() { nsenter --net="/proc/$holder/ns/net" "$@"; }

crictl() {
	timeout 60 crictl --config "$dir/crictl.yaml" "$@"
}

daemon_prepare() {
	local found
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	if ! type -P crictl >/dev/null; then
		found=$("$repo/tools/install-crictl") || skip "crictl is not installed"
		export PATH=$PATH:${found%/*}
	fi
	[ -x "$build/src/prog/caissond/caissond" ] || skip "caissond is not built"
	export dir socket registry image holder parent tag
	dir=$(mktemp -d /tmp/caisson-cri.XXXXXX)
	tag=${dir##*.}
	socket=$dir/c.sock
	parent=/caisson-test-$tag
	unshare --net sleep infinity 3>&- &
	holder=$!
	disown
	for _ in $(seq 100); do
		[ "$(readlink "/proc/$holder/ns/net")" != "$(readlink /proc/self/ns/net)" ] && break
		sleep 0.02
	done
	in_net ip link set lo up
	cat >"$dir/config.yaml" <<-CONFIG
		root: $dir/root
		state: $dir/state
		address: $socket
		log_level: debug
		cni:
		  conf_dir: $dir/net.d
		  default_bridge: ct$tag
		  default_subnet: 10.99.0.0/24
		images:
		  insecure_registries: ["127.0.0.1:5000"]
		pods:
		  cgroup_parent: $parent
		nri:
		  socket: $dir/nri.sock
		  plugin_dir: $dir/nri-plugins
		  config_dir: $dir/nri-conf
	CONFIG
	cat >"$dir/crictl.yaml" <<-CONFIG
		runtime-endpoint: unix://$socket
		image-endpoint: unix://$socket
		timeout: 30
	CONFIG
	mkdir "$dir/net.d" "$dir/logs"
}

# CRIU where there is one: in $criu, which is empty where there is none, and in the configuration
daemon_criu() {
	export criu
	criu=$("$repo/tools/install-criu" 2>"$dir/why") || criu=
	sed -i "s|^pods:|&\n  criu: ${criu:-/usr/sbin/criu}|" "$dir/config.yaml"
}

# what most files go on with: a daemon that has pulled $image from a registry beside it
daemon_ready() {
	registry_start
	daemon_start
	crictl pull "$image" >/dev/null
}

daemon_start() {
	nsenter --net="/proc/$holder/ns/net" "$build/src/prog/caissond/caissond" --config "$dir/config.yaml" >>"$dir/log" 2>&1 3>&- &
	echo $! >"$dir/pid"
	disown
	for _ in $(seq 250); do
		crictl version >/dev/null 2>&1 && return 0
		[ -d "/proc/$(cat "$dir/pid")" ] || break
		sleep 0.02
	done
	tail -n 20 "$dir/log" >&2
	return 1
}

daemon_pid() { cat "$dir/pid"; }

wait_gone() { # pid
	for _ in $(seq 500); do
		[ -d "/proc/$1" ] || return 0
		sleep 0.02
	done
	return 1
}

daemon_kill() { # signal
	kill -s "${1:-TERM}" "$(daemon_pid)"
	wait_gone "$(daemon_pid)"
}

# What the kernel has of us: mounts, cgroups, processes.
leftovers() {
	local pid
	grep -F "$dir/" /proc/self/mountinfo
	find /sys/fs/cgroup -maxdepth 4 -type d -path "*$parent/*" 2>/dev/null
	# one grep for all; the words are not in its own command line
	grep -alFf <(echo "$dir/state") /proc/[0-9]*/cmdline 2>/dev/null | cut -d/ -f3 | while read -r pid; do
		[ "$pid" = "$(daemon_pid)" ] || tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | sed "s/^/process $pid: /"
	done
	return 0
}

daemon_end() {
	local pod
	[ -n "${dir:-}" ] || return 0
	if [ -e "$dir/pid" ] && [ -d "/proc/$(daemon_pid)" ]; then
		for pod in $(crictl pods -q 2>/dev/null); do crictl rmp -f "$pod" >/dev/null 2>&1; done
		daemon_kill TERM || daemon_kill KILL
	fi
	[ -e "$dir/registry.pid" ] && kill "$(cat "$dir/registry.pid")" 2>/dev/null
	kill "$holder" 2>/dev/null
	find /sys/fs/cgroup -maxdepth 4 -depth -type d -path "*$parent*" -exec rmdir {} + 2>/dev/null
	# a build with sanitizers says here what it found
	! grep -E -A 20 'ERROR: [A-Za-z]*Sanitizer|runtime error:' "$dir/log" || return 1
	[ -n "${KEEP:-}" ] || rm -rf --one-file-system "$dir"
}

# A registry on the namespace's loopback with one small image: busybox that serves a page.
registry_start() {
	command -v docker-registry >/dev/null || skip "docker-registry is not installed"
	registry=127.0.0.1:5000
	image=$registry/test/busybox:1
	"$repo/tools/make-layout" "$dir/layout" "$image"
	cat >"$dir/registry.yaml" <<-CONFIG
		version: 0.1
		log: {level: error}
		storage: {filesystem: {rootdirectory: $dir/registry}}
		http: {addr: $registry}
	CONFIG
	nsenter --net="/proc/$holder/ns/net" docker-registry serve "$dir/registry.yaml" >"$dir/registry.log" 2>&1 3>&- &
	echo $! >"$dir/registry.pid"
	disown
	for _ in $(seq 200); do
		in_net curl -sf --max-time 2 -o /dev/null "http://$registry/v2/" && break
		sleep 0.05
	done
	in_net skopeo copy -q --dest-tls-verify=false "oci:$dir/layout:$image" "docker://$image"
}

# pod_config NAME [JSON]: a sandbox configuration file, JSON merged into it; prints its path
pod_config() {
	local extra=${2:-}
	[ -n "$extra" ] || extra='{}'
	jq -n --arg name "$1" --arg logs "$dir/logs/$1" --argjson extra "$extra" \
		'{metadata: {name: $name, namespace: "default", uid: ("uid-" + $name), attempt: 0},
		  hostname: $name, log_directory: $logs, labels: {app: $name}, annotations: {note: "of a test"}, linux: {}} * $extra' \
		>"$dir/pod-$1.json"
	echo "$dir/pod-$1.json"
}

# container_config NAME SHELL-COMMAND [JSON]
container_config() {
	local extra=${3:-}
	[ -n "$extra" ] || extra='{}'
	jq -n --arg name "$1" --arg sh "$2" --arg image "$image" --argjson extra "$extra" \
		'{metadata: {name: $name, attempt: 0}, image: {image: $image}, command: ["/bin/sh", "-c", $sh],
		  log_path: ($name + ".log"), labels: {container: $name}, linux: {}} * $extra' \
		>"$dir/container-$1.json"
	echo "$dir/container-$1.json"
}

# run_container POD POD-CONFIG NAME SHELL-COMMAND [JSON]: created and started; prints its id
run_container() {
	local id
	id=$(crictl create "$1" "$(container_config "$3" "$4" "${5:-}")" "$2") || return 1
	crictl start "$id" >/dev/null || return 1
	echo "$id"
}

status_of() { crictl inspect "$1" | jq -r ".status.$2"; }

wait_state() { # container, state
	for _ in $(seq 250); do
		[ "$(status_of "$1" state)" = "$2" ] && return 0
		sleep 0.04
	done
	echo "container $1 is $(status_of "$1" state), not $2" >&2
	return 1
}
