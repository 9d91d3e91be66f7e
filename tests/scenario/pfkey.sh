#!/bin/sh
# pfkey.sh - kern_pfkey against the PF_KEY of a real kernel: every operation, refusal, dump
# and event.  Runs inside tests/uml/boot; $COPS_BUILD is the build tree.
exec "${COPS_BUILD:-build}/tests/unit/pfkey_live"
