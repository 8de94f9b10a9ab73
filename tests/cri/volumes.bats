#!/usr/bin/env bats
#
# Mounts of a container: images as volumes, recursive read-only, propagation, options of a mount.
#
# shellcheck disable=SC2016  # what the shell in the container expands

load ../lib/load
load rpc.bash

setup_file() { suite_start; }
teardown_file() { suite_stop; }
setup() {
	only_ours
	leak_mark
	need_image busybox:1
	need_image nginx:1
}
teardown() {
	pods_clear
	umount -R "$WORK/host" 2>/dev/null || true
	rm -rf "$WORK/host"
	leak_check
}

inside() { # CONTAINER COMMAND…
	local ctr=$1
	shift
	cri exec -s "$ctr" "$@"
}

image_mount() { # [JQ-MEMBERS]
	echo '.mounts = [{container_path: "/image", readonly: true, image: {image: "'"$(image nginx:1)"'",
		user_specified_image: "as-it-was-called"} '"${1:+, $1}"'}]'
}

with_image() { # [JQ-MEMBERS]
	run_container "$(run_pod p)" "$(image busybox:1)" "$(image_mount "$@")" sleep 1000
}

@test "an image is mounted read-only, its programs can be executed, its status says which it is" {
	ctr=$(with_image)
	has "$(inside "$ctr" cat /image/srv/www/index.html)" "caisson test page"
	has "$(inside "$ctr" /image/bin/busybox echo executed)" executed
	fails inside "$ctr" touch /image/new
	has "$output" "Read-only file system"
	# what later layers took away is gone here, too
	fails inside "$ctr" ls /image/srv/removed-dir
	id=$(cri inspecti "$(image nginx:1)" | jq -r .status.id)
	mount=$(cri inspect "$ctr" | jq -c '.status.mounts[0]')
	same "$(cri inspect "$ctr" | jq -r ".info.config.mounts[0].image.image_ref")" "$id"
	same "$(jq -r .image.image <<<"$mount")" "$(image nginx:1)"
	same "$(jq -r .image.userSpecifiedImage <<<"$mount")" as-it-was-called
	same "$(jq -r .containerPath <<<"$mount")" /image
	# the host's mount table has nothing of it
	lacks "$(mounts_of self)" "$ROOT/layers"
}

@test "a directory or a file of an image, wherever links in it lead" {
	ctr=$(with_image 'image_sub_path: "srv/www"')
	has "$(inside "$ctr" cat /image/index.html)" "caisson test page"
	cri rmp -f -a >/dev/null
	ctr=$(with_image 'image_sub_path: "srv/www/index.html"')
	has "$(inside "$ctr" cat /image)" "caisson test page"
	cri rmp -f -a >/dev/null
	# an absolute link is one of the image's root, not of the host's
	fails with_image 'image_sub_path: "var/log/nginx/access.log"'
	has "$output" "it is not in the image"
}

@test "what cannot be mounted of an image is refused, by name, and leaves nothing" {
	pod=$(run_pod p)
	refused() { # MEMBERS ERROR
		fails create_container "$pod" "$(image busybox:1)" "$(image_mount "$1")" sleep 1000
		has "$output" "$2"
	}
	refused 'image_sub_path: "not/there"' "image_sub_path not/there: it is not in the image"
	refused 'image_sub_path: "etc/../.."' "not a path below the image's root"
	refused 'image_sub_path: "/etc"' "not a path below the image's root"
	refused 'readonly: false' "an image can only be mounted read-only"
	refused 'host_path: "/tmp"' "cannot be given with image"
	refused 'image: {image: "none.example/none:1"}' "none.example/none:1"
	fails create_container "$pod" "$(image busybox:1)" \
		'.mounts = [{container_path: "/x", host_path: "/tmp", image_sub_path: "etc"}]' sleep 1000
	has "$output" "needs image"
	same "$(find "$ROOT/snapshots" -mindepth 1 -maxdepth 1 2>/dev/null)" ""
}

@test "an image that a volume shows stays in use" {
	ctr=$(with_image)
	cri rmi "$(image nginx:1)" >/dev/null 2>&1 || true
	has "$(inside "$ctr" cat /image/srv/www/index.html)" "caisson test page"
	daemon_kill
	daemon_run
	has "$(inside "$ctr" cat /image/srv/www/index.html)" "caisson test page"
	cri rmp -f -a >/dev/null
	need_image nginx:1
}

