# What the world can do to the daemon: each gives an error that names the thing and the
# reason, the daemon goes on, and nothing is left half made.

load ../cri/daemon.bash

setup_file() {
	daemon_prepare
	registry_start
	sed -i 's/"127.0.0.1:5000"/"127.0.0.1:5000", "127.0.0.1:5001"/; s/^images:/&\n  stall_timeout: 2s/' "$dir/config.yaml"
	daemon_start
}

teardown_file() {
	mountpoint -q "$dir/small" && umount -l "$dir/small"
	daemon_end
}

teardown() {
	[ -n "$bad" ] && kill "$bad" 2>/dev/null
	[ -n "$BATS_TEST_COMPLETED" ] || tail -n 15 "$dir/log"
}

alive() {
	[ -d "/proc/$(daemon_pid)" ]
	crictl version >/dev/null
	left=$(leftovers)
	[ -z "$left" ] || { echo "$left"; false; }
}

# half-made data of pulls: everything but the store's one empty layer
layers() { find "${1:-$dir/root}/layers" -mindepth 1 -maxdepth 1 ! -name 0 2>/dev/null | wc -l; }

bad_registry() { # what tests/lib/registry.py is to do wrong
	nsenter --net="/proc/$holder/ns/net" python3 "$BATS_TEST_DIRNAME/../lib/registry.py" "$dir/layout" /dev/null \
		--port 5001 "$@" >/dev/null 3>&- &
	bad=$!
	for _ in $(seq 100); do
		in_net curl -sf --max-time 2 -o /dev/null http://127.0.0.1:5001/v2/ && return
		sleep 0.05
	done
	return 1
}

refused_pull() { # text of the error…
	local text
	run crictl pull 127.0.0.1:5001/x/y:1
	echo "$output"
	[ "$status" -ne 0 ]
	for text; do [[ $output == *"$text"* ]]; done
	[ -z "$(crictl images -q)" ]
	# the pull's own threads put down what they held after the answer went out
	for _ in $(seq 50); do [ "$(layers)" -eq 0 ] && break; sleep 0.05; done
	[ "$(layers)" -eq 0 ] || { ls "$dir/root/layers"; false; }
	alive
}

@test "a registry that is not there" {
	refused_pull 127.0.0.1:5001 connect
}

@test "a layer whose bytes are not what its digest says" {
	bad_registry --flip 5000
	refused_pull sha256: digest
}

@test "a registry that ends in the middle of a layer" {
	bad_registry --cut 5000 --cuts 100
	refused_pull 127.0.0.1:5001
}

@test "a registry that falls silent in the middle of a layer" {
	bad_registry --hold 1000 --no-ranges
	refused_pull 127.0.0.1:5001
	# as the daemon measured it: what crictl takes on a busy machine is not part of it
	ms=$(sed -n 's/.*PullImage 127.0.0.1:5001.* (\([0-9]*\)\.[0-9]* ms)$/\1/p' "$dir/log" | tail -n 1)
	[ "$ms" -le 40000 ]
}

@test "after all that the same image from a good registry works" {
	bad_registry
	crictl pull 127.0.0.1:5001/x/y:1
	crictl rmi 127.0.0.1:5001/x/y:1
	alive
}

@test "names that are none, repositories that are not there" {
	for name in UPPER/case "a b" 127.0.0.1:5000/../x 127.0.0.1:5000/nosuch/thing:1; do
		run crictl pull "$name"
		[ "$status" -ne 0 ]
		[[ $output == *"$name"* ]]
	done
	alive
}

@test "a container of an unknown image, in an unknown pod, a start of an unknown container" {
	json=$(pod_config bad)
	pod=$(crictl runp "$json")
	run crictl create "$pod" "$(container_config c x '{"image": {"image": "no.such/image:1"}}')" "$json"
	[ "$status" -ne 0 ]
	[[ $output == *NotFound* && $output == *no.such/image:1* ]]
	[ -z "$(crictl ps -aq)" ]
	crictl rmp -f "$pod"
	run crictl create 0123456789abcdef "$dir/container-c.json" "$json"
	[[ $output == *NotFound* && $output == *0123456789abcdef* ]]
	run crictl start 0123456789abcdef
	[[ $output == *NotFound* && $output == *0123456789abcdef* ]]
	alive
}

