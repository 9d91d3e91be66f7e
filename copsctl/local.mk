# copsctl; all but main.c is a library that tests link.
bin_PROGRAMS += copsctl/copsctl
noinst_LTLIBRARIES += copsctl/libcopsctl.la

copsctl_libcopsctl_la_SOURCES = \
	copsctl/apply.c copsctl/apply.h \
	copsctl/cmd.c copsctl/cmd.h \
	copsctl/decode.c copsctl/decode.h \
	copsctl/decode_in.c copsctl/decode_in.h \
	copsctl/decode_pcap.c \
	copsctl/decode_text.c \
	copsctl/local.c copsctl/local.h \
	copsctl/pki.c copsctl/pki.h \
	copsctl/progress.c copsctl/progress.h \
	copsctl/render.c copsctl/render.h
copsctl_libcopsctl_la_CPPFLAGS = $(AM_CPPFLAGS) $(SSL_CFLAGS) $(JANSSON_CFLAGS) $(PCAP_CFLAGS)
copsctl_libcopsctl_la_LIBADD = common/libcommon.la libcops/libcops.la pib/libpib.la $(SSL_LIBS) \
	$(JANSSON_LIBS) $(PCAP_LIBS)
$(copsctl_libcopsctl_la_OBJECTS): $(PIB_GEN_H)

copsctl_copsctl_SOURCES = copsctl/main.c
copsctl_copsctl_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS)
copsctl_copsctl_LDADD = copsctl/libcopsctl.la
copsctl_copsctl_LDFLAGS = $(AM_LDFLAGS) -static

# bash completion comes from the table of commands
completiondir = $(datadir)/bash-completion/completions
completion_DATA = contrib/completion/copsctl
contrib/completion/copsctl: copsctl/copsctl$(EXEEXT)
	$(AM_V_GEN)mkdir -p contrib/completion && ./copsctl/copsctl$(EXEEXT) completion > $@.tmp && mv $@.tmp $@
CLEANFILES += contrib/completion/copsctl