host_tree() {
	mkdir -p "$WORK/host/volume"
	mount -t tmpfs -o mode=755 t "$WORK/host"
	mount --make-shared "$WORK/host"
	mkdir -p "$WORK/host/volume/sub"
	mount -t tmpfs sub "$WORK/host/volume/sub"
}

volume() { # JQ-MEMBERS
	run_container "$(run_pod p)" "$(image busybox:1)" '.linux.security_context.privileged = true | .mounts = [
		{host_path: "'"$WORK/host/volume"'", container_path: "/volume", '"$1"'}]' sleep 1000
}

@test "read-only is the mount's alone, recursive read-only is all below it" {
	host_tree
	ctr=$(volume 'readonly: true')
	fails inside "$ctr" touch /volume/x
	inside "$ctr" touch /volume/sub/x
	cri rmp -f -a >/dev/null
	ctr=$(volume 'readonly: true, recursive_read_only: true')
	fails inside "$ctr" touch /volume/x
	fails inside "$ctr" touch /volume/sub/y
	has "$output" "Read-only file system"
	touch "$WORK/host/volume/sub/y"
	same "$(cri inspect "$ctr" | jq -c '.status.mounts[0] | [.readonly, .recursiveReadOnly]')" '[true,true]'
	cri rmp -f -a >/dev/null
	fails volume 'recursive_read_only: true'
	has "$output" "recursive_read_only: needs readonly"
	fails volume 'readonly: true, recursive_read_only: true, propagation: 1'
	has "$output" "needs private propagation"
	same "$(cri info | jq -c '.runtimeHandlers[0].features | [.recursive_read_only_mounts, .user_namespaces]')" '[true,true]'
}

@test "propagation: what is mounted later is seen as far as was asked for" {
	host_tree
	sees() { # CONTAINER
		mkdir -p "$WORK/host/volume/later"
		mount -t tmpfs later "$WORK/host/volume/later"
		touch "$WORK/host/volume/later/mark"
		inside "$1" ls /volume/later
		umount "$WORK/host/volume/later"
	}
	ctr=$(volume 'propagation: 0')
	same "$(sees "$ctr")" ""
	cri rmp -f -a >/dev/null
	ctr=$(volume 'propagation: 1')
	same "$(sees "$ctr")" mark
	inside "$ctr" sh -c 'mkdir /volume/up && mount -t tmpfs up /volume/up'
	fails mountpoint -q "$WORK/host/volume/up"
	cri rmp -f -a >/dev/null
	ctr=$(volume 'propagation: 2')
	same "$(sees "$ctr")" mark
	inside "$ctr" mount -t tmpfs up /volume/up
	mountpoint -q "$WORK/host/volume/up"
	umount "$WORK/host/volume/up"
}

# by plain messages: crictl does not know the field
with_options() { # WORD…
	local repo=$TOP build=$BUILD dir=$WORK socket=$SOCKET words='' word
	for word; do words+=" mount_options: \"$word\""; done
	rpc CreateContainer "pod_sandbox_id: \"$pod\" config { metadata { name: \"c$RANDOM\" }
		image { image: \"$(image busybox:1)\" } command: \"sleep\" args: \"1000\"
		mounts { host_path: \"$WORK/host/volume\" container_path: \"/volume\" $words } }
		sandbox_config { metadata { name: \"p\" uid: \"u\" namespace: \"default\" } }"
}

@test "options of a mount hold, and one that is none is refused" {
	host_tree
	cp /bin/busybox "$WORK/host/volume/busybox"
	pod=$(run_pod p)
	ctr=$(with_options noexec nodev nosuid | sed -n 's/^container_id: "\(.*\)"/\1/p')
	cri start "$ctr" >/dev/null
	fails inside "$ctr" /volume/busybox true
	has "$output" "ermission denied"
	has "$(inside "$ctr" grep ' /volume ' /proc/self/mountinfo)" "nosuid,nodev,noexec"
	ctr=$(with_options | sed -n 's/^container_id: "\(.*\)"/\1/p')
	cri start "$ctr" >/dev/null
	inside "$ctr" /volume/busybox true
	for option in rshared ro size=1 lowerdir=/ idmap; do
		fails with_options "$option"
		has "$output" "mount_options: \"$option\" is none that can be given"
	done
	has "$(repo=$TOP build=$BUILD dir=$WORK socket=$SOCKET rpc Status)" "mount_options: true"
}
