# There is no space at one call of a pull: each that may need some, one after the other (no-space.c). By
# default a few of them, with FAULTS=all every one, also with blobs kept and with no space from there on.

load serve

setup_file() {
	export HERE=$BATS_TEST_DIRNAME TOP=$BATS_TEST_DIRNAME/../..
	export BUILD=${CAISSON_BUILD:-$TOP/build}
	export CAISSON_IMAGE=$BUILD/tests/caisson-image MADE=$BATS_FILE_TMPDIR/made
	"$HERE/make-nasty" "$MADE"
}

setup() {
	[ "$(id -u)" = 0 ] || skip "needs root for owners, devices and trusted.* attributes"
	# a library that is loaded first and a sanitizer that wants to be do not go together
	! nm -D "$CAISSON_IMAGE" 2>/dev/null | grep -q __asan || skip "built with sanitizers"
	export ROOT=$BATS_TEST_TMPDIR/root NO_SPACE_COUNT=$BATS_TEST_TMPDIR/count
	LOG=$BATS_TEST_TMPDIR/requests
}

teardown() { serve_end; }

# Its layers, from the top down. Markers and implied directories have the time of the pull.
trees() {
	local dir
	for dir in $(image lowers "$REG/$1:t"); do
		"$HERE/tree" "$dir" --no-time-of-dirs | sed -E 's/ 20000 0:0 [0-9]+ 0:0$/ marker/'
	done
}

# at CALL IMAGE: a pull in a new store, and what it left
at() {
	rm -rf "$ROOT"
	run env LD_PRELOAD="$BUILD/tests/libno-space.so" NO_SPACE="$1" "$CAISSON_IMAGE" "$ROOT" pull "$REG/$2:t"
	read -r calls failed <"$NO_SPACE_COUNT"
	if [ "$status" != 0 ]; then
		# SQLite has words of its own, the last for a file that it cannot make
		[[ $output == *"No space left on device"* || $output == *"disk is full"* ||
		   $output == *"meta.db: unable to open database file"* ]] || { echo "call $1 ($failed): $output"; false; }
		[ -z "$(image list)" ] || { echo "call $1 ($failed): published"; false; }
		[ "$(ls "$ROOT/layers")" = 0 ] && [ -z "$(ls "$ROOT/blobs/sha256" "$ROOT/partial" "$ROOT/trash" 2>/dev/null | grep -v :)" ] ||
			{ echo "call $1 ($failed): left"; ls -R "$ROOT/layers" "$ROOT/blobs" "$ROOT/trash"; false; }
	fi
	image pull "$REG/$2:t" >/dev/null
	[[ $(image verify all) == *" 0 0" ]]
	trees "$2" >"$BATS_TEST_TMPDIR/trees"
	diff "$BATS_TEST_TMPDIR/right" "$BATS_TEST_TMPDIR/trees" || { echo "call $1 ($failed)"; false; }
}

@test "no space at any call of a pull: said, nothing published, space given back, and there when there is some" {
	local step variant n seen=0 said=0
	serve "$MADE/nasty"
	for variant in "" KEEP_BLOBS=1 NO_SPACE_STAYS=1; do
		[ -z "$variant" ] || export "${variant?}"
		rm -rf "$ROOT"
		LD_PRELOAD=$BUILD/tests/libno-space.so image pull "$REG/nasty:t" >/dev/null
		read -r calls _ <"$NO_SPACE_COUNT"
		[ "$calls" -gt 50 ]
		trees nasty >"$BATS_TEST_TMPDIR/right"
		total=$calls step=1
		[ "${FAULTS:-}" = all ] || step=$((total / 4))
		for ((n = 1 + (step > 1 ? RANDOM % step : 0); n <= total; n += step)); do
			at "$n" nasty
			seen=$((seen + 1))
			[ "$status" = 0 ] || said=$((said + 1))
		done
		[ -z "$variant" ] || unset "${variant%=*}"
	done
	echo "# $seen calls, $said pulls failed" >&3
	[ "$said" -gt 0 ]
}
