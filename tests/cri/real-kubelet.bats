# A real kubelet, alone on its node: pods by files in a directory, no API server. What it makes of them, what it
# says of them, and what is left when they are gone.
#
# Runs where a kubelet is: in KUBELET, built by tools/install-kubelet (minutes, and much of the network).

load daemon.bash

setup_file() {
	# skipped by setup, since this bats takes a skip of setup_file for a failure of teardown_file
	[ -n "${KUBELET:-}" ] || return 0
	daemon_prepare
	daemon_criu
	export port=$((20000 + RANDOM % 20000)) node=192.0.2.10
	in_net ip link add node type bridge
	in_net ip address add $node/24 dev node
	in_net ip link set node up
	registry_start
	daemon_start
	for controller in /sys/fs/cgroup/*/; do
		# the root that the kubelet is given has to be there, in each hierarchy
		[ -e /sys/fs/cgroup/cgroup.controllers ] && controller=/sys/fs/cgroup/
		[ -e "$controller/cgroup.procs" ] && mkdir -p "$controller$parent"
		[ -e "$controller$parent/cpuset.cpus" ] && [ -d /sys/fs/cgroup/cpuset ] && for file in cpus mems; do
			cat "$controller/cpuset.$file" >"$controller$parent/cpuset.$file"
		done
	done
	mkdir "$dir/manifests" "$dir/kubelet"
	cat >"$dir/kubelet.yaml" <<-CONFIG
		apiVersion: kubelet.config.k8s.io/v1beta1
		kind: KubeletConfiguration
		containerRuntimeEndpoint: unix://$socket
		staticPodPath: $dir/manifests
		fileCheckFrequency: 1s
		syncFrequency: 10s
		podLogsDir: $dir/logs
		cgroupDriver: cgroupfs
		cgroupRoot: $parent
		enforceNodeAllocatable: []
		failCgroupV1: false
		failSwapOn: false
		makeIPTablesUtilChains: false
		oomScoreAdj: 0
		authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
		authorization: {mode: AlwaysAllow}
		address: 127.0.0.1
		port: $port
		readOnlyPort: 0
		healthzPort: 0
		enableDebuggingHandlers: true
		resolvConf: ""
		containerLogMaxSize: 64Ki
		containerLogMaxFiles: 3
		containerLogMonitorInterval: 3s
		evictionHard: {memory.available: 1Mi}
		shutdownGracePeriod: 0s
		registerNode: false
		featureGates: {KubeletInUserNamespace: true, PodAndContainerStatsFromCRI: true}
	CONFIG
	kubelet_start
}

# The kubelet sets the node's sysctls, which are none of this test's: it has files of its own there.
kubelet_start() {
	mkdir -p "$dir/sysctls"
	nsenter --net="/proc/$holder/ns/net" unshare --mount --propagation private sh -c '
		for name in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys \
			kernel/keys/root_maxbytes; do
			file=$0/$(echo $name | tr / .)
			cat /proc/sys/$name >"$file" && mount --bind "$file" /proc/sys/$name || exit
		done
		exec "$@"' "$dir/sysctls" \
		"$KUBELET" --config "$dir/kubelet.yaml" --root-dir "$dir/kubelet" --cert-dir "$dir/kubelet/pki" \
		--hostname-override node --node-ip $node >>"$dir/kubelet.log" 2>&1 3>&- &
	echo $! >"$dir/kubelet.pid"
	disown
	eventually 60 healthy
}

kubelet_kill() {
	kill -s "$1" "$(cat "$dir/kubelet.pid")"
	wait_gone "$(cat "$dir/kubelet.pid")"
}

setup() { [ -n "${KUBELET:-}" ] || skip "without KUBELET, a kubelet to run: tools/install-kubelet builds one"; }

teardown_file() {
	[ -n "${dir:-}" ] || return 0
	kill -KILL "$(cat "$dir/kubelet.pid")" || true
	daemon_end
	find /sys/fs/cgroup -depth -type d -path "*$parent*" -exec rmdir {} + 2>/dev/null || true
}

teardown() {
	[ -n "${BATS_TEST_COMPLETED:-}" ] || [ -z "${KUBELET:-}" ] || { grep -v watcher.go "$dir/kubelet.log" | tail -n 40; grep -v ' debug ' "$dir/log" | tail -n 15; }
}

eventually() { # SECONDS COMMAND…
	local until=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $until ] || { echo "still not: $*"; return 1; }
		sleep 0.2
	done
}

ask() { in_net curl -skf --max-time 30 "$@"; }
api() { ask "https://127.0.0.1:$port$1" "${@:2}"; }
healthy() { [ "$(api /healthz)" = ok ]; }
# of FILTER: of the one pod that is, by the kubelet
of() { api /pods | jq -er ".items[] | select(.metadata.name == \"web-node\") | $1"; }
is() { [ "$(of "$1" 2>/dev/null)" = "$2" ]; }
restarts() { of ".status.containerStatuses[] | select(.name == \"$1\") | .restartCount"; }
restarted() { [ "$(restarts "$1")" -gt "$2" ]; }
ready='[.status.containerStatuses[].ready] | all'
# words, as the kubelet takes them apart at blanks
run_in() { api "/run/default/web-node/$1" -G -X POST --data-urlencode "cmd=$2"; }
sh_in() { crictl exec -s "$(crictl ps -q --name "$1")" sh -c "$2"; }

@test "a pod by a file: init container, two containers, probes of all kinds, a shared volume: ready" {
	cat >"$dir/web.json" <<-POD
		{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "default", "labels": {"app": "web"}},
		 "spec": {"terminationGracePeriodSeconds": 5,
		  "volumes": [{"name": "shared", "emptyDir": {}}, {"name": "trace", "hostPath": {"path": "$dir/trace", "type": "DirectoryOrCreate"}}],
		  "securityContext": {"fsGroup": 2000, "supplementalGroups": [3000], "seccompProfile": {"type": "RuntimeDefault"}},
		  "initContainers": [{"name": "first", "image": "$image", "command": ["sh", "-c", "echo made by the first >/shared/index.html"],
		   "volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}],
		  "containers": [
		   {"name": "server", "image": "$image", "command": ["httpd", "-f", "-p", "8080", "-h", "/shared"], "ports": [{"containerPort": 8080}],
		    "resources": {"requests": {"cpu": "50m", "memory": "16Mi"}, "limits": {"cpu": "500m", "memory": "64Mi"}},
		    "volumeMounts": [{"name": "shared", "mountPath": "/shared", "readOnly": true}],
		    "startupProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 60},
		    "livenessProbe": {"httpGet": {"path": "/index.html", "port": 8080}, "periodSeconds": 1},
		    "readinessProbe": {"httpGet": {"path": "/index.html", "port": 8080}, "periodSeconds": 1}},
		   {"name": "teller", "image": "$image", "command": ["sh", "-c", "trap 'exit 0' TERM; i=0; while :; do i=\$((i+1)); echo line \$i; sleep 0.1; done"],
		    "env": [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
		    "securityContext": {"runAsUser": 1000, "runAsGroup": 1000, "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
		     "capabilities": {"drop": ["ALL"]}},
		    "volumeMounts": [{"name": "shared", "mountPath": "/shared"}, {"name": "trace", "mountPath": "/trace"}],
		    "lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", "echo stopped >>/trace/teller"]}},
		     "postStart": {"exec": {"command": ["sh", "-c", "echo started >>/trace/teller"]}}},
		    "livenessProbe": {"exec": {"command": ["sh", "-c", "test ! -e /shared/ill"]}, "periodSeconds": 1, "failureThreshold": 1, "timeoutSeconds": 5}}]}}
	POD
	mkdir -m 777 "$dir/trace"
	cp "$dir/web.json" "$dir/manifests/web.json"
	eventually 90 is "$ready" true
	is .status.phase Running
	is '.status.initContainerStatuses[0].state.terminated.reason' Completed
	[ "$(of .status.podIP)" = "$(crictl inspectp "$(crictl pods -q --name web-node)" | jq -r .status.network.ip)" ]
	[ "$(in_net curl -sf --max-time 5 "http://$(of .status.podIP):8080/")" = "made by the first" ]
	[ "$(cat "$dir/trace/teller")" = started ]
}

@test "what the containers have is what the pod asks for" {
	[ "$(run_in teller 'id -u')" = 1000 ]
	[[ " $(run_in teller 'id -G') " == *" 2000 "* && " $(run_in teller 'id -G') " == *" 3000 "* ]]
	run_in teller env | grep -qx "POD_IP=$(of .status.podIP)"
	run_in teller 'cat /proc/self/status' >"$dir/self"
	grep -q $'^NoNewPrivs:\t1' "$dir/self"
	grep -q $'^Seccomp:\t2' "$dir/self"
	grep -q $'^CapBnd:\t0000000000000000' "$dir/self"
	pid=$(crictl inspect "$(crictl ps -q --name server)" | jq -r .info.pid)
	if [ -d /sys/fs/cgroup/memory ]; then
		cgroup=$(sed -n 's/^[0-9]*:memory://p' "/proc/$pid/cgroup")
		[[ $cgroup == "$parent"/kubepods/burstable/pod*/* ]]
		[ "$(cat "/sys/fs/cgroup/memory$cgroup/memory.limit_in_bytes")" = 67108864 ]
	else
		cgroup=$(sed -n 's/^0:://p' "/proc/$pid/cgroup")
		[[ $cgroup == "$parent"/kubepods/burstable/pod*/* ]]
		[ "$(cat "/sys/fs/cgroup$cgroup/memory.max")" = 67108864 ]
	fi
}

@test "its logs by the kubelet, and rotated by it" {
	api "/containerLogs/default/web-node/teller?tailLines=1000000" >"$dir/lines"
	grep -qx "line 1" "$dir/lines"
	sh_in server 'i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo a long line that fills the file of the log, number $i; done >/proc/1/fd/1'
	rotated() { ls "$dir"/logs/default_web-node_*/server/0.log.* >"$dir/rotated" 2>/dev/null; }
	eventually 30 rotated
	# the new file is the one that is written to
	sh_in server 'echo after the rotation >/proc/1/fd/1'
	after() { grep -q "after the rotation" "$dir"/logs/default_web-node_*/server/0.log; }
	eventually 10 after
}

