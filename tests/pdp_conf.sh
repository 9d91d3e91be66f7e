#!/bin/sh
# The shipped pdp.conf is what copspdpd prints and takes, and the manual has every option.
set -eu
src=${srcdir:-.}
pdpd=./pdp/copspdpd
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

$pdpd --print-config >"$tmp/printed"
# paths depend on the prefix
sed -E 's,= /.*/(cops/),= /\1,' "$tmp/printed" >"$tmp/a"
sed -E 's,= /.*/(cops/),= /\1,' "$src/examples/pdp.conf" >"$tmp/b"
diff "$tmp/b" "$tmp/a"
$pdpd --check -c "$src/examples/pdp.conf"
$pdpd --check -c "$tmp/printed"

sed -nE 's/^#?([a-z-]+) = .*/\1/p' "$tmp/printed" | sort >"$tmp/a"
sed -nE '/^.SH OPTIONS/,/^.SH FILES/s/^\.B ([a-z\\-]+)$/\1/p' "$src/doc/pdp.conf.5" | tr -d '\\' | sort >"$tmp/b"
diff "$tmp/b" "$tmp/a"

printf 'listen = nowhere\nlog-level = loud\nport = 70000\n' >"$tmp/bad.conf"
if $pdpd --check -c "$tmp/bad.conf" 2>"$tmp/err"; then
	echo "a bad file was taken" >&2
	exit 1
fi
grep -q 'port' "$tmp/err"
