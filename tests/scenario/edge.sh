#!/bin/bash
# edge.sh - what a CE does beside its VPN: a site whose Internet is behind the hub, one that goes
# there by itself, NAT of the operator's on both, and an extranet: a part of one VPN's site, and
# nothing else of it, for another VPN.
# timeout: 400
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_ike.sh"

intent=$RUN/acme.xml
sites="h a b x"

# intent_make A-ATTRIBUTES B-ATTRIBUTES EXTRANET
intent_make()
{
	cat >"$intent" <<-XML
		<intent xmlns="urn:copsvpn:intent:1"><customer name="acme">
		$(for i in $sites; do echo "<ce name=\"$i.$DOMAIN\" address=\"${WAN[$i]}\"/>"; done)
		<ce name="y.$DOMAIN" address="192.0.2.9"/>
		<vpn name="v" id="00005e:00000001" topology="hub-and-spoke" keying="${KEYING:-controller}">
		<member ce="h.$DOMAIN" role="hub"><site prefix="${LAN[h]}"/></member>
		<member ce="a.$DOMAIN" $1><site prefix="${LAN[a]}"/></member>
		<member ce="b.$DOMAIN" $2><site prefix="${LAN[b]}"/></member>
		${3:-}
		</vpn>
		<vpn name="w" id="00005e:00000002">
		<member ce="x.$DOMAIN"><site prefix="${LAN[x]}"/></member>
		<member ce="y.$DOMAIN"><site prefix="10.9.0.0/16"/></member>
		</vpn>
		</customer></intent>
	XML
	check "copsctl apply ($1 $2)" ctl_pdp apply "$intent"
	wait_for 60 sessions_are 4 "in sync" || bad "not all are in sync"
}

# internet SITE FROM: pings to the Internet are answered, and seen there from this address; "": no.
internet()
{
	local n seen answered=no
	capture_start internet "icmp and host $SP_ADDR"
	in_ns "h-$1" ping -n -q -c 2 -i 0.2 -W 2 "$SP_ADDR" >/dev/null 2>&1 && answered=yes
	capture_stop internet
	seen=$(captured internet "icmp[icmptype] = icmp-echo" | grep -o 'IP [0-9.]*' | sort -u | tr '\n' ' ')
	case $2/$answered/$seen in
	/no/) ok "$1: the Internet is not reached, and nothing of its site is seen there" ;;
	"$2/yes/IP $2 ") ok "$1: the Internet is reached, from $2" ;;
	*) bad "$1: the Internet should be reached from ${2:-nowhere}: answered $answered, seen: $seen" ;;
	esac
}

step "A hub, two spokes, and a site of another VPN; NAT of the operator's at the hub and at b"
/run/modprobe -a iptable_nat xt_MASQUERADE xt_policy || die "no NAT in this kernel"
sp_make
n=0
for site in $sites; do
	n=$((n + 1))
	site_make $site 192.0.2.$n 10.$n.0.0/16
done
ip -n h-x addr add 10.4.9.10/32 dev eth0
for site in h b; do # as copspepd(8) has it: what a tunnel takes is not to be translated
	in_ns $site iptables-legacy -t nat -A POSTROUTING -o wan -m policy --dir out --pol none -j MASQUERADE
done
start_pdp
start_peps $sites
intent_make 'internet="via-hub"' ''
check "v is keyed" wait_for 60 keyed v

step "a's Internet is behind the hub, b's is not"
check "a reaches h" wait_for 30 reaches a h
check "b reaches h" wait_for 30 reaches b h
watch_start
internet a "${WAN[h]}"
internet b "${WAN[b]}"
check "h reaches a" reaches h a
check "spokes do not reach each other" reaches_not a b
# The hub's site sees who asks: the VPN's packets are not translated.
ip netns exec h-h tcpdump -i eth0 -n -Z root -c 1 "icmp[icmptype] = icmp-echo" >"$RUN/asks" 2>"$RUN/asks.err" &
sniffer=$!
wait_for 10 grep -q listening "$RUN/asks.err"
check "b reaches h beside its NAT" reaches b h
wait $sniffer
check "and is seen there with its own address" grep -q "IP ${HOST[b]} > ${HOST[h]}" "$RUN/asks"
assert_none_in_clear
check "a's control channel does not mind" ctl_ce a show status
ip -n a xfrm policy show dir out | grep -A1 'dst 0.0.0.0/0' | grep -B1 -m1 "prio" | evidence

