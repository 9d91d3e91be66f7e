# libbase: no third-party code; small enough to go into the installed libraries too.
# libcommon: what the daemons and copsctl share on top of it.
noinst_LTLIBRARIES += common/libbase.la common/libcommon.la

common_libbase_la_SOURCES = \
	common/addr.c common/addr.h \
	common/buf.c common/buf.h \
	common/diag.c common/diag.h \
	common/log.c common/log.h

common_libcommon_la_SOURCES =
common_libcommon_la_LIBADD = common/libbase.la
