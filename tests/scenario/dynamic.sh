#!/bin/bash
# dynamic.sh - routing daemons over the tunnels of a VPN with routing="dynamic": OSPF between two hubs and two
# spokes, FRR and BIRD mixed, over interfaces of kind VTI (mode tunnel); the first hub dies and traffic goes
# by the second; then RIP and BGP over IP in IP (mode ipip-transport); nothing of all that
# outside of ESP; what others take away from an interface comes back, a restart takes nothing; without routes,
# policies or SAs nothing leaves in clear.  The configurations are those of examples/routing.
# timeout: 450
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_routing.sh"
. "$(dirname "$0")/lib_dynamic.sh"

sites="p q r s"
INNER=([p]=10.255.0.1 [q]=10.255.0.2 [r]=10.255.0.3 [s]=10.255.0.4)
intent_make() # MODE ROUTING
{
	local site
	{
		echo '<intent xmlns="urn:copsvpn:intent:1"><customer name="acme">'
		for site in $sites; do echo "<ce name=\"$site.$DOMAIN\" address=\"${WAN[$site]}\"/>"; done
		echo '<transform name="strong" encr="aes-cbc-256" integ="hmac-sha2-512-256" lifetime="8h"/>'
		echo "<vpn name=\"office\" id=\"00005e:00000001\" topology=\"hub-and-spoke\" transforms=\"strong\" mode=\"$1\" routing=\"$2\">"
		echo '<space prefix="10.0.0.0/8"/>'
		for site in $sites; do
			echo "<member ce=\"$site.$DOMAIN\" role=\"$([[ $site = [pq] ]] && echo hub || echo spoke)\"" \
				"$([ "$2" = dynamic ] && echo "tunnel-address=\"${INNER[$site]}\"")><site prefix=\"${LAN[$site]}\"/>"
			echo "</member>"
		done
		echo '</vpn></customer></intent>'
	} >"$RUN/acme.xml"
}

# taken_comes_back DEVICE: of r's; its address, multicast, and all of it.
taken_comes_back()
{
	local dev=$1 own="inet ${INNER[r]} peer "
	ip -n r addr del "${INNER[r]}" peer "$(ip -n r -j addr show dev "$dev" | jq -r '.[0].addr_info[0].address')/32" dev "$dev" || bad "it cannot be deleted"
	check "$dev: its address comes back" wait_for 20 eval "ip -n r addr show dev $dev | grep '$own'"
	ip -n r link set "$dev" multicast off || bad "it cannot be set off"
	check "$dev: multicast" wait_for 20 eval "ip -n r link show dev $dev | grep MULTICAST"
	ip -n r link del "$dev" || bad "it cannot be deleted"
	check "$dev: the interface, with the same name" wait_for 20 eval "ip -n r addr show dev $dev | grep '$own'"
}
received() { ip -n "$1" -s -j link show dev "$2" | jq '.[0].stats64.rx.packets'; }

step "Two hubs, two spokes, routing dynamic, mode tunnel"
sp_make
n=1
for site in $sites; do
	site_make $site 192.0.2.$n 10.$n.0.0/16
	BACKEND[$site]=xfrm # (PF_KEY has no policies of interfaces and marks)
	n=$((n + 1))
done
start_pdp
start_peps $sites
capture_start all "not tcp port 3288 and not (icmp and src host $SP_ADDR)" # (which p is unreachable, later)
watch_start
intent_make tunnel dynamic
check "copsctl apply" ctl_pdp apply "$RUN/acme.xml" --strict || exit 1
check "every pair is keyed" wait_for 30 keyed office
for pair in "r p" "p r" "q s"; do
	read -r a b <<<"$pair"
	dev=$(tunnel_dev $a $b)
	check "$a: $dev to $b is a point-to-point link with addresses and multicast" eval \
	    "ip -n $a addr show dev $dev | grep 'MULTICAST' && ip -n $a addr show dev $dev | grep 'inet ${INNER[$a]} peer ${INNER[$b]}/32'"
done
check "r: no route of ours" eval '[ -z "$(ip -n r route show type unicast proto 67)" ]'
check "r: the hub's end of the tunnel answers" wait_for 20 in_ns r ping -n -c 1 -W 2 "${INNER[p]}"
check "without routes nobody reaches anybody" reaches_not r s

