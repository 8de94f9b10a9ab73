# Checkpoints of containers and pods, and what is restored from them. Needs a CRIU that works here.

load daemon.bash
load rpc.bash

setup_file() {
	command -v protoc >/dev/null || skip "protoc is not installed"
	daemon_prepare
	daemon_criu
	daemon_ready
	export pod pod_json
	pod_json=$(pod_config one)
	pod=$(crictl runp "$pod_json")
}

teardown_file() { daemon_end; }

teardown() {
	[ -n "$BATS_TEST_COMPLETED" ] || { tail -n 25 "$dir/log"; }
	for id in $(crictl ps -aq); do crictl rm -f "$id" >/dev/null; done
}

works() { [ -n "$criu" ] || skip "no CRIU: $(tail -n 1 "$dir/why")"; }

# counts in its memory and tells its log; its own pid namespace, as the kubelet asks for
own_pid='{"linux": {"security_context": {"namespace_options": {"pid": 1}}}}'
counter='x=0; echo changed >/etc/changed; rm /etc/serve; while :; do x=$((x+1)); echo "count $x"; sleep 0.1; done'
log_of() { cat "$dir/logs/$1/$2.log" 2>/dev/null; }
counts() { log_of "$1" "$2" | grep -o 'count [0-9]*' | cut -d' ' -f2; }
wait_count() { # pod container number
	for _ in $(seq 200); do
		[ "$(counts "$1" "$2" | tail -n 1)" -ge "$3" ] 2>/dev/null && return
		sleep 0.05
	done
	log_of "$1" "$2" | tail
	return 1
}
# restored NAME ARCHIVE [CONFIG]: created from it; prints the id
restored() {
	local extra
	extra=$(jq -c --arg a "$2" '. + {image: {image: $a}}' <<<"${3:-$own_pid}")
	crictl create "$pod" "$(container_config "$1" 'not used' "$extra")" "$pod_json"
}

@test "a container's archive has what the kubelet's tools look for, and the container goes on" {
	works
	id=$(run_container "$pod" "$pod_json" c "$counter" "$own_pid")
	wait_count one c 3
	crictl checkpoint --export "$dir/c.tar" "$id"
	[ "$(stat -c %a "$dir/c.tar")" = 600 ]
	n=$(counts one c | tail -n 1)
	wait_count one c $((n + 3))
	[ "$(status_of "$id" state)" = CONTAINER_RUNNING ]
	tar -tf "$dir/c.tar" >"$dir/names"
	for name in config.dump spec.dump status.dump status deleted.files checkpoint/inventory.img rootfs-diff.tar container.log \
		dump.log stats-dump; do
		grep -qx "$name" "$dir/names" || { echo "no $name"; false; }
	done
	tar -xOf "$dir/c.tar" config.dump | jq -e '.rootfsImage and .checkpointedTime and .runtime == "caisson"'
	tar -xOf "$dir/c.tar" spec.dump | jq -e '.process.args and .annotations["io.kubernetes.cri.sandbox-id"]'
	# the CRI's own message, as other runtimes read it: labels and annotations are the restored container's
	tar -xOf "$dir/c.tar" status.dump | jq -e --arg id "$id" --arg image "$image" '.id == $id and .metadata.name == "c"
		and .labels.container == "c" and .state == 1 and .image.image == $image and (.created_at | type) == "number"'
	tar -xOf "$dir/c.tar" status | jq -e '.StartedAt >= .CreatedAt and .Pid > 0'
	[ "$(tar -xOf "$dir/c.tar" deleted.files)" = '["/etc/serve"]' ]
	tar -xOf "$dir/c.tar" rootfs-diff.tar | tar -t >"$dir/diff"
	grep -qx etc/changed "$dir/diff"
	grep -qx etc/.wh.serve "$dir/diff"
	[ -z "$(ls "$dir/root/checkpoints")" ]
}

@test "a container restored from it goes on counting, with the files that it had changed" {
	works
	id=$(run_container "$pod" "$pod_json" c "$counter" "$own_pid")
	wait_count one c 3
	crictl checkpoint --export "$dir/c.tar" "$id"
	crictl rm -f "$id"
	at=$(tar -xOf "$dir/c.tar" container.log | grep -o 'count [0-9]*' | tail -n 1 | cut -d' ' -f2)
	id=$(restored back "$dir/c.tar")
	[ "$(status_of "$id" state)" = CONTAINER_CREATED ]
	crictl start "$id"
	[ "$(status_of "$id" state)" = CONTAINER_RUNNING ]
	wait_count one back $((at + 3))
	[ "$(counts one back | head -n 1)" -le $((at + 2)) ]
	[ "$(counts one back | head -n 1)" -ge "$at" ]
	[ "$(crictl exec -s "$id" /bin/sh -c 'cat /etc/changed; ls /etc/serve 2>&1 | grep -c "No such"')" = $'changed\n1' ]
	[ -z "$(ls "$dir/root/checkpoints")" ]
	crictl stop -t 0 "$id"
	[ "$(status_of "$id" exitCode)" = 137 ]
	crictl rm "$id"
}

