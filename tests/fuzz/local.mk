# Fuzz targets: LLVMFuzzerTestOneInput with libFuzzer in a build configured with --enable-fuzz
# ("make fuzz" makes one), with a main() that reads files in every other.
FUZZ_TARGETS = \
	tests/fuzz/fuzz_conf \
	tests/fuzz/fuzz_conn \
	tests/fuzz/fuzz_ctl \
	tests/fuzz/fuzz_dec \
	tests/fuzz/fuzz_decode \
	tests/fuzz/fuzz_intent \
	tests/fuzz/fuzz_keyfile \
	tests/fuzz/fuzz_msg \
	tests/fuzz/fuzz_request \
	tests/fuzz/fuzz_row \
	tests/fuzz/fuzz_sppi \
	tests/fuzz/fuzz_txn
EXTRA_PROGRAMS += $(FUZZ_TARGETS) tests/fuzz/seeds
if FUZZ
FUZZ_MAIN = tests/fuzz/fuzz.h
LINK_FUZZ = $(AM_LDFLAGS) -static -fsanitize=fuzzer
else
FUZZ_MAIN = tests/fuzz/fuzz_main.c tests/fuzz/fuzz.h
LINK_FUZZ = $(AM_LDFLAGS) -static
endif
FUZZ_GEN = tests/unit/pib_gen.c tests/unit/pib_gen.h

tests_fuzz_fuzz_conf_SOURCES = tests/fuzz/fuzz_conf.c $(FUZZ_MAIN)
tests_fuzz_fuzz_conf_LDADD = pdp/libpdp.la pep/libpep.la
tests_fuzz_fuzz_conf_LDFLAGS = $(LINK_FUZZ)

tests_fuzz_fuzz_conn_SOURCES = tests/fuzz/fuzz_conn.c $(FUZZ_MAIN)
tests_fuzz_fuzz_conn_LDADD = libcops/libcops.la common/libbase.la
tests_fuzz_fuzz_conn_LDFLAGS = $(LINK_FUZZ)

tests_fuzz_fuzz_ctl_SOURCES = tests/fuzz/fuzz_ctl.c $(FUZZ_MAIN)
tests_fuzz_fuzz_ctl_CFLAGS = $(AM_CFLAGS) $(EVENT_CFLAGS) $(JANSSON_CFLAGS)
tests_fuzz_fuzz_ctl_LDADD = common/libcommon.la
tests_fuzz_fuzz_ctl_LDFLAGS = $(LINK_FUZZ)

tests_fuzz_fuzz_dec_SOURCES = tests/fuzz/fuzz_dec.c tests/fuzz/fuzz_wrap.h $(FUZZ_GEN) $(FUZZ_MAIN)
tests_fuzz_fuzz_dec_LDADD = pep/libpep.la
tests_fuzz_fuzz_dec_LDFLAGS = $(LINK_FUZZ)

tests_fuzz_fuzz_decode_SOURCES = tests/fuzz/fuzz_decode.c $(FUZZ_GEN) $(FUZZ_MAIN)
tests_fuzz_fuzz_decode_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
tests_fuzz_fuzz_decode_LDADD = copsctl/libcopsctl.la
tests_fuzz_fuzz_decode_LDFLAGS = $(LINK_FUZZ)

tests_fuzz_fuzz_intent_SOURCES = tests/fuzz/fuzz_intent.c $(FUZZ_MAIN)
tests_fuzz_fuzz_intent_LDADD = pdp/libpdp.la
tests_fuzz_fuzz_intent_LDFLAGS = $(LINK_FUZZ)

tests_fuzz_fuzz_keyfile_SOURCES = tests/fuzz/fuzz_keyfile.c $(FUZZ_MAIN)
tests_fuzz_fuzz_keyfile_LDADD = libcops/libcops.la common/libcommon.la
tests_fuzz_fuzz_keyfile_LDFLAGS = $(LINK_FUZZ)

tests_fuzz_fuzz_msg_SOURCES = tests/fuzz/fuzz_msg.c $(FUZZ_MAIN)
tests_fuzz_fuzz_msg_LDADD = libcops/libcops.la common/libbase.la
tests_fuzz_fuzz_msg_LDFLAGS = $(LINK_FUZZ)

tests_fuzz_fuzz_request_SOURCES = tests/fuzz/fuzz_request.c tests/fuzz/fuzz_wrap.h $(FUZZ_MAIN)
tests_fuzz_fuzz_request_LDADD = pdp/libpdp.la
tests_fuzz_fuzz_request_LDFLAGS = $(LINK_FUZZ)

tests_fuzz_fuzz_row_SOURCES = tests/fuzz/fuzz_row.c $(FUZZ_GEN) $(FUZZ_MAIN)
tests_fuzz_fuzz_row_LDADD = pib/libpib.la common/libbase.la
tests_fuzz_fuzz_row_LDFLAGS = $(LINK_FUZZ)

tests_fuzz_fuzz_sppi_SOURCES = tests/fuzz/fuzz_sppi.c pib/pibc_text.c pib/pibc_smi.c \
	pib/pibc_emit.c pib/pibc.h $(FUZZ_MAIN)
tests_fuzz_fuzz_sppi_CPPFLAGS = $(AM_CPPFLAGS) $(SMI_CFLAGS) \
	-DPIB_MODULES_DIR='"$(abs_top_srcdir)/pib/modules"'
tests_fuzz_fuzz_sppi_LDADD = $(SMI_LIBS)
tests_fuzz_fuzz_sppi_LDFLAGS = $(LINK_FUZZ)

tests_fuzz_fuzz_txn_SOURCES = tests/fuzz/fuzz_txn.c $(FUZZ_GEN) $(FUZZ_MAIN)
tests_fuzz_fuzz_txn_LDADD = pib/libpib.la common/libbase.la
tests_fuzz_fuzz_txn_LDFLAGS = $(LINK_FUZZ)

tests_fuzz_seeds_SOURCES = tests/fuzz/seeds.c tests/unit/cops_vectors.h $(FUZZ_GEN)
tests_fuzz_seeds_LDADD = libcops/libcops.la pib/libpib.la common/libbase.la
tests_fuzz_seeds_LDFLAGS = $(AM_LDFLAGS) -static

$(tests_fuzz_fuzz_dec_OBJECTS) $(tests_fuzz_fuzz_decode_OBJECTS) $(tests_fuzz_fuzz_request_OBJECTS) $(tests_fuzz_fuzz_row_OBJECTS) \
$(tests_fuzz_fuzz_txn_OBJECTS) $(tests_fuzz_seeds_OBJECTS): $(PIB_GEN_H)

fuzz-targets: $(FUZZ_TARGETS)

# Each for FUZZ_SECONDS; FUZZ names those wanted.
FUZZ_SECONDS = 60
FUZZ =
fuzz:
	COPS_BUILD=$(abs_builddir) $(srcdir)/tests/fuzz/run -s $(FUZZ_SECONDS) $(FUZZ)
.PHONY: fuzz fuzz-targets
