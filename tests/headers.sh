#!/bin/bash
# headers.sh - every header can be included alone; the installed ones in C and in C++, by what
# is installed only.  COPS_BUILD has the generated ones.
set -eu
cd "$(dirname "$0")/.."
build=${COPS_BUILD:-build}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# check_header HEADER LANGUAGE COMPILER... - the compiler takes a file of nothing but it
check_header()
{
	local header=$1 language=$2
	shift 2
	printf '#include "%s"\n' "$header" | "$@" -Wall -Wextra -Wundef -Werror -x "$language" \
	    -fsyntax-only - || echo "$header: not alone in $language"
}
export -f check_header

# check_headers LANGUAGE COMPILER... - each of standard input; how many
check_headers()
{
	tee "$tmp/list" | xargs -P "$(nproc)" -I{} bash -c 'check_header "$@"' - {} "$@" >"$tmp/bad" 2>&1
	if [ -s "$tmp/bad" ]; then
		cat "$tmp/bad"
		exit 1
	fi
	echo "$(wc -l <"$tmp/list") headers stand alone in $1"
}

flags=$(pkg-config --cflags libxml-2.0 jansson libevent_core openssl)
# shellcheck disable=SC2086 # flags are words
find common libcops pib pdp pep copsctl -name '*.h' | sort |
    check_headers c gcc -std=gnu17 -D_GNU_SOURCE -Wstrict-prototypes $flags -I. -I"$build"

make -s -C "$build" install-data DESTDIR="$tmp/root" >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
include=$(dirname "$(find "$tmp/root" -type d -path '*/include/libcops')")
pc=$(dirname "$(find "$tmp/root" -name libcops.pc)")
flags=$(PKG_CONFIG_PATH=$pc pkg-config --cflags libcops libpib |
    sed "s,-I[^ ]*/include\( \|/\|$\),-I$include\1,g")
cd "$include"
for language in 'c gcc -std=c11 -Wstrict-prototypes' 'c++ g++ -std=c++11'; do
	# shellcheck disable=SC2086 # words
	(cd libcops && ls cops_*.h common/*.h && cd ../libpib && ls pib/*.h pib/gen/*.h) |
	    sed 's,^cops_,libcops/cops_,' | check_headers $language $flags
done
