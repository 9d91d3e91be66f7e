#!/bin/bash
# faults.sh - things go wrong underneath: disks fill up, others change the kernel's tables, the policy
# server dies between storing a change and hearing of it.  What runs goes on, what was said
# was true, and everything converges once the fault is over.
# timeout: 400
. "$(dirname "$0")/lib.sh"

intent=$RUN/acme.xml
sed -e '/nice/d' -e '/prefix="10.3/,/<\/member>/d' "$SCENARIO_TOP/examples/acme.xml" >"$intent"
add_site() { sed "/prefix=\"10.2.0.0/a<site prefix=\"$1\"/>" "$intent" >"$RUN/more.xml"; }
refused() # "WHAT" COMMAND...: fails with status 1 and says that the disk is full
{
	local what=$1 out status
	shift
	out=$("$@" 2>&1)
	status=$?
	if [ $status -eq 1 ] && grep -q "disk is full; nothing was changed" <<<"$out"; then
		ok "$what is refused: $out"
	else
		bad "$what: status $status: $out"
	fi
}
has() { ip -n "$1" xfrm policy | grep -q "$2"; }
has_not() { ! has "$@"; }
epoch() { ctl_pdp show vpn office --json | jq ".members[] | select(.ce == \"$1.$DOMAIN\") | .epoch"; }
new_epoch() { [ "$(epoch "$1")" -gt 1 ]; }
cached() { [ "$(ctl_ce paris show status --json | jq .cached)" = true ]; }
at_rest() { keyed office && [ "$(sa_count lyon)" -eq 2 ] && [ "$(spis lyon)" = "$(spis paris)" ]; }
generation() { ctl_pdp show status --json | jq .generation; }

# A disk of its own, which disk_fill fills to the last block.
disk_make() { mkdir -p "$1"; mount -t tmpfs -o size="$2",mode=700 none "$1"; }
disk_fill() { dd if=/dev/zero of="$1/ballast" bs=4k 2>/dev/null; dd if=/dev/zero of="$1/ballast2" bs=1 count=8192 2>/dev/null; }
disk_free() { rm -f "$1/ballast" "$1/ballast2"; }

step "Two sites; the state of the policy server and of paris on small disks"
sp_make
site_make paris 192.0.2.1 10.1.0.0/16
site_make lyon 192.0.2.2 10.2.0.0/16
disk_make "$RUN/pdp.state" 4m
disk_make "$RUN/paris.state" 256k
start_pdp
start_peps paris lyon
check "copsctl apply" ctl_pdp apply "$intent"
check "paris reaches lyon" wait_for 20 reaches paris lyon
check "and all are in sync" wait_for 20 sessions_are 2 "in sync"
watch_start

step "The policy server's disk is full"
ping_start paris lyon 0.1
disk_fill "$RUN/pdp.state"
before=$(generation)
add_site 10.22.0.0/16
refused "copsctl apply" ctl_pdp apply "$RUN/more.xml"
refused "copsctl rekey" ctl_pdp rekey
[ "$(generation)" -eq "$before" ] && ok "no generation was made" || bad "generation $(generation) after $before"
nap 1
has paris 10.22.0.0 && bad "paris got the change all the same" || ok "paris did not get it"
disk_free "$RUN/pdp.state"
check "with room again, copsctl apply" ctl_pdp apply "$RUN/more.xml"
check "paris has it" wait_for 20 has paris 10.22.0.0

step "The disk of paris is full"
disk_fill "$RUN/paris.state"
check "copsctl apply: policies need no disk" ctl_pdp apply "$intent"
check "paris has it in the kernel" wait_for 20 has_not paris 10.22.0.0
check "copsctl rekey" ctl_pdp rekey
check "lyon makes a new key" wait_for 20 new_epoch lyon
[ "$(epoch paris)" -eq 1 ] && ok "paris does not: a number is on the disk before it is used" || bad "paris made a new key"
check "paris reaches lyon" wait_for 20 reaches paris lyon
disk_free "$RUN/paris.state"
check "with room again paris makes its new key" wait_for 60 new_epoch paris
check "and its rows are on the disk" wait_for 30 cached
ping_stop paris lyon "throughout "

step "Others delete SAs and policies in the kernel of lyon"
check "at rest" wait_for 60 at_rest
ip -n lyon xfrm state flush
check "SAs flushed: lyon makes new keys" wait_for 30 reaches lyon paris
spi=$(ip -n lyon xfrm state list src 192.0.2.2 | grep -o '0x0000[0-9a-f]*' | head -n 1)
ip -n lyon xfrm state delete src 192.0.2.2 dst 192.0.2.1 proto esp spi "$spi" || bad "no SA to delete"
check "an outbound SA deleted: lyon reaches paris" wait_for 30 reaches lyon paris
check "in the end both ends hold the same SAs, and no others" wait_for 60 at_rest
ip -n lyon xfrm policy delete dir fwd src 10.1.0.0/16 dst 10.2.0.0/16
check "a deleted policy is back" wait_for 20 eval 'ip -n lyon xfrm policy | grep -A1 "^src 10.1.0.0/16 dst 10.2.0.0/16" | grep "dir fwd"'
assert_none_in_clear "in all of this"
ip -n lyon xfrm policy flush # what is sent until the agent hears of it is not protected
check "flushed policies are back" wait_for 20 has lyon 10.1.0.0
check "lyon reaches paris" wait_for 20 reaches lyon paris

step "lyon starts with empty tables while there is no policy server"
daemon_kill pdp KILL
daemon_kill lyon KILL
old=$(spis lyon)
ip -n lyon xfrm state flush
ip -n lyon xfrm policy flush
start_peps lyon
check "its policies are those of the rows on its disk" wait_for 20 has lyon 10.1.0.0
watch_start
check "lyon does not reach paris" reaches_not lyon paris
check "and none of its SAs is back: a key is never installed twice" \
    eval '[ -z "$(comm -12 <(spis lyon) <(echo "$old"))" ]'
assert_none_in_clear
start_pdp
check "the policy server is back: lyon reaches paris" wait_for 40 reaches lyon paris

step "The policy server is killed while a CE has not answered"
check "both in sync" wait_for 40 sessions_are 2 "in sync"
kill -STOP "${PID[lyon]}"
add_site 10.23.0.0/16
ctl_pdp apply "$RUN/more.xml" --wait 2 >"$RUN/out" 2>&1
status=$?
if [ $status -eq 1 ] && grep -q "lyon.*has not answered" "$RUN/out" && grep -q "paris.*confirmed" "$RUN/out"; then
	ok "copsctl apply says who has not answered, and who has (status 1)"
else
	bad "copsctl apply: status $status"
	evidence <"$RUN/out"
fi
daemon_kill pdp KILL
kill -CONT "${PID[lyon]}"
start_pdp
check "both in sync" wait_for 40 sessions_are 2 "in sync"
check "lyon has the change" wait_for 20 has lyon 10.23.0.0
check "paris too" has paris 10.23.0.0
check "copsctl apply finds nothing to change" eval 'ctl_pdp apply "$RUN/more.xml" | grep "nothing changed"'
check "lyon reaches paris" wait_for 20 reaches lyon paris
umount -l "$RUN/pdp.state" "$RUN/paris.state"

summary
