#!/bin/bash
# The shipped configurations are what the daemons print (but for the prefix) and take; the shipped
# intent is valid by the schema.
set -u
srcdir=${srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
failed=0
for daemon in pdp pep; do
	program=./$daemon/cops${daemon}d
	$program --print-config | sed -E 's,= [^ ]*(/etc|/var/lib)/cops,= \1/cops,' |
	    diff - "$srcdir/examples/$daemon.conf" || { echo "FAIL: examples/$daemon.conf is not what $program prints"; failed=1; }
	$program --check -c "$srcdir/examples/$daemon.conf" || { echo "FAIL: $program does not take examples/$daemon.conf"; failed=1; }
done
if command -v xmllint >/dev/null; then
	xmllint --noout --schema "$srcdir/pdp/intent.xsd" "$srcdir/examples/acme.xml" \
	    "$srcdir/examples/ike.xml" "$srcdir/examples/managed.xml" 2>&1 || failed=1
fi
exit $failed
