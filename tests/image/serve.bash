# A registry of the tests' own (tests/lib/registry.py), for the image room alone. The file that loads this
# sets HERE, LOG and, in setup_file, MADE; teardown calls serve_end.
#
# shellcheck shell=bash

image() { "$CAISSON_IMAGE" "$ROOT" "$@"; }

# serve LAYOUT options…: sets PORT and REG
serve() {
	local out=$BATS_TEST_TMPDIR/port.$RANDOM
	"$HERE/../lib/registry.py" "$1" "$LOG" "${@:2}" >"$out" 2>&1 3>&- &
	echo $! >"$out.pid"
	mv "$out.pid" "$BATS_TEST_TMPDIR/pid.$!"
	for _ in $(seq 400); do
		PORT=$(cat "$out" 2>/dev/null || true)
		[ -n "$PORT" ] && break
		sleep 0.05
	done
	REG=127.0.0.1:$PORT
}

serve_end() {
	local pid
	for pid in $(cat "$BATS_TEST_TMPDIR"/pid.* 2>/dev/null); do kill "$pid" 2>/dev/null || true; done
}
