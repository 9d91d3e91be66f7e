#!/bin/sh
# The settings of copspepd: manual page and shipped example name exactly the options of
# its table, and the example is taken.
set -e
pep=${COPSPEPD:-pep/copspepd}
src=${srcdir:-.}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

options() { sed -n 's/^#*\([a-z-]*\) = .*/\1/p' "$1" | sort; }

"$pep" --print-config >"$tmp/printed"
options "$tmp/printed" >"$tmp/table"
sed -n 's/^\.It Cm \([a-z-]*\) No = .*/\1/p' "$src/doc/pep.conf.5" | sort >"$tmp/man"
options "$src/examples/pep.conf" >"$tmp/example"
diff "$tmp/table" "$tmp/man"
diff "$tmp/table" "$tmp/example"
"$pep" --check -c "$src/examples/pep.conf"
"$pep" --check -c "$tmp/printed"
! "$pep" --check -c /dev/null 2>/dev/null
