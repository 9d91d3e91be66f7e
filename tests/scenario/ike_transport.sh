#!/bin/bash
# ike_transport.sh - IP-in-IP with ESP transport mode (RFC 3884) and keys from IKE: two CEs of ours, one
# with PF_KEY and one with XFRM, and a strongSwan that is not ours, with interfaces, routes,
# traffic selectors and policies set up by hand; rekeyed by either, charon killed, a member leaves.
# timeout: 300
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_ike.sh"

intent=$RUN/acme.xml
# intent_make SITE...: these are members.
intent_make()
{
	local site
	{
		echo '<intent xmlns="urn:copsvpn:intent:1"><customer name="acme">'
		for site in p q; do echo "<ce name=\"$site.$DOMAIN\" address=\"${WAN[$site]}\"/>"; done
		echo "<ce name=\"f.$DOMAIN\" address=\"${WAN[f]}\" managed=\"no\"/>"
		echo '<transform name="gcm" encr="aes-gcm-16-256" lifetime="1h" soft-lifetime="50m" dh="curve25519"/>'
		echo '<ike-transform name="strong" encr="aes-gcm-16-256" prf="hmac-sha2-512" dh="curve25519" lifetime="4h"/>'
		echo '<vpn name="office" id="00abcd:00000001" topology="full-mesh" keying="ike" mode="ipip-transport" transforms="gcm" ike-transforms="strong">'
		for site; do echo "<member ce=\"$site.$DOMAIN\"><site prefix=\"${LAN[$site]}\"/></member>"; done
		echo '</vpn></customer></intent>'
	} >"$intent"
}
tunnel_to() { ip -n "$1" -o route show proto 67 | sed -n "s,^${LAN[$2]} dev \([^ ]*\).*,\1,p"; }
# SAs at SITE with PEER, and whether all of them are of transport mode.
sas_with() { ip -n "$1" xfrm state | grep -c "^src ${WAN[$1]} dst ${WAN[$2]}\|^src ${WAN[$2]} dst ${WAN[$1]}"; }
transport_only() { ! ip -n "$1" xfrm state | grep "mode tunnel"; }
nothing_of()
{
	[ "$(sas_with "$1" "$2")" -eq 0 ] && [ -z "$(tunnel_to "$1" "$2")" ] &&
		! ip -n "$1" xfrm policy | grep -q "${WAN[$2]}" &&
		! ip -n "$1" -d link show group 17232 | grep -q "remote ${WAN[$2]} "
}
member_is() { ctl_pdp show vpn office --json | jq -e ".members[] | select(.ce == \"$1.$DOMAIN\") | .state == \"$2\"" >/dev/null; }

# charon that answers a rekey takes its old outbound SA away before it puts the new one: on a busy machine
# a packet or two fall into that.
ping_few_lost()
{
	local log=$RUN/ping.$1.$2 sent got
	kill -INT "${PID[ping.$1.$2]}"
	wait "${PID[ping.$1.$2]}" 2>/dev/null
	unset "PID[ping.$1.$2]"
	read -r sent got < <(sed -n 's/^\([0-9]*\) packets transmitted, \([0-9]*\) received.*/\1 \2/p' "$log")
	[ "${got:-0}" -gt 0 ] && [ "$got" -ge $((sent - 10)) ] &&
		ok "ping over IKE's rekeys from $1 to $2: $sent sent, $got answered" ||
		{ bad "ping over IKE's rekeys from $1 to $2: $sent sent, $got answered"; ping_evidence "$log"; }
}

step "p (pfkey), q (xfrm), and f, which is not ours"
sp_make
site_make p 192.0.2.1 10.1.0.0/16
site_make q 192.0.2.2 10.2.0.0/16
site_make f 192.0.2.3 10.3.0.0/16
BACKEND[q]=xfrm
start_pdp
for site in p q; do
	pki_make "$site.$DOMAIN"
	conf_make "$SCENARIO_TOP/examples/pep.conf" "$RUN/$site.conf" \
	    "pdp={ \"$PDP_NAME@$PDP_ADDR\" }" "state-dir=\"$RUN/$site.state\"" "control-socket=\"$RUN/$site.sock\"" \
	    "certificate=\"$RUN/pki/$site.$DOMAIN.pem\"" "key=\"$RUN/pki/$site.$DOMAIN.key\"" \
	    "ca=\"$RUN/pki/ca.pem\"" retry-min=200 retry-max=2000 "backend=${BACKEND[$site]:-pfkey}" \
	    "vici-socket=\"$RUN/$site.vici\""
done
start_peps p q
capture_start all "not arp and not tcp port 3288"

