# The node: a network namespace in which the daemon, the registry and the bridge live, with a
# loopback and an address of its own (192.0.2.1). Whatever a test does to interfaces and
# iptables is gone with it.
#
# shellcheck shell=bash

NODE_ADDRESS=192.0.2.1

node_start() {
	export NODE=$WORK/node.netns
	touch "$NODE"
	unshare --net="$NODE" true
	in_node ip link set lo up
	in_node ip link add host0 type bridge
	in_node ip addr add $NODE_ADDRESS/24 dev host0
	in_node ip link set host0 up
}

node_stop() {
	[ -n "${NODE:-}" ] || return 0
	umount "$NODE" 2>/dev/null
	rm -f "$NODE"
}

in_node() {
	nsenter --net="$NODE" "$@"
}

# fetch [-o FILE] URL: a page, from the node. With busybox, which is where curl is not.
fetch() {
	local to=-
	[ "$1" != -o ] || { to=$2; shift 2; }
	# (its own -T crashes in Debian 12)
	in_node timeout 5 busybox wget -q -O "$to" "$1"
}