step "a discards it, takes its own way, and goes behind the hub again"
intent_make 'internet="discard"' ''
watch_start
internet a ""
assert_none_in_clear
intent_make 'internet="bypass"' ''
capture_start own "icmp and src host ${HOST[a]}"
in_ns h-a ping -n -q -c 2 -i 0.2 -W 0.3 "$SP_ADDR" >/dev/null 2>&1
capture_stop own
[ "$(captured_count own)" -gt 0 ] && ok "a: the Internet is reached past the VPN" || bad "a: nothing is seen of it in the Internet"
intent_make 'internet="via-hub"' ''
check "a reaches h" wait_for 30 reaches a h
internet a "${WAN[h]}"

step "The hub is gone: nothing of a's goes anywhere else"
ip -n h link set wan down
watch_start
internet a ""
assert_none_in_clear
ip -n h -batch - <<-EOF
	link set wan up
	route add default via $SP_ADDR dev wan onlink src ${WAN[h]}
EOF
wait_for 60 sessions_are 4 "in sync" || bad "not all are in sync"

step "An extranet: 10.4.0.0/24 of w's site x, for v"
check "before it b does not reach x" reaches_not b x
intent_make 'internet="via-hub"' 'internet="discard"' '<extranet from="w" prefix="10.4.0.0/24"/>'
watch_start
for site in a b h; do
	check "$site reaches x" wait_for 60 reaches $site x
done
check "x reaches b" reaches x b
check "b does not reach the rest of x" bash -c "! ip netns exec h-b ping -n -q -c 2 -i 0.2 -W 0.5 10.4.9.10"
check "the rest of x does not reach b" bash -c "! ip netns exec h-x ping -n -q -c 2 -i 0.2 -W 0.5 -I 10.4.9.10 ${HOST[b]}"
check "spokes still do not reach each other" reaches_not b a
assert_none_in_clear
check "show vpn says what is an extranet" bash -c "'$COPSCTL' --socket '$RUN/pdp.sock' show vpn v --json |
	jq -e '.members[] | select(.ce == \"x.$DOMAIN\") | .extranet == [\"10.4.0.0/24\"] and .role == \"hub\"'"
intent_make 'internet="via-hub"' 'internet="discard"'
check "without it b does not reach x" reaches_not b x
clean() { ! ip -n x xfrm policy | grep -E "${LAN[b]}|${LAN[a]}|10.4.0.0/24"; }
check "and nothing of v is left at x" wait_for 30 clean

step "The hub is revoked: a's Internet is nowhere, and not in clear; it is reinstated"
intent_make 'internet="via-hub"' 'internet="bypass"'
check "a reaches h" wait_for 30 reaches a h
check "copsctl revoke" ctl_pdp revoke "h.$DOMAIN" --no-wait
check "nothing of h is left at a" wait_for 30 eval '! ip -n a xfrm policy | grep -q "${WAN[h]}"'
watch_start
internet a ""
assert_none_in_clear
check "copsctl reinstate" ctl_pdp reinstate "h.$DOMAIN" --no-wait
check "a reaches h" wait_for 60 reaches a h
internet a "${WAN[h]}"

step "The same under lockdown at a (what h translates would be h's own there)"
daemon_kill a TERM
echo 'lockdown = yes' >>"$RUN/a.conf"
start_peps a
check "a reaches h" wait_for 60 reaches a h
watch_start
internet a "${WAN[h]}"
assert_none_in_clear

step "And with keys from IKE"
start_charon h a b
for site in h a b; do
	echo "vici-socket = \"$RUN/$site.vici\"" >>"$RUN/$site.conf"
	daemon_kill $site TERM
done
start_peps h a b
KEYING=ike
intent_make 'internet="via-hub"' 'internet="bypass"'
check "a reaches h" wait_for 60 reaches a h
watch_start
internet a "${WAN[h]}"
internet b "${WAN[b]}"
assert_none_in_clear

summary
