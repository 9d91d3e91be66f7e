#!/bin/bash
# vrf.sh - two VPNs of one CE with the same prefixes at both ends: what keeps them apart are VRFs,
# and nothing that happens to the one's policies, routes or devices sends a packet into the other's
# tunnel or out in clear.  With keys of the agents and of IKE; and a CE whose back end is PF_KEY from one day
# on.  Refused where it cannot be: without VRFs, by a CE with PF_KEY, without the device.
# timeout: 540
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_ike.sh"

intent=$RUN/acme.xml
/run/modprobe vrf || die "this kernel has no VRF"
echo 1 >/proc/sys/net/vrf/strict_mode 2>/dev/null

# vrf_make SITE VRF TABLE ADDRESS: a VRF of the CE with an interface of this address, and a host h-SITE-VRF
# behind it; the VRF has a default route to the SP's network, which nothing of the VPN may take.
vrf_make()
{
	local h=h-$1-$2 net=${4%.*}
	ip -batch - <<-EOF
		netns add $h
		link add lan-$2 netns $1 type veth peer name eth0 netns $h
	EOF
	ip -n "$1" -batch - <<-EOF
		link add $2 type vrf table $3
		link set $2 up
		link set lan-$2 master $2
		addr add $4/24 dev lan-$2
		link set lan-$2 addrgenmode none
		link set lan-$2 up
		route add default via $SP_ADDR dev wan onlink table $3
	EOF
	ip -n "$h" -batch - <<-EOF
		link set lo up
		addr add $net.10/24 dev eth0
		link set eth0 addrgenmode none
		link set eth0 up
		route add default via $4
	EOF
}

# intent_make VRF-ATTRIBUTE-OF-BLUE VRF-ATTRIBUTE-OF-RED [KEYING]
intent_make()
{
	cat >"$intent" <<-EOF
		<intent xmlns="urn:copsvpn:intent:1"><customer name="acme">
		<ce name="x.$DOMAIN" address="${WAN[x]}"/>
		<ce name="b.$DOMAIN" address="${WAN[b]}"/>
		<ce name="r.$DOMAIN" address="${WAN[r]}"/>
		<vpn name="blue" id="00005e:00000001" topology="full-mesh" keying="${3:-controller}">
		<member ce="x.$DOMAIN" $1><site prefix="10.1.0.0/24"/></member>
		<member ce="b.$DOMAIN"><site prefix="10.2.0.0/24"/></member>
		</vpn>
		<vpn name="red" id="00005e:00000002" topology="full-mesh" keying="${3:-controller}">
		<member ce="x.$DOMAIN" $2><site prefix="10.1.0.0/24"/></member>
		<member ce="r.$DOMAIN"><site prefix="10.2.0.0/24"/></member>
		</vpn>
		</customer></intent>
	EOF
}
both() { intent_make 'vrf="blue"' 'vrf="red"'; }
apply() { ctl_pdp apply "$intent" --strict; }
refused() # WHAT PATTERN: by an apply, with words like these
{
	if apply >"$RUN/out" 2>&1; then
		bad "$1: it is not"
	elif grep -q "$2" "$RUN/out"; then
		ok "$1"
	else
		bad "$1: by other words"
	fi
	evidence <"$RUN/out"
}

# counter SITE: echo requests that came to the site's host.
counter() { in_ns "h-$1" awk '/^Icmp:/ && $2 != "InMsgs" {print $10}' /proc/net/snmp; }
# goes VRF FAR OTHER: the host in the VRF reaches the far site's host, and the other's gets nothing.
goes()
{
	local far other
	far=$(counter "$2")
	other=$(counter "$3")
	wait_for 20 in_ns "h-x-$1" ping -n -q -c 1 -W 1 10.2.0.10 ||
		{ bad "$1: its host reaches $2's"; return; }
	if in_ns "h-x-$1" ping -n -q -c 3 -i 0.2 -W 2 10.2.0.10 >/dev/null &&
	    [ "$(counter "$2")" -ge $((far + 4)) ] && [ "$(counter "$3")" -eq "$other" ]; then
		ok "$1: its host reaches $2's, and nothing of it comes to $3's"
	else
		bad "$1: its host reaches $2's ($far, now $(counter "$2")), and nothing of it comes to $3's ($other, now $(counter "$3"))"
	fi
}
# stuck VRF: what its host sends arrives nowhere.
stuck()
{
	local b r
	b=$(counter b)
	r=$(counter r)
	in_ns "h-x-$1" ping -n -q -c 3 -i 0.1 -W 0.3 10.2.0.10 >/dev/null && bad "$1${2:+, $2}: it is answered"
	[ "$(counter b)" -eq "$b" ] && [ "$(counter r)" -eq "$r" ] &&
		ok "$1${2:+, $2}: what its host sends arrives nowhere" ||
		bad "$1${2:+, $2}: what its host sends arrives (b $b, $(counter b); r $r, $(counter r))"
}

