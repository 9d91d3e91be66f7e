#!/bin/bash
# modes.sh - IP-in-IP with ESP transport mode (RFC 3884): interfaces, routes, what is in the SPD and on
# the wire; nothing in clear when any of it is taken away; what others break is made good; the
# same with IPv6 outside; back to tunnel mode; and that a CE in tunnel mode understands it, octet for octet.
# p and r have the back end pfkey, q has xfrm.
# timeout: 400
. "$(dirname "$0")/lib.sh"

sites="p q r"
intent_make() # MODE [MORE-OF-q's [V4|V6]]
{
	local site
	{
		echo '<intent xmlns="urn:copsvpn:intent:1"><customer name="acme">'
		for site in $sites; do
			[ "${3:-v4}" = v6 ] && echo "<ce name=\"$site.$DOMAIN\" address=\"2001:db8:$site::1\"/>" ||
				echo "<ce name=\"$site.$DOMAIN\" address=\"${WAN[$site]}\"/>"
		done | sed 's/db8:p/db8:a/; s/db8:q/db8:b/; s/db8:r/db8:c/'
		echo "<transform name=\"strong\" encr=\"aes-cbc-256\" integ=\"hmac-sha2-512-256\" lifetime=\"8h\"/>"
		echo "<vpn name=\"office\" id=\"00005e:00000001\" topology=\"full-mesh\" transforms=\"strong\" mode=\"$1\">"
		for site in $sites; do
			echo "<member ce=\"$site.$DOMAIN\"><site prefix=\"${LAN[$site]}\"/>"
			[ $site = q ] && echo "${2:-}"
			echo "</member>"
		done
		echo '</vpn></customer></intent>'
	} >"$RUN/acme.xml"
}
apply() { check "copsctl apply: $1" ctl_pdp apply "$RUN/acme.xml" --strict; }
tunnels() { ip -n "$1" -o link show group 17232; }
tunnel_to() { ip -n "$1" -o route show proto 67 | sed -n "s,^${LAN[$2]} dev \([^ ]*\).*,\1,p"; }
# What a site's is: of the interfaces names, ends and settings, and the routes.
tunnel_dump() { ip -n "$1" -d link show group 17232 | grep -v '^[0-9]*: .*\(state\|qdisc\)' ; ip -n "$1" route show proto 67; }

step "Three sites, mode ipip-transport"
sp_make
site_make p 192.0.2.1 10.1.0.0/16
site_make q 192.0.2.2 10.2.0.0/16
site_make r 192.0.2.3 10.3.0.0/16
BACKEND[q]=xfrm
start_pdp
start_peps $sites
capture_start all "not tcp port 3288" # that there is TLS on it others look at
watch_start
intent_make ipip-transport
apply "ipip-transport" || exit 1
check "every pair is keyed" wait_for 30 keyed office
all_reach $sites
for site in p q; do
	to=$([ $site = p ] && echo q || echo p)
	dev=$(tunnel_to $site $to)
	check "$site: an interface to $to with both ends" eval "ip -n $site -d link show ${dev:-none} | grep 'ipip.*remote ${WAN[$to]} local ${WAN[$site]}'"
	check "$site: a route to $to's prefix into it, own packets from the site's address" eval \
	    "ip -n $site route show proto 67 | grep '${LAN[$to]} dev $dev.*src ${LAN[$site]%.0/*}.1'"
	check "$site: SPD on the outer header, both ways, transport mode with a reqid" eval \
	    "ip -n $site xfrm policy | grep -A3 'src ${WAN[$site]}/32 dst ${WAN[$to]}/32 proto 4\|src ${WAN[$site]}/32 dst ${WAN[$to]}/32 proto ipencap' | grep 'reqid [1-9].*mode transport'"
	check "$site: SAs of transport mode" eval "! ip -n $site xfrm state | grep 'mode tunnel'"
done
check "p itself reaches q's host, from its site's address" in_ns p ping -n -q -c 2 -i 0.2 -W 2 "${HOST[q]}"
capture_stop all
assert_only_esp all

step "Packets larger than the interface takes"
check "in fragments" in_ns h-p ping -n -q -c 2 -i 0.2 -W 3 -s 3000 "${HOST[q]}"
check "not to be fragmented: the CE says what fits" wait_for 10 eval \
    "in_ns h-p ping -n -c 1 -W 2 -M do -s 1440 ${HOST[q]} 2>&1 | grep -i 'mtu *= *14'"
check "and that goes" in_ns h-p ping -n -q -c 2 -i 0.2 -W 2 -M do -s 1370 "${HOST[q]}"

step "What is taken away comes back, and nothing is let out meanwhile"
taken() # "WHAT" COMMAND...
{
	local what=$1
	shift
	ip netns exec h-p ping -n -q -i 0.05 -c 30 -W 1 "${HOST[q]}" >/dev/null 2>&1 &
	local job=$!
	nap 0.3
	"$@" 2>&1 | evidence
	wait $job
	check "$what: p reaches q again" wait_for 20 reaches p q
}
dev=$(tunnel_to p q)
taken "interface down" ip -n p link set "$dev" down
taken "interface deleted" ip -n p link del "$dev"
check "it has the same name" [ "$(tunnel_to p q)" = "$dev" ]
taken "route deleted" ip -n p route del "${LAN[q]}" dev "$dev"
taken "policy of the outer header deleted" ip -n p xfrm policy del src 192.0.2.1/32 dst 192.0.2.2/32 proto 4 dir out

