#!/bin/bash
# library_man.sh - libcops(3) and libpib(3) name every function and header that is installed, and
# none that is not there.  Run in the build folder.
set -u
srcdir=${srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
failed=0

# page LIBRARY PREFIX - functions of that prefix only: buf_* and cur_* are in both
page()
{
	local man=$srcdir/doc/$1.3
	"$srcdir/tests/api" "$1" | grep "^$2.*()" >"$tmp/headers"
	grep -o "\b$2[a-z0-9_]*(" "$man" | sed 's/$/)/' | LC_ALL=C sort -u >"$tmp/man"
	[ "$(wc -l <"$tmp/headers")" -ge 50 ] || { echo "few functions of $1 found"; failed=1; }
	diff "$tmp/headers" "$tmp/man" || { echo "$man names other functions (>) than the headers (<)"; failed=1; }
	mandoc -Tlint -Wwarning "$man" | grep -v 'missing date' && failed=1
}

page libcops '\(cops\|buf\|cur\)_'
page libpib pib_
exit $failed
