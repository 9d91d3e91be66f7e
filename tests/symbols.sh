#!/bin/bash
# symbols.sh - libcops and libpib export what their installed headers declare and nothing else,
# under a version; a program may link both, in either order, shared or static, by their pkg-config
# files.  Run in the build folder.
set -u
srcdir=${srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
failed=0
# check "NAME" COMMAND...
check()
{
	local name=$1
	shift
	if "$@" >"$tmp/log" 2>&1; then
		echo "ok $name"
	else
		echo "not ok $name"
		cat "$tmp/log"
		failed=1
	fi
}

# exported FILE.so NODE - functions as "name()", objects as "name"; all must be of a NODE
exported()
{
	nm -D --defined-only --with-symbol-versions "$1" | while read -r _ type name; do
		case $type:$name in
		A:*) ;; # the node itself
		T:*@@"$2"_*) echo "${name%@@*}()" ;;
		[DBR]:*@@"$2"_*) echo "${name%@@*}" ;;
		*) echo "$name of type $type without a version" ;;
		esac
	done | LC_ALL=C sort
}

# The sanitizers bring symbols of their own.
so=(libcops/.libs/libcops.so pib/.libs/libpib.so)
for i in 0 1; do
	library=$(basename "${so[i]}" .so)
	node=${library#lib}
	"$srcdir/tests/api" "$library" >"$tmp/headers" || exit 99
	[ "$(wc -l <"$tmp/headers")" -ge 80 ] || { echo "few declarations of $library"; failed=1; }
	exported "${so[i]}" "${node^^}" >"$tmp/exported"
	check "$library exports what its headers declare (<), and no more (>)" diff "$tmp/headers" "$tmp/exported"
done

# ---- a program of both

export PKG_CONFIG_PATH=$PWD/libcops:$PWD/pib
pc() { pkg-config --define-variable=libdir="$tmp/lib" "$@"; }
program() # NAME FLAGS... LIBRARIES
{
	local name=$1
	shift
	# shellcheck disable=SC2046 # words
	gcc -std=gnu17 -Wall -Wextra -Werror -I"$srcdir" -I. $(pkg-config --cflags libcops libpib) \
	    -o "$tmp/$name" "$srcdir/tests/symbols.c" "$@"
}
versions() # NAME - it runs and says what pkg-config says
{
	LD_LIBRARY_PATH=$PWD/libcops/.libs:$PWD/pib/.libs "$tmp/$1" | diff <(pkg-config --modversion libcops libpib) - &&
	    [ "${PIPESTATUS[0]}" -eq 0 ]
}
uses() # NAME COUNT - so many of the shared libraries
{
	[ "$(readelf -d "$tmp/$1" | grep -c 'NEEDED.*\(libcops\|libpib\)\.so')" -eq "$2" ]
}

mkdir "$tmp/lib"
cp -d libcops/.libs/libcops.so* pib/.libs/libpib.so* "$tmp/lib"
# shellcheck disable=SC2046 # words
for order in 'libcops libpib' 'libpib libcops'; do
	name=${order%% *}
	# shellcheck disable=SC2086 # words
	check "$order: linked" program "$name" $(for i in $order; do pc --libs "$i"; done)
	check "$order: both are used" uses "$name" 2
	check "$order: a buffer goes through both, each calls its own buf_*" versions "$name"
	check "$order: buf_* is of the first, by its version" \
	    eval "nm -D '$tmp/$name' | grep -q ' U buf_init@$([ "$name" = libcops ] && echo COPS || echo PIB)_1.0'"
done
rm "$tmp"/lib/*
cp libcops/.libs/libcops.a pib/.libs/libpib.a "$tmp/lib"
# shellcheck disable=SC2046 # words
check "static: linked" program static -DLINKED_STATIC $(pc --static --libs libcops libpib)
check "static: no shared one is used" uses static 0
check "static: runs" versions static
exit $failed
