#!/bin/bash
# The man page lists exactly the commands and options of common/commands.c, every local
# command is carried out, and the completion script completes them.
set -u
srcdir=${srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
ctl=./copsctl/copsctl
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
failed=0
fail() { echo "FAIL: $*"; failed=1; }

# "name|args" of every command, "--option ARG" of every option, as copsctl tells them.
sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z ]*[a-z]\)\( [A-Z[].*\)\{0,1\}\(   *\|$\).*/\1\2/p' \
    <($ctl --help) | sed 's/  .*//; s/ *$//' | sort >"$tmp/commands"
while IFS= read -r line; do
	name=$(sed 's/ [A-Z[].*//' <<<"$line")
	$ctl $name --help | grep -o '^  --[a-z-]*\( [A-Z]*\)\{0,1\} ' | sed 's/^ *//; s/ *$//'
done <"$tmp/commands" | sort -u >"$tmp/options"
[ "$(wc -l <"$tmp/commands")" -ge 20 ] || fail "the list of commands is short: $(cat "$tmp/commands")"

sed -n '/^\.SH COMMANDS/,/^\.SH OPTIONS/p' "$srcdir/doc/copsctl.1" |
    sed -n 's/\\-/-/g; s/^\.BI* "\([a-z ]*\)"\( " \(.*\)"\)\{0,1\}$/\1 \3/p' | sed 's/ *$//' | sort >"$tmp/man.commands"
sed -n 's/\\-/-/g; /^\.SH COMMANDS/,/^\.SH "APPLY/s/^\.BI* \(--[a-z-]*\)\( " \([A-Z]*\)"\)\{0,1\}$/\1 \3/p' \
    "$srcdir/doc/copsctl.1" | sed 's/ *$//' | sort -u >"$tmp/man.options"
diff "$tmp/commands" "$tmp/man.commands" || fail "doc/copsctl.1 lists other commands than the table (<)"
diff "$tmp/options" "$tmp/man.options" || fail "doc/copsctl.1 lists other options than the table (<)"

# Completion: words in, candidates out.
$ctl completion >"$tmp/completion" && . "$tmp/completion" || fail "no completion script"
complete_words()
{
	COMP_WORDS=(copsctl "$@")
	COMP_CWORD=$(($#))
	_copsctl
	printf '%s ' "${COMPREPLY[@]}"
}
expect() { [ "$1" = "$2" ] || fail "completion: got '$1', not '$2'"; }
expect "$(complete_words ap)" "apply "
expect "$(complete_words --json pki is)" "issue "
expect "$(complete_words apply --w)" "--wait "
expect "$(complete_words show vpn)" "vpn vpns "

# Words that go wrong: exit status 2 and a hint.
says() # STATUS PATTERN ARGUMENT...
{
	local want=$1 pattern=$2 out status
	shift 2
	out=$($ctl "$@" 2>&1 >/dev/null)
	status=$?
	[ $status -eq "$want" ] || fail "copsctl $*: status $status, not $want"
	[[ $out == *$pattern* ]] || fail "copsctl $*: '$out' lacks '$pattern'"
}
says 2 'did you mean "apply"' aply x
says 2 'did you mean "show sessions"' show sesions
says 2 'did you mean --wait' apply --wiat 3 x
says 2 'needs a value' apply x --wait
says 2 'takes a number of SECONDS' apply x --wait soon
says 2 'takes no value' apply x --json=yes
says 2 'something is missing' apply
says 2 'too many arguments' show vpns x
says 2 'usage' --json
says 1 'No such file' apply "$tmp/none"
says 1 'no daemon listens there' --socket "$tmp/none" show vpns
printf 'one\ntwo \xff' >"$tmp/latin1"
says 1 'latin1:2:5: error: not UTF-8' apply "$tmp/latin1"

exit $failed
