#!/bin/bash
# rekey_ike.sh - new keys from IKE without a packet lost: 20 rekeys of CHILD_SAs under 10,000 packets
# between two CEs on PF_KEY and between two on XFRM, by one end and by both ends at once; two at once
# while the other end's agent stands still; then keys that are replaced because the rows' soft lifetime
# says so.
# timeout: 600
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_ike.sh"

rekeys=20
packets=10000
before=()
asked=()
intent=$RUN/acme.xml
BACKEND=([paris]=pfkey [lyon]=pfkey [nice]=xfrm [metz]=xfrm)
sites=(paris lyon nice metz)
pairs="paris:lyon nice:metz"

# vpns TRANSFORM-ATTRIBUTES: the intent on standard output, a VPN for each pair.
vpns()
{
	local site pair n=0
	printf '<intent xmlns="urn:copsvpn:intent:1"><customer name="acme">\n'
	for site in "${sites[@]}"; do
		printf '<ce name="%s.%s" address="%s"/>\n' $site $DOMAIN "${WAN[$site]}"
	done
	printf '<transform name="t" %s/>\n' "$1"
	for pair in $pairs; do
		n=$((n + 1))
		printf '<vpn name="%s" id="00005e:0000000%d" topology="full-mesh" keying="ike" transforms="t">\n' ${pair%:*} $n
		for site in ${pair//:/ }; do
			printf '<member ce="%s.%s"><site prefix="%s"/></member>\n' $site $DOMAIN "${LAN[$site]}"
		done
		printf '</vpn>\n'
	done
	printf '</customer></intent>\n'
}

step "Four sites, two on each interface to the kernel"
sp_make
net=1
for site in "${sites[@]}"; do
	site_make $site 192.0.2.$net 10.$net.0.0/16
	pki_make "$site.$DOMAIN"
	conf_make "$SCENARIO_TOP/examples/pep.conf" "$RUN/$site.conf" \
	    "pdp={ \"$PDP_NAME@$PDP_ADDR\" }" "state-dir=\"$RUN/$site.state\"" "control-socket=\"$RUN/$site.sock\"" \
	    "certificate=\"$RUN/pki/$site.$DOMAIN.pem\"" "key=\"$RUN/pki/$site.$DOMAIN.key\"" \
	    "ca=\"$RUN/pki/ca.pem\"" retry-min=200 retry-max=2000 "backend=${BACKEND[$site]}" \
	    "vici-socket=\"$RUN/$site.vici\"" log-level=info
	net=$((net + 1))
done
vpns 'lifetime="8h"' >"$intent"
start_pdp
start_peps "${sites[@]}"
start_charon "${sites[@]}"
check "copsctl apply" ctl_pdp apply "$intent"
for pair in $pairs; do
	check "$pair is up" wait_for 60 peer_ready ${pair%:*} ${pair#*:} || die "$(tail -n 30 "$RUN/${pair%:*}.charon.log")"
	check "traffic passes" wait_for 20 reaches ${pair%:*} ${pair#*:}
done

# The number of CREATE_CHILD_SA rekeys that a charon finished, by its log.
rekeyed() { grep -c 'inbound CHILD_SA .* established with SPIs' "$RUN/$1.charon.log"; }

step "$rekeys rekeys under $packets packets on each pair"
for site in "${sites[@]}"; do before[${#before[@]}]=$(rekeyed $site); done
for pair in $pairs; do
	stream ${pair%:*} ${pair#*:} $packets 56 0.005
done
done_=0
for ((i = 1; i <= rekeys; i++)); do
	if ((i % 2)); then # both ends of each pair at once
		for site in "${sites[@]}"; do ctl_ce $site rekey >"$RUN/rekey.$site" 2>&1 & asked[${#asked[@]}]=$!; done
		wait "${asked[@]}"
		asked=()
	else # one end, in turn
		for pair in $pairs; do
			((i % 4)) && site=${pair%:*} || site=${pair#*:}
			ctl_ce $site rekey >/dev/null || bad "rekey $i"
		done
	fi
	still=yes
	for pair in $pairs; do
		streaming ${pair%:*} ${pair#*:} || still=
	done
	[ -z "$still" ] || done_=$i
	nap 2.1 # one that is asked for sooner is put off
done
[ $done_ -eq $rekeys ] && ok "packets were sent until the last rekey" ||
    bad "the packets were sent before rekey $done_ of $rekeys"
n=0
for site in "${sites[@]}"; do
	made=$(($(rekeyed $site) - before[n]))
	[ $made -ge $rekeys ] && ok "$site (${BACKEND[$site]}): $made new CHILD_SAs" ||
	    bad "$site (${BACKEND[$site]}): only $made new CHILD_SAs"
	n=$((n + 1))
done
for pair in $pairs; do
	stream_check ${pair%:*} ${pair#*:} $packets "row112 no packet lost with IKE"
done

step "A rekey after a rekey, of which the other end's agent hears late"
declare -A made
late=()
more() { [ "$(rekeyed $1)" -ge $((made[$1] + $2)) ]; }
for pair in $pairs; do
	near=${pair%:*} far=${pair#*:}
	made[$near]=$(rekeyed $near)
	stream $near $far 1000
	kill -STOP "${PID[$far]}"
	{ nap 0.6; kill -CONT "${PID[$far]}"; } &
	late[${#late[@]}]=$!
	check "$near rekeys" ctl_ce $near rekey
done
for times in 1 2; do
	for pair in $pairs; do
		near=${pair%:*}
		check "$near: $times new" wait_for 20 more $near $times
		[ $times -eq 2 ] || check "$near rekeys at once" ctl_ce $near rekey
	done
done
wait "${late[@]}"
for pair in $pairs; do
	stream_check ${pair%:*} ${pair#*:} 1000 "row112 no packet lost with IKE, late agent"
done

step "Soft lifetimes of the rows"
vpns 'lifetime="60s" soft-lifetime="15s"' >"$intent"
check "copsctl apply" ctl_pdp apply "$intent"
nap 2
paris=$(rekeyed paris) nice=$(rekeyed nice)
ping_start paris lyon
ping_start nice metz
newer() { [ "$(rekeyed paris)" -ge $((paris + 2)) ] && [ "$(rekeyed nice)" -ge $((nice + 2)) ]; }
check "keys are replaced when their time comes, twice" wait_for 90 newer
ping_stop paris lyon
ping_stop nice metz
summary
