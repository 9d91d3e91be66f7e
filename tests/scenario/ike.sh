#!/bin/bash
# ike.sh - keys from IKE (charon of strongSwan): by certificates and by pre-shared keys, permanent
# and on demand, beside a VPN with controller keying; a peer that is not ours and whose charon
# makes its own policies; charon absent, killed, refusing; changed prefixes without a gap.
# Both interfaces to the kernel: hq and metz drive it by PF_KEY, lyon and nice by XFRM.
# timeout: 500
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_ike.sh"

intent=$RUN/acme.xml
ces() { for site in hq lyon nice metz; do echo "<ce name=\"$site.$DOMAIN\" address=\"${WAN[$site]}\"/>"; done; }
member() { echo "<member ce=\"$1.$DOMAIN\">"; shift; for p; do echo "<site prefix=\"$p\"/>"; done; echo "</member>"; }
# intent_make HQ-PREFIX...: all of it, hq with these prefixes
intent_make()
{
	cat >"$intent" <<-END
		<intent xmlns="urn:copsvpn:intent:1"><customer name="acme">
		$(ces)
		<ce name="rent.$DOMAIN" address="${WAN[rent]}" managed="no"/>
		<transform name="gcm" encr="aes-gcm-16-256" lifetime="60s" soft-lifetime="15s" dh="curve25519"/>
		<transform name="cbc"/>
		<ike-transform name="strong" encr="aes-gcm-16-256" prf="hmac-sha2-512" dh="curve25519" lifetime="4h"/>
		<vpn name="certs" id="00abcd:00000001" topology="full-mesh" keying="ike" transforms="gcm" ike-transforms="strong">
			$(member hq "$@")$(member lyon "${LAN[lyon]}")
		</vpn>
		<vpn name="secret" id="00abcd:00000002" topology="full-mesh" keying="ike" auth="psk" activation="on-demand" idle="5s" transforms="cbc">
			$(member hq "${LAN[hq]}")$(member nice "${LAN[nice]}")
		</vpn>
		<vpn name="keys" id="00abcd:00000003" topology="full-mesh" transforms="cbc">
			$(member hq "${LAN[hq]}")$(member metz "${LAN[metz]}")
		</vpn>
		<vpn name="foreign" id="00abcd:00000004" topology="full-mesh" keying="ike" transforms="gcm" ike-transforms="strong">
			$(member lyon "${LAN[lyon]}")$(member rent "${LAN[rent]}")
		</vpn>
		</customer></intent>
	END
}

# SITE's SAs in VPNs with IKE: how many.
sas() { ctl_ce "$1" show sa --json | jq "[.[] | select(.vpn == \"$2\")] | length"; }
sas_are() { [ "$(sas "$1" "$2")" -eq "$3" ]; }
# SPIs between SITE and PEER in SITE's kernel; taken_over SITE PEER SPIS LOG-SIZE: they are these
# still, or charon rekeyed meanwhile (every 15 s) and nobody had asked it for another.
pair() { ip -n "$1" xfrm state | awk -v p="${WAN[$2]}" '$1 == "src" { with = $2 == p || $4 == p } with && $1 == "proto" { print $4 }' | sort; }
taken_over()
{
	local now new
	now=$(pair "$1" "$2")
	echo "before" $3 "now" $now
	[ -n "$3" ] || return 1
	[ "$now" != "$3" ] || return 0
	new=$(tail -c +"$4" "$RUN/$1.charon.log")
	echo "$new"
	! grep -q "vici initiate\|vici terminate" <<<"$new" && grep -q "rekey\|REKEY_SA" <<<"$new"
}
sas_some() { [ "$(sas "$1" "$2")" -ge 2 ]; }
kernel_empty_to() { ! ip -n "$1" xfrm state | grep -q "dst ${WAN[$2]}"; }

step "Sites hq, lyon, nice, metz; rent is not ours"
sp_make
n=0
for site in hq lyon nice metz rent; do
	n=$((n + 1))
	site_make $site 192.0.2.$n 10.$n.0.0/16
