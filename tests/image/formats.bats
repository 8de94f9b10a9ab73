# The forms that images come in, and those that are refused: each is pulled from a registry.

load serve

setup_file() {
	export HERE=$BATS_TEST_DIRNAME TOP=$BATS_TEST_DIRNAME/../..
	export CAISSON_IMAGE=${CAISSON_BUILD:-$TOP/build}/tests/caisson-image
	export MADE=$BATS_FILE_TMPDIR/made
	[ "$(uname -m)" = x86_64 ] || skip "the images are for amd64"
	"$HERE/make-formats" "$MADE"
}

setup() {
	[ "$(id -u)" = 0 ] || skip "needs root for owners, devices and trusted.* attributes"
	ROOT=$BATS_TEST_TMPDIR/root
	LOG=$BATS_TEST_TMPDIR/requests
}

teardown() { serve_end; }

@test "nested indexes, docker's lists, variants, zstd in frames, plain tar: the image for this machine" {
	for form in nested docker variants zstd plain; do
		serve "$MADE/$form"
		image pull "$REG/$form:t"
		[ "$(head -n 1 "$(image lowers "$REG/$form:t" | head -n 1)/file")" = "this is right" ]
		image inspect "$REG/$form:t" | grep -q '"N=right"'
		image rm "$REG/$form:t"
	done
}

@test "by name, tag and digest: what the digest says, under the digest's name" {
	serve "$MADE/nested"
	top=$(jq -r '.manifests[0].digest' "$MADE/nested/index.json")
	image pull "$REG/a/b:whatever@$top"
	image list | grep -q " $REG/a/b@$top$"
	grep -q "^/v2/a/b/manifests/$top -$" "$LOG"
	[ -z "$(grep whatever "$LOG")" ]
	run image pull "$REG/a/b@sha256:$(printf %064d 1)"
	[[ "$output" == "NOT_FOUND: pull $REG/a/b@sha256:0"*": $REG: manifest sha256:0"*"not found"* ]]
}

@test "two names for one image, pulled twice: one id, both names" {
	serve "$MADE/plain"
	one=$(image pull "$REG/a:1")
	two=$(image pull "$REG/b:2")
	[ "$one" = "$two" ]
	[ "$(image list | wc -l)" = 1 ]
	image list | grep -q " $REG/a:1 $REG/b:2 "
}

@test "what is no image for this machine is refused with a sentence, and leaves nothing" {
	while read -r form kind words; do
		serve "$MADE/$form"
		run image pull "$REG/$form:t"
		echo "$form: $output"
		[ "$status" = 1 ]
		[[ "$output" == "$kind: pull $REG/$form:t: "*"$words"* ]]
		[ "$(image list | wc -l)" = 0 ]
		[ -z "$(ls "$ROOT/layers" | grep -v '^0$')" ]
	done <<-END
		other-platform NOT_FOUND arm64
		foreign UNSUPPORTED foreign
		encrypted UNSUPPORTED encrypted layers (application/vnd.oci.image.layer.v1.tar+gzip+encrypted) are not supported
		artifact UNSUPPORTED not an image that can be run: an artifact of type "application/vnd.example.sbom"
		chart UNSUPPORTED not an image that can be run: an artifact of type "application/vnd.cncf.helm.config.v1+json"
		endless INVALID indexes are nested too deep
	END
}

@test "names that are none are refused before anything is asked" {
	for name in 'x/Upper' 'a//b' 'a/../b' 'x/y:' 'x@sha256:12' 'x:y z' 'http://x/y' '-x/y' 'x/y@md5:00' "$(printf %0300d 0)"; do
		run image pull "$name"
		[ "$status" = 1 ]
		[[ "$output" == "INVALID: pull "* ]]
	done
}
