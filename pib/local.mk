# SPPI modules -> pibc -> const descriptors -> libpib.
PIB_MODULES = FRAMEWORK-PIB FRAMEWORK-FEEDBACK-PIB CE-VPN-PIB
PIB_GEN_H = pib/gen/framework_pib.h pib/gen/framework_feedback_pib.h pib/gen/ce_vpn_pib.h
PIB_GEN_C = pib/gen/framework_pib.c pib/gen/framework_feedback_pib.c pib/gen/ce_vpn_pib.c
pib_modulesdir = $(pkgdatadir)/pib
dist_pib_modules_DATA = \
	pib/modules/CE-VPN-PIB \
	pib/modules/COPS-PR-SPPI \
	pib/modules/COPS-PR-SPPI-TC \
	pib/modules/DIFFSERV-DSCP-TC \
	pib/modules/FRAMEWORK-FEEDBACK-PIB \
	pib/modules/FRAMEWORK-PIB \
	pib/modules/FRAMEWORK-TC-PIB \
	pib/modules/IF-MIB \
	pib/modules/INET-ADDRESS-MIB \
	pib/modules/SNMP-FRAMEWORK-MIB \
	pib/modules/SNMPv2-SMI \
	pib/modules/SNMPv2-TC

# Installed: a client-type of somebody else's has modules, too.
bin_PROGRAMS += pib/pibc
pib_pibc_SOURCES = pib/pibc.c pib/pibc_text.c pib/pibc_smi.c pib/pibc_emit.c pib/pibc.h
pib_pibc_CPPFLAGS = $(AM_CPPFLAGS) $(SMI_CFLAGS)
pib_pibc_LDADD = $(SMI_LIBS)

# One run writes all; the stamp lets every generated file depend on that one run.
# libsmi keeps its parse tree to the end, which is no leak worth a failed build.
pib/gen/stamp: pib/pibc$(EXEEXT) $(dist_pib_modules_DATA)
	$(AM_V_GEN)$(MKDIR_P) pib/gen && rm -f $@ && \
	ASAN_OPTIONS=detect_leaks=0 pib/pibc$(EXEEXT) -o pib/gen -I $(srcdir)/pib/modules \
	    $(PIB_MODULES) && touch $@
$(PIB_GEN_H) $(PIB_GEN_C): pib/gen/stamp
	@test -f $@ || { rm -f pib/gen/stamp && $(MAKE) $(AM_MAKEFLAGS) pib/gen/stamp; }
BUILT_SOURCES += $(PIB_GEN_H)
# BUILT_SOURCES serves "make all"; this serves a first "make pep/copspepd".
$(pdp_libpdp_la_OBJECTS) $(pep_libpep_la_OBJECTS): $(PIB_GEN_H)
CLEANFILES += $(PIB_GEN_H) $(PIB_GEN_C) pib/gen/stamp

lib_LTLIBRARIES += pib/libpib.la
pib_libpib_la_SOURCES = \
	pib/pib_class.c pib/pib_class.h \
	pib/pib_codec.c pib/pib_codec.h \
	pib/pib_err.c pib/pib_err.h \
	pib/pib_limit.c pib/pib_limit.h \
	pib/pib_print.c \
	pib/pib_role.c pib/pib_role.h \
	pib/pib_store.c pib/pib_store.h pib/pib_store_int.h \
	pib/pib_txn.c \
	pib/pib_version.c
nodist_pib_libpib_la_SOURCES = $(PIB_GEN_C)
pib_libpib_la_LIBADD = common/libbase.la
pib_libpib_la_LDFLAGS = $(AM_LDFLAGS) -version-info $(LIBRARY_VERSION) \
	-Wl,--version-script=$(srcdir)/pib/libpib.map $(BIND_OWN)
EXTRA_pib_libpib_la_DEPENDENCIES = pib/libpib.map
EXTRA_DIST += pib/libpib.map
$(pib_libpib_la_OBJECTS): $(PIB_GEN_H)

# Headers include each other as "pib/..." and "common/buf.h", so they get a folder to
# point -I at (libpib.pc does).
pib_includedir = $(includedir)/libpib/pib
pib_include_HEADERS = pib/pib_class.h pib/pib_codec.h pib/pib_err.h pib/pib_limit.h \
	pib/pib_role.h pib/pib_store.h
nodist_pib_include_HEADERS = pib/pib_version.h
pib_genincludedir = $(includedir)/libpib/pib/gen
nodist_pib_geninclude_HEADERS = $(PIB_GEN_H)
pib_commonincludedir = $(includedir)/libpib/common
pib_commoninclude_HEADERS = common/buf.h
pkgconfig_DATA += pib/libpib.pc
