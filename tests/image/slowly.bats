# The unpacker against one that is only right (unpack-slowly): the same images, tree against tree, byte
# for byte, attribute for attribute. RANDOM_IMAGES=N: so many images by chance, from FIRST_SEED on.

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
}

teardown() { mountpoint -q "$BATS_TEST_TMPDIR/merged" && umount "$BATS_TEST_TMPDIR/merged" || true; }

same() { # LAYOUT
	rm -rf "$ROOT" "$BATS_TEST_TMPDIR/slowly"
	image import "$1" a.example/x:t >/dev/null
	mount_image a.example/x:t
	"$HERE/unpack-slowly" "$1" t "$BATS_TEST_TMPDIR/slowly"
	# what a directory's time is when something is put into it without an entry for it, nobody says
	"$HERE/tree" "$BATS_TEST_TMPDIR/slowly" --no-time-of-dirs >"$BATS_TEST_TMPDIR/theirs"
	"$HERE/tree" "$BATS_TEST_TMPDIR/merged" --no-time-of-dirs >"$BATS_TEST_TMPDIR/ours"
	umount "$BATS_TEST_TMPDIR/merged"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/ours")" -gt "${2:-0}" ]
	diff "$BATS_TEST_TMPDIR/theirs" "$BATS_TEST_TMPDIR/ours"
}

@test "layers that overwrite, hide, link and replace each other; thousands of files; 300 layers" {
	same "$MADE/nasty" 40
	same "$MADE/flat" 2000
	same "$MADE/deep" 300
}

@test "nested indexes, docker's lists, zstd in frames, plain tar" {
	[ "$(uname -m)" = x86_64 ] || skip "the images are for amd64"
	"$HERE/make-formats" "$MADE/formats"
	for form in nested docker zstd plain; do
		same "$MADE/formats/$form" 1
	done
}

@test "images by chance" {
	for seed in $(seq "${FIRST_SEED:-1}" $((${FIRST_SEED:-1} + ${RANDOM_IMAGES:-8} - 1))); do
		echo "seed $seed"
		rm -rf "$MADE/random"
		"$HERE/make-random" "$MADE/random" "$seed"
		same "$MADE/random"
	done
}
