# lib.sh - what the scripts share that run real daemons on the loopback interface: for sourcing, in
# the build folder.
srcdir=${srcdir:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)}
ctl=./copsctl/copsctl
tmp=$(mktemp -d) || exit 99
port=$((20000 + $$ % 2500 * 4)) # and three more: other tests may run
failed=0
declare -A pid=() # of the daemons, killed at the end
trap '[ ${#pid[@]} -eq 0 ] || kill "${pid[@]}" 2>/dev/null; wait; rm -rf "$tmp"' EXIT

fail() { echo "FAIL: $*"; failed=1; }

check() # WHAT COMMAND... - a line of the result
{
	local what=$1
	shift
	if "$@"; then
		echo "ok $what"
	else
		echo "not ok $what"
		failed=1
		tail -n 4 "$tmp"/*.log
	fi
}

wait_for() # COMMAND... - for 20 s; its words are not heard
{
	local i
	for ((i = 0; i < 200; i++)); do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.1
	done
	return 1
}
