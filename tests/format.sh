#!/bin/sh
# format.sh - every C file is as .clang-format says, and nothing is left over.
set -eu
cd "$(dirname "$0")/.."
files=$(find common libcops pib pdp pep copsctl tests examples -name '*.[ch]' | sort)

clang-format --dry-run -Werror $files
if grep -nE '\b(TODO|FIXME|XXX)\b' $files; then
	echo "left over"
	exit 1
fi
echo "$(echo "$files" | wc -l) files are well formed"
