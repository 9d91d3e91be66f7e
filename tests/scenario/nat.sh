#!/bin/bash
# nat.sh - sites behind NAT: recognised by the policy server, ESP in UDP with keep-alives, bindings that
# change, a pair behind two NATs that is refused and told why.  Both kernel interfaces at both ends.
# timeout: 400
. "$(dirname "$0")/lib.sh"
PATH=$PATH:/usr/sbin:/sbin

# behind SITE BOX OUTER PREFIX/LEN INNER-NET PORTS: as site_make, with a NAT between the CE and sp.
behind()
{
	site_make "$1" "$5.2" "$4"
	WAN[$1]=$3
	ip -batch - <<-EOF
		netns add $2
		link add wan netns $2 type veth peer name to-$2 netns sp
		link add in netns $2 type veth peer name wan2 netns $1
	EOF
	ip -n sp link del "to-$1"
	sp_attach "$2" "$3"
	ip -n "$2" -batch - <<-EOF
		addr add $5.1/24 dev in
		link set in addrgenmode none
		link set in up
	EOF
	ip -n "$1" -batch - <<-EOF
		link set wan2 name wan
		addr add $5.2/24 dev wan
		link set wan addrgenmode none
		link set wan up
		route add default via $5.1
	EOF
	ports "$2" "$6"
}
# ports BOX RANGE: the NAT takes its UDP ports from there; "": as the sender has them.
ports()
{
	in_ns "$1" iptables-legacy -t nat -F POSTROUTING
	[ -z "$2" ] || in_ns "$1" iptables-legacy -t nat -A POSTROUTING -o wan -p udp -j MASQUERADE --to-ports "$2"
	in_ns "$1" iptables-legacy -t nat -A POSTROUTING -o wan -j MASQUERADE
}

step "Two public sites, two behind NAT"
/run/modprobe -a iptable_nat xt_MASQUERADE nf_conntrack_netlink || die "no NAT in this kernel"
sp_make
site_make paris 192.0.2.1 10.1.0.0/16
site_make brest 192.0.2.4 10.4.0.0/16
behind lyon box1 192.0.2.9 10.2.0.0/16 192.168.7 20000-20999
behind nice box2 192.0.2.10 10.3.0.0/16 192.168.7 ""
BACKEND=([paris]=xfrm [brest]=pfkey [lyon]=xfrm [nice]=pfkey)
cat >"$RUN/intent.xml" <<EOF
<intent xmlns="urn:copsvpn:intent:1">
  <customer name="acme">
    <ce name="paris.$DOMAIN" address="192.0.2.1"/>
    <ce name="brest.$DOMAIN" address="192.0.2.4"/>
    <ce name="lyon.$DOMAIN" address="192.0.2.9"/>
    <ce name="nice.$DOMAIN" address="192.0.2.66"/>
    <transform name="strong" encr="aes-cbc-256" integ="hmac-sha2-512-256"/>
    <vpn name="office" id="00005e:00000001" topology="full-mesh" transforms="strong">
      <member ce="paris.$DOMAIN"><site prefix="10.1.0.0/16"/></member>
      <member ce="brest.$DOMAIN"><site prefix="10.4.0.0/16"/></member>
      <member ce="lyon.$DOMAIN"><site prefix="10.2.0.0/16"/></member>
      <member ce="nice.$DOMAIN"><site prefix="10.3.0.0/16"/></member>
    </vpn>
  </customer>
</intent>
EOF
start_pdp
pki_make {paris,brest,lyon,nice}.$DOMAIN
for site in lyon nice; do
	conf_make "$SCENARIO_TOP/examples/pep.conf" "$RUN/$site.conf" \
	    "pdp={ \"$PDP_NAME@$PDP_ADDR\" }" "state-dir=\"$RUN/$site.state\"" "control-socket=\"$RUN/$site.sock\"" \
	    "certificate=\"$RUN/pki/$site.$DOMAIN.pem\"" "key=\"$RUN/pki/$site.$DOMAIN.key\"" \
	    "ca=\"$RUN/pki/ca.pem\"" retry-min=200 retry-max=2000 "backend=${BACKEND[$site]}" nat-keepalive=2000
done
start_peps paris brest lyon nice
capture_start wire "not (tcp port 3288 and host $PDP_ADDR)"
check "copsctl apply" ctl_pdp apply "$RUN/intent.xml" || exit 1
nat_is() { [ "$(ctl_pdp show ce "$1.$DOMAIN" --json | jq -r .nat)" = "$2" ]; }
check "lyon is seen to be behind NAT" wait_for 20 nat_is lyon "192.0.2.9 (is 192.168.7.2)"
check "and nice, where the intent has another address" wait_for 20 nat_is nice "192.0.2.10 (is 192.168.7.2)"
check "which is told" eval 'ctl_pdp show ce nice.$DOMAIN --json | jq -r .warning | grep "intent says 192.0.2.66"'
check "paris is not behind NAT" nat_is paris ""

