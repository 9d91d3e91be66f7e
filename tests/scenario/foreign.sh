#!/bin/bash
# foreign.sh - others change the kernel's tables: SAs flushed, deleted, put in the place of
# ours, policies deleted and overwritten, more events than the agent's socket holds.  All of it is
# noticed, put right and told to the policy server; what is somebody else's stays.  Both back ends:
# paris is over pfkey, lyon over xfrm.
# timeout: 300
. "$(dirname "$0")/lib.sh"

intent=$RUN/acme.xml
sed -e '/nice/d' -e '/prefix="10.3/,/<\/member>/d' "$SCENARIO_TOP/examples/acme.xml" >"$intent"
BACKEND[lyon]=xfrm
# The agent with little room for events, so that few of them are too many.
COPSPEPD=$COPSPEPD_FAULTS
export COPS_FAULTS_RCVBUF=65536

repairs() { ctl_pdp show ce "$1.$DOMAIN" --json | jq .repairs; }
trouble() { ctl_pdp show ce "$1.$DOMAIN" --json | jq -r .trouble; }
more_repairs() { [ "$(repairs "$1")" -gt "$2" ]; }
# Both ends hold the same SAs, and no others but those whose SPI is given.
same_sas() { [ "$(spis "$1" | grep -v "${3:-none}")" = "$(spis "$2" | grep -v "${3:-none}")" ]; }
at_rest() { keyed office && same_sas "$@"; }
policies() { ip -n "$1" -o xfrm policy | sort; }
policies_are() { [ "$(policies "$1")" = "$2" ]; }
sas() { ctl_ce "$1" show sa --json; }
# told SITE COUNT TEXT: the policy server heard of a repair that was not there before.
told() { check "$3: the policy server is told of the repair" wait_for 30 more_repairs "$1" "$2"; }

# spi_next SITE: the SPI of the next epoch's first inbound SA.
spi_next()
{
	local spi
	spi=$(sas "$1" | jq -r '[.[] | select(.dir == "in")] | max_by(.own_epoch) | .spi')
	printf '0x%08x' $(((spi & ~0xf0) | ((((spi >> 4) & 15) + 1) & 15) << 4))
}

