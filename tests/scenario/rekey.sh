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

# as_asked SITE PEER: what the kernel holds of the peer is what was asked for, field by field.
as_asked()
{
	local me=${WAN[$1]} peer=${WAN[$2]} sas reqid
	sas=$(ip -n "$1" xfrm state)
	reqid=$(grep -A1 "^src $me dst $peer" <<<"$sas" | sed -n 's/.*reqid \([0-9]*\).*/\1/p')
	[ "$(grep -A1 "^src $peer dst $me" <<<"$sas" | grep -c "proto esp spi 0x0000[0-9a-f]* reqid $reqid mode tunnel")" -eq 1 ] || return 1
	[ "$(grep -cE 'auth-trunc hmac\(sha512\) 0x[0-9a-f]{128} 256$' <<<"$sas")" -eq 6 ] || return 1
	[ "$(grep -cE 'enc cbc\(aes\) 0x[0-9a-f]{64}$' <<<"$sas")" -eq 6 ] || return 1
	ip -o -n "$1" xfrm policy >"$RUN/asked"
	grep "^src ${LAN[$1]} dst ${LAN[$2]} .*dir out" "$RUN/asked" | grep -q "tmpl src $me dst $peer.*proto esp reqid $reqid mode tunnel" || return 1
	grep "^src ${LAN[$2]} dst ${LAN[$1]} .*dir in" "$RUN/asked" | grep -q "tmpl src $peer dst $me.*proto esp reqid $reqid mode tunnel" || return 1
	grep "^src ${LAN[$2]} dst ${LAN[$1]} .*dir fwd" "$RUN/asked" | grep -q "tmpl src $peer dst $me.*proto esp reqid $reqid mode tunnel"
}
check "row108 lyon (${BACKEND[lyon]}): SAs and policies in the kernel are as they were asked for" as_asked lyon paris || { ip -n lyon xfrm state; cat "$RUN/asked"; } | evidence
check "row108 metz (${BACKEND[metz]}): SAs and policies in the kernel are as they were asked for" as_asked metz nice || { ip -n metz xfrm state; cat "$RUN/asked"; } | evidence
# A host behind one CE reaches one behind another only while the CE may forward what it decrypts.
fwd="src ${LAN[paris]} dst ${LAN[lyon]} dir fwd"
check "row110 lyon has a forwarding entry for what comes from paris" eval '[ -n "$(ip -n lyon xfrm policy list $fwd)" ]'
check "row110 the host behind lyon is reached through it" reaches paris lyon

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
	still=yes
	for pair in $pairs; do
		streaming ${pair%:*} ${pair#*:} || still=
	done
	[ -z "$still" ] || done_=$i
	nap 1.5
done
say "epochs before: $before"
say "       after:  $(epochs)"
read -r -a was <<<"$before"
read -r -a is <<<"$(epochs)"
for ((n = 0; n < ${#sites[@]}; n++)); do
	made=$((is[n] - was[n]))
	[ $made -ge $((rekeys / 2)) ] && ok "${sites[n]}: $made new epochs" || bad "${sites[n]}: only $made new epochs"
done
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
