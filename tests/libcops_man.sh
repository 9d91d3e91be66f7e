#!/bin/bash
# libcops(3) names every function of the installed headers, and none that is not there.
set -u
cd "$(dirname "$0")/.." || exit 99
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
failed=0

headers=$(sed -n '/^copsinclude_HEADERS/,/[^\\]$/p' libcops/local.mk | grep -o 'libcops/[a-z_]*\.h')
# shellcheck disable=SC2086 # words
sed 's,/\*.*\*/,,; /^ *\/\*/,/\*\//d' $headers | grep -v typedef | grep -o '\bcops_[a-z0-9_]*(' |
    sort -u >"$tmp/headers"
grep -o '\bcops_[a-z0-9_]*(' doc/libcops.3 | sort -u >"$tmp/man"
[ "$(wc -l <"$tmp/headers")" -ge 50 ] || { echo "few functions found"; failed=1; }
diff "$tmp/headers" "$tmp/man" || { echo "doc/libcops.3 names other functions than the headers (<)"; failed=1; }
mandoc -Tlint -Wwarning doc/libcops.3 | grep -v 'missing date' && failed=1
exit $failed