step "OSPF: FRR at p and r, BIRD at q and s"
routing_conf frr/zebra.conf p; routing_conf frr/zebra.conf r
routing_conf frr/ospfd.conf p r s q
routing_conf frr/ospfd.conf r p q
routing_conf bird/ospf.conf q r s
routing_conf bird/ospf.conf s p q
# q is the second choice of everybody
sed -i 's/cost 10/cost 20/' "$RUN/q.ospf.conf"
sed -i 's/ip ospf cost 20/ip ospf cost 10/' "$RUN/p.ospfd.conf"
for site in p r; do frr_start $site zebra; done
for site in p r; do frr_start $site ospfd; done
for site in q s; do bird_start $site ospf; done
check "r knows the way to s, by p" wait_for 60 way_is r s "$(tunnel_dev r p)" || frr r show ip ospf neighbor | evidence
check "s knows the way to r, by p" wait_for 30 way_is s r "$(tunnel_dev s p)" || bird s show ospf neighbors | evidence
wait_for 30 eval 'ip -n p route get 10.2.0.10 | grep " dev cv" && ip -n q route get 10.1.0.10 | grep " dev cv"'
all_reach $sites

step "What others take away comes back"
taken_comes_back "$(tunnel_dev r p)"
check "OSPF goes on: r knows the way to s, by p" wait_for 60 way_is r s "$(tunnel_dev r p)" || frr r show ip ospf neighbor | evidence
check "r reaches s" wait_for 20 reaches r s

step "r's agent is killed and starts again: everything is as it was"
ip -n r xfrm policy >"$RUN/before.txt"
packets=$(received r "$(tunnel_dev r p)")
daemon_kill r KILL
start_peps r
check "r is connected" wait_for 60 sessions_are 4 "in sync"
check "no interface was made anew" eval '[ "$(received r "$(tunnel_dev r p)")" -ge $packets ] && [ $packets -gt 0 ]'
check "and no policy" eval 'ip -n r xfrm policy | diff - "$RUN/before.txt" >/dev/null'
check "r reaches s" wait_for 20 reaches r s

step "Tunnel mode, and no way past it"
dev=$(tunnel_dev r p)
check "r: $dev is a VTI with a key" eval "ip -n r -d link show dev $dev | grep 'vti remote ${WAN[p]} local ${WAN[r]} ikey 255.254'"
check "r: all SAs are in tunnel mode" eval '! ip -n r xfrm state | grep "mode transport" && ip -n r xfrm state | grep "mode tunnel"'
check "r: the largest packets get through" in_ns h-r ping -n -c 1 -W 3 -M "do" -s 1379 "${HOST[s]}"
kill -STOP "${PID[r]}"
ip -n r xfrm policy flush
ip -n r xfrm state flush
check "r: without policies and SAs the interface drops" reaches_not r s
# By the second hub's, if the machine was too busy for the first one's hellos.
check "r: it had them" eval 'by=$(way r s); [[ $by = cv* ]] && [ "$(ip -n r -s -j link show dev $by | jq ".[0].stats64.tx.carrier_errors")" -gt 0 ]' ||
	{ way r s; ip -n r -s link; } | evidence
kill -CONT "${PID[r]}"
check "r: all comes back" wait_for 60 reaches r s

step "The first hub dies"
before=${EPOCHREALTIME%[.,]*}
ip -n sp link set to-p down
daemon_kill p KILL
daemon_kill p.ospfd KILL
daemon_kill p.zebra KILL
check "r sends to s by q" wait_for 60 way_is r s "$(tunnel_dev r q)"
check "s sends to r by q" wait_for 60 way_is s r "$(tunnel_dev s q)"
check "r's host reaches s's" wait_for 20 reaches r s
say "after $((${EPOCHREALTIME%[.,]*} - before)) s; the dead interval is 8 s"

step "No daemon, no routes: what is in the space is discarded"
daemon_kill r.ospfd
daemon_kill r.zebra
daemon_kill s.bird
daemon_kill q.bird
ip -n r route flush proto ospf
for site in q s; do ip -n $site route flush proto bird; done
check "no way is left" no_way r s
check "r does not reach s" reaches_not r s

