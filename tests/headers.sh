#!/bin/bash
# headers.sh - every header can be included alone.  COPS_BUILD has the generated ones.
set -eu
cd "$(dirname "$0")/.."
build=${COPS_BUILD:-build}
flags=$(pkg-config --cflags libxml-2.0 jansson libevent_core openssl)

check_header()
{
	# shellcheck disable=SC2086
	printf '#include "%s"\n' "$1" | gcc -std=gnu17 -D_GNU_SOURCE -Wall -Wextra -Wstrict-prototypes \
	    -Wundef -Werror $flags -I. -I"$build" -x c -fsyntax-only - || echo "$1: not alone"
}
export -f check_header
export flags build

headers=$(find common libcops pib pdp pep copsctl -name '*.h' | sort)
bad=$(xargs -P "$(nproc)" -I{} bash -c 'check_header {}' <<<"$headers" 2>&1)
if [ -n "$bad" ]; then
	echo "$bad"
	exit 1
fi
echo "$(wc -l <<<"$headers") headers stand alone"
