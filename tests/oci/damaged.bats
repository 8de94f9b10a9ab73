# A record that cannot be read: delete --force ends what is proven to be the container's, and says what is not.

load lib

setup() {
	oci_setup
	[ -n "$OURS" ] || skip "asks for what only caisson-oci has"
	spec '.process.args=["sleep","1000"]'
}

teardown() {
	[ -z "${pid:-}" ] || [ -n "$BATS_TEST_COMPLETED" ] || kill -KILL "$pid" 2>/dev/null || true
	oci_teardown
}

# a container that runs, by that name; its process is $pid
running() { # id
	spec '.linux.cgroupsPath=$cg+"/"+$id' --arg id "$1"
	rt create -b "$B" --pid-file "$T/pid" "$1" >"$T/out" 2>&1 </dev/null
	rt start "$1"
	pid=$(cat "$T/pid")
}

gone() { # id
	[ ! -e "/proc/$pid" ] || [ "$(awk '/^State/ { print $2 }' "/proc/$pid/status")" = Z ]
	[ ! -e "$ROOT/$1" ]
	[ -z "$(find /sys/fs/cgroup -maxdepth 4 -type d -path "*$CG/$1")" ]
}

@test "by a long name its cgroup is proof enough" {
	id=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
	running "$id"
	truncate -s 0 "$ROOT/$id/state.json"
	run rt delete "$id"
	[ "$status" -ne 0 ]
	[[ $output == *state.json* ]]
	[ -e "/proc/$pid" ]
	run rt delete --force "$id"
	[ "$status" -eq 0 ]
	[[ $output == *"ended, and hooks were not run"* ]]
	gone "$id"
}

@test "by a short name it is not, and nothing is touched" {
	running web
	# somebody else's process in a cgroup that is called the same
	cp "$ROOT/web/state.json" "$T/record"
	echo '{"version":1,"id":"web"' >"$ROOT/web/state.json"
	run rt delete --force web
	[ "$status" -ne 0 ]
	[[ $output == *"process $pid is in the cgroup $CG/web, which has its name, but may be somebody else's"* ]]
	[ -e "/proc/$pid" ]
	[ -e "$ROOT/web/state.json" ]
	# as it says
	kill -KILL "$pid"
	for _ in $(seq 100); do [ "$(awk '/^State/ { print $2 }' "/proc/$pid/status" 2>/dev/null)" != S ] && break; sleep 0.02; done
	rt delete --force web
	[ ! -e "$ROOT/web" ]
}

@test "pid and start time that are still there are proof" {
	running web
	sed -i 's/"bundle"/"bumble"/' "$ROOT/web/state.json"
	rt delete --force web
	gone web
	# but not a pid with another start time
	running web
	sed -i 's/"bundle"/"bumble"/; s/"startTicks":[0-9]/"startTicks":0/' "$ROOT/web/state.json"
	run rt delete --force web
	[ "$status" -ne 0 ]
	[ -e "/proc/$pid" ]
	sed -i "s/\"startTicks\":0/\"startTicks\":$(awk '{ print substr($22, 1, 1) }' "/proc/$pid/stat")/" "$ROOT/web/state.json"
	rt delete --force web
	gone web
}

@test "a record of a newer version is not damaged" {
	running web
	sed -i 's/"version":1/"version":2/' "$ROOT/web/state.json"
	run rt delete --force web
	[ "$status" -ne 0 ]
	[[ $output == *newer* ]]
	[ -e "/proc/$pid" ]
	sed -i 's/"version":2/"version":1/' "$ROOT/web/state.json"
	rt delete --force web
	gone web
}
