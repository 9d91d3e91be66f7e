#!/bin/sh
# pibc.sh - a module with a fault stops the build: pibc names file and line, exits 1
# and writes nothing of that module.  Run in the top build folder.
set -u
modules=$(cd "${srcdir:-$(dirname "$0")/..}/pib/modules" && pwd) || exit 1
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
export ASAN_OPTIONS=detect_leaks=0
passed=0 failed=0

result() { # ok|bad, what
	if [ "$1" = ok ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAILED: $2"
		sed 's/^/    /' "$tmp/err"
	fi
}

compile() {
	rm -rf "$tmp/out" && mkdir "$tmp/out" &&
	    pib/pibc -o "$tmp/out" -I "$tmp/m" CE-VPN-PIB 2>"$tmp/err"
}

# what, sed script, what the message has to say
refuses() {
	rm -rf "$tmp/m" && cp -r "$modules" "$tmp/m" && chmod -R u+w "$tmp/m"
	sed -i "$2" "$tmp/m/CE-VPN-PIB"
	if cmp -s "$modules/CE-VPN-PIB" "$tmp/m/CE-VPN-PIB"; then
		echo "nothing was changed" >"$tmp/err"
		result bad "$1"
	elif compile || ! grep -Eq "CE-VPN-PIB:[0-9]+: error: .*$3" "$tmp/err" ||
	    [ -n "$(ls "$tmp/out")" ]; then
		result bad "$1"
	else
		result ok "$1"
	fi
}

refuses "not SPPI" 's/^ceVpnId OBJECT-TYPE/ceVpnId OBJECTTYPE/' ''
refuses "unknown type" 's/SYNTAX       CeVpnEpoch/SYNTAX       CeVpnEra/' 'CeVpnEra'
refuses "reference without PIB-REFERENCES" '/PIB-REFERENCES { ceVpnEntry }/d' 'PIB-REFERENCES'
refuses "tag reference without PIB-TAG" '/PIB-TAG /d' 'PIB-TAG'
refuses "PIB-TAG of something else" 's/PIB-TAG .*/PIB-TAG { ceVpnProposalOrder }/' 'PIB-TAG'
refuses "reference on another type" \
    '/^ceVpnPeerAckPeer/,/::=/s/SYNTAX       ReferenceId/SYNTAX       Unsigned32/' 'PIB-REFERENCES'
refuses "no PIB-ACCESS" '/^ceVpnSiteTable/,/::=/{/PIB-ACCESS/d}' ''
refuses "index is no InstanceId" '/^ceVpnSiteId/,/::=/s/InstanceId/TagId/' 'PIB-INDEX'
refuses "gap in the column numbers" 's/{ ceVpnSiteEntry 4 }/{ ceVpnSiteEntry 5 }/' 'gaps'
refuses "UNIQUENESS of the index" 's/^ *ceVpnPeerAckPeer$/ceVpnPeerAckId/' 'UNIQUENESS'

rm -rf "$tmp/m" && cp -r "$modules" "$tmp/m"
if compile && [ -s "$tmp/out/ce_vpn_pib.h" ] && [ ! -s "$tmp/err" ]; then
	result ok "the module as it is"
else
	result bad "the module as it is"
fi
if pib/pibc -o "$tmp/out" -I "$tmp/m" NO-SUCH-PIB 2>"$tmp/err"; then
	result bad "unknown module"
else
	result ok "unknown module"
fi
echo "pibc: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