@test "a network plugin that fails is named, and the pod is not there" {
	mkdir -p "$dir/plugins"
	cat >"$dir/plugins/failing" <<-'SH'
		#!/bin/sh
		[ "$CNI_COMMAND" = VERSION ] && { echo '{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0"]}'; exit 0; }
		[ "$CNI_COMMAND" = DEL ] && exit 0
		echo '{"cniVersion":"1.0.0","code":11,"msg":"no room in the harbour"}'
		exit 1
	SH
	chmod +x "$dir/plugins/failing"
	daemon_kill TERM
	sed -i "s#^cni:#&\n  bin_dirs: [$dir/plugins, /usr/lib/cni]#" "$dir/config.yaml"
	echo '{"cniVersion": "1.0.0", "name": "bad", "plugins": [{"type": "failing"}]}' >"$dir/net.d/10-bad.conflist"
	daemon_start
	run crictl runp "$(pod_config unlucky)"
	[ "$status" -ne 0 ]
	[[ $output == *failing* && $output == *"no room in the harbour"* ]]
	[ -z "$(crictl pods -q)" ]
	alive
	# a plugin that is missing makes the node not ready, with the reason
	echo '{"cniVersion": "1.0.0", "name": "bad", "plugins": [{"type": "nosuchplugin"}]}' >"$dir/net.d/10-bad.conflist"
	[ "$(crictl info | jq -r '.status.conditions[] | select(.type == "NetworkReady") | .status')" = false ]
	crictl info | jq -r '.status.conditions[] | select(.type == "NetworkReady") | .message' | grep -q nosuchplugin
	rm "$dir/net.d/10-bad.conflist"
	[ "$(crictl info | jq -r '.status.conditions[] | select(.type == "NetworkReady") | .status')" = true ]
}

@test "garbage on the socket ends that connection and no other" {
	python3 - "$socket" <<-'PY'
		import os, socket, struct, sys

		def send(data):
		    s = socket.socket(socket.AF_UNIX)
		    s.connect(sys.argv[1])
		    s.settimeout(5)
		    try:
		        s.sendall(data)
		        while s.recv(65536):
		            pass
		    except (BrokenPipeError, ConnectionResetError):
		        pass
		    s.close()

		preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
		settings = b"\0\0\0\4\0\0\0\0\0"
		send(b"GET / HTTP/1.1\r\n\r\n")
		send(os.urandom(4096))
		send(preface + os.urandom(4096))
		send(preface + settings + b"\xff\xff\xff\1\4\0\0\0\1" + b"x" * 1000)
	PY
	alive
}

@test "a full disk: the pull fails, says so, and leaves nothing" {
	mkdir -p "$dir/small"
	mount -t tmpfs -o size=1m tmpfs "$dir/small"
	daemon_kill TERM
	sed "s#^root: .*#root: $dir/small/root#" "$dir/config.yaml" >"$dir/small.yaml"
	cp "$dir/config.yaml" "$dir/big.yaml"
	mv "$dir/small.yaml" "$dir/config.yaml"
	daemon_start
	run crictl pull "$image"
	[ "$status" -ne 0 ]
	[[ $output == *"No space left"* ]]
	[ -z "$(crictl images -q)" ]
	for _ in $(seq 50); do [ "$(layers "$dir/small/root")" -eq 0 ] && break; sleep 0.05; done
	[ "$(layers "$dir/small/root")" -eq 0 ]
	crictl version >/dev/null
	daemon_kill TERM
	umount "$dir/small"
	mv "$dir/big.yaml" "$dir/config.yaml"
	daemon_start
}
