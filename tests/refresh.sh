#!/bin/bash
# copsctl refresh with both daemons: everything is loaded anew at a CE in another request-state, and the
# policies and SAs of its kernel are the same before, at every look meanwhile, and after.
set -u
. "$(dirname "$0")/lib.sh"
ces=(paris.acme.example lyon.acme.example)

pdp() { $ctl --socket "$tmp/pdp.sock" "$@"; }
pep() { $ctl --pep --socket "$tmp/$1.sock" "${@:2}"; }

# pep_start CE MAX-CONTEXTS
pep_start()
{
	$ctl pki issue "$1" --dir "$tmp" >/dev/null || exit 99
	cat >"$tmp/$1.conf" <<-END
		pdp = { "a@127.0.0.1:$port" }
		identity = $1
		security = none
		certificate = $tmp/$1.pem
		key = $tmp/$1.key
		ca = $tmp/ca.pem
		state-dir = $tmp/state-$1
		control-socket = $tmp/$1.sock
		backend = mem
		max-contexts = $2
	END
	./pep/copspepd -c "$tmp/$1.conf" -f 2>"$tmp/$1.log" &
	pid[$1]=$!
}

# What the kernel of the first CE has, without what only time changes.
kernel()
{
	{
		pep "${ces[0]}" show spd --json
		pep "${ces[0]}" show sa --json
	} | grep -vE '"(age|bytes|packets|added_at|used_at|left|rekey|expires)[a-z_]*"'
}

same() { [ "$(kernel)" = "$before" ]; }
keyed() { [ "$(pep "$1" show sa --json 2>/dev/null | grep -c '"spi"')" -ge 2 ]; }
states() { pep "${ces[0]}" show status --json | grep -q "\"request_states\": *$1\b"; }
in_log() { grep -q "$2" "$tmp/$1.log"; }
fails() { ! "$@"; }

$ctl pki init "$tmp" >/dev/null || exit 99
cat >"$tmp/pdp.conf" <<END
listen = { 127.0.0.1 }
port = $port
security = none
state-dir = $tmp/pdp
control-socket = $tmp/pdp.sock
END
./pdp/copspdpd -c "$tmp/pdp.conf" -f 2>"$tmp/pdp.log" &
pid[pdp]=$!
wait_for pdp show status >/dev/null 2>&1
pdp apply "$srcdir/examples/acme.xml" --no-wait >/dev/null || exit 99
pep_start "${ces[0]}" 2
pep_start "${ces[1]}" 1
check "both are keyed" wait_for keyed "${ces[0]}"
check "in both directions" wait_for keyed "${ces[1]}"
sleep 1
before=$(kernel)

check "row70 a refresh is done" pdp refresh "${ces[0]}"
check "row85 another request-state is in force" in_log "${ces[0]}" "request-state 1 is in force"
check "row72 and the first one is gone" states 1
check "row85 policies and SAs are the same" same
for ((i = 0; i < 10; i++)); do
	pdp refresh "${ces[0]}" >/dev/null || break
	same || break
done
check "row85 so they are after ten more" [ $i = 10 ]
check "row71 a CE that has room for one alone says so" fails pdp refresh "${ces[1]}"
sed 's/<site prefix="10\.1\./<site prefix="10.77./' "$srcdir/examples/acme.xml" >"$tmp/after.xml"
check "row85 what is applied afterwards holds at both" pdp apply "$tmp/after.xml" --wait 20
check "row70 a CE that is not there fails" fails pdp refresh nobody.example
exit $failed
