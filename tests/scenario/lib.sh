# lib.sh - what scenarios share: an SP network of namespaces, daemons in it, pings, captures
# and checks that say what they found.  Sourced by bash scripts that run as root inside
# tests/uml/boot, where a script's folders are gone when it ends.
#
#	h-hq ── hq ─┐               a site SITE is a CE (namespace SITE: wan, lan) and a host
#	h-lyon ─ lyon ─ sp ── pdp   (namespace h-SITE) behind it; sp routes between the wan
#	            ...             addresses and the PDP and knows nothing of the sites' prefixes.
#
# Every packet of the SP network passes sp, which is where captures are made.  The CEs
# have a default route into it: what is not put into a tunnel would be seen there in clear.

set -u
SCENARIO_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
COPS_BUILD=$(cd "${COPS_BUILD:-$SCENARIO_TOP/build}" && pwd -P)
RUN=$(mktemp -d "${TMPDIR:-/tmp}/scenario.XXXXXX")
PDP_ADDR=198.51.100.10
PDP_NAME=pdp.sp.example
SP_ADDR=198.51.100.1
declare -A WAN LAN HOST PID
# The back ends of the sites' agents: taken in turn as sites are made, so that every scenario is of
# both and they meet; BACKENDS=xfrm is that one everywhere, BACKENDS="xfrm pfkey" the other way round.
declare -A BACKEND
read -r -a backends <<<"${BACKENDS:-pfkey xfrm}"
PEP_OPTIONS=() # OPTION=VALUE of every agent
exec {NAP}<> <(:)
. "$(dirname "${BASH_SOURCE[0]}")/lib_ask.sh"

# ---- words -----------------------------------------------------------------

checks=0
failures=0

step() { printf '\n== %s  (at %d s)\n' "$*" "$SECONDS"; }
say() { printf '     %s\n' "$*"; }
# What begins with rowNN is read by tests/conformance, which wants "ok" or "not ok" before it.
ok()
{
	checks=$((checks + 1))
	[[ $1 == row[0-9]* ]] && printf ' ok %s\n' "$*" || printf ' ok  %s\n' "$*"
}
bad()
{
	checks=$((checks + 1))
	failures=$((failures + 1))
	[[ $1 == row[0-9]* ]] && printf 'not ok %s\n' "$*" || printf 'FAIL %s\n' "$*"
}
die() { printf 'FAIL %s\n' "$*"; failures=$((failures + 1)); exit 1; }
# Lines of evidence from standard input.
evidence() { sed 's/^/     | /'; }
# check "WHAT HOLDS" COMMAND...: ok or FAIL, with what the command printed when it failed.
check()
{
	local what=$1 out
	shift
	if out=$([ "$ASKING" -eq 0 ] || ASKING=$BASHPID; "$@" 2>&1); then
		ok "$what"
	else
		bad "$what"
		[ -z "$out" ] || printf '%s\n' "$out" | tail -n 40 | evidence
		return 1
	fi
}

