# lib_ask.sh - questions to the daemons without a process for each, sourced by lib.sh: what is waited for is asked
# many times, and in the test kernel a copsctl and a jq take longer than the daemons need for the answer.  One
# perl carries requests to the sockets (doc/control-protocol.md), one jq judges the answers; both stay.
#
#	question NAME FILTER		at the top of a script: what is to hold of an answer's result, in
#					jq's words; $a are the arguments (texts)
#	ask NAME WHO COMMAND [ARG [ARGUMENT...]]	does it hold now?  WHO: pdp or a site; ARG: COMMAND's "name"

declare -A QUESTION
ASKING=0   # the process that has a perl and a jq, or may use its parent's while that waits
QUESTIONS= # that its jq knows
ASKED=0

question() { QUESTION[$1]=$2; }

ask_start()
{
	local name filter=false
	for name in "${!QUESTION[@]}"; do
		filter="if .id.q == \"$name\" then (.id.a as \$a | .result | [${QUESTION[$name]}] | length > 0 and last) else $filter end"
	done
	[ "$ASKING" -ne "$BASHPID" ] || { daemon_kill ask; daemon_kill judge; }
	exec {ASK_TO}<> <(:) {ASK_BY}<> <(:) {ASK_FROM}<> <(:)
	perl -MSocket -e '$| = 1;
		while (<STDIN>) {
			chomp;
			my ($path, $id, $request) = split /\t/;
			my ($wait, $answer) = (pack("ll", 10, 0), "");
			socket(S, AF_UNIX, SOCK_STREAM, 0);
			setsockopt(S, SOL_SOCKET, SO_RCVTIMEO, $wait);
			if (connect(S, sockaddr_un($path)) && syswrite(S, "{\"v\":1,\"id\":$id,$request}\n")) {
				1 while $answer !~ /\n/ && sysread(S, $answer, 1 << 16, length $answer);
			}
			print $answer =~ /\n/ ? $answer : "{\"id\":$id,\"ok\":false}\n";
		}' <&"$ASK_TO" >&"$ASK_BY" 2>/dev/null &
	PID[ask]=$!
	jq --unbuffered -r "\"\\(.id.n) \\(.ok and (try ($filter) catch false))\"" <&"$ASK_BY" >&"$ASK_FROM" 2>/dev/null &
	PID[judge]=$!
	ASKING=$BASHPID
	QUESTIONS=${#QUESTION[@]}
}

ask()
{
	local question=$1 socket=$RUN/$2.sock cmd=$3 name=${4:-} a= number answer
	shift $(($# > 4 ? 4 : $#))
	[ "$ASKING" -eq "$BASHPID" ] && [ "$QUESTIONS" -eq ${#QUESTION[@]} ] || ask_start
	for answer; do
		answer=${answer//\\/\\\\}
		a="$a${a:+,}\"${answer//\"/\\\"}\""
	done
	ASKED=$((ASKED + 1))
	printf '%s\t{"n":"%s","q":"%s","a":[%s]}\t"cmd":"%s","args":{%s}\n' "$socket" "$BASHPID.$ASKED" "$question" "$a" "$cmd" \
	    "${name:+\"name\":\"$name\"}" >&"$ASK_TO"
	while read -r -t 30 -u "$ASK_FROM" number answer; do
		[ "$number" != "$BASHPID.$ASKED" ] || break # others' are of questions that were given up
	done
	[ "$answer" = true ]
}
