# linux.netDevices: devices of the host move into the container, with name and addresses. All in
# a network namespace of the test's own, which stands for the host.

setup() {
	load lib
	oci_setup
	only_ours "runc 1.1 and crun 1.8 have no netDevices"
	HOST=ct-host-$$
	ip netns add "$HOST"
	ip -n "$HOST" link add d0 type veth peer name p0
	ip -n "$HOST" addr add 10.9.8.7/24 dev d0
	ip -n "$HOST" addr add fd00:9::7/64 dev d0 nodad
	ip -n "$HOST" link set d0 up
	spec '.process.capabilities={} | .process.args=["sleep","100"]'
}

teardown() {
	oci_teardown
	[ -z "${HOST:-}" ] || ip netns del "$HOST"
}

on_host() { nsenter --net="/run/netns/$HOST" "$RUNTIME" --root "$ROOT" "$@" 3>&-; }
devices() { nsenter -t "$PID" -n ip -o link | awk -F'[:@ ]+' '{print $2}' | paste -sd ' '; }

@test "a device moves with its addresses, renamed or not, and is up" {
	spec '.linux.netDevices={d0:{name:"eth0"},p0:{}}'
	on_host create -b "$B" --pid-file "$T/pid" c1 >"$T/out" 2>&1 </dev/null
	PID=$(cat "$T/pid")
	[ "$(devices)" = "lo p0 eth0" ] || [ "$(devices)" = "lo eth0 p0" ]
	nsenter -t "$PID" -n ip -o addr show eth0 | grep -q "inet 10.9.8.7/24 "
	nsenter -t "$PID" -n ip -o addr show eth0 | grep -q "inet6 fd00:9::7/64 .*global"
	nsenter -t "$PID" -n ip -o link show eth0 | grep -q "[<,]UP[,>]"
	! ip -n "$HOST" link show d0 2>/dev/null || false
	rt delete -f c1
}

@test "a device moves into a network that is joined by its path, every time" {
	local i
	ip netns add "$HOST-pod"
	for i in $(seq 8); do
		spec ".linux.netDevices={d0:{name:\"eth$i\"}} | (.linux.namespaces[] | select(.type == \"network\")).path = \"/run/netns/$HOST-pod\""
		on_host create -b "$B" c1 >"$T/out" 2>&1 </dev/null || { cat "$T/out"; ip netns del "$HOST-pod"; false; }
		ip -n "$HOST-pod" link show "eth$i" | grep -q "[<,]UP[,>]" || { ip netns del "$HOST-pod"; false; }
		rt delete -f c1
		ip -n "$HOST-pod" link set "eth$i" netns "/run/netns/$HOST" name d0
	done
	ip netns del "$HOST-pod"
}

@test "a template gets the first free number" {
	spec '.linux.netDevices={d0:{name:"net%d"},p0:{name:"net%d"}}'
	on_host create -b "$B" --pid-file "$T/pid" c1 >"$T/out" 2>&1 </dev/null
	PID=$(cat "$T/pid")
	[ "$(devices | tr ' ' '\n' | sort | paste -sd ' ')" = "lo net0 net1" ]
}

@test "a create that fails gives the devices back" {
	spec '.linux.netDevices={d0:{name:"eth0"}} | .process.args=["/nothing"]'
	run on_host create -b "$B" c1 </dev/null
	[ "$status" -eq 1 ]
	ip -n "$HOST" -o addr show d0 | grep -q "inet 10.9.8.7/24 "
	ip -n "$HOST" -o link show d0 | grep -q "[<,]UP[,>]"
}

@test "what cannot move is refused by name" {
	local row
	for row in '{d9:{}}|linux.netDevices.d9: move it into the container: No such device' \
		'{d0:{name:"lo"}}|linux.netDevices.d0: the container has a device lo' \
		'{d0:{name:"a/b"}}|linux.netDevices.d0.name' '{d0:{name:"much-too-long-name"}}|linux.netDevices.d0.name' \
		'{d0:{name:"x%s"}}|linux.netDevices.d0.name' '{"a b":{}}|is no name of a network device' \
		'{d0:{name:"e"},p0:{name:"e"}}|is used twice'; do
		spec ".linux.netDevices=${row%%|*}"
		run on_host create -b "$B" c1 </dev/null
		echo "$row: $output"
		[ "$status" -eq 1 ]
		[[ "$output" == *"${row#*|}"* ]]
	done
	spec '.linux.netDevices={d0:{}} | .linux.namespaces|=map(select(.type!="network"))'
	run on_host create -b "$B" c1 </dev/null
	[ "$status" -eq 1 ]
	[[ "$output" == *"without a private network namespace"* ]]
	[ "$(ip -n "$HOST" -o link | wc -l)" = 3 ]
}
