# The image room by itself: what is pulled and unpacked, held against umoci; what registries
# do wrong; what is left when something fails. One private root a test, loopback only.

load serve
load mount

setup_file() {
	export HERE=$BATS_TEST_DIRNAME TOP=$BATS_TEST_DIRNAME/../..
	export CAISSON_IMAGE=${CAISSON_BUILD:-$TOP/build}/tests/caisson-image
	export MADE=$BATS_FILE_TMPDIR/made
	"$HERE/make-nasty" "$MADE"
}

setup() {
	[ "$(id -u)" = 0 ] || skip "needs root for owners, devices and trusted.* attributes"
	ROOT=$BATS_TEST_TMPDIR/root
	LOG=$BATS_TEST_TMPDIR/requests
}

teardown() {
	mountpoint -q "$BATS_TEST_TMPDIR/merged" && umount "$BATS_TEST_TMPDIR/merged"
	serve_end
}

same_as_umoci() { # LAYOUT TAG REF
	mount_image "$3"
	umoci raw unpack --image "$1:$2" "$BATS_TEST_TMPDIR/umoci" >/dev/null
	# umoci touches a directory when a later layer adds to it without an entry for it
	"$HERE/tree" "$BATS_TEST_TMPDIR/umoci" --no-time-of-dirs >"$BATS_TEST_TMPDIR/theirs"
	"$HERE/tree" "$BATS_TEST_TMPDIR/merged" --no-time-of-dirs >"$BATS_TEST_TMPDIR/ours"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/ours")" -gt 10 ]
	diff "$BATS_TEST_TMPDIR/theirs" "$BATS_TEST_TMPDIR/ours"
}

nothing_left() {
	[ -z "$(image list)" ] || { image list; false; }
	[ "$(ls "$ROOT/layers")" = 0 ] || { ls -R "$ROOT/layers"; false; }
	[ -z "$(ls "$ROOT/blobs/sha256" "$ROOT/snapshots" "$ROOT/trash" | grep -v :)" ]
}

@test "layers that overwrite, hide and replace each other unpack as umoci unpacks them" {
	serve "$MADE/nasty"
	image pull "$REG/nasty:t"
	same_as_umoci "$MADE/nasty" t "$REG/nasty:t"
	# and what umoci cannot show
	[ "$(stat -c %b "$BATS_TEST_TMPDIR/merged/holes")" -lt 100 ]
	[ "$(stat -c %a:%u:%g "$BATS_TEST_TMPDIR/merged")" = 711:3:4 ]
}

@test "an image of Debian packages, pushed by skopeo to a docker-registry, is as umoci unpacks it" {
	command -v docker-registry >/dev/null || skip "no docker-registry"
	export LIB=$TOP/tests/lib CAISSON_TEST_CACHE=${CAISSON_TEST_CACHE:-/var/cache/caisson-tests}
	# shellcheck source=tests/lib/images.bash
	. "$LIB/images.bash"
	images_ensure
	port=$((20000 + RANDOM % 10000))
	cp -r "$IMAGES/registry" "$BATS_TEST_TMPDIR/storage"
	REGISTRY_HTTP_ADDR=127.0.0.1:$port REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=$BATS_TEST_TMPDIR/storage \
		docker-registry serve "$LIB/registry.yml" >/dev/null 2>&1 3>&- &
	echo $! >"$BATS_TEST_TMPDIR/pid.$!"
	for _ in $(seq 100); do curl -sf "http://127.0.0.1:$port/v2/" && break; sleep 0.05; done
	one=$(image pull "127.0.0.1:$port/nginx:1")
	# the same by schema 2, by zstd and plain layers, by indexes with a decoy first
	for tag in docker mixed multi docker-multi; do
		[ "$(image pull "127.0.0.1:$port/nginx:$tag")" = "$one" ]
	done
	same_as_umoci "$IMAGES/layout" nginx "127.0.0.1:$port/nginx:1"
	[ "$(image list | wc -l)" = 1 ]
}

