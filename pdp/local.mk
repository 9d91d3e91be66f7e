# copspdpd: everything but main() is in libpdp.la, which the tests link too.
noinst_LTLIBRARIES += pdp/libpdp.la

# The brain: numbers, intent, model, rows.
pdp_libpdp_la_SOURCES = \
	pdp/decision.c pdp/decision.h \
	pdp/delta.c pdp/delta.h pdp/delta_int.h \
	pdp/delta_list.c \
	pdp/delta_since.c \
	pdp/departed.c pdp/departed.h \
	pdp/ids.c pdp/ids.h \
	pdp/intent.c pdp/intent.h \
	pdp/intent_build.c \
	pdp/intent_caps.c \
	pdp/intent_check.c \
	pdp/intent_overlap.c \
	pdp/intent_extranet.c \
	pdp/intent_internet.c \
	pdp/intent_transform.c \
	pdp/intent_routing.c \
	pdp/intent_dynamic.c \
	pdp/intent_doc.c pdp/intent_doc.h \
	pdp/intent_scan.c pdp/intent_scan.h \
	pdp/intent_xml.c \
	pdp/model.c pdp/model.h \
	pdp/rows.c pdp/rows.h \
	pdp/transform.c pdp/transform.h \
	pdp/verdict.c pdp/verdict.h
nodist_pdp_libpdp_la_SOURCES = pdp/intent_xsd.h
$(pdp_libpdp_la_OBJECTS): $(PIB_GEN_H) pdp/intent_xsd.h
pdp_libpdp_la_CPPFLAGS = $(AM_CPPFLAGS) $(XML_CFLAGS) $(SQLITE_CFLAGS) $(JANSSON_CFLAGS) \
	$(EVENT_CFLAGS) $(SSL_CFLAGS)
pdp_libpdp_la_LIBADD = common/libcommon.la libcops/libsetting.la libcops/libcops.la pib/libpib.la $(XML_LIBS) \
	$(SQLITE_LIBS) $(JANSSON_LIBS) $(EVENT_LIBS) $(SSL_LIBS)

# The schema inside the binary: no path is needed at run time.
dist_pkgdata_DATA += pdp/intent.xsd
BUILT_SOURCES += pdp/intent_xsd.h
CLEANFILES += pdp/intent_xsd.h
pdp/intent_xsd.h: pdp/intent.xsd
	$(AM_V_GEN)$(MKDIR_P) pdp && \
	{ echo '/* Made from pdp/intent.xsd. */' && echo 'static const char intent_xsd[] =' && \
	sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/.*/    "&\\n"/' $(srcdir)/pdp/intent.xsd && \
	echo '    ;'; } > $@.tmp && mv $@.tmp $@

# The machinery: what is true and stored, who holds what, sessions, control.
pdp_libpdp_la_SOURCES += \
	pdp/acl.c pdp/acl.h \
	pdp/change.c pdp/change.h pdp/change_int.h \
	pdp/change_member.c \
	pdp/client.h \
	pdp/control.c pdp/control.h \
	pdp/control_member.c \
	pdp/db.c pdp/db.h \
	pdp/failure.c pdp/failure.h \
	pdp/home.c pdp/home.h \
	pdp/keyring.c pdp/keyring.h pdp/keyring_int.h \
	pdp/keyring_stage.c \
	pdp/learned.c pdp/learned.h pdp/learned_int.h \
	pdp/learned_flush.c \
	pdp/learned_judge.c \
	pdp/learned_withhold.c \
	pdp/leave.c pdp/leave.h \
	pdp/mailbox.c pdp/mailbox.h \
	pdp/membership.c pdp/membership.h \
	pdp/nat.c pdp/nat.h \
	pdp/pdp.c pdp/pdp.h \
	pdp/pdp_conf.c pdp/pdp_conf.h \
	pdp/push.c \
	pdp/refresh.c \
	pdp/registry.c pdp/registry.h \
	pdp/request.c pdp/request.h \
	pdp/session.c pdp/session.h \
	pdp/source.c pdp/source.h \
	pdp/show.c \
	pdp/store.h pdp/store_sqlite.c pdp/store_sqlite_int.h \
	pdp/store_sqlite_load.c \
	pdp/store_sqlite_save.c \
	pdp/show_learned.c \
	pdp/show_tunnels.c \
	pdp/tunnels.c pdp/tunnels.h \
	pdp/sync.c pdp/sync.h pdp/sync_int.h \
	pdp/vpn.c pdp/vpn.h \
	pdp/wait.c pdp/wait.h \
	pdp/worker.c pdp/worker.h

sbin_PROGRAMS += pdp/copspdpd
pdp_copspdpd_SOURCES = pdp/main.c
pdp_copspdpd_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS) $(SSL_CFLAGS) $(JANSSON_CFLAGS)
pdp_copspdpd_LDADD = pdp/libpdp.la
# Not -static: plug-ins use the same libcops and libpib.
pdp_copspdpd_LDFLAGS = $(AM_LDFLAGS)

# What a plug-in includes, in a folder to point -I at (copsvpn.pc does).
plugin_pdpdir = $(includedir)/copsvpn/pdp
plugin_pdp_HEADERS = pdp/client.h
