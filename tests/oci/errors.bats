# Bad input: each gives an error that names the thing and the reason.
load lib
setup() { oci_setup; }
teardown() { oci_teardown; }

@test "config.json that is missing, no JSON, or wrong" {
	rm "$B/config.json"
	run_c1
	[ "$status" = 1 ]
	[[ "${stderr,,}" == *"config.json"* ]]
	echo '{' >"$B/config.json"
	run_c1
	[ "$status" = 1 ]
	only_ours "texts differ"
	[[ "$stderr" == *"config.json: line 2"* ]]
	echo '{"ociVersion":"1.0","process":{"cwd":5}}' >"$B/config.json"
	run_c1
	[[ "$stderr" == *"process.cwd: expected a string, got an integer"* ]]
	[ ! -e "$ROOT/c1" ]
}

@test "log records as text and JSON, and a word for the terminal" {
	run rt start nosuch
	[ "$status" = 1 ]
	[[ "$output" == *level=error* ]]
	run rt --log "$T/log" --log-format json start nosuch
	[ "$status" = 1 ]
	[[ "$output" == *"does not exist"* ]]
	[ "$(jq -r .level "$T/log")" = error ]
	jq -e '.msg|test("does not exist")' "$T/log"
	jq -e '.time' "$T/log"
}

@test "command lines that make no sense" {
	run rt nosuch
	[ "$status" != 0 ]
	run rt create
	[ "$status" = 1 ]
	run rt create --nosuch c1
	[ "$status" = 1 ]
	[[ "$output" == *"nosuch"* ]]
	run rt exec c1
	[ "$status" != 0 ]
	run rt --version
	[ "$status" = 0 ]
	[[ "$output" == *"spec: 1."* ]]
	run rt create --help
	[ "$status" = 0 ]
	[[ "$output" == *"--bundle"* ]]
}

@test "spec does not overwrite" {
	run "$RUNTIME" spec -b "$B"
	[ "$status" = 1 ]
	[[ "$output" == *"exists"* ]]
}

@test "features says what there is" {
	"$RUNTIME" features | jq -e '.linux.namespaces|index("network")'
	"$RUNTIME" features | jq -e '.mountOptions|index("rro")'
	"$RUNTIME" features | jq -e '.linux.seccomp.actions|index("SCMP_ACT_ERRNO")'
}

@test "the rootfs is missing or no directory" {
	spec '.root.path="nowhere"'
	run_c1
	[ "$status" = 1 ]
	[[ "$stderr" == *"nowhere"* ]]
	touch "$B/file"
	spec '.root.path="file"'
	run_c1
	[ "$status" = 1 ]
	[ ! -e "$ROOT/c1" ]
}
