# The pod's network: the embedded default with the real plugins, host ports, names, plugins
# that fail or hang, configurations that come, change and break.

load ../lib/load

setup_file() { suite_start; }
teardown_file() { suite_stop; }
setup() {
	need_image nginx:1
	need_image busybox:1
	leak_mark
}
teardown() {
	rm -f "$WORK"/net.d/0*
	pods_clear
	leak_check
}

leases() { find "$ROOT/cni" -type f -name '[0-9]*.*' 2>/dev/null | wc -l; }

condition() { cri info | jq -r --arg what "$1" '.status.conditions[] | select(.type == "NetworkReady") | .[$what]'; }

@test "a pod reaches the node, the node the pod, a pod a pod" {
	one=$(run_pod one)
	run_container "$one" "$(image nginx:1)"
	two=$(run_pod two)
	ctr=$(run_container "$two" "$(image busybox:1)")
	same "$(leases)" 2
	[ "$(ip_of "$one")" != "$(ip_of "$two")" ]
	eventually 5 fetch "http://$(ip_of "$one")/"
	same "$(cri exec -s "$ctr" wget -q -O - "http://$(ip_of "$one")/")" "caisson test page"
	cri exec -s "$ctr" ping -c 1 -W 2 192.0.2.1
	# what containerd 2 opens to pods by default: ports below 1024 and ICMP echo for every user
	if ours; then
		same "$(cri exec -s "$ctr" cat /proc/sys/net/ipv4/ip_unprivileged_port_start)" 0
		same "$(cri exec -s "$ctr" cat /proc/sys/net/ipv4/ping_group_range | tr '\t' ' ')" "0 2147483647"
	fi
	# the interface of the pod is the address in the status
	has "$(in_net_of "$(pid_of "$ctr")" ip -4 -o addr show eth0)" "$(ip_of "$two")/"
	cri stopp "$one"
	same "$(leases)" 1
}

@test "host ports: on 127.0.0.1, on the node's address, and gone after" {
	pod=$(run_pod ports '.port_mappings=[{protocol: 0, container_port: 80, host_port: 12080}]')
	run_container "$pod" "$(image nginx:1)"
	eventually 5 fetch http://127.0.0.1:12080/
	same "$(fetch http://192.0.2.1:12080/)" "caisson test page"
	cri rmp -f "$pod"
	fails fetch http://127.0.0.1:12080/
	lacks "$(in_node iptables-save)" 12080
}

@test "who flushes the node's nf_tables takes the way out from running pods for a few seconds only" {
	only_ours
	run_pod out >/dev/null
	table=$(in_node nft list ruleset | grep "^table ip caisson-")
	[ -n "$table" ]
	again() { has "$(in_node nft list ruleset)" "ip saddr 10.88.0.0/16 ip daddr != 10.88.0.0/16"; }
	again
	in_node nft flush ruleset
	eventually 12 again
	has "$(tail -n 20 "$LOG")" "the masquerading rule of the default network was gone"
	# also by a daemon that made no pod itself
	daemon_kill
	in_node nft flush ruleset
	daemon_run
	eventually 12 again
	# it stays for pods that run on without a daemon, and goes with the last of them
	daemon_end TERM
	again
	daemon_run
	pods_clear
	daemon_end TERM
	lacks "$(in_node nft list ruleset)" caisson-
	daemon_run
}

@test "resolv.conf, hosts and hostname" {
	pod=$(run_pod names)
	ctr=$(run_container "$pod" "$(image busybox:1)")
	resolv=$(cri exec -s "$ctr" cat /etc/resolv.conf)
	has "$resolv" "nameserver 192.0.2.53"
	has "$resolv" "search example.test"
	has "$resolv" "options ndots:2"
	same "$(cri exec -s "$ctr" hostname)" names
	ours && has "$(cri exec -s "$ctr" cat /etc/hosts)" "$(ip_of "$pod")"
	has "$(cri exec -s "$ctr" cat /etc/hosts)" localhost
}

@test "the node's network needs no plugin and gets the node's names" {
	pod=$(run_pod hostnet '.linux.security_context.namespace_options.network=2 | del(.hostname)')
	ctr=$(run_container "$pod" "$(image nginx:1)" '.linux.security_context.namespace_options.network=2')
	eventually 5 fetch http://127.0.0.1/
	same "$(fetch http://192.0.2.1/hostname)" "$(hostname)"
	same "$(leases)" 0
}

plugin() { # NAME SCRIPT: in $WORK/plugins
	mkdir -p "$WORK/plugins"
	printf '#!/bin/sh\n%s\n' "$2" >"$WORK/plugins/$1"
	chmod +x "$WORK/plugins/$1"
}

use_plugins() { # a daemon that looks there first
	only_ours
	daemon_stop
	sed -i "s#bin_dirs: .*#bin_dirs: [$WORK/plugins, /usr/lib/cni]#; s#timeout: .*#timeout: 8s#" "$WORK/config.yaml"
	daemon_run
	need_image nginx:1
	need_image busybox:1
	leak_mark
}

