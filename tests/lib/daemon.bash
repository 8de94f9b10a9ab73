# The daemon under test, in the node's network namespace, with roots of its own.
#
#   daemon_start [key=value…]   writes the configuration and starts; keys: conf_dir, bin_dir,
#                               bridge (empty: no embedded default), insecure, extra (YAML text)
#   daemon_restart              stops it politely and starts it again
#   daemon_kill                 kill -9; daemon_run starts it again
#   daemon_stop
#   cri …                       crictl against it
#
# CRI_PEER=containerd runs Debian's containerd instead; CRI_SOCKET=path uses a daemon that
# somebody else runs, and starts nothing.
#
# shellcheck shell=bash

peer() {
	if [ -n "${CRI_SOCKET:-}" ]; then
		echo socket
	else
		echo "${CRI_PEER:-caisson}"
	fi
}

ours() { [ "$(peer)" = caisson ]; }
only_ours() { ours || skip "asks for what only caissond has"; }

daemon_start() {
	local conf_dir=$WORK/net.d bin_dir=/usr/lib/cni bridge=caisson0 extra='' setting key
	for setting; do
		key=${setting%%=*}
		case $key in
		conf_dir | bin_dir | bridge | extra) printf -v "$key" '%s' "${setting#*=}" ;;
		*) echo "daemon_start: unknown $key" >&2; return 2 ;;
		esac
	done
	export SOCKET=${CRI_SOCKET:-$WORK/cri.sock} ROOT=$WORK/root STATE=$WORK/state LOG=$WORK/daemon.log
	CRICTL=$("$TOP/tools/install-crictl") || { skip "no crictl"; return; }
	export CRICTL
	mkdir -p "$conf_dir"
	printf 'runtime-endpoint: unix://%s\nimage-endpoint: unix://%s\ntimeout: 30\n' "$SOCKET" "$SOCKET" \
		>"$WORK/crictl.yaml"
	case $(peer) in
	socket) return 0 ;;
	caisson) config_caisson ;;
	containerd) config_containerd ;;
	esac
	daemon_run
}

config_caisson() {
	cat >"$WORK/config.yaml" <<CONFIG
root: $ROOT
state: $STATE
address: $SOCKET
log_level: ${LOG_LEVEL:-debug}
shim_binary: $BUILD/src/prog/caisson-shim/caisson-shim
pause_binary: $BUILD/src/prog/caisson-pause/caisson-pause
cni:
  conf_dir: $conf_dir
  bin_dirs: [$bin_dir]
  default_bridge: "$bridge"
  default_subnet: 10.88.0.0/16
  timeout: 20s
pods:
  cgroup_parent: /$TAG
nri:
  socket: $STATE/nri.sock
  plugin_dir: $WORK/nri-plugins
  config_dir: $WORK/nri-conf
$extra
CONFIG
}

# containerd 1.6 has no network of its own, so it gets the same one in a file.
config_containerd() {
	export STATE=$WORK/state
	cat >"$conf_dir/10-peer.conflist" <<CONFLIST
{"cniVersion":"1.0.0","name":"caisson","plugins":[
{"type":"bridge","bridge":"caisson0","isGateway":true,"ipMasq":true,"hairpinMode":true,
"ipam":{"type":"host-local","dataDir":"$ROOT/cni","ranges":[[{"subnet":"10.88.0.0/16"}]],"routes":[{"dst":"0.0.0.0/0"}]}},
{"type":"portmap","capabilities":{"portMappings":true}}]}
CONFLIST
	cat >"$WORK/config.toml" <<CONFIG
version = 2
root = "$ROOT"
state = "$STATE"
oom_score = 0
[grpc]
  address = "$SOCKET"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$REGISTRY/pause:1"
  restrict_oom_score_adj = true
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  tolerate_missing_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$bin_dir"
    conf_dir = "$conf_dir"
[plugins."io.containerd.internal.v1.opt"]
  path = "$ROOT/opt"
CONFIG
}

daemon_run() {
	[ "$(peer)" != socket ] || return 0
	case $(peer) in
	caisson) daemon_spawn "$BUILD/src/prog/caissond/caissond" --config "$WORK/config.yaml" ;;
	containerd) daemon_spawn containerd --config "$WORK/config.toml" ;;
	esac
	eventually 20 daemon_answers || { tail -n 30 "$LOG"; return 1; }
}

daemon_spawn() {
	[ -x "$(command -v "$1")" ] || { skip "there is no $1"; return; }
	# the mark in its environment says whose a process is (leak.bash)
	CAISSON_TEST_TAG=$TAG nsenter --net="$NODE" "$@" >>"$LOG" 2>&1 3>&- </dev/null &
	echo $! >"$WORK/daemon.pid"
}

daemon_pid() { cat "$WORK/daemon.pid"; }

daemon_answers() {
	kill -0 "$(daemon_pid)" 2>/dev/null && cri version >/dev/null
}

# its first thread is a zombie while others of it still hold descriptors and locks
daemon_gone() {
	! kill -0 "$1" 2>/dev/null || [ "$(awk '/^State/ { s = $2 } /^Threads/ { print s $2 }' "/proc/$1/status" 2>/dev/null)" = Z1 ]
}

daemon_end() { # signal
	local pid
	[ "$(peer)" != socket ] || return 0
	pid=$(cat "$WORK/daemon.pid" 2>/dev/null) || return 0
	kill "-$1" "$pid" 2>/dev/null || true
	eventually 15 daemon_gone "$pid" || { kill -9 "$pid"; return 1; }
	rm -f "$WORK/daemon.pid"
}

daemon_kill() { daemon_end KILL; }
daemon_restart() { daemon_end TERM && daemon_run; }

daemon_stop() {
	local bad=0
	[ -n "${WORK:-}" ] && [ -e "$WORK/daemon.pid" ] || return 0
	pods_clear || bad=1
	images_clear
	daemon_end TERM || bad=1
	return $bad
}

cri() {
	if [ -n "${CRI_SOCKET:-}" ]; then
		"$CRICTL" -c "$WORK/crictl.yaml" "$@"
	else
		in_node "$CRICTL" -c "$WORK/crictl.yaml" "$@"
	fi
}

# What the daemon says of itself in its log since a mark: for error texts.
log_since() { tail -c +"$1" "$LOG"; }

pods_clear() {
	local ids
	ids=$(cri pods -q 2>/dev/null) || return 0
	[ -z "$ids" ] || cri rmp -f $ids >/dev/null || return 1
	# a pod's own cgroup is made and removed by the kubelet, whose part we play; what a runtime
	# left below it keeps it there
	rmdir /sys/fs/cgroup/{,*/}"$TAG"/kubepods/burstable/pod* 2>/dev/null || true
}

images_clear() {
	local ids
	ids=$(cri images -q 2>/dev/null) || return 0
	[ -z "$ids" ] || cri rmi $ids >/dev/null 2>&1 || true
}