step "A CE with two VRFs, and the far sites, which have the same addresses"
sp_make
BACKEND[x]=xfrm BACKEND[b]=xfrm BACKEND[r]=pfkey
site_make x 192.0.2.1 10.9.0.0/24
site_make b 192.0.2.2 10.2.0.0/24
site_make r 192.0.2.3 10.2.0.0/24
vrf_make x blue 10 10.1.0.1
vrf_make x red 20 10.1.0.1
start_pdp
for site in x b r; do
	PEP_OPTIONS=("vici-socket=\"$RUN/$site.vici\"" learn-hold=1s learn-settle=200)
	conf_pep $site
done
start_peps x b r

step "Refused: without VRFs, in one, without the device"
intent_make '' ''
wait_for 20 sh -c "'$COPSCTL' --socket '$RUN/pdp.sock' show ce --json 2>/dev/null | grep -q '\"separate\": *true'" || say "x has not said yet what it can do"
refused "two VPNs that overlap are refused at apply, with what to write" 'vpn "red" overlaps.*vpn "blue".*vrf='
intent_make 'vrf="blue"' 'vrf="blue"'
refused "in one VRF they are refused" 'vpn "red" overlaps.*vpn "blue"'
intent_make 'vrf="blue"' 'vrf="nowhere"'
apply >"$RUN/out" 2>&1 && bad "a VRF that is not there is refused" || ok "a VRF that is not there is refused: not strictly in force"
check "by row and column, at x" grep -q "ceVpn.2 column vrf" "$RUN/x.log"

step "Both VPNs: the same prefixes, each its own"
both
check "copsctl apply" apply
capture_start all "net 10.0.0.0/8"
goes blue b r
goes red r b
BLUE_DEV=$(ip -n x route show table 10 | sed -n "s/^10.2.0.0\/24 dev \(cvn[0-9a-f]*\).*/\1/p")
check "policies are of the VPN's interface and mark" sh -c "ip -n x xfrm policy | grep -q 'mark 0xa0000/0xffff0000' && ip -n x xfrm policy | grep -q 'mark 0x140000/0xffff0000' && ip -n x xfrm policy | grep -q 'dev cvn'"
check "so are the SAs" sh -c "ip -n x xfrm state | grep -q 'output-mark 0xa0000/0xffff0000'"
check "copsctl show spd says interface and mark" sh -c "'$COPSCTL' --socket '$RUN/x.sock' show spd | grep -q '0xa0000'"
check "routes are in the VRFs' tables, with another behind that discards" sh -c "ip -n x route show table 10 | grep -q '^10.2.0.0/24 dev cvn' && ip -n x route show table 10 | grep -q '^blackhole 10.2.0.0/24' && ip -n x route show table 20 | grep -q '^10.2.0.0/24 dev cvn' && ! ip -n x route show | grep '^10.2.0.0'"

step "The agent restarts, killed: both go on"
ping_start x-blue b 0.05
daemon_kill x KILL
start_peps x
wait_for 20 sessions_are 3 "in sync" || bad "not all are in sync"
ping_stop x-blue b "over a kill of copspepd "
goes blue b r
goes red r b

