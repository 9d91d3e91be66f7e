#!/bin/bash
# managed.sh - routing="managed": a router behind the CE paris announces networks by OSPF (FRRouting) to
# its CE, and a host behind lyon reaches them seconds later; what is withdrawn is gone; what the intent
# does not allow is refused, shown, and harms nobody; FRR restarts and nothing is withdrawn; BIRD brings
# 10,000 routes, the first ones work and the others are counted.
# timeout: 400
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_routing.sh"

# router_make NAMESPACE INTERFACE ROUTER-ID: zebra and ospfd there, with networks of the interface "net*"
# announced.
router_make()
{
	printf 'hostname %s\n' "$1" >"$RUN/$1.zebra.conf"
	cat >"$RUN/$1.ospfd.conf" <<-END
		interface $2
		 ip ospf network point-to-point
		 ip ospf hello-interval 1
		 ip ospf dead-interval 4
		 ip ospf retransmit-interval 3
		 ip ospf area 0
		!
		router ospf
		 ospf router-id $3
		 timers throttle spf 10 50 500
		 timers throttle lsa all 0
		 redistribute connected route-map lan
		!
		route-map lan deny 5
		 match interface wan
		!
		route-map lan permit 10
	END
	router_start "$1"
}
router_start() { frr_start "$1" zebra; frr_start "$1" ospfd; }
router_stop() { daemon_kill "$1.ospfd"; daemon_kill "$1.zebra"; }

# network_add NAME ADDRESS/LENGTH: a network of the router behind paris.
network_add() { ip -n h-paris -batch - <<-END
		link add $1 type dummy
		link set $1 addrgenmode none
		addr add $2 dev $1
		link set $1 up
	END
}
asks() { in_ns h-lyon ping -n -q -c 3 -i 0.2 -W 2 "$1"; }
asks_not() { ! asks "$1"; }
lan_route() { ip -n paris route show "$1" | grep -q ospf; }
learned() { ctl_pdp show learned --json | jq -r ".[] | select(.prefix == \"$1\") | .state"; }
learned_is() { [ "$(learned "$1")" = "$2" ]; }
at_ce() { ctl_ce paris show learned --json | jq -r ".[] | select(.prefix == \"$1\") | .state"; }
at_ce_is() { [ "$(at_ce "$1")" = "$2" ]; }
at_lyon() { ctl_ce lyon show spd --json | jq -e "any(.[]; .dir == \"out\" and .dst == \"$1\" and .action == \"protect\")${2:-}" >/dev/null; }
at_lyon_not() { at_lyon "$1" " | not"; }
count_at_lyon() { ctl_ce lyon show spd --json | jq '[.[] | select(.dir == "out" and .action == "protect")] | length'; }
count_is() { [ "$(count_at_lyon)" -eq "$1" ]; }

step "Two sites, a router behind paris; the VPN's routing is managed"
sp_make
site_make paris 192.0.2.1 10.1.0.0/16
site_make lyon 192.0.2.2 10.2.0.0/16
cat >"$RUN/acme.xml" <<-END
	<intent xmlns="urn:copsvpn:intent:1">
	  <customer name="acme">
	    <ce name="paris.$DOMAIN" address="192.0.2.1"/>
	    <ce name="lyon.$DOMAIN" address="192.0.2.2"/>
	    <transform name="strong" encr="aes-cbc-256" integ="hmac-sha2-512-256" lifetime="8h"/>
	    <vpn name="office" id="00005e:00000001" topology="full-mesh" internet="discard" transforms="strong"
	         routing="managed">
	      <space prefix="10.0.0.0/8"/>
	      <member ce="paris.$DOMAIN" max-learned="1000">
	        <site prefix="10.1.0.0/16"/>
	        <learn prefix="10.101.0.0/16"/>
	      </member>
	      <member ce="lyon.$DOMAIN">
	        <site prefix="10.2.0.0/16"/>
	      </member>
	    </vpn>
	  </customer>
	</intent>
END
PEP_OPTIONS=(learn-hold=60s learn-settle=500)
start_pdp
start_peps paris lyon
check "copsctl apply" ctl_pdp apply "$RUN/acme.xml"
check "keys both ways" wait_for 30 keyed office
for n in 1 2 3; do network_add net$n 10.101.$n.1/24; done
router_make h-paris eth0 192.168.0.2
router_make paris lan 192.168.0.1
watch_start
check "OSPF's routes come to the kernel of paris" wait_for 60 lan_route 10.101.1.0/24
check "a host behind lyon reaches the router's networks" wait_for 20 asks 10.101.1.1
check "all of them" eval 'wait_for 10 asks 10.101.2.1 && wait_for 10 asks 10.101.3.1'
ctl_ce paris show learned | evidence
ctl_pdp show learned | evidence
check "both ends say so" eval 'learned_is 10.101.1.0/24 "in use" && at_ce_is 10.101.1.0/24 reported'
check "paris knows that they were accepted" eval '[ "$(ctl_ce paris show learned --json | jq "[.[] | select(.accepted)] | length")" -eq 3 ]'

