#!/bin/bash
# badinput.sh - what must be refused is refused, with the reason, and nothing else happens: bad
# documents, strangers' certificates, garbage on the COPS port, and a row that the kernel cannot do.
# timeout: 300
. "$(dirname "$0")/lib.sh"

intent=$RUN/acme.xml
sed -e '/nice/,+0d' -e '/<site prefix="10.3/,/<\/member>/d' "$SCENARIO_TOP/examples/acme.xml" >"$intent"

step "A VPN of two sites"
sp_make
site_make paris 192.0.2.1 10.1.0.0/16
site_make lyon 192.0.2.2 10.2.0.0/16
site_make mars 192.0.2.9 10.9.0.0/16
start_pdp
start_peps paris lyon
check "copsctl apply" ctl_pdp apply "$intent"
check "paris reaches lyon" wait_for 10 reaches paris lyon

# Everything that must not change: generations, what was sent to whom, kernels. (No traffic.)
fingerprint()
{
	ctl_pdp show history --json
	ctl_pdp show sessions --json | jq -c '.[] | [.ce, .decisions, .connected_at]'
	kernel_dump paris
	kernel_dump lyon
}
settled() { fingerprint >"$RUN/now"; nap 1; fingerprint | cmp -s "$RUN/now" -; }
unchanged()
{
	fingerprint >"$RUN/after"
	check "$1: nothing was changed" diff "$RUN/fingerprint" "$RUN/after"
}

step "Bad documents"
check "the network is at rest" wait_for 30 settled
fingerprint >"$RUN/fingerprint"

# refused NAME PATTERN...: $RUN/bad.xml is refused with status 1, at file:line:column, and every
# pattern is among the words.
refused()
{
	local name=$1 out status pattern
	shift
	out=$(ctl_pdp apply "$RUN/bad.xml" 2>&1)
	status=$?
	if [ $status -ne 1 ] || ! grep -qE 'bad\.xml:[0-9]+:[0-9]+: error: ' <<<"$out"; then
		bad "$name: status $status"
		head -n 10 <<<"$out" | evidence
		return
	fi
	for pattern; do
		grep -qE -- "$pattern" <<<"$out" || { bad "$name: nothing about $pattern"; head -n 10 <<<"$out" | evidence; return; }
	done
	ok "$name"
	head -n 3 <<<"$out" | cut -c 1-120 | evidence
}
edited() { sed "$@" "$intent" >"$RUN/bad.xml"; cmp -s "$intent" "$RUN/bad.xml" && die "the edit $* changes nothing"; }

edited 's,</vpn>,</vpm>,'
refused "not well formed" 'vpn|vpm'
head -c 700 "$intent" >"$RUN/bad.xml"
refused "cut off"
echo >"$RUN/bad.xml"
refused "empty"
edited 's,topology="hub-and-spoke",topology="star",'
refused "against the schema" 'star|topology'
edited 's,<member ce="lyon,<member ce="lyons,'
refused "an unknown CE" 'lyons'
edited 's,transforms="strong",transforms="weak",'
refused "an unknown transform" 'weak'
edited 's,prefix="10.2.0.0/16",prefix="10.1.128.0/17",'
refused "overlapping prefixes" 'overlap'
edited 's,address="192.0.2.2",address="192.0.2.1",'
refused "an address twice" '192\.0\.2\.1'
edited 's,name="lyon\.acme,name="paris.acme,'
refused "an identity twice" 'paris\.acme\.example'
edited 's,role="hub",role="spoke",'
refused "hub and spoke without a hub" 'hub'
edited -e 's,prefix="10.2.0.0/16",prefix="10.1.0.0/16",' -e 's,role="hub",role="spoke",' -e 's,transforms="strong",transforms="weak",'
refused "every error in one run" 'overlap' 'hub' 'weak' '[3-9] errors; nothing was changed'
{
	echo '<?xml version="1.0"?><!DOCTYPE intent [<!ENTITY a0 "ha">'
	for i in 1 2 3 4 5 6 7 8 9; do
		echo "<!ENTITY a$i \"&a$((i - 1));&a$((i - 1));&a$((i - 1));&a$((i - 1));&a$((i - 1));&a$((i - 1));&a$((i - 1));&a$((i - 1));\">"
	done
	echo ']><intent xmlns="urn:copsvpn:intent:1"><customer name="&a9;"/></intent>'
} >"$RUN/bad.xml"
refused "a billion laughs"
{
	echo '<?xml version="1.0"?><!DOCTYPE intent [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
	echo '<intent xmlns="urn:copsvpn:intent:1"><customer name="&x;"/></intent>'
} >"$RUN/bad.xml"
refused "an external entity"
head -c 200000 /dev/zero | tr '\0' '<' >"$RUN/bad.xml"
refused "200,000 opening brackets"
{ printf '<intent xmlns="urn:copsvpn:intent:1">'; head -c 100000 /dev/zero | sed 's/\x00/<a>/g'; } >"$RUN/bad.xml"
refused "100,000 levels deep"
truncate -s 500M "$RUN/bad.xml"
refused "500 MB"
rm "$RUN/bad.xml"
check "copsctl check finds the same" eval "! ctl_pdp check <(sed 's/role=\"hub\"/role=\"spoke\"/' '$intent')"
unchanged "after all of them"

