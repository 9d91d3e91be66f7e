#!/bin/bash
# clear.sh - no packet of a VPN prefix outside ESP, ever: hosts and CEs send all the time, and one capture
# of the SP network is judged after each step.  With lockdown from before the first contact with a policy
# server on, through everything that happens to a CE until it leaves the VPN; without it, what remains.
# timeout: 500
. "$(dirname "$0")/lib.sh"

intent=$RUN/acme.xml
sed -e '/nice/d' -e '/prefix="10.3/,/<\/member>/d' "$SCENARIO_TOP/examples/acme.xml" >"$intent"
sites="paris lyon"

other() { [ "$1" = paris ] && echo lyon || echo paris; }
both_ways() { reaches paris lyon && reaches lyon paris; }
# Packets of the CE itself, which no VPN is for.
ce_pings() { in_ns "$1" ping -n -q -c 2 -i 0.2 -W 1 "$2"; }
blocked_all() { [ "$(ip -n "$1" xfrm policy | tr -d '\n' | sed 's/\(src [0-9:]\)/\n\1/g' | grep -c -E '^src (0.0.0.0/0 dst 0.0.0.0/0|::/0 dst ::/0) *\s*dir (in|out|fwd) action block')" -eq 6 ]; }
default_is() { [ "$(ip -n "$1" xfrm policy getdefault | grep -c -E "(in|fwd|out): *$2")" -eq 3 ]; }

# What is seen although it should not be is shown; the capture goes on.
none_in_clear() # "WHEN"
{
	nap 0.5
	check "nothing of a site in clear: $1" eval '! captured watch | grep -m 5 .'
}
esp_seen() { [ "$(ip -n "$1" -s xfrm state | grep -c "0(bytes), 0(packets)")" -lt "$(sa_count "$1")" ]; }

# Each host sends without end: pings to the other site and to where no site is, UDP to the other site,
# also from and to the ports that a host under lockdown may use itself.
traffic_start()
{
	local site
	for site in $sites; do
		ip netns exec "h-$site" ping -n -q -i 0.1 "${HOST[$(other "$site")]}" >/dev/null 2>&1 &
		PID[a.$site]=$!
		ip netns exec "h-$site" ping -n -q -i 0.3 10.99.0.1 >/dev/null 2>&1 &
		PID[b.$site]=$!
		ip netns exec "h-$site" perl -MIO::Socket::INET -e '
			for ([0, 9], [68, 67], [67, 68], [500, 500], [4500, 4500]) {
				push @s, IO::Socket::INET->new(Proto => "udp", PeerAddr => $ARGV[0],
				    LocalPort => $_->[0], PeerPort => $_->[1]) // die "$!";
			}
			while (1) { $_->send("x" x 100) for @s; select(undef, undef, undef, 0.1); }' \
			"${HOST[$(other "$site")]}" >"$RUN/udp.$site" 2>&1 &
		PID[u.$site]=$!
		ip netns exec "$site" ping -n -q -i 0.3 "${HOST[$(other "$site")]}" >/dev/null 2>&1 &
		PID[c.$site]=$!
	done
}

step "Two CEs with lockdown = yes, before there is an agent: copspepd --lockdown"
sp_make
site_make paris 192.0.2.1 10.1.0.0/16
site_make lyon 192.0.2.2 10.2.0.0/16
for site in $sites; do # a way back for what is not of the VPN
	ip -n sp route add "${LAN[$site]}" via "${WAN[$site]}" dev "to-$site" onlink
done
PEP_OPTIONS=(lockdown=yes "lockdown-except={ $SP_ADDR }")
conf_pep paris
PEP_OPTIONS=(lockdown=yes)
conf_pep lyon
for site in $sites; do
	check "row111 copspepd --lockdown at $site (${BACKEND[$site]})" in_ns "$site" "$COPSPEPD" --lockdown -c "$RUN/$site.conf"
	check "row111 $site discards everything, IPv4 and IPv6, in, out and forwarded" blocked_all "$site"
	check "row111 and by default what no entry matches" default_is "$site" block
done
capture_start watch "net 10.0.0.0/8 and not host $SP_ADDR"
capture_start all "not arp"
traffic_start
none_in_clear "before the agents start"
check "row111 lyon's CE cannot ping the next router" eval '! ce_pings lyon "$SP_ADDR"'
check "row111 paris's can, by lockdown-except" ce_pings paris "$SP_ADDR"
check "row111 its host cannot all the same" eval '! in_ns h-paris ping -n -q -c 2 -i 0.2 -W 1 "$SP_ADDR"'
ip -n lyon addr add 2001:db8::1/64 dev lan nodad
ip -n h-lyon addr add 2001:db8::10/64 dev eth0 nodad
check "row111 IPv6: the loopback address passes" in_ns lyon ping -n -q -c 1 -W 2 ::1
check "row111 IPv6: no ping passes" eval '! in_ns h-lyon ping -n -q -c 2 -i 0.2 -W 1 2001:db8::1'
check "row111 IPv6: neighbours are found" eval 'ip -n h-lyon neigh show 2001:db8::1 | grep -E "REACHABLE|STALE|DELAY|PROBE"'

step "The agents start, the policy server does not run"
start_peps $sites
nap 1.5
none_in_clear "before the first contact"
capture_stop all
check "row111 the control channel is not discarded" \
    eval 'captured all "tcp port 3288 and dst host $PDP_ADDR and src host ${WAN[paris]}" | grep -q . && captured all "tcp port 3288 and dst host $PDP_ADDR and src host ${WAN[lyon]}" | grep -q .'