step "f by hand: interfaces, routes, and trap policies for IP in IP alone"
pki_make "f.$DOMAIN"
charon_conf f
mkdir -p "$RUN/f.charon/swanctl/"{x509,x509ca,private,conf.d}
cp "$RUN/pki/ca.pem" "$RUN/f.charon/swanctl/x509ca/"
cp "$RUN/pki/f.$DOMAIN.pem" "$RUN/f.charon/swanctl/x509/f.pem"
cp "$RUN/pki/f.$DOMAIN.key" "$RUN/f.charon/swanctl/private/"
{
	echo "connections {"
	for site in p q; do
		cat <<-END
			$site {
				version = 2
				local_addrs = ${WAN[f]}
				remote_addrs = ${WAN[$site]}
				proposals = aes256gcm16-prfsha512-curve25519
				local { auth = pubkey
					certs = f.pem
					id = f.$DOMAIN }
				remote { auth = pubkey
					id = $site.$DOMAIN }
				children {
					to-$site { local_ts = dynamic[$([ $site = p ] && echo ipencap || echo 4)]
						remote_ts = dynamic[$([ $site = p ] && echo ipencap || echo 4)]
						mode = transport
						start_action = trap
						esp_proposals = aes256gcm16-curve25519 }
				}
			}
		END
	done
	echo "}"
} >"$RUN/f.charon/swanctl/swanctl.conf"
start_charon p q f
check "its configuration is loaded" in_ns f env STRONGSWAN_CONF="$RUN/f.charon/strongswan.conf" SWANCTL_DIR="$RUN/f.charon/swanctl" swanctl --load-all --uri "unix://$RUN/f.vici"
for site in p q; do
	ip -n f link add "ip-$site" type ipip local "${WAN[f]}" remote "${WAN[$site]}" ttl 64
	ip -n f link set "ip-$site" addrgenmode none up
	ip -n f route add "${LAN[$site]}" dev "ip-$site" src "${LAN[f]%.0/*}.1"
done

step "All three in one VPN"
intent_make p q f
check "copsctl apply --strict: f is not waited for" ctl_pdp apply "$intent" --strict
check "show vpn: f is unmanaged" member_is f unmanaged
for pair in "p q" "q p" "p f" "q f"; do
	check "$pair: up" wait_for 30 peer_ready $pair || ctl_ce ${pair% *} show peers | evidence
done
all_reach p q f
for site in p q; do
	to=$([ $site = p ] && echo q || echo p)
	for to in $to f; do
		dev=$(tunnel_to $site $to)
		check "$site: an interface to $to, and the route into it" eval "ip -n $site -d link show ${dev:-none} | grep 'ipip.*remote ${WAN[$to]} local ${WAN[$site]}'"
	done
	check "$site: SAs of transport mode, with q's, p's and f's" eval "transport_only $site && [ $(sas_with $site f) -ge 2 ]"
done
swan p --list-sas | grep -E "ESTABLISHED|INSTALLED|local|remote" | evidence
check "between ours the selectors are the hosts', for IP in IP" eval "swan q --list-sas | grep 'local  ${WAN[q]}/32\[ipencap\]'"

step "f rekeys with both, p with q"
ping_start p q 0.05
ping_start p f 0.05
before=$(spis p)
check "f's CHILD_SA with p is rekeyed by f" swan f --rekey --child to-p
check "and that with q" swan f --rekey --child to-q
# There may be two IKE_SAs with q, and one without CHILD_SA.
of_q=$(swan p --list-sas | awk -v q="@ ${WAN[q]}[" '/^  remote / { is = index($0, q) } is && /^  c[0-9]+-[0-9a-f]+:/ { sub(":.*", "", $1); print $1; exit }')
check "p's with q by p" swan p --rekey --child "$of_q"
gone() { local s; for s in $(grep -o '0x[0-9a-f]*' <<<"$before"); do ! ip -n p xfrm state | grep -q "spi $s" || return 1; done; }
check "none of p's SAs is an old one" wait_for 20 gone
ping_few_lost p q
ping_few_lost p f
reaches q f >/dev/null && ok "q and f still reach each other" || bad "q and f do not"

step "copspepd of p is killed and comes back; then charon of q"
ping_start p q 0.05
daemon_kill p KILL
start_peps p
check "p - q is up" wait_for 20 peer_ready p q
ping_stop p q "over a kill of copspepd "
daemon_kill q.charon KILL
check "q says it" wait_for 10 peer_says q p "charon\|vici"
start_charon q
check "q - p is up again" wait_for 40 peer_ready q p
check "p reaches q" wait_for 30 reaches p q
check "q - f is up again" wait_for 40 peer_ready q f
check "f reaches q" wait_for 30 reaches f q

step "A member leaves"
intent_make p f
check "copsctl apply" ctl_pdp apply "$intent" --strict
check "p has no SA, no policy, no interface and no route to q" wait_for 10 nothing_of p q
check "nor has q of p" wait_for 10 nothing_of q p
check "nor of f" wait_for 10 nothing_of q f
check "p reaches f" wait_for 10 reaches p f
intent_make p
check "f leaves: copsctl apply" ctl_pdp apply "$intent" --strict
check "p has nothing of f" wait_for 10 nothing_of p f
check "nobody says that it makes new keys" eval "! grep 'new keys' $RUN/p.log $RUN/q.log"

capture_stop all
esp=$(captured_count all "ip proto 50")
other=$(captured all "not (ip proto 50) and not (udp and (port 500 or port 4500))")
if [ "$esp" -gt 0 ] && [ -z "$other" ]; then
	ok "on the SP network: $esp ESP packets, and nothing else but IKE and the control channel"
else
	bad "on the SP network: $esp ESP packets, and these:"
	head -n 5 <<<"$other" | evidence
fi
summary
