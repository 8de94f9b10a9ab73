# What the kernel and the disk hold of us. Every process of a suite has CAISSON_TEST_TAG in its
# environment, or a cgroup below /$TAG, or a root file system whose layers are in $WORK; every
# mount, socket and file has $WORK in its path; every interface is in the node's namespace.
#
#   leak_mark     remembers the state now
#   leak_check    compares with it: waits a moment for what ends by itself, then shows the difference
#   leak_last     after the daemon is gone: nothing at all may be left
#
# shellcheck shell=bash

leak_processes() {
	local file pid
	{
		grep -lzx "CAISSON_TEST_TAG=$TAG" /proc/[0-9]*/environ
		grep -lE "/$TAG(/|\$)" /proc/[0-9]*/cgroup
		grep -lE "^[0-9]+ [0-9]+ [0-9:]+ [^ ]+ / .*$WORK/" /proc/[0-9]*/mountinfo
	} 2>/dev/null | cut -d/ -f3 | sort -u | while read -r pid; do
		# by name, not by pid: the daemon may have been restarted in between
		file=$(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | cut -c1-160)
		[ -z "$file" ] || echo "process $file"
	done | sort
}

leak_mounts() { awk -v work="$WORK/" 'index($0, work) { print "mount", $5 }' /proc/self/mountinfo | sort; }

leak_cgroups() {
	find /sys/fs/cgroup -mindepth 1 -type d -path "*/$TAG*" -printf 'cgroup %p\n' 2>/dev/null | sort
}

leak_interfaces() {
	[ -e "$NODE" ] || return 0
	in_node ip -o link | sed -E 's/^[0-9]+: ([^:@]+).*/interface \1/' | sort
	# chains that portmap makes once for all pods stay, as on every node
	in_node iptables-save 2>/dev/null | grep '^-A' | grep -v 'CNI-HOSTPORT-\(MASQ\|SETMARK\)\|CNI-HOSTPORT-DNAT$' |
		sed 's/^/rule /' | sort
}

leak_sockets() { grep -aoE " (@|/)[^ ]*$WORK[^ ]*" /proc/net/unix | sed 's/^ /socket /' | sort -u; }

# Files of the daemon's two directories, but for what an image store keeps while it has images and
# what a database appends to or is copied to.
leak_files() {
	{
		find "$STATE" -printf 'file %P\n' 2>/dev/null
		find "$ROOT" \( -path '*/layers/*' -o -path '*/sums/*' -o -path '*/blobs/*' -o -path '*/io.containerd.*' \) -prune -o \
			-printf 'file root/%P\n' 2>/dev/null
	} | grep -vE -- '-(wal|shm|journal)$|meta\.db\.copy|last_reserved_ip|io\.containerd|root/partial$|root/cni(/[^/]*(/lock)?)?$' | sort
}

# Open descriptors of the daemon by kind, without numbers.
leak_descriptors() {
	local pid=${1:-$(cat "$WORK/daemon.pid" 2>/dev/null)}
	[ -n "$pid" ] && ours || return 0
	find "/proc/$pid/fd" -mindepth 1 -printf '%l\n' 2>/dev/null | sed -E 's/[0-9]+/N/g' | sort | uniq -c |
		awk '{ n = $1; $1 = ""; print "descriptor" $0, "x", n }'
}

# The daemon rests: the first copy of its database is made (SQLite keeps a descriptor for the next ones), threads
# that waited for work are gone, and two looks at its descriptors are the same.
leak_at_rest() {
	local one
	ours || return 0
	[ -e "$ROOT/meta.db.copy" ] && [ "$(ls "/proc/$(daemon_pid)/task" | wc -l)" -eq 1 ] || return 1
	one=$(leak_descriptors)
	sleep 0.3
	[ "$(leak_descriptors)" = "$one" ]
}

leak_state() {
	leak_processes
	leak_mounts
	leak_cgroups
	leak_interfaces
	leak_sockets
	leak_files
}

leak_mark() {
	[ "$(peer)" != socket ] || return 0
	leak_state >"$WORK/leak.before"
	leak_descriptors >"$WORK/leak.fds"
}

leak_same() {
	leak_state >"$WORK/leak.after"
	diff -U0 "$WORK/leak.before" "$WORK/leak.after" | grep '^[+-][a-z]'
	[ "${PIPESTATUS[0]}" -eq 0 ]
}

# The first pod makes what stays: the bridge, the parent cgroup, directories. A suite that marks
# before any pod ran would see these, so they are let pass by name.
leak_expected() {
	grep -vE "^\+(interface caisson0|cgroup /sys/fs/cgroup/[a-z_,]+/$TAG(/kubepods(/burstable)?)?|\
cgroup /sys/fs/cgroup/$TAG(/kubepods(/burstable)?)?)$"
}

leak_diff() {
	local diff
	diff=$(leak_same | leak_expected) || true
	[ -z "$diff" ] || { echo "$diff"; return 1; }
}

leak_check() {
	[ "$(peer)" != socket ] || return 0
	eventually 5 leak_diff || { echo "(+ is left behind, - is missing)"; return 1; }
}

# Descriptors settle once idle connections are closed; asked for only where a test is about them.
leak_check_descriptors() {
	eventually 5 leak_fds_same
}
leak_fds_same() {
	leak_descriptors >"$WORK/leak.fds.after"
	diff -U0 "$WORK/leak.fds" "$WORK/leak.fds.after" | grep '^[+-]d'
	[ "${PIPESTATUS[0]}" -eq 0 ]
}

leak_nothing() {
	local left
	left=$(leak_processes; leak_mounts | grep -v "$NODE"; leak_sockets)
	[ -z "$left" ] || { echo "$left"; return 1; }
}

# When the daemon has ended and all pods were removed.
leak_last() {
	[ "$(peer)" != socket ] || return 0
	eventually 5 leak_nothing
	local bad=$?
	# the parents of the pods' cgroups are the kubelet's to remove, here ours
	find /sys/fs/cgroup -mindepth 1 -depth -type d -path "*/$TAG*" -exec rmdir {} + 2>/dev/null
	[ -z "$(leak_cgroups)" ] || { leak_cgroups; bad=1; }
	return $bad
}
