# Images as containers see them.
#
# shellcheck shell=bash

# The root that a container of REF would have, at $BATS_TEST_TMPDIR/merged. The lowers go one
# by one, since the classic option string is limited to a page.
mount_image() { # REF
	local snap
	mapfile -t snap < <(image snapshot "$1" snap)
	mkdir -p "$BATS_TEST_TMPDIR/merged"
	python3 - "$BATS_TEST_TMPDIR/merged" "${snap[@]}" <<'PY'
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(nr, *args):
    r = libc.syscall(nr, *args)
    if r < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return r
target, upper, work, *lowers = sys.argv[1:]
fs = call(430, b"overlay", 0)
for key, value in [("lowerdir+", l) for l in lowers] + [("upperdir", upper), ("workdir", work)]:
    call(431, fs, 1, key.encode(), value.encode(), 0)
call(431, fs, 6, None, None, 0)
mnt = call(432, fs, 0, 0)
call(429, mnt, b"", -100, target.encode(), 4)
PY
}
