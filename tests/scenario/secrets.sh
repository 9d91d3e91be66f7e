#!/bin/bash
# secrets.sh - the keys that `ip xfrm state` shows are the same at both ends and nowhere else: not in logs,
# traces, reports, state directories, packets, core files; not in the policy server's memory or on
# its disk.
# timeout: 120
. "$(dirname "$0")/lib.sh"

intent=$RUN/acme.xml
PEP_OPTIONS=(log-level=debug)
BACKEND=([lyon]=xfrm)

# Daemons that write traces and might leave cores.
echo "$RUN/core.%e" >/proc/sys/kernel/core_pattern
for daemon in "$COPSPDPD" "$COPSPEPD"; do
	name=${daemon##*/}
	printf '#!/bin/sh\nulimit -c unlimited\nexec %s --trace %s/trace.%s.$$ "$@"\n' \
	    "$daemon" "$RUN" "$name" >"$RUN/$name"
	chmod +x "$RUN/$name"
done
COPSPDPD=$RUN/copspdpd
COPSPEPD=$RUN/copspepd

step "Two sites, one on each interface to the kernel"
sp_make
site_make paris 192.0.2.1 10.1.0.0/16
site_make lyon 192.0.2.2 10.2.0.0/16
cat >"$intent" <<XML
<intent xmlns="urn:copsvpn:intent:1"><customer name="acme">
<transform name="t" lifetime="8h"/>
<ce name="paris.$DOMAIN" address="${WAN[paris]}"/><ce name="lyon.$DOMAIN" address="${WAN[lyon]}"/>
<vpn name="office" id="00005e:00000001" transforms="t">
<member ce="paris.$DOMAIN"><site prefix="${LAN[paris]}"/></member>
<member ce="lyon.$DOMAIN"><site prefix="${LAN[lyon]}"/></member>
</vpn></customer></intent>
XML
CAPTURE_KIB=65536 # none may be missing, however busy the machine is
capture_start all
start_pdp log-level=debug
start_peps paris lyon
check "copsctl apply" ctl_pdp apply "$intent"
check "both have keys" wait_for 30 keyed office

# "SPI KEY..." of every SA of a site.
keys()
{
	ip -n "$1" xfrm state | awk '
		/^src/ { way = $2 " " $4 }
		/proto esp/ { spi = $4 }
		$1 ~ /^(enc|aead|auth|auth-trunc)$/ { for (i = 2; i <= NF; i++) if ($i ~ /^0x/ && length($i) > 20) print way, spi, substr($i, 3) }' | sort
}
keys paris >"$RUN/keys.paris"
keys lyon >"$RUN/keys.lyon"
awk '{ print $4 }' "$RUN/keys.paris" >"$RUN/keys"
ctl_pdp rekey office >/dev/null
check "both have keys again" wait_for 30 eval '[ "$(ctl_ce paris show peers --json | grep -c 2)" -gt 0 ] && keyed office'
all_reach paris lyon
keys paris | awk '{ print $4 }' >>"$RUN/keys"
sort -u -o "$RUN/keys" "$RUN/keys"
count=$(wc -l <"$RUN/keys")

step "The same keys at both ends"
[ -s "$RUN/keys.paris" ] && cmp -s "$RUN/keys.paris" "$RUN/keys.lyon" &&
    ok "row116 $(wc -l <"$RUN/keys.paris") keys, with the same SPIs, in both kernels" || {
	bad "row116 the kernels have different keys"
	diff "$RUN/keys.paris" "$RUN/keys.lyon" | cut -c1-60 | evidence
}

# patterns: eight octets of each key, as hex and as octets; none of them a line's end or a zero.
patterns()
{
	local key at part
	while read -r key; do
		for ((at = 0; at + 16 <= ${#key}; at += 2)); do
			part=${key:at:16}
			[[ $part =~ ^(..)*(00|0a) ]] && continue
			printf '%s\n' "$part"
			break
		done
	done <"$RUN/keys"
}
patterns >"$RUN/hex"
paste -sd'|' "$RUN/hex" >"$RUN/hex.expression"
sed 's/../\\x&/g' "$RUN/hex" | paste -sd'|' >"$RUN/octets.expression"
found_in() # FILE...: those that have a key
{
	LC_ALL=C grep -laE -f "$RUN/hex.expression" -- "$@"
	LC_ALL=C grep -laP -f "$RUN/octets.expression" -- "$@"
}
somewhere() { [ -n "$(found_in "$@")" ]; }
nowhere() # and says where, if it is somewhere
{
	local where
	where=$(found_in "$@")
	[ -z "$where" ] || { echo "$where"; return 1; }
}
# memory NAME: what a daemon has in memory that it can write to, into $RUN/memory.
memory()
{
	local range way rest from to
	: >"$RUN/memory"
	while read -r range way rest; do
		[[ $way == rw* ]] || continue
		from=$((16#${range%-*} / 4096)) to=$((16#${range#*-} / 4096))
		dd if="/proc/${PID[$1]}/mem" bs=4096 skip=$from count=$((to - from)) 2>/dev/null >>"$RUN/memory"
	done <"/proc/${PID[$1]}/maps"
}

step "Looking for $count keys"
[ "$(wc -l <"$RUN/hex")" -eq "$count" ] && [ "$count" -ge 4 ] && ok "all of them are looked for" || bad "$(wc -l <"$RUN/hex") of $count are looked for"
head -n 1 "$RUN/keys" | sed 's/../\\x&/g' | { read -r octets; printf "$octets" >"$RUN/control"; }
somewhere "$RUN/control" && somewhere "$RUN/keys" && ok "one in a file is found, as octets and as hex" || bad "the search finds nothing"
for site in paris lyon; do
	for what in status peers policies; do
		ctl_ce $site show $what >>"$RUN/shown" 2>&1
		ctl_ce $site show $what --json >>"$RUN/shown" 2>&1
	done
done
ctl_pdp show vpn office --json >>"$RUN/shown" 2>&1
check "row113 none in logs and traces" nowhere "$RUN"/*.log "$RUN"/trace.*
check "row113 none in what copsctl shows" nowhere "$RUN/shown"
check "row113 none in the CEs' state directories" nowhere $(find "$RUN/paris.state" "$RUN/lyon.state" -type f)
capture_stop all
check "row113 none on the wire" nowhere "$RUN/all.pcap"
memory pdp
LC_ALL=C grep -qa "paris.$DOMAIN" "$RUN/memory" && ok "the policy server's memory can be read: $(($(stat -c %s "$RUN/memory") / 1024)) KiB" ||
    bad "the policy server's memory cannot be read"
check "row114 row116 none in the policy server's memory" nowhere "$RUN/memory"
check "row114 none on its disk" nowhere $(find "$RUN/pdp.state" -type f)
for site in paris lyon; do
	memory $site
	LC_ALL=C grep -qa "$site.$DOMAIN" "$RUN/memory" || bad "the memory of $site's agent cannot be read"
	check "row113 none in the memory of $site's agent, once they are in the kernel" nowhere "$RUN/memory"
done

step "Killed by SIGABRT"
for name in pdp paris; do
	check "row113 a core of $name has no room" grep -q '^Max core file size  *0  *0 ' "/proc/${PID[$name]}/limits"
done
cp /bin/sleep "$RUN/sleeper"
(
	ulimit -c unlimited
	"$RUN/sleeper" 30 &
	wait_for 5 grep -q sleeper "/proc/$!/cmdline"
	kill -ABRT $!
	wait $!
) 2>/dev/null
[ -s "$RUN/core.sleeper" ] && ok "another program leaves a core" || say "this kernel writes no cores at all"
daemon_kill paris ABRT
daemon_kill pdp ABRT
[ -z "$(find "$RUN" -name 'core.*cops*')" ] && ok "row113 copspepd and copspdpd leave none" || bad "row113 there is a core"
summary
