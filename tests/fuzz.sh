#!/bin/bash
# fuzz.sh - every seed, and every input that ever found a fault, through its fuzz target.
set -u
top=$(cd "$(dirname "$0")/.." && pwd -P)
. "$top/tests/fuzz/lib.sh"
cd "${COPS_BUILD:-.}" || exit 1
make -s -j"$(nproc)" fuzz-targets || exit 1
failed=0
for name in $(fuzz_names); do
	mapfile -t seeds < <(fuzz_seeds "$name")
	said=$(timeout 20 tests/fuzz/fuzz_"$name" "${seeds[@]}" 2>&1) || failed=1
	echo "$name: $said"
done
exit $failed
