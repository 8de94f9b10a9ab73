# Images out of the store and back into it, with skopeo and umoci as referees.

load serve.bash

setup_file() {
	export HERE=$BATS_TEST_DIRNAME TOP=$BATS_TEST_DIRNAME/../..
	export CAISSON_IMAGE=${CAISSON_BUILD:-$TOP/build}/tests/caisson-image
	export MADE=$BATS_FILE_TMPDIR/made
	"$HERE/make-nasty" "$MADE"
}

setup() {
	[ "$(id -u)" = 0 ] || skip "needs root for owners, devices and trusted.* attributes"
	command -v skopeo umoci >/dev/null || skip "needs skopeo and umoci"
	ROOT=$BATS_TEST_TMPDIR/root LOG=$BATS_TEST_TMPDIR/requests T=$BATS_TEST_TMPDIR
}

teardown() { serve_end; }

copy() { skopeo copy -q --insecure-policy "$@"; }

# tree LAYOUT:TAG: what umoci makes of it
tree() {
	rm -rf "$T/unpacked"
	umoci raw unpack --image "$1" "$T/unpacked" >/dev/null
	# implied directories have their times from whoever made them
	"$HERE/tree" "$T/unpacked" --no-time-of-dirs
}

same() {
	[ "$(wc -l <"$1")" -gt 10 ]
	diff "$1" "$2"
}

@test "with its blobs an image goes out and comes back as it is: same digests" {
	export KEEP_BLOBS=1
	id=$(image import "$MADE/nasty" x.y/nasty:1)
	run image export x.y/nasty:1 "$T/out.tar" oci
	[ "${lines[*]}" = "$id $(jq -r '.manifests[0].digest' "$MADE/nasty/index.json") 0" ]
	[ "$(skopeo inspect --raw "oci-archive:$T/out.tar" | sha256sum | cut -d' ' -f1)" = "${lines[1]#sha256:}" ]
	ROOT=$T/second
	[ "$(image import "$T/out.tar")" = "$id" ]
	[ "$(image list | cut -d' ' -f3-)" = "x.y/nasty:1 x.y/nasty@${lines[1]}" ]
	unset KEEP_BLOBS
	[ "$(image import "$MADE/flat" x.y/flat)" != "$id" ]
	image export x.y/flat "$T/dir" oci dir
	copy "oci:$T/dir:latest" "dir:$T/ignored"
	run image export x.y/flat "$T/dir" oci dir
	[[ $output == "EXISTS: export x.y/flat: $T/dir: Directory not empty" ]]
}

@test "without them its layers are made from their trees: other digests, the same files" {
	id=$(image import "$MADE/nasty" x.y/nasty:1)
	tree "$MADE/nasty:t" >"$T/before"
	run image export x.y/nasty:1 "$T/out" oci dir
	[ "${lines[0]}" != "$id" ]
	[ "${lines[2]}" -ge 6 ]
	tree "$T/out:1" >"$T/after"
	same "$T/before" "$T/after"
	# the 8 MiB of holes were not written out
	[ "$(du -sk "$T/out" | cut -f1)" -lt 2000 ]
	# twice the same
	image export x.y/nasty:1 "$T/again" oci dir
	diff -r "$T/out" "$T/again"
	ROOT=$T/second
	image import "$T/out" >/dev/null
	[[ $(image list) == *" x.y/nasty:1 x.y/nasty@sha256:"* ]]
}

@test "docker archives: skopeo reads ours, we read skopeo's" {
	for KEEP_BLOBS in '' 1; do
		[ -n "$KEEP_BLOBS" ] && export KEEP_BLOBS || unset KEEP_BLOBS
		ROOT=$T/root-$KEEP_BLOBS
		id=$(image import "$MADE/nasty" x.y/nasty:1)
		tree "$MADE/nasty:t" >"$T/before"
		rm -f "$T/out.tar"
		run image export x.y/nasty:1 "$T/out.tar" docker
		[ -z "$KEEP_BLOBS" ] || [ "${lines[0]}" = "$id" ]
		rm -rf "$T/oci"
		copy "docker-archive:$T/out.tar" "oci:$T/oci:t"
		tree "$T/oci:t" >"$T/after"
		same "$T/before" "$T/after"
	done
	copy "oci:$MADE/nasty:t" "docker-archive:$T/theirs.tar:z.y/their/name:2"
	ROOT=$T/third
	[ "$(image import "$T/theirs.tar")" = "$id" ]
	[ "$(image list | cut -d' ' -f3-)" = z.y/their/name:2 ]
	[ "$(image import "$T/theirs.tar" q.y/own:3)" = "$id" ]
	[ "$(image list | cut -d' ' -f3-)" = "q.y/own:3 z.y/their/name:2" ]
}

