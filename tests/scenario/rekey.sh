#!/bin/bash
# rekey.sh - new keys without a packet lost: 20 rekeys under 10,000 packets between two CEs on PF_KEY and
# between two on XFRM, all members at once and one member alone in turn; then keys that are replaced
# because the rows' soft lifetimes say so, by traffic and by time.
# timeout: 300
. "$(dirname "$0")/lib.sh"

rekeys=20
packets=10000
intent=$RUN/acme.xml
PEP_OPTIONS=(key-grace=400 key-linger=400 log-level=info)
BACKEND=([nice]=xfrm [metz]=xfrm [paris]=pfkey [lyon]=pfkey)
sites=(paris lyon nice metz)
net=1

# mesh TRANSFORM-ATTRIBUTES: the intent on standard output.
mesh()
{
	local site net=0
	cat <<-XML
		<intent xmlns="urn:copsvpn:intent:1"><customer name="acme">
		<transform name="t" $1/>
	XML
	for site in "${sites[@]}"; do
		printf '<ce name="%s.%s" address="%s"/>\n' $site $DOMAIN "${WAN[$site]}"
	done
	printf '<vpn name="office" id="00005e:00000001" transforms="t">\n'
	for site in "${sites[@]}"; do
		printf '<member ce="%s.%s"><site prefix="%s"/></member>\n' $site $DOMAIN "${LAN[$site]}"
	done
	printf '</vpn></customer></intent>\n'
}

step "Four sites, two on each interface to the kernel"
sp_make
for site in "${sites[@]}"; do
	site_make $site 192.0.2.$net 10.$net.0.0/16
	net=$((net + 1))
done
mesh 'lifetime="8h"' >"$intent"
start_pdp
start_peps "${sites[@]}"
check "copsctl apply" ctl_pdp apply "$intent"
settled() { keyed office && [ "$(sa_count paris)" -ge 6 ]; }
check "every member has every other's key" wait_for 30 settled
all_reach "${sites[@]}"

# The newest own epoch that a site uses with anybody.
epoch() { ctl_ce "$1" show peers --json | jq '[.[].own_epochs // "" | scan("[0-9]+") | tonumber] | max // 0'; }
epochs() { local site; for site in "${sites[@]}"; do epoch $site; done | tr '\n' ' '; }

pairs="paris:lyon nice:metz"

step "$rekeys rekeys under $packets packets on each pair"
before=$(epochs)
for pair in $pairs; do
	stream ${pair%:*} ${pair#*:} $packets
done
done_=0
for ((i = 1; i <= rekeys; i++)); do
	if ((i % 2)); then # all members at once
		ctl_pdp rekey office >/dev/null || bad "rekey $i"
	else # one alone
		ctl_ce ${sites[i / 2 % 4]} rekey >/dev/null || bad "rekey $i"
	fi
	for pair in $pairs; do
		streaming ${pair%:*} ${pair#*:} || continue
		done_=$i
	done
	nap 1.5
done
say "epochs before: $before"
say "       after:  $(epochs)"
[ $done_ -eq $rekeys ] && ok "packets were sent until the last rekey" ||
    bad "the packets were sent before rekey $done_ of $rekeys"
for pair in $pairs; do
	stream_check ${pair%:*} ${pair#*:} $packets "row112 no packet lost"
done
check "old keys are gone in the end" wait_for 20 eval '[ "$(sa_count paris)" -eq 6 ] && [ "$(sa_count metz)" -eq 6 ]'

step "Soft and hard lifetimes of the rows"
mesh 'lifetime="90s" soft-lifetime="20s" kilobytes="8192" soft-kilobytes="256"' >"$intent"
check "copsctl apply" ctl_pdp apply "$intent"
# lifetimes SITE: every SA has those of the row.
lifetimes()
{
	local sas
	sas=$(ip -n "$1" -s xfrm state)
	[ "$(grep -c 'limit: soft 262144(bytes), hard 8388608(bytes)' <<<"$sas")" -eq "$(grep -c '^src' <<<"$sas")" ] &&
	    [ "$(grep -c 'expire add: soft 20(sec), hard 90(sec)' <<<"$sas")" -eq "$(grep -c '^src' <<<"$sas")" ]
}
for site in lyon metz; do
	check "row105 $site (${BACKEND[$site]}): new keys, with lifetimes of the row in seconds and octets" wait_for 20 lifetimes $site ||
	    ip -n $site -s xfrm state | grep -A3 'lifetime config' | sort | uniq -c | evidence
done
a=$(epoch lyon) b=$(epoch nice)
for pair in $pairs; do
	stream ${pair%:*} ${pair#*:} 3000 1000
done
for pair in $pairs; do
	stream_check ${pair%:*} ${pair#*:} 3000 "row115 no packet lost while traffic wears keys out"
done
for site in lyon nice; do
	[ $site = lyon ] && was=$a || was=$b
	if grep -q 'soft lifetime' "$RUN/$site.log" && [ "$(epoch $site)" -ge $((was + 3)) ]; then
		ok "row115 $site (${BACKEND[$site]}): soft lifetimes in octets were told by the kernel, and new keys made: epoch $was to $(epoch $site)"
	else
		bad "row115 $site (${BACKEND[$site]}): epoch $was to $(epoch $site)"
	fi
done
a=$(epoch paris) b=$(epoch metz)
newer() { [ "$(epoch paris)" -gt "$a" ] && [ "$(epoch metz)" -gt "$b" ]; }
check "row115 without traffic the keys are replaced when their time comes" wait_for 40 newer
summary
