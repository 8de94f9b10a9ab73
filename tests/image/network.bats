# The network's side of a pull: answers that ask for patience, proxies, IPv6, HTTP/2 and tokens of a
# real docker-registry behind TLS with an authority of its own. Loopback only.

load serve

setup_file() {
	export HERE=$BATS_TEST_DIRNAME TOP=$BATS_TEST_DIRNAME/../..
	export CAISSON_IMAGE=${CAISSON_BUILD:-$TOP/build}/tests/caisson-image
	export MADE=$BATS_FILE_TMPDIR/made
	"$HERE/make-nasty" "$MADE"
}

setup() {
	[ "$(id -u)" = 0 ] || skip "needs root for owners, devices and trusted.* attributes"
	ROOT=$BATS_TEST_TMPDIR/root
	LOG=$BATS_TEST_TMPDIR/requests
	export HOSTS_DIR=$BATS_TEST_TMPDIR/certs.d
	mkdir "$HOSTS_DIR"
}

teardown() {
	for pid in $(cat "$BATS_TEST_TMPDIR"/docker.pid* 2>/dev/null); do kill "$pid" 2>/dev/null || true; done
	serve_end
}

free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

@test "429 and 5xx: what Retry-After says, as seconds or as a date, is waited for; no more than it takes" {
	serve "$MADE/flat" --busy 2 --busy-status 429 --retry-after 1
	start=$(date +%s%N)
	image pull "$REG/flat:t"
	[ $(($(date +%s%N) - start)) -ge 1900000000 ]
	serve "$MADE/flat" --busy 1 --busy-status 503 --retry-after date+2
	start=$(date +%s%N)
	image pull "$REG/flat:t"
	[ $(($(date +%s%N) - start)) -ge 900000000 ]
	serve "$MADE/flat" --busy 2 --busy-status 500 --retry-after none
	image pull "$REG/flat:t"
	serve "$MADE/flat" --busy 100 --busy-status 429 --retry-after 0
	run image pull "$REG/flat:t"
	[ "$status" = 1 ]
	[[ "$output" == "UNAVAILABLE: pull $REG/flat:t: $REG: manifest t: too many requests (status 429)" ]]
	[ "$(wc -l <"$LOG")" -lt 30 ]
}

@test "a proxy of the environment is asked for all but loopback and what no_proxy names" {
	serve "$MADE/flat"
	mkdir "$HOSTS_DIR/nowhere.invalid"
	echo 'server = "http://nowhere.invalid"' >"$HOSTS_DIR/nowhere.invalid/hosts.toml"
	http_proxy=http://$REG image pull nowhere.invalid/flat:t
	grep -q '^http://nowhere.invalid/v2/flat/manifests/t -$' "$LOG"
	: >"$LOG"
	http_proxy=http://127.0.0.1:1 image pull "$REG/flat:t"
	HTTP_PROXY=http://$REG image explain nowhere.invalid/flat:t
	grep -q "^http://nowhere.invalid/v2/flat/manifests/t" "$LOG"
	: >"$LOG"
	http_proxy=http://$REG no_proxy=nowhere.invalid run image pull nowhere.invalid/flat:t
	[ "$status" = 1 ]
	[ -z "$(grep nowhere "$LOG")" ]
}

# proxy_start [USER:PASSWORD]: sets PROXY; it leads to PORT whatever it is asked for
proxy_start() {
	local out=$BATS_TEST_TMPDIR/proxy.$RANDOM
	"$HERE/proxy.py" "$BATS_TEST_TMPDIR/proxied" "$PORT" "$@" >"$out" 3>&- &
	echo $! >"$BATS_TEST_TMPDIR/pid.$!"
	for _ in $(seq 400); do
		[ -s "$out" ] && break
		sleep 0.05
	done
	PROXY=127.0.0.1:$(cat "$out")
}

@test "a registry behind TLS by a proxy's CONNECT and by SOCKS5, with its password; a refusal is told" {
	local log=$BATS_TEST_TMPDIR/proxied
	openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=registry -addext subjectAltName=DNS:nowhere.invalid \
		-keyout "$BATS_TEST_TMPDIR/key" -out "$BATS_TEST_TMPDIR/cert" 2>/dev/null
	serve "$MADE/flat" --tls "$BATS_TEST_TMPDIR/cert" "$BATS_TEST_TMPDIR/key"
	export CA_FILE=$BATS_TEST_TMPDIR/cert
	proxy_start
	for name in https_proxy=http HTTPS_PROXY=http all_proxy=socks5h ALL_PROXY=socks5h; do
		: >"$log"
		export "${name%=*}=${name#*=}://$PROXY"
		image pull nowhere.invalid/flat:t
		image rm nowhere.invalid/flat:t
		unset "${name%=*}"
		grep -qE "^(connect|socks5) nowhere.invalid:443$" "$log"
		[ -z "$(grep -vE "^(connect|socks5) nowhere.invalid:443$" "$log")" ]
	done
	proxy_start me:secret
	https_proxy=http://me:secret@$PROXY image pull nowhere.invalid/flat:t
	image rm nowhere.invalid/flat:t
	all_proxy=socks5h://me:secret@$PROXY image pull nowhere.invalid/flat:t
	image rm nowhere.invalid/flat:t
	https_proxy=http://me:wrong@$PROXY run image pull nowhere.invalid/flat:t
	[ "$status" = 1 ]
	echo "$output"
	[[ "$output" == "UNAVAILABLE: pull nowhere.invalid/flat:t: nowhere.invalid: manifest t: "*407* ]]
	# the proxy's password is nobody else's business
	[ -z "$(grep -E 'secret|wrong' "$LOG")" ]
	[[ "$output" != *wrong* ]]
}

