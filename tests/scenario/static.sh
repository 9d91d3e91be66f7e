#!/bin/bash
# static.sh - routes in tunnel mode: a site's FRR finds them in the kernel and announces them by OSPF, and takes
# them back with the peer; full-sized TCP passes without fragments; with the policies flushed, and no lockdown, nothing leaves in
# clear; what others delete comes back, what others have is respected; addresses and MTUs of the CE are followed.
# timeout: 300
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_routing.sh"

sites="hq lyon"
intent_make() # SITE...
{
	local site
	{
		echo '<intent xmlns="urn:copsvpn:intent:1"><customer name="acme">'
		for site; do
			echo "<ce name=\"$site.$DOMAIN\" address=\"${WAN[$site]}\"/>"
		done
		echo '<vpn name="office" id="00005e:00000001" topology="full-mesh">'
		for site; do
			echo "<member ce=\"$site.$DOMAIN\"><site prefix=\"${LAN[$site]}\"/></member>"
		done
		echo '</vpn></customer></intent>'
	} >"$RUN/acme.xml"
}
apply() { check "copsctl apply: $1" ctl_pdp apply "$RUN/acme.xml" --strict; }
# The route of SITE to PREFIX of ours, as far as its device and source.
route_of() { ip -n "$1" route show "$2" proto 67 | sed -n 's/.*\(dev cvn[0-9a-f]*\).*\(src [0-9.]*\).*/\1 \2/p'; }
routed() { [ -n "$(route_of "$1" "$2")" ]; }
device_mtu() { ip -n "$1" -o link show cvn1 | sed -n 's/.* mtu \([0-9]*\).*/\1/p'; }
device_mtu_is() { [ "$(device_mtu "$1")" = "$2" ]; }
device_index() { ip -n "$1" -j link show cvn1 | jq '.[0].ifindex'; }
ce_says() { ctl_pdp show ce "$1.$DOMAIN" --json | jq -r '(if type == "array" then .[0] else . end) | .'"$2"; }
repairs() { ctl_ce "$1" show status --json | jq .repairs; }
repaired() { [ "$(repairs "$1")" -ge $(($2 + $3)) ]; } # SITE BEFORE TIMES
# A ping from a namespace that can be sent, and gets no reply.
unanswered()
{
	local ns=$1
	shift
	in_ns "$ns" ping -n -q "$@"
	[ $? -eq 1 ]
}
trouble_has() { ce_says "$1" trouble | grep -F "$2"; }

# ospf_start NAMESPACE ROUTER-ID INTERFACE [MORE]: zebra and ospfd, on the site's network.
ospf_start()
{
	printf 'hostname %s\n' "$1" >"$RUN/$1.zebra.conf"
	printf 'router ospf\n ospf router-id %s\n network 10.1.0.0/16 area 0\n timers throttle spf 0 50 200\n%s\ninterface %s\n ip ospf hello-interval 1\n ip ospf dead-interval 4\n' \
	    "$2" "${4:-}" "$3" >"$RUN/$1.ospfd.conf"
	frr_start "$1" zebra
	frr_start "$1" ospfd
}
learned() { ip -n h-hq route show "$1" proto ospf | grep via; }
learned_not() { ! learned "$1"; }

# tcp_through A B: 300,000 octets from A's host to B's, in packets of 1,500 octets as the hosts begin, none to be fragmented.
tcp_through()
{
	ip netns exec "h-$2" perl -MIO::Socket::INET -e '
		$l = IO::Socket::INET->new(Listen => 1, LocalPort => 5001, ReuseAddr => 1) // die "$!"; $| = 1; print "up\n";
		$c = $l->accept; $n = 0; $n += length $b while sysread($c, $b, 65536); print "$n\n"' >"$RUN/tcp.$2" 2>&1 &
	PID[tcp.$2]=$!
	wait_for 20 grep -q up "$RUN/tcp.$2"
	in_ns "h-$1" timeout 60 perl -MIO::Socket::INET -e '
		$c = IO::Socket::INET->new(PeerAddr => $ARGV[0], PeerPort => 5001, Timeout => 20) // die "$!";
		print $c "x" x 300000; close $c' "${HOST[$2]}"
	wait_for 40 grep -q 300000 "$RUN/tcp.$2"
	unset "PID[tcp.$2]"
}