step "Strangers"
start_peps mars
check "a CE that is in no VPN is refused and logged" wait_for 10 grep -E 'refused "mars.acme.example" from 192.0.2.9' "$RUN/pdp.log"
daemon_kill mars
# The same name as lyon, certified by another CA; and lyon's PEPID with mars's certificate.
mv "$RUN/pki" "$RUN/pki.right"
PDP_NAME=x.$PDP_NAME pki_make "mars.$DOMAIN" "lyon.$DOMAIN"
mv "$RUN/pki" "$RUN/pki.wrong"
mv "$RUN/pki.right" "$RUN/pki"
pep_as() # NAME CERTIFICATE OPTION=VALUE...: an agent in mars's place
{
	local name=$1 cert=$2
	shift 2
	conf_make "$RUN/mars.conf" "$RUN/$name.conf" "certificate=\"$cert.pem\"" "key=\"$cert.key\"" \
	    "state-dir=\"$RUN/$name.state\"" "control-socket=\"$RUN/$name.sock\"" "$@"
	daemon_start "$name" mars "$COPSPEPD" -f -c "$RUN/$name.conf"
}
lines() { grep -c . "$RUN/pdp.log"; }
from=$(lines)
pep_as impostor "$RUN/pki.wrong/lyon.$DOMAIN"
check "a certificate of another CA is refused and logged" \
    wait_for 10 eval "tail -n +$((from + 1)) '$RUN/pdp.log' | grep -iE '192.0.2.9.*(certificate|verify|tls)|(certificate|verify|tls).*192.0.2.9'"
daemon_kill impostor
tail -n +$((from + 1)) "$RUN/pdp.log" | head -n 2 | evidence
pep_as liar "$RUN/pki/mars.$DOMAIN" "identity=\"lyon.$DOMAIN\""
check "lyon's name with mars's certificate: already the agent refuses to start" \
    wait_for 10 grep "mars.$DOMAIN.pem does not name lyon.$DOMAIN" "$RUN/liar.log"
daemon_kill liar
tail -n 2 "$RUN/liar.log" | evidence

