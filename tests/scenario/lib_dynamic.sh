# lib_dynamic.sh - what scenarios with routing daemons over tunnels share, after lib.sh and lib_routing.sh: the
# configurations of examples/routing, adapted to a CE.

ROUTING=$SCENARIO_TOP/examples/routing
declare -A INNER # SITE's address inside tunnels

# The tunnel from SITE to PEER, as the agent shows it: its interface.
tunnel_dev() { ctl_ce "$1" show tunnels --json | jq -r ".[] | select(.peer == \"$2.$DOMAIN\") | .interface"; }

# routing_conf EXAMPLE SITE PEER...: $RUN/SITE.NAME, the example with r's names and addresses replaced: cv1
# leads to the first peer, cv2 to the second, and what is said of cv2 is said of the others too, or of nobody.
routing_conf()
{
	local example=$1 site=$2 devs=() peer
	shift 2
	for peer; do
		devs+=("$(tunnel_dev "$site" "$peer")")
	done
	awk -v devs="${devs[*]}" '
		function copies(text, i, t) {
			for (i = 3; i <= n; i++) { t = text; gsub(/cv2/, dev[i], t); printf "%s", t }
		}
		BEGIN { n = split(devs, dev, " ") }
		/^interface cv2/ { block = 1; text = "" }
		block { text = text $0 "\n" }
		!block && /cv2/ { copies($0 "\n") }
		n < 2 && (block || /cv2/) { if (/^exit/) block = 0; next }
		{ line = $0; gsub(/cv1/, "@1", line); gsub(/cv2/, "@2", line); gsub(/@1/, dev[1], line); gsub(/@2/, dev[2], line); print line }
		block && /^exit/ { block = 0; copies(text) }' "$ROUTING/$example" |
		sed "s,10\.255\.0\.3,${INNER[$site]},g; s,10\.3\.0\.0/16,${LAN[$site]},g; s,65003,6500${INNER[$site]##*.},g" \
			>"$RUN/$site.${example##*/}"
}

# Which interface SITE sends to PEER's host by; none: no route but the default.
way() { ip -n "$1" route get "${HOST[$2]}" | sed -n 's/.* dev \(cv[0-9a-f]*\).*/\1/p'; }
way_is() { [ "$(way "$1" "$2")" = "$3" ]; }
no_way() { [ -z "$(way "$1" "$2")" ]; }