step "What others do to one VPN sends nothing of it into the other, or out in clear"
kill -STOP "${PID[x]}" # nothing is repaired meanwhile
# the policies of blue, by what names them
ip -n x xfrm policy | awk -v blue="$BLUE_DEV" '
	/^src/ { if (sel != "") flush(); sel = $1 " " $2 " " $3 " " $4; mine = 0; dev = "" ; if (match($0, /dev [^ ]+/)) { dev = substr($0, RSTART, RLENGTH); if (dev == "dev " blue) mine = 1 } }
	/dir / { dir = $2 }
	/mark 0xa0000/ { mine = 1; mark = "mark 0xa0000 mask 0xffff0000" }
	function flush() { if (mine) print sel, dev, "dir", dir, mark; mark = "" }
	END { flush() }' >"$RUN/blue.list"
while read -r line; do
	ip -n x xfrm policy delete $line || bad "not deleted: $line"
done <"$RUN/blue.list"
[ "$(wc -l <"$RUN/blue.list")" -ge 6 ] && ok "blue's $(wc -l <"$RUN/blue.list") policies are deleted" || bad "blue's policies: $(wc -l <"$RUN/blue.list")"
stuck blue "without its policies"
goes red r b
ip -n x route del 10.2.0.0/24 dev "$BLUE_DEV" table 10
stuck blue "and without its route"
ip -n x link del "$BLUE_DEV"
stuck blue "and without its device"
ip -n x rule del pref 435 fwmark 0xa0000/0xffff0000
goes red r b
kill -CONT "${PID[x]}"
goes blue b r
check "the rule is there again" sh -c "ip -n x rule | grep -q 'fwmark 0xa0000/0xffff0000 lookup blue\|fwmark 0xa0000/0xffff0000 lookup 10'"
kill -STOP "${PID[x]}"
ip -n x xfrm policy flush
stuck blue "with all policies gone"
stuck red "with all policies gone"
kill -CONT "${PID[x]}"
goes blue b r
goes red r b

step "The VRF goes and comes back"
ip -n x link del blue
wait_for 20 sh -c "'$COPSCTL' --socket '$RUN/x.sock' show status --json | grep -q 'held up'" && ok "told: a VRF is missing" || { bad "told: a VRF is missing"; ctl_ce x show status | evidence; }
stuck blue "without its VRF"
goes red r b
ip -n x -batch - <<-EOF
	link add blue type vrf table 10
	link set blue up
	link set lan-blue master blue
EOF
goes blue b r
wait_for 20 sh -c "! '$COPSCTL' --socket '$RUN/x.sock' show status --json | grep -q 'held up'" && ok "and it is told no more" || bad "and it is told no more"

step "Networks behind x are learned, each VPN's from its VRF's table"
for vrf in blue red; do
	ip -n h-x-$vrf -batch - <<-EOF
		link set lo up
		addr add 10.3.7.1/32 dev lo
		addr add 10.3.9.1/32 dev lo
	EOF
done
# by OSPF, as far as the kernel knows: one network in both, one in red, and one outside of both
ip -n x -batch - <<-EOF
	route add 10.3.7.0/24 via 10.1.0.10 dev lan-blue table 10 proto 188
	route add 10.3.7.0/24 via 10.1.0.10 dev lan-red table 20 proto 188
	route add 10.3.9.0/24 via 10.1.0.10 dev lan-red table 20 proto 188
	route add 10.3.8.0/24 via 10.9.0.10 dev lan proto 188
EOF
both
sed -i 's/<vpn /&routing="managed" /; s|vrf="[a-z]*"><site[^>]*>|&<learn prefix="10.3.0.0/16"/>|' "$intent"
check "copsctl apply" apply
learned() { ctl_pdp show learned --json | jq -r '[.[] | .vpn + " " + .prefix + " " + .state] | sort | join(", ")'; }
learned_are() { [ "$(learned)" = "$1" ]; }
wait_for 20 learned_are "acme/blue 10.3.7.0/24 in use, acme/red 10.3.7.0/24 in use, acme/red 10.3.9.0/24 in use" &&
	ok "what is learned of each" || { bad "what is learned of each: $(learned)"; ctl_pdp show learned | evidence; ctl_ce x show learned | evidence; }
