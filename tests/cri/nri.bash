# What the suites of NRI share: a daemon with a pod, a plugin that is installed and external ones, which
# do what their rules say ($dir/NAME.rules, see nri-plugin/main.go).

load daemon.bash

setup_file() {
	daemon_prepare
	export plugin_binary
	plugin_binary=$("$repo/tools/build-nri-plugin" 2>"$dir/plugin-build.log") ||
		skip "no NRI plugin: $(tail -n 1 "$dir/plugin-build.log")"
	mkdir "$dir/nri-plugins" "$dir/nri-conf"
	cp "$plugin_binary" "$dir/nri-plugins/05-installed"
	echo "{\"rules\": \"$dir/installed.rules\", \"log\": \"$dir/installed.log\"}" >"$dir/nri-conf/installed.conf"
	sed -i 's/^nri:/&\n  request_timeout: 3s/' "$dir/config.yaml"
	registry_start
	daemon_start
	crictl pull "$image" >/dev/null
	export pod pod_json
	pod_json=$(pod_config base)
	pod=$(crictl runp "$pod_json")
}

teardown_file() { daemon_end; }

teardown() {
	for i in $(cat "$dir/plugins" 2>/dev/null); do
		kill "$i" 2>/dev/null
		wait_gone "$i"
	done
	rm -f "$dir/plugins" "$dir"/*.rules
	[ -n "$BATS_TEST_COMPLETED" ] || tail -n 25 "$dir/log"
}

# plugin IDX NAME: an external one, when it hears events; its files are $dir/NAME.*
plugin() {
	rm -f "$dir/$2".*
	"$plugin_binary" -idx "$1" -name "$2" -socket "$dir/nri.sock" -rules "$dir/$2.rules" -log "$dir/$2.log" \
		>"$dir/$2.out" 2>&1 3>&- &
	echo $! >>"$dir/plugins"
	disown
	said "$2" '^Synchronize '
	for _ in $(seq 100); do grep -q "NRI plugin $1-$2 is registered" "$dir/log" && return; sleep 0.02; done
	return 1
}

# said NAME REGEX: within two seconds its log has such a line
said() {
	for _ in $(seq 100); do grep -qE "$2" "$dir/$1.log" 2>/dev/null && return; sleep 0.02; done
	cat "$dir/$1.log" >&2
	return 1
}

rules() { jq -c . >"$dir/$1.new" <<<"$2" && mv "$dir/$1.new" "$dir/$1.rules"; }
spec() { crictl inspect "$1" | jq -c ".info.runtimeSpec | $2"; }
