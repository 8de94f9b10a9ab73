# CDI devices: asked for by field, by annotation, and by an NRI plugin; seen in the container.

load daemon.bash

setup_file() {
	daemon_prepare
	sed -i "s|^pods:|&\n  cdi_spec_dirs: [$dir/cdi-etc, $dir/cdi-run]|" "$dir/config.yaml"
	mkdir "$dir/cdi-etc" "$dir/cdi-run"
	daemon_ready
	export pod pod_json
	pod_json=$(pod_config cdi)
	pod=$(crictl runp "$pod_json")
	mkdir "$dir/driver"
	echo "of the driver" >"$dir/driver/lib"
	cat >"$dir/cdi-etc/vendor.yaml" <<-SPEC
		cdiVersion: 0.7.0
		kind: vendor.test/dev
		containerEdits:
		  env: [VENDOR=yes]
		devices:
		- name: zero
		  containerEdits:
		    deviceNodes:
		    - {path: /dev/vendor-zero, hostPath: /dev/zero, permissions: r}
		    mounts:
		    - {hostPath: $dir/driver, containerPath: /driver, options: [ro, nosuid, nodev, rbind]}
		    additionalGids: [4711]
		- name: "1"
		  containerEdits:
		    env: [ONE=1]
		    hooks:
		    - {hookName: createRuntime, path: /bin/sh, args: [sh, -c, "cat >$dir/hook"]}
	SPEC
}

teardown_file() { daemon_end; }

teardown() {
	[ -n "$BATS_TEST_COMPLETED" ] || tail -n 15 "$dir/log"
	for id in $(crictl ps -aq); do crictl rm -f "$id" >/dev/null; done
}

in_container() { crictl exec -s "$1" /bin/sh -c "$2"; }

@test "devices by field: node, rule, mount, environment, group, hook" {
	id=$(run_container "$pod" "$pod_json" field 'sleep 1000' \
		'{"CDI_devices": [{"name": "vendor.test/dev=zero"}, {"name": "vendor.test/dev=1"}]}')
	pid=$(crictl inspect "$id" | jq -r .info.pid)
	[ "$(in_container "$id" 'head -c 2 /dev/vendor-zero | od -An -tx1 | tr -d " \n"')" = 0000 ]
	[ "$(in_container "$id" 'cat /driver/lib')" = "of the driver" ]
	tr '\0' '\n' <"/proc/$pid/environ" >"$dir/environ"
	grep -qx VENDOR=yes "$dir/environ"
	grep -qx ONE=1 "$dir/environ"
	grep -qE '^Groups:.*\b4711\b' "/proc/$pid/status"
	grep -q "$id" "$dir/hook"
	crictl inspect "$id" | jq -e '[.info.runtimeSpec.linux.resources.devices[] | select(.major == 1 and .minor == 5 and .access == "r" and .allow)] | length == 1'
}

@test "devices by annotation, as older kubelets ask" {
	id=$(run_container "$pod" "$pod_json" note 'sleep 1000' \
		'{"annotations": {"cdi.k8s.io/plugin_x": "vendor.test/dev=zero,vendor.test/dev=1"}, "CDI_devices": [{"name": "vendor.test/dev=1"}]}')
	[ "$(in_container "$id" 'cat /driver/lib')" = "of the driver" ]
	[ "$(crictl inspect "$id" | jq '[.info.runtimeSpec.process.env[] | select(. == "ONE=1")] | length')" = 1 ]
}

@test "a device that is nowhere, or in two files, is refused by name and leaves nothing" {
	run crictl create "$pod" "$(container_config none 'sleep 1' '{"CDI_devices": [{"name": "vendor.test/dev=9"}]}')" "$pod_json"
	[ "$status" -ne 0 ]
	[[ $output == *"CDI device vendor.test/dev=9: no specification has it"* ]]
	run crictl create "$pod" "$(container_config none 'sleep 1' '{"CDI_devices": [{"name": "not a name"}]}')" "$pod_json"
	[[ $output == *"CDI device not a name: not a name like vendor.com/class=device"* ]]
	cp "$dir/cdi-etc/vendor.yaml" "$dir/cdi-etc/copy.yaml"
	run crictl create "$pod" "$(container_config none 'sleep 1' '{"CDI_devices": [{"name": "vendor.test/dev=1"}]}')" "$pod_json"
	[[ $output == *"both $dir/cdi-etc/copy.yaml and $dir/cdi-etc/vendor.yaml have it"* ]]
	rm "$dir/cdi-etc/copy.yaml"
	[ -z "$(crictl ps -aq)" ]
}

@test "the later directory wins, and what appears is there at once" {
	echo '{"cdiVersion": "0.5.0", "kind": "vendor.test/dev", "devices": [{"name": "1", "containerEdits": {"env": ["ONE=run"]}}]}' \
		>"$dir/cdi-run/late.json"
	id=$(run_container "$pod" "$pod_json" late 'sleep 1000' '{"CDI_devices": [{"name": "vendor.test/dev=1"}]}')
	tr '\0' '\n' <"/proc/$(crictl inspect "$id" | jq -r .info.pid)/environ" | grep -qx ONE=run
	rm "$dir/cdi-run/late.json"
}

@test "a plugin adds a device to a container that did not ask" {
	plugin_binary=$("$repo/tools/build-nri-plugin" 2>"$dir/plugin-build.log") ||
		skip "no NRI plugin: $(tail -n 1 "$dir/plugin-build.log")"
	echo '[{"event": "CreateContainer", "container": "given", "adjust": {"CDI_devices": [{"name": "vendor.test/dev=zero"}]}},
		{"event": "CreateContainer", "container": "missing", "adjust": {"CDI_devices": [{"name": "vendor.test/dev=gone"}]}}]' \
		>"$dir/p.rules"
	"$plugin_binary" -idx 10 -name p -socket "$dir/nri.sock" -rules "$dir/p.rules" -log "$dir/p.log" >"$dir/p.out" 2>&1 3>&- &
	child=$!
	disown
	for _ in $(seq 100); do grep -q "NRI plugin 10-p is registered" "$dir/log" && break; sleep 0.02; done
	id=$(run_container "$pod" "$pod_json" given 'sleep 1000')
	[ "$(in_container "$id" 'cat /driver/lib')" = "of the driver" ]
	run crictl create "$pod" "$(container_config missing 'sleep 1')" "$pod_json"
	[[ $output == *"CDI device vendor.test/dev=gone: no specification has it"* ]]
	kill "$child"
	wait_gone "$child"
}
