# Transfers that break: a lost connection, a stall, another mirror, a daemon that was killed; and
# large blobs in ranges over several connections. What the registry did is in its log.

load serve

setup_file() {
	export HERE=$BATS_TEST_DIRNAME TOP=$BATS_TEST_DIRNAME/../..
	export CAISSON_IMAGE=${CAISSON_BUILD:-$TOP/build}/tests/caisson-image
	export MADE=$BATS_FILE_TMPDIR/made
	mkdir "$MADE"
	big "$MADE/big" 48000000
	big "$MADE/small" 5000000
}

# big DIR BYTES: a layout whose one layer holds so many bytes that do not compress
big() {
	mkdir "$1.tree"
	head -c "$2" /dev/urandom >"$1.tree/data"
	python3 - "$1" <<'PY'
import gzip, hashlib, io, json, os, sys, tarfile
out = sys.argv[1]
os.makedirs(out + "/blobs/sha256")
tar = io.BytesIO()
with tarfile.open(fileobj=tar, mode="w", format=tarfile.GNU_FORMAT) as t:
    t.add(out + ".tree/data", "data")
tar = tar.getvalue()
def put(data, kind):
    digest = hashlib.sha256(data).hexdigest()
    open(f"{out}/blobs/sha256/{digest}", "wb").write(data)
    return {"mediaType": kind, "digest": "sha256:" + digest, "size": len(data)}
layer = put(gzip.compress(tar, 1), "application/vnd.oci.image.layer.v1.tar+gzip")
config = put(json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers",
    "diff_ids": ["sha256:" + hashlib.sha256(tar).hexdigest()]}}).encode(), "application/vnd.oci.image.config.v1+json")
manifest = put(json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": config, "layers": [layer]}).encode(), "application/vnd.oci.image.manifest.v1+json")
json.dump({"schemaVersion": 2, "manifests": [manifest]}, open(out + "/index.json", "w"))
PY
}

setup() {
	[ "$(id -u)" = 0 ] || skip "needs root for owners, devices and trusted.* attributes"
	ROOT=$BATS_TEST_TMPDIR/root
	LOG=$BATS_TEST_TMPDIR/requests
	export HOSTS_DIR=$BATS_TEST_TMPDIR/certs.d
	mkdir "$HOSTS_DIR"
}

teardown() { serve_end; }

same() { # LAYOUT REF: the image's one file is what was packed
	cmp "$1.tree/data" "$(image lowers "$2" | head -n 1)/data"
	[ -z "$(ls "$ROOT/partial" 2>/dev/null)" ]
}

@test "a connection that is lost again and again: each goes on where the last ended" {
	serve "$MADE/small" --cut 1500000 --cuts 3
	image pull "$REG/a:1"
	same "$MADE/small" "$REG/a:1"
	[ "$(grep -c ^range "$LOG")" = 3 ]
	grep -q "^range sha256:[0-9a-f]* bytes=4500000-" "$LOG"
}

@test "a registry without ranges: what is there already is read over" {
	serve "$MADE/small" --cut 1500000 --cuts 2 --no-ranges
	image pull "$REG/a:1"
	same "$MADE/small" "$REG/a:1"
}

@test "a connection that never gives anything new is given up" {
	serve "$MADE/small" --cut 1500000 --cuts 100 --no-ranges
	run image pull "$REG/a:1"
	[ "$status" = 1 ]
	[[ "$output" == "UNAVAILABLE: pull $REG/a:1: layer sha256:"*" of "*" bytes came: $REG: blob sha256:"* ]]
	[ "$(stat -c %s "$ROOT"/partial/*)" = 1500000 ]
}

@test "another range than the one that was asked for is not taken" {
	serve "$MADE/small" --cut 1500000 --cuts 1 --wrong-range
	run image pull "$REG/a:1"
	[ "$status" = 1 ]
	[[ "$output" == *"answered with bytes 1500001-"*", asked for 1500000-"* ]]
	[ "$(image list | wc -l)" = 0 ]
}

@test "a stall is noticed by what came before it, and gone on with at the next mirror" {
	serve "$MADE/small" --hold 60
	slow=$REG
	serve "$MADE/small"
	mkdir "$HOSTS_DIR/nowhere.invalid"
	printf '[host."http://%s"]\n[host."http://%s"]\n' "$slow" "$REG" >"$HOSTS_DIR/nowhere.invalid/hosts.toml"
	start=$SECONDS
	STALL=20 image pull nowhere.invalid/a:1
	[ $((SECONDS - start)) -lt 15 ]
	same "$MADE/small" nowhere.invalid/a:1
	[ "$(grep -c "blobs/.*ns=nowhere" "$LOG")" = 3 ]
}

@test "a mirror with another blob under the digest: the next one is asked for all of it" {
	serve "$MADE/small" --flip 2000000
	bad=$REG
	serve "$MADE/small"
	mkdir "$HOSTS_DIR/nowhere.invalid"
	printf '[host."http://%s"]\n[host."http://%s"]\n' "$bad" "$REG" >"$HOSTS_DIR/nowhere.invalid/hosts.toml"
	image pull nowhere.invalid/a:1
	same "$MADE/small" nowhere.invalid/a:1
	run image pull "$bad/a:1"
	# the layer is here by its other name; a root of its own must fetch it
	ROOT=$BATS_TEST_TMPDIR/other
	run image pull "$bad/a:1"
	[[ "$output" == "CORRUPT: pull $bad/a:1: layer sha256:"* ]]
	[ -z "$(ls "$ROOT/partial")" ]
}

