# A docker-registry of our own, on loopback of the node, with its own copy of the images:
# a test may damage it.
#
#   registry_start [PORT]     storage in $WORK/registry.PORT, default port 5000
#   registry_stop [PORT]
#   registry_digest NAME:TAG  digest of the manifest
#   registry_blob DIGEST      path of a blob's file, to damage it
#
# Options by environment: REGISTRY_AUTH_HTPASSWD_PATH and the like go to the registry as they are.
#
# shellcheck shell=bash

REGISTRY=127.0.0.1:5000

registry_start() {
	local port=${1:-5000} store
	[ -n "${IMAGES:-}" ] || images_ensure || return 1
	store=$WORK/registry.$port
	[ -d "$store" ] || cp -r "$IMAGES/registry" "$store"
	# not by in_node: in the background that would be a shell around it, and $! the shell
	REGISTRY_HTTP_ADDR=127.0.0.1:$port REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=$store \
		nsenter --net="$NODE" docker-registry serve "$LIB/registry.yml" >"$store.log" 2>&1 3>&- &
	echo $! >"$store.pid"
	eventually 10 registry_answers "$port"
}

registry_answers() {
	# also one that wants to know who asks is there
	in_node busybox nc -w 2 127.0.0.1 "$1" </dev/null
}

registry_stop() {
	local port=${1:-5000} pid
	pid=$(cat "$WORK/registry.$port.pid" 2>/dev/null) || return 0
	kill "$pid" 2>/dev/null
	while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
	rm -f "$WORK/registry.$port.pid"
}

registry_get() { # HEADERS-FILE PATH
	in_node busybox wget -q -S -O - "http://$REGISTRY/v2/$2" 2>"$1" \
		--header 'Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json'
}

registry_digest() {
	registry_get "$WORK/headers" "${1%:*}/manifests/${1##*:}" >/dev/null || return 1
	tr -d '\r' <"$WORK/headers" | sed -n 's/^ *[Dd]ocker-[Cc]ontent-[Dd]igest: //p'
}

registry_manifest() { # NAME:TAG or NAME@DIGEST
	case $1 in
	*@*) registry_get /dev/null "${1%@*}/manifests/${1#*@}" ;;
	*) registry_get /dev/null "${1%:*}/manifests/${1##*:}" ;;
	esac
}

registry_blob() {
	local hex=${1#sha256:} port=${2:-5000}
	echo "$WORK/registry.$port/docker/registry/v2/blobs/sha256/${hex:0:2}/$hex/data"
}
