# Which hosts are asked for an image, in which order, and how: hosts.toml, our configuration,
# mirrors that are dead, wrong or empty, certificates, headers, paths. Loopback only.

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
	NAME=nowhere.invalid/team/app:v1
}

teardown() { serve_end; }

hosts_toml() { # REGISTRY, text on stdin
	mkdir -p "$HOSTS_DIR/$1"
	cat >"$HOSTS_DIR/$1/hosts.toml"
}

authority() { # makes $T/ca.pem, and $T/{server,client}.{pem,key} that it signed
	T=$BATS_TEST_TMPDIR/tls
	mkdir "$T"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$T/ca.key" -out "$T/ca.pem" \
		-days 2 -subj /CN=test-ca 2>/dev/null
	for who in server client; do
		openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$T/$who.key" -out "$T/$who.csr" \
			-subj "/CN=$who" 2>/dev/null
		openssl x509 -req -in "$T/$who.csr" -CA "$T/ca.pem" -CAkey "$T/ca.key" -CAcreateserial -days 2 \
			-extfile <(echo subjectAltName=IP:127.0.0.1) -out "$T/$who.pem" 2>/dev/null
	done
}

@test "a mirror of hosts.toml serves a registry that cannot be reached, and is told whose image it is" {
	serve "$MADE/nasty"
	hosts_toml nowhere.invalid <<<"[host.\"http://$REG\"]"
	image pull $NAME
	image list | grep -q ' nowhere.invalid/team/app:v1 '
	grep -q '^/v2/team/app/manifests/v1?ns=nowhere.invalid -$' "$LOG"
	grep -q '^/v2/team/app/blobs/sha256:[0-9a-f]*?ns=nowhere.invalid -$' "$LOG"
}

@test "_default serves every registry that has no directory of its own" {
	serve "$MADE/nasty"
	hosts_toml _default <<<"[host.\"http://$REG\"]"
	image pull registry.k8s.io/pause:3.10
	image pull k8s.gcr.io/x:1
	grep -c 'ns=k8s.gcr.io' "$LOG"
	image pull busybox
	grep -q '^/v2/library/busybox/manifests/latest?ns=docker.io -$' "$LOG"
}

@test "explain tells of each host in the order of the requests: a dead one, an empty one, one that may not, one that has it" {
	serve "$MADE/nasty"
	has=$REG
	serve "$MADE/nasty" --missing
	empty=$REG
	hosts_toml nowhere.invalid <<-END
		[host."http://127.0.0.1:1"]
		[host."http://127.0.0.1:2"]
		capabilities = ["pull"]
		[host."http://$empty"]
		[host."http://$has"]
	END
	run image explain $NAME
	[ "$status" = 0 ]
	[[ "${lines[0]}" == "http://127.0.0.1:1/v2|$HOSTS_DIR/nowhere.invalid/hosts.toml|failed|"*[Cc]onnect* ]]
	[[ "${lines[1]}" == "http://127.0.0.1:2/v2|"*"|not-allowed||" ]]
	[[ "${lines[2]}" == "http://$empty/v2|"*"|failed|not found (status 404, NOT_THERE: no such thing)|" ]]
	[[ "${lines[3]}" == "http://$has/v2|"*"|has|application/vnd."*"|HTTP/1.1" ]]
	[[ "${lines[4]}" == "https://nowhere.invalid/v2|"*"|not-needed||" ]]
	# the pull goes the same way
	: >"$LOG"
	image pull $NAME
	[ "$(head -n 1 "$LOG")" = "missing /v2/team/app/manifests/v1?ns=nowhere.invalid -" ]
}

@test "when all fail the error tells of each" {
	hosts_toml nowhere.invalid <<-END
		[host."http://127.0.0.1:1"]
		[host."https://127.0.0.1:2/p"]
	END
	run image pull $NAME
	[ "$status" = 1 ]
	[[ "$output" == "UNAVAILABLE: pull $NAME: nowhere.invalid: manifest v1: http://127.0.0.1:1/v2: "*"; https://127.0.0.1:2/p/v2: "*"; https://nowhere.invalid/v2: "* ]]
}

@test "our configuration comes before hosts.toml; without fallback the registry itself is not asked" {
	serve "$MADE/nasty"
	hosts_toml 127.0.0.1_"$PORT"_ <<<'server = "http://127.0.0.1:1"'
	run image pull "$REG/a/b"
	[[ "$output" == *"127.0.0.1:1"* ]]
	export CONFIG="registries: {'$REG': {}}"
	image pull "$REG/a/b"
	export CONFIG="registries: {'$REG': {mirrors: [{url: 'http://127.0.0.1:1'}], fallback: false}}"
	: >"$LOG"
	run image pull "$REG/a/b"
	[ "$status" = 1 ]
	[ ! -s "$LOG" ]
}

@test "TLS with an own authority, a client certificate, headers, a prefix and a rewrite" {
	authority
	serve "$MADE/nasty" --tls "$T/server.pem" "$T/server.key" --client-ca "$T/ca.pem" --header X-Node
	hosts_toml nowhere.invalid <<-END
		[host."https://$REG/hub"]
		ca = "$T/ca.pem"
		client = [["$T/client.pem", "$T/client.key"]]
		[host."https://$REG/hub".header]
		X-Node = "n1"
	END
	image pull $NAME
	grep -q '^/hub/v2/team/app/manifests/v1?ns=nowhere.invalid - n1$' "$LOG"
	export CONFIG="registries:
  nowhere.invalid:
    mirrors:
      - {url: 'https://$REG/own/v2/x', override_path: true, ca: [$T/ca.pem], client_cert: $T/client.pem,
         client_key: $T/client.key, headers: {X-Node: n2}, rewrite: {team/: group/}}"
	image pull $NAME
	grep -q '^/own/v2/x/group/app/manifests/v1?ns=nowhere.invalid - n2$' "$LOG"
	# without the certificate the server does not talk
	hosts_toml nowhere.invalid <<<"server = \"https://$REG\"
ca = \"$T/ca.pem\""
	unset CONFIG
	run image pull $NAME
	[ "$status" = 1 ]
	# nor is the server believed without its authority
	hosts_toml nowhere.invalid <<<"server = \"https://$REG\""
	run image pull $NAME
	[[ "$output" == *"certificate is not trusted"* ]]
	# a file that is missing is named
	hosts_toml nowhere.invalid <<<"server = \"https://$REG\"
ca = \"gone.pem\""
	run image pull $NAME
	[[ "$output" == *"ca $HOSTS_DIR/nowhere.invalid/gone.pem: No such file"* ]]
}

@test "a wrong hosts.toml fails the pull with its line, and the next pull sees it corrected" {
	serve "$MADE/nasty"
	hosts_toml nowhere.invalid <<<'[host."http://127.0.0.1:1"]
skip_verfy = true'
	run image pull $NAME
	[ "$status" = 1 ]
	[[ "$output" == "INVALID: pull $NAME: $HOSTS_DIR/nowhere.invalid/hosts.toml:2: skip_verfy: no such key" ]]
	hosts_toml nowhere.invalid <<<"[host.\"http://$REG\"]"
	image pull $NAME
}

@test "credentials for the registry do not go to its mirrors" {
	serve "$MADE/nasty" --basic user:secret
	with=$REG
	serve "$MADE/nasty" --missing
	hosts_toml nowhere.invalid <<-END
		server = "http://$with"
		[host."http://$REG"]
	END
	AUTH=user:secret image pull $NAME
	[ -z "$(grep '^missing.*Basic' "$LOG")" ]
	grep -q '^/v2/team/app/manifests/v1 Basic ' "$LOG"
}
