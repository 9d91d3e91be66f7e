#!/bin/bash
# reboot.sh - a CE boots while no policy server can be reached: policy comes up from its disk before
# anything flows, a VPN of controller keying stays closed, says why, and opens when the server is back.
# timeout: 300
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_boot.sh"

intent=$RUN/acme.xml
sed -e '/nice/d' -e '/prefix="10.3/,/<\/member>/d' "$SCENARIO_TOP/examples/acme.xml" >"$intent"
sites="paris lyon"

both_ways() { reaches paris lyon && reaches lyon paris; }
neither_way() { reaches_not paris lyon && reaches_not lyon paris; }
policies() { ip -n "$1" xfrm policy | tr -d '\n' | sed 's/src \([0-9:]\)/\nsrc \1/g' | sort; }
why() { ctl_ce "$1" show peers --json | jq -r '.[0].why_not'; }

closed() # SITE
{
	[ -z "$(comm -12 <(spis "$1") <(echo "$old"))" ] &&
	    [ "$(ctl_ce "$1" show peers --json | jq '.[0].sas_out')" -eq 0 ]
}

step "Two sites, lyon with lockdown = yes"
sp_make
site_make paris 192.0.2.1 10.1.0.0/16
site_make lyon 192.0.2.2 10.2.0.0/16
start_pdp longevity=0
start_peps paris
PEP_OPTIONS=(lockdown=yes)
start_peps lyon
check "copsctl apply" ctl_pdp apply "$intent"
check "the hosts reach each other" wait_for 20 both_ways
check "at rest" wait_for 30 eval 'sessions_are 2 "in sync" && keyed office && [ "$(spis lyon)" = "$(spis paris)" ]'
for site in $sites; do
	policies "$site" >"$RUN/policies.$site"
done
old=$(spis paris)
watch_start
for pair in "paris lyon" "lyon paris"; do
	ip netns exec "h-${pair% *}" ping -n -q -i 0.1 "${HOST[${pair#* }]}" >/dev/null 2>&1 &
	PID[on.$pair]=$!
done

step "Both lose power, and the policy server is away"
daemon_kill pdp KILL
power_off paris
power_off lyon
say "paris: its agent first, then the network"
agent_boot paris
network_up paris
check "lyon: copspepd --lockdown, then the network, then its agent" in_ns lyon "$COPSPEPD" --lockdown -c "$RUN/lyon.conf"
network_up lyon
nap 0.5
agent_boot lyon
for site in $sites; do
	check "$site (${BACKEND[$site]}) has the policies of its disk" \
	    wait_for 10 eval "diff '$RUN/policies.$site' <(policies $site)"
	check "$site has no SA of before, a key is not installed twice, and none to send by" closed "$site"
	check "$site says why nothing passes" eval 'why $site | grep "keys were lost.*until a policy server"'
	ctl_ce "$site" show peers | evidence
done
check "the hosts do not reach each other" neither_way

step "The agents start again, without a boot this time: as before"
daemon_kill paris KILL
agent_again paris
check "paris has no SA of before, and none to send by" closed paris
check "the hosts do not reach each other" neither_way

step "The policy server is back"
start_pdp
check "the hosts reach each other" wait_for 60 both_ways
check "at rest" wait_for 40 eval 'sessions_are 2 "in sync" && keyed office && [ "$(spis lyon)" = "$(spis paris)" ]'
check "with new keys only" eval '[ -z "$(comm -12 <(spis paris) <(echo "$old"))" ]'
check "and no row was refused" eval '! grep "request refused" "$RUN/pdp.log"'
check "nobody says anything is wrong" eval '[ "$(why paris) $(why lyon)" = "null null" ]'
assert_none_in_clear "from before the power cut to the end"

summary
