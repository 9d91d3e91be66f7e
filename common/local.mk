# libbase: no third-party code; small enough to go into the installed libraries too.
# libcommon: what the daemons and copsctl share on top of it.
noinst_LTLIBRARIES += common/libbase.la common/libcommon.la

common_libbase_la_SOURCES = \
	common/addr.c common/addr.h \
	common/buf.c common/buf.h \
	common/diag.c common/diag.h \
	common/log.c common/log.h

common_libcommon_la_SOURCES = \
	common/commands.c common/commands.h \
	common/conf.c common/conf.h \
	common/daemon.c common/daemon.h \
	common/ctl.h common/ctl_client.c common/ctl_server.c \
	common/json.c common/json.h \
	common/keyfile.c common/keyfile.h \
	common/notify.c common/notify.h \
	common/peer_status.c common/peer_status.h \
	common/plugin.c common/plugin.h \
	common/priv.c common/priv.h \
	common/sitekey.c common/sitekey.h \
	common/fnv.h \
	common/suites.c common/suites.h \
	common/tls.c common/tls.h
common_libcommon_la_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS) $(SSL_CFLAGS) $(JANSSON_CFLAGS)
common_libcommon_la_LIBADD = common/libbase.la $(EVENT_LIBS) $(SSL_LIBS) $(JANSSON_LIBS)
