#!/bin/bash
# tshark_units.sh - the judge of tshark.sh on what the unit tests make our code send: every op-code,
# Integrity and Integrity-TLS, Request-State decisions, redirect, errors, faults in reports.  What a
# test makes malformed on purpose is not among it (tests/unit/capture.h).
set -u
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
failures=0
result() { [ "$1" -eq 0 ] && echo "ok $2" || { echo "not ok $2"; failures=$((failures + 1)); }; }

# judge FILE FILTER FIELD...: tshark's fields of what the filter lets through
judge()
{
	local file=$1 filter=$2 field fields=()
	shift 2
	for field; do
		fields+=(-e "$field")
	done
	tshark -n -r "$file" -o tcp.analyze_sequence_numbers:FALSE -Y "$filter" -T fields "${fields[@]}" 2>&1 |
	    grep -v 'Running as user'
}
faults() { judge "$1" '_ws.malformed or _ws.expert.severity == Error or (cops and _ws.expert.severity == Warning)' \
    frame.number _ws.col.Info _ws.expert.message; }

# A judge that finds nothing might be asleep: an OPN with an object of 2 octets.
printf 'O\n000000 10 06 40 01 00 00 00 10 00 02 0b 01 63 65 31 00\n' >"$tmp/bad.txt"
text2pcap -q -D -F pcap -T 10000,3288 "$tmp/bad.txt" "$tmp/bad.pcap" >/dev/null 2>&1
[ -n "$(faults "$tmp/bad.pcap")" ]
result $? "a malformed message is one to tshark"

codes=
for name in test_cops_msg test_cops_conn test_pep_agent test_pep_contexts test_pdp; do
	srcdir=${srcdir:-.} COPS_CAPTURE=$tmp/$name.txt timeout 120 "./tests/unit/$name" >"$tmp/log" 2>&1
	sent=$(grep -c '^000000' "$tmp/$name.txt")
	text2pcap -q -D -F pcap -T 10000,3288 "$tmp/$name.txt" "$tmp/$name.pcap" >"$tmp/log" 2>&1 || cat "$tmp/log"
	faults "$tmp/$name.pcap" >"$tmp/faults"
	head -n 20 "$tmp/faults"
	[ "$sent" -gt 0 ] && [ ! -s "$tmp/faults" ]
	result $? "$name: $sent messages, nothing malformed, no error, no warning"
	judged=$(judge "$tmp/$name.pcap" cops cops.msg_len | tr ',' '\n' | grep -c .)
	[ "$judged" -eq "$sent" ]
	result $? "$name: every one of them is one COPS message ($judged)"
	codes+=" $(judge "$tmp/$name.pcap" cops cops.op_code | tr ',' '\n' | sort -un | tr '\n' ' ')"
done
codes=$(printf '%s\n' $codes | sort -un | tr '\n' ' ')
[ "$codes" = "1 2 3 4 5 6 7 8 9 10 " ]
result $? "every op-code was seen: $codes"
[ "$failures" -eq 0 ]
