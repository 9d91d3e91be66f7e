#!/bin/sh
# backends.sh - kern_pfkey and kern_xfrm against a real kernel: every operation, refusal, dump
# and event.  Runs inside tests/uml/boot; $COPS_BUILD is the build tree.
exec "${COPS_BUILD:-build}/tests/unit/kern_live"