@test "by digest: no tag, one digest name; by tag: both; removal takes all names" {
	serve "$MADE/flat"
	digest=$(jq -r '.manifests[0].digest' "$MADE/flat/index.json")
	id=$(image pull "$REG/flat@$digest")
	[ "$(image list | cut -d' ' -f3-)" = "$REG/flat@$digest" ]
	[ "$(image pull "$REG/flat:t")" = "$id" ]
	[ "$(image pull "$REG/other")" = "$id" ]
	[ "$(image list | cut -d' ' -f3-)" = "$REG/flat:t $REG/other:latest $REG/flat@$digest $REG/other@$digest" ]
	for name in "$id" "${id#sha256:}" "${id:7:12}" "$REG/flat:t" "$REG/other" "$REG/other@$digest"; do
		[ "$(image inspect "$name" | sed -n 's/^id //p')" = "$id" ]
	done
	image inspect "$id" | grep -qx 'uid 1000'
	image rm "${id:7:12}"
	image rm "${id:7:12}"
	nothing_left
}

@test "an image goes while a snapshot stands on it; its layers go with the snapshot" {
	serve "$MADE/nasty"
	image pull "$REG/nasty:t"
	image snapshot "$REG/nasty:t" c1 >"$BATS_TEST_TMPDIR/snap"
	image rm "$REG/nasty:t"
	[ -z "$(image list)" ]
	tail -n +3 "$BATS_TEST_TMPDIR/snap" | while read -r lower; do [ -d "$lower" ]; done
	image unsnapshot c1
	nothing_left
}

@test "300 layers stack" {
	serve "$MADE/deep"
	image pull "$REG/deep:t"
	mount_image "$REG/deep:t"
	[ "$(ls "$BATS_TEST_TMPDIR/merged" | wc -l)" = 301 ]
	[ "$(cat "$BATS_TEST_TMPDIR/merged/last")" = 299 ]
}

@test "a second pull fetches one manifest and nothing else" {
	serve "$MADE/flat"
	image pull "$REG/flat:t"
	: >"$LOG"
	image pull "$REG/flat:t"
	[ "$(cat "$LOG")" = "/v2/flat/manifests/t -" ]
}

@test "ten pulls at once cost one" {
	serve "$MADE/nasty" --hold 0.2
	[ "$(image pulls "$REG"/nasty:{t,t,t,t,t,t,t,t,t,t} | sort -u | wc -l)" = 1 ]
	[ "$(grep -c manifests/t "$LOG")" = 1 ]
	[ "$(grep -c blobs/ "$LOG")" = "$(sort -u "$LOG" | grep -c blobs/)" ]
	image rm "$REG/nasty:t"
	: >"$LOG"
	# other names, the same layers
	image pulls "$REG"/{a,b,c}/nasty:t
	[ "$(grep blobs/ "$LOG" | sed 's/.*blobs//' | sort | uniq -d | grep -vc "$(jq -r .config.digest "$MADE/nasty/blobs/sha256/$(jq -r '.manifests[0].digest[7:]' "$MADE/nasty/index.json")")")" = 0 ]
	[ "$(image list | wc -w)" = 8 ]
}

@test "pull and remove against each other leave one or nothing, never a part" {
	serve "$MADE/nasty"
	image churn "$REG/nasty:t"
	image rm "$REG/nasty:t"
	nothing_left
}

@test "a cancelled pull comes back at once and leaves nothing of a small layer" {
	serve "$MADE/flat" --hold 60
	run image cancel 500 "$REG/flat:t"
	[ "$status" -ne 0 ]
	[[ $output == *"CANCELLED: pull $REG/flat:t: cancelled"* ]]
	[ "${lines[-1]}" -lt 500 ]
	nothing_left
}

