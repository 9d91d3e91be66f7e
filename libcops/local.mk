# libcops: the COPS protocol library (installed, with headers and pkg-config file).

# CURRENT:REVISION:AGE of both installed libraries, which share struct buf.  With every release:
# something was changed inside only: REVISION + 1.  Functions or objects were added (they go into
# a new node of the .map file): CURRENT + 1, REVISION 0, AGE + 1.  One was taken away, or a
# function, an installed struct or enumeration is another: CURRENT + 1, REVISION 0, AGE 0; the
# .map files begin anew.  Nothing of this follows the version of the package.
LIBRARY_VERSION = 0:0:0

# A library's own calls stay inside it: neither a program's function of the same name nor the
# buf_* of the other library can come between.
BIND_OWN = -Wl,-Bsymbolic-functions

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
	libcops/cops_seal.c libcops/cops_seal.h \
	libcops/cops_version.c
libcops_libcops_la_CFLAGS = $(AM_CFLAGS) $(EVENT_CFLAGS) $(SSL_CFLAGS)
libcops_libcops_la_LIBADD = common/libbase.la $(EVENT_LIBS) $(SSL_LIBS)
libcops_libcops_la_LDFLAGS = $(AM_LDFLAGS) -version-info $(LIBRARY_VERSION) \
	-Wl,--version-script=$(srcdir)/libcops/libcops.map $(BIND_OWN)
EXTRA_libcops_libcops_la_DEPENDENCIES = libcops/libcops.map
EXTRA_DIST += libcops/libcops.map

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
nodist_copsinclude_HEADERS = libcops/cops_version.h

# The builders write into a struct buf: its header goes along, out of the way of others.
copscommonincludedir = $(includedir)/libcops/common
copscommoninclude_HEADERS = common/buf.h

pkgconfigdir = $(libdir)/pkgconfig
pkgconfig_DATA = libcops/libcops.pc