nap() { read -r -t "$1" -u "$NAP" || true; } # without a fork
# wait_for SECONDS COMMAND...: until it succeeds; its own words are not heard.  Twice as long where tests/run
# has other tests beside this one.
wait_for()
{
	local until=$((${EPOCHREALTIME%[.,]*} + $1 * ${COPS_PATIENCE:-1} + 1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "${EPOCHREALTIME%[.,]*}" -lt "$until" ] || return 1
		nap 0.1
	done
}

# ---- topology --------------------------------------------------------------

in_ns() { local ns=$1; shift; ip netns exec "$ns" "$@"; }

# Namespaces inherit forwarding from the first one; links have no IPv6 of their own.  (A process costs
# some 50 ms in the test kernel, so everything is made by few, long ip batches.)
sp_make()
{
	echo 1 >/proc/sys/net/ipv4/ip_forward
	ip -batch - <<-EOF
		netns add sp
		netns add pdp
		link add wan netns pdp type veth peer name to-pdp netns sp
	EOF
	ip -n sp link set lo up
	sp_attach pdp "$PDP_ADDR"
}

# sp_attach NAMESPACE ADDRESS: both ends of the link between its "wan" and sp.
sp_attach()
{
	ip -n sp -batch - <<-EOF
		addr add $SP_ADDR/32 dev to-$1
		link set to-$1 addrgenmode none
		link set to-$1 up
		route add $2/32 dev to-$1
	EOF
	ip -n "$1" -batch - <<-EOF
		link set lo up
		addr add $2/32 dev wan
		link set wan addrgenmode none
		link set wan up
		route add default via $SP_ADDR dev wan onlink src $2
	EOF
}

# site_make SITE WAN-ADDRESS PREFIX/LEN: the CE gets the prefix's .1, its host .10.
site_make()
{
	local net=${3%/*} len=${3#*/}
	WAN[$1]=$2
	LAN[$1]=$3
	HOST[$1]=${net%.*}.10
	: "${BACKEND[$1]:=${backends[(${#WAN[@]} - 1) % ${#backends[@]}]}}"
	ip -batch - <<-EOF
		netns add $1
		netns add h-$1
		link add wan netns $1 type veth peer name to-$1 netns sp
		link add lan netns $1 type veth peer name eth0 netns h-$1
	EOF
	sp_attach "$1" "$2"
	ip -n "$1" -batch - <<-EOF
		addr add ${net%.*}.1/$len dev lan
		link set lan addrgenmode none
		link set lan up
	EOF
	ip -n "h-$1" -batch - <<-EOF
		link set lo up
		addr add ${HOST[$1]}/$len dev eth0
		link set eth0 addrgenmode none
		link set eth0 up
		route add default via ${net%.*}.1
	EOF
}

# ---- traffic ---------------------------------------------------------------

# reaches A B: one of three pings from A's host to B's is answered; reaches_not: none of two.
reaches() { in_ns "h-$1" ping -n -q -c 3 -i 0.2 -W 2 "${HOST[$2]}"; }
reaches_not() { ! in_ns "h-$1" ping -n -q -c 2 -i 0.2 -W 0.5 "${HOST[$2]}"; }

# all_reach SITE...: every host reaches every other; all pings at once.
all_reach()
{
	local a b
	local -A job=()
	for a; do
		for b; do
			[ "$a" != "$b" ] || continue
			ip netns exec "h-$a" ping -n -q -c 3 -i 0.2 -W 2 "${HOST[$b]}" >"$RUN/reach.$a.$b" 2>&1 &
			job[$a.$b]=$!
		done
	done
	for a; do
		for b; do
			[ "$a" != "$b" ] || continue
			if wait "${job[$a.$b]}"; then
				ok "$a's host reaches $b's"
			else
				bad "$a's host does not reach $b's"
				evidence <"$RUN/reach.$a.$b"
			fi
		done
	done
}

# ping_start A B [INTERVAL] / ping_stop A B: a running ping, and whether it lost nothing.
ping_start()
{
	ip netns exec "h-$1" ping -D -n -i "${3:-0.02}" "${HOST[$2]}" >"$RUN/ping.$1.$2" 2>&1 &
	PID[ping.$1.$2]=$!
}

# When packets were lost, and why the kernels of the CEs dropped some.
ping_evidence()
{
	local site
	{
		awk 'match($0, /icmp_seq=[0-9]+/) && /bytes from/ {
			n = substr($0, RSTART + 9, RLENGTH - 9) + 0
			if (n > last + 1) print "nothing between", before, "and", $0
			last = n
			before = $0
		}' "$1"
		tail -n 4 "$1"
		for site in "${!WAN[@]}"; do
			in_ns "$site" awk -v site="$site" '$2 { print site ": " $1, $2 }' /proc/net/xfrm_stat
		done
	} | evidence
}

