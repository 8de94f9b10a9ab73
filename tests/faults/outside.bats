# Faults from outside (outside.py): deadlines, hanging plugins, stopped and killed processes. They need no hook,
# so that CRI_PEER=containerd shows the same of Debian's containerd. A cut by default, all with FAULTS=all.

load ../lib/load

setup_file() {
	[ -z "${CRI_SOCKET:-}" ] || skip "kills the daemon"
	work_start
	node_start
	registry_start
	slow_network
	daemon_start bin_dir="$WORK/cni-bin"
	export FAULT_RUN=$WORK/daemon-run CHURN=$BUILD/tests/cri-churn
	IMAGE=$(image busybox:1)
	export IMAGE CRI_PEER=${CRI_PEER:-caisson}
	cat >"$FAULT_RUN" <<-SH
		#!/bin/bash
		source "$LIB/load.bash"
		BUILD=$BUILD
		daemon_run
	SH
	chmod +x "$FAULT_RUN"
}

teardown_file() {
	[ -n "${WORK:-}" ] || return 0
	suite_stop
}

# the network of both daemons, and a plugin behind it that waits while a file says so
slow_network() {
	mkdir -p "$WORK/cni-bin" "$WORK/net.d"
	ln -s /usr/lib/cni/* "$WORK/cni-bin"
	cat >"$WORK/cni-bin/slow" <<-SH
		#!/bin/bash
		document=\$(cat)
		[ "\$CNI_COMMAND" != VERSION ] || { echo '{"cniVersion":"1.0.0","supportedVersions":["1.0.0"]}'; exit; }
		pod=\${CNI_ARGS#*K8S_POD_NAME=}
		while [ -e "$WORK/hang-\$CNI_COMMAND-\${pod%%;*}" ]; do sleep 0.05; done
		[ "\$CNI_COMMAND" != ADD ] || jq -c .prevResult <<<"\$document"
	SH
	chmod +x "$WORK/cni-bin/slow"
	cat >"$WORK/net.d/05-slow.conflist" <<-CONFLIST
		{"cniVersion":"1.0.0","name":"caisson","plugins":[
		{"type":"bridge","bridge":"caisson0","isGateway":true,"ipMasq":true,"hairpinMode":true,
		"ipam":{"type":"host-local","dataDir":"$WORK/root/cni","ranges":[[{"subnet":"10.88.0.0/16"}]],"routes":[{"dst":"0.0.0.0/0"}]}},
		{"type":"portmap","capabilities":{"portMappings":true}},
		{"type":"slow"}]}
	CONFLIST
}

@test "deadlines, hanging plugins, stopped and killed processes: the state is right and nothing is left" {
	local only=()
	[ "${FAULTS:-}" = all ] || only=(--only deadline_run)
	[ -z "${FAULTS_REPORTS:-}" ] || only+=(--report "$FAULTS_REPORTS/$(peer)-outside.json")
	PYTHONPATH=$BATS_TEST_DIRNAME PYTHONDONTWRITEBYTECODE=1 python3 "$BATS_TEST_DIRNAME/outside.py" "${only[@]}" >"$WORK/outside.out" 2>&1 ||
		{ cat "$WORK/outside.out"; tail -n 5 "$LOG"; false; }
	sed 's/^/# /' "$WORK/outside.out" >&3
}
