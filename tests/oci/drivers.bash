# The same test through each driver of cgroups: by the file system and, where it runs, systemd.
# DRIVERS names those that are wanted.

drivers_setup() {
	oci_setup
	only_ours "others differ in what they leave out silently"
	read -ra drivers <<<"${DRIVERS:-cgroupfs $([ -d /run/systemd/system ] && echo systemd)}"
	SLICE=caissonlimits$$
}

drivers_teardown() {
	# systemd keeps a slice until it is told
	[ -d /run/systemd/system ] && systemctl stop "$SLICE.slice" 2>/dev/null
	oci_teardown
}

with() { [ "$driver" = systemd ] && echo --systemd-cgroup; true; }

# begin DRIVER 'resources' ['annotations']: c1 is made of $BASE with them, or $status and $output say
# why not
begin() {
	driver=$1
	jq --argjson r "$2" --arg p "$([ "$driver" = systemd ] && echo "$SLICE.slice:test:c1" || echo "$CG/c1")" \
		--argjson a "${3:-"{}"}" '.linux.resources += $r | .linux.cgroupsPath = $p | .annotations = $a' <<<"$BASE" >"$B/config.json"
	status=0
	rt $(with) create -b "$B" c1 >"$T/out" 2>&1 </dev/null || status=$?
	output=$(cat "$T/out")
}

# Where a controller is: a host can have some in v1 and some in v2, and some in none.
in_v1() { grep -qE "^[1-9][0-9]*:([^:]*,)?$1(,[^:]*)?:" /proc/self/cgroup; }
in_v2() {
	if is_v2; then return 0; fi
	[ -e /sys/fs/cgroup/unified/cgroup.controllers ] && grep -qw "$1" /sys/fs/cgroup/unified/cgroup.controllers
}
has() { in_v1 "$1" || in_v2 "$1"; }

# The directory of c1 in the hierarchy of a controller, by what the kernel says of its process.
dir_of() {
	local pid=$(rt state c1 | jq .pid) line
	if is_v2; then
		echo "/sys/fs/cgroup$(cut -d: -f3 "/proc/$pid/cgroup")"
	else
		line=$(grep -E "^[0-9]+:([^:]*,)?$1(,[^:]*)?:" "/proc/$pid/cgroup") && echo "/sys/fs/cgroup/$1${line##*:}" && return
		echo "/sys/fs/cgroup/unified$(grep '^0::' "/proc/$pid/cgroup" | cut -d: -f3)"
	fi
}

# holds CONTROLLER FILE VALUE: a line of the file is the value
holds() {
	grep -qxF -- "$3" "$(dir_of "$1")/$2" && return
	echo "$driver: $2 is $(cat "$(dir_of "$1")/$2"), not $3"
	return 1
}

end() {
	local dir
	dir=$(dir_of pids)
	rt delete -f c1
	[ ! -e "$dir" ]
}

# where: the directories of c1 in all hierarchies, into $DIRS; before it is deleted
where() {
	local pid=$(rt state c1 | jq .pid) line path
	DIRS=()
	while read -r line; do
		path=${line##*:}
		for line in /sys/fs/cgroup "/sys/fs/cgroup/$(cut -d: -f2 <<<"$line" | sed 's/^name=//')" /sys/fs/cgroup/unified; do
			[ "${path%/*}" != "" ] && [ -e "$line$path/cgroup.procs" ] && DIRS+=("$line$path")
		done
	done <"/proc/$pid/cgroup"
	[ ${#DIRS[@]} -gt 0 ]
}

# nothing_left: of c1, where it was
nothing_left() {
	local d
	for d in "${DIRS[@]}"; do [ ! -e "$d" ] || { echo "$driver: $d is left"; return 1; }; done
	[ -z "$(rt list -q)" ]
	[ "$driver" != systemd ] || [ -z "$(systemctl list-units --plain --no-legend --all test-c1.scope)" ]
}