step "Garbage on the COPS port"
ping_start paris lyon
# send_bytes HEX: to the PDP; prints what comes back, in hex, until it closes or 2 s.
send_bytes()
{
	in_ns sp bash -c 'exec 3<>/dev/tcp/'$PDP_ADDR'/3288 && printf "$(sed "s/../\\\\x&/g" <<<"$1")" >&3
		timeout 2 od -An -v -tx1 <&3 | tr -d " \n"; exit ${PIPESTATUS[0]}' - "${1// /}"
}
# closes "WHAT" ERROR HEX: answered by a CC (op 8) with this COPS Error code, and closed.
closes()
{
	local out status
	out=$(send_bytes "$3")
	status=$?
	if [ $status -ne 124 ] && [[ $out =~ ^1.08.*00080801$2 ]]; then
		ok "$1: Client-Close with error 0x$2, closed"
	else
		bad "$1: answered '$out'$([ $status -ne 124 ] || echo ', not closed')"
	fi
}
closes "version 2" 0003 "20 06 0000 00000008"
closes "a message shorter than its header" 0003 "10 06 0000 00000004"
closes "a length that is no multiple of 4" 0003 "10 06 0000 0000000a 0000"
closes "4 GB announced" 0003 "10 06 0000 fffffffc"
closes "an unknown op code" 0003 "10 2a 4001 00000008"
closes "an object longer than its message" 0003 "10 06 4001 00000010 ffff 0b01 61000000"
closes "an open without PEPID" 0007 "10 06 4001 00000008"
closes "a client in clear" 000f "10 06 4001 00000010 0008 0b01 61620000"
for i in 1 2 3 4 5; do
	in_ns sp bash -c "exec 3<>/dev/tcp/$PDP_ADDR/3288; head -c $((RANDOM + 1)) /dev/urandom >&3; timeout 1 cat <&3 >/dev/null" 2>/dev/null
done
check "the policy server is well after 5 times random bytes" ctl_pdp show status
ping_stop paris lyon
wait_for 10 settled
ctl_pdp show sessions --json | jq -c '.[] | [.ce, .decisions, .connected_at]' >"$RUN/sessions"
check "the other sessions never noticed" eval "grep -Fxf '$RUN/sessions' '$RUN/fingerprint' | cmp - '$RUN/sessions'"

step "A transform that the CEs cannot do, AES-GCM over PF_KEY: refused before anything is sent"
edited 's,encr="aes-cbc-256" integ="[^"]*",encr="aes-gcm-16-256",'
refused "AES-GCM over PF_KEY" 'paris.*strong.*pfkey'

step "Addresses that the CEs do not have, among a hundred good rows"
for site in paris lyon; do
	kernel_dump $site >"$RUN/$site.before"
	ctl_ce $site show pib --json >"$RUN/$site.pib"
done
more=
for ((i = 101; i <= 200; i++)); do
	more+="<site prefix=\"10.$i.0.0/16\"/>"
done
sed -e 's,address="192.0.2.\([12]\)",address="192.0.2.20\1",' \
    -e "s,<site prefix=\"10.2.0.0/16\"/>,&$more," "$intent" >"$RUN/moved.xml"
grep -q 10.200.0.0 "$RUN/moved.xml" && grep -q 192.0.2.202 "$RUN/moved.xml" || die "the edit changes nothing"
ctl_pdp apply "$RUN/moved.xml" >"$RUN/out" 2>&1
status=$?
evidence <"$RUN/out"
[ $status -eq 1 ] && ok "copsctl apply says it failed (status 1)" || bad "copsctl apply: status $status"
for site in paris lyon; do
	check "it names $site, the row and why" grep -E "$site.*ceVpn\.[0-9]+.*noSuchLocalAddress" "$RUN/out"
	check "row56 of a decision of 100 rows, one of them bad, nothing is in $site's kernel, octet for octet" \
	    diff "$RUN/$site.before" <(kernel_dump $site)
	check "row56 nor among its rows" diff "$RUN/$site.pib" <(ctl_ce $site show pib --json)
	check "copsctl show ce shows it" eval "ctl_pdp show ce $site.$DOMAIN | grep -E 'ceVpn\.[0-9]+'"
done
check "traffic still flows" reaches paris lyon

step "Put right"
check "copsctl apply" ctl_pdp apply "$intent"
check "traffic flows" wait_for 10 reaches lyon paris
no_failure() { ! ctl_pdp show ce "$1.$DOMAIN" | grep -q 'ceVpn\.[0-9]'; }
for site in paris lyon; do
	check "$site holds what it should and no failure is shown" wait_for 10 no_failure $site
done

summary
