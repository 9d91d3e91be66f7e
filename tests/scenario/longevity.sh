#!/bin/bash
# longevity.sh - how long CEs go on without a policy server (RFC 3318 5): for ever with
# longevity = 0, 3 s with 3 s; after that nothing of the VPN leaves a CE in clear, whatever becomes
# of its agent.  (expireImmediate is not what our server sends: unit/test_pep_contexts.)
# timeout: 300
. "$(dirname "$0")/lib.sh"

intent=$RUN/acme.xml
sed -e '/nice/d' -e '/prefix="10.3/,/<\/member>/d' "$SCENARIO_TOP/examples/acme.xml" >"$intent"
sites="paris lyon"
BACKEND=([paris]=pfkey [lyon]=xfrm)

no_sa() { [ "$(sa_count paris)" -eq 0 ] && [ "$(sa_count lyon)" -eq 0 ]; }
other() { [ "$1" = paris ] && echo lyon || echo paris; }
# block SITE DIRECTION FROM TO: the kernel of SITE discards what goes from FROM's prefix to TO's.
block() { ip -n "$1" xfrm policy | grep -A1 "^src ${LAN[$3]} dst ${LAN[$4]} *\$" | grep -q "dir $2 action block"; }
discards() { block "$1" out "$1" "$(other "$1")" && block "$1" in "$(other "$1")" "$1" && block "$1" fwd "$(other "$1")" "$1"; }
tunnels() { ip -n "$1" xfrm policy | grep -q tmpl; }
both_ways() { reaches paris lyon && reaches lyon paris; }
neither_way() { reaches_not paris lyon && reaches_not lyon paris; }
network() { ip -n sp link set to-pdp "$1"; [ "$1" = down ] || ip -n sp route replace "$PDP_ADDR/32" dev to-pdp; }

# By the log of SITE's agent policy ended 3 s after the connection did, give or take its clock and a busy
# machine's second.
on_time()
{
	awk '
		{ split($2, t, ":"); now = t[1] * 3600 + t[2] * 60 + t[3] }
		/connection over/ { lost = now }
		/policy is over/ { took = (now - lost + 86400) % 86400 }
		END { print took " s"; exit !(took >= 2.9 && took < 5) }' "$RUN/$1.log"
}

# policy_over "WHY": from now on SAs are to be gone and the VPN's prefixes discarded; pings from
# both hosts are running.
policy_over()
{
	local site
	check "row78 expireOnTimeout, $1: the SAs are gone" wait_for 20 no_sa
	for site in $sites; do
		check "row78 expireOnTimeout, $1: $site in time" on_time "$site"
		check "row79 after that $site (${BACKEND[$site]}) has the discards and no tunnel" \
		    wait_for 5 eval "discards $site && ! tunnels $site"
	done
	check "row79 hosts of both sites ping on, and nobody answers" neither_way
}
# back: the policy server serves both CEs again, and traffic flows.
back()
{
	check "row78 the policy server is back, and so is the VPN" wait_for 40 both_ways
	check "as it was" wait_for 30 eval 'sessions_are 2 "in sync" && keyed office && tunnels paris && tunnels lyon'
}
in_clear() # "WHEN"
{
	capture_stop watch
	check "row79 none of the VPN's packets was seen in clear on the SP network $1" eval '! captured watch | grep .'
}

step "Two sites, paris with PF_KEY, lyon with Netlink; longevity = 0"
sp_make
site_make paris 192.0.2.1 10.1.0.0/16
site_make lyon 192.0.2.2 10.2.0.0/16
start_pdp longevity=0 keepalive=2s
start_peps $sites
check "copsctl apply" ctl_pdp apply "$intent"
check "the hosts reach each other" wait_for 20 both_ways
check "at rest" wait_for 30 eval 'sessions_are 2 "in sync" && keyed office && [ "$(spis lyon)" = "$(spis paris)" ]'

step "expireNever: the policy server is killed"
before=$(spis paris)
ping_start paris lyon 0.1
daemon_kill pdp KILL
nap 5 # more than is enough below
check "row78 expireNever: the SAs are what they were" [ "$(spis paris) $(spis lyon)" = "$before $before" ]
check "row78 expireNever: traffic flows" both_ways
ping_stop paris lyon "without a policy server "

step "longevity = 3s"
sed -i 's/^longevity = .*/longevity = 3s/' "$RUN/pdp.conf"
start_pdp
check "both are back" wait_for 30 sessions_are 2 "in sync"
sed -i 's,<site prefix="10.2.0.0/16"/>,&<site prefix="10.42.0.0/16"/>,' "$intent"
check "the next change says it: copsctl apply" ctl_pdp apply "$intent"

step "expireOnTimeout: the policy server is killed"
watch_start
for site in $sites; do # what they send all the time is what could be seen
	ip netns exec "h-$site" ping -n -q -i 0.2 "${HOST[$(other "$site")]}" >/dev/null 2>&1 &
	PID[on.$site]=$!
done
daemon_kill pdp KILL
policy_over "the policy server dead for 3 s"

step "Agents start again when policy is over, as after a crash and as after a boot"
daemon_kill paris KILL
daemon_kill lyon KILL
start_peps paris
check "row79 after a crash paris has the discards" discards paris
in_clear "meanwhile"
ip -n lyon xfrm policy flush
start_peps lyon
check "row79 with empty tables lyon has them back" wait_for 10 discards lyon
watch_start
check "row79 and no SA or tunnel is" eval 'no_sa && ! tunnels paris && ! tunnels lyon'

step "The policy server is back"
start_pdp
back

step "expireOnTimeout: the network to the policy server is cut"
network down
policy_over "the network cut"
network up
back
check "its CEs came with keys that it had not seen, and none was refused" eval '! grep "request refused" "$RUN/pdp.log"'
in_clear "from then on"

step "Without what protects they would have been seen"
daemon_kill paris KILL
ip -n paris xfrm policy flush
ip -n paris xfrm state flush
ip -n paris route flush proto 67 # they lead into an interface that discards
watch_start
nap 1
capture_stop watch
check "row79 the capture does see packets in clear when there are any" eval '[ "$(captured_count watch "src ${HOST[paris]}")" -gt 0 ]'

summary
