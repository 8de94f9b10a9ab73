# The tree keeps its ladder: a folder includes only itself and folders above it.

ladder="base sys event json config oci cdi dbus ns mnt cgroup sec runtime rpc shim registry store image cni nri pod stream cri cli prog"

setup() {
	cd "$BATS_TEST_DIRNAME/../.."
}

@test "every folder of src stands on the ladder" {
	for dir in src/*/; do
		room=$(basename "$dir")
		[[ " $ladder " == *" $room "* ]] || { echo "src/$room is not on the ladder"; false; }
	done
}

@test "no folder includes one below it" {
	# names that are not on the ladder are generated headers
	bad=$(grep -rnoE '^#include "[a-z]+/' src --include='*.[ch]' | awk -F: -v ladder="$ladder" '
		BEGIN { for (n = split(ladder, room, " "); n > 0; n--) rank[room[n]] = n }
		{ split($1, path, "/"); split($3, quoted, /["\/]/) }
		rank[quoted[2]] > rank[path[2]] { print $1 " includes " quoted[2] "/" }')
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
