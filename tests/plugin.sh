#!/bin/bash
# plugin.sh - examples/resolver, built outside the tree from what is installed, beside the VPN on
# one connection of the installed daemons: applied, changed, refused, repaired, restarted.
set -u
. "$(dirname "$0")/lib.sh"
die() { fail "$*"; tail -n 30 "$tmp"/*.log; exit 1; }

# ---- an installed copy, whose pkg-config files say where it is now; then the example

make -s install DESTDIR="$tmp/root" >"$tmp/install.log" 2>&1 || die "make install"
pc=$(dirname "$(find "$tmp/root" -name copsvpn.pc)")
prefix=$(sed -n 's/^prefix=//p' "$pc/copsvpn.pc")
sed -i "s,$prefix,$tmp/root$prefix," "$pc"/*.pc
bin=$tmp/root$prefix/bin sbin=$tmp/root$prefix/sbin
export PKG_CONFIG_PATH=$pc LD_LIBRARY_PATH=${pc%/pkgconfig}
cp -r "$srcdir/examples/resolver" "$tmp/example"
make -s -C "$tmp/example" CFLAGS='-O1 -g -Wall -Wextra -Werror' install >"$tmp/make.log" 2>&1 || die "the example does not build"
plugins=$(pkg-config --variable=plugindir copsvpn)
SMIPATH=$(pkg-config --variable=pibdir copsvpn) smilint -c /dev/null -s -m -l 6 \
    "$tmp/example/RESOLVER-PIB" >"$tmp/lint.log" 2>&1
[ ! -s "$tmp/lint.log" ] || die "smilint"

# ---- a policy server and a device that serve both client-types

ce=paris.acme.example
ctl() { "$bin/copsctl" --socket "$tmp/pdp.sock" "$@"; }
ctl_pep() { "$bin/copsctl" --pep --socket "$tmp/pep.sock" "$@"; }
for args in "init $tmp" "issue pdp.example.net --pdp --dir $tmp" "issue $ce --dir $tmp"; do
	# shellcheck disable=SC2086 # words
	"$bin/copsctl" pki $args >/dev/null || die "pki $args"
done
conf=$tmp/etc/resolv.conf
mkdir "$tmp/etc"
cat >"$tmp/pdp.conf" <<END
listen = { 127.0.0.1 }
port = $port
certificate = $tmp/pdp.example.net.pem
key = $tmp/pdp.example.net.key
ca = $tmp/ca.pem
state-dir = $tmp/pdp
control-socket = $tmp/pdp.sock
client-types = { "$plugins/resolver_pdp.so $tmp/policy" }
END
cat >"$tmp/pep.conf" <<END
pdp = { "pdp.example.net@127.0.0.1:$port" }
certificate = $tmp/$ce.pem
key = $tmp/$ce.key
ca = $tmp/ca.pem
state-dir = $tmp/pep
control-socket = $tmp/pep.sock
backend = mem
retry-min = 100
retry-max = 500
client-types = { "$plugins/resolver_pep.so $conf" }
END
start() # DAEMON
{
	"$sbin/cops$1d" -c "$tmp/$1.conf" -f --trace "$tmp/$1.trace" 2>>"$tmp/$1.log" &
	pid[$1]=$!
	wait_for "$bin/copsctl" --socket "$tmp/$1.sock" show status || die "cops$1d does not start"
}
stop() { kill "${pid[$1]}"; wait "${pid[$1]}"; unset "pid[$1]"; }
policy() { printf '%s\n' "$@" >"$tmp/policy"; }
file_says() { grep -qx -- "$1" "$conf"; }

policy "device $ce" "nameserver 192.0.2.53" "search acme.example"
start pdp
ctl apply "$srcdir/examples/acme.xml" --no-wait >/dev/null || die "apply"
start pep
check "policy is in the file" wait_for file_says "nameserver 192.0.2.53"
check "and its search domains" file_says "search acme.example"
vpn_there() { ctl_pep show pib ceVpn | grep -q office; }
check "the VPN is there, too" wait_for vpn_there
one_connection() { [ "$(ss -Htn state established "( dport = :$port )" | wc -l)" -eq 1 ]; }
check "row9 both client-types are on one connection" one_connection
both() { ctl show clients | grep -q resolver && ctl show clients | grep -q vpn; }
check "show clients has both" both

policy "device $ce" "nameserver 192.0.2.54" "nameserver 2001:db8::53"
ctl reload >/dev/null || fail "reload"
check "the change is in the file" wait_for file_says "nameserver 2001:db8::53"
check "what went is not" eval '! file_says "search acme.example"'

policy "device $ce" "nameserver nowhere" "serach x"
ctl reload >"$tmp/out" 2>&1 && fail "a bad policy is taken"
check "a fault is told with file and line" grep -q "policy:2: no address: \"nowhere\"" "$tmp/out"
check "and so are all others" grep -q "policy:3: .*\"serach\"" "$tmp/out"
check "the policy stays as it was" file_says "nameserver 192.0.2.54"

# A file that cannot be written: what is to become it is a folder.
mkdir "$conf.new"
policy "device $ce" "nameserver 192.0.2.55"
ctl reload >/dev/null || fail "reload"
refused() { grep -q "RPT 0x4002 .*Failure" "$tmp/pdp.trace"; }
check "row95 an INSTALL-ERRORS fault is reported" wait_for refused
named() { ctl show clients --json | tr -d '\n' | grep -q 'fileNotWritten'; }
check "row95 by its name, with its row" wait_for named
check "the file is as it was" file_says "nameserver 192.0.2.54"
check "the VPN is not concerned" vpn_there
rmdir "$conf.new"
ctl sync "$ce" >/dev/null
check "then it is written" wait_for file_says "nameserver 192.0.2.55"

policy "device $ce" "nameserver 192.0.2.55" "search a;b"
ctl reload >/dev/null
bad_value() { ctl show clients --json | tr -d '\n' | grep -q 'rslvSearch'; }
check "a value that the device cannot have names row and column" wait_for bad_value
check "none of it is in the file" eval '! grep -q search "$conf"'
policy "device $ce" "nameserver 192.0.2.55"
ctl reload >/dev/null

echo "nameserver 203.0.113.1" >"$conf"
check "a file that somebody changed is put right" wait_for file_says "nameserver 192.0.2.55"
check "and the server is told" wait_for grep -q "REQ 0x4002 .*rslvFile" "$tmp/pdp.trace"
rm "$conf"
check "so is one that is gone" wait_for file_says "nameserver 192.0.2.55"

stop pdp
stop pep
rm "$conf"
start pep
check "without a server the device has what it had" wait_for file_says "nameserver 192.0.2.55"
: >"$tmp/pdp.trace"
start pdp
check "a server that comes back" wait_for grep -q "REQ 0x4002" "$tmp/pdp.trace"
check "has nothing to send to one that has it all" wait_for grep -Eq "DEC 0x4002 solicited .*NULL" "$tmp/pdp.trace"
policy "device other.example" "nameserver 192.0.2.1"
ctl reload >/dev/null
check "a device without policy has no file" wait_for eval '[ ! -e "$conf" ]'
check "and keeps its VPN" vpn_there

ldd "$sbin/copspdpd" "$plugins/resolver_pdp.so" | grep -o "$tmp/[^ ]*libpib[^ ]*" | sort | uniq -c >"$tmp/ldd"
check "daemon and plug-in share libpib" [ "$(awk '{print $1}' "$tmp/ldd")" = 2 ]
stop pep
stop pdp
make -s uninstall DESTDIR="$tmp/root" >"$tmp/uninstall.log" 2>&1
rm "$plugins"/resolver_p*.so
check "make uninstall leaves nothing" [ -z "$(find "$tmp/root" ! -type d)" ]
[ $failed -eq 0 ] || tail -n 15 "$tmp"/pdp.log "$tmp"/pep.log "$tmp"/*.trace
exit $failed
