# The tree keeps its ladder: a folder includes only itself and folders above it.

ladder="base sys event json config oci cdi dbus ns mnt cgroup sec runtime rpc shim registry store image cni nri pod stream cri cli prog"

setup() {
	cd "$BATS_TEST_DIRNAME/../.."
}

rank() {
	local n=0 room
	for room in $ladder; do
		n=$((n + 1))
		[ "$room" = "$1" ] && echo $n && return
	done
	echo 0
}

@test "every folder of src stands on the ladder" {
	for dir in src/*/; do
		room=$(basename "$dir")
		[ "$(rank "$room")" -gt 0 ] || { echo "src/$room is not on the ladder"; false; }
	done
}

@test "no folder includes one below it" {
	bad=$(grep -rnoE '^#include "[a-z]+/' src --include='*.[ch]' | while IFS=: read -r file _ include; do
		from=$(cut -d/ -f2 <<<"$file")
		to=$(sed 's/.*"\([a-z]*\)\/.*/\1/' <<<"$include")
		[ "$(rank "$to")" -gt 0 ] || continue # generated headers
		[ "$(rank "$to")" -le "$(rank "$from")" ] || echo "$file includes $to/"
	done)
	[ -z "$bad" ] || { echo "$bad"; false; }
}

@test "mechanism folders do not know OCI or CRI" {
	bad=$(grep -lE '^#include "(oci|cri|runtime|rpc|pod)/' src/ns/*.[ch] src/mnt/*.[ch] src/cgroup/*.[ch] src/sec/*.[ch] || true)
	[ -z "$bad" ] || { echo "$bad"; false; }
}

@test "every folder has the header that is its manual" {
	for dir in src/*/; do
		room=$(basename "$dir")
		case $room in prog) continue ;; esac
		[ -e "src/$room/$room.h" ] || { echo "src/$room/$room.h is missing"; false; }
	done
}

@test "no drawer without a name" {
	bad=$(find src -regextype posix-extended -regex '.*/(utils?|common|misc|helpers?|linux)\.[ch]')
	[ -z "$bad" ] || { echo "$bad"; false; }
}
