#!/bin/bash
# How connections are protected, by both daemons over real sockets: Integrity objects with keys
# that are exchanged while the connection lives, wrong and missing keys, and a server that goes
# over to TLS while agents are connected in clear.
set -u
. "$(dirname "$0")/lib.sh"
ce=paris.acme.example

pdp_conf() # OPTION...
{
	cat >"$tmp/pdp.conf" <<END
listen = { 127.0.0.1 }
port = $port
certificate = $tmp/pdp.example.net.pem
key = $tmp/pdp.example.net.key
ca = $tmp/ca.pem
state-dir = $tmp/pdp
control-socket = $tmp/pdp.sock
END
	printf '%s\n' "$@" >>"$tmp/pdp.conf"
}

pep_start() # OPTION...
{
	cat >"$tmp/pep.conf" <<END
pdp = { "pdp.example.net@127.0.0.1:$port" }
identity = $ce
certificate = $tmp/$ce.pem
key = $tmp/$ce.key
ca = $tmp/ca.pem
state-dir = $tmp/pep
control-socket = $tmp/pep.sock
backend = mem
retry-min = 100
retry-max = 300
END
	printf '%s\n' "$@" >>"$tmp/pep.conf"
	[ -z "${pid[pep]:-}" ] || { kill "${pid[pep]}"; wait "${pid[pep]}"; }
	./pep/copspepd -c "$tmp/pep.conf" -f 2>"$tmp/pep.log" &
	pid[pep]=$!
}

# keys FILE KEY-LINE...
keys()
{
	local file=$tmp/$1
	shift
	printf '%s\n' "$@" >"$file"
	chmod 600 "$file"
}

state() { $ctl --socket "$tmp/pdp.sock" show sessions --json | tr -d '\n '; }
in_sync() { state | grep -q '"state":"insync"'; }
out() { ! in_sync; }
connections() { grep -c ': connected$' "$tmp/pep.log"; }
log_has() { grep -q "$2" "$tmp/$1.log"; }
reload() { $ctl --socket "$tmp/$1.sock" $([ "$1" = pep ] && echo --pep) reload >/dev/null; }
settled() { wait_for in_sync && sleep 0.5 && in_sync; }

$ctl pki init "$tmp" >/dev/null && $ctl pki issue pdp.example.net --pdp --dir "$tmp" >/dev/null &&
    $ctl pki issue $ce --dir "$tmp" >/dev/null || exit 99

# ---- Integrity (RFC 2748 4.1) -------------------------------------------------

from=$(date -u -d '-9 days' +%F)
until=$(date -u -d '+300 days' +%F)
one="1 hmac-md5-96 \"one of the two keys of paris\" $from $until"
two="2 hmac-sha2-256-96 \"two of the two keys of paris\" $from $until"
keys pdp.keys "$ce $one"
keys pep.keys "pdp.example.net $one"
pdp_conf "security = integrity" "integrity-keys = $tmp/pdp.keys"
check "row30 --check takes good keys" ./pdp/copspdpd --check -c "$tmp/pdp.conf"
./pdp/copspdpd -c "$tmp/pdp.conf" -f 2>"$tmp/pdp.log" &
pid[pdp]=$!
wait_for [ -S "$tmp/pdp.sock" ]
$ctl --socket "$tmp/pdp.sock" apply "$srcdir/examples/acme.xml" --no-wait >/dev/null || exit 1
pep_start "security = integrity" "integrity-keys = $tmp/pep.keys"
check "row30 provisioned with Integrity on every message" settled
before=$(connections)
keys pdp.keys "$ce $one" "$ce $two"
keys pep.keys "pdp.example.net $one" "pdp.example.net $two"
check "row32 the server reads keys while sessions live" reload pdp
check "row32 and the agent" reload pep
keys pdp.keys "$ce $two"
keys pep.keys "pdp.example.net $two"
reload pep
reload pdp
$ctl --socket "$tmp/pep.sock" --pep rekey >/dev/null
sleep 0.5
check "row32 the session goes on with the other key" in_sync
check "row32 it is the same connection" [ "$(connections)" = "$before" ]
keys pdp.keys "$ce $one"
reload pdp
$ctl --socket "$tmp/pep.sock" --pep rekey >/dev/null
check "row31 a key that is not good any more ends the session" wait_for out
check "row31 and does not open another" eval 'sleep 1; out'
check "row31 for Authentication Failure" log_has pep 'Authentication Failure (14, 0)'
pep_start "security = none"
check "row31 without Integrity nothing is served" eval 'sleep 1; out'
check "row31 Integrity is asked for" wait_for log_has pep 'Authentication Required (15, 4097)'

# faults of the file
chmod 644 "$tmp/pdp.keys"
check "row32 a file that others may read is refused" eval '! reload pdp'
check "row32 and by --check" eval '! ./pdp/copspdpd --check -c "$tmp/pdp.conf" 2>"$tmp/err"'
check "no key in what is said of it" eval '! grep -q "two keys of paris" "$tmp"/err "$tmp"/*.log'

# ---- over to TLS (RFC 4261 5.2) ------------------------------------------------

pdp_conf "security = none"
reload pdp
pep_start "security = any"
check "row40 in clear at first" settled
pdp_conf "security = tls"
check "row40 the server goes over to TLS" reload pdp
check "row40 the session in clear is closed with Authentication Required" \
    wait_for log_has pep 'Authentication Required (15, 4098)'
check "row36 TLS at the server's wish" settled
status() { $ctl --socket "$tmp/pdp.sock" show status --json | grep -q '"security": *"tls"'; }
check "row40 show status says so" status
pep_start "security = tls"
check "row35 and at the agent's" settled
exit $failed
