#!/bin/bash
# topologies.sh - who reaches whom, and that whoever may not is answered by nobody and leaves
# nothing in clear on the SP's network: links, two hubs whose spokes are isolated, with and
# without Internet, a relay, and a CE in two VPNs.  One set of sites goes from one topology to the next.
# timeout: 400
. "$(dirname "$0")/lib.sh"

intent=$RUN/acme.xml
sites="p q r s"

# intent_make MEMBERS-AND-VPNS: everything but the CEs, from standard input.
intent_make()
{
	{
		echo '<intent xmlns="urn:copsvpn:intent:1"><customer name="acme">'
		for site in $sites; do
			echo "<ce name=\"$site.$DOMAIN\" address=\"${WAN[$site]}\"/>"
		done
		sed "s/ce=\"\([a-z]*\)\"/ce=\"\1.$DOMAIN\"/g; s/\<\([ab]\)=\"\([a-z]*\)\"/\1=\"\2.$DOMAIN\"/g"
		echo '</customer></intent>'
	} >"$intent"
}
member() { echo "<member ce=\"$1\"${2:+ role=\"$2\"}><site prefix=\"${LAN[$1]}\"/></member>"; }

# change: apply, and every pair of peers has its keys.
change()
{
	check "copsctl apply" ctl_pdp apply "$intent" --strict
	wait_for 30 sessions_are 4 "in sync" || bad "not all are in sync"
}

# matrix PAIR...: these pairs of sites ("p-q") reach each other and no other pair does; meanwhile
# nothing of any site is seen in clear on the SP's network.
matrix()
{
	local a b pair verdict want=" $* "
	local -A job=()
	watch_start
	for a in $sites; do
		for b in $sites; do
			[ "$a" != "$b" ] || continue
			case $want in
			*" $a-$b "* | *" $b-$a "*) wait_for 20 reaches "$a" "$b" & ;;
			*) reaches_not "$a" "$b" >/dev/null & ;;
			esac
			job[$a-$b]=$!
		done
	done
	verdict=ok
	for pair in "${!job[@]}"; do
		wait "${job[$pair]}" || verdict="$verdict $pair"
	done
	[ "$verdict" = ok ] && ok "reach each other: $*; nobody else does" ||
		bad "reach each other: $*; nobody else does; but not so: ${verdict#ok }"
	assert_none_in_clear
}

# internet SITE yes|no: what its host sends to an address outside the VPN leaves the CE, or does not.
internet()
{
	local n
	capture_start internet "icmp"
	in_ns "h-$1" ping -n -q -c 2 -i 0.2 -W 0.3 "$SP_ADDR" >/dev/null 2>&1
	capture_stop internet
	n=$(captured_count internet "icmp and src host ${HOST[$1]} and dst host $SP_ADDR")
	case $2-$n in
	no-0) ok "$1: nothing goes to the Internet" ;;
	no-* | yes-0) bad "$1: Internet access should be $2, $n packets seen" ;;
	*) ok "$1: the Internet is reached past the VPN" ;;
	esac
}

step "Four sites: p, q, r, s"
sp_make
n=0
for site in $sites; do
	n=$((n + 1))
	site_make $site 192.0.2.$n 10.$n.0.0/16
done
start_pdp
start_peps $sites

step "Links p-q and q-r; s has none"
intent_make <<-XML
	<vpn name="v" id="00005e:00000001" topology="links">$(for i in $sites; do member $i; done)
	<link a="p" b="q"/><link a="r" b="q"/></vpn>
XML
change
matrix p-q q-r

step "A CE sends for addresses that are not its site's, and takes nothing in clear"
# As if the customer had forgotten to tell the provider about 172.16/16 at p.
ip -n h-p addr add 172.16.0.10/32 dev eth0
ip -n p route add 172.16.0.0/16 dev lan
capture_start stray "host 172.16.0.10"
in_ns h-p ping -n -q -c 2 -i 0.2 -W 0.3 -I 172.16.0.10 "${HOST[q]}" >/dev/null 2>&1
# A forged packet from q's site to p's, in clear.
ip -n sp route add "${LAN[p]}" via "${WAN[p]}" dev to-p onlink
ip -n sp addr add "${HOST[q]}/32" dev lo
ip netns exec h-p tcpdump -i eth0 -n -Z root -c 1 "src host ${HOST[q]} and icmp[icmptype] = icmp-echo" >"$RUN/forged" 2>"$RUN/forged.err" &
sniffer=$!
wait_for 10 grep -q listening "$RUN/forged.err"
in_ns sp ping -n -q -c 3 -i 0.2 -W 0.3 -I "${HOST[q]}" "${HOST[p]}" >/dev/null 2>&1
nap 0.5
kill $sniffer 2>/dev/null
wait $sniffer
grep -q ICMP "$RUN/forged" && { bad "a forged packet in clear reached the site"; evidence <"$RUN/forged"; } ||
	ok "a forged packet in clear from a peer's prefix does not reach the site"
ip -n sp addr del "${HOST[q]}/32" dev lo
ip -n sp route del "${LAN[p]}" dev to-p
capture_stop stray
[ "$(captured_count stray)" -eq 0 ] && ok "from an address outside the site to a peer's: discarded" ||
	bad "packets to a peer's prefix left in clear"
ip -n h-p addr del 172.16.0.10/32 dev eth0

step "Two hubs p and q, isolated spokes r and s, no Internet"
intent_make <<-XML
	<vpn name="v" id="00005e:00000001" topology="hub-and-spoke" internet="discard">
	$(member p hub; member q hub; member r spoke; member s)</vpn>
XML
change
matrix p-q p-r p-s q-r q-s
internet r no
check "the control channel does not mind" ctl_ce r show status

step "The same with a space, and Internet"
sed -i 's,internet="discard">,internet="bypass"><space prefix="10.0.0.0/8"/>,' "$intent"
change
matrix p-q p-r p-s q-r q-s
internet r yes

step "Spokes meet through the first hub"
sed -i 's,internet="bypass">,internet="bypass" relay="yes">,' "$intent"
change
matrix p-q p-r p-s q-r q-s r-s

step "q in two VPNs, with the same site: p and q, q and r; s in none"
intent_make <<-XML
	<vpn name="v" id="00005e:00000001">$(member p; member q)</vpn>
	<vpn name="w" id="00005e:00000002">$(member q; member r)</vpn>
XML
change
for pair in "p q" "q p" "q r" "r q"; do
	check "${pair% *} reaches ${pair#* }" wait_for 20 reaches $pair
done
check "p does not reach r, of the other VPN" reaches_not p r
check "p does not reach s" reaches_not p s
clean() { [ "$(sa_count "$1")" -eq 0 ] && ! ip -n "$1" xfrm policy | grep -E 'tmpl|10\.'; }
check "nothing is left of any VPN in s" wait_for 20 clean s
step "There and back, under running pings"
ping_start p q
for i in 1 2 3; do
	cp "$intent" "$RUN/two.xml"
	intent_make <<-XML
		<vpn name="v" id="00005e:00000001">$(member p; member q; member s)</vpn>
	XML
	change
	check "q reaches s" wait_for 20 reaches q s
	cp "$RUN/two.xml" "$intent"
	change
	check "q reaches r" wait_for 20 reaches q r
	check "r reaches q" wait_for 20 reaches r q
done
ping_stop p q "throughout "
ctl_ce q show vpns | evidence

summary