@test "a log whose directory became a link is not taken along: it is not the container's" {
	works
	mkdir -p "$dir/secret"
	echo "of the node" >"$dir/secret/l.log"
	id=$(run_container "$pod" "$pod_json" l "$counter" "$(jq -c '. + {log_path: "sub/l.log"}' <<<"$own_pid")")
	for _ in $(seq 100); do [ -s "$dir/logs/one/sub/l.log" ] && break; sleep 0.05; done
	# as a container can that has the pod's logs as a volume
	mv "$dir/logs/one/sub" "$dir/logs/one/away"
	ln -s "$dir/secret" "$dir/logs/one/sub"
	crictl checkpoint --export "$dir/l.tar" "$id"
	[ -z "$(tar -tf "$dir/l.tar" | grep -x container.log)" ]
	[ -z "$(tar -xOf "$dir/l.tar" | grep -a "of the node")" ]
	rm "$dir/logs/one/sub"
	mv "$dir/logs/one/away" "$dir/logs/one/sub"
	crictl checkpoint --export "$dir/l.tar" "$id"
	tar -xOf "$dir/l.tar" container.log | grep -q "count"
	crictl rm -f "$id"
}

@test "what cannot be: not running, no directory, no archive, an archive of something else" {
	id=$(crictl create "$pod" "$(container_config idle 'sleep 1000')" "$pod_json")
	run crictl checkpoint --export "$dir/x.tar" "$id"
	[ "$status" -ne 0 ]
	[[ $output == *"it is not running"* ]]
	crictl start "$id"
	run crictl checkpoint --export "$dir/no/such/x.tar" "$id"
	[[ $output == *"there is no directory $dir/no/such"* ]]
	run restored r "$dir/missing.tar"
	[ "$status" -ne 0 ]
	echo nonsense >"$dir/bad.tar"
	run restored r "$dir/bad.tar"
	[ "$status" -ne 0 ]
	[[ $output == *"$dir/bad.tar"* ]]
	tar -C "$dir" -cf "$dir/other.tar" config.yaml
	run restored r "$dir/other.tar"
	[[ $output == *"$dir/other.tar: has no config.dump"* ]]
	mkdir -p "$dir/evil"
	jq -n --arg i "$(crictl inspect "$id" | jq -r .status.imageId)" '{rootfsImage: $i}' >"$dir/evil/config.dump"
	tar -C "$dir/evil" -cf "$dir/evil.tar" --transform 's,^x$,../../../x,' config.dump
	run restored r "$dir/evil.tar"
	[[ $output == *"there is no directory checkpoint in it"* ]]
	[ "$(crictl ps -aq | wc -l)" = 1 ]
}

@test "what CRIU says is said" {
	id=$(run_container "$pod" "$pod_json" said 'sleep 1000' "$own_pid")
	works
	# a process that is traced cannot be
	pid=$(crictl inspect "$id" | jq -r .info.pid)
	command -v gdb strace >/dev/null || skip "nothing here traces a process"
	strace -p "$pid" -o /dev/null 3>&- &
	sleep 0.5
	run crictl checkpoint --export "$dir/x.tar" "$id"
	kill %1
	[ "$status" -ne 0 ]
	[[ $output == *criu*dump*failed* ]]
	[ "$(status_of "$id" state)" = CONTAINER_RUNNING ]
}