@test "killed in mid-blob: the next start goes on from there" {
	serve "$MADE/small" --rate 2000000
	"$CAISSON_IMAGE" "$ROOT" pull "$REG/a:1" 3>&- &
	pid=$!
	for _ in $(seq 200); do
		[ "$(stat -c %s "$ROOT"/partial/* 2>/dev/null || echo 0)" -gt 1500000 ] && break
		sleep 0.05
	done
	kill -9 $pid
	wait $pid || true
	[ "$(image list | wc -l)" = 0 ]
	have=$(stat -c %s "$ROOT"/partial/*)
	[ "$have" -gt 1500000 ]
	serve "$MADE/small"
	image pull "$REG/a:1"
	same "$MADE/small" "$REG/a:1"
	grep -q "^range sha256:[0-9a-f]* bytes=$have-" "$LOG"
}

@test "what was left is damaged: it is fetched again, once" {
	serve "$MADE/small" --cut 3000000 --cuts 100 --no-ranges
	run image pull "$REG/a:1"
	[ "$status" = 1 ]
	printf '\x00\x01\x02' | dd of="$(ls -d "$ROOT"/partial/*)" bs=1 seek=1000000 conv=notrunc status=none
	: >"$LOG"
	serve "$MADE/small"
	image pull "$REG/a:1"
	same "$MADE/small" "$REG/a:1"
}

@test "a cancelled pull comes back within a second and leaves what can be gone on with" {
	serve "$MADE/big" --rate 4000000
	run image cancel 1500 "$REG/a:1"
	[ "$status" -ne 0 ]
	[ "${lines[-1]}" -lt 1000 ]
	[ "$(image list | wc -l)" = 0 ]
	[ -z "$(ls "$ROOT/layers" | grep -v '^0$')" ]
	[ "$(ls "$ROOT/partial" | wc -l)" = 1 ]
}

@test "a large blob comes in ranges over several connections, also when some of them break" {
	serve "$MADE/big" --cut 1500000 --cuts 5
	image pull "$REG/a:1"
	same "$MADE/big" "$REG/a:1"
	[ "$(grep -c ^range "$LOG")" -ge 28 ]
}

@test "a large blob from a registry without ranges" {
	serve "$MADE/big" --no-ranges
	image pull "$REG/a:1"
	same "$MADE/big" "$REG/a:1"
}

@test "ten pulls of a large image at once fetch it once" {
	serve "$MADE/big"
	image pulls "$REG/a:1" "$REG/a:1" "$REG/b:1" "$REG/c:1" "$REG/a:1" "$REG/d:1" "$REG/e:1" "$REG/a:1" "$REG/f:1" "$REG/g:1"
	[ "$(grep ^range "$LOG" | sort -u | wc -l)" = "$(grep -c ^range "$LOG")" ]
}

@test "a pull of a large layer stays within 64 MiB" {
	if ldd "$CAISSON_IMAGE" | grep -qE 'lib[at]san'; then skip "sanitizers have memory of their own"; fi
	serve "$MADE/big"
	run python3 - "$CAISSON_IMAGE" "$ROOT" pull "$REG/a:1" <<-'END'
		import resource, subprocess, sys
		subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
		print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
	END
	echo "$output kB"
	[ "$output" -lt 65536 ]
}

@test "a small image is not behind large ones that the same process pulls" {
	# what one image has with all its connections busy
	serve "$MADE/big" --rate 300000
	large=$REG
	serve "$MADE/small"
	# small: 5 MB, which alone takes a fraction of a second; the large one would take a minute
	run image beside "$large/a:1" "$REG/b:1"
	echo "$output"
	[ "$status" = 0 ]
	[[ "$output" == *" beside" ]]
	[ "${output%% *}" -lt 20000 ]
	[ "$(image list | wc -l)" = 1 ]
}

@test "a range that is much slower than the others is asked for at the next host" {
	serve "$MADE/big" --slow 8388608 40000 100
	slow=$REG
	serve "$MADE/big"
	mkdir "$HOSTS_DIR/nowhere.invalid"
	printf '[host."http://%s"]\n[host."http://%s"]\n' "$slow" "$REG" >"$HOSTS_DIR/nowhere.invalid/hosts.toml"
	# at 40 kB a second these two MiB take 52 s
	start=$SECONDS
	image pull nowhere.invalid/a:1
	[ $((SECONDS - start)) -lt 50 ]
	same "$MADE/big" nowhere.invalid/a:1
	# once, from where the first had come to
	[ "$(grep -cE "^range .* bytes=[0-9]+-10485759$" "$LOG")" = 2 ]
	grep -qE "^range .* bytes=8388608-10485759$" "$LOG"
}

@test "a range that is slow at the only host is asked for there once more" {
	serve "$MADE/big" --slow 8388608 40000 1
	start=$SECONDS
	image pull "$REG/a:1"
	[ $((SECONDS - start)) -lt 50 ]
	same "$MADE/big" "$REG/a:1"
	[ "$(grep -cE "^range .* bytes=[0-9]+-10485759$" "$LOG")" = 2 ]
}
