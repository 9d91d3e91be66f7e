#!/bin/bash
# reboot_ike.sh - two CEs boot while no policy server can be reached: a VPN with keys from IKE comes up
# from the policy on their disks and passes traffic; nothing of a site leaves in clear meanwhile.
# timeout: 200
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_ike.sh"
. "$(dirname "$0")/lib_boot.sh"

sites=(paris lyon)

both_ways() { reaches paris lyon && reaches lyon paris; }

step "Two sites, keys from IKE"
sp_make
site_make paris 192.0.2.1 10.1.0.0/16
site_make lyon 192.0.2.2 10.2.0.0/16
cat >"$RUN/acme.xml" <<-XML
	<intent xmlns="urn:copsvpn:intent:1"><customer name="acme">
	<ce name="paris.$DOMAIN" address="192.0.2.1"/><ce name="lyon.$DOMAIN" address="192.0.2.2"/>
	<vpn name="office" id="00005e:00000001" keying="ike">
	<member ce="paris.$DOMAIN"><site prefix="10.1.0.0/16"/></member>
	<member ce="lyon.$DOMAIN"><site prefix="10.2.0.0/16"/></member>
	</vpn></customer></intent>
XML
start_pdp
for site in "${sites[@]}"; do
	PEP_OPTIONS=("vici-socket=\"$RUN/$site.vici\"" lockdown=yes)
	conf_pep $site
done
start_peps "${sites[@]}"
start_charon "${sites[@]}"
check "copsctl apply" ctl_pdp apply "$RUN/acme.xml"
check "the hosts reach each other" wait_for 40 both_ways
old=$(spis paris)
watch_start
for pair in "paris lyon" "lyon paris"; do
	ip netns exec "h-${pair% *}" ping -n -q -i 0.1 "${HOST[${pair#* }]}" >/dev/null 2>&1 &
	PID[on.$pair]=$!
done

step "Both lose power, and the policy server is away"
daemon_kill pdp KILL
for site in "${sites[@]}"; do
	daemon_kill $site.charon KILL
	power_off $site
done
for site in "${sites[@]}"; do
	check "$site: copspepd --lockdown, then the network" in_ns $site "$COPSPEPD" --lockdown -c "$RUN/$site.conf"
	network_up $site
	agent_boot $site
done
check "nothing passes while no IKE daemon is there" reaches_not paris lyon
start_charon "${sites[@]}"
check "without a policy server the hosts reach each other" wait_for 60 both_ways
check "with new SAs only" eval '[ -z "$(comm -12 <(spis paris) <(echo "$old"))" ] && [ "$(sa_count paris)" -ge 2 ]'
check "the agents say that there is no policy server" eval 'ctl_ce paris show status --json | jq -e "[.. | .connected? // empty] | any | not"'
assert_none_in_clear "from before the power cut to the end"

step "The policy server is back"
held=$(spis paris)
start_pdp
check "in sync" wait_for 40 sessions_are 2 "in sync"
check "and the SAs are those of before" eval '[ "$(spis paris)" = "$held" ]'
check "the hosts reach each other" wait_for 20 both_ways
summary