@test "all images of a layout, of its archive and of a docker archive come at once; several want names" {
	copy "oci:$MADE/nasty:t" "oci:$T/both:z.y/nasty:1"
	copy "oci:$MADE/flat:t" "oci:$T/both:z.y/flat:2"
	mapfile -t ids < <(image import "$T/both")
	[ "${#ids[@]}" = 2 ]
	[ "${ids[0]}" != "${ids[1]}" ]
	image list | grep -q " z.y/nasty:1 "
	image list | grep -q " z.y/flat:2 "
	ROOT=$T/second
	tar -C "$T/both" -cf "$T/both.tar" .
	[ "$(image import "$T/both.tar" | tr '\n' ' ')" = "${ids[0]} ${ids[1]} " ]
	run image import "$T/both" q.y/one:1
	[ "$status" = 1 ]
	[[ "$output" == *"several images: say which" ]]
	# two archives of skopeo as one
	mkdir "$T/docker"
	for name in nasty flat; do
		copy "oci:$MADE/$name:t" "docker-archive:$T/$name.tar:w.y/$name:3"
		tar -C "$T/docker" -xf "$T/$name.tar"
		mv "$T/docker/manifest.json" "$T/$name.json"
	done
	jq -s add "$T/nasty.json" "$T/flat.json" >"$T/docker/manifest.json"
	tar -C "$T/docker" -cf "$T/docker.tar" .
	ROOT=$T/third
	[ "$(image import "$T/docker.tar" | tr '\n' ' ')" = "${ids[0]} ${ids[1]} " ]
	image list | grep -q " w.y/flat:3"
	jq '.[1].RepoTags = null' "$T/docker/manifest.json" >"$T/manifest" && mv "$T/manifest" "$T/docker/manifest.json"
	tar -C "$T/docker" -cf "$T/docker.tar" .
	run image import "$T/docker.tar"
	[ "$status" = 1 ]
	[[ "$output" == *"manifest.json lists several images, of which "*" has no name" ]]
}

@test "podman loads ours in both formats, we take what podman saves: one, and several at once" {
	command -v podman >/dev/null || skip "no podman"
	local podman="timeout 60 podman --root $T/pr --runroot $T/prr --tmpdir $T/pt --storage-driver vfs --cgroup-manager cgroupfs"
	image import "$MADE/flat" x.y/flat:1
	for format in docker oci; do
		id=$(image export x.y/flat:1 "$T/out.tar" $format | head -n 1)
		$podman load -q -i "$T/out.tar"
		[ "$($podman images -q --no-trunc)" = "$id" ]
		[ $format = oci ] || $podman rmi -af
		rm "$T/out.tar"
	done
	$podman tag x.y/flat:1 x.y/second:2
	$podman save -q --format oci-archive -o "$T/one.tar" x.y/flat:1
	$podman save -q -m -o "$T/two.tar" x.y/flat:1 x.y/second:2
	ROOT=$T/from-one
	[ "$(image import "$T/one.tar")" = "$id" ]
	ROOT=$T/from-two
	[ "$(image import "$T/two.tar")" = "$id" ]
	image list | grep -q "^$id .* x.y/flat:1 x.y/second:2$"
}

