#!/bin/bash
# tshark.sh - an independent judge: everything that a policy server and three agents say to each
# other, over plain TCP and over TLS, is COPS to tshark and has no fault it can find.  Root,
# on the loopback interface; the agents enforce in memory.
#
# tshark shows the inside of Integrity-TLS, decision flag 0x02 and client-type 0x4001 as
# unknown; it does not call them faults.
set -u
top=$(cd "$(dirname "$0")/.." && pwd -P)
. "$top/tests/scenario/lib.sh"

# The scenarios' daemons, in no namespace, on a port of our own.
PDP_ADDR=127.0.0.1
port=$((20000 + $$ % 2500 * 4)) # and three more: other tests may run
sites='paris lyon nice'
daemon_start()
{
	local name=$1
	shift 2
	"$@" >>"$RUN/$name.log" 2>&1 &
	PID[$name]=$!
}

conf_site()
{
	conf_make "$top/examples/pep.conf" "$RUN/$1.conf" "pdp={ \"$PDP_NAME@$PDP_ADDR:$port\" }" \
	    "identity=\"$1.$DOMAIN\"" "security=$2" backend=mem "state-dir=\"$RUN/$1.state\"" \
	    "control-socket=\"$RUN/$1.sock\"" "certificate=\"$RUN/pki/$1.$DOMAIN.pem\"" \
	    "key=\"$RUN/pki/$1.$DOMAIN.key\"" "ca=\"$RUN/pki/ca.pem\"" retry-min=100 retry-max=500
}

tap_start()
{
	tcpdump -i lo -n -s 0 -U --immediate-mode -B 8192 -Z root -w "$RUN/$1.pcap" "tcp port $port" \
	    2>"$RUN/$1.tcpdump" &
	PID[capture.$1]=$!
	wait_for 10 grep -q listening "$RUN/$1.tcpdump" || die "tcpdump: $(cat "$RUN/$1.tcpdump")"
}

in_sync() { sessions_are 3 "in sync"; }

