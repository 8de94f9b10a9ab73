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
	images_ensure || return 1
	store=$WORK/registry.$port
	[ -d "$store" ] || cp -r "$IMAGES/registry" "$store"
	# not by in_node: in the background that would be a shell around it, and $! the shell
	REGISTRY_HTTP_ADDR=127.0.0.1:$port REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=$store \
		nsenter --net="$NODE" docker-registry serve "$LIB/registry.yml" >"$store.log" 2>&1 3>&- &
	echo $! >"$store.pid"
	eventually 10 registry_answers "$port"
}

registry_answers() {
	in_node curl -s -o /dev/null "http://127.0.0.1:$1/v2/"
}

registry_stop() {
	local port=${1:-5000} pid
	pid=$(cat "$WORK/registry.$port.pid" 2>/dev/null) || return 0
	kill "$pid" 2>/dev/null
	while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
	rm -f "$WORK/registry.$port.pid"
}

registry_digest() {
	local name=${1%:*} tag=${1##*:}
	in_node curl -sSf -o /dev/null -D - "http://$REGISTRY/v2/$name/manifests/$tag" \
		-H 'Accept: application/vnd.oci.image.manifest.v1+json' \
		-H 'Accept: application/vnd.oci.image.index.v1+json' \
		-H 'Accept: application/vnd.docker.distribution.manifest.v2+json' \
		-H 'Accept: application/vnd.docker.distribution.manifest.list.v2+json' |
		tr -d '\r' | sed -n 's/^[Dd]ocker-[Cc]ontent-[Dd]igest: //p'
}

registry_manifest() { # NAME:TAG or NAME@DIGEST
	local name tag
	case $1 in
	*@*) name=${1%@*} tag=${1#*@} ;;
	*) name=${1%:*} tag=${1##*:} ;;
	esac
	in_node curl -sSf "http://$REGISTRY/v2/$name/manifests/$tag" \
		-H 'Accept: application/vnd.oci.image.manifest.v1+json' \
		-H 'Accept: application/vnd.oci.image.index.v1+json' \
		-H 'Accept: application/vnd.docker.distribution.manifest.v2+json' \
		-H 'Accept: application/vnd.docker.distribution.manifest.list.v2+json'
}

registry_blob() {
	local hex=${1#sha256:} port=${2:-5000}
	echo "$WORK/registry.$port/docker/registry/v2/blobs/sha256/${hex:0:2}/$hex/data"
}
