#!/bin/bash
# layering.sh - includes go one way, common < libcops, pib < pdp | pep | copsctl, and each
# third-party library stays in its files (doc/architecture.md).
set -u
cd "$(dirname "$0")/.." || exit 1
failures=0

# Folder: the folders whose headers its files may include.
layers='
common:  common
libcops: common libcops
pib:     common pib
pdp:     common libcops pib pdp
pep:     common libcops pib pep
copsctl: common libcops pib copsctl
'

# Header (extended regular expression): the files that may include it (shell patterns).
fences='
(event2/.*|event\.h):            common/ctl* libcops/cops_io* pdp/mailbox* pdp/worker* pdp/control* pdp/pdp* pdp/home* pdp/main.c pep/link* pep/control* pep/agent* pep/pep.c pep/pep.h pep/main.c pep/natt.c pep/vpn.c pep/vpn_learn.c pep/vici.c pep/kern_*
openssl/.*:                      common/sitekey.c common/tls* libcops/cops_hmac.c libcops/cops_io* pdp/session.h pdp/worker* pep/link* pep/keying_* copsctl/pki*
libxml/.*:                       pdp/intent_xml.c
sqlite3\.h|libpq-fe\.h:          pdp/store_*
(linux/(pfkeyv2|netlink|rtnetlink|xfrm|ipsec)|libmnl/.*|net/pfkeyv2)\.h|libmnl/.*: pep/kern_* pep/natt.c
smi\.h:                          pib/pibc*
pcap/pcap\.h:                    copsctl/decode_pcap.c
'

fail()
{
	echo "$*"
	failures=$((failures + 1))
}

# allowed WORD PATTERN... - does the word match one of the shell patterns?
allowed()
{
	local word=$1 pattern
	shift
	for pattern; do
		# shellcheck disable=SC2053 # a pattern is meant
		[[ $word == $pattern ]] && return 0
	done
	return 1
}

set -f
files=$(find common libcops pib pdp pep copsctl -name '*.[ch]' | sort)
while IFS=: read -r folder may; do
	[ -n "$folder" ] || continue
	while IFS=: read -r file line header; do
		[ -n "$file" ] || continue
		# shellcheck disable=SC2086
		allowed "${header%%/*}" config.h $may || fail "$file:$line: $folder must not include \"$header\""
	done < <(grep -nHoE '^#[[:space:]]*include "[^"]+"' $(grep "^$folder/" <<<"$files") /dev/null |
	    sed -E 's/#[[:space:]]*include "([^"]+)"/\1/')
done <<<"$layers"

while IFS= read -r row; do
	[ -n "$row" ] || continue
	header=${row%%: *}
	may=${row#*: }
	while IFS=: read -r file line text; do
		[ -n "$file" ] || continue
		# shellcheck disable=SC2086
		allowed "$file" $may || fail "$file:$line: ${text#*include } does not belong here"
	done < <(grep -nHE "^#[[:space:]]*include <($header)>" $files)
done <<<"$fences"

[ "$failures" -eq 0 ] || exit 1
echo "$(wc -l <<<"$files") files keep the layers"