# exchange NAME SECURITY: all that daemons have to say to each other.
exchange()
{
	local site
	step "The exchange ($1)"
	rm -rf "$RUN"/*.conf "$RUN"/*.state "$RUN"/*.sock
	tap_start "$1"
	start_pdp "port=$port" "security=$2" keepalive=2 retry=0
	pki_make paris.$DOMAIN lyon.$DOMAIN nice.$DOMAIN
	for site in $sites; do
		conf_site $site "$2"
	done
	start_peps $sites
	check "intent applied" ctl_pdp apply "$top/examples/acme.xml"
	check "all in sync" wait_for 20 in_sync
	check "all have keys" wait_for 20 keyed office
	sed '/prefix="10.3.0.0/a\        <site prefix="10.33.0.0/16"/>' "$top/examples/acme.xml" >"$RUN/change.xml"
	check "a change" ctl_pdp apply "$RUN/change.xml"
	check "new keys" ctl_pdp rekey
	sed 's/aes-cbc-256" integ="hmac-sha2-512-256"/aes-gcm-16-256"/' "$top/examples/acme.xml" >"$RUN/gcm.xml"
	check "a transform that no agent has is refused" eval '! ctl_pdp apply "$RUN/gcm.xml"'
	check "and taken back" ctl_pdp apply "$top/examples/acme.xml"
	sed '/<member ce="nice/,/<\/member>/d; /<ce name="nice/d' "$top/examples/acme.xml" >"$RUN/two.xml"
	check "a site is removed" ctl_pdp apply "$RUN/two.xml"
	daemon_kill lyon KILL
	start_peps lyon
	check "an agent comes back" wait_for 20 keyed office
	daemon_kill pdp
	start_pdp
	check "the server comes back" wait_for 20 keyed office
	nap 2.5 # keep-alives
	for site in $sites pdp; do
		daemon_kill $site
	done
	capture_stop "$1"
}

# ---- judging ---------------------------------------------------------------

# A filter that tshark does not take must not look like an answer.
judge()
{
	local name=$1
	shift
	tshark -n -r "$RUN/$name.pcap" "${how[@]}" "$@" 2>"$RUN/tshark.err" ||
	    sed 's/^/tshark: /' "$RUN/tshark.err"
}
nothing() { local out; out=$("$@"); [ -z "$out" ] || { printf '%s\n' "$out" | head -n 20; false; }; }

# no_fault NAME: nothing is malformed; no dissector has an error; COPS and TLS have no warning.
no_fault()
{
	judge "$1" -Y '_ws.malformed or _ws.expert.severity == Error or
	    ((cops or tls) and _ws.expert.severity == Warning and not tcp.flags.reset == 1)' -T fields \
	    -e frame.number -e _ws.col.Info -e _ws.expert.message
}

# op_codes NAME: how often each op-code was seen: "1:7 2:20 ...".
op_codes()
{
	judge "$1" -Y cops -T fields -e cops.op_code | tr ',' '\n' | sort -n | uniq -c |
	    awk '{ printf "%s%s:%s", sep, $2, $1; sep = " " }'
}

has_codes()
{
	local codes code
	codes=" $(op_codes "$1")"
	shift
	for code; do
		[[ $codes == *" $code:"* ]] || { echo "no op-code $code in$codes"; return 1; }
	done
}

# decrypt FROM TO: a capture of what the TLS sessions carry, and of the COPS messages in clear before
# them.  (tshark cannot be told that COPS is inside TLS.)
decrypt()
{
	local stream
	judge "$1" -Y 'tcp.len > 0' -T fields -e tcp.stream -e tcp.dstport -e tcp.payload \
	    -e data.data | awk -F '\t' -v port="$port" -v run="$RUN" '
		{ gsub(",", "", $4) }
		$3 ~ /^16/ { tls[$1] = 1 }
		$4 == "" && !tls[$1] { $4 = $3 }
		$4 != "" {
			out = run "/stream." $1
			gsub(/../, "& ", $4)
			printf "%s\n000000 %s\n", $2 == port ? "O" : "I", $4 >out
		}'
	for stream in "$RUN"/stream.*; do
		text2pcap -q -D -T "$((10000 + ${stream##*.})),$port" "$stream" "$stream.pcap" >/dev/null 2>&1 ||
		    die "text2pcap $stream"
	done
	mergecap -a -F pcap -w "$RUN/$2.pcap" "$RUN"/stream.*.pcap || die mergecap
}

# not_known NAME: what tshark calls unknown, but for the gaps named above (its one-line
# summary of a CPERR looks the code up in the wrong table).
not_known()
{
	judge "$1" -O cops -Y cops | grep -i unknown |
	    grep -vE 'Client Type: Unknown \(16385\)|Contents: Error-Code: <Unknown value>, Error Sub-code:'
}

# A judge that finds nothing might be asleep: an OPN with an object of 2 octets.
finds_faults()
{
	printf 'O\n000000 10 06 40 01 00 00 00 10 00 02 0b 01 63 65 31 00\n' |
	    text2pcap -q -D -F pcap -T "10000,$port" - "$RUN/bad.pcap" >/dev/null 2>&1
	[ -n "$(no_fault bad)" ]
}

# What the lengths of the COPS messages add up to, and the octets TCP carried.
cops_octets() { judge "$1" -Y cops -T fields -e cops.msg_len | tr ',' '\n' | awk '{ n += $1 } END { print n + 0 }'; }
tcp_octets() { judge "$1" -Y 'tcp.len > 0 and not tcp.analysis.retransmission' -T fields -e tcp.len | awk '{ n += $1 } END { print n + 0 }'; }

# pepids NAME: "3 lyon.acme.example" for every PEPID of an OPN, and how often
pepids() { judge "$1" -Y 'cops.op_code == 6' -T fields -e cops.pepid.id | tr ',' '\n' | grep . | sort | uniq -c; }
# Three agents, each its own name; lyon was killed and started between.
pepids_persist()
{
	local seen
	seen=$(pepids "$1")
	[ "$(wc -l <<<"$seen")" -eq 3 ] && [ "$(awk -v ce="lyon.$DOMAIN" '$2 == ce { print $1 }' <<<"$seen")" -ge 3 ] ||
	    { echo "$seen"; false; }
}

# verdict NAME: a capture in which port $port is COPS in clear.
verdict()
{
	say "op-codes $(op_codes "$1")"
	check "nothing malformed, no error, no warning" nothing no_fault "$1"
	check "no object, code or number is unknown" nothing not_known "$1"
	check "REQ, DEC, RPT, OPN, CAT, CC and KA were seen" has_codes "$1" 1 2 3 6 7 8 9
	check "row6 the same PEPID from every agent, also after a restart" pepids_persist "$1"
	check "every octet is part of a COPS message: $(cops_octets "$1")" \
	    [ "$(cops_octets "$1")" -eq "$(tcp_octets "$1")" ]
}

exchange plain none
step "What tshark says of plain TCP"
how=(-d "tcp.port==$port,cops")
verdict plain
check "and a malformed message is one to tshark" finds_faults

"${CC:-cc}" -shared -fPIC -o "$RUN/keylog.so" "$top/tests/tshark/keylog.c" -ldl || die "keylog.so"
export KEYLOG=$RUN/keylog
export LD_PRELOAD=$RUN/keylog.so
exchange tls tls
unset LD_PRELOAD
step "What tshark says of TLS"
how=(-d "tcp.port==$port,tls" -d "tls.port==$port,data" -o "tls.keylog_file:$KEYLOG")
check "nothing malformed, no error, no warning in TLS" nothing no_fault tls
decrypt tls inside
how=(-d "tcp.port==$port,cops")
verdict inside
summary
