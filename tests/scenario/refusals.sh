#!/bin/bash
# refusals.sh - a transaction of some seventy kernel operations, and each of them in turn refused,
# unanswered, or the last thing the agent did: over both back ends, in the test kernel, which is
# asked by iproute2.  Runs inside tests/uml/boot; $COPS_BUILD is the build tree.
# timeout: 900
status=0
for backend in pfkey xfrm; do
	"${COPS_BUILD:-build}/tests/unit/faults_live" $backend 2>&1 || status=1
done
exit $status
