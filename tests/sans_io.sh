#!/bin/bash
# The example without sockets: built outside the tree from what is installed, with no library
# but libcops, and it does what it says.
set -u
srcdir=${srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
failed=0
fail() { echo "FAIL: $*"; failed=1; }

make -s install DESTDIR="$tmp/root" >"$tmp/log" 2>&1 || { tail "$tmp/log"; exit 1; }
pc=$(find "$tmp/root" -name libcops.pc)
export PKG_CONFIG_PATH=${pc%/*}
flags=$(pkg-config --cflags --libs libcops | sed "s,\(-[IL]\)/,\1$tmp/root/,g")
cd "$tmp" || exit 99
cat >want <<'END'
-> PDP OPN 0x8001 - 28 octets: ce1.example.net
<- PDP CAT 0x8001 - 16 octets: keep-alive 60 s
-> PDP REQ 0x8001 - 24 octets handle 00000001:
<- PDP DEC 0x8001 solicited 32 octets handle 00000001: NULL
-> PDP RPT 0x8001 solicited 24 octets handle 00000001: Success(1)
END

# run WHAT FLAGS... - build and run it
run()
{
	local what=$1
	shift
	gcc -std=gnu11 -Wall -Wextra -Werror "$srcdir/examples/sans_io.c" -o sans_io "$@" ||
	    { fail "$what: does not build"; return; }
	LD_LIBRARY_PATH=${pc%/pkgconfig/*} ./sans_io >out || fail "$what: status $?"
	cut -d' ' -f2- out | diff want - || fail "$what"
}
# shellcheck disable=SC2086 # flags are words
run shared $flags
# The core pulls nothing in but the digests of the Integrity object: no libevent, no libssl.
# shellcheck disable=SC2046 # words
run static ${flags%-L*} "${pc%/pkgconfig/*}/libcops.a" $(pkg-config --libs libcrypto)

grep -n '#include <\(event\|openssl\)' "$srcdir/examples/sans_io.c" && fail "it was to have no libevent"
exit $failed
