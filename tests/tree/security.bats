# docs/security.md and the tests name the same published vulnerabilities.

@test "each row of docs/security.md has its test, and each test its row" {
	cd "$BATS_TEST_DIRNAME/../.."
	rows=$(grep '^| CVE' docs/security.md | cut -d'|' -f2 | grep -oE 'CVE-[0-9]+-[0-9]+' | sort)
	tests=$(grep -h '^@test' tests/security/*.bats | grep -oE 'CVE-[0-9]+-[0-9]+' | sort)
	[ "$(uniq -d <<<"$rows")" = "" ]
	diff <(echo "$rows") <(sort -u <<<"$tests")
}