step "Two sites; behind hq a router that speaks OSPF with it"
sp_make
site_make hq 192.0.2.1 10.1.0.0/16
site_make lyon 192.0.2.2 10.2.0.0/16
site_make nice 192.0.2.3 10.3.0.0/16
start_pdp
start_peps hq lyon nice
ospf_start hq 10.1.0.1 lan ' redistribute kernel'
ospf_start h-hq 10.1.0.10 eth0
capture_start all "not tcp port 3288"
watch_start
intent_make $sites
apply "hq and lyon" || exit 1
check "they are keyed" wait_for 60 keyed office
check "hq: a route to lyon's prefix into the VPN's interface, from the site's address" [ "$(route_of hq 10.2.0.0/16)" = "dev cvn1 src 10.1.0.1" ]
check "lyon: as well" [ "$(route_of lyon 10.1.0.0/16)" = "dev cvn1 src 10.2.0.1" ]
check "copsctl show routes says so" eval "ctl_ce hq show routes --json | jq -e '.[] | select(.vpn == \"office\" and .prefix == \"10.2.0.0/16\" and .peer == \"lyon.$DOMAIN\" and .device == \"cvn1\" and .table == 254 and .src == \"10.1.0.1\" and .routed)'"
all_reach $sites
check "hq itself reaches lyon's host" wait_for 10 in_ns hq ping -n -q -c 2 -i 0.2 -W 2 "${HOST[lyon]}"
check "the router behind hq has it by OSPF" wait_for 60 learned 10.2.0.0/16

step "TCP with packets of 1,500 octets that are not to be fragmented"
for pair in "hq lyon" "lyon hq"; do
	check "$pair: 300,000 octets" tcp_through $pair
done
capture_stop all
check "no fragment on the SP network" [ "$(captured_count all 'ip[6:2] & 0x3fff != 0')" -eq 0 ]
check "but packets as large as fit" [ "$(captured_count all 'ip proto 50 and greater 1450')" -gt 20 ]
assert_only_esp all

step "Policies flushed while the agent stands still, without lockdown"
kill -STOP "${PID[hq]}"
ip -n hq xfrm policy flush
check "there is no policy" [ -z "$(ip -n hq xfrm policy)" ]
check "nothing is answered" unanswered h-hq -i 0.1 -c 10 -W 0.3 "${HOST[lyon]}"
check "nor from hq itself" unanswered hq -i 0.1 -c 5 -W 0.3 "${HOST[lyon]}"
kill -CONT "${PID[hq]}"
check "hq's host reaches lyon's again" wait_for 30 reaches hq lyon
assert_none_in_clear "with no policy and no lockdown"
watch_start

step "Route and interface deleted, set down"
hq_was=$(repairs hq)
lyon_was=$(repairs lyon)
ip -n hq route del 10.2.0.0/16 dev cvn1 || bad "the route cannot be deleted"
check "the route is back" wait_for 20 routed hq 10.2.0.0/16
check "hq counts it" wait_for 20 repaired hq "$hq_was" 1
ip -n hq route replace 10.2.0.0/16 dev lan metric 67 || bad "the route cannot be replaced"
check "and when another takes its place" wait_for 20 routed hq 10.2.0.0/16
check "hq counts that too" wait_for 20 repaired hq "$hq_was" 2
ip -n lyon link del cvn1 || bad "the interface cannot be deleted"
check "the interface is back with its route" wait_for 20 routed lyon 10.1.0.0/16
check "lyon counts it" wait_for 20 repaired lyon "$lyon_was" 1
ip -n lyon link set cvn1 down || bad "the interface cannot be set down"
check "and up again" wait_for 20 routed lyon 10.1.0.0/16
check "lyon counts that too" wait_for 20 repaired lyon "$lyon_was" 2

step "The interface gets another name, while the agent stands still"
kill -STOP "${PID[lyon]}"
ip -n lyon link set cvn1 down
check "renamed" ip -n lyon link set cvn1 name mine
ip -n lyon link set mine up
kill -CONT "${PID[lyon]}"
check "it is made again, with its route" wait_for 20 routed lyon 10.1.0.0/16
check "and the renamed one is gone" wait_for 10 eval '! ip -n lyon link show mine'
check "hq's host reaches lyon's" wait_for 20 reaches hq lyon
check "lyon counts that too" wait_for 20 repaired lyon "$lyon_was" 3
check "the policy server is told of the repairs" wait_for 20 eval '[ "$(ce_says hq repairs)" -eq "$(repairs hq)" ]'

