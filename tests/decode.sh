#!/bin/bash
# copsctl decode: the golden messages and every kind of fault, word by word; the three kinds of
# input; captures with segments early, twice and missing.
set -u
srcdir=${srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
ctl=./copsctl/copsctl
vectors=$srcdir/tests/decode
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
failed=0
fail() { echo "FAIL: $*"; failed=1; }

# golden NAME STATUS - NAME.hex decodes to NAME.txt
golden()
{
	$ctl decode "$vectors/$1.hex" >"$tmp/out" 2>"$tmp/err"
	[ $? -eq "$2" ] || fail "$1: status is not $2"
	diff "$vectors/$1.txt" "$tmp/out" || fail "$1"
	[ ! -s "$tmp/err" ] || fail "$1: $(cat "$tmp/err")"
}
golden vectors 0
golden faults 1

# octets HEX - what the digits stand for
octets() { printf "$(tr -d ' \n' <<<"$1" | sed 's/../\\x&/g')"; }
hex=$(grep -v '^#' "$vectors/vectors.hex" | tr -d ' \n')

# The same messages as octets, from a file and from standard input; as JSON.
octets "$hex" >"$tmp/raw"
$ctl decode "$tmp/raw" | diff "$vectors/vectors.txt" - || fail "octets"
$ctl decode - <"$tmp/raw" | diff "$vectors/vectors.txt" - || fail "standard input"
fact() # FILTER - is true of the golden messages
{
	jq -e "$1" "$tmp/json" >/dev/null || fail "not so: $1"
}
$ctl decode --json "$tmp/raw" >"$tmp/json" || fail "--json"
fact 'length == 19'
fact 'all(.[]; [.. | .fault? // empty] == [])'
fact '.[7].objects[3].parts[0].value == "frwkBaseFilter.*"'
fact '.[4].objects[2].parts[1].columns.frwkPibIncarnationName == "vpn-blue"'
fact '.[2].client_type == 16385 and .[2].octet == 60'
$ctl decode --json "$vectors/faults.hex" >"$tmp/json"
fact '.[0].objects[1].fault | test("does not fit")'
fact '.[0].objects[1].octet == 16'

# Long values.
long="10064001 0000003c 00340e01 $(printf '%096d' 0)"
$ctl decode - <<<"$long" | grep -q '\.\.\. 16 more' || fail "a long value is not shortened"
$ctl decode --full - <<<"$long" | grep -q ': 0\{96\}$' || fail "--full shortens"

# What is no input: the status is 1 and there is a reason.
refuses() # PATTERN ARGUMENT... - input comes on standard input
{
	local pattern=$1 out status
	shift
	out=$($ctl decode "$@" 2>&1 >/dev/null)
	status=$?
	[ $status -ne 0 ] && [ $status -lt 3 ] || fail "decode $*: status $status"
	[[ $out == *$pattern* ]] || fail "decode $*: '$out' lacks '$pattern'"
}
refuses 'standard input:2:4: error: neither a hex digit' - < <(printf '10\n09 x0\n')
refuses 'standard input:1:4: error: half an octet' - < <(printf '100')
refuses 'no COPS message in it' - </dev/null
refuses 'No such file' "$tmp/none"
refuses 'not a TCP port' --port 0 - </dev/null
refuses 'not a TCP port' --port 3288x - </dev/null
refuses 'capture: ' - < <(octets 'd4c3b2a1 0200')
refuses 'link type 147' - < <(octets 'd4c3b2a1 02000400 00000000 00000000 ffff0000 93000000')
head -c 4096 /dev/zero | $ctl decode - >/dev/null && fail "zeros are decoded"

# --- captures ------------------------------------------------------------------

n32() { printf '%08x' "$1"; }
n16() { printf '%04x' "$1"; }
swap32() { local h; h=$(n32 "$1"); echo "${h:6:2}${h:4:2}${h:2:2}${h:0:2}"; }

pcap_begin() { octets 'd4c3b2a1 02000400 00000000 00000000 ffff0000 01000000'; }
frame() # HEX
{
	local n=$((${#1} / 2))
	octets "$(swap32 1000000000)$(swap32 250000)$(swap32 $n)$(swap32 $n)$1"
}
# tcp FROM-PORT TO-PORT SEQUENCE FLAGS HEX - a frame of Ethernet, IPv4, TCP, with padding
tcp()
{
	local data=${5// /} len
	len=$((40 + ${#data} / 2))
	frame "020000000001020000000002${vlan:-}0800$(
	)4500$(n16 $len)0000400040060000c0000201c000020a$(
	)$(n16 "$1")$(n16 "$2")$(n32 "$3")0000000050$4ffff00000000${data}0000"
}
tcp6() # the same by IPv6 with a hop-by-hop header
{
	local data=${5// /} len
	len=$((28 + ${#data} / 2))
	frame "02000000000102000000000286dd60000000$(n16 $len)0040$(
	)20010db800000000000000000000000120010db8000000000000000000000002$(
	)0600010400000000$(n16 "$1")$(n16 "$2")$(n32 "$3")0000000050$4ffff00000000$data"
}
ops() { $ctl decode "$@" "$tmp/pcap" | sed -n 's/^[0-9][0-9]*  //p' | sed 's/^\(.*Z  \)//; s/  client-type.*//' | tr '\n' ';'; }
expect() { [ "$2" = "$3" ] || fail "$1: got '$2', not '$3'"; }

opn='10064001 00000018 00100b01 6365312e 61636d65 00000000'
ssc='100a4001 00000008'
ka='10090000 00000008'
flow='192.0.2.1:40000 > 192.0.2.10:3288'
back='192.0.2.1:3288 > 192.0.2.10:40000'

# In order, cut in the middle of messages, both directions, padded and tagged.
{
	pcap_begin
	tcp 40000 3288 99 02 ''
	tcp 40000 3288 100 18 "${opn:0:17}"
	vlan=81000005 tcp 3288 40000 7 18 "$ka"
	tcp 40000 3288 108 18 "${opn:18} $ssc"
	tcp 40000 3289 108 18 "$ka"
} >"$tmp/pcap"
expect "in order" "$(ops)" "$back  KA;$flow  OPN;$flow  SSC;"
expect "other port" "$(ops --port 3289)" "192.0.2.1:40000 > 192.0.2.10:3289  KA;"
$ctl decode "$tmp/pcap" | grep -q '^2  2001-09-09T01:46:40.250000Z  ' || fail "no time"

# The last segment first, one twice, one that overlaps, sequence numbers that wrap.
{
	pcap_begin
	tcp 40000 3288 $((0xfffffffb)) 02 ''
	tcp 40000 3288 $((20 - 8)) 18 "${opn:36}"
	tcp 40000 3288 $((0xfffffffc)) 18 "${opn:0:17}"
	tcp 40000 3288 $((0xfffffffc)) 18 "${opn:0:17}"
	tcp 40000 3288 0 18 "${opn:9}"
	tcp 40000 3288 20 18 "$ka"
} >"$tmp/pcap"
expect "out of order" "$(ops)" "$flow  OPN;$flow  KA;"

# A segment never came; decoding goes on with the next one that begins a message.
{
	pcap_begin
	tcp 40000 3288 99 02 ''
	tcp 40000 3288 100 18 "${opn:0:17}"
	tcp 40000 3288 116 18 "${opn:36}"
	tcp 40000 3288 124 18 "$ka"
} >"$tmp/pcap"
expect "missing" "$(ops)" "$flow  OPN;$flow  at octet 8;$flow  KA;"
$ctl decode "$tmp/pcap" >"$tmp/out" && fail "missing octets: status 0"
grep -q '! octet 0: 8 octets are missing in the capture' "$tmp/out" || fail "nothing is missing"

# The capture began later; a port is used again; IPv6.
{
	pcap_begin
	tcp 40000 3288 100 18 'aabbcc'
	tcp 40000 3288 103 18 "$ssc"
	tcp 40000 3288 500 02 ''
	tcp 40000 3288 501 18 "$ka"
	tcp6 40000 3288 1 18 "$ka"
} >"$tmp/pcap"
expect "later" "$(ops)" "$flow  SSC;$flow  KA;[2001:db8::1]:40000 > [2001:db8::2]:3288  KA;"

# A capture cut short, and frames cut short everywhere, hurt nobody.
size=$(stat -c %s "$tmp/pcap")
for ((i = 25; i < size; i += 7)); do
	head -c "$i" "$tmp/pcap" | $ctl decode - >"$tmp/out" 2>&1
	[ $? -le 1 ] || fail "a capture of $i octets"
done
{
	pcap_begin
	whole=020000000001020000000002080045000030000040004006000
	whole+=0c0000201c000020a9c400cd80000000a000000005018ffff00000000${ka// /}
	for ((i = 2; i < ${#whole}; i += 2)); do
		frame "${whole:0:i}"
	done
} >"$tmp/pcap"
$ctl decode "$tmp/pcap" >"$tmp/out" 2>&1
[ $? -le 1 ] || fail "frames cut short"

exit $failed