@test "Basic: asked, given; without or with wrong credentials the answer says whose and why" {
	serve "$MADE/flat" --basic me:secret
	AUTH=me:secret image pull "$REG/flat:t"
	run image pull "$REG/flat:t"
	[ "$status" -ne 0 ]
	[[ $output == *"DENIED: pull $REG/flat:t: $REG: manifest t: asks for a user name and password (no credentials for it are known)"* ]]
	AUTH=me:wrong run image pull "$REG/flat:t"
	[[ $output == *"DENIED"*"status 401"*"who are you"*" (credentials from the request)" ]]
}

@test "Bearer: anonymous and with credentials; the token server's refusal is told" {
	serve "$MADE/flat" --token :
	image pull "$REG/flat:t"
	grep -q '^/token?service=test&scope=repository%3Aflat%3Apull -$' "$LOG"
	image rm "$REG/flat:t"
	serve "$MADE/flat" --token me:secret
	AUTH=me:secret image pull "$REG/flat:t"
	AUTH=me:wrong run image pull "$REG/flat:t"
	[[ $output == *"DENIED"*"token server http://$REG/token: status 401: no such user (credentials from the request)" ]]
}

@test "a redirect to another host carries no credentials" {
	serve "$MADE/flat" --basic me:secret --redirect
	AUTH=me:secret image pull "$REG/flat:t"
	grep -q '^other .*blobs/.* -$' "$LOG"
	! grep '^other' "$LOG" | grep -q Basic
}

@test "a redirect to a host that asks who we are: it is not told, nor whom it names" {
	serve "$MADE/flat" --token me:secret --redirect --challenge
	AUTH=me:secret run image pull "$REG/flat:t"
	[ "$status" = 1 ]
	[[ $output == *"DENIED: pull $REG/flat:t: $REG: blob sha256:"*"unauthorized (status 401"* ]]
	grep -q '^other /v2/flat/blobs/sha256:[0-9a-f]* -$' "$LOG"
	[ -z "$(grep '^other /token' "$LOG")" ]
	[ -z "$(grep '^other .*\(Basic\|Bearer\)' "$LOG")" ]
}

@test "503 with Retry-After is waited for" {
	serve "$MADE/flat" --busy 2
	image pull "$REG/flat:t"
	[ "$(grep -c manifests "$LOG")" = 3 ]
}

@test "TLS: an own authority, none, and any" {
	openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=registry -addext subjectAltName=IP:127.0.0.1 \
		-keyout "$BATS_TEST_TMPDIR/key" -out "$BATS_TEST_TMPDIR/cert" 2>/dev/null
	serve "$MADE/flat" --tls "$BATS_TEST_TMPDIR/cert" "$BATS_TEST_TMPDIR/key"
	run image pull "$REG/flat:t"
	[ "$status" -ne 0 ]
	[[ $output == *"DENIED"*"$REG"*"certificate"* ]]
	CA_FILE=$BATS_TEST_TMPDIR/cert image pull "$REG/flat:t"
	image rm "$REG/flat:t"
	INSECURE=$REG image pull "$REG/flat:t"
}

@test "a registry that stops in mid-layer: the error names the layer and what is missing" {
	serve "$MADE/flat" --hold 60
	STALL=1 run image pull "$REG/flat:t"
	[ "$status" -ne 0 ]
	layer=$(jq -r '.layers[0].digest' "$MADE/flat/blobs/sha256/$(jq -r '.manifests[0].digest[7:]' "$MADE/flat/index.json")")
	[[ $output == *"UNAVAILABLE: pull $REG/flat:t: layer $layer: "*" of "*" bytes came: $REG: "*"stopped sending"* ]]
	nothing_left
}

