#!/bin/bash
# --trace of both daemons: over TLS, each message that one sends is a line of the other's, classes
# are named and counted, and no content of a row is there.
set -u
. "$(dirname "$0")/lib.sh"

$ctl pki init "$tmp" >/dev/null && $ctl pki issue pdp.example.net --pdp --dir "$tmp" >/dev/null &&
    $ctl pki issue paris.acme.example --dir "$tmp" >/dev/null || fail "no certificates"
cat >"$tmp/pdp.conf" <<END
listen = { 127.0.0.1 }
port = $port
certificate = $tmp/pdp.example.net.pem
key = $tmp/pdp.example.net.key
ca = $tmp/ca.pem
state-dir = $tmp/pdp
control-socket = $tmp/pdp.sock
END
cat >"$tmp/pep.conf" <<END
pdp = { "pdp.example.net@127.0.0.1:$port" }
certificate = $tmp/paris.acme.example.pem
key = $tmp/paris.acme.example.key
ca = $tmp/ca.pem
state-dir = $tmp/pep
control-socket = $tmp/pep.sock
backend = mem
END

./pdp/copspdpd -c "$tmp/pdp.conf" -f --trace "$tmp/pdp.trace" 2>"$tmp/pdp.log" &
pid[pdp]=$!
wait_for [ -S "$tmp/pdp.sock" ] || fail "no policy server: $(cat "$tmp/pdp.log")"
$ctl --socket "$tmp/pdp.sock" apply "$srcdir/examples/acme.xml" --no-wait >/dev/null || fail "apply"
./pep/copspepd -c "$tmp/pep.conf" -f --trace "$tmp/pep.trace" 2>"$tmp/pep.log" &
pid[pep]=$!
published() { grep -A9 'REQ .*ceVpnSiteKey' "$tmp/pdp.trace" | grep -q RPT; }
wait_for published || fail "no key is published"
for i in pep pdp; do
	kill "${pid[$i]}"
	wait "${pid[$i]}"
done
pid=()

# Without time, peer and direction both traces tell the same.
told() { sed 's/^[^ ]* \(..\) [^ ]* /\1 /' "$1"; }
told "$tmp/pdp.trace" | sed 's/^<-/PEP/; s/^->/PDP/' | sort >"$tmp/a"
told "$tmp/pep.trace" | sed 's/^->/PEP/; s/^<-/PDP/' | sort >"$tmp/b"
diff "$tmp/a" "$tmp/b" || fail "the two ends tell different things"

line() { grep -Eq -- "$2" "$tmp/$1.trace" || fail "$1: no line is like '$2'"; }
line pdp '^20..-..-..T..:..:..\.......Z <- 127\.0\.0\.1 OPN 0x0000 - 4. octets: paris\.acme\.example start TLS$'
line pdp '-> 127\.0\.0\.1 CAT 0x0000 - 24 octets: keep-alive 60 s start TLS$'
line pdp '<- 127\.0\.0\.1 OPN 0x4001 '
line pdp '-> paris\.acme\.example DEC 0x4001 solicited .* handle [0-9a-f]+: .*Install 2 rows \(ceVpnPeer 1, ceVpnPeerPrefix 1\)'
line pep '-> pdp\.example\.net@127\.0\.0\.1:'"$port"' RPT 0x4001 solicited .*: Success\(1\)$'
line pep '-> .* CC 0x4001 - 16 octets: Shutting down\(11\)'
grep -E 'FAULT|\?|office|10\.[123]\.' "$tmp"/*.trace && fail "content, unknown classes or faults"
[ "$(stat -c %a "$tmp/pdp.trace")" = 600 ] || fail "others may read it"

./pdp/copspdpd -c "$tmp/pdp.conf" -f --trace "$tmp/none/x" 2>"$tmp/err"
[ $? -eq 1 ] && grep -q 'none/x: No such file' "$tmp/err" || fail "a trace that cannot be written"

[ $failed -eq 0 ] || tail -n 40 "$tmp"/*.log "$tmp"/*.trace
exit $failed
