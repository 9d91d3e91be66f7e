#!/bin/bash
# The small CA, judged by openssl verify: chains, purposes, names; and its manners: modes,
# nothing overwritten, nothing but host names.
set -u
ctl=./copsctl/copsctl
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
dir=$tmp/pki
failed=0
fail() { echo "FAIL: $*"; failed=1; }
must() { "$@" >"$tmp/out" 2>&1 || { fail "$*"; cat "$tmp/out"; }; }
must_not() { ! "$@" >"$tmp/out" 2>&1 || { fail "not refused: $*"; cat "$tmp/out"; }; }
verify() { openssl verify -x509_strict -CAfile "$dir/ca.pem" "$@"; }

must_not $ctl pki issue ce1.example.net --dir "$dir"
must $ctl pki init "$dir"
must $ctl pki issue CE1.example.net --dir "$dir" --address 192.0.2.1
must $ctl pki issue ce2.example.net --ce --address 2001:db8::2 --dir "$dir" --days 30
must $ctl pki issue pdp.example.net --pdp --dir "$dir"

must verify -purpose sslclient -verify_hostname ce1.example.net -verify_ip 192.0.2.1 "$dir/ce1.example.net.pem"
must verify -purpose sslclient -verify_ip 2001:db8::2 "$dir/ce2.example.net.pem"
must verify -purpose sslserver -verify_hostname pdp.example.net "$dir/pdp.example.net.pem"
must_not verify -purpose sslserver "$dir/ce1.example.net.pem"
must_not verify -purpose sslclient "$dir/pdp.example.net.pem"
must_not verify -verify_hostname ce2.example.net "$dir/ce1.example.net.pem"
must_not openssl verify -CAfile "$dir/ce1.example.net.pem" "$dir/ce2.example.net.pem"
must openssl x509 -in "$dir/ca.pem" -noout -checkend $((3650 * 86400))
must_not openssl x509 -in "$dir/ce2.example.net.pem" -noout -checkend $((31 * 86400))
for name in ca ce1.example.net ce2.example.net pdp.example.net; do
	[ "$(stat -c %a "$dir/$name.key")" = 600 ] || fail "$name.key: mode $(stat -c %a "$dir/$name.key")"
	cmp -s <(openssl pkey -in "$dir/$name.key" -pubout) <(openssl x509 -in "$dir/$name.pem" -noout -pubkey) ||
	    fail "$name.key is not the key of $name.pem"
	openssl pkey -in "$dir/$name.key" -noout -text | grep -q prime256v1 || fail "$name.key is not P-256"
done

# Again: nothing changes, and says so; something else under the name is refused.
sum=$(cat "$dir"/* | sha256sum)
must $ctl pki init "$dir"
grep -q 'nothing was changed' "$tmp/out" || fail "pki init again: $(cat "$tmp/out")"
must $ctl pki issue ce1.example.net --dir "$dir" --address 192.0.2.1
grep -q 'nothing was changed' "$tmp/out" || fail "pki issue again: $(cat "$tmp/out")"
must_not $ctl pki issue ce1.example.net --dir "$dir" --address 192.0.2.99
must_not $ctl pki issue ce1.example.net --dir "$dir" --pdp
[ "$sum" = "$(cat "$dir"/* | sha256sum)" ] || fail "something was changed"
must $ctl pki issue ce1.example.net --dir "$dir" --address 192.0.2.99 --force
must verify -verify_ip 192.0.2.99 "$dir/ce1.example.net.pem"
[ -z "$(find "$dir" -name '*.new')" ] || fail "temporary files are left"

# Names that are none, or that would be paths.
for name in ../x a/b .x x. a..b -x x- '' ca 'a b' 'x;y' "$(printf 'a%.0s' {1..64})" "x$(printf '.a%.0s' {1..130})"; do
	must_not $ctl pki issue --dir "$dir" -- "$name"
done
must_not $ctl pki issue ce9.example.net --dir "$dir" --address nowhere
must_not $ctl pki issue ce9.example.net --dir "$dir" --days 0
must_not $ctl pki issue ce9.example.net --dir "$dir" --pdp --ce
long=$(printf 'a%.0s' {1..60}).$(printf 'b%.0s' {1..60}).example.net # too long for a common name
must $ctl pki issue "$long" --dir "$dir"
must verify -verify_hostname "$long" "$dir/$long.pem"

must $ctl pki show "$dir" --json
listed=$($ctl pki show "$dir" --json | grep -c '"kind": "ce"')
[ "$listed" -eq 3 ] || fail "pki show lists $listed CE certificates, not 3"

# A new CA makes the old certificates strangers.
must $ctl pki init "$dir" --force
must_not verify "$dir/ce2.example.net.pem"
must_not $ctl pki issue ce2.example.net --dir "$dir" --address 2001:db8::2 --days 30
exit $failed
