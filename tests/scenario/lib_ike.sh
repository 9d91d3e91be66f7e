# lib_ike.sh - what scenarios with IKE share, after lib.sh: charon (strongSwan) in the namespace of a
# CE, with settings of its own.

CHARON=$(command -v charon-systemd)

# charon_conf SITE: $RUN/SITE.charon/strongswan.conf.  What a CE's charon must not do is in
# examples/strongswan.conf; here it also gives up early, so that tests are short.
charon_conf()
{
	mkdir -p "$RUN/$1.charon"
	cat >"$RUN/$1.charon/strongswan.conf" <<-END
		charon-systemd {
			load = random nonce x509 constraints pubkey pkcs1 pkcs8 pem openssl sha1 sha2 hmac aes gcm curve25519 chapoly kdf drbg kernel-netlink socket-default vici
			install_routes = no
			install_virtual_ip = no
			threads = 8
			retransmit_tries = 2
			retransmit_timeout = 1
			retransmit_base = 1.3
			plugins {
				vici {
					socket = unix://$RUN/$1.vici
				}
			}
			filelog {
				all {
					path = $RUN/$1.charon.log
					default = 1
					ike_name = yes
					flush_line = yes
					time_format = %s
					time_add_ms = yes
				}
			}
		}
	END
}

# start_charon SITE...: and wait until it answers.
start_charon()
{
	local site
	for site; do
		[ -d "$RUN/$site.charon" ] || charon_conf "$site"
		rm -f "$RUN/$site.vici"
		daemon_start "$site.charon" "$site" env STRONGSWAN_CONF="$RUN/$site.charon/strongswan.conf" "$CHARON"
	done
	for site; do
		wait_for 20 test -S "$RUN/$site.vici" || die "charon of $site does not start: $(tail -n 5 "$RUN/$site.charon.log")"
	done
}

swan() { local site=$1; shift; in_ns "$site" env STRONGSWAN_CONF="$RUN/$site.charon/strongswan.conf" swanctl "$@" --uri "unix://$RUN/$site.vici"; }

# peer_ready SITE PEER: SITE's agent says that PEER is reached; peer_says SITE PEER WORDS: why not.
question peer_ready '.[] | select(.peer == $a[0] and .ready)'
peer_ready() { ask peer_ready "$1" "show peers" "" "$2.$DOMAIN"; }
peer_says() { ctl_ce "$1" show peers --json | jq -r ".[] | select(.peer == \"$2.$DOMAIN\") | .why_not // .reason" | grep -q "$3"; }