step "Traffic, from either side"
for pair in "paris lyon" "nice brest" "lyon brest" "paris nice" "paris brest"; do
	check "${pair% *} (${BACKEND[${pair% *}]}) reaches ${pair#* } (${BACKEND[${pair#* }]})" wait_for 30 reaches $pair
	check "and the other way" reaches ${pair#* } ${pair% *}
done

step "Both behind NAT"
apart() { ctl_pdp show vpn office --json | jq -e --arg ce "$1.$DOMAIN" --arg with "$2.$DOMAIN: both are behind NAT" \
    '.members[] | select(.ce == $ce) | .nat_apart == [$with]'; }
check "lyon and nice cannot have keys of the policy server's, and it says so" apart lyon nice
check "for both" apart nice lyon
check "lyon does not reach nice" reaches_not lyon nice
check "lyon has no peer nice" eval '! ctl_ce lyon show peers | grep -q nice'

step "On the SP network"
nap 3
capture_stop wire
nothing() { [ "$(captured_count wire "$1")" -eq 0 ] || { captured wire "$1"; false; }; }
esp="udp port 4500 and udp[8:4] > 0 and greater 60"
for site in lyon nice; do
	check "$site's traffic is ESP in UDP" [ "$(captured_count wire "host ${WAN[$site]} and $esp")" -gt 10 ]
	check "with keep-alives of one octet" [ "$(captured_count wire "src host ${WAN[$site]} and udp dst port 4500 and udp[4:2] = 9 and udp[8] = 0xff")" -gt 0 ]
	check "and nothing else but the control channel, and complaints of who was not ready yet" nothing "ip and host ${WAN[$site]} and not udp port 4500 and not icmp[icmptype] == icmp-unreach"
done
check "paris and brest have ESP as it is" [ "$(captured_count wire "ip proto 50 and host 192.0.2.1 and host 192.0.2.4")" -gt 4 ]
check "nothing of a site in clear" [ "$(captured_count wire "net 10.0.0.0/8")" -eq 0 ]

step "The NAT forgets, and takes another port"
port_of() { ip -n "$1" xfrm state | grep -A6 "dst ${WAN[$2]}$" | grep -o 'dport [0-9]*' | sort -u | tr '\n' ' '; }
in_range() { local p; for p in $(port_of "$1" lyon); do [ "$p" = dport ] || { [ "$p" -ge "$2" ] && [ "$p" -le "$3" ]; } || return 1; done; [ -n "$(port_of "$1" lyon)" ]; }
for site in paris brest; do
	check "$site (${BACKEND[$site]}) has learned lyon's port: $(port_of $site lyon)" in_range $site 20000 20999
	spis $site >"$RUN/spis.$site"
done
ports box1 30000-30999
in_ns box1 conntrack -F >/dev/null 2>&1
for site in paris brest; do
	check "$site learns another" wait_for 20 in_range $site 30000 30999
	say "$(port_of $site lyon)"
	check "$site reaches lyon" wait_for 10 reaches $site lyon
	check "and lyon $site" reaches lyon $site
	check "with the same SAs" diff "$RUN/spis.$site" <(spis $site)
done
seq_errors() { in_ns "$1" awk '/SeqError|ProtoError/ { n += $2 } END { print n + 0 }' /proc/net/xfrm_stat; }
for site in paris brest lyon; do
	check "no sequence number came twice at $site" [ "$(seq_errors $site)" -eq 0 ] || in_ns $site grep -v "[[:space:]]0$" /proc/net/xfrm_stat | evidence
done

step "Rekey, and agents and the server that start again"
watch_start
check "copsctl rekey" ctl_pdp rekey
rekeyed() { [ -z "$(comm -12 "$RUN/spis.$1" <(spis "$1"))" ]; }
check "new SAs" wait_for 30 eval 'rekeyed paris && rekeyed brest'
for pair in "brest lyon" "lyon paris" "paris nice"; do
	check "${pair% *} reaches ${pair#* }" wait_for 10 reaches $pair
done
daemon_kill paris KILL
daemon_kill lyon KILL
daemon_kill pdp KILL
start_pdp
check "the server still knows of the NAT" nat_is lyon "192.0.2.9 (is 192.168.7.2)"
start_peps paris lyon
for pair in "paris lyon" "lyon brest"; do
	check "${pair% *} reaches ${pair#* }" wait_for 40 reaches $pair
done
assert_none_in_clear

summary