# asks FAR ADDRESS VRF OTHER: the far site's host reaches it in the VRF, and nothing comes to the other's host.
asks()
{
	local here there
	wait_for 20 in_ns "h-$1" ping -n -q -c 1 -W 1 "$2" || { bad "$1's host reaches $2 in $3"; return; }
	here=$(counter "x-$3")
	there=$(counter "x-$4")
	in_ns "h-$1" ping -n -q -c 3 -i 0.2 -W 2 "$2" >/dev/null
	[ "$(counter "x-$3")" -ge $((here + 2)) ] && [ "$(counter "x-$4")" -eq "$there" ] &&
		ok "$1's host reaches $2 in $3, and nothing of it comes to $4" ||
		bad "$1's host reaches $2 in $3 ($here, now $(counter "x-$3")), and nothing of it comes to $4 ($there, now $(counter "x-$4"))"
}
asks b 10.3.7.1 blue red
asks r 10.3.7.1 red blue
asks r 10.3.9.1 red blue
check "b has nothing of what is red's alone" sh -c "! ip -n b xfrm policy | grep '10\.3\.9\.'"
ip -n x route del 10.3.7.0/24 table 20
wait_for 20 learned_are "acme/blue 10.3.7.0/24 in use, acme/red 10.3.9.0/24 in use" && ok "red's is withdrawn, and blue's stays" || bad "red's is withdrawn, and blue's stays: $(learned)"
asks b 10.3.7.1 blue red
ip -n x -batch - <<-EOF
	route del 10.3.7.0/24 table 10
	route del 10.3.9.0/24 table 20
	route del 10.3.8.0/24
EOF
wait_for 20 learned_are "" && ok "all are withdrawn" || bad "all are withdrawn: $(learned)"
both
check "copsctl apply" apply

step "x drives its kernel by PF_KEY now, which keeps nothing apart, and then as before"
daemon_kill x TERM
sed -i 's/^backend.*/backend = pfkey/' "$RUN/x.conf"
start_peps x
wait_for 30 sessions_are 3 "in sync" && ok "all are in sync" || { bad "all are in sync"; ctl_pdp show ce | evidence; }
wait_for 20 sh -c "'$COPSCTL' --socket '$RUN/x.sock' show status --json | grep -q 'pfkey cannot keep a VPN in a VRF apart'" && ok "told: both are held up" || { bad "told: both are held up"; ctl_ce x show status | evidence; }
[ "$(sa_count x)" -eq 0 ] && ok "x has no SAs" || bad "x has no SAs"
stuck blue "held up"
stuck red "held up"
daemon_kill x TERM
sed -i 's/^backend.*/backend = xfrm/' "$RUN/x.conf"
start_peps x
goes blue b r
goes red r b
wait_for 30 sessions_are 3 "in sync" && ok "all are in sync again" || { bad "all are in sync again"; ctl_pdp show ce | evidence; }

step "Keys from IKE"
start_charon x b r
intent_make 'vrf="blue"' 'vrf="red"' ike
check "copsctl apply" apply
goes blue b r
goes red r b
check "charon's SAs set the marks, and take them away" sh -c "state=\$(ip -n x xfrm state); echo \"\$state\" | grep -q 'output-mark 0xa0000/0xffff0000' && echo \"\$state\" | grep -q 'output-mark 0x140000/0xffff0000' && echo \"\$state\" | grep -q 'output-mark 0\(x0\)\?/0xffff0000'"
capture_stop all
[ "$(captured_count all)" -eq 0 ] && ok "nothing of a site was seen in clear on the SP network" || { bad "in clear on the SP network:"; captured all | head -n 5 | evidence; }

step "A CE with PF_KEY"
both
sed -i 's/<member ce="r[^>]*/& vrf="red"/' "$intent"
refused "refused at apply: it cannot keep a VPN in a VRF apart" 'cannot keep a VPN in a VRF apart (pfkey'

step "One leaves, the other stays"
both
sed -i '/name="red"/,/<\/vpn>/d' "$intent"
check "copsctl apply" apply
goes blue b r
check "nothing of red is left" sh -c "! ip -n x xfrm policy | grep -q 'mark 0x140000' && ! ip -n x route show table 20 | grep -q 'proto 67\|10.2.0.0' && ! ip -n x rule | grep -q 0x140000"
summary
