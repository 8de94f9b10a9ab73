# The process is killed at random moments of pulls, tags and removals: what the store shows
# afterwards is whole, and what was in flight is gone.

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

killed_after() { # MILLISECONDS ARG…
	local pid
	"$CAISSON_IMAGE" "$ROOT" "${@:2}" >/dev/null 2>&1 3>&- &
	pid=$!
	sleep "$(printf '0.%03d' "$1")"
	kill -9 $pid 2>/dev/null || true
	wait $pid 2>/dev/null || true
}

# All that is named is as it was unpacked, and nothing else is there.
consistent() {
	local layers
	run image verify all
	[ "$status" -eq 0 ] && [[ ${lines[-1]} == *" 0 0" ]] || { echo "$output"; return 1; }
	layers=$(python3 -c "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM layer').fetchone()[0])" "$ROOT/meta.db")
	[ "$(ls "$ROOT/layers" | wc -l)" = $((layers + 1)) ]
	[ "$(ls "$ROOT/sums" | wc -l)" = "$layers" ]
	[ -z "$(ls "$ROOT/trash")" ]
}

@test "killed at twenty moments of a pull, the store is whole each time, and then the pull is" {
	serve "$MADE/nasty"
	for i in $(seq 20); do
		killed_after $((RANDOM % 250)) pull "$REG/nasty:t"
		consistent || { echo "round $i"; false; }
		[ $((i % 3)) != 0 ] || image rm "$REG/nasty:t"
	done
	image pull "$REG/nasty:t"
	consistent
}

@test "killed at moments of removals and tags" {
	serve "$MADE/nasty"
	for i in $(seq 10); do
		image pull "$REG/nasty:t" >/dev/null
		killed_after $((RANDOM % 60)) tag "$REG/nasty:t" "x.y/other:$i"
		killed_after $((RANDOM % 60)) rm "$REG/nasty:t"
		consistent || { echo "round $i"; false; }
	done
}
