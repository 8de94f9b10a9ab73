# Tables of demands in docs/ (where | demand | test) name tests: they are there.

# demands FILE LEAST: it has at least so many rows, and each names tests that exist
demands() {
	cd "$BATS_TEST_DIRNAME/../.."
	rows=0 missing=
	while IFS='|' read -r _ where _ tests _; do
		rows=$((rows + 1))
		while IFS= read -r entry; do
			file=$(sed -n 's/^ *`\([^`]*\)` .*/\1/p' <<<"$entry")
			name=$(sed -n 's/^ *`[^`]*` \(.*[^ ]\) *$/\1/p' <<<"$entry")
			case $file in
			src/*.c) grep -qF "static void $name(" "$file" || missing+="$where: $file: $name"$'\n' ;;
			critest) ;; # its names are the suite's own
			*.bats) grep -qF "@test \"$name\" {" "tests/$file" || missing+="$where: $file: $name"$'\n' ;;
			*) missing+="$where: no file: $entry"$'\n' ;;
			esac
		done < <(sed 's/<br>/\n/g' <<<"$tests")
	done < <(sed -n '/^|---|---|---|/,/^$/{/^|---/d;/^$/d;p}' "$1")
	echo "$rows rows; missing: $missing"
	[ "$rows" -ge "$2" ] && [ -z "$missing" ]
}

@test "each demand of the runtime specification has a test that exists" { demands docs/runtime-spec.md 40; }

@test "each demand of NRI has a test that exists" { demands docs/nri.md 38; }

@test "each demand of the CRI has a test that exists" { demands docs/cri-demands.md 40; }
