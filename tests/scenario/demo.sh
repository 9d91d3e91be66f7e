#!/bin/bash
# demo.sh - the main job from nothing to encrypted packets, each step checked: three sites of
# one customer (a hub and two spokes), a fourth added and one removed by an edit of
# the provider's XML, keys replaced under traffic, both daemons killed under traffic.
# timeout: 400
. "$(dirname "$0")/lib.sh"

intent=$RUN/acme.xml
cp "$SCENARIO_TOP/examples/acme.xml" "$intent"

decisions() { ctl_pdp show sessions --json | jq -r ".[] | select(.ce == \"$1.$DOMAIN\") | .decisions"; }
edit_shown() { diff "$1" "$2" | grep '^[<>]' | evidence; }

step "A provider's network with three customer sites: paris (hub), lyon and nice (spokes)"
sp_make
site_make paris 192.0.2.1 10.1.0.0/16
site_make lyon 192.0.2.2 10.2.0.0/16
site_make nice 192.0.2.3 10.3.0.0/16
site_make nantes 192.0.2.4 10.4.0.0/16
start_pdp
check "row5 the policy server listens on TCP port 3288, as nothing else was said" \
    eval "ip netns exec pdp ss -Hltn | grep -q '$PDP_ADDR:3288 '"
start_peps paris lyon nice
say "a CE (namespace) with a host behind it each, the policy server in a namespace of its own,"
say "certificates by copsctl pki, configuration from examples/pdp.conf and pep.conf"

step "Before: no traffic"
for pair in "paris lyon" "lyon nice" "nice paris"; do
	check "${pair% *}'s host does not reach ${pair#* }'s" reaches_not $pair
done

step "copsctl apply examples/acme.xml"
ctl_pdp apply "$intent" >"$RUN/out" 2>&1
status=$?
evidence <"$RUN/out"
[ $status -eq 0 ] && ok "stored and pushed" || bad "apply failed ($status)"
check "every CE confirmed" wait_for 10 sessions_are 3 "in sync"
check "every pair of peers has keys" wait_for 10 keyed office
capture_start all

step "Every pair of hosts reaches each other"
all_reach paris lyon nice
ctl_ce lyon show peers | evidence

step "A fourth site, nantes, by one edit"
start_peps nantes
check "until then the policy server refuses its CE" \
    wait_for 10 grep -q "nantes.$DOMAIN" "$RUN/pdp.log"
grep "nantes.$DOMAIN" "$RUN/pdp.log" | head -n 1 | evidence
declare -A before
for site in paris lyon nice; do
	before[$site]=$(decisions $site)
done
cp "$intent" "$RUN/before.xml"
sed -i -e '/<ce name="nice/a\    <ce name="nantes.acme.example" address="192.0.2.4"/>' \
    -e '/<member ce="nice/i\      <member ce="nantes.acme.example" role="spoke"><site prefix="10.4.0.0/16"/></member>' "$intent"
edit_shown "$RUN/before.xml" "$intent"
check "copsctl apply" ctl_pdp apply "$intent"
check "nantes confirmed and has keys with the hub" eval 'wait_for 10 sessions_are 4 "in sync" && wait_for 10 keyed office'
all_reach paris lyon nice nantes
for site in paris lyon nice; do
	say "$site: ${before[$site]} decisions before, $(decisions $site) now"
done
[ "$(decisions paris)" -gt "${before[paris]}" ] && ok "the hub got decisions" || bad "the hub got no decision"
for site in lyon nice; do
	[ "$(decisions $site)" -eq "${before[$site]}" ] && ok "$site, not concerned, got none" || bad "$site got decisions"
done

step "On the wire"
capture_stop all
assert_only_esp all
assert_control_is_tls all
direct=$(captured_count all "ip proto 50 and ((host ${WAN[lyon]} and host ${WAN[nice]}) or (host ${WAN[lyon]} and host ${WAN[nantes]}) or (host ${WAN[nice]} and host ${WAN[nantes]}))")
[ "$direct" -eq 0 ] && ok "spokes meet through the hub: no ESP from spoke to spoke" || bad "$direct ESP packets from spoke to spoke"

step "New keys everywhere, under running pings"
for site in paris lyon nice nantes; do
	spis $site >"$RUN/spis.$site"
done
ping_start paris lyon
ping_start lyon nice
ping_start nantes paris
check "copsctl rekey" ctl_pdp rekey
renewed() { [ "$(sa_count "$1")" -gt 0 ] && [ -z "$(spis "$1" | comm -12 - "$RUN/spis.$1")" ]; }
for site in paris lyon nice nantes; do
	check "$site: every SPI is new and the old ones are gone" wait_for 30 renewed $site
	say "$(head -n 1 "$RUN/spis.$site") ... -> $(spis $site | head -n 1) ..."
done
ping_stop paris lyon
ping_stop lyon nice
ping_stop nantes paris

step "A site removed: nice"
cp "$intent" "$RUN/before.xml"
sed -i -e '/<ce name="nice/d' -e '/<member ce="nice/,/<\/member>/d' "$intent"
edit_shown "$RUN/before.xml" "$intent"
check "copsctl apply" ctl_pdp apply "$intent"
nothing_of_nice()
{
	local found
	found=$(kernel_dump "$1" | grep -E "192\.0\.2\.3|10\.3\.0\.0")
	[ -z "$found" ] || { echo "$found"; return 1; }
}
for site in paris lyon nantes; do
	check "$site has no SA and no policy of nice" wait_for 20 nothing_of_nice $site
done
nice_is_clean() { [ "$(sa_count nice)" -eq 0 ] && ! ip -n nice xfrm policy | grep -E 'tmpl|10\.'; }
check "nice has no SA and no VPN policy left" wait_for 20 nice_is_clean
check "nice's host is reached no more" reaches_not paris nice
all_reach paris lyon nantes

step "The policy server is killed (SIGKILL), traffic goes on"
ping_start paris lyon
ping_start nantes lyon
daemon_kill pdp KILL
nap 3
ping_stop paris lyon
ping_stop nantes lyon

step "It comes back, and nothing is sent again"
for site in paris lyon nantes; do
	kernel_dump $site | grep -v 'anti-replay' >"$RUN/kernel.$site"
done
start_pdp
check "the CEs are connected again and in sync" wait_for 20 sessions_are 3 "in sync"
nap 1
ctl_pdp show sessions | evidence
for site in paris lyon nantes; do
	[ "$(decisions $site)" -eq 0 ] && ok "$site: no decision but the empty one that says: in sync" ||
		bad "$site: $(decisions $site) decisions with rows"
	check "$site's kernel state is untouched" \
	    cmp "$RUN/kernel.$site" <(kernel_dump $site | grep -v 'anti-replay')
done

step "The agent of paris is killed (SIGKILL) and started, traffic goes on"
ping_start lyon paris
ping_start nantes lyon
daemon_kill paris KILL
nap 1
start_peps paris
check "paris is in sync again" wait_for 20 sessions_are 3 "in sync"
nap 3
ping_stop lyon paris
ping_stop nantes lyon
all_reach paris lyon nantes

summary