done
BACKEND[hq]=pfkey
BACKEND[metz]=pfkey
BACKEND[lyon]=xfrm
BACKEND[nice]=xfrm
start_pdp
printf '# both ends have it\n%s "one sentence that hq and nice know"\n' "nice.$DOMAIN" >"$RUN/hq.psk"
printf '%s "one sentence that hq does not know"\n' "hq.$DOMAIN" >"$RUN/nice.psk"
chmod 600 "$RUN"/*.psk
for site in hq lyon nice metz; do
	pki_make "$site.$DOMAIN"
	conf_make "$SCENARIO_TOP/examples/pep.conf" "$RUN/$site.conf" \
	    "pdp={ \"$PDP_NAME@$PDP_ADDR\" }" "state-dir=\"$RUN/$site.state\"" "control-socket=\"$RUN/$site.sock\"" \
	    "certificate=\"$RUN/pki/$site.$DOMAIN.pem\"" "key=\"$RUN/pki/$site.$DOMAIN.key\"" \
	    "ca=\"$RUN/pki/ca.pem\"" retry-min=200 retry-max=2000 "backend=${BACKEND[$site]:-pfkey}" \
	    "vici-socket=\"$RUN/$site.vici\"" $([ ! -e "$RUN/$site.psk" ] || echo "psk-file=\"$RUN/$site.psk\"")
done
start_peps hq lyon nice metz
watch_start

step "charon is not there: accepted, closed, and said"
intent_make "${LAN[hq]}"
check "copsctl apply" ctl_pdp apply "$intent"
check "hq says that there is no IKE daemon" wait_for 10 peer_says hq lyon "vici"
check "nothing passes" reaches_not hq lyon
check "the controller's VPN on the same CE works" wait_for 30 reaches hq metz

step "charon comes: up without traffic, by certificates"
start_charon hq lyon nice
check "hq - lyon is up" wait_for 30 peer_ready hq lyon || { ctl_ce hq show peers; cat $RUN/hq.charon.log $RUN/hq.log | tail -60; die stop; }
check "lyon - hq too" wait_for 10 peer_ready lyon hq
# Both began at once maybe: then each is up as responder, before the other has installed what it sends on.
check "traffic passes" wait_for 5 reaches hq lyon
swan hq --list-sas | grep -E "ESTABLISHED|INSTALLED|AES" | evidence
check "on demand nothing is up" sas_are hq secret 0

step "A foreign strongSwan, configured by hand, with policies of its own"
pki_make "rent.$DOMAIN"
charon_conf rent
mkdir -p "$RUN/rent.charon/swanctl/"{x509,x509ca,private,conf.d}
cp "$RUN/pki/ca.pem" "$RUN/rent.charon/swanctl/x509ca/"
cp "$RUN/pki/rent.$DOMAIN.pem" "$RUN/rent.charon/swanctl/x509/rent.pem"
cp "$RUN/pki/rent.$DOMAIN.key" "$RUN/rent.charon/swanctl/private/"
cat >"$RUN/rent.charon/swanctl/swanctl.conf" <<-END
	connections {
		lyon {
			version = 2
			local_addrs = ${WAN[rent]}
			remote_addrs = ${WAN[lyon]}
			proposals = aes256gcm16-prfsha512-curve25519
			local { auth = pubkey
				certs = rent.pem
				id = rent.$DOMAIN }
			remote { auth = pubkey
				id = lyon.$DOMAIN }
			children {
				net { local_ts = ${LAN[rent]}
					remote_ts = ${LAN[lyon]}
					esp_proposals = aes256gcm16-curve25519 }
			}
		}
	}
END
start_charon rent
check "its configuration is loaded" in_ns rent env STRONGSWAN_CONF="$RUN/rent.charon/strongswan.conf" SWANCTL_DIR="$RUN/rent.charon/swanctl" swanctl --load-all --uri "unix://$RUN/rent.vici"
check "lyon - rent is up" wait_for 40 peer_ready lyon rent
check "traffic passes, both ways" reaches lyon rent
check "and back" reaches rent lyon

step "A wrong pre-shared key is refused, and said; with the right one it works"
reaches_not hq nice >/dev/null
check "hq says why" wait_for 20 peer_says hq nice "AUTHENTICATION_FAILED"
cp "$RUN/hq.psk" "$RUN/nice.psk"
sed -i "s/nice/hq/" "$RUN/nice.psk"
kill -HUP "${PID[nice]}"
check "after SIGHUP with the right key traffic passes" wait_for 40 reaches hq nice

step "On demand: idle, the SAD is empty; traffic brings it back"
check "after the idle time nothing is up at hq" wait_for 30 kernel_empty_to hq nice
check "nor at nice" wait_for 10 kernel_empty_to nice hq
check "traffic from nice brings it up" wait_for 10 reaches nice hq
check "there are SAs" sas_some nice secret
check "and after the idle time there are none again" wait_for 30 kernel_empty_to nice hq

step "Another prefix: a new CHILD_SA before the old one ends"
ping_start hq lyon 0.05
intent_make "${LAN[hq]}" 10.77.0.0/16
check "copsctl apply" ctl_pdp apply "$intent"
check "a CHILD_SA with the new prefix" wait_for 20 sh -c "$(declare -f swan in_ns); RUN=$RUN; swan hq --list-sas | grep -q 10.77.0.0/16"
nap 4
ping_stop hq lyon "over new prefixes "

step "copspepd restarts: CHILD_SAs are taken over, no packet is lost"
ping_start hq lyon 0.05
size=$(wc -c <"$RUN/hq.charon.log")
before=$(pair hq lyon)
daemon_kill hq KILL
start_peps hq
check "hq - lyon is up" wait_for 20 peer_ready hq lyon
check "with the SAs of before, or what charon itself put in their place" taken_over hq lyon "$before" $((size + 1))
nap 2
ping_stop hq lyon "over a kill of copspepd "

step "charon of hq is killed: said, and up again with the next one"
daemon_kill hq.charon KILL
check "hq says it" wait_for 10 peer_says hq lyon "charon\|vici"
start_charon hq
check "hq - lyon is up again" wait_for 40 peer_ready hq lyon
check "traffic passes" wait_for 20 reaches hq lyon

step "The peer returns: charon of lyon is killed and comes back"
daemon_kill lyon.charon KILL
nap 1
start_charon lyon
check "lyon - hq is up again" wait_for 60 peer_ready lyon hq
check "traffic passes" wait_for 60 reaches hq lyon

step "SAs deleted behind charon's back are made anew"
ip -n lyon xfrm state flush
check "traffic passes" wait_for 60 reaches hq lyon
check "lyon - rent comes back after a flush" wait_for 60 reaches lyon rent

step "A member leaves: no SA of it remains"
sed -i '/vpn name="certs"/,/<\/vpn>/d' "$intent"
check "copsctl apply" ctl_pdp apply "$intent"
check "hq has none to lyon" wait_for 10 kernel_empty_to hq lyon
check "charon of lyon has none to hq" wait_for 15 kernel_empty_to lyon hq

step "A pre-shared key that is not in the file any more is charon's no more"
: >"$RUN/nice.psk"
kill -HUP "${PID[nice]}"
check "charon of nice unloads it" wait_for 20 grep -q "unloaded shared key with id 'copsvpn-hq.$DOMAIN'" "$RUN/nice.charon.log"

assert_none_in_clear "all the time"
summary
