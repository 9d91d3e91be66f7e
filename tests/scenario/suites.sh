#!/bin/bash
# suites.sh - what an SA is made of: of a VPN's transforms the first that both ends can do. A CE with
# PF_KEY and two with XFRM in one VPN; what nobody can do is refused at apply; a change to ChaCha20-Poly1305 and
# extended sequence numbers with a wide window loses nothing.
# timeout: 400
. "$(dirname "$0")/lib.sh"

intent=$RUN/acme.xml
two='<transform name="gcm" encr="aes-gcm-16-256" replay-window="256"/><transform name="strong" encr="aes-cbc-256" integ="hmac-sha2-512-256" lifetime="8h"/>'
sed -e "s,<transform name=\"strong\".*,$two," -e 's,transforms="strong",transforms="gcm strong",' \
    -e 's,topology="hub-and-spoke" relay="yes",topology="full-mesh",' -e 's, role="[a-z]*",,' \
    "$SCENARIO_TOP/examples/acme.xml" >"$intent"
BACKEND[paris]=xfrm
BACKEND[lyon]=xfrm
BACKEND[nice]=pfkey

step "A mesh of two CEs with XFRM and one with PF_KEY; AES-GCM first, AES-CBC second"
sp_make
site_make paris 192.0.2.1 10.1.0.0/16
site_make lyon 192.0.2.2 10.2.0.0/16
site_make nice 192.0.2.3 10.3.0.0/16
watch_start
start_pdp
start_peps paris lyon nice
check "copsctl apply" ctl_pdp apply "$intent"
check "all pairs have keys" wait_for 40 keyed office
# made_of SITE FROM TO PATTERN: the SAs at SITE from one CE to another are all made so, and there are some.
made_of() { ip -n "$1" -d xfrm state | awk -v from="src ${WAN[$2]} dst ${WAN[$3]}" -v want="$4" '
	/^src/ { ours = index($0, from) == 1; if (ours) { n++; good = 0 } }
	ours && $0 ~ want { good++; if (good == 1) ok++ }
	END { exit !(n > 0 && ok == n) }'; }
for pair in "paris lyon" "lyon paris"; do
	set -- $pair
	check "$1 to $2: AES-GCM" wait_for 20 made_of "$1" "$1" "$2" 'rfc4106\(gcm\(aes\)\)'
	check "with a window of 256 at $2" made_of "$2" "$1" "$2" 'replay_window 256'
done
for pair in "paris nice" "nice paris" "lyon nice" "nice lyon"; do
	set -- $pair
	check "$1 to $2: AES-CBC, HMAC-SHA2-512-256" wait_for 20 made_of "$1" "$1" "$2" 'hmac\(sha512\).* 256'
done
all_reach paris lyon nice
check "copsctl show ce: what PF_KEY can do" eval "ctl_pdp show ce nice.$DOMAIN --json | jq -e '(.transforms | index(\"aes-cbc-256 hmac-sha2-512-256\")) and (.esn | not) and .replay_window_max == 32'"
check "and XFRM" eval "ctl_pdp show ce lyon.$DOMAIN --json | jq -e '(.transforms | index(\"chacha20-poly1305\")) and .esn and .replay_window_max == 4096'"

step "AES-CBC with HMAC-SHA2-512-256 on the wire, looked at with the keys by tshark"
capture_start esp "ip proto 50 and src host ${WAN[paris]} and dst host ${WAN[nice]}"
reaches paris nice >/dev/null
capture_stop esp
# The SAs at SITE from one CE to another, a line each: SPI, encryption key, integrity key.
keys_of() { ip -n "$1" xfrm state | awk -v from="src ${WAN[$2]} dst ${WAN[$3]}" '
	/^src/ { ours = index($0, from) == 1 }
	!ours { next }
	$1 == "proto" { spi = $4 }
	$1 == "auth-trunc" { auth = $3 }
	$1 == "enc" { print spi, $3, auth }'; }
sas=()
while read -r spi enc auth; do
	sas+=(-o "uat:esp_sa:\"IPv4\",\"${WAN[paris]}\",\"${WAN[nice]}\",\"$spi\",\"AES-CBC [RFC3602]\",\"$enc\",\"HMAC-SHA-512-256 [RFC4868]\",\"$auth\"")
done < <(keys_of paris paris nice)
in_clear() { tshark -n -r "$RUN/esp.pcap" -o esp.enable_encryption_decode:TRUE -o esp.enable_authentication_check:TRUE "${sas[@]}" -T fields "$@" 2>>"$RUN/tshark.err"; }
in_clear -e esp.icv_good -e ip.dst -e icmp.type -e esp.icv >"$RUN/esp.txt"
if awk -F '\t' -v host="${HOST[nice]}" '$1 ~ /^(1|True)$/ && index($2, host) && $3 == 8 { good++ } END { exit !(NR > 0 && good == NR) }' "$RUN/esp.txt"; then
	ok "row109 tshark verifies an ICV of 256 bits and decrypts all $(wc -l <"$RUN/esp.txt") packets"
else
	bad "row109 tshark does not verify and decrypt every packet"
	head -n 3 "$RUN/tshark.err" "$RUN/esp.txt" | evidence
fi

step "What a CE cannot do is refused at apply"
sed 's,transforms="gcm strong",transforms="gcm",' "$intent" >"$RUN/bad.xml"
ctl_pdp apply "$RUN/bad.xml" >"$RUN/out" 2>&1
status=$?
[ $status -eq 1 ] && grep -qE 'bad\.xml:[0-9]+:[0-9]+: error: member "nice.*transform "gcm".*pfkey' "$RUN/out" &&
    ok "AES-GCM for a CE with PF_KEY: refused, with file, line and column" || bad "status $status"
evidence <"$RUN/out"

step "ChaCha20-Poly1305 with extended sequence numbers, under a running ping"
ping_start paris lyon
ping_start paris nice
sed -i 's,encr="aes-gcm-16-256" replay-window="256",encr="chacha20-poly1305" replay-window="1024" esn="yes",' "$intent"
check "copsctl apply" ctl_pdp apply "$intent"
for pair in "paris lyon" "lyon paris"; do
	set -- $pair
	check "$1 to $2: ChaCha20-Poly1305" wait_for 60 made_of "$1" "$1" "$2" 'rfc7539esp\(chacha20,poly1305\)'
	check "with a window of 1024 at $2" wait_for 30 made_of "$2" "$1" "$2" 'replay_window 1024'
	check "and ESN" wait_for 30 made_of "$2" "$1" "$2" 'flag.*esn'
done
ping_stop paris lyon "that goes over to it, "
ping_stop paris nice "that does not, "
assert_none_in_clear "from first to last"

summary
