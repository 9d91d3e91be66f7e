#!/bin/bash
# spin.sh - Spin goes through every state of the model of the epoch rules (tests/spin/keying.pml) in a
# few worlds, and finds the fault when a single rule is switched off.
set -u

model=$(cd "${srcdir:-$(dirname "$0")/..}" && pwd -P)/tests/spin/keying.pml
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
failed=0

# A world without anything that happens; what comes after overrides it.
quiet=(-DPACKETS=0 -DCUTS=0 -DPDPS=0 -DRESTARTS=0 -DBOOTS=0)

# pan_make OPTION... -- CC-OPTION...
pan_make()
{
	local -A last=()
	local option
	for option in "${quiet[@]}" "$@"; do
		[ "$option" != -- ] || break
		last[${option%%=*}]=$option
	done
	while [ "${1:-}" != -- ]; do
		shift
	done
	shift
	rm -f "$tmp"/*
	(cd "$tmp" && spin -a "${last[@]}" "$model" && cc "$@" -w -DMEMLIM=1500 -o pan pan.c) >"$tmp/made" 2>&1 ||
	    { cat "$tmp/made"; return 1; }
}

# A search that ended on its own and left nothing out.
whole()
{
	grep -q 'errors: 0' "$tmp/out" &&
	    ! grep -qE 'max search depth too small|Search not completed|out of memory|hash factor.*0\.' "$tmp/out"
}

states() { sed -n 's/^ *\([0-9]*\) states, stored.*/\1/p' "$tmp/out"; }

# holds NAME OPTION...: no state breaks a rule, and in the end all have the newest epochs
holds()
{
	local name=$1
	shift
	if pan_make "$@" -- -O1 -DSAFETY -DNOCLAIM -DCOLLAPSE &&
	    (cd "$tmp" && timeout 300 ./pan -m100000 >out 2>&1) && whole; then
		echo "ok  $name: $(states) states"
	else
		echo "FAIL $name: $*"
		tail -n 15 "$tmp/out" 2>/dev/null
		failed=1
	fi
}

# always NAME OPTION...: under weak fairness it comes to an end with the newest epochs, and stays
always()
{
	local name=$1
	shift
	if pan_make "$@" -- -O1 -DNFAIR=2 -DCOLLAPSE &&
	    (cd "$tmp" && timeout 300 ./pan -a -f -N renewed -m100000 >out 2>&1) && whole; then
		echo "ok  $name: $(states) states"
	else
		echo "FAIL $name: $*"
		tail -n 15 "$tmp/out" 2>/dev/null
		failed=1
	fi
}

# breaks RULE WHAT OPTION...: without the rule Spin finds that an assertion does not hold
breaks()
{
	local rule=$1 what=$2
	shift 2
	if pan_make "-D$rule" "$@" -- -O1 -DSAFETY -DNOCLAIM &&
	    (cd "$tmp" && timeout 300 ./pan -m100000 >out 2>&1 || true) &&
	    grep -q 'assertion violated' "$tmp/out"; then
		echo "ok  $rule ($what): found after $(states) states"
	else
		echo "FAIL $rule ($what): nothing is found"
		tail -n 15 "$tmp/out" 2>/dev/null
		failed=1
	fi
}

holds 'both rekey, packets on their way' -DPACKETS=1
holds 'one rekeys, the other twice' -DREKEYS=2 -DREKEYS_FIRST=1
holds 'both rekey, a session breaks, packets on their way' -DPACKETS=1 -DCUTS=1
holds 'from nothing, the server restarts' -DSCRATCH -DPDPS=1
holds 'both rekey, an agent restarts' -DRESTARTS=1
holds 'one rekeys, an agent restarts, the server restarts' -DRESTARTS=1 -DPDPS=1 -DREKEYS_FIRST=0
holds 'one rekeys, an agent restarts, a session breaks' -DRESTARTS=1 -DCUTS=1 -DREKEYS_FIRST=0
holds 'both rekey, an agent restarts, room for two' -DRESTARTS=1 -DLIVE=2
holds 'a CE boots, a session breaks' -DBOOTS=1 -DCUTS=1 -DREKEYS_FIRST=0
always 'always renewed: both rekey, a session breaks' -DCUTS=1
always 'always renewed: one rekeys, an agent restarts' -DRESTARTS=1 -DREKEYS_FIRST=0

breaks PUBLISH_FIRST 'inbound SAs before a key is published'
breaks ACK_FIRST 'inbound SAs before success is reported'
breaks NO_ACK 'no own epoch that the peer did not acknowledge'
breaks NO_GRACE 'withdrawn only after a time of grace' -DPACKETS=1
breaks NO_LINGER 'inbound SAs outlive the withdrawal' -DPACKETS=1
breaks NO_WAIT 'they stay while a peer may be bound to them' -DRESTARTS=1
breaks FORCE 'an epoch that may be in use makes no room' -DRESTARTS=1 -DLIVE=2
breaks REINSTALL 'no key is installed again after a boot' -DBOOTS=1 -DREKEYS_FIRST=0
breaks NO_RESYNC 'a CE that comes back says what it holds' -DCUTS=1
exit $failed
