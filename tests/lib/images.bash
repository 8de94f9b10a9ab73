# The test images, made by lib/make-images and pushed once into the storage of a registry.
# Both are cached under a key of everything they are made from.
#
# shellcheck shell=bash

images_key() {
	cat "$LIB/make-images" "$LIB/layout.py" "$LIB/probe.c" "$LIB/images.bash" /usr/sbin/nginx /bin/busybox | sha256sum | cut -c1-16
}

# Sets IMAGES to the directory: layout/ and registry/. Several callers at once make it once;
# older ones are dropped.
images_ensure() {
	local dir
	if ! command -v skopeo nginx gcc >/dev/null; then
		# a machine that only runs them (the virtual one) takes what another has made
		for dir in "$CAISSON_TEST_CACHE"/images-*; do
			[ -e "$dir/complete" ] && export IMAGES=$dir && return
		done
		skip "no test images, and nothing to make them with"
	fi
	mkdir -p "$CAISSON_TEST_CACHE"
	dir=$CAISSON_TEST_CACHE/images-$(images_key)
	(
		flock 9
		[ -e "$dir/complete" ] && exit
		rm -rf "$CAISSON_TEST_CACHE"/images-*
		images_make "$dir"
	) 9>"$CAISSON_TEST_CACHE/images.lock" || return 1
	export IMAGES=$dir
}

images_make() { # DIRECTORY
	local dir=$1
	rm -rf "$dir"
	mkdir -p "$dir/layout" "$dir/registry"
	gcc -O2 -Wall -static -D_GNU_SOURCE -o "$dir/probe" "$LIB/probe.c" || return 1
	"$LIB/make-images" "$dir/layout" "$dir/probe" || return 1
	# a namespace only for the moment of pushing: the port cannot be taken
	timeout 60 unshare --net bash -euc '
		dir=$1
		ip link set lo up
		REGISTRY_HTTP_ADDR=127.0.0.1:5000 REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=$dir/registry \
			docker-registry serve "$2" >"$dir/push.log" 2>&1 9>&- &
		pid=$!
		trap "kill $pid" EXIT
		for _ in $(seq 200); do
			curl -sf http://127.0.0.1:5000/v2/ >/dev/null && break
			sleep 0.05
		done
		push() { # layout reference, name, skopeo options
			local from=$1 to=$2
			shift 2
			skopeo copy -q --insecure-policy --dest-tls-verify=false "$@" \
				"oci:$dir/layout:$from" "docker://127.0.0.1:5000/$to" >>"$dir/push.log" 2>&1
		}
		push nginx nginx:1
		push nginx nginx:latest
		push nginx nginx:docker --format v2s2
		push nginx-mixed nginx:mixed
		push nginx-multi nginx:multi --all
		push nginx-multi nginx:docker-multi --all --format v2s2
		push busybox busybox:1
		push busybox busybox:latest
		push busybox-user busybox:user
		push pause pause:1
	' images "$dir" "$LIB/registry.yml" || {
		cat "$dir/push.log"
		return 1
	}
	touch "$dir/complete"
}