@test "a plugin that fails in the middle: named with its words; what the others made is undone" {
	use_plugins
	plugin broken '[ "$CNI_COMMAND" = DEL ] && exit 0
echo "{\"cniVersion\":\"1.0.0\",\"code\":11,\"msg\":\"no luck today\",\"details\":\"at all\"}"; exit 1'
	jq '.plugins += [{type: "broken"}]' <<<'{"cniVersion":"1.0.0","name":"half","plugins":[{"type":"bridge","bridge":"caisson0",
		"isGateway":true,"ipam":{"type":"host-local","dataDir":"'"$ROOT"'/cni","ranges":[[{"subnet":"10.88.0.0/16"}]]}}]}' \
		>"$WORK/net.d/00-half.conflist"
	fails run_pod half
	has "$output" broken
	has "$output" "no luck today: at all"
	[ -z "$(cri pods -q)" ]
	same "$(leases)" 0
	lacks "$(in_node ip -o link)" veth
}

@test "a plugin that hangs delays its own pod and no other" {
	use_plugins
	plugin stuck '[ "$CNI_COMMAND" = ADD ] || exit 0
touch '"$WORK"'/stuck.began
exec sleep 1000'
	echo '{"cniVersion":"1.0.0","name":"stuck","plugins":[{"type":"stuck"}]}' >"$WORK/net.d/00-stuck.conflist"
	(run_pod stuck >"$WORK/stuck.out" 2>&1 3>&- || true) &
	waiting=$!
	eventually 5 test -e "$WORK/stuck.began"
	started=$(date +%s%N)
	cri info >/dev/null && cri pods >/dev/null && cri ps >/dev/null
	[ $((($(date +%s%N) - started) / 1000000)) -lt 2000 ]
	rm "$WORK/net.d/00-stuck.conflist"
	pod=$(run_pod quick)
	[ -n "$(ip_of "$pod")" ]
	wait $waiting
	has "$(cat "$WORK/stuck.out")" stuck
	same "$(cri pods -q | wc -l)" 1
	same "$(cri pods -q --name quick | wc -l)" 1
}

@test "a daemon killed while a plugin runs: the next one undoes what was begun" {
	use_plugins
	plugin slow '[ "$CNI_COMMAND" = ADD ] || exit 0
echo $$ >'"$WORK"'/slow.began
exec sleep 1000'
	rm -f "$WORK/slow.began"
	echo '{"cniVersion":"1.0.0","name":"slow","plugins":[{"type":"bridge","bridge":"caisson0","isGateway":true,"ipMasq":true,
		"ipam":{"type":"host-local","dataDir":"'"$ROOT"'/cni","ranges":[[{"subnet":"10.88.0.0/16"}]]}},{"type":"slow"}]}' \
		>"$WORK/net.d/00-slow.conflist"
	(run_pod doomed >/dev/null 2>&1 3>&- || true) &
	waiting=$!
	eventually 10 test -s "$WORK/slow.began"
	same "$(leases)" 1
	daemon_kill
	wait $waiting
	daemon_run
	no_lease() { [ "$(leases)" -eq 0 ]; }
	eventually 10 no_lease
	[ -z "$(cri pods -q)" ]
	lacks "$(in_node ip -o link)" veth
	# a plugin of a daemon that died has nobody to end it; here it is ours to do
	kill "$(cat "$WORK/slow.began")" 2>/dev/null || true
}

@test "DEL uses the configuration of its ADD, though the files changed and the daemon died" {
	use_plugins
	plugin noting 'echo "$CNI_COMMAND $CNI_CONTAINERID $(cat)" >>'"$WORK"'/noted
[ "$CNI_COMMAND" = ADD ] && echo "{\"cniVersion\":\"1.0.0\",\"ips\":[{\"address\":\"10.77.0.2/24\"}]}"
exit 0'
	echo '{"cniVersion":"1.0.0","name":"first","plugins":[{"type":"noting","which":"old"}]}' >"$WORK/net.d/00-net.conflist"
	pod=$(run_pod noted)
	same "$(ip_of "$pod")" 10.77.0.2
	echo '{"cniVersion":"1.0.0","name":"second","plugins":[{"type":"noting","which":"new"}]}' >"$WORK/net.d/00-net.conflist"
	daemon_kill
	daemon_run
	same "$(ip_of "$pod")" 10.77.0.2 "address after the restart"
	cri rmp -f "$pod"
	has "$(grep "^DEL $pod" "$WORK/noted")" '"which":"old"'
	has "$(grep "^DEL $pod" "$WORK/noted")" '10.77.0.2/24'
	lacks "$(cat "$WORK/noted")" '"which":"new"'
}

@test "a broken file makes the network not ready, by name, and is not stepped over" {
	only_ours
	same "$(condition status)" true
	echo '{"name": "x"' >"$WORK/net.d/00-broken.conflist"
	same "$(condition status)" false
	has "$(condition message)" "$WORK/net.d/00-broken.conflist"
	fails run_pod nonet
	has "$output" 00-broken.conflist
	# a pod that needs none of it runs all the same
	run_pod hostnet '.linux.security_context.namespace_options.network=2'
	rm "$WORK/net.d/00-broken.conflist"
	same "$(condition status)" true
	run_pod again
}

@test "no plugins at all: which, and where they were looked for" {
	only_ours
	daemon_stop
	sed -i "s#bin_dirs: .*#bin_dirs: [$WORK/empty]#" "$WORK/config.yaml"
	daemon_run
	same "$(condition status)" false
	has "$(condition message)" "bridge, host-local, portmap"
	has "$(condition message)" "$WORK/empty"
	daemon_stop
	sed -i "s#bin_dirs: .*#bin_dirs: [/usr/lib/cni]#" "$WORK/config.yaml"
	daemon_run
}