@test "statistics by the kubelet" {
	figures() {
		api /stats/summary | jq -e '.pods[] | select(.podRef.name == "web-node") |
			(.containers | length == 2 and all(.cpu.usageCoreNanoSeconds > 0 and .memory.workingSetBytes > 0 and .rootfs.usedBytes != null))
			and .network.rxBytes > 0 and .memory.workingSetBytes > 0' >/dev/null
	}
	eventually 30 figures || { api /stats/summary | jq .pods; false; }
}

@test "exec through the kubelet's own stream" {
	cat >"$dir/exec.py" <<'PY'
import base64, json, os, socket, ssl, sys
port = int(sys.argv[1])
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
s = context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=30))
s.sendall((f"GET {sys.argv[2]} HTTP/1.1\r\nHost: node\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
	   f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\nSec-WebSocket-Protocol: v5.channel.k8s.io\r\n\r\n").encode())
got = s.makefile("rb")
assert b" 101 " in got.readline()
while got.readline() != b"\r\n": pass
text = b"typed\n"
s.sendall(bytes([0x82, 0x80 | len(text) + 1, 0, 0, 0, 0, 0]) + text)
s.sendall(bytes([0x82, 0x82, 0, 0, 0, 0, 255, 0]))
all = {}
while (head := got.read(2)) and head[0] & 15 != 8:
	n = head[1] & 127
	n = int.from_bytes(got.read(2), "big") if n == 126 else n
	data = got.read(n)
	if n:
		all[data[0]] = all.get(data[0], b"") + data[1:]
print(all[1].decode(), end="")
print(next(c["message"] for c in json.loads(all[3])["details"]["causes"] if c["reason"] == "ExitCode"))
PY
	run in_net timeout 60 python3 "$dir/exec.py" "$port" "/exec/default/web-node/server?command=sh&command=-c&command=cat%3Bexit%209&input=1&output=1&error=1"
	[ "$output" = $'typed\n9' ] || { echo "$output"; false; }
}

@test "a container whose process dies, and one that its probe finds ill, are begun again, the other goes on" {
	n=$(restarts server)
	kill -KILL "$(crictl inspect "$(crictl ps -q --name server)" | jq -r .info.pid)"
	eventually 60 restarted server "$n"
	of '.status.containerStatuses[] | select(.name == "server") | .lastState.terminated | select(.exitCode == 137)' >/dev/null
	n=$(restarts teller)
	sh_in teller 'echo >/shared/ill' || true
	eventually 60 restarted teller "$n"
	rm "$dir"/kubelet/pods/*/volumes/kubernetes.io~empty-dir/shared/ill
	# it backs off before it begins a second time
	eventually 90 is "$ready" true
	crictl inspect "$(crictl ps -q --name teller)" | jq -e '.status.metadata.attempt >= 1'
}

@test "the kubelet is killed, the daemon is killed: the next ones find the pod as it was" {
	before=$(crictl ps -q | sort)
	counts="$(restarts server) $(restarts teller)"
	kubelet_kill KILL
	daemon_kill KILL
	daemon_start
	kubelet_start
	eventually 60 is "$ready" true
	sleep 3 # a few of its relists
	[ "$(crictl ps -q | sort)" = "$before" ]
	[ "$(restarts server) $(restarts teller)" = "$counts" ]
}

@test "a checkpoint that the kubelet asks for" {
	[ -n "$criu" ] || skip "no CRIU: $(tail -n 1 "$dir/why")"
	# CRIU takes no connection that stands, which a probe's may be at that moment
	archive() { file=$(api /checkpoint/default/web-node/server -X POST | jq -r '.items[0]') && [ -e "$file" ]; }
	eventually 20 archive
	[[ $file == "$dir"/kubelet/checkpoints/checkpoint-web-node_default-server-*.tar ]]
	tar -tf "$file" >"$dir/names"
	grep -qx checkpoint/inventory.img "$dir/names"
	tar -xOf "$file" status.dump | jq -e '.metadata.name == "server" and .labels["io.kubernetes.pod.name"] == "web-node"'
	eventually 20 is "$ready" true
}

@test "the file goes, and so does the pod: told before, and nothing is left" {
	rm "$dir/manifests/web.json"
	none() { [ -z "$(crictl pods -q)$(crictl ps -aq)" ]; }
	# it removes what has ended a minute later
	stopped() { [ -z "$(crictl ps -q)$(crictl pods -q --state ready)" ]; }
	eventually 60 stopped
	[ "$(tail -n 1 "$dir/trace/teller")" = stopped ]
	eventually 150 none
	kubelet_kill TERM
	# its own cgroups are empty then, and stay
	find /sys/fs/cgroup -depth -type d -path "*$parent/kubepods*" -exec rmdir {} + 2>/dev/null || true
	left=$(leftovers)
	[ -z "$left" ] || { echo "$left"; false; }
}
