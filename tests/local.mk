
check_PROGRAMS += tests/unit/test_kplan
tests_unit_test_kplan_SOURCES = tests/unit/test_kplan.c
tests_unit_test_kplan_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_kplan_LDADD = pep/libpep.la $(CHECK_LIBS)