@test "a layer that is cut short, changed or not what the config says leaves nothing" {
	serve "$MADE/flat" --truncate 600
	run image pull "$REG/flat:t"
	[[ $output == *"CORRUPT"* ]]
	nothing_left
	cp -r "$MADE/flat" "$BATS_TEST_TMPDIR/bad"
	layer=$(jq -r '.layers[0].digest[7:]' "$MADE/flat/blobs/sha256/$(jq -r '.manifests[0].digest[7:]' "$MADE/flat/index.json")")
	printf '\x55' | dd of="$BATS_TEST_TMPDIR/bad/blobs/sha256/$layer" bs=1 seek=100000 conv=notrunc status=none
	serve "$BATS_TEST_TMPDIR/bad"
	run image pull "$REG/flat:t"
	[[ $output == *"CORRUPT: pull $REG/flat:t: layer sha256:$layer: what came has digest"* ]]
	nothing_left
}

@test "a manifest that is not what its digest says is refused" {
	cp -r "$MADE/flat" "$BATS_TEST_TMPDIR/bad"
	digest=$(jq -r '.manifests[0].digest' "$MADE/flat/index.json")
	echo >>"$BATS_TEST_TMPDIR/bad/blobs/sha256/${digest#sha256:}"
	serve "$BATS_TEST_TMPDIR/bad"
	run image pull "$REG/flat@$digest"
	[[ $output == *"CORRUPT"*"manifest: what came has digest"*"not $digest"* ]]
	nothing_left
}

@test "schema 1 is refused with a sentence" {
	serve "$MADE/flat" --type application/vnd.docker.distribution.manifest.v1+prettyjws
	run image pull "$REG/flat:t"
	[[ $output == *"UNSUPPORTED"*"schema 1"* ]]
}

@test "a layer over its bound is refused, and its space given back" {
	serve "$MADE/flat"
	LAYER_BYTES=1000000 run image pull "$REG/flat:t"
	[[ $output == *"LIMIT: pull $REG/flat:t: layer sha256:"*"1000000 bytes"* ]]
	nothing_left
}

@test "a full disk: the error says so, nothing is published, the space is free again" {
	serve "$MADE/flat"
	mkdir "$ROOT"
	# a mount namespace of its own: the small file system goes with it
	run unshare --mount --propagation private bash -c '
		mount -t tmpfs -o size=2m,nr_inodes=5k tmpfs "$1"
		"$2" "$1" pull "$3"
		echo "left: $(ls "$1/layers") $("$2" "$1" list) $(df --output=used "$1" | tail -1)"
	' full "$ROOT" "$CAISSON_IMAGE" "$REG/flat:t"
	[[ $output == *"LIMIT: pull $REG/flat:t: layer sha256:"*"No space left on device"* ]]
	[[ $output =~ left:\ 0\ +([0-9]+) ]]
	[ "${BASH_REMATCH[1]}" -lt 500 ]
}

@test "import: a layout and its archive are the image that a pull gives" {
	serve "$MADE/nasty"
	id=$(image pull "$REG/nasty:t")
	[ "$(image import "$MADE/nasty" example.org/imported:1)" = "$id" ]
	tar -C "$MADE/nasty" -cf "$BATS_TEST_TMPDIR/archive.tar" .
	ROOT=$BATS_TEST_TMPDIR/second
	[ "$(image import "$BATS_TEST_TMPDIR/archive.tar" example.org/imported:1)" = "$id" ]
	[[ $(image list) == *" example.org/imported:1 example.org/imported@sha256:"* ]]
	[ "$(ls "$ROOT/layers" | wc -l)" = 8 ]
	run image import "$MADE/nasty"
	[[ $output == *"give one"* ]]
}

@test "killed in the middle of a pull: the next start has nothing of it" {
	serve "$MADE/flat" --hold 20
	"$CAISSON_IMAGE" "$ROOT" pull "$REG/flat:t" 3>&- &
	pid=$!
	for _ in $(seq 200); do
		[ -n "$(ls "$ROOT/layers/1" 2>/dev/null)" ] && break
		sleep 0.05
	done
	[ -n "$(ls "$ROOT/layers/1")" ]
	kill -9 $pid
	wait $pid || true
	nothing_left
}
