# Garbage collection of images: what goes when the disk is full, and what never does.

setup_file() {
	export HERE=$BATS_TEST_DIRNAME TOP=$BATS_TEST_DIRNAME/../..
	export CAISSON_IMAGE=${CAISSON_BUILD:-$TOP/build}/tests/caisson-image
	export MADE=$BATS_FILE_TMPDIR/made
	mkdir "$MADE"
	# three images of 3 MiB each that share a layer of 1 MiB
	python3 - "$MADE" <<'PY'
import hashlib, io, json, os, platform, sys, tarfile
arch = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
def tar(name, size):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as t:
        info = tarfile.TarInfo(name)
        info.size = size
        t.addfile(info, io.BytesIO(os.urandom(size)))
    return out.getvalue()
shared = tar("shared", 1 << 20)
for name in ("a", "b", "c"):
    out = f"{sys.argv[1]}/{name}"
    os.makedirs(f"{out}/blobs/sha256")
    def blob(data):
        digest = hashlib.sha256(data).hexdigest()
        open(f"{out}/blobs/sha256/{digest}", "wb").write(data)
        return {"digest": "sha256:" + digest, "size": len(data)}
    layers = [shared, tar(name, 2 << 20)]
    config = {"architecture": arch, "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [blob(l)["digest"] for l in layers]}}
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **blob(json.dumps(config).encode())},
                "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", **blob(l)} for l in layers]}
    index = {"schemaVersion": 2, "manifests": [{"mediaType": manifest["mediaType"], **blob(json.dumps(manifest).encode())}]}
    json.dump(index, open(f"{out}/index.json", "w"))
    open(f"{out}/oci-layout", "w").write('{"imageLayoutVersion": "1.0.0"}')
PY
}

setup() {
	[ "$(id -u)" = 0 ] || skip "needs root for trusted.* attributes"
	ROOT=$BATS_TEST_TMPDIR/root LOG=$BATS_TEST_TMPDIR/requests
}

load serve.bash

teardown() { serve_end; }

names() { image list | cut -d' ' -f3 | tr '\n' ' '; }

three() {
	for name in a b c; do
		image import "$MADE/$name" "x.y/$name:1" >/dev/null
	done
}

@test "all that nothing uses goes, but what a container stands on and what is pinned" {
	three
	image snapshot x.y/a:1 c1 >/dev/null
	export PINNED=x.y/b:1
	[ "$(image collect 0 0 dry | head -1)" = x.y/c:1 ]
	[ "$(names)" = "x.y/a:1 x.y/b:1 x.y/c:1 " ]
	run image collect 0 0
	[ "${lines[0]}" = x.y/c:1 ]
	# its own layer; the shared one stays
	[ "${lines[1]}" -gt 2000000 ]
	[ "${lines[1]}" -lt 2200000 ]
	[ "$(names)" = "x.y/a:1 x.y/b:1 " ]
	image unsnapshot c1
	unset PINNED
	image collect 0 0
	[ -z "$(names)" ]
	[ "$(ls "$ROOT/layers")" = 0 ]
	[ "$(image usage)" = "0 0" ]
}

@test "the least recently used goes first, and only until there is room" {
	mkdir "$ROOT"
	run unshare --mount --propagation private bash -euc '
		image() { "$CAISSON_IMAGE" "$1" "${@:2}"; }
		mount -t tmpfs -o size=10m tmpfs "$1"
		for name in a b c; do image "$1" import "$MADE/$name" "x.y/$name:1"; done
		# a is used again, b is now the oldest
		image "$1" snapshot x.y/a:1 c1 >/dev/null
		image "$1" unsnapshot c1
		echo "below: $(image "$1" collect 99 50 | tr "\n" " ")"
		echo "above: $(image "$1" collect 60 55 | head -1)"
		echo "left: $(image "$1" list | cut -d" " -f3 | tr "\n" " ")"
	' collect "$ROOT"
	echo "$output"
	[[ $output == *"below: 0 "* ]]
	[[ $output == *"above: x.y/b:1"* ]]
	[[ $output == *"left: x.y/a:1 x.y/c:1 "* ]]
}

@test "a pull that fills the disk over the threshold makes room by itself, young images stay" {
	mkdir "$ROOT"
	run unshare --mount --propagation private bash -euc '
		image() { "$CAISSON_IMAGE" "$1" "${@:2}"; }
		mount -t tmpfs -o size=10m tmpfs "$1"
		image "$1" import "$MADE/a" x.y/a:1
		image "$1" import "$MADE/b" x.y/b:1
		# a was last used an hour ago
		python3 -c "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(\"UPDATE image SET used = used - 3600000000000 WHERE num = 1\"); c.commit()" "$1/meta.db"
		GC_HIGH=60 GC_LOW=20 image "$1" import "$MADE/c" x.y/c:1
		echo "left: $(image "$1" list | cut -d" " -f3 | tr "\n" " ")"
	' collect "$ROOT"
	echo "$output"
	[[ $output == *"left: x.y/b:1 x.y/c:1 "* ]]
}

@test "only what has no tag, when asked so" {
	three
	python3 -c "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(\"DELETE FROM ref WHERE name = 'x.y/b:1'\"); c.commit()" "$ROOT/meta.db"
	[[ $(image collect 0 0 untagged | head -1) == x.y/b@sha256:* ]]
	[ "$(names)" = "x.y/a:1 x.y/c:1 " ]
}

@test "collecting against pulls of the same image: it is there whole, or not at all" {
	serve "$MADE/a"
	image churn "$REG/a:latest" collect
	image collect 0 0 >/dev/null
	[ "$(ls "$ROOT/layers")" = 0 ]
	[ -z "$(ls "$ROOT/blobs/sha256" "$ROOT/trash" | grep -v :)" ]
	image pull "$REG/a:latest"
	[ "$(image snapshot "$REG/a" c1 | tail -n +3 | while read -r lower; do ls "$lower"; done | tr '\n' ' ')" = "a shared " ]
}

@test "what unfinished pulls have left goes before any image" {
	mkdir "$ROOT"
	run unshare --mount --propagation private bash -euc '
		image() { "$CAISSON_IMAGE" "$1" "${@:2}"; }
		mount -t tmpfs -o size=10m tmpfs "$1"
		for name in a b; do image "$1" import "$MADE/$name" "x.y/$name:1"; done
		mkdir "$1/partial"
		head -c 2000000 /dev/zero >"$1/partial/$(printf "%064d" 1)"
		# a pull has this one
		head -c 100000 /dev/zero >"$1/partial/$(printf "%064d" 2)"
		exec 8<"$1/partial/$(printf "%064d" 2)"
		flock 8
		echo "collected: $(image "$1" collect 60 59 | tr "\n" " ")"
		echo "left: $(image "$1" list | cut -d" " -f3 | tr "\n" " ")"
		echo "partial: $(ls "$1/partial")"
	' collect "$ROOT"
	echo "$output"
	[[ $output == *"collected: 20"* ]]
	[[ $output == *"left: x.y/a:1 x.y/b:1 "* ]]
	[[ $output == *"partial: $(printf "%064d" 2)"* ]]
}
