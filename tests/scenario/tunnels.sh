#!/bin/bash
# tunnels.sh - what the policy server says of tunnels against what the kernels say: counters and
# SPIs of a hub and two spokes; a site that never connected, an agent that is stopped, a site that is
# cut off: each named, with the reason.  Lyon drives the kernel by XFRM, the others by PF_KEY.
# timeout: 300
. "$(dirname "$0")/lib.sh"

intent=$RUN/acme.xml
cp "$SCENARIO_TOP/examples/acme.xml" "$intent"

tunnels() { ctl_pdp show tunnels "$@" --json; }
# tunnel CE PEER: its line; tunnel_is CE PEER STATE [WORDS OF WHY]
tunnel() { tunnels office --ce "$1.$DOMAIN" | jq -c ".[] | select(.peer == \"$2.$DOMAIN\")"; }
tunnel_is()
{
	tunnel "$1" "$2" | jq -e --arg why "${4:-}" \
	    ".state == \"$3\" and (\$why == \"\" or ((.why // \"\") | contains(\$why)))" >/dev/null
}
# Packets and octets, in and out, of a pair of CEs as the kernel of one counts them.
kernel_counts()
{
	ip -n "$1" -s xfrm state | awk -v here="${WAN[$1]}" -v there="${WAN[$2]}" '
		/^src/ { dir = $2 == there && $4 == here ? "in" : $2 == here && $4 == there ? "out" : "" }
		/lifetime current:/ { current = 1; next }
		current { o[dir] += $1; p[dir] += $2; current = 0 }
		END { printf "%d %d %d %d\n", p["in"], o["in"], p["out"], o["out"] }'
}
reported_counts() { tunnel "$1" "$2" | jq -r '"\(.packets_in) \(.octets_in) \(.packets_out) \(.octets_out)"'; }
counts_agree() { [ "$(kernel_counts "$1" "$2")" = "$(reported_counts "$1" "$2")" ]; }
spis_agree()
{
	local spi
	for spi in $(tunnel "$1" "$2" | jq -r '.spi_in, .spi_out'); do
		ip -n "$1" xfrm state | grep -q "spi $spi" || return 1
	done
	[ -n "$spi" ]
}

step "A hub and two spokes, and a third that is not there yet; accounting = 4s"
sp_make
site_make paris 192.0.2.1 10.1.0.0/16
site_make lyon 192.0.2.2 10.2.0.0/16
site_make nice 192.0.2.3 10.3.0.0/16
BACKEND[lyon]=xfrm
start_pdp accounting=4s keepalive=4s
start_peps paris lyon
check "copsctl apply, two of three CEs there" ctl_pdp apply "$intent" --no-wait
check "the tunnel between hub and spoke is up at both ends, as they report" \
    eval 'wait_for 20 tunnel_is paris lyon up && wait_for 20 tunnel_is lyon paris up'
check "nice, never connected, is named at the hub" \
    wait_for 10 tunnel_is paris nice down "nice.$DOMAIN has never connected"
check "and so is its own end" wait_for 10 tunnel_is nice paris down "nice.$DOMAIN has never connected"
ctl_pdp show tunnels office | evidence

step "It connects: up within an accounting timer, not the whole interval"
start_peps nice
check "its tunnel is up" wait_for 20 tunnel_is paris nice up
check "nothing is down" wait_for 15 eval '[ "$(tunnels office --down | jq length)" = 0 ]'

step "Traffic, and what is said of it"
in_ns h-lyon ping -q -n -c 40 -i 0.02 "${HOST[paris]}" >/dev/null
in_ns h-nice ping -q -n -c 10 -i 0.02 "${HOST[lyon]}" >/dev/null
for pair in "paris lyon" "lyon paris" "paris nice" "nice paris"; do
	check "${pair% *}: packets and octets to and from ${pair#* } are the kernel's" wait_for 15 counts_agree $pair
	say "packets in, octets in, packets out, octets out: $(kernel_counts $pair)"
	check "${pair% *}: and so are the SPIs" spis_agree $pair
done
check "both ends say the same" eval '[ "$(tunnel paris lyon | jq .packets_in)" = "$(tunnel lyon paris | jq .packets_out)" ]'
check "what the CE says of itself is the same" eval \
    '[ "$(ctl_ce lyon show tunnels --json | jq ".[0].packets_out")" = "$(tunnel lyon paris | jq .packets_out)" ]'
ctl_pdp show tunnels office | evidence

step "Over a rekey the counts go on"
before=$(tunnel lyon paris | jq .packets_out)
old=$(tunnel lyon paris | jq -r .spi_out)
ctl_pdp rekey office >/dev/null
check "another SPI is reported" wait_for 40 eval '[ "$(tunnel lyon paris | jq -r .spi_out)" != "$old" ]'
in_ns h-lyon ping -q -n -c 5 -i 0.02 "${HOST[paris]}" >/dev/null
check "and 5 packets more than before" wait_for 15 eval '[ "$(tunnel lyon paris | jq .packets_out)" = $((before + 5)) ]'

step "An agent is stopped"
daemon_kill nice TERM
check "its end is unknown, and why is said" wait_for 15 tunnel_is nice paris unknown "nice.$DOMAIN is not connected since"
check "the hub's too" tunnel_is paris nice unknown "nice.$DOMAIN is not connected since"
check "the other tunnel is up" tunnel_is paris lyon up

step "Its keys are gone from the hub: SAs flushed, the agent not there to make new ones"
ip -n paris xfrm state flush
check "the hub says that it is down, and that the peer is not there" \
    wait_for 20 tunnel_is paris nice down "nice.$DOMAIN is not connected since"
check "with lyon there are new keys soon" wait_for 30 tunnel_is paris lyon up
start_peps nice
check "with nice too, when its agent is back" wait_for 40 tunnel_is paris nice up

step "A link is cut"
ip -n sp link set to-lyon down
check "lyon is missed within two keep-alive times" wait_for 30 tunnel_is lyon paris unknown "lyon.$DOMAIN is not connected since"
check "the hub's end says so too" tunnel_is paris lyon unknown "lyon.$DOMAIN is not connected since"
ctl_pdp show tunnels office --down | evidence
ip -n sp link set to-lyon up
ip -n sp route replace "${WAN[lyon]}/32" dev to-lyon
check "and is back" wait_for 30 tunnel_is paris lyon up

step "The policy server is killed: what it knew it is told again"
before=$(reported_counts paris lyon)
daemon_kill pdp KILL
start_pdp
check "tunnels are up, with their counters" eval \
    'wait_for 30 tunnel_is paris lyon up && [ "$(reported_counts paris lyon)" = "$before" ]'
check "and all others" wait_for 30 eval '[ "$(tunnels --down | jq length)" = 0 ]'

summary
