# The PIB engine on a module of its own: what the modules of pib/ do not have.
PIB_TEST_GEN = tests/pib/test_pib.c tests/pib/test_pib.h
tests/pib/stamp: pib/pibc$(EXEEXT) tests/pib/TEST-PIB $(dist_pib_modules_DATA)
	$(AM_V_GEN)$(MKDIR_P) tests/pib && rm -f $@ && \
	ASAN_OPTIONS=detect_leaks=0 pib/pibc$(EXEEXT) -o tests/pib -I $(srcdir)/tests/pib \
	    -I $(srcdir)/pib/modules TEST-PIB && touch $@
$(PIB_TEST_GEN): tests/pib/stamp
	@test -f $@ || { rm -f tests/pib/stamp && $(MAKE) $(AM_MAKEFLAGS) tests/pib/stamp; }
CLEANFILES += $(PIB_TEST_GEN) tests/pib/stamp
EXTRA_DIST += tests/pib/TEST-PIB

check_PROGRAMS += tests/unit/test_pib_framework tests/unit/test_pib_evolve \
	tests/unit/test_pib_limit
tests_unit_test_pib_framework_SOURCES = tests/unit/test_pib_framework.c
tests_unit_test_pib_framework_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_pib_framework_LDADD = pib/libpib.la common/libbase.la $(CHECK_LIBS)
tests_unit_test_pib_framework_LDFLAGS = $(AM_LDFLAGS) -static
tests_unit_test_pib_evolve_SOURCES = tests/unit/test_pib_evolve.c
nodist_tests_unit_test_pib_evolve_SOURCES = tests/pib/test_pib.c
tests_unit_test_pib_evolve_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_pib_evolve_LDADD = libcops/libcops.la pib/libpib.la common/libbase.la $(CHECK_LIBS)
# malloc and its kin are counted
tests_unit_test_pib_evolve_LDFLAGS = $(AM_LDFLAGS) -static \
	-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
tests_unit_test_pib_limit_SOURCES = tests/unit/test_pib_limit.c
nodist_tests_unit_test_pib_limit_SOURCES = tests/pib/test_pib.c
tests_unit_test_pib_limit_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_pib_limit_LDADD = pib/libpib.la common/libbase.la $(CHECK_LIBS)
tests_unit_test_pib_limit_LDFLAGS = $(AM_LDFLAGS) -static
$(tests_unit_test_pib_framework_OBJECTS): $(PIB_GEN_H)
$(tests_unit_test_pib_evolve_OBJECTS) $(tests_unit_test_pib_limit_OBJECTS): $(PIB_GEN_H) $(PIB_TEST_GEN)

# roles of the PEP's interfaces
check_PROGRAMS += tests/unit/test_pep_roles
tests_unit_test_pep_roles_SOURCES = tests/unit/test_pep_roles.c
tests_unit_test_pep_roles_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_pep_roles_LDADD = pep/libpep.la $(CHECK_LIBS)
tests_unit_test_pep_roles_LDFLAGS = $(AM_LDFLAGS) -static
$(tests_unit_test_pep_roles_OBJECTS): $(PIB_GEN_H)

# usage feedback
check_PROGRAMS += tests/unit/test_feedback
tests_unit_test_feedback_SOURCES = tests/unit/test_feedback.c
tests_unit_test_feedback_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_feedback_LDADD = pep/libpep.la $(CHECK_LIBS)
tests_unit_test_feedback_LDFLAGS = $(AM_LDFLAGS) -static
$(tests_unit_test_feedback_OBJECTS): $(PIB_GEN_H)