step "In clear from outside: what has a source of the VPN's, and IP in IP"
ip -n sp addr add 10.2.0.99/32 dev lo
ip -n sp route add 10.1.0.0/16 via 192.0.2.1 dev to-p onlink
in_ns h-p tcpdump -n -i eth0 --immediate-mode -U -w "$RUN/h-p.pcap" "host 10.2.0.99" 2>"$RUN/h-p.tcpdump" &
PID[hp]=$!
wait_for 10 grep -q listening "$RUN/h-p.tcpdump"
capture_stop watch # this one is ours
[ "$(captured_count watch)" -eq 0 ] && ok "nothing of a site was seen in clear on the SP network" ||
	{ bad "in clear on the SP network:"; captured watch | head -n 5 | evidence; }
in_ns sp ping -n -q -c 3 -i 0.2 -W 0.5 -I 10.2.0.99 10.1.0.10 >/dev/null
ip -n sp link add evil type ipip local $SP_ADDR remote 192.0.2.1
ip -n sp addr add 192.0.2.2/32 dev lo
ip -n sp link set evil type ipip local 192.0.2.2 remote 192.0.2.1 ttl 64
ip -n sp link set evil up
ip -n sp route replace 10.1.0.0/16 dev evil src 10.2.0.99
in_ns sp ping -n -q -c 3 -i 0.2 -W 0.5 -I 10.2.0.99 10.1.0.10 >/dev/null
kill "${PID[hp]}"; wait "${PID[hp]}" 2>/dev/null; unset "PID[hp]"
check "neither reaches the site" [ "$(tcpdump -n -r "$RUN/h-p.pcap" 2>/dev/null | wc -l)" -eq 0 ]
ip -n sp link del evil
ip -n sp addr del 192.0.2.2/32 dev lo
ip -n sp addr del 10.2.0.99/32 dev lo
ip -n sp route flush 10.1.0.0/16
watch_start

step "All or nothing: a route that cannot be is the row's fault"
ip -n p route add 10.9.0.0/16 dev lan
tunnel_dump p >"$RUN/before"
ip -n p xfrm policy >>"$RUN/before"
intent_make ipip-transport '<site prefix="10.8.0.0/16"/><site prefix="10.9.0.0/16"/>'
ctl_pdp apply "$RUN/acme.xml" --wait 15 >"$RUN/out" 2>&1
check "copsctl apply names row and column" eval 'grep "ceVpnPeerPrefix.* column prefix_length" "$RUN/out" || { cat "$RUN/out"; false; }'
{ tunnel_dump p; ip -n p xfrm policy; } >"$RUN/after"
check "nothing changed at p" diff "$RUN/before" "$RUN/after"
ip -n p route del 10.9.0.0/16 dev lan
intent_make ipip-transport '<site prefix="10.8.0.0/16"/>'
apply "one more prefix"
check "p has a route for it" eval "ip -n p route show proto 67 | grep '10.8.0.0/16 dev $dev'"
intent_make ipip-transport '<site prefix="fd00:2::/48"/>'
ctl_pdp apply "$RUN/acme.xml" --wait 15 >"$RUN/out" 2>&1
check "IPv6 through an interface is refused, by row and column" eval 'grep "ceVpnPeerPrefix.* addr_type" "$RUN/out" || { cat "$RUN/out"; false; }'
intent_make ipip-transport
apply "as before"

step "The agent restarts: what is right stays, strays go"
before=$(ip -n p -o link show "$dev" | cut -d: -f1)
daemon_kill p KILL
ip -n p link add cvabc type ipip local 192.0.2.1 remote 192.0.2.77
ip -n p link set cvabc group 17232
ping_start p q
start_peps p
check "the stray is gone" wait_for 20 eval '! ip -n p link show cvabc'
ping_stop p q "through the restart "
check "the interface is the one before" [ "$(ip -n p -o link show "$dev" | cut -d: -f1)" = "$before" ]

