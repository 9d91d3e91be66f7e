#!/bin/bash
# ipv6.sh - IPv6 outside and inside, and both mixed: two pairs of CEs, one on IPv6 and one on IPv4, each
# pair in two VPNs, one of IPv4 sites and one of IPv6 sites.  In each pair one end has the
# back end pfkey, the other xfrm.  Everything that is not of a VPN is discarded, and
# neighbour discovery works all the same; what only calls itself so is not let out.
# timeout: 300
. "$(dirname "$0")/lib.sh"

PDP6_ADDR=2001:db8:ff::10
SP6_ADDR=2001:db8:ff::1
declare -A HOST6

v6_on() # NAMESPACE...: forwards, and does not wait to see whether an address is taken
{
	local ns
	for ns; do
		in_ns "$ns" sh -c 'cd /proc/sys/net/ipv6/conf; echo 1 >all/forwarding; echo 0 >default/accept_dad; echo 0 >all/accept_dad'
	done
}
# v6_attach NAMESPACE ADDRESS: the same link to sp with IPv6 addresses.
v6_attach()
{
	ip -n sp addr add $SP6_ADDR/128 dev "to-$1" nodad
	ip -n sp route add "$2/128" dev "to-$1"
	ip -n sp addr add fe80::1/64 dev "to-$1" nodad
	ip -n "$1" -batch - <<-EOF2
		addr add fe80::2/64 dev wan nodad
		addr add $2/128 dev wan nodad
		route add default via $SP6_ADDR dev wan onlink src $2
	EOF2
}
# v6_lan SITE PREFIX: a /64 for its LAN, the CE ::1, its host ::10.
v6_lan()
{
	HOST6[$1]=${2}10
	v6_on "$1"
	in_ns "h-$1" sh -c 'echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad'
	ip -n "$1" addr add fe80::1/64 dev lan nodad
	ip -n "h-$1" addr add fe80::2/64 dev eth0 nodad
	ip -n "$1" addr add "${2}1/64" dev lan nodad
	ip -n "h-$1" addr add "${2}10/64" dev eth0 nodad
	ip -n "h-$1" route add default via "${2}1"
}
reaches6() { in_ns "h-$1" ping -6 -n -q -c 3 -i 0.2 -W 2 ${3:-} "${HOST6[$2]}"; }

# The neighbour is reachable, or within some seconds is again.
probed() { wait_for 6 eval "ip -n $1 -6 neigh show $2 | grep REACHABLE" || { ip -n "$1" -6 neigh; return 1; }; }

step "Two CEs on IPv6, two on IPv4; sites of both families"
sp_make
v6_on sp pdp
v6_attach pdp $PDP6_ADDR
site_make a 192.0.2.1 10.1.0.0/16
site_make b 192.0.2.2 10.2.0.0/16
site_make c 192.0.2.3 10.3.0.0/16
site_make d 192.0.2.4 10.4.0.0/16
v6_lan a fd00:1::
v6_lan b fd00:2::
v6_lan c fd00:3::
v6_lan d fd00:4::
v6_attach a 2001:db8:a::1
v6_attach b 2001:db8:b::1
for ns in a b; do # nothing of theirs has to do with IPv4 outside
	ip -n $ns route del default
	ip -n $ns addr del "${WAN[$ns]}/32" dev wan
	ip -n $ns route add default dev wan # Linux wants a route before it looks for a tunnel
done
for ns in c d; do
	ip -n $ns -6 route add default dev wan
done
BACKEND[b]=xfrm
BACKEND[d]=xfrm
start_pdp "listen={ \"$PDP_ADDR\", \"$PDP6_ADDR\" }"
PDP_ADDR=$PDP6_ADDR start_peps a b
start_peps c d

member() { echo "<member ce=\"$1.$DOMAIN\"><site prefix=\"$2\"/>${3:-}</member>"; }
vpn() { echo "<vpn name=\"$1\" id=\"00005e:0000000$2\" topology=\"full-mesh\" keying=\"controller\" transforms=\"strong\" internet=\"discard\">"; }
intent_make() # MORE-OF-a's
{
	cat >"$RUN/acme.xml" <<-EOF2
	<intent xmlns="urn:copsvpn:intent:1"><customer name="acme">
	<ce name="a.$DOMAIN" address="2001:db8:a::1"/><ce name="b.$DOMAIN" address="2001:db8:b::1"/>
	<ce name="c.$DOMAIN" address="192.0.2.3"/><ce name="d.$DOMAIN" address="192.0.2.4"/>
	<transform name="strong" encr="aes-cbc-256" integ="hmac-sha2-512-256" lifetime="8h"/>
	$(vpn 4in6 1)$(member a 10.1.0.0/16 "${1:-}")$(member b 10.2.0.0/16)</vpn>
	$(vpn 6in6 2)$(member a fd00:1::/48)$(member b fd00:2::/48)</vpn>
	$(vpn 4in4 3)$(member c 10.3.0.0/16)$(member d 10.4.0.0/16)</vpn>
	$(vpn 6in4 4)$(member c fd00:3::/48)$(member d fd00:4::/48)</vpn>
	</customer></intent>
	EOF2
}
intent_make
capture_start all
check "copsctl apply" ctl_pdp apply "$RUN/acme.xml" --strict || exit 1
for v in 4in6 6in6 4in4 6in4; do
	check "VPN $v is keyed" wait_for 30 keyed $v
