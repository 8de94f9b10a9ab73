# Damage in the store: what verify finds, and what a repair fetches.

load serve.bash

setup_file() {
	export HERE=$BATS_TEST_DIRNAME TOP=$BATS_TEST_DIRNAME/../..
	export CAISSON_IMAGE=${CAISSON_BUILD:-$TOP/build}/tests/caisson-image
	export MADE=$BATS_FILE_TMPDIR/made
	"$HERE/make-nasty" "$MADE"
}

setup() {
	[ "$(id -u)" = 0 ] || skip "needs root for owners, devices and trusted.* attributes"
	ROOT=$BATS_TEST_TMPDIR/root LOG=$BATS_TEST_TMPDIR/requests
}

teardown() { serve_end; }

# the directory of the one layer that has PATH, and not NOT
layer_with() { # PATH [NOT]
	local dir
	for dir in "$ROOT"/layers/*; do
		[ -e "$dir/$1" ] && [ ! -e "$dir/${2:-no/such}" ] && echo "$dir" && return
	done
}

whole() {
	run image verify all
	[ "${#lines[@]}" = 1 ] || { echo "$output"; false; }
	[[ ${lines[0]} == *" 0 0" ]]
}

@test "a fresh image is whole, whatever is in it" {
	serve "$MADE/nasty"
	image pull "$REG/nasty:t"
	whole
	image import "$MADE/flat" x.y/flat:1
	image import "$MADE/deep" x.y/deep:1
	whole
}

@test "a flipped byte, a missing file, a wrong mode, owner, time, attribute, link, one too many: each is found" {
	serve "$MADE/nasty"
	image pull "$REG/nasty:t"
	cap=$(layer_with cap) base=$(layer_with becomes-file/x) holes=$(layer_with holes below-holes)
	python3 - "$holes/holes" <<'PY'
import os, sys
st = os.stat(sys.argv[1])
with open(sys.argv[1], "r+b") as f:
    f.seek((3 << 20) + 2)
    byte = f.read(1)
    f.seek(-1, 1)
    f.write(bytes([byte[0] ^ 1]))
os.utime(sys.argv[1], ns=(st.st_atime_ns, st.st_mtime_ns))
PY
	run image verify "$REG/nasty:t"
	[ "${#lines[@]}" = 2 ]
	[[ ${lines[0]} == *"/holes: content" ]]
	[[ ${lines[1]} == *" 1 0" ]]
	rm "$base/stay"
	chmod 600 "$base/usr/lib/one"
	chown 9 "$base/gone/b"
	chmod 700 "$base/tmp"
	echo more >>"$cap/nano"
	touch -d @1 "$cap/twice"
	setfattr -n user.a -v z "$cap/cap"
	ln -sfn else/where "$cap/broken"
	rm "$cap/dev-c"
	mknod "$cap/dev-c" c 1 3
	echo extra >"$cap/extra"
	run image verify all
	for expected in "/holes: content" "/stay: missing" "/usr/lib/one: mode" "/gone/b: owner" "/tmp: mode" "/nano: size" "/twice: time" \
		"/cap: attributes" "/broken: " "/dev-c: " "/extra: not part of it"; do
		[[ $output == *"$expected"* ]] || { echo "no $expected in"; echo "$output"; false; }
	done
	[[ ${lines[-1]} == *" 3 0" ]]
}

@test "repair fetches the damaged layer and nothing else" {
	serve "$MADE/nasty"
	image pull "$REG/nasty:t"
	"$HERE/tree" "$(layer_with becomes-file/x)" --no-time-of-dirs >"$BATS_TEST_TMPDIR/before"
	image snapshot "$REG/nasty:t" c1 >"$BATS_TEST_TMPDIR/snap"
	rm "$(layer_with becomes-file/x)/stay"
	: >"$LOG"
	run image verify "$REG/nasty:t" repair
	[ "$status" -eq 0 ]
	[[ ${lines[-1]} == *" 1 1" ]]
	[ "$(grep -c /blobs/ "$LOG")" = 1 ]
	whole
	"$HERE/tree" "$(layer_with stay below-1)" --no-time-of-dirs >"$BATS_TEST_TMPDIR/after"
	diff "$BATS_TEST_TMPDIR/before" "$BATS_TEST_TMPDIR/after"
	# what stands on the damaged one keeps it, and it goes with it
	tail -n +3 "$BATS_TEST_TMPDIR/snap" | while read -r lower; do [ -d "$lower" ]; done
	n=$(ls "$ROOT/layers" | wc -l)
	image unsnapshot c1
	[ "$(ls "$ROOT/layers" | wc -l)" = $((n - 1)) ]
	[ "$(ls "$ROOT/sums" | wc -l)" = $((n - 2)) ]
	whole
}

@test "a damaged layer of several images is repaired for all; one that depends on others too" {
	serve "$MADE/nasty"
	image pull "$REG/one:t"
	image tag "$REG/one:t" x.y/two:1
	deep=$(dirname "$(dirname "$(dirname "$(dirname "$(ls "$ROOT"/layers/*/usr/lib/deep/er/three | tail -1)")")")")
	deep=${deep%/usr}
	echo changed >"$deep/usr/lib/deep/er/three"
	run image verify all repair
	[[ ${lines[-1]} == *" 1 1" ]]
	whole
}

@test "a damaged document is found, and fetched again" {
	serve "$MADE/nasty"
	id=$(image pull "$REG/nasty:t")
	manifest=$(jq -r '.manifests[0].digest' "$MADE/nasty/index.json")
	echo >>"$ROOT/blobs/sha256/${manifest#sha256:}"
	run image verify all
	[[ ${lines[0]} == "${manifest:0:19} : content" ]]
	run image verify all repair
	[ "$status" -eq 0 ]
	whole
	[ "$(sha256sum <"$ROOT/blobs/sha256/${manifest#sha256:}" | cut -d' ' -f1)" = "${manifest#sha256:}" ]
}

@test "what cannot be repaired says why, and stays as it is; a later pull or import mends it" {
	serve "$MADE/nasty"
	image pull "$REG/nasty:t"
	rm "$(layer_with becomes-file/x)/stay"
	serve_end
	run image verify all repair
	[ "$status" -ne 0 ]
	[[ $output == *"repair: pull $REG/nasty@sha256:"* ]]
	[[ $(image list) == *"$REG/nasty:t"* ]]
	image import "$MADE/nasty" x.y/nasty:1
	whole
}

@test "sums of an older version, or damaged ones, are told" {
	serve "$MADE/flat"
	image pull "$REG/flat:t"
	cp -r "$ROOT/sums" "$BATS_TEST_TMPDIR/sums"
	rm "$ROOT"/sums/*
	run image verify all
	[[ $output == *"it cannot be checked: it has no checksums"* ]]
	for how in 's/^/x/' '$d' '1,5d'; do
		for f in "$BATS_TEST_TMPDIR"/sums/*; do sed "$how" "$f" >"$ROOT/sums/${f##*/}"; done
		run image verify all
		[[ ${lines[-1]} == *" 1 0" ]] || { echo "$how: $output"; false; }
	done
}
