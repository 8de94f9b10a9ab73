# Credentials: where they come from, whom they are sent to, and what a refusal says. Against a
# docker-registry with htpasswd, and a registry of the tests' own with a token server.

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
	export AUTH_FILE=$BATS_TEST_TMPDIR/auth.json
	mkdir "$BATS_TEST_TMPDIR/bin"
	export PATH=$BATS_TEST_TMPDIR/bin:$PATH
}

teardown() {
	[ -e "$BATS_TEST_TMPDIR/docker.pid" ] && kill "$(cat "$BATS_TEST_TMPDIR/docker.pid")"
	serve_end
}

pair() { printf %s "$1" | base64 -w0; }

helper() { # NAME, script on stdin
	cat >"$BATS_TEST_TMPDIR/bin/docker-credential-$1"
	chmod +x "$BATS_TEST_TMPDIR/bin/docker-credential-$1"
}

@test "auths: the host's entry, a nearer one for the repository, a URL as key, user and password apart" {
	serve "$MADE/flat" --basic me:secret
	echo "{\"auths\":{\"$REG\":{\"auth\":\"$(pair me:secret)\"}}}" >"$AUTH_FILE"
	image pull "$REG/flat"
	echo "{\"auths\":{\"$REG\":{\"auth\":\"$(pair me:wrong)\"},\"$REG/team\":{\"auth\":\"$(pair me:secret)\"},
		\"$REG/teamwork\":{\"auth\":\"$(pair a:b)\"}}}" >"$AUTH_FILE"
	image pull "$REG/team/app"
	run image pull "$REG/other/app"
	[ "$status" = 1 ]
	[[ "$output" == "DENIED: pull $REG/other/app: $REG: manifest latest: unauthorized (status 401, UNAUTHORIZED: who are you) (credentials from $AUTH_FILE, auths.$REG)" ]]
	echo "{\"auths\":{\"https://$REG/v1/\":{\"username\":\"me\",\"password\":\"secret\"}}}" >"$AUTH_FILE"
	image pull "$REG/other/app"
}

@test "without a challenge no file is read and nothing is sent" {
	serve "$MADE/flat"
	echo "not JSON" >"$AUTH_FILE"
	image pull "$REG/flat"
	[ -z "$(grep Basic "$LOG")" ]
	serve "$MADE/flat" --basic me:secret
	run image pull "$REG/flat"
	[[ "$output" == "INVALID: "*"$AUTH_FILE: "* ]]
}

@test "what the request brings wins, and what it brings for another host is not sent" {
	serve "$MADE/flat" --basic me:secret
	echo "{\"auths\":{\"$REG\":{\"auth\":\"$(pair me:wrong)\"}}}" >"$AUTH_FILE"
	AUTH=me:secret image pull "$REG/flat"
	AUTH=me:secret SERVER=http://$REG/v2/ image pull "$REG/flat"
	AUTH=other:secret SERVER=other.example run image pull "$REG/flat"
	[ "$status" = 1 ]
	[ -z "$(grep "$(pair other:secret)" "$LOG")" ]
}

@test "a credential helper for the host, and a store for the rest" {
	serve "$MADE/flat" --basic me:secret
	helper one <<-'END'
		#!/bin/sh
		[ "$1" = get ] || exit 3
		printf '{"ServerURL":"%s","Username":"me","Secret":"secret"}' "$(cat)"
	END
	echo "{\"auths\":{\"$REG\":{}},\"credHelpers\":{\"$REG\":\"one\"}}" >"$AUTH_FILE"
	image pull "$REG/flat"
	echo "{\"auths\":{\"$REG\":{}},\"credsStore\":\"one\"}" >"$AUTH_FILE"
	image pull "$REG/flat"
	helper one <<<'#!/bin/sh
echo "credentials not found in native keychain"; exit 1'
	run image pull "$REG/flat"
	[[ "$output" == "DENIED: "*"asks for a user name and password (no credentials for it are known)" ]]
}