step "IP in IP: interfaces of the other kind, by one apply; s comes back with PF_KEY, and knows nothing"
daemon_kill s
intent_make ipip-transport dynamic
ctl_pdp apply "$RUN/acme.xml" >/dev/null
ip -n s xfrm policy flush
ip -n s xfrm state flush
ip -n s link del group 17232
rm -r "$RUN/s.state" "$RUN/s.conf"
BACKEND[s]=pfkey
start_peps s
dev=$(tunnel_dev r q)
check "r: $dev is IP in IP" wait_for 30 eval "ip -n r -d link show dev $dev | grep 'ipip remote ${WAN[q]} local ${WAN[r]}'"
check "s: so is its own" wait_for 60 eval 'ip -n s -d link show dev "$(tunnel_dev s q)" | grep "ipip remote"'
check "q: so are its own" eval "ip -n q -d link show dev $(tunnel_dev q r) | grep 'ipip remote'"

step "RIP: FRR at r, BIRD at q and s"
routing_conf frr/ripd.conf r p q
routing_conf bird/rip.conf q s r
routing_conf bird/rip.conf s p q
frr_start r zebra
frr_start r ripd
for site in q s; do bird_start $site rip; done
check "r knows the way to s, by q" wait_for 60 way_is r s "$(tunnel_dev r q)" || frr r show ip rip | evidence
check "r's host reaches s's" wait_for 30 reaches r s
taken_comes_back "$dev"
check "RIP goes on: r's host reaches s's" wait_for 60 reaches r s
daemon_kill r.ripd
for site in q s; do daemon_kill $site.bird; ip -n $site route flush proto bird; done
check "r's routes are gone with ripd" wait_for 20 no_way r s || ip -n r route flush proto rip

step "BGP: FRR at r, BIRD at q and s"
routing_conf frr/bgpd.conf r p q
routing_conf bird/bgp.conf s p q
routing_conf bird/bgp.conf q r s
sed -i "s/10\.255\.0\.1 as 65001/${INNER[r]} as 65003/; s/neighbor 10\.255\.0\.2 as 65002/neighbor ${INNER[s]} as 65004/" "$RUN/q.bgp.conf"
frr_start r bgpd
for site in q s; do bird_start $site bgp; done
check "r knows the way to s, by q" wait_for 60 way_is r s "$(tunnel_dev r q)" || frr r show bgp summary | evidence
check "r's host reaches s's" wait_for 30 reaches r s

step "In clear from outside"
in_ns sp ip addr add 10.255.0.2/32 dev lo
ip -n sp route add 10.255.0.3/32 via 192.0.2.3 dev to-r onlink
capture_stop watch # this one is ours
[ "$(captured_count watch)" -eq 0 ] && ok "nothing of a site was seen in clear on the SP network" ||
	{ bad "in clear on the SP network:"; captured watch | head -n 5 | evidence; }
capture_stop all
assert_only_esp all
in_ns sp ping -n -q -c 2 -i 0.2 -W 0.5 -I 10.255.0.2 10.255.0.3 >"$RUN/out" 2>&1
[ $? -eq 1 ] && ok "a neighbour's address from outside of the tunnel reaches nobody" ||
	{ bad "a neighbour's address from outside of the tunnel is answered, or cannot send"; evidence <"$RUN/out"; }
in_ns sp ip addr del 10.255.0.2/32 dev lo
ip -n sp route del 10.255.0.3/32

step "Back to static routes"
daemon_kill r.bgpd; daemon_kill r.zebra
for site in q s; do daemon_kill $site.bird; ip -n $site route flush proto bird; done
ip -n r route flush proto bgp
intent_make ipip-transport static
ctl_pdp apply "$RUN/acme.xml" >/dev/null
check "r and q reach each other by routes of ours" wait_for 60 eval 'reaches r q && ip -n r route show proto 67 | grep "${LAN[q]}"'
check "no address and no multicast is left on r's interfaces" eval '! ip -n r addr show group 17232 | grep "inet \|MULTICAST"'

summary