@test "a pod of two containers, of one moment" {
	works
	a=$(run_container "$pod" "$pod_json" a "$counter" "$own_pid")
	b=$(run_container "$pod" "$pod_json" b "$counter" "$own_pid")
	wait_count one a 3
	wait_count one b 3
	rpc CheckpointPod "pod_sandbox_id: \"$pod\" output_path: \"$dir/pod.tar\""
	tar -tf "$dir/pod.tar" >"$dir/names"
	[ "$(sort "$dir/names" | tr '\n' ' ')" = "a.json a.tar b.json b.tar pod.dump pod.options " ]
	tar -xOf "$dir/pod.tar" pod.dump | jq -e '.metadata == {name: "one", uid: "uid-one", namespace: "default"} and .hostname == "one"'
	n=$(counts one b | tail -n 1)
	wait_count one b $((n + 2))
	run rpc CheckpointPod "pod_sandbox_id: \"$pod\" output_path: \"$dir/pod.tar\" container_ids: \"${a:0:63}$(tr 0-9a-f 1-9a-f0 <<<"${a:63}")\""
	[ "$status" -ne 0 ]
}

@test "a pod restored from it: containers are created, and go on from the same moment" {
	works
	json=$(pod_config two)
	p=$(crictl runp "$json")
	a=$(run_container "$p" "$json" a "$counter" "$own_pid")
	b=$(run_container "$p" "$json" b "$counter" "$own_pid")
	wait_count two a 3
	wait_count two b 3
	rpc CheckpointPod "pod_sandbox_id: \"$p\" output_path: \"$dir/two.tar\""
	crictl rmp -f "$p"
	run rpc RestorePod "checkpoint_path: \"$dir/two.tar\" container_configs { metadata { name: \"c\" } image { image: \"x\" } }"
	[ "$status" -ne 0 ]
	[[ $output == *"container c: it is not in the checkpoint"* ]]
	[ "$(crictl pods -q | wc -l)" = 1 ]
	rpc RestorePod "checkpoint_path: \"$dir/two.tar\"" >"$dir/restored"
	p=$(sed -n 's/^pod_sandbox_id: "\(.*\)"/\1/p' "$dir/restored")
	[ "$(crictl pods --id "$p" -o json | jq -r '.items[0].metadata.name')" = two ]
	[ "$(crictl ps -a --pod "$p" -o json | jq -r '[.containers[] | .metadata.name + .state] | sort | join(" ")')" = \
		"aCONTAINER_CREATED bCONTAINER_CREATED" ]
	[ "$(ls "$dir/root/checkpoints" | wc -l)" = 2 ]
	: >"$dir/logs/two/a.log"
	: >"$dir/logs/two/b.log"
	for id in $(crictl ps -aq --pod "$p"); do crictl start "$id"; done
	wait_count two a 4
	wait_count two b 4
	d=$(($(counts two a | head -n 1) - $(counts two b | head -n 1)))
	[ "${d#-}" -le 15 ]
	crictl rmp -f "$p"
}

@test "a container in the pod's pid namespace goes on there, beside its other processes" {
	works
	id=$(run_container "$pod" "$pod_json" shared "$counter")
	wait_count one shared 3
	crictl checkpoint --export "$dir/shared.tar" "$id"
	crictl rm -f "$id"
	id=$(restored shared-back "$dir/shared.tar" '{}')
	crictl start "$id"
	wait_count one shared-back $(($(counts one shared-back | head -n 1) + 3))
	[ "$(readlink "/proc/$(crictl inspect "$id" | jq -r .info.pid)/ns/pid")" = \
		"$(readlink "/proc/$(crictl inspectp "$pod" | jq -r .info.pid)/ns/pid")" ]
	crictl stop -t 0 "$id"
	[ "$(crictl inspectp "$pod" | jq -r .status.state)" = SANDBOX_READY ]
}

@test "a terminal is one again: what is typed arrives, what is said is seen" {
	works
	tty=$(jq -c '. + {tty: true, stdin: true}' <<<"$own_pid")
	id=$(run_container "$pod" "$pod_json" typed 'n=0; while read -r x; do n=$((n+1)); test -t 0 -a -t 1 && echo "line $n is $x"; done' "$tty")
	say() { # container, name, text, what is answered
		local i
		echo "$3" >"$dir/said"
		timeout -s KILL 20 nsenter --net="/proc/$holder/ns/net" crictl --config "$dir/crictl.yaml" attach -i "$1" \
			<"$dir/said" >"$dir/answered" 2>&1 3>&- &
		i=$!
		for _ in $(seq 200); do log_of one "$2" | grep -q "$4" && break; sleep 0.05; done
		kill $i 2>/dev/null || true
		log_of one "$2" | grep -q "$4" || { log_of one "$2"; cat "$dir/answered"; return 1; }
	}
	say "$id" typed first 'line 1 is first'
	crictl checkpoint --export "$dir/typed.tar" "$id"
	crictl rm -f "$id"
	id=$(restored typed-back "$dir/typed.tar" "$tty")
	crictl start "$id"
	say "$id" typed-back second 'line 2 is second'
	crictl rm -f "$id"
}

