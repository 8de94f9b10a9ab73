# Registries as the daemon and the command line see them: mirrors from the configuration, read
# again on SIGHUP; explain; progress; the caller's own credentials.

load daemon

caisson() { timeout 60 "$build/src/prog/caisson/caisson" -a "$socket" "$@"; }

# serve LOG options…: a registry of the tests' own in the daemon's network; sets $served
serve() {
	local log=$dir/$1
	nsenter --net="/proc/$holder/ns/net" "$repo/tests/lib/registry.py" "$dir/plain" "$log" "${@:2}" \
		>"$log.port" 2>&1 3>&- &
	echo $! >>"$dir/served.pids"
	disown
	for _ in $(seq 200); do
		[ -s "$log.port" ] && break
		sleep 0.05
	done
	served=127.0.0.1:$(cat "$log.port")
}

setup_file() {
	daemon_prepare
	"$repo/tools/make-layout" "$dir/plain" "x/y:1"
	export metrics_port=$((20000 + RANDOM % 20000))
	cat >>"$dir/config.yaml" <<-END
		metrics: {port: $metrics_port}
		registries: {}
	END
	daemon_start
}

teardown_file() {
	for pid in $(cat "$dir/served.pids" 2>/dev/null); do kill "$pid" 2>/dev/null; done
	daemon_end
}

configure() { # the registries section, on stdin
	sed -i '/^registries/,$d' "$dir/config.yaml"
	cat >>"$dir/config.yaml"
	local before
	before=$(grep -c 'reload: ' "$dir/log" || true)
	kill -HUP "$(daemon_pid)"
	for _ in $(seq 100); do
		[ "$(grep -c 'reload: ' "$dir/log")" -gt "$before" ] && return
		sleep 0.05
	done
	return 1
}

@test "a mirror in the configuration counts after SIGHUP; explain shows what a pull asks" {
	serve mirror
	run caisson image explain registry.k8s.io/pause:3.10
	[ "$status" = 1 ]
	[[ "${lines[0]}" == "1. https://registry.k8s.io/v2 pause" ]]
	[[ "$output" == *"the registry itself (pull, resolve), from default"* ]]
	configure <<-END
		registries:
		  registry.k8s.io:
		    mirrors:
		      - url: http://127.0.0.1:1
		      - url: http://$served/k8s
		    fallback: false
	END
	run caisson image explain registry.k8s.io/pause:3.10
	[ "$status" = 0 ]
	[[ "${lines[0]}" == "1. http://127.0.0.1:1/v2 pause" ]]
	[[ "${lines[1]}" == "   mirror (pull, resolve), from registries.registry.k8s.io in the configuration" ]]
	[[ "${lines[3]}" == "   failed: "*"127.0.0.1"*"ms)" ]]
	[[ "${lines[4]}" == "2. http://$served/k8s/v2 pause" ]]
	[[ "${lines[7]}" == "   has it application/vnd.oci.image."*"ms)" ]]
	crictl pull registry.k8s.io/pause:3.10
	crictl images | grep -q '^registry.k8s.io/pause  *3.10'
	crictl rmi registry.k8s.io/pause:3.10
	configure <<<"registries: {_default: {mirrors: [{url: 'http://$served'}]}}"
	crictl pull k8s.gcr.io/pause:3.1
	crictl rmi k8s.gcr.io/pause:3.1
}

@test "a wrong configuration is refused on SIGHUP, and the old one stays" {
	serve other
	configure <<<"registries: {_default: {mirrors: [{url: 'http://$served'}]}}"
	configure <<<"registries: {_default: {mirors: []}}"
	grep -q 'reload: .*registries._default.mirors: no such key; everything stays as it was' "$dir/log"
	caisson image explain gcr.io/x/y:1 | grep -q "^1. http://$served/v2 x/y$"
}

@test "a pull that runs is seen: with its bytes, by image pulls and on a terminal; a pipe gets the id alone" {
	serve slow --rate 250000
	configure <<<"registries: {}"
	caisson pull "$served/slow/image:1" >"$dir/quiet" 2>"$dir/noise" 3>&- &
	pid=$!
	for _ in $(seq 200); do
		line=$(caisson image pulls | grep slow/image || true)
		[[ "$line" == *fetching*[01]/2*B* ]] && break
		sleep 0.05
	done
	[[ "$line" == "$served/slow/image:1 "*fetching*[01]/2*B* ]]
	# a second caller joins, on a terminal
	script -qefc "$build/src/prog/caisson/caisson -a $socket pull $served/slow/image:1" "$dir/typescript" >/dev/null
	wait $pid
	[ "$(wc -l <"$dir/quiet")" = 1 ]
	grep -q '^sha256:' "$dir/quiet"
	[ ! -s "$dir/noise" ]
	grep -aq 'fetching \[#* *\] .*B of .*B' "$dir/typescript"
	grep -aq ': fetching, [01] of 2 layers, .* of .*B/s' "$dir/typescript"
	[ "$(caisson image pulls | wc -l)" = 1 ]
	in_net curl -sf --max-time 10 "http://127.0.0.1:$metrics_port/metrics" >"$dir/metrics"
	grep -q '^caisson_image_pulls_joined_total 1$' "$dir/metrics"
	grep -q '^caisson_image_pulls_running 0$' "$dir/metrics"
	[ "$(sed -n 's/^caisson_image_bytes_fetched_total //p' "$dir/metrics")" -gt 1000000 ]
	[ "$(grep -c blobs/ "$dir/slow")" = 3 ]
}

@test "the caller's credentials go along; a refusal is told to the end" {
	serve private --basic me:secret
	mkdir "$dir/docker"
	run caisson pull "$served/p:1"
	[ "$status" = 1 ]
	[[ "$output" == *"asks for a user name and password (no credentials for it are known)" ]]
	echo "{\"auths\":{\"$served\":{\"auth\":\"$(printf me:secret | base64)\"}}}" >"$dir/docker/config.json"
	DOCKER_CONFIG=$dir/docker caisson pull "$served/p:1"
	run caisson pull -u me:wrong "$served/p:1"
	[[ "$output" == *"(status 401, UNAUTHORIZED: who are you) (credentials from the request)" ]]
}

@test "at rest after pulls it takes at most 8 MiB, though libcurl and its libraries stay loaded" {
	[[ $build == *san* ]] && skip "a sanitizer takes its own"
	local rss
	grep -q libcurl "/proc/$(daemon_pid)/maps"
	# all that is resident, so that nobody else who maps the same libraries makes it smaller
	for _ in $(seq 100); do
		rss=$(awk '/^Rss:/ { print $2 }' "/proc/$(daemon_pid)/smaps_rollup")
		[ "$rss" -gt 8192 ] || break
		sleep 0.1
	done
	echo "$rss kB"
	[ "$rss" -le 8192 ]
}