step "The site's own route goes, and its interface, while another one leads to the SP's network"
discards() { ip -n "$1" route show type blackhole proto 67 | grep "^blackhole $2 .*metric 4294967000"; }
external() { frr h-hq "show ip ospf database external" | grep -F "Link State ID: $1 "; }
check "hq has a default route" eval 'ip -n hq route show default | grep "dev wan"'
check "hq: behind the route to its own network there is one that discards" discards hq 10.1.0.0/16
check "lyon: as well" discards lyon 10.2.0.0/16
ip -n hq route del 10.1.0.0/16 dev lan || bad "the route cannot be deleted"
check "without the route lyon's host does not reach hq's" reaches_not lyon hq
check "the router behind hq hears of lyon's network" wait_for 20 external 10.2.0.0
check "but not that hq discards its own" eval '! external 10.1.0.0'
ip -n hq route add 10.1.0.0/16 dev lan src 10.1.0.1 proto kernel scope link || bad "the route cannot be added"
check "with the route it does" wait_for 20 reaches lyon hq
ip -n hq link set lan down
check "without the interface it does not" reaches_not lyon hq
ip -n hq link set lan up
check "with it it does" wait_for 30 reaches lyon hq
assert_none_in_clear "with the site's route or interface gone"
watch_start

step "A route of somebody else's with our metric; then the third site"
ip -n hq route add 10.3.0.0/16 dev lan metric 67
intent_make hq lyon nice
ctl_pdp apply "$RUN/acme.xml" --wait 15 >"$RUN/out" 2>&1
check "copsctl apply names row and column" eval 'grep "ceVpnPeerPrefix.* column addr" "$RUN/out" || { cat "$RUN/out"; false; }'
check "the other route is still there" eval "ip -n hq route show 10.3.0.0/16 | grep 'dev lan.*metric 67'"
ip -n hq route del 10.3.0.0/16 dev lan metric 67
check "with it gone, copsctl sync" ctl_pdp sync "hq.$DOMAIN"
check "hq has a route to nice" wait_for 30 routed hq 10.3.0.0/16
check "the router behind hq has it by OSPF" wait_for 30 learned 10.3.0.0/16

step "The agent stops and starts"
daemon_kill hq
check "routes stay" routed hq 10.3.0.0/16
index=$(device_index hq)
start_peps hq
check "hq is in sync" wait_for 30 sessions_are 3 "in sync"
check "the interface is the one before" [ "${index:-none}" = "$(device_index hq)" ]
check "routes are as they were" eval 'routed hq 10.2.0.0/16 && discards hq 10.1.0.0/16'
check "and were known as ours" eval '! grep "route to 10.1.0.0/16 of others" "$RUN/hq.log"'

step "The third site leaves"
intent_make $sites
apply "without nice"
check "hq has no route to it" eval '! routed hq 10.3.0.0/16'
check "the router behind hq neither" wait_for 30 learned_not 10.3.0.0/16
check "but one to lyon" learned 10.2.0.0/16
check "nice has no interface and no route" eval '! ip -n nice link show cvn1 && [ -z "$(ip -n nice route show proto 67)" ]'

step "MTU and addresses of lyon change"
was=$(device_mtu lyon)
ip -n lyon link set wan mtu 1400
check "the interface's MTU follows" wait_for 20 device_mtu_is lyon $((1400 - 90))
ip -n lyon link set wan mtu 1500
check "back" wait_for 20 device_mtu_is lyon "$was"
ip -n lyon addr add 10.2.0.7/32 dev lan
ip -n lyon addr del 10.2.0.1/16 dev lan
check "the route's source follows" wait_for 20 eval '[ "$(route_of lyon 10.1.0.0/16)" = "dev cvn1 src 10.2.0.7" ]'
check "copsctl show ce says it" wait_for 20 trouble_has lyon "10.2.0.7 on lan now (was 10.2.0.1"
ip -n lyon addr add 10.2.0.1/16 dev lan
ip -n lyon addr del 10.2.0.7/32 dev lan
check "the route that discards is there" wait_for 20 discards lyon 10.2.0.0/16
check "and no more when it is as before" wait_for 20 eval '[ -z "$(ce_says lyon trouble)" ]'
ip -n lyon link set lan down
ip -n lyon link set lan name inside
ip -n lyon link set inside up
check "an interface renamed is told too" wait_for 20 trouble_has lyon "interface lan is inside now"
assert_none_in_clear
summary