# (Which of the two sets DF in the outer header differs: RFC 4301 8.1 leaves that to each host.)
step "On the wire: q by hand in tunnel mode, with the same SAs"
# Of one ping of p's and its answer: outer and inner header and ESP's next header, in q's mode.
wire() # NAME
{
	capture_start "$1" "ip proto 50 and host 192.0.2.2 and host 192.0.2.1"
	in_ns h-p ping -n -q -c 1 -W 3 -s 100 "${HOST[q]}" || { capture_stop "$1"; return 1; }
	capture_stop "$1"
}
wait_for 20 sessions_are 3 "in sync"
daemon_kill q KILL
check "both in transport mode: a ping" wire transport
# Every SA of q with p: spi, keys, sequence number; then all of them anew in tunnel mode.
ip -n q -s xfrm state | awk -v RS='\nsrc ' '/192.0.2.1/ {
	sub(/^src /, ""); src = $1; dst = $3; spi = ""; enc = ""; auth = ""; oseq = 0
	for (i = 1; i <= NF; i++) {
		if ($i == "spi" && spi == "") { spi = $(i + 1); sub(/\(.*/, "", spi) }
		if ($i == "reqid" && reqid == "") { reqid = $(i + 1); sub(/\(.*/, "", reqid) }
		if ($i == "auth-trunc") auth = $(i + 2) " " $(i + 5)
		if ($i == "enc") enc = $(i + 2)
		if ($i == "oseq") { oseq = $(i + 1); sub(/,/, "", oseq) }
	}
	print src, dst, spi, enc, auth, oseq
}' >"$RUN/sas"
ip -n q xfrm state flush
ip -n q xfrm policy flush
ip -n q link del "$(tunnel_to q p)"
while read -r src dst spi enc auth trunc oseq; do
	ip -n q xfrm state add src "$src" dst "$dst" proto esp spi "$spi" reqid 9 mode tunnel replay-window 32 replay-oseq $((oseq)) \
	    enc "cbc(aes)" "$enc" auth-trunc "hmac(sha512)" "$auth" "$trunc" || bad "SA $spi"
done <"$RUN/sas"
ip -n q -batch - <<-EOF2
	xfrm policy add src 10.2.0.0/16 dst 10.1.0.0/16 dir out tmpl src 192.0.2.2 dst 192.0.2.1 proto esp reqid 9 mode tunnel
	xfrm policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir fwd tmpl src 192.0.2.1 dst 192.0.2.2 proto esp reqid 9 mode tunnel
	xfrm policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir in tmpl src 192.0.2.1 dst 192.0.2.2 proto esp reqid 9 mode tunnel
EOF2
check "p with an interface, q in tunnel mode: a ping" wire tunnel
check "and q's host pings p's" reaches q p
keys=()
while read -r src dst spi enc auth trunc oseq; do
	keys+=(-o "uat:esp_sa:\"IPv4\",\"*\",\"*\",\"$spi\",\"AES-CBC [RFC3602]\",\"$enc\",\"HMAC-SHA-512-256 [RFC4868]\",\"$auth\"")
done <"$RUN/sas"
for name in transport tunnel; do
	tshark -n -r "$RUN/$name.pcap" -o esp.enable_encryption_decode:TRUE "${keys[@]}" -T fields -e ip.src -e ip.dst -e ip.proto \
	    -e ip.ttl -e ip.dsfield -e ip.hdr_len -e ip.len -e esp.pad_len -e esp.protocol -e icmp.type 2>/dev/null |
	    sort -u >"$RUN/$name.wire"
	evidence <"$RUN/$name.wire"
done
check "next header 4 and the inner packet in both" eval '[ "$(grep -c "50,4\?.*0x04\|50,1" "$RUN/tunnel.wire")" -ge 2 ] && [ -s "$RUN/transport.wire" ]'
check "headers and lengths are the same, octet for octet" diff "$RUN/transport.wire" "$RUN/tunnel.wire"
start_peps q
check "q's agent makes it as it should be" wait_for 60 eval 'reaches p q && tunnels q | grep -q cv'

step "IPv6 outside"
echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
n=0
in_ns sp sh -c 'echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
for site in $sites; do
	v6=2001:db8:$(printf %x $((10 + n)))::1
	n=$((n + 1))
	ip -n sp addr add fe80::1/64 dev to-$site nodad
	ip -n sp addr add 2001:db8:ff::1/128 dev to-$site nodad
	ip -n sp route add $v6/128 dev to-$site
	in_ns $site sh -c 'echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
	ip -n $site addr add fe80::2/64 dev wan nodad
	ip -n $site addr add $v6/128 dev wan nodad
	ip -n $site route add default via 2001:db8:ff::1 dev wan onlink src $v6
done
intent_make ipip-transport "" v6
apply "the same CEs at IPv6 addresses"
check "every pair is keyed" wait_for 30 keyed office
check "IPv4 in IPv6, through interfaces" wait_for 20 eval 'reaches p q && reaches q r'
check "interfaces of IPv6" eval 'ip -n p -d link show group 17232 | grep "ip6tnl ipip"'
check "packets larger than the interface takes" wait_for 10 in_ns h-p ping -n -q -c 2 -W 2 -s 1450 "${HOST[q]}"

step "Back to tunnel mode"
intent_make tunnel
apply "tunnel mode"
check "the sites reach each other" wait_for 60 eval 'reaches p q && reaches q r && reaches r p'
for site in $sites; do
	check "$site: no interface to a peer is left, and no route into one" wait_for 10 eval "! { tunnels $site; ip -n $site route show type unicast proto 67; } | grep -v 'cvn1[ :]'"
done
assert_none_in_clear

summary
