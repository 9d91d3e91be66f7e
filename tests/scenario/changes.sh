#!/bin/bash
# changes.sh - changes that must not hurt: of a transform, a CE's address, a site's prefixes and keys'
# lifetimes under running pings; CEs that were away learn what they missed, also that they
# are in no VPN any more.
# timeout: 400
. "$(dirname "$0")/lib.sh"

intent=$RUN/acme.xml
cp "$SCENARIO_TOP/examples/acme.xml" "$intent"
apply() # "WHAT" SED-ARGUMENT...
{
	local what=$1
	shift
	cp "$intent" "$RUN/before.xml"
	sed -i "$@" "$intent"
	cmp -s "$intent" "$RUN/before.xml" && die "$what: the edit changes nothing"
	check "copsctl apply: $what" ctl_pdp apply "$intent"
}

step "Three sites"
sp_make
site_make paris 192.0.2.1 10.1.0.0/16
site_make lyon 192.0.2.2 10.2.0.0/16
site_make nice 192.0.2.3 10.3.0.0/16
start_pdp
start_peps paris lyon nice
check "copsctl apply" ctl_pdp apply "$intent"
all_reach paris lyon nice
watch_start

step "Another transform, under running pings"
ping_start paris lyon
ping_start lyon nice
# All SAs of a CE have keys of so many bits.
bits() { [ "$(sa_count "$1")" -gt 0 ] && ! ip -n "$1" xfrm state | grep 'enc cbc' | grep -vE "0x[0-9a-f]{$(($2 / 4))}( |\$)"; }
apply "AES-CBC-128" 's,aes-cbc-256,aes-cbc-128,'
for site in paris lyon nice; do
	check "$site uses it for all SAs" wait_for 60 bits $site 128
done

step "Keys that live for 30 s"
apply "a lifetime of 30 s" 's,lifetime="8h",lifetime="30s",'
old=$(spis paris)
renewed() { [ "$(sa_count paris)" -gt 0 ] && [ -z "$(comm -12 <(spis paris) - <<<"$old")" ]; }
check "every key of paris is replaced in time" wait_for 60 renewed
apply "a lifetime of 8 h" 's,lifetime="30s",lifetime="8h",'

step "A site's prefixes"
apply "two more for lyon" 's,<site prefix="10.2.0.0/16"/>,&<site prefix="10.42.0.0/16"/><site prefix="10.52.0.0/16"/>,'
apply "one less" 's,<site prefix="10.52.0.0/16"/>,,'
ping_stop paris lyon "throughout "
ping_stop lyon nice "throughout "

step "lyon moves to another address"
ip -n sp route add 192.0.2.22/32 dev to-lyon
ip -n lyon addr add 192.0.2.22/32 dev wan
ping_start paris nice
apply "lyon is at 192.0.2.22" 's,192.0.2.2",192.0.2.22",'
check "paris reaches lyon" wait_for 30 reaches paris lyon
check "nothing is left of its old address" wait_for 30 eval '! { kernel_dump paris; kernel_dump lyon; } | grep "192\.0\.2\.2 "'
check "nice reaches lyon" wait_for 10 reaches nice lyon
ping_stop paris nice "that it does not concern, "

step "lyon is away while it gets another prefix, nice while it leaves"
daemon_kill lyon KILL
daemon_kill nice KILL
check "both are missed" wait_for 20 eval '[ "$(ctl_pdp show sessions --json | jq length)" -eq 1 ]'
sed -i -e 's,<site prefix="10.2.0.0/16"/>,&<site prefix="10.62.0.0/16"/>,' \
    -e '/<ce name="nice/d' -e '/<member ce="nice/,/<\/member>/d' "$intent"
ctl_pdp apply "$intent" >"$RUN/out" 2>&1
status=$?
if [ $status -eq 0 ] && grep -q "paris.*confirmed" "$RUN/out" && grep -q "lyon.*offline" "$RUN/out" &&
    grep -q "nice.*offline" "$RUN/out" && grep -q "2 CEs are not connected" "$RUN/out"; then
	ok "copsctl apply says who has it and who is away"
else
	bad "copsctl apply: status $status"
	evidence <"$RUN/out"
fi
check "copsctl show ces: nice is not told yet" eval 'ctl_pdp show ces | grep "nice.*gone, not told yet"'
start_peps lyon nice
check "lyon is told when it connects" wait_for 20 eval 'ip -n lyon xfrm policy | grep 10.62.0.0'
clean() { [ "$(sa_count nice)" -eq 0 ] && ! ip -n nice xfrm policy | grep -E 'tmpl|10\.'; }
check "nice learns that it is in no VPN, and has no SA and no policy of one" wait_for 20 clean
check "paris reaches lyon" wait_for 20 reaches paris lyon
check "then nice is forgotten" wait_for 20 eval '! ctl_pdp show ces | grep nice'
assert_none_in_clear "from first to last"

summary
