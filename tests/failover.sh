#!/bin/bash
# Three policy servers killed in turn under one agent: it goes to the next one each time, the last
# good one first; when the primary is back, the backup that serves it sends it home.
set -u
. "$(dirname "$0")/lib.sh"
ce=paris.acme.example

# pdp_start N OPTION... - the N-th server, at 127.0.0.1:port+N
pdp_start()
{
	local n=$1
	shift
	{
		printf '%s\n' "listen = { 127.0.0.1 }" "port = $((port + n))" "security = none" \
		    "state-dir = $tmp/pdp$n" "control-socket = $tmp/pdp$n.sock" "$@"
	} >"$tmp/pdp$n.conf"
	./pdp/copspdpd -c "$tmp/pdp$n.conf" -f 2>>"$tmp/pdp$n.log" &
	pid[pdp$n]=$!
	wait_for $ctl --socket "$tmp/pdp$n.sock" show status >/dev/null 2>&1
	$ctl --socket "$tmp/pdp$n.sock" apply "$srcdir/examples/acme.xml" --no-wait >/dev/null
}

stop()
{
	kill -KILL "${pid[$1]}"
	wait "${pid[$1]}" 2>/dev/null
	unset "pid[$1]"
}

# served_by N: paris is in sync with the N-th server.
served_by()
{
	$ctl --socket "$tmp/pdp$1.sock" show sessions --json | tr -d '\n ' |
	    grep -q "\"ce\":\"$ce\"[^}]*\"state\":\"insync\""
}

$ctl pki init "$tmp" >/dev/null && $ctl pki issue $ce --dir "$tmp" >/dev/null || exit 99
cat >"$tmp/pep.conf" <<END
pdp = { "a@127.0.0.1:$((port + 1))", "b@127.0.0.1:$((port + 2))", "c@127.0.0.1:$((port + 3))" }
identity = $ce
security = none
certificate = $tmp/$ce.pem
key = $tmp/$ce.key
ca = $tmp/ca.pem
state-dir = $tmp/pep
control-socket = $tmp/pep.sock
backend = mem
retry-min = 50
retry-max = 200
END
backup="primary = 127.0.0.1:$((port + 1))"
pdp_start 1
pdp_start 2 "$backup" "primary-check = 1"
pdp_start 3 "$backup" "primary-check = 1"
./pep/copspepd -c "$tmp/pep.conf" -f 2>"$tmp/pep.log" &
pid[pep]=$!
check "row29 the first server of the list is used" wait_for served_by 1
stop pdp1
check "row29 the second one when it is gone" wait_for served_by 2
stop pdp2
check "row29 then the third" wait_for served_by 3
pdp_start 2 "$backup" "primary-check = 1"
sleep 1
check "row29 it stays with the last good one" served_by 3
pdp_start 1
check "row11 the primary is back: the backup sends the agent home" wait_for served_by 1
check "row10 by a redirect, which the agent follows" grep -q "redirected to 127.0.0.1:$((port + 1))" "$tmp/pep.log"
status() { $ctl --socket "$tmp/pdp3.sock" show status --json | grep -q '"sent_to_primary": *1'; }
check "row11 show status says so" status
$ctl --socket "$tmp/pdp1.sock" sync $ce >/dev/null
check "row76 asked by SSQ, the agent says what it holds" wait_for served_by 1
exit $failed
