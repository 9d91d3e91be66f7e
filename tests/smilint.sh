#!/bin/sh
# smilint.sh - the PIB modules are what the independent judge takes for right.
set -eu
cd "$(dirname "$0")/../pib/modules"
export SMIPATH=.

words=$(smilint -s -l 3 ./FRAMEWORK-PIB ./CE-VPN-PIB 2>&1)
if [ -n "$words" ]; then
	echo "$words"
	exit 1
fi
echo "no complaints"
