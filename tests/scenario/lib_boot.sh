# lib_boot.sh - what scenarios share in which a CE loses power, after lib.sh.  A boot is another boot
# number, empty SAD and SPD, and the network up only afterwards.

# power_off SITE: what a CE loses.
power_off()
{
	daemon_kill "$1" KILL
	ip -n "$1" link set wan down
	ip -n "$1" xfrm state flush
	ip -n "$1" xfrm policy flush
	ip -n "$1" xfrm policy setdefault in accept fwd accept out accept
}
network_up() # SITE
{
	ip -n "$1" link set wan up
	ip -n "$1" route replace default via "$SP_ADDR" dev wan onlink src "${WAN[$1]}"
	ip -n sp route replace "${WAN[$1]}/32" dev "to-$1"
}
# agent_boot SITE: its agent, with another boot number; agent_again SITE: with the same.
agent_boot()
{
	cat /proc/sys/kernel/random/uuid >"$RUN/$1.boot"
	agent_again "$1"
}
agent_again()
{
	daemon_start "$1" "$1" sh -c 'mount --bind "$1" /proc/sys/kernel/random/boot_id && shift && exec "$@"' \
	    sh "$RUN/$1.boot" "$COPSPEPD" -f -c "$RUN/$1.conf"
	wait_for 20 is_up "$1" || die "copspepd of $1 does not start: $(tail -n 5 "$RUN/$1.log")"
}
