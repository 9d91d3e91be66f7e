# lib_routing.sh - what scenarios with routing daemons share, after lib.sh: FRR and BIRD in a namespace.

FRR=/usr/lib/frr
[ -x $FRR/zebra ] || die "FRRouting is not installed"
[ -n "$(type -P bird)" ] || die "BIRD is not installed"

# frr_start NAMESPACE DAEMON / bird_start NAMESPACE NAME: with $RUN/NAMESPACE.DAEMON.conf or $RUN/NAMESPACE.NAME.conf.
# (FRR wants its own user, and a folder that it may write.)
frr_start()
{
	local ns=$1 daemon=$2 dir=$RUN/$1.frr
	mkdir -p "$dir"
	chmod 711 "$RUN"
	cp "$RUN/$ns.$daemon.conf" "$dir/$daemon.conf"
	chown -R frr:frr "$dir"
	[ "$daemon" != zebra ] || rm -f "$dir/zserv"
	daemon_start "$ns.$daemon" "$ns" "$FRR/$daemon" -f "$dir/$daemon.conf" -i "$dir/$daemon.pid" \
		-z "$dir/zserv" --vty_socket "$dir" -u frr -g frr -P 0
	# (a daemon that meets no zebra asks again after ten seconds)
	[ "$daemon" != zebra ] || wait_for 20 test -S "$dir/zserv" || die "zebra of $ns does not start: $(tail -n 5 "$RUN/$ns.zebra.log")"
}
frr() { local ns=$1; shift; in_ns "$ns" vtysh --vty_socket "$RUN/$ns.frr" -c "$*"; }
bird_start()
{
	daemon_start "$1.bird" "$1" bird -f -c "$RUN/$1.$2.conf" -s "$RUN/$1.birdctl" -P "$RUN/$1.birdpid"
}
bird() { local ns=$1; shift; in_ns "$ns" birdc -s "$RUN/$ns.birdctl" "$@"; }
