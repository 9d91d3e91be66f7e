# libcops: the COPS protocol library (installed, with headers and pkg-config file).
lib_LTLIBRARIES += libcops/libcops.la

libcops_libcops_la_SOURCES = \
	libcops/cops_be.h \
	libcops/cops_chunk.c \
	libcops/cops_conn.c \
	libcops/cops_def.c \
	libcops/cops_fsm.c libcops/cops_fsm.h \
	libcops/cops_hmac.c \
	libcops/cops_io.c \
	libcops/cops_msg.c \
	libcops/cops_obj.c \
	libcops/cops_outq.c libcops/cops_outq.h \
	libcops/cops_print.c \
	libcops/cops_put.c \
	libcops/cops_seal.c libcops/cops_seal.h
libcops_libcops_la_CFLAGS = $(AM_CFLAGS) $(EVENT_CFLAGS) $(SSL_CFLAGS)
libcops_libcops_la_LIBADD = common/libbase.la $(EVENT_LIBS) $(SSL_LIBS)
libcops_libcops_la_LDFLAGS = $(AM_LDFLAGS) -version-info 0:0:0 \
	-export-symbols-regex '^(cops|buf|cur)_'

# What both daemons' settings say of connections: for them only.
noinst_LTLIBRARIES += libcops/libsetting.la
libcops_libsetting_la_SOURCES = libcops/cops_setting.c libcops/cops_setting.h
libcops_libsetting_la_LIBADD = libcops/libcops.la common/libcommon.la

copsincludedir = $(includedir)/libcops
copsinclude_HEADERS = \
	libcops/cops_chunk.h \
	libcops/cops_conn.h \
	libcops/cops_def.h \
	libcops/cops_hmac.h \
	libcops/cops_io.h \
	libcops/cops_msg.h \
	libcops/cops_obj.h \
	libcops/cops_print.h

# The builders write into a struct buf: its header goes along, out of the way of others.
copscommonincludedir = $(includedir)/libcops/common
copscommoninclude_HEADERS = common/buf.h

pkgconfigdir = $(libdir)/pkgconfig
pkgconfig_DATA = libcops/libcops.pc
EXTRA_DIST += libcops/libcops.pc.in
CLEANFILES += libcops/libcops.pc
libcops/libcops.pc: $(top_srcdir)/libcops/libcops.pc.in Makefile
	$(AM_V_GEN)$(MKDIR_P) libcops && sed -e 's|[@]prefix[@]|$(prefix)|' \
		-e 's|[@]libdir[@]|$(libdir)|' -e 's|[@]includedir[@]|$(includedir)|' \
		-e 's|[@]version[@]|$(PACKAGE_VERSION)|' \
		$(top_srcdir)/libcops/libcops.pc.in > $@
