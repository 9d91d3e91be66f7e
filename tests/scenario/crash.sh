#!/bin/bash
# crash.sh - both agents killed after the first, the second ... the last kernel operation of a decision, one
# on PF_KEY and one on XFRM: started again, each carries the decision out whole, from rows on disk
# and what the kernel holds; nothing is missing or left over, and nothing left in clear meanwhile.
# timeout: 500
. "$(dirname "$0")/lib.sh"

BACKEND=([paris]=pfkey [lyon]=xfrm)
sites=(paris lyon)
faulty=$COPSPEPD_FAULTS

# mesh MORE: the intent; with MORE = yes each site has a second prefix.
mesh()
{
	local n=0 site
	printf '<intent xmlns="urn:copsvpn:intent:1"><customer name="acme">\n'
	for site in "${sites[@]}"; do
		printf '<ce name="%s.%s" address="%s"/>\n' $site $DOMAIN "${WAN[$site]}"
	done
	printf '<vpn name="office" id="00005e:00000001">\n'
	for site in "${sites[@]}"; do
		n=$((n + 1))
		printf '<member ce="%s.%s"><site prefix="%s"/>' $site $DOMAIN "${LAN[$site]}"
		[ "$1" != yes ] || printf '<site prefix="10.%d.0.0/16"/>' $((20 + n))
		printf '</member>\n'
	done
	printf '</vpn></customer></intent>\n'
}

# agent SITE...: started, with orders from $RUN/SITE.orders.
agent()
{
	local site
	for site; do
		daemon_start $site $site env COPS_FAULTS="$RUN/$site.orders" "$faulty" -f -c "$RUN/$site.conf"
	done
	for site; do
		wait_for 20 is_up $site || die "the agent of $site does not start: $(tail -n 5 "$RUN/$site.log")"
	done
}
policies() { ip -o -n "$1" xfrm policy | sort; }
# holds MORE: both are in sync, with the policies of that intent and the same SAs at both ends.
holds()
{
	sessions_are 2 "in sync" && [ "$(spis paris)" = "$(spis lyon)" ] &&
	    diff "$RUN/$1.paris" <(policies paris) && diff "$RUN/$1.lyon" <(policies lyon)
}

step "Two sites, and the state before and after"
sp_make
site_make paris 192.0.2.1 10.1.0.0/16
site_make lyon 192.0.2.2 10.2.0.0/16
mesh no >"$RUN/no.xml"
mesh yes >"$RUN/yes.xml"
start_pdp
PEP_OPTIONS=(key-grace=300 key-linger=300)
conf_pep "${sites[@]}"
agent "${sites[@]}"
at_rest() { sessions_are 2 "in sync" && keyed office && [ "$(spis paris)" = "$(spis lyon)" ] && [ "$(sa_count paris)" -eq 2 ]; }
for more in no yes no; do
	[ $more = no ] || for site in "${sites[@]}"; do
		rm -f "$RUN/$site.orders.log"
		echo "count 0" >"$RUN/$site.orders"
	done
	check "copsctl apply" ctl_pdp apply "$RUN/$more.xml"
	check "at rest" wait_for 30 at_rest
	for site in "${sites[@]}"; do
		policies $site >"$RUN/$more.$site"
		[ $more = no ] || cp "$RUN/$site.orders.log" "$RUN/$site.operations"
	done
done
operations=$(wc -l <"$RUN/lyon.operations")
[ "$operations" -ge 10 ] && ok "the decision makes $operations operations at lyon, $(wc -l <"$RUN/paris.operations") at paris" ||
    { bad "the decision makes $operations operations"; evidence <"$RUN/lyon.operations"; }

step "Killed after each"
watch_start
died() { ! kill -0 "${PID[paris]}" 2>/dev/null && ! kill -0 "${PID[lyon]}" 2>/dev/null; }
so_far=$failures
more=yes
for ((k = 1; k <= operations; k++)); do
	for site in "${sites[@]}"; do
		echo "kill-after $k" >"$RUN/$site.orders"
	done
	ctl_pdp apply "$RUN/$more.xml" --no-wait >/dev/null || bad "apply $k"
	wait_for 10 died || bad "operation $k: not both died"
	for site in "${sites[@]}"; do
		daemon_kill $site KILL
		rm -f "$RUN/$site.orders"
	done
	agent "${sites[@]}"
	wait_for 30 holds $more || { bad "killed after operation $k, it does not converge"; holds $more 2>&1 | head -n 20 | evidence; }
	[ $more = yes ] && more=no || more=yes
done
[ $failures -eq $so_far ] && ok "killed after each of $operations operations, both carried the decision out in the end"
check "the hosts reach each other" wait_for 20 reaches paris lyon
check "at rest" wait_for 40 at_rest
assert_none_in_clear "all along"
summary
