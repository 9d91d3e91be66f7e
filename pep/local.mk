# libpep: copspepd but for main(), so that tests and benchmarks link the real thing.
noinst_LTLIBRARIES += pep/libpep.la
pep_libpep_la_CFLAGS = $(AM_CFLAGS) $(EVENT_CFLAGS) $(SSL_CFLAGS) $(JANSSON_CFLAGS) $(MNL_CFLAGS)
pep_libpep_la_SOURCES =
pep_libpep_la_LIBADD = common/libcommon.la libcops/libsetting.la libcops/libcops.la pib/libpib.la $(JANSSON_LIBS) \
	$(EVENT_LIBS) $(SSL_LIBS) $(MNL_LIBS)

# the kernel, and rows made true in it
pep_libpep_la_SOURCES += \
	pep/boot_id.c pep/boot_id.h \
	pep/host_list.c pep/host_list.h \
	pep/kern.c pep/kern.h \
	pep/kern_default.c pep/kern_default.h \
	pep/kern_if.c pep/kern_if.h \
	pep/kern_device.c \
	pep/kern_link.c \
	pep/kern_net.h \
	pep/kern_own.c \
	pep/kern_route.c \
	pep/kern_rtnl.c pep/kern_rtnl.h \
	pep/kern_net.c \
	pep/kern_prefer.c pep/kern_prefer.h \
	pep/kern_mem.c pep/kern_mem.h \
	pep/kern_mem_watch.c \
	pep/kern_mem_net.c pep/kern_mem_net.h \
	pep/kern_open.c \
	pep/kern_pfkey.c \
	pep/kern_pfkey_msg.c pep/kern_pfkey_msg.h \
	pep/kern_watch.c pep/kern_watch.h \
	pep/kern_vrf.c \
	pep/kern_xfrm.c \
	pep/kern_xfrm_msg.c pep/kern_xfrm_msg.h \
	pep/kern_suite.c pep/kern_suite.h \
	pep/kplan.c pep/kplan.h pep/kplan_int.h \
	pep/kplan_route.c \
	pep/kstate.c pep/kstate.h \
	pep/kstate_route.c \
	pep/kstate_tunnel.c \
	pep/learn.c pep/learn.h \
	pep/learn_conf.c pep/learn_conf.h \
	pep/local_addr.c pep/local_addr.h \
	pep/natt.c pep/natt.h \
	pep/spd.c pep/spd.h \
	pep/spd_lockdown.c \
	pep/vpn.c pep/vpn.h pep/vpn_int.h \
	pep/vpn_fault.c \
	pep/vpn_host.c \
	pep/vpn_ike.c pep/vpn_ike_sas.c \
	pep/vpn_ike_rows.c pep/vpn_ike_rows.h \
	pep/vpn_keying.c \
	pep/vpn_learn.c \
	pep/vpn_repair.c \
	pep/vpn_leave.c \
	pep/vpn_lockdown.c \
	pep/vpn_natt.c \
	pep/vpn_owed.c \
	pep/vpn_reqid.c pep/vpn_reqid.h \
	pep/vpn_caps.c pep/vpn_caps.h \
	pep/vpn_rows.c pep/vpn_rows.h \
	pep/vpn_run.c \
	pep/vpn_show.c pep/vpn_show.h \
	pep/vpn_status.c \
	pep/vpn_touch.c \
	pep/vpn_usage.c \
	pep/vpn_vrf.c \
	pep/vpn_vti.c

# controller keying
pep_libpep_la_SOURCES += \
	pep/durable.c pep/durable.h \
	pep/keying.c pep/keying.h pep/keying_int.h \
	pep/keying_plan.c \
	pep/keying_life.c \
	pep/keying_crypto.c pep/keying_crypto.h \
	pep/keying_derive.c pep/keying_derive.h \
	pep/keying_epochs.c pep/keying_epochs.h

# IKE: charon over VICI
pep_libpep_la_SOURCES += \
	pep/ike.c pep/ike.h pep/ike_int.h \
	pep/ike_ask.c pep/ike_conf.c pep/ike_conf.h \
	pep/ike_psk.c pep/ike_psk.h \
	pep/ike_rekey.c \
	pep/ike_sas.c \
	pep/ike_try.c \
	pep/vici.c pep/vici.h \
	pep/vici_msg.c pep/vici_msg.h

# the agent: connection, requests, decisions, cache
pep_libpep_la_SOURCES += \
	pep/active.c \
	pep/agent.c pep/agent.h pep/agent_int.h \
	pep/cache.c pep/cache.h \
	pep/client.h \
	pep/context.c \
	pep/control.c pep/control.h \
	pep/control_vpn.c pep/control_vpn.h \
	pep/dec.c pep/dec.h \
	pep/feedback.c pep/feedback.h \
	pep/link.c pep/link.h \
	pep/pep.c pep/pep.h \
	pep/pep_conf.c pep/pep_conf.h \
	pep/request.c pep/request.h \
	pep/roles.c pep/roles.h

sbin_PROGRAMS += pep/copspepd
pep_copspepd_SOURCES = pep/main.c
pep_copspepd_LDADD = pep/libpep.la
# Not -static: plug-ins use the same libcops and libpib.
pep_copspepd_LDFLAGS = $(AM_LDFLAGS)

# What a plug-in includes, in a folder to point -I at (copsvpn.pc does).
plugin_pepdir = $(includedir)/copsvpn/pep
plugin_pep_HEADERS = pep/client.h
