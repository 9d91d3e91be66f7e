# Benchmarks: built and run by `make bench' only.
BENCHMARKS = tests/bench/codec tests/bench/limit tests/bench/loop tests/bench/hub \
	tests/bench/peps tests/bench/routes tests/bench/sadb
EXTRA_PROGRAMS += $(BENCHMARKS)
tests_bench_codec_SOURCES = tests/bench/codec.c tests/bench/prefixes.c tests/bench/prefixes.h
tests_bench_codec_LDADD = $(PDP_BRAIN_LIBS)
tests_bench_codec_LDFLAGS = $(AM_LDFLAGS) -static
tests_bench_loop_SOURCES = tests/bench/loop.c tests/bench/prefixes.c tests/bench/prefixes.h
tests_bench_loop_CFLAGS = $(AM_CFLAGS) $(EVENT_CFLAGS) $(SSL_CFLAGS)
tests_bench_loop_LDADD = $(PDP_BRAIN_LIBS) $(EVENT_LIBS) $(SSL_LIBS)
tests_bench_loop_LDFLAGS = $(AM_LDFLAGS) -static
$(tests_bench_codec_OBJECTS) $(tests_bench_loop_OBJECTS): $(PIB_GEN_H)
tests_bench_peps_SOURCES = tests/bench/peps.c
tests_bench_peps_CFLAGS = $(AM_CFLAGS) $(SSL_CFLAGS)
tests_bench_peps_LDADD = libcops/libcops.la common/libbase.la $(SSL_LIBS)
tests_bench_peps_LDFLAGS = $(AM_LDFLAGS) -static
tests_bench_limit_SOURCES = tests/bench/limit.c
tests_bench_limit_CFLAGS = $(AM_CFLAGS) $(SSL_CFLAGS)
tests_bench_limit_LDADD = $(SSL_LIBS)
tests_bench_sadb_SOURCES = tests/bench/sadb.c
tests_bench_sadb_LDADD = pep/libpep.la
tests_bench_sadb_LDFLAGS = $(AM_LDFLAGS) -static
tests_bench_routes_SOURCES = tests/bench/routes.c
tests_bench_routes_LDADD = pep/libpep.la
tests_bench_routes_LDFLAGS = $(AM_LDFLAGS) -static
tests_bench_hub_SOURCES = tests/bench/hub.c
tests_bench_hub_CFLAGS = $(AM_CFLAGS) $(EVENT_CFLAGS) $(SSL_CFLAGS)
tests_bench_hub_LDADD = $(tests_unit_test_pep_vpn_LDADD) $(EVENT_LIBS) $(SSL_LIBS)
$(tests_bench_hub_OBJECTS): $(PIB_GEN_H)

.PHONY: bench
bench: all $(BENCHMARKS) tests/bench/bench_intent
	$(srcdir)/tests/bench/run
