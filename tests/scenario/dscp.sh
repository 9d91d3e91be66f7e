#!/bin/bash
# dscp.sh - the DSCP of what is seen on the SP network: copied from the packet inside, cleared, or
# a number of the VPN's, in tunnel mode and with tunnel interfaces; changed under running pings.
# timeout: 300
. "$(dirname "$0")/lib.sh"

intent=$RUN/acme.xml

# intent_make SITES VPN-ATTRIBUTES: and whether it is taken
intent_make()
{
	cat >"$intent" <<-XML
		<intent xmlns="urn:copsvpn:intent:1"><customer name="acme">
		$(for i in p q r; do echo "<ce name=\"$i.$DOMAIN\" address=\"${WAN[$i]}\"/>"; done)
		<vpn name="v" id="00005e:00000001" $2>
		$(for i in $1; do echo "<member ce=\"$i.$DOMAIN\"><site prefix=\"${LAN[$i]}\"/></member>"; done)
		</vpn>
		</customer></intent>
	XML
}
change()
{
	intent_make "$@"
	check "copsctl apply ($2)" ctl_pdp apply "$intent"
	wait_for 60 sessions_are 3 "in sync" || bad "not all are in sync"
}

# outer FROM TO DSCP [OTHERS]: pings of DSCP 46 are ESP of this DSCP, and nothing has another one;
# with OTHERS, that of what else runs beside them, which is 0.
outer()
{
	local all of
	capture_start outer "ip proto 50 and src host ${WAN[$1]} and dst host ${WAN[$2]}"
	in_ns "h-$1" ping -n -q -c 4 -i 0.2 -W 2 -Q 0xb8 "${HOST[$2]}" >/dev/null
	capture_stop outer
	all=$(captured_count outer)
	of=$(captured_count outer "ip[1] & 0xfc = $(($3 << 2))")
	[ $# -lt 4 ] || all=$((all - $(captured_count outer "ip[1] & 0xfc = 0")))
	[ "$of" -ge 4 ] && [ "$all" -eq "$of" ]
}

step "Three sites: p's back end is pfkey, q's and r's xfrm"
BACKEND=([p]=pfkey [q]=xfrm [r]=xfrm)
sp_make
n=0
for site in p q r; do
	n=$((n + 1))
	site_make $site 192.0.2.$n 10.$n.0.0/16
done
start_pdp
start_peps p q r
change "p q r" ''
for pair in "p q" "q r"; do
	check "${pair% *} reaches ${pair#* }" wait_for 60 reaches $pair
	check "copied: 46 of ${pair% *}" outer $pair 46
done

step "Cleared: by those that can"
intent_make "p q r" 'dscp="clear"'
out=$(ctl_pdp apply "$intent" 2>&1) && bad "taken" || ok "refused with p in it"
grep -q "dscp=\"clear\" cannot be done by ce \"p.$DOMAIN\" (pfkey)" <<<"$out" && ok "by name" || bad "not by name: $out"
intent_make "q r" 'dscp="46"'
out=$(ctl_pdp apply "$intent" 2>&1) && bad "taken" || ok "a number is refused in tunnel mode"
grep -q 'needs mode="ipip-transport"' <<<"$out" && ok "by name" || bad "not by name: $out"
change "q r" ''
check "q reaches r" wait_for 60 reaches q r
ping_start q r
change "q r" 'dscp="clear"'
check "cleared: 0 of q" wait_for 60 outer q r 0
check "cleared: 0 of r" wait_for 60 outer r q 0
change "q r" 'dscp="copy"'
check "copied again" wait_for 60 outer q r 46 others
ping_stop q r "while it changes "

step "Tunnel interfaces, of all kinds of CE"
change "p q r" 'mode="ipip-transport" dscp="10"'
check "p reaches q" wait_for 60 reaches p q
check "q reaches p" wait_for 60 reaches q p
check "set: 10 of p" outer p q 10
check "set: 10 of q" outer q p 10
ping_start p q
change "p q r" 'mode="ipip-transport" dscp="clear"'
check "cleared: 0 of p" wait_for 30 outer p q 0
change "p q r" 'mode="ipip-transport"'
check "copied: 46 of q" wait_for 30 outer q p 46 others
ping_stop p q "while it changes "
index() { ip -n p -j link show group 17232 | jq -r '.[].ifindex' | sort; }
before=$(index)
change "p q r" 'mode="ipip-transport" dscp="63"'
check "set: 63 of p" wait_for 30 outer p q 63
[ "$before" = "$(index)" ] && ok "its interfaces are the same ones" || bad "its interfaces were made anew"

summary