@test "a registry at an IPv6 address" {
	grep -q '^00000000000000000000000000000001 ' /proc/net/if_inet6 2>/dev/null || skip "no IPv6 on loopback"
	serve "$MADE/flat" --host ::1
	image pull "[::1]:$PORT/flat:t"
	image list | grep -qF " [::1]:$PORT/flat:t "
}

@test "a docker-registry behind TLS with an own authority and a token server: HTTP/2, tokens, refusals" {
	command -v docker-registry >/dev/null || skip "docker-registry is not installed"
	local t=$BATS_TEST_TMPDIR port pusher log=$BATS_TEST_TMPDIR/tokens
	openssl req -x509 -newkey rsa:2048 -nodes -keyout "$t/key" -out "$t/cert" -days 2 -subj /CN=test \
		-addext subjectAltName=IP:127.0.0.1 2>/dev/null
	port=$(free_port) pusher=$(free_port)
	"$HERE/token-server.py" "$t/key" "$t/cert" me:secret "$log" >"$t/tokens.port" 3>&- &
	echo $! >"$t/pid.tokens"
	for _ in $(seq 100); do [ -s "$t/tokens.port" ] && break; sleep 0.05; done
	printf 'version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\n' "$t/store" >"$t/base.yml"
	{ cat "$t/base.yml"; echo "http: {addr: \"127.0.0.1:$pusher\"}"; } >"$t/push.yml"
	{
		cat "$t/base.yml"
		echo "http: {addr: \"127.0.0.1:$port\", tls: {certificate: $t/cert, key: $t/key}}"
		echo "auth: {token: {realm: \"http://127.0.0.1:$(cat "$t/tokens.port")/token\", service: reg, issuer: test, rootcertbundle: $t/cert}}"
	} >"$t/pull.yml"
	for which in push pull; do
		docker-registry serve "$t/$which.yml" >/dev/null 2>"$t/$which.log" 3>&- &
		echo $! >"$t/docker.pid.$which"
	done
	for p in $port $pusher; do
		for _ in $(seq 200); do curl -sk -o /dev/null --max-time 2 "https://127.0.0.1:$p/v2/" "http://127.0.0.1:$p/v2/" && break; sleep 0.05; done
	done
	skopeo copy -q --dest-tls-verify=false "oci:$MADE/flat" "docker://127.0.0.1:$pusher/team/flat:t"
	mkdir "$HOSTS_DIR/127.0.0.1_${port}_"
	printf 'server = "https://127.0.0.1:%s"\nca = "%s"\n' "$port" "$t/cert" >"$HOSTS_DIR/127.0.0.1_${port}_/hosts.toml"
	run image pull "127.0.0.1:$port/team/flat:t"
	[[ "$output" == "DENIED: "*"token server http://127.0.0.1:"*": status 401: UNAUTHORIZED: who is that (no credentials for it are known)" ]]
	# the token server speaks plain HTTP: it is not told a password that TLS was to keep
	AUTH=me:secret run image pull "127.0.0.1:$port/team/flat:t"
	[[ "$output" == *"would get the credentials in the clear (credentials from the request)" ]]
	sed -i "s|realm: \"http:|realm: \"https:|" "$t/pull.yml"
	kill "$(cat "$t/docker.pid.pull")" "$(cat "$t/pid.tokens")"
	"$HERE/token-server.py" "$t/key" "$t/cert" me:secret "$log" --tls "$(cat "$t/tokens.port")" >/dev/null 3>&- &
	echo $! >"$t/pid.tokens"
	docker-registry serve "$t/pull.yml" >/dev/null 2>"$t/pull.log" 3>&- &
	echo $! >"$t/docker.pid.pull"
	for p in $port $(cat "$t/tokens.port"); do
		for _ in $(seq 200); do curl -sk -o /dev/null --max-time 2 "https://127.0.0.1:$p/v2/" && break; sleep 0.05; done
	done
	AUTH=me:secret image pull "127.0.0.1:$port/team/flat:t"
	# the caller of explain has none
	echo "{\"auths\":{\"127.0.0.1:$port\":{\"auth\":\"$(printf me:secret | base64)\"}}}" >"$t/auth.json"
	AUTH_FILE=$t/auth.json run image explain "127.0.0.1:$port/team/flat:t"
	[[ "$output" == "https://127.0.0.1:$port/v2|"*"|has|application/vnd."*"|HTTP/2" ]]
	grep -q 'scope=repository%3Ateam%2Fflat%3Apull' "$log"
	IDENTITY=refresh-me ROOT=$t/root2 image pull "127.0.0.1:$port/team/flat:t"
	IDENTITY=stolen run image pull "127.0.0.1:$port/team/flat:t"
	[[ "$output" == *"status 401: that token was taken back (credentials from the request)" ]]
	AUTH=me:wrong run image pull "127.0.0.1:$port/team/flat:t"
	[[ "$output" == *"status 401: UNAUTHORIZED: who is that (credentials from the request)" ]]
}
