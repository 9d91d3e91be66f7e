# Benchmarks: built and run by `make bench' only.
EXTRA_PROGRAMS += tests/bench/peps tests/bench/limit tests/bench/sadb
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

.PHONY: bench
bench: all tests/bench/peps tests/bench/limit tests/bench/sadb
	$(srcdir)/tests/bench/run
