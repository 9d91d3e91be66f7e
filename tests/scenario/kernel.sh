#!/bin/sh
# The test kernel can do what the other scenarios need: PF_KEY opens, and two network
# namespaces ping each other through an ESP tunnel, of which the network between them
# sees nothing but ESP.  (A capture at a CE would show decrypted packets too: they
# pass its interface a second time.)
set -eu

ip netns add a
ip netns add b
ip netns add sp
ip -n sp link add br0 type bridge
ip -n sp link set br0 up
for site in a b; do
	ip link add eth0 netns $site type veth peer name $site netns sp
	ip -n sp link set dev $site master br0 up
done

# side NAME OWN PEER INNER-OWN INNER-PEER SPI-OUT SPI-IN
side()
{
	key=0x00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
	auth=${key}${key#0x}
	ip -n "$1" addr add "$2/24" dev eth0
	ip -n "$1" addr add "$4/32" dev lo
	ip -n "$1" link set lo up
	ip -n "$1" link set eth0 up
	ip -n "$1" route add "$5/32" via "$3" src "$4"
	for sa in "$2 dst $3 proto esp spi $6" "$3 dst $2 proto esp spi $7"; do
		ip -n "$1" xfrm state add src $sa mode tunnel \
		    enc "cbc(aes)" $key auth-trunc "hmac(sha512)" $auth 256
	done
	ip -n "$1" xfrm policy add src "$4" dst "$5" dir out tmpl src "$2" dst "$3" proto esp mode tunnel
	ip -n "$1" xfrm policy add src "$5" dst "$4" dir in tmpl src "$3" dst "$2" proto esp mode tunnel
}
side a 192.0.2.1 192.0.2.2 10.1.0.1 10.2.0.1 0x1001 0x1002
side b 192.0.2.2 192.0.2.1 10.2.0.1 10.1.0.1 0x1002 0x1001

ip netns exec sp tcpdump -n -i br0 --immediate-mode -w "$TMPDIR/wire.pcap" -U ip 2>"$TMPDIR/tcpdump" &
capture=$!
until grep -q listening "$TMPDIR/tcpdump"; do
	sleep 0.1
done
ip netns exec a ping -c 3 -i 0.2 -W 2 -I 10.1.0.1 10.2.0.1
sleep 0.5
kill "$capture"
wait "$capture" || true

esp=$(tcpdump -n -r "$TMPDIR/wire.pcap" esp 2>/dev/null | wc -l)
other=$(tcpdump -n -r "$TMPDIR/wire.pcap" not esp 2>/dev/null | grep -c . || true)
echo "on the wire: $esp ESP, $other other"
[ "$esp" -eq 6 ]
[ "$other" -eq 0 ]

# A PF_KEY_V2 socket, SOCK_RAW; perl-base is on every Debian.
perl -e 'socket(my $s, 15, 3, 2) or die "PF_KEY: $!\n"'
echo "PF_KEY opens"