@test "in a user namespace: CRIU joins no network from there, and what it says is said" {
	works
	json=$(pod_config mapped '{"linux": {"security_context": {"namespace_options": {"userns_options":
		{"mode": 0, "uids": [{"host_id": 200000, "container_id": 0, "length": 65536}], "gids": [{"host_id": 200000, "container_id": 0, "length": 65536}]}}}}}')
	p=$(crictl runp "$json") || skip "no user namespaces for pods here"
	id=$(run_container "$p" "$json" m "$counter" "$own_pid")
	wait_count mapped m 3
	crictl checkpoint --export "$dir/m.tar" "$id"
	crictl rm -f "$id"
	id=$(crictl create "$p" "$(container_config m-back 'not used' "$(jq -c --arg a "$dir/m.tar" '. + {image: {image: $a}}' <<<"$own_pid")")" "$json")
	run crictl start "$id"
	[ "$status" -ne 0 ]
	[[ $output == *"criu restore failed: Error"*"net: Operation not permitted"* ]] || { echo "$output"; false; }
	[ "$(crictl inspect "$id" | jq -r '.status.state + .status.reason')" = CONTAINER_EXITEDStartError ]
	crictl rmp -f "$p"
	[ -z "$(ls "$dir/root/checkpoints")" ]
}

# image_of ARCHIVE NAME: an image whose one layer is the archive's content, in the registry
image_of() {
	local work=$dir/image-of
	mkdir "$work"
	cp "$1" "$work/layer.tar"
	jq -nc --arg d "sha256:$(sha256sum "$work/layer.tar" | cut -d' ' -f1)" \
		'{architecture: "amd64", os: "linux", config: {}, rootfs: {type: "layers", diff_ids: [$d]}}' >"$work/config.json"
	jq -nc --arg n "$2" '[{Config: "config.json", RepoTags: [$n], Layers: ["layer.tar"]}]' >"$work/manifest.json"
	tar -C "$work" -cf "$dir/image.tar" manifest.json config.json layer.tar
	rm -r "$work"
	in_net skopeo copy -q --dest-tls-verify=false "docker-archive:$dir/image.tar" "docker://$2"
}

# listed ARCHIVE LIST: what it hides is in deleted.files alone, as CRI-O writes it; the new archive's name
listed() {
	mkdir "$dir/listed" "$dir/listed-diff"
	tar -C "$dir/listed" -xf "$1"
	tar -C "$dir/listed-diff" -xf "$dir/listed/rootfs-diff.tar"
	find "$dir/listed-diff" -name '.wh.*' -delete
	tar -C "$dir/listed-diff" -cf "$dir/listed/rootfs-diff.tar" .
	echo "$2" >"$dir/listed/deleted.files"
	tar -C "$dir/listed" -cf "$dir/listed.tar" .
	rm -r "$dir/listed" "$dir/listed-diff"
	echo "$dir/listed.tar"
}

@test "a checkpoint in an image is restored like one in a file, deletions too that are only listed" {
	works
	id=$(run_container "$pod" "$pod_json" c "$counter" "$own_pid")
	wait_count one c 3
	crictl checkpoint --export "$dir/c.tar" "$id"
	crictl rm -f "$id"
	for bad in '"/etc/serve"' '["/etc/.."]' '["serve"]' '["/no/such/directory/file"]'; do
		run restored bad "$(listed "$dir/c.tar" "$bad")"
		[ "$status" -ne 0 ]
		[[ $output == *"listed.tar: deleted.files: "* ]] || { echo "$output"; false; }
	done
	image_of "$(listed "$dir/c.tar" '["/etc/serve"]')" "$registry/test/checkpoint:1"
	crictl pull "$registry/test/checkpoint:1" >/dev/null
	at=$(tar -xOf "$dir/c.tar" container.log | grep -o 'count [0-9]*' | tail -n 1 | cut -d' ' -f2)
	id=$(restored fromimage "$registry/test/checkpoint:1")
	crictl rmi "$registry/test/checkpoint:1" >/dev/null
	crictl start "$id"
	wait_count one fromimage $((at + 3))
	[ "$(counts one fromimage | head -n 1)" -le $((at + 2)) ]
	[ "$(crictl exec -s "$id" /bin/sh -c 'cat /etc/changed; ls /etc/serve 2>&1 | grep -c "No such"')" = $'changed\n1' ]
	crictl rm -f "$id"
}