check "lyon has the rows" at_lyon 10.101.1.0/24

step "One more, seconds later; one is withdrawn"
network_add net4 10.101.4.1/24
start=$SECONDS
check "10.101.4.0/24 is reached" wait_for 20 asks 10.101.4.1
say "after $((SECONDS - start)) s, OSPF's part in it"
ip -n h-paris link del net4
start=$SECONDS
check "it is gone at lyon" wait_for 20 at_lyon_not 10.101.4.0/24
say "after $((SECONDS - start)) s"
check "and cannot be reached" asks_not 10.101.4.1
check "the others can" asks 10.101.1.1

step "Networks that the intent does not allow: lyon's own, and nobody's"
network_add bad1 10.2.77.1/24
network_add bad2 172.20.0.1/24
check "paris reports them" eval 'wait_for 20 at_ce_is 10.2.77.0/24 reported && wait_for 10 at_ce_is 172.20.0.0/24 reported'
check "they are refused" eval 'wait_for 10 learned_is 10.2.77.0/24 refused && wait_for 10 learned_is 172.20.0.0/24 refused'
ctl_pdp show learned | evidence
check "lyon has no row of them" eval 'at_lyon_not 10.2.77.0/24 && at_lyon_not 172.20.0.0/24'
check "lyon's host is reached as before" reaches paris lyon
check "and so are the router's networks" asks 10.101.2.1
ip -n h-paris -batch - <<-END
	link del bad1
	link del bad2
END
check "they are forgotten when they go" eval 'wait_for 20 learned_is 10.2.77.0/24 "" && wait_for 10 learned_is 172.20.0.0/24 ""'

step "FRR at the CE restarts: its routes are gone from the kernel, and not from the VPN"
router_stop paris
check "the kernel has them no more" wait_for 10 eval '! lan_route 10.101.1.0/24'
check "they are held" wait_for 10 at_ce_is 10.101.1.0/24 held
ctl_ce paris show learned | evidence
router_start paris
tries=0
while ! lan_route 10.101.1.0/24 && [ $tries -lt 300 ]; do
	at_lyon 10.101.1.0/24 || { bad "lyon lost the row of 10.101.1.0/24"; break; }
	nap 0.2
	tries=$((tries + 1))
done
check "OSPF brought them back" wait_for 30 lan_route 10.101.1.0/24
check "lyon had the rows all the time" at_lyon 10.101.1.0/24
check "they are reported, not held" wait_for 10 at_ce_is 10.101.1.0/24 reported
check "and reached" wait_for 10 asks 10.101.1.1

step "A site with 10,000 networks, by BIRD"
{
	printf 'router id 192.168.0.3;\nprotocol device {}\n'
	printf 'protocol kernel { ipv4 { export all; import none; }; }\nprotocol static {\n\tipv4;\n'
	for ((i = 0; i < 10000; i++)); do
		printf '\troute 10.101.%d.%d/32 via 10.1.0.10;\n' $((128 + i / 250)) $((i % 250))
	done
	printf '}\n'
} >"$RUN/paris.many.conf"
start=$SECONDS
bird_start paris many
check "the kernel has them" wait_for 90 eval '[ "$(ip -n paris route show proto bird | wc -l)" -eq 10000 ]'
say "after $((SECONDS - start)) s"
over() { ctl_pdp show ce paris.$DOMAIN --json | jq -r '.trouble // ""' | grep -q "$1"; }
check "the limit is reported to the server" \
    wait_for 60 over "VPN office: 9003 of 10003 learned prefixes are over the limit of 1000"
ctl_pdp show ce paris.$DOMAIN | grep trouble | evidence
check "lyon has a thousand of them, and the site's own" wait_for 60 count_is 1001
check "the first ones still work" eval 'asks 10.101.1.1 && asks 10.101.2.1 && asks 10.101.3.1'
check "paris and lyon have lost nothing" reaches lyon paris
check "no decision was refused" eval '[ "$(ctl_pdp show ce paris.$DOMAIN --json | jq .last_failure)" = null ]'
say "policies at paris and lyon: $(ctl_ce paris show status --json | jq .policies), $(ctl_ce lyon show status --json | jq .policies)"

step "It ends, and routing becomes static"
sed -i 's/ routing="managed"//; /<learn/d; s/ max-learned="1000"//' "$RUN/acme.xml"
check "copsctl apply" ctl_pdp apply "$RUN/acme.xml" --wait 120
check "lyon has one prefix of paris" wait_for 30 count_is 1
check "nothing is learned" eval '[ "$(ctl_ce paris show learned --json | jq length)" -eq 0 ] && [ "$(ctl_pdp show learned --json | jq length)" -eq 0 ]'
check "the sites reach each other" reaches lyon paris
assert_none_in_clear

summary
