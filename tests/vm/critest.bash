# critest in the virtual machine, by its focus.
#
# shellcheck shell=bash

critest() { # FOCUS LEAST: what is in the focus passes, and that is at least so many
	local tap=$BATS_TEST_TMPDIR/tap status=0
	tests/critest/run "$tap" -s 1 -ginkgo.focus "$1" 2>"$BATS_TEST_TMPDIR/errors" || status=$?
	cat "$tap" "$BATS_TEST_TMPDIR/errors"
	sed 's/^/# /' "$tap" >&3
	[ "$status" -eq 0 ]
	[ "$(grep -c '^ok ' "$tap")" -ge "$2" ]
	! grep '^not ok' "$tap" || false
	# nothing here is excused but what no machine can run
	! grep '^ok .*# skip' "$tap" | grep -v 'public image with digest' || false
}
