#!/bin/bash
# membership.sh - who is in and who is out: a CE joins by an edit, asks to leave and is denied, allowed, or let go
# by the intent; removal is confirmed by every former peer, also by one that was away; a revoked CE
# loses its session, its peers their rows of it.  Nothing is sent in clear to or from who is out.
# timeout: 300
. "$(dirname "$0")/lib.sh"

intent=$RUN/acme.xml
sed -e 's/topology="hub-and-spoke" relay="yes"/topology="full-mesh"/; s/ role="[a-z]*"//; /<space/d' \
    "$SCENARIO_TOP/examples/acme.xml" >"$intent"
sed -e '/<ce name="nice/d; /<member ce="nice/,/<\/member>/d' "$intent" >"$RUN/two.xml"
nice=nice.$DOMAIN

departure() { ctl_pdp show vpn office --json | jq -r ".departures[] | select(.ce == \"$nice\") | $1"; }
departed_is() { [ "$(departure .state)" = "$1" ]; }
leave_is() { [ "$(ctl_ce nice show vpn office --json | jq -r .leave)" = "$1" ]; }
requested() { ctl_pdp show requests --json | jq -e ".[] | select(.ce == \"$nice\" and .state == \"held\")"; }
# Nothing of the peer at this address is left in the kernel of SITE.
clear_of() { ! { ip -n "$1" xfrm state; ip -n "$1" xfrm policy; } | grep -F "$2"; }
out_of_vpn() { [ "$(sa_count nice)" -eq 0 ] && ! ip -n nice xfrm policy | grep -E 'tmpl|10\.'; }

step "Two sites, and a third that joins by an edit"
sp_make
site_make paris 192.0.2.1 10.1.0.0/16
site_make lyon 192.0.2.2 10.2.0.0/16
site_make nice 192.0.2.3 10.3.0.0/16
start_pdp
start_peps paris lyon nice
check "copsctl apply of two" ctl_pdp apply "$RUN/two.xml"
check "copsctl apply of three" ctl_pdp apply "$intent"
check "paris reaches nice" wait_for 30 reaches paris nice
check "lyon reaches nice" wait_for 30 reaches lyon nice
watch_start
ping_start paris lyon 0.1

step "nice asks to leave: an operator is to decide"
check "copsctl leave" ctl_ce nice leave office "moving house"
check "nice shows it" leave_is "asked to leave"
check "copsctl show requests has it" wait_for 10 requested
check "copsctl deny" ctl_pdp deny $nice office "not now"
check "nice hears of it" wait_for 20 leave_is denied
check "nobody asks any more" wait_for 10 eval '! requested'
check "paris still reaches nice" reaches paris nice
check "it asks again" ctl_ce nice leave office "moving house"
daemon_kill nice KILL
start_peps nice
check "that survives a restart" wait_for 20 leave_is "asked to leave"
check "and is there again" wait_for 20 requested

step "allowed, while lyon is away"
daemon_kill lyon KILL
check "lyon is missed" wait_for 20 eval '[ "$(ctl_pdp show sessions --json | jq length)" -eq 2 ]'
check "copsctl allow" ctl_pdp allow $nice office
check "nice has no SA and no policy of it" wait_for 20 out_of_vpn
check "paris has confirmed, lyon has not" wait_for 20 departed_is "leaving: 1 of 2 peers have confirmed"
departure '.waits_for[]' | evidence
check "nothing of nice is left at paris" clear_of paris 192.0.2.3
check "paris does not reach it" reaches_not paris nice
start_peps lyon
check "lyon is back: it is out" wait_for 20 departed_is out
check "nothing of nice is left at lyon" clear_of lyon 192.0.2.3
ctl_pdp apply "$intent" >"$RUN/out" 2>&1
grep -q "has left acme/office and stays out" "$RUN/out" && ok "copsctl apply says that it stays out" ||
    { bad "copsctl apply does not say that it stays out"; evidence <"$RUN/out"; }
check "copsctl readmit" ctl_pdp readmit $nice office
check "paris reaches nice" wait_for 30 reaches paris nice

step "nice is revoked"
check "copsctl revoke" ctl_pdp revoke $nice stolen
check "its session is over" wait_for 10 eval '[ "$(ctl_pdp show sessions --json | jq length)" -eq 2 ]'
check "nothing of it is left at paris" wait_for 10 clear_of paris 192.0.2.3
check "nor at lyon" wait_for 10 clear_of lyon 192.0.2.3
check "it is out" wait_for 20 departed_is out
check "paris does not reach it" reaches_not paris nice
check "it does not reach lyon" reaches_not nice lyon
check "it calls in vain" wait_for 20 grep -q "refused \"$nice\".*it is revoked" "$RUN/pdp.log"
check "copsctl show ce says so" eval "[ \"\$(ctl_pdp show ce $nice --json | jq -r .state)\" = revoked ]"
check "copsctl reinstate" ctl_pdp reinstate $nice
check "paris reaches nice" wait_for 60 reaches paris nice

step "leave=\"allow\": it goes at once"
sed -i 's/internet="bypass"/& leave="allow"/' "$intent"
check "copsctl apply" ctl_pdp apply "$intent"
check "copsctl leave" ctl_ce nice leave office closing
check "it is out, confirmed by both" wait_for 20 departed_is out
check "by nice, says the history" eval "ctl_pdp show history --json | jq -e '.[0].who == \"$nice\"'"
check "nice has nothing of it" wait_for 20 out_of_vpn

step "and by an edit"
check "copsctl readmit" ctl_pdp readmit $nice office
check "paris reaches nice" wait_for 30 reaches paris nice
check "copsctl apply of two" ctl_pdp apply "$RUN/two.xml"
check "it is out" wait_for 20 departed_is out
check "nothing of nice is left at paris" clear_of paris 192.0.2.3
ping_stop paris lyon "throughout "
assert_none_in_clear "from first to last"

summary