# others SITE PEER: what others may do to SITE, whose tunnel is to PEER.
others()
{
	local site=$1 peer=$2 before n spi line
	local here=${WAN[$1]} there=${WAN[$2]} lan=${LAN[$1]} far=${LAN[$2]}

	step "$site (${BACKEND[$site]:-pfkey}): SAs flushed"
	check "at rest" wait_for 60 at_rest "$site" "$peer"
	before=$(policies "$site")
	n=$(repairs "$site")
	ip -n "$site" xfrm state flush
	check "row118 all SAs of $site flushed: it makes new keys" wait_for 30 reaches "$site" "$peer"
	told "$site" "$n" "row118 SAs flushed"
	check "both ends hold the same SAs, and no others" wait_for 60 at_rest "$site" "$peer"

	step "$site: an SA deleted, and another one with other keys in its place at once"
	n=$(repairs "$site")
	line=$(sas "$site" | jq -r '[.[] | select(.dir == "in")][0] | "\(.src) \(.dst) \(.spi) \(.reqid)"')
	set -- $line
	ip -n "$site" -batch - <<-END
		xfrm state delete src $1 dst $2 proto esp spi $3
		xfrm state add src $1 dst $2 proto esp spi $3 reqid $4 mode tunnel auth hmac(sha256) 0x$(printf '%064d' 7) enc cbc(aes) 0x$(printf '%064d' 8)
	END
	told "$site" "$n" "row118 an SA replaced"
	check "$peer reaches $site" wait_for 30 reaches "$peer" "$site"
	check "both ends hold the same SAs, and no others" wait_for 60 at_rest "$site" "$peer"

	step "$site: somebody else has the SPI that comes next"
	spi=$(spi_next "$site")
	ip -n "$site" xfrm state add src 203.0.113.9 dst "$here" proto esp spi "$spi" reqid 0 mode tunnel \
	    auth "hmac(sha256)" 0x"$(printf '%064d' 7)" enc "cbc(aes)" 0x"$(printf '%064d' 8)" || bad "no SA of others"
	check "copsctl rekey on $site" ctl_ce "$site" rekey
	check "it takes other numbers, and says why" wait_for 20 grep -q "somebody else has an SPI" "$RUN/$site.log"
	check "$peer reaches $site" wait_for 30 reaches "$peer" "$site"
	check "both ends hold the same SAs" wait_for 60 at_rest "$site" "$peer" "$spi"
	check "somebody else's is still there" eval 'ip -n "$site" xfrm state | grep -A1 "^src 203.0.113.9" | grep -q "$spi"'
	ip -n "$site" xfrm state delete src 203.0.113.9 dst "$here" proto esp spi "$spi"

	step "$site: policies deleted and overwritten"
	n=$(repairs "$site")
	ip -n "$site" xfrm policy delete dir fwd src "$far" dst "$lan"
	check "row118 a deleted policy is back" wait_for 20 policies_are "$site" "$before"
	told "$site" "$n" "row118 a policy deleted"
	n=$(repairs "$site")
	ip -n "$site" xfrm policy update dir out src "$lan" dst "$far" priority 99
	check "row118 one that others overwrote is ours again" wait_for 20 policies_are "$site" "$before"
	told "$site" "$n" "row118 a policy overwritten"
	n=$(repairs "$site")
	ip -n "$site" xfrm policy flush
	check "row118 flushed policies are back" wait_for 20 policies_are "$site" "$before"
	told "$site" "$n" "row118 policies flushed"
	check "$site reaches $peer" wait_for 20 reaches "$site" "$peer"

	step "$site: more events than its socket holds"
	n=$(repairs "$site")
	kill -STOP "${PID[$site]}"
	{
		for ((i = 0; i < 1000; i++)); do
			echo "xfrm policy update dir in src 203.0.113.0/24 dst 203.0.113.$((i & 255)) priority 9"
		done
		echo "xfrm policy delete dir out src $lan dst $far"
		echo "xfrm policy delete dir in src $far dst $lan"
	} | ip -n "$site" -batch -
	for ((i = 0; i < 256; i++)); do
		echo "xfrm policy delete dir in src 203.0.113.0/24 dst 203.0.113.$i"
	done | ip -n "$site" -batch -
	kill -CONT "${PID[$site]}"
	check "row118 what was deleted meanwhile is back" wait_for 30 policies_are "$site" "$before"
	check "that events were lost is noticed" wait_for 5 grep -q "events of the kernel were lost" "$RUN/$site.log"
	told "$site" "$n" "row118 events lost"
	check "$site reaches $peer" wait_for 20 reaches "$site" "$peer"

	step "$site: somebody else's policy where one of ours is to go"
	sed "/prefix=\"$(sed 's,/.*,,' <<<"$far")/a<site prefix=\"10.77.0.0/16\"/>" "$intent" >"$RUN/more.xml"
	ip -n "$site" xfrm policy add dir out src "$lan" dst 10.77.0.0/16 priority 7
	before=$(policies "$site")
	ctl_pdp apply "$RUN/more.xml" >"$RUN/out" 2>&1
	[ $? -eq 1 ] && grep -q "$site.*ceVpnPeerPrefix" "$RUN/out" && ok "copsctl apply names the row that $site refused" ||
		{ bad "copsctl apply"; evidence <"$RUN/out"; }
	check "and $site's policies are as before, somebody else's too" policies_are "$site" "$before"
	ip -n "$site" xfrm policy delete dir out src "$lan" dst 10.77.0.0/16
	check "with it gone, copsctl sync" ctl_pdp sync "$site.$DOMAIN"
	check "$site has the change" wait_for 20 eval 'policies "$site" | grep -q "src $lan dst 10.77.0.0/16"'
	check "back to what was" ctl_pdp apply "$intent"
	check "no trouble is left" [ -z "$(trouble "$site")" ]
}

step "Two sites"
sp_make
site_make paris 192.0.2.1 10.1.0.0/16
site_make lyon 192.0.2.2 10.2.0.0/16
start_pdp
start_peps paris lyon
check "copsctl apply" ctl_pdp apply "$intent"
check "paris reaches lyon" wait_for 20 reaches paris lyon
check "and all are in sync" wait_for 20 sessions_are 2 "in sync"
others paris lyon
others lyon paris
summary
