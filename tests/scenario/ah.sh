#!/bin/bash
# ah.sh - AH on request of a row: refused by CEs whose kernel has none, by row and column and then at apply; with it
# SAs, policies and packets are AH's over both back ends, keys change, and ESP comes back. p has the back end
# pfkey, q has xfrm.
# timeout: 300
. "$(dirname "$0")/lib.sh"

cat >"$RUN/acme.xml" <<EOF
<intent xmlns="urn:copsvpn:intent:1"><customer name="acme">
<ce name="p.$DOMAIN" address="192.0.2.1"/>
<ce name="q.$DOMAIN" address="192.0.2.2"/>
<transform name="signed" protocol="ah" integ="hmac-sha2-512-256" lifetime="8h"/>
<transform name="strong" encr="aes-cbc-256" integ="hmac-sha2-512-256" lifetime="8h"/>
<vpn name="office" id="00005e:00000001" topology="full-mesh" transforms="signed">
<member ce="p.$DOMAIN"><site prefix="10.1.0.0/16"/></member>
<member ce="q.$DOMAIN"><site prefix="10.2.0.0/16"/></member>
</vpn></customer></intent>
EOF
BACKEND[q]=xfrm
# only PROTO OTHER SITE: SAs and policies there are of one protocol.
only() { local x; for x in state policy; do
	ip -n "$3" xfrm $x | grep -q "proto $1 " && ! ip -n "$3" xfrm $x | grep "proto $2 " || return 1
done; }

step "A kernel without AH"
rmmod ah4 ah6 || die "AH is not a module of this kernel"
sp_make
site_make p 192.0.2.1 10.1.0.0/16
site_make q 192.0.2.2 10.2.0.0/16
start_pdp
check "copsctl apply, before the CEs are known" ctl_pdp apply "$RUN/acme.xml"
start_peps p q
for site in p q; do
	check "$site refuses the row: its protocol" wait_for 20 grep -q "ceVpnProposal.*no AH" "$RUN/$site.log"
	grep -h "no AH" "$RUN/$site.log" | head -n 2 | evidence
done
sed -i 's/lifetime="8h"/lifetime="7h"/' "$RUN/acme.xml"
check "copsctl apply, now that they are known, does too: file, line, column" eval \
    "! ctl_pdp apply '$RUN/acme.xml' >'$RUN/out' 2>&1 && grep 'acme.xml:[0-9]*:[0-9]*: error: member .*\"signed\" cannot be done by this CE' '$RUN/out'"
check "and warns that AH does not encrypt" grep "acme.xml:[0-9]*:[0-9]*: warning: AH .*does not encrypt" "$RUN/out"
evidence <"$RUN/out"

step "With AH"
/run/modprobe -a ah4 ah6
daemon_kill p
daemon_kill q
capture_start all "net 192.0.2.0/24 and not tcp port 3288 and not arp"
start_peps p q
check "p and q are keyed" wait_for 30 keyed office
check "they say that they have it" eval "ctl_pdp show ce p.$DOMAIN --json | jq -e '.transforms | index(\"ah hmac-sha2-512-256\")' && ctl_pdp show ce q.$DOMAIN --json | jq -e '.transforms | index(\"ah hmac-sha2-256-128\")'"
all_reach p q
for site in p q; do
	check "$site: SAs and policies are AH's" only ah esp $site
	check "$site: HMAC-SHA2-512 of 256 bits, and no encryption" eval "ip -n $site xfrm state | grep 'auth-trunc hmac(sha512) .* 256' && ! ip -n $site xfrm state | grep 'enc '"
	check "$site: counted" eval "ctl_ce $site show sa --json | jq -e '[.[] | select(.protocol == \"ah\" and .packets > 0)] | length == 2'"
done

step "Rekey, flush, restart"
before=$(spis p)
ping_start p q
check "copsctl rekey" ctl_pdp rekey office
check "other SPIs, and the old ones leave" wait_for 40 eval '[ "$(sa_count p)" -eq 2 ] && [ -z "$(comm -12 <(echo "$before") <(spis p))" ]'
ping_stop p q
ip -n q xfrm state flush proto ah
check "flushed at q: new keys" wait_for 30 reaches p q
daemon_kill p KILL
start_peps p
check "p starts again" wait_for 30 reaches q p
check "nothing of ESP" wait_for 30 eval 'only ah esp p && only ah esp q'
capture_stop all
ah=$(captured_count all "ip proto 51")
[ "$ah" -gt 0 ] && [ "$(captured_count all 'not ip proto 51')" -eq 0 ] && ok "on the SP network: $ah packets of AH, and nothing else between the CEs" ||
	{ bad "on the SP network: $ah packets of AH, and"; captured all 'not ip proto 51' | head -n 5 | evidence; }

step "ESP"
watch_start
sed -i 's/transforms="signed"/transforms="strong"/' "$RUN/acme.xml"
check "copsctl apply" ctl_pdp apply "$RUN/acme.xml"
check "they reach each other" wait_for 40 reaches p q
for site in p q; do
	check "$site: SAs and policies are ESP's" wait_for 30 only esp ah $site
done
capture_stop watch
# What AH carries is in clear, and a filter for addresses sees none in it: the outer header is what it looks at.
[ "$(captured_count watch)" -eq 0 ] && ok "nothing of a site outside of a tunnel meanwhile" || { bad "outside of a tunnel:"; captured watch | head -n 5 | evidence; }

summary