done
check "copsctl show session: over IPv6" eval 'ctl_pdp show sessions | grep "^a\.$DOMAIN.*2001:db8:a::1"'

step "Neighbour discovery, with everything discarded that is not of a VPN"
# What was learnt before the policies came is forgotten; addresses are asked for by multicast,
# with link-local and with global sources, and neighbours are probed by unicast.
for ns in a b c d h-a h-b h-c h-d sp; do ip -n $ns -6 neigh flush all; done
for ns in a c; do
	check "h-$ns resolves its CE and pings it" in_ns h-$ns ping -6 -n -q -c 2 -i 0.2 -W 2 "${HOST6[$ns]%10}1"
	ip -n $ns neigh change "${HOST6[$ns]}" dev lan nud probe
	check "$ns: a probe by unicast is answered" probed $ns ${HOST6[$ns]}
	ip -n h-$ns neigh change "${HOST6[$ns]%10}1" dev eth0 nud probe
	check "h-$ns: a probe by unicast is answered" probed h-$ns "${HOST6[$ns]%10}1"
done
check "a resolves its provider's router" in_ns a ping -6 -n -q -c 2 -i 0.2 -W 2 $SP6_ADDR

step "All four combinations"
check "IPv4 in IPv6" wait_for 10 reaches a b
check "IPv6 in IPv6" wait_for 10 reaches6 a b
check "IPv4 in IPv4" wait_for 10 reaches c d
check "IPv6 in IPv4" wait_for 10 reaches6 c d
check "and from the other ends" eval 'reaches b a && reaches6 b a && reaches d c && reaches6 d c'
# The first one is answered by the CE with what fits into the tunnel.
check "IPv6 in IPv6, packets larger than a tunnel takes" wait_for 10 reaches6 a b "-s 1440"
check "IPv6 in IPv4, packets larger than a tunnel takes" wait_for 10 reaches6 c d "-s 3000"

step "What calls itself neighbour discovery and is to be forwarded is not"
# A solicitation from a's host, in clear past the CE, were it let out.
blocked() { in_ns a awk '$1 == "XfrmInPolBlock" { print $2 }' /proc/net/xfrm_stat; }
before=$(blocked)
in_ns h-a perl -e 'use Socket; socket(my $s, 10, SOCK_RAW, 58) or die "$!";
	send($s, pack("C2 n N", 135, 0, 0, 0) . ("\xfd" x 16), 0,
	    pack("S n N a16 N", 10, 0, 0, Socket::inet_pton(10, "fd00:2::10"), 0)) or die "$!"; ' || bad "it cannot be sent"
check "a's kernel discarded it" wait_for 5 eval '[ "$(blocked)" -gt "$before" ]'

step "PF_KEY has one family in a tunnel: another behind the same peer is refused, by row and column"
intent_make '<site prefix="fd00:41::/48"/>'
ctl_pdp apply "$RUN/acme.xml" >"$RUN/out" 2>&1
check "xfrm takes both" wait_for 10 eval 'ip -n b xfrm policy | grep -q fd00:41::'
intent_make
check "copsctl apply" ctl_pdp apply "$RUN/acme.xml" --strict
sed -i "s,10.2.0.0/16\"/>,&<site prefix=\"fd00:42::/48\"/>,"  "$RUN/acme.xml"
ctl_pdp apply "$RUN/acme.xml" >"$RUN/out" 2>&1
check "copsctl apply says which column" eval 'grep "ceVpnPeerPrefix.* addr_type" "$RUN/out"'
check "nothing changed there: IPv4 in IPv6" reaches a b
intent_make
check "copsctl apply" ctl_pdp apply "$RUN/acme.xml" --strict

step "On the SP's network"
capture_stop all
esp6=$(captured_count all "ip6 proto 50 and src host (2001:db8:a::1 or 2001:db8:b::1)")
esp4=$(captured_count all "ip proto 50 and src host (192.0.2.3 or 192.0.2.4)")
clear=$(captured all "net 10.0.0.0/8 or net fd00::/8")
[ "$esp6" -gt 20 ] && [ "$esp4" -gt 20 ] && ok "$esp6 packets of ESP over IPv6, $esp4 over IPv4" ||
	bad "$esp6 packets of ESP over IPv6, $esp4 over IPv4"
[ -z "$clear" ] && ok "none of a site in clear" || { bad "in clear:"; printf '%s\n' "$clear" | head | evidence; }

summary