# The replies must be numbered 1..last without a gap; the packet on its way when the ping is
# stopped is the only one that may be missing.
ping_stop()
{
	local log=$RUN/ping.$1.$2 verdict
	kill -INT "${PID[ping.$1.$2]}"
	wait "${PID[ping.$1.$2]}" 2>/dev/null
	unset "PID[ping.$1.$2]"
	verdict=$(awk '
		match($0, /icmp_seq=[0-9]+/) && /bytes from/ {
			n = substr($0, RSTART + 9, RLENGTH - 9) + 0
			if (!(n in seen)) { seen[n] = 1; got++ }
			if (n > last) last = n
		}
		/packets transmitted/ { sent = $1 }
		END {
			printf "%d sent, %d answered, %d lost\n", sent, got, (last < sent - 1 ? sent - 1 : last) - got
			exit !(got > 0 && got == last && sent - last <= 1)
		}' "$log") && ok "ping ${3:-}from $1 to $2: $verdict" ||
		{ bad "ping ${3:-}from $1 to $2: $verdict"; ping_evidence "$log"; }
}

# capture_start NAME [FILTER] / capture_stop NAME: the SP network's packets in $RUN/NAME.pcap.
capture_start()
{
	ip netns exec sp tcpdump -i any -n -s 4096 -U --immediate-mode -B "${CAPTURE_KIB:-8192}" -Z root -w "$RUN/$1.pcap" "${2:-}" 2>"$RUN/$1.tcpdump" &
	PID[capture.$1]=$!
	wait_for 10 grep -q listening "$RUN/$1.tcpdump" || die "tcpdump does not start: $(cat "$RUN/$1.tcpdump")"
}

capture_stop()
{
	nap 0.3
	kill "${PID[capture.$1]}"
	wait "${PID[capture.$1]}" 2>/dev/null
	unset "PID[capture.$1]"
	grep -q '^0 packets dropped by kernel' "$RUN/$1.tcpdump" ||
		bad "the capture is not complete: $(tr '\n' ' ' <"$RUN/$1.tcpdump")"
}

captured() { local name=$1; shift; tcpdump -n -r "$RUN/$name.pcap" "$@" 2>/dev/null; }
captured_count() { captured "$@" | wc -l; }

# assert_only_esp NAME: between CEs there was ESP and nothing else, and some of it; all else
# is the control channel (TLS after its COPS/TLS upgrade) and ARP.
assert_only_esp()
{
	local ces= site other esp
	for site in "${!WAN[@]}"; do
		ces="$ces${ces:+ or }${WAN[$site]}"
	done
	esp=$(captured_count "$1" "ip proto 50 and src host ($ces) and dst host ($ces)")
	other=$(captured "$1" "not arp and not (ip proto 50 and src host ($ces) and dst host ($ces)) \
	    and not (tcp port 3288 and host $PDP_ADDR and host ($ces))")
	if [ "$esp" -gt 0 ] && [ -z "$other" ]; then
		ok "on the SP network: $esp ESP packets between CEs, none of anything else but the control channel"
	else
		bad "on the SP network: $esp ESP packets between CEs, and these:"
		printf '%s\n' "$other" | head -n 10 | evidence
	fi
}

# assert_control_is_tls NAME: the control channel carries TLS records, and no COPS message of
# our client-type (0x4001 in the header) ever in clear.
assert_control_is_tls()
{
	local data='tcp port 3288 and ((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0'
	local at='(tcp[12]&0xf0)>>2' records clear
	records=$(captured_count "$1" "$data and tcp[$at] = 0x17 and tcp[($at)+1] = 3")
	clear=$(captured_count "$1" "$data and tcp[$at]&0xf0 = 0x10 and tcp[($at)+2:2] = 0x4001")
	if [ "$records" -gt 0 ] && [ "$clear" -eq 0 ]; then
		ok "the control channel on port 3288: $records segments with TLS records, no decision in clear"
	else
		bad "the control channel on port 3288: $records segments with TLS records, $clear in clear"
	fi
}

# watch_start / assert_none_in_clear: whether anything from or to a site (10/8) is seen on the SP
# network outside of ESP.
watch_start() { capture_start watch "net 10.0.0.0/8 or ip proto 4 or ip proto 41 or ip6 proto 4 or (ip6 proto 60 and ip6[40] = 4)"; }
assert_none_in_clear()
{
	capture_stop watch
	if [ "$(captured_count watch)" -eq 0 ]; then
		ok "nothing of a site was seen in clear on the SP network${1:+ $1}"
	else
		bad "in clear on the SP network${1:+ $1}:"
		captured watch | head -n 5 | evidence
	fi
}

# ---- kernel state ----------------------------------------------------------

sa_count() { ip -n "$1" xfrm state | grep -c '^src'; }
spis() { ip -n "$1" xfrm state | grep -o 'spi 0x[0-9a-f]*' | sort -u; }
# What keying and policies are, without counters and clocks, in a fixed order.
kernel_dump() { ip -n "$1" xfrm state; echo; ip -n "$1" xfrm policy; }

# ---- daemons ---------------------------------------------------------------

COPSCTL=$COPS_BUILD/copsctl/copsctl
COPSPDPD=$COPS_BUILD/pdp/copspdpd
COPSPEPD=$COPS_BUILD/pep/copspepd
COPSPEPD_FAULTS=$COPS_BUILD/tests/unit/copspepd_faults # heeds COPS_FAULTS
# With shared libraries these are libtool's scripts, which start some twenty processes before the program in .libs.
for program in COPSPDPD COPSPEPD COPSPEPD_FAULTS; do
	real=${!program%/*}/.libs/${!program##*/}
	[ ! -x "$real" ] || declare "$program=$real"
done
export LD_LIBRARY_PATH=$COPS_BUILD/libcops/.libs:$COPS_BUILD/pib/.libs
DOMAIN=acme.example

ctl_pdp() { "$COPSCTL" --socket "$RUN/pdp.sock" "$@"; }
ctl_ce() { local site=$1; shift; "$COPSCTL" --socket "$RUN/$site.sock" "$@"; }

# conf_make EXAMPLE FILE OPTION=VALUE...: the shipped example with these options set.
conf_make()
{
	local from=$1 to=$2 option key line lines
	local -A value=()
	shift 2
	for option; do
		value[${option%%=*}]=${option#*=}
	done
	mapfile -t lines <"$from"
	for line in "${lines[@]}"; do
		if [[ $line =~ ^#?([a-z-]+)\ = && -v value[${BASH_REMATCH[1]}] ]]; then
			key=${BASH_REMATCH[1]}
			line="$key = ${value[$key]}"
			unset "value[$key]"
		fi
		printf '%s\n' "$line"
	done >"$to"
	[ ${#value[@]} -eq 0 ] || die "$from has no option ${!value[*]}"
}

# Certificates by our own CA: pki_make NAME... (CEs); the PDP's comes with the first.
pki_make()
{
	local name
	if [ ! -e "$RUN/pki/ca.pem" ]; then
		"$COPSCTL" pki init "$RUN/pki" >/dev/null || die "no CA"
		"$COPSCTL" pki issue "$PDP_NAME" --pdp --dir "$RUN/pki" >/dev/null || die "no certificate for the PDP"
	fi
	for name; do
		[ -e "$RUN/pki/$name.pem" ] || "$COPSCTL" pki issue "$name" --dir "$RUN/pki" >/dev/null || die "no certificate for $name"
	done
}

# sessions_are N STATE: N CEs are connected and in this state; keyed VPN: every pair of peers in it
# has keys both ways.
question sessions '[.[] | select(.state == $a[1])] | length == ($a[0] | tonumber)'
question keyed '[.members[].keyed | split("/") | .[0] == .[1] and .[1] != "0"] | all'
sessions_are() { ask sessions pdp "show sessions" "" "$1" "$2"; }
keyed() { ask keyed pdp "show vpn" "$1"; }

# Does it answer?
question up true
is_up() { ask up "$1" "show status"; }

# daemon_start NAME NAMESPACE COMMAND...; daemon_kill NAME [SIGNAL]
daemon_start()
{
	local name=$1 ns=$2
	shift 2
	ip netns exec "$ns" "$@" >>"$RUN/$name.log" 2>&1 &
	PID[$name]=$!
}

daemon_kill()
{
	[ -n "${PID[$1]:-}" ] || return 0
	kill "-${2:-TERM}" "${PID[$1]}" 2>/dev/null
	wait "${PID[$1]}" 2>/dev/null
	unset "PID[$1]"
}

# The PDP, in its namespace; more OPTION=VALUE on the first start.
start_pdp()
{
	pki_make
	[ -e "$RUN/pdp.conf" ] || conf_make "$SCENARIO_TOP/examples/pdp.conf" "$RUN/pdp.conf" \
	    "listen={ \"$PDP_ADDR\" }" "name=\"$PDP_NAME\"" log-level=info "state-dir=\"$RUN/pdp.state\"" "control-socket=\"$RUN/pdp.sock\"" \
	    "certificate=\"$RUN/pki/$PDP_NAME.pem\"" "key=\"$RUN/pki/$PDP_NAME.key\"" "ca=\"$RUN/pki/ca.pem\"" "$@"
	daemon_start pdp pdp "$COPSPDPD" -f -c "$RUN/pdp.conf"
	wait_for 20 is_up pdp || die "copspdpd does not start: $(tail -n 5 "$RUN/pdp.log")"
}

# The settings of these sites' agents, with PEP_OPTIONS, unless they are there.
conf_pep()
{
	local site
	for site; do
		pki_make "$site.$DOMAIN"
		[ -e "$RUN/$site.conf" ] || conf_make "$SCENARIO_TOP/examples/pep.conf" "$RUN/$site.conf" \
		    "pdp={ \"$PDP_NAME@$PDP_ADDR\" }" "state-dir=\"$RUN/$site.state\"" "control-socket=\"$RUN/$site.sock\"" \
		    "certificate=\"$RUN/pki/$site.$DOMAIN.pem\"" "key=\"$RUN/pki/$site.$DOMAIN.key\"" \
		    "ca=\"$RUN/pki/ca.pem\"" retry-min=200 retry-max=2000 "backend=${BACKEND[$site]:-auto}" "${PEP_OPTIONS[@]}"
	done
}

# The agents of these sites' CEs.
start_peps()
{
	local site
	conf_pep "$@"
	for site; do
		daemon_start "$site" "$site" "$COPSPEPD" -f -c "$RUN/$site.conf"
	done
	for site; do
		wait_for 20 is_up "$site" ||
		    die "copspepd of $site does not start: $(tail -n 5 "$RUN/$site.log")"
	done
}

cleanup()
{
	local name status=$?
	trap - EXIT
	for name in "${!PID[@]}"; do
		kill -TERM "${PID[$name]}" 2>/dev/null
	done
	wait
	if [ "$failures" -gt 0 ]; then
		for name in "$RUN"/*.log; do
			[ -s "$name" ] || continue
			printf '\n-- the end of %s\n' "${name##*/}"
			tail -n 15 "$name" | evidence
		done
	fi
	rm -rf "$RUN"
	[ "$failures" -eq 0 ] || status=1
	exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# The last lines of a scenario.
summary()
{
	local site each=
	for site in "${!BACKEND[@]}"; do
		each="$each $site by ${BACKEND[$site]},"
	done
	[ -z "$each" ] || printf '\nback ends:%s\n' "${each%,}"
	printf '\n%d of %d checks held, after %d s\n' $((checks - failures)) "$checks" "$SECONDS"
	[ "$failures" -eq 0 ]
}

# stream A B COUNT [OCTETS [SECONDS]]: COUNT echo requests as fast as they may go, or one after so many
# SECONDS, in the background; every one must be answered.
stream()
{
	ip netns exec "h-$1" ping -D -n -c "$3" -i "${5:-0.003}" -W 5 -s "${4:-56}" "${HOST[$2]}" >"$RUN/stream.$1.$2" 2>&1 &
	PID[stream.$1.$2]=$!
}
streaming() { kill -0 "${PID[stream.$1.$2]}" 2>/dev/null; }
stream_check()
{
	local said
	wait "${PID[stream.$1.$2]}" 2>/dev/null
	unset "PID[stream.$1.$2]"
	said=$(grep 'packets transmitted' "$RUN/stream.$1.$2")
	if [[ $said =~ ^([0-9]+)\ packets\ transmitted,\ ([0-9]+)\ received ]] &&
	    [ "${BASH_REMATCH[1]}" -eq "$3" ] && [ "${BASH_REMATCH[2]}" -eq "$3" ]; then
		ok "$4: $1 to $2 (${BACKEND[$1]}, ${BACKEND[$2]}): $said"
	else
		bad "$4: $1 to $2 (${BACKEND[$1]}, ${BACKEND[$2]}): $said"
		ping_evidence "$RUN/stream.$1.$2"
	fi
}
