#!/bin/bash
# dynamic_ike.sh - routing daemons and tunnels on demand (keys from IKE), of interfaces of kind VTI (mode
# tunnel): OSPF runs at both ends and makes no tunnel; traffic does, by the operator's routes, and it ends
# when idle though OSPF goes on; BGP between the tunnel addresses; with hellos="yes", and over IP in IP (mode
# ipip-transport), OSPF goes over it.  p has BIRD, r has FRR.
# timeout: 300
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_ike.sh"
. "$(dirname "$0")/lib_routing.sh"
. "$(dirname "$0")/lib_dynamic.sh"

sites="p r"
INNER=([p]=10.255.0.1 [r]=10.255.0.3)
intent_make() # HELLOS MODE
{
	local site
	{
		echo '<intent xmlns="urn:copsvpn:intent:1"><customer name="acme">'
		for site in $sites; do echo "<ce name=\"$site.$DOMAIN\" address=\"${WAN[$site]}\"/>"; done
		echo '<transform name="gcm" encr="aes-gcm-16-256" lifetime="1h" dh="curve25519"/>'
		echo "<vpn name=\"office\" id=\"00abcd:00000001\" keying=\"ike\" activation=\"on-demand\" idle=\"4s\" mode=\"$2\"" \
			"routing=\"dynamic\" hellos=\"$1\" transforms=\"gcm\"><space prefix=\"10.0.0.0/8\"/>"
		for site in $sites; do
			echo "<member ce=\"$site.$DOMAIN\" tunnel-address=\"${INNER[$site]}\"><site prefix=\"${LAN[$site]}\"/></member>"
		done
		echo '</vpn></customer></intent>'
	} >"$RUN/acme.xml"
}
sent() { ip -n "$1" -s -j link show dev "$2" | jq '.[0].stats64.tx.packets'; }
no_sas() { [ "$(sa_count p)" -eq 0 ] && [ "$(sa_count r)" -eq 0 ]; }

step "p and r, on demand"
sp_make
BACKEND=([p]=xfrm [r]=xfrm) # (PF_KEY has no policies of interfaces and marks)
site_make p 192.0.2.1 10.1.0.0/16
site_make r 192.0.2.3 10.3.0.0/16
start_pdp
pki_make "p.$DOMAIN" "r.$DOMAIN"
for site in $sites; do
	PEP_OPTIONS=("vici-socket=\"$RUN/$site.vici\"")
	conf_pep $site
done
start_charon $sites
start_peps $sites
capture_start all "not tcp port 3288 and not udp port 500"
watch_start
intent_make no tunnel
check "copsctl apply" ctl_pdp apply "$RUN/acme.xml" --strict || exit 1
for pair in "p r" "r p"; do
	read -r a b <<<"$pair"
	check "$a: an interface to $b" wait_for 20 eval "[ \"\$(tunnel_dev $a $b)\" != null ]"
	declare "dev_$a=$(tunnel_dev $a $b)"
done
for pair in "p r $dev_p" "r p $dev_r"; do
	read -r a b dev <<<"$pair"
	check "$a: $dev has no address and no multicast" eval "! ip -n $a addr show dev $dev | grep 'inet \|MULTICAST'"
	check "$a: but the tunnel addresses are there" eval "ip -n $a route get ${INNER[$a]} | grep '^local' && ip -n $a route get ${INNER[$b]} | grep 'dev $dev src ${INNER[$a]}'"
done

check "r: it is a VTI" eval "ip -n r -d link show dev $dev_r | grep 'vti remote'"

step "OSPF at both ends says nothing over it"
routing_conf frr/zebra.conf r
routing_conf frr/ospfd.conf r p
routing_conf bird/ospf.conf p r
frr_start r zebra
frr_start r ospfd
bird_start p ospf
check "both run" wait_for 30 eval 'frr r show ip ospf && bird p show ospf'
nap 7 # three hellos
check "no packet went into an interface" [ "$(sent p "$dev_p") $(sent r "$dev_r")" = "0 0" ]
check "there is no SA" no_sas

step "Traffic by the operator's routes makes it, and it ends when idle"
ip -n p route add "${LAN[r]}" dev "$dev_p" src 10.1.0.1
ip -n r route add "${LAN[p]}" dev "$dev_r" src 10.3.0.1
check "p's host reaches r's" wait_for 40 reaches p r || ctl_ce p show tunnels | evidence
check "there are SAs" eval '! no_sas'
check "in tunnel mode" eval '! ip -n p xfrm state | grep "mode transport"'
check "they end when idle" wait_for 60 no_sas
ip -n p route del "${LAN[r]}" dev "$dev_p"
ip -n r route del "${LAN[p]}" dev "$dev_r"

step "BGP between the tunnel addresses"
daemon_kill p.bird
ip -n r addr add "${INNER[r]}/32" dev lo # FRR wants it on some interface
routing_conf frr/bgpd.conf r p
routing_conf bird/bgp.conf p r
sed -i '/neighbor 10\.255\.0\.2/d; s/neighbor 10.255.0.1 timers.*/&\n neighbor 10.255.0.1 ebgp-multihop 2/' "$RUN/r.bgpd.conf"
sed -i "/^protocol bgp hub2/d; s/neighbor 10\.255\.0\.1 as 65001;/neighbor ${INNER[r]} as 65003; multihop 2;/; s/^protocol kernel {/& learn;/" "$RUN/p.bgp.conf"
frr_start r bgpd
bird_start p bgp
check "r knows the way to p" wait_for 60 way_is r p "$dev_r" || { frr r show bgp summary; ip -n r route; } | evidence
check "p knows the way to r" wait_for 30 way_is p r "$dev_p" || { bird p show protocols all; ip -n p route; } | evidence
check "r's host reaches p's" wait_for 30 reaches r p
daemon_kill r.bgpd
daemon_kill p.bird
ip -n p route flush proto bird
ip -n r addr del "${INNER[r]}/32" dev lo

step "With hellos OSPF goes over it, now of IP in IP"
bird_start p ospf
intent_make yes ipip-transport
check "copsctl apply" ctl_pdp apply "$RUN/acme.xml" --strict
check "r: $dev_r is a link with addresses and multicast" wait_for 20 eval \
    "ip -n r -d link show dev $dev_r | grep 'ipip remote' && ip -n r addr show dev $dev_r | grep 'inet ${INNER[r]} peer ${INNER[p]}/32' && ip -n r link show dev $dev_r | grep MULTICAST"
check "r knows the way to p by OSPF" wait_for 90 eval "ip -n r route show proto ospf | grep '${LAN[p]}.*dev $dev_r'" || { frr r show interface "$dev_r"; ip -n r addr show dev "$dev_r"; frr r show ip ospf neighbor; frr r show ip ospf interface; bird p show ospf interface; bird p show ospf neighbors; ip -n p addr show dev "$dev_p"; ctl_ce p show tunnels; } | evidence
check "r's host reaches p's" wait_for 30 reaches r p
capture_stop all
assert_only_esp all
assert_none_in_clear

summary
