#!/bin/bash
# restart.sh - kill -9 at any moment: agents while changes and new keys are under way, the policy
# server between and during them.  Everything converges, nothing stored is lost, and traffic that
# no change concerns never stops.
# timeout: 500
. "$(dirname "$0")/lib.sh"

rounds=${ROUNDS:-6}
intent=$RUN/acme.xml
cp "$SCENARIO_TOP/examples/acme.xml" "$intent"

step "Three sites"
sp_make
site_make paris 192.0.2.1 10.1.0.0/16
site_make lyon 192.0.2.2 10.2.0.0/16
site_make nice 192.0.2.3 10.3.0.0/16
start_pdp
start_peps paris lyon nice
check "copsctl apply" ctl_pdp apply "$intent"
check "lyon reaches nice" wait_for 10 reaches lyon nice

in_sync() { sessions_are 3 "in sync"; }
# Nothing is left over or missing: SAs in pairs between the hub and each spoke only.
consistent()
{
	local site
	for site in lyon nice; do
		[ "$(ip -n paris xfrm state | grep '^src' | grep -c "${WAN[$site]}")" -eq "$(sa_count $site)" ] || return 1
		diff <(spis $site) <(ip -n paris xfrm state | grep -A1 "^src.*${WAN[$site]}" | grep -o 'spi 0x[0-9a-f]*' | sort -u) || return 1
	done
	[ -n "$(spis lyon)" ] && [ -n "$(spis nice)" ]
}
converges()
{
	local site
	wait_for 40 consistent && return 0
	consistent
	for site in paris lyon nice; do
		echo "$site:"
		ip -n $site xfrm state | grep -A1 '^src' | grep -v '^--' | paste - - | cut -d' ' -f1-7
		ctl_ce $site show peers
	done
	ctl_pdp show vpn office
	return 1
}
# Mostly within the moment in which things happen.
random_nap()
{
	local ms
	printf -v ms '%03d' $((RANDOM % (RANDOM % 4 ? 60 : ${1:-800})))
	nap "0.$ms"
}
pick() { local sites=("$@"); victim=${sites[RANDOM % $#]}; }

policies() { ip -n "$1" xfrm policy | tr -d '\n' | sed 's/src \([0-9]\)/\nsrc \1/g' | sort; }
for site in paris lyon nice; do
	policies $site >"$RUN/policies.$site"
done

step "The policy server starts again while nothing changes"
dump_all() { kernel_dump paris; kernel_dump lyon; kernel_dump nice; }
check "all are in sync, with their keys" wait_for 40 eval 'in_sync && consistent'
dump_all >"$RUN/before"
daemon_kill pdp KILL
start_pdp
check "the agents are back" wait_for 30 in_sync
check "row75 reconnected without a synchronisation, and no SA or policy is another" diff "$RUN/before" <(dump_all)

step "Agents killed at random while a prefix comes and goes ($rounds rounds)"
ping_start paris lyon
so_far=$failures
for ((i = 1; i <= rounds; i++)); do
	if ((i % 2)); then
		sed '/prefix="10.3.0.0/a\        <site prefix="10.33.0.0/16"/>' "$SCENARIO_TOP/examples/acme.xml" >"$intent"
	else
		cp "$SCENARIO_TOP/examples/acme.xml" "$intent"
	fi
	pick paris nice
	ctl_pdp apply "$intent" --no-wait >/dev/null &
	apply=$!
	random_nap
	daemon_kill $victim KILL
	wait $apply || bad "apply $i"
	random_nap 300
	start_peps $victim
	wait_for 30 in_sync || bad "round $i ($victim): not in sync again"
	present=$(ip -n paris xfrm policy | grep -c '10\.33\.')
	if ((i % 2)) && [ "$present" -eq 0 ]; then
		bad "round $i ($victim): the new prefix is not at the hub"
	elif ! ((i % 2)) && [ "$present" -ne 0 ]; then
		bad "round $i ($victim): the old prefix is still at the hub"
	fi
done
if [ $failures -eq $so_far ]; then
	ok "row57 killed in the midst of $rounds decisions: each was carried out whole in the end"
else
	bad "row57 after an agent was killed, see above"
fi
ping_stop paris lyon "throughout "

step "Agents killed at random while keys are replaced ($rounds rounds)"
ping_start lyon nice
for ((i = 1; i <= rounds; i++)); do
	pick paris lyon nice
	ctl_pdp rekey >/dev/null &
	rekey=$!
	random_nap
	daemon_kill $victim KILL
	wait $rekey || bad "rekey $i"
	random_nap 300
	start_peps $victim
	wait_for 30 in_sync || bad "round $i ($victim): not in sync again"
done
check "old keys are withdrawn in the end, and both ends hold the same SAs" converges
ping_stop lyon nice "throughout "

step "The policy server killed right after, and in the midst of, changes"
ping_start paris lyon
for ((i = 1; i <= rounds; i++)); do
	if ((i % 2)); then
		sed '/prefix="10.3.0.0/a\        <site prefix="10.34.0.0/16"/>' "$SCENARIO_TOP/examples/acme.xml" >"$intent"
	else
		cp "$SCENARIO_TOP/examples/acme.xml" "$intent"
	fi
	ctl_pdp apply "$intent" --no-wait >"$RUN/out" 2>&1 && stored=yes || stored=no
	generation=$(ctl_pdp show history --json | jq '[.[].generation] | max')
	((i % 3)) || ctl_pdp rekey >/dev/null 2>&1
	random_nap 200
	daemon_kill pdp KILL
	start_pdp
	[ $stored = yes ] || bad "apply $i: $(cat "$RUN/out")"
	[ "$(ctl_pdp show history --json | jq '[.[].generation] | max')" = "$generation" ] ||
	    bad "round $i: generation $generation is lost"
	wait_for 30 in_sync || bad "round $i: not in sync again"
	present=$(ip -n paris xfrm policy | grep -c '10\.34\.')
	if ((i % 2)) && [ "$present" -eq 0 ]; then
		bad "round $i: the new prefix is not at the hub"
	elif ! ((i % 2)) && [ "$present" -ne 0 ]; then
		bad "round $i: the old prefix is still at the hub"
	fi
done
ok "$rounds rounds, no generation lost"
ping_stop paris lyon "throughout "
check "and in the end both ends hold the same SAs" converges
for site in paris lyon nice; do
	check "$site's policies are those of the beginning" diff "$RUN/policies.$site" <(policies $site)
done
for pair in "paris lyon" "lyon nice" "nice paris"; do
	check "${pair% *} reaches ${pair#* }" reaches $pair
done

summary