@test "archives that lie are refused by name" {
	mkdir -p "$T/a"
	cd "$T/a"
	echo '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}' >c.json
	echo '[{"Config":"../../../etc/passwd","RepoTags":["x.y/z:1"],"Layers":[]}]' >manifest.json
	tar -cf ../a.tar .
	run image import "$T/a.tar"
	[[ $output == "NOT_FOUND: import $T/a.tar: ../../../etc/passwd: "* ]]
	echo '[{"Config":"c.json","RepoTags":[],"Layers":[]}]' >manifest.json
	tar -cf ../a.tar .
	run image import "$T/a.tar"
	[[ $output == *"does not say its name: give one"* ]]
	echo '[{"Config":"c.json","RepoTags":["x.y/z:1"],"Layers":["c.json"]}]' >manifest.json
	tar -cf ../a.tar .
	run image import "$T/a.tar"
	[[ $output == *"the manifest has 1 layers and the config 0"* ]]
	echo '[{"Config":"c.json","RepoTags":["x.y/z:1"]},{"Config":"c.json","RepoTags":["x.y/z:2"]}]' >manifest.json
	tar -cf ../a.tar .
	run image import "$T/a.tar" q.y/own:1
	[[ $output == *"lists 2 images: say which"* ]]
	[ -z "$(image list)" ]
}

@test "a full disk leaves no part of an export" {
	image import "$MADE/flat" x.y/flat:1 >/dev/null
	mkdir "$T/small"
	run unshare --mount --propagation private bash -c '
		mount -t tmpfs -o size=1m tmpfs "$1"
		"$2" "$3" export x.y/flat:1 "$1/out.tar" oci
		"$2" "$3" export x.y/flat:1 "$1/out" oci dir
		echo "left: $(ls "$1")"
	' full "$T/small" "$CAISSON_IMAGE" "$ROOT"
	[[ ${lines[0]} == "LIMIT: export x.y/flat:1: "*"No space left on device" ]]
	[[ ${lines[1]} == "LIMIT: export x.y/flat:1: "*"No space left on device" ]]
	[ "${lines[2]}" = "left: " ]
}

@test "diff: a container's layer against its image, two images against each other" {
	image import "$MADE/flat" x.y/flat:1 >/dev/null
	image snapshot x.y/flat:1 c1 >"$T/snap"
	upper=$(head -1 "$T/snap")
	mkdir -p "$upper/new" "$upper/many"
	echo 1 >"$upper/new/file"
	echo 2 >"$upper/many/0001"
	mknod "$upper/many/0002" c 0 0
	[ "$(image diff c1 | tr '\n' ,)" = "C /many,C /many/0001,D /many/0002,A /new,A /new/file," ]
	image import "$MADE/deep" x.y/deep:1 >/dev/null
	image diff x.y/flat:1 x.y/deep:1 >"$T/diff"
	[ "$(grep -c '^A ' "$T/diff")" = 301 ]
	[ "$(grep '^D ' "$T/diff" | tr '\n' ,)" = "D /large,D /many," ]
	[ -z "$(image diff x.y/deep:1 x.y/deep:1)" ]
}

@test "several images go into one file, what they share once, and all come back" {
	export KEEP_BLOBS=1
	image import "$MADE/nasty" x.y/nasty:1 >/dev/null
	image import "$MADE/flat" x.y/flat:2 >/dev/null
	image tag x.y/nasty:1 other.z/again:3
	want=$(image list | cut -d' ' -f3- | tr ' ' '\n' | grep -v '@' | sort)
	for format in oci docker; do
		run image export x.y/nasty:1,x.y/flat:2,other.z/again:3 "$T/$format.tar" "$format"
		[ "${#lines[@]}" = "$([ $format = oci ] && echo 9 || echo 6)" ] # no digests in docker's
		[ "${lines[0]}" = "${lines[-$([ $format = oci ] && echo 3 || echo 2)]}" ]
		[ -z "$(tar -tf "$T/$format.tar" | sort | uniq -d)" ]
		(
			ROOT=$T/back-$format
			image import "$T/$format.tar" >/dev/null
			[ "$(image list | cut -d' ' -f3- | tr ' ' '\n' | grep -v '@' | sort)" = "$want" ]
			[[ $(image verify all) == *" 0 0" ]]
		)
	done
	skopeo inspect "oci-archive:$T/oci.tar:2" >/dev/null
	skopeo inspect "docker-archive:$T/docker.tar:other.z/again:3" >/dev/null
	# one that is not there: nothing is written
	run image export x.y/nasty:1,x.y/none:1 "$T/none.tar" oci
	[[ $output == "NOT_FOUND: export"*"x.y/none:1"* ]]
	[ -z "$(ls "$T" | grep none)" ]
}