check "row111 it is all that is seen, but for what is excepted" \
    eval '! captured all "not (tcp port 3288 and host $PDP_ADDR) and not (icmp and host $SP_ADDR and host ${WAN[paris]}) and not (icmp6 and ip6[40] >= 130)" | grep -v "$SP_ADDR > .*unreachable" | grep -m 5 .'
check "copsctl show status says so" eval 'ctl_ce paris show status --json | jq -e ".lockdown and .default_block"'

step "The first decision is refused at paris, whose address is another"
sed 's/address="192.0.2.1"/address="192.0.2.77"/' "$intent" >"$RUN/wrong.xml"
start_pdp longevity=3s
ctl_pdp apply "$RUN/wrong.xml" >/dev/null 2>&1
check "paris refuses its first decision" wait_for 20 eval 'ctl_pdp show ce paris.$DOMAIN | grep noSuchLocalAddress'
none_in_clear "after a first decision that was refused"
check "row111 paris is still locked down" blocked_all paris

step "The right one"
check "copsctl apply" ctl_pdp apply "$intent"
check "the hosts reach each other" wait_for 20 both_ways
check "by ESP" eval 'esp_seen paris && esp_seen lyon'
none_in_clear "while policy comes into force"
check "other traffic of the site passes, as the intent says" \
    in_ns h-lyon ping -n -q -c 2 -i 0.2 -W 1 "$SP_ADDR"
check "the CE's own does not" eval '! ce_pings lyon "$SP_ADDR"'

step "Changes, and new keys"
sed 's,<site prefix="10.2.0.0/16"/>,&<site prefix="10.42.0.0/16"/>,' "$intent" >"$RUN/more.xml"
check "a prefix more" ctl_pdp apply "$RUN/more.xml"
check "copsctl rekey" ctl_pdp rekey
check "and less" ctl_pdp apply "$intent"
none_in_clear "while policy and keys are replaced"

step "Others flush SAs and policies, the agents running"
for site in $sites; do
	ip -n "$site" xfrm state flush
	ip -n "$site" xfrm policy flush
done
none_in_clear "after a flush of everything"
check "the hosts reach each other again" wait_for 40 both_ways
check "row111 both are locked down again" eval 'blocked_all paris && blocked_all lyon'

step "Agents end, are killed, and others flush policies meanwhile"
daemon_kill paris TERM
daemon_kill lyon KILL
nap 0.5
none_in_clear "without agents"
for site in $sites; do
	ip -n "$site" xfrm policy flush
done
nap 0.5
none_in_clear "with empty tables and no agent"
check "and nobody reaches anybody" eval 'reaches_not paris lyon && reaches_not lyon paris'
start_peps $sites
check "the agents are back, and the hosts reach each other" wait_for 40 both_ways
none_in_clear "while the agents came back"

step "The policy server is lost, and policy is over after 3 s"
daemon_kill pdp KILL
check "the SAs are gone" wait_for 30 eval '[ "$(sa_count paris)" -eq 0 ] && [ "$(sa_count lyon)" -eq 0 ]'
none_in_clear "when policy is over"
start_pdp
check "it is back, and the hosts reach each other" wait_for 40 both_ways
none_in_clear "when policy came back"

step "lyon leaves the VPN"
sed -e '/<ce name="lyon/d' -e '/<member ce="lyon/,/<\/member>/d' "$intent" >"$RUN/less.xml"
check "copsctl apply" ctl_pdp apply "$RUN/less.xml"
check "lyon has no SA" wait_for 20 eval '[ "$(sa_count lyon)" -eq 0 ]'
check "row111 lyon is locked down, as before the first decision" wait_for 5 blocked_all lyon
none_in_clear "of a site that left"
check "it comes back: copsctl apply" ctl_pdp apply "$intent"
check "the hosts reach each other" wait_for 40 both_ways

step "The agents end"
for site in $sites; do
	daemon_kill "$site" TERM
done
nap 0.5
none_in_clear "after the end of the agents"

step "lockdown = no: the rest holds without it"
for site in $sites; do
	sed -i -e 's/^lockdown = yes/lockdown = no/' -e '/^lockdown-except/d' "$RUN/$site.conf"
done
start_peps $sites
check "the hosts reach each other" wait_for 40 both_ways
check "nothing is discarded by default" eval 'default_is paris accept && default_is lyon accept'
check "nor by entries" eval '! blocked_all paris && ! blocked_all lyon'
check "the CE's own packets pass" ce_pings lyon "$SP_ADDR"
check "copsctl rekey" ctl_pdp rekey
ip -n lyon xfrm state flush
check "SAs flushed: the hosts reach each other again" wait_for 40 both_ways
daemon_kill paris KILL
start_peps paris
check "an agent killed: the hosts reach each other" wait_for 40 both_ways
daemon_kill pdp KILL
check "policy is over: the SAs are gone" wait_for 30 eval '[ "$(sa_count paris)" -eq 0 ] && [ "$(sa_count lyon)" -eq 0 ]'
none_in_clear "without lockdown: new keys, SAs flushed, an agent killed, policy over"
daemon_kill lyon TERM
none_in_clear "without lockdown: after the end of an agent"

step "What lockdown is for: without an agent others flush the policies"
ip -n lyon xfrm policy flush
nap 1
capture_stop watch
check "without lockdown that is seen in clear, so the capture would have seen it" \
    eval '[ "$(captured_count watch "src net ${LAN[lyon]}")" -gt 0 ]'

summary
