# docs/runtime-spec.md names tests: they are there.

@test "each demand of the runtime specification has a test that exists" {
	cd "$BATS_TEST_DIRNAME/../.."
	rows=0 missing=
	while IFS='|' read -r _ where _ tests _; do
		rows=$((rows + 1))
		while IFS= read -r entry; do
			file=$(sed -n 's/^ *`\([^`]*\)` .*/\1/p' <<<"$entry")
			name=$(sed -n 's/^ *`[^`]*` \(.*[^ ]\) *$/\1/p' <<<"$entry")
			case $file in
			src/*.c) grep -qF "static void $name(" "$file" || missing+="$where: $file: $name"$'\n' ;;
			*.bats) grep -qF "@test \"$name\" {" "tests/$file" || missing+="$where: $file: $name"$'\n' ;;
			*) missing+="$where: no file: $entry"$'\n' ;;
			esac
		done < <(sed 's/<br>/\n/g' <<<"$tests")
	done < <(sed -n '/^|---|---|---|/,/^$/{/^|---/d;/^$/d;p}' docs/runtime-spec.md)
	echo "$rows rows; missing: $missing"
	[ "$rows" -gt 40 ] && [ -z "$missing" ]
}