@test "a helper that fails, babbles, is missing, or is a path: the error names it" {
	serve "$MADE/flat" --basic me:secret
	helper bad <<<'#!/bin/sh
echo "the vault is sealed" >&2; exit 2'
	echo "{\"credHelpers\":{\"$REG\":\"bad\"}}" >"$AUTH_FILE"
	run image pull "$REG/flat"
	[[ "$output" == "DENIED: "*"credential helper $BATS_TEST_TMPDIR/bin/docker-credential-bad failed: the vault is sealed"* ]]
	helper bad <<<'#!/bin/sh
yes "{\"Username\":" | head -c 3000000'
	run image pull "$REG/flat"
	[[ "$output" == "LIMIT: "*"credential helper $BATS_TEST_TMPDIR/bin/docker-credential-bad: more than 65536 bytes"* ]]
	echo "{\"credHelpers\":{\"$REG\":\"none\"}}" >"$AUTH_FILE"
	run image pull "$REG/flat"
	[[ "$output" == *"credential helper docker-credential-none: not found in \$PATH"* ]]
	echo "{\"credHelpers\":{\"$REG\":\"../../bin/sh\"}}" >"$AUTH_FILE"
	run image pull "$REG/flat"
	[[ "$output" == *"\"../../bin/sh\" is no name of a credential helper"* ]]
}

@test "identity tokens: from the request, from a file, from a helper; a refused one is told with its source" {
	serve "$MADE/flat" --token x:y --refresh R1
	IDENTITY=R1 image pull "$REG/flat"
	grep -q '^/token - grant_type=refresh_token&refresh_token=R1&client_id=caisson&service=test&scope=repository%3Aflat%3Apull$' "$LOG"
	echo "{\"auths\":{\"$REG\":{\"identitytoken\":\"R1\"}}}" >"$AUTH_FILE"
	image pull "$REG/flat"
	helper id <<<'#!/bin/sh
echo "{\"Username\":\"<token>\",\"Secret\":\"R1\"}"'
	echo "{\"credsStore\":\"id\"}" >"$AUTH_FILE"
	image pull "$REG/flat"
	IDENTITY=R2 run image pull "$REG/flat"
	[[ "$output" == "DENIED: pull $REG/flat: $REG: manifest latest: token server http://$REG/token: status 401: no such grant (credentials from the request)" ]]
}

@test "a token server that only knows OAuth2 gets user and password by POST" {
	serve "$MADE/flat" --token me:secret --post
	AUTH=me:secret image pull "$REG/flat"
	grep -q '^/token - grant_type=password&username=me&password=secret&' "$LOG"
}

@test "a registry token goes as it is; a refused one is told" {
	serve "$MADE/flat" --token me:secret
	TOKEN=tok image pull "$REG/flat"
	[ -z "$(grep ^/token "$LOG")" ]
	TOKEN=old run image pull "$REG/flat"
	[[ "$output" == "DENIED: pull $REG/flat: $REG: manifest latest: refused the registry token (credentials from the request)" ]]
}

@test "a docker-registry with htpasswd: asked for, taken, refused" {
	command -v docker-registry >/dev/null || skip "docker-registry is not installed"
	command -v htpasswd >/dev/null || skip "htpasswd is not installed"
	local port
	port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	htpasswd -Bbn me secret >"$BATS_TEST_TMPDIR/htpasswd"
	cat >"$BATS_TEST_TMPDIR/registry.yml" <<-END
		version: 0.1
		log: {level: error}
		storage: {filesystem: {rootdirectory: $BATS_TEST_TMPDIR/store}}
		http: {addr: "127.0.0.1:$port"}
		auth: {htpasswd: {realm: r, path: $BATS_TEST_TMPDIR/htpasswd}}
	END
	docker-registry serve "$BATS_TEST_TMPDIR/registry.yml" >/dev/null 2>&1 3>&- &
	echo $! >"$BATS_TEST_TMPDIR/docker.pid"
	for _ in $(seq 200); do
		curl -s -o /dev/null "http://127.0.0.1:$port/v2/" && break
		sleep 0.05
	done
	skopeo copy -q --dest-tls-verify=false --dest-creds me:secret "oci:$MADE/flat" "docker://127.0.0.1:$port/flat:t"
	AUTH=me:secret image pull "127.0.0.1:$port/flat:t"
	run image pull "127.0.0.1:$port/flat:t"
	[[ "$output" == "DENIED: "*"asks for a user name and password"* ]]
	AUTH=me:wrong run image pull "127.0.0.1:$port/flat:t"
	[[ "$output" == "DENIED: "*"unauthorized (status 401, UNAUTHORIZED: authentication required) (credentials from the request)" ]]
}
