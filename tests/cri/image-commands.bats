# caisson's commands about images, against a daemon, as a person uses them.

load ../lib/load

setup_file() { suite_start; }
teardown_file() { suite_stop; }
setup() {
	only_ours
	leak_mark
	REF=x.test/busybox:1
}
teardown() {
	pods_clear
	images_clear
	leak_check
}

caisson() { in_node "$BUILD/src/prog/caisson/caisson" --address "$SOCKET" "$@"; }

import_busybox() { # NAME
	caisson import --which busybox "$IMAGES/layout" "$1"
}

@test "import, tag, images with digests, inspect, history, rmi by name and by id" {
	id=$(import_busybox "$REF")
	[[ $id == sha256:* ]]
	caisson tag "$REF" other.test/name
	caisson tag "${id:7:12}" x.test/busybox:2
	has "$(caisson images)" "x.test/busybox"
	same "$(caisson images -q)" "$id" "quiet"
	digest=$(jq -r '.manifests[] | select(.annotations["org.opencontainers.image.ref.name"] == "busybox").digest' "$IMAGES/layout/index.json")
	# printed so that it can be pinned: NAME@DIGEST is the same image
	has "$(caisson images --digests | grep -E '^x.test/busybox +1 ')" "$digest"
	same "$(caisson image inspect "x.test/busybox@$digest" | jq -r '.[0].id')" "$id" "by digest"
	same "$(caisson image inspect "$REF" "$id" | jq -c 'map(.repoTags | length)')" "[3,3]" "two at once"
	same "$(caisson image inspect "$REF" | jq -r '.[0].info.imageSpec.architecture')" \
		"$(skopeo inspect "oci:$IMAGES/layout:busybox" | jq -r .Architecture)" "architecture"
	has "$(caisson history "$REF")" "CREATED BY"
	same "$(caisson rmi "$REF")" "Untagged: $REF" "one of three"
	same "$(caisson rmi x.test/busybox:2)" "Untagged: x.test/busybox:2" "two of three"
	run caisson rmi other.test/name no.such/image:1
	[ "$status" -eq 1 ]
	has "$output" "Deleted: $id"
	has "$output" "image no.such/image:1"
	same "$(caisson images -q)" "" "nothing left"
	run caisson tag no.such/image:1 x.y/z
	[ "$status" -eq 1 ]
	run caisson tag
	[ "$status" -eq 2 ]
}

@test "export to a file, a pipe and a directory, and back" {
	import_busybox "$REF" >/dev/null
	caisson export -o "$WORK/out.tar" "$REF" 2>"$WORK/note"
	has "$(cat "$WORK/note")" "made anew"
	caisson export "$REF" 2>/dev/null | tar -tf - | grep -qx index.json
	(cd "$WORK" && caisson image export --directory -o layout.out "$REF" >/dev/null 2>&1)
	skopeo inspect "oci:$WORK/layout.out:1" >/dev/null
	caisson export --format docker -o "$WORK/docker.tar" "$REF" >/dev/null 2>&1
	skopeo inspect "docker-archive:$WORK/docker.tar" >/dev/null
	caisson tag "$REF" second.test/busybox:2
	[ "$(caisson export -o "$WORK/two.tar" "$REF" second.test/busybox:2 2>/dev/null | wc -l)" = 2 ]
	skopeo inspect "oci-archive:$WORK/two.tar:2" >/dev/null
	caisson rmi second.test/busybox:2 >/dev/null
	caisson rmi "$REF" >/dev/null
	one=$(caisson import "$WORK/out.tar")
	same "$(caisson import - piped.test/busybox:1 <"$WORK/docker.tar")" "$one" "the same image by both"
	has "$(caisson images)" piped.test/busybox
	# what came back runs
	pod=$(run_pod exported)
	ctr=$(run_container "$pod" "$REF" . sh -c 'echo changed >/new; rm /bin/true; sleep 1000')
	eventually 5 sh -c "$(declare -f in_node caisson); NODE=$NODE BUILD=$BUILD SOCKET=$SOCKET; caisson diff $ctr | grep -qx 'D /bin/true'"
	has "$(caisson diff "$ctr")" "A /new"
	has "$(caisson image diff "$REF" piped.test/busybox:1; echo none)" none
	rm -rf "$WORK/layout.out" "$WORK"/*.tar
	run caisson export -o "$WORK/no/such/dir.tar" "$REF"
	[ "$status" -eq 1 ]
	has "$output" "No such file or directory"
}

@test "prune: what has no tag; with -a what nothing uses, but not what runs" {
	id=$(import_busybox "$REF")
	pod=$(run_pod pruned)
	run_container "$pod" "$REF" . sleep 1000 >/dev/null
	caisson import --which nginx "$IMAGES/layout" x.test/nginx:1 >/dev/null
	same "$(caisson image prune)" "Space given back: 0B" "all have tags"
	has "$(caisson image prune -a --dry-run)" "Would delete: "
	has "$(caisson image prune -a)" " x.test/nginx:1"
	same "$(caisson images -q)" "$id" "what runs stays"
}

@test "verify and repair by the daemon" {
	need_image busybox:1
	ref=$(image busybox:1)
	caisson pull "$ref" >/dev/null 2>&1
	has "$(caisson image verify)" ", 0 damaged, 0 repaired"
	file=$(ls -d "$ROOT"/layers/*/bin/busybox | head -1)
	chmod 700 "$file"
	run caisson image verify "$ref"
	[ "$status" -eq 1 ]
	has "$output" " /bin/busybox: mode"
	has "$(caisson image verify --repair "$ref")" ", 1 damaged, 1 repaired"
	has "$(caisson image verify)" ", 0 damaged, 0 repaired"
	run caisson image verify no.such/image
	[ "$status" -eq 1 ]
}

@test "an image of 300 layers runs" {
	"$TOP/tests/image/make-layers" "$IMAGES/layout" busybox 300 "$WORK/many"
	caisson import "$WORK/many" x.test/many:1 >/dev/null
	pod=$(run_pod many)
	ctr=$(run_container "$pod" x.test/many:1 . sh -c 'ls /layers | wc -l; cat /last; sleep 1000')
	eventually 10 sh -c "[ \$(wc -l <'$WORK/logs/many/main.log') = 2 ]"
	same "$(cut -d' ' -f4 "$WORK/logs/many/main.log" | tr '\n' ' ')" "298 299 " "layers"
	rm -rf "$WORK/many"
}
