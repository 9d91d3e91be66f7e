
check_PROGRAMS += tests/unit/test_learn
tests_unit_test_learn_SOURCES = tests/unit/test_learn.c
tests_unit_test_learn_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_learn_LDADD = pep/libpep.la $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_kplan
tests_unit_test_kplan_SOURCES = tests/unit/test_kplan.c
tests_unit_test_kplan_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_kplan_LDADD = pep/libpep.la $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_cops_msg
tests_unit_test_cops_msg_SOURCES = tests/unit/test_cops_msg.c tests/unit/capture.h \
	tests/unit/cops_vectors.h
tests_unit_test_cops_msg_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_cops_msg_LDADD = libcops/libcops.la common/libbase.la $(CHECK_LIBS)
tests_unit_test_cops_msg_LDFLAGS = $(AM_LDFLAGS) -static

check_PROGRAMS += tests/unit/test_cops_conn
tests_unit_test_cops_conn_SOURCES = tests/unit/test_cops_conn.c tests/unit/capture.h \
	tests/unit/cops_vectors.h
tests_unit_test_cops_conn_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_cops_conn_LDADD = libcops/libcops.la common/libbase.la $(CHECK_LIBS)
tests_unit_test_cops_conn_LDFLAGS = $(AM_LDFLAGS) -static

check_PROGRAMS += tests/unit/test_cops_io
tests_unit_test_cops_io_SOURCES = tests/unit/test_cops_io.c
tests_unit_test_cops_io_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) $(EVENT_CFLAGS) $(SSL_CFLAGS)
tests_unit_test_cops_io_LDADD = libcops/libcops.la common/libbase.la $(CHECK_LIBS) \
	$(EVENT_LIBS) $(SSL_LIBS)
tests_unit_test_cops_io_LDFLAGS = $(AM_LDFLAGS) -static


check_PROGRAMS += tests/unit/test_common_base
tests_unit_test_common_base_SOURCES = tests/unit/test_common_base.c
tests_unit_test_common_base_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_common_base_LDADD = common/libbase.la $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_common_conf
tests_unit_test_common_conf_SOURCES = tests/unit/test_common_conf.c
tests_unit_test_common_conf_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_common_conf_LDADD = common/libcommon.la $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_common_ctl
tests_unit_test_common_ctl_SOURCES = tests/unit/test_common_ctl.c
tests_unit_test_common_ctl_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_common_ctl_LDADD = common/libcommon.la $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_common_tls
tests_unit_test_common_tls_SOURCES = tests/unit/test_common_tls.c
tests_unit_test_common_tls_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_common_tls_LDADD = common/libcommon.la $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_common_sys
tests_unit_test_common_sys_SOURCES = tests/unit/test_common_sys.c
tests_unit_test_common_sys_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_common_sys_LDADD = common/libcommon.la $(CHECK_LIBS)

# --- pib
check_PROGRAMS += tests/unit/test_pib_codec tests/unit/test_pib_store
tests_unit_test_pib_codec_SOURCES = tests/unit/test_pib_codec.c tests/unit/pib_gen.c tests/unit/pib_gen.h
tests_unit_test_pib_codec_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_pib_codec_LDADD = pib/libpib.la common/libbase.la $(CHECK_LIBS)
tests_unit_test_pib_codec_LDFLAGS = $(AM_LDFLAGS) -static
tests_unit_test_pib_store_SOURCES = tests/unit/test_pib_store.c tests/unit/pib_gen.c tests/unit/pib_gen.h
tests_unit_test_pib_store_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_pib_store_LDADD = pib/libpib.la common/libbase.la $(CHECK_LIBS)
tests_unit_test_pib_store_LDFLAGS = $(AM_LDFLAGS) -static
$(tests_unit_test_pib_codec_OBJECTS) $(tests_unit_test_pib_store_OBJECTS): $(PIB_GEN_H)

check_PROGRAMS += tests/unit/test_copsctl
tests_unit_test_copsctl_SOURCES = tests/unit/test_copsctl.c
tests_unit_test_copsctl_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_copsctl_LDADD = copsctl/libcopsctl.la $(CHECK_LIBS)
tests_unit_test_copsctl_LDFLAGS = $(AM_LDFLAGS) -static
EXTRA_DIST += tests/commands.sh tests/copsctl_pki.sh tests/examples.sh
TESTS += tests/decode.sh tests/trace.sh
EXTRA_DIST += tests/tshark_units.sh
EXTRA_DIST += tests/spin.sh tests/spin/keying.pml
EXTRA_DIST += tests/lib.sh tests/decode.sh tests/trace.sh
TESTS += tests/symbols.sh tests/library_man.sh
EXTRA_DIST += tests/api tests/symbols.sh tests/symbols.c
EXTRA_DIST += tests/sans_io.sh tests/library_man.sh examples/sans_io.c

check_PROGRAMS += tests/unit/test_cops_print
tests_unit_test_cops_print_SOURCES = tests/unit/test_cops_print.c tests/unit/cops_vectors.h
tests_unit_test_cops_print_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_cops_print_LDADD = libcops/libcops.la common/libbase.la $(CHECK_LIBS)
tests_unit_test_cops_print_LDFLAGS = $(AM_LDFLAGS) -static

# needs root and a kernel with PF_KEY and XFRM: run by tests/scenario/backends.sh
noinst_PROGRAMS += tests/unit/kern_live
tests_unit_kern_live_SOURCES = tests/unit/kern_live.c
tests_unit_kern_live_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_kern_live_LDADD = pep/libpep.la $(CHECK_LIBS)

# The back ends with faults on order over them, below the enforcer in one process and below a whole
# copspepd: run by tests/scenario/refusals.sh and crashes.sh.
FAULTS_WRAP = -Wl,--wrap=kern_pfkey_ops,--wrap=kern_xfrm_ops,--wrap=setsockopt
noinst_PROGRAMS += tests/unit/faults_live tests/unit/copspepd_faults
tests_unit_faults_live_SOURCES = tests/unit/faults_live.c tests/unit/kern_faults.c tests/unit/kern_faults.h
tests_unit_faults_live_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) $(EVENT_CFLAGS) $(SSL_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_faults_live_LDADD = pep/libpep.la copsctl/libcopsctl.la libcops/libcops.la \
	pib/libpib.la common/libcommon.la $(CHECK_LIBS) $(EVENT_LIBS) $(SSL_LIBS) $(JANSSON_LIBS)
tests_unit_faults_live_LDFLAGS = $(AM_LDFLAGS) -static $(FAULTS_WRAP)
tests_unit_copspepd_faults_SOURCES = pep/main.c tests/unit/kern_faults.c tests/unit/kern_faults.h
tests_unit_copspepd_faults_CFLAGS = $(pep_libpep_la_CFLAGS)
tests_unit_copspepd_faults_LDADD = pep/libpep.la
tests_unit_copspepd_faults_LDFLAGS = $(AM_LDFLAGS) $(FAULTS_WRAP)

# --- PIB modules and their compiler
TESTS += tests/smilint.sh tests/pibc.sh
EXTRA_DIST += tests/smilint.sh tests/pibc.sh

check_PROGRAMS += tests/unit/test_keying
tests_unit_test_keying_SOURCES = tests/unit/test_keying.c
tests_unit_test_keying_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) $(SSL_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_keying_LDADD = pep/libpep.la copsctl/libcopsctl.la libcops/libcops.la \
	pib/libpib.la common/libcommon.la $(CHECK_LIBS) $(EVENT_LIBS) $(SSL_LIBS) $(JANSSON_LIBS)
tests_unit_test_keying_LDFLAGS = $(AM_LDFLAGS) -static

# --- pdp: ids, model, intent, delta
check_PROGRAMS += tests/unit/test_ids tests/unit/test_intent tests/unit/test_model \
	tests/unit/test_delta
PDP_BRAIN_LIBS = pdp/libpdp.la libcops/libcops.la pib/libpib.la common/libbase.la
tests_unit_test_ids_SOURCES = tests/unit/test_ids.c
tests_unit_test_ids_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_ids_LDADD = $(PDP_BRAIN_LIBS) $(CHECK_LIBS)
tests_unit_test_ids_LDFLAGS = $(AM_LDFLAGS) -static
tests_unit_test_intent_SOURCES = tests/unit/test_intent.c
tests_unit_test_intent_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_intent_LDADD = $(PDP_BRAIN_LIBS) $(CHECK_LIBS)
tests_unit_test_intent_LDFLAGS = $(AM_LDFLAGS) -static
tests_unit_test_model_SOURCES = tests/unit/test_model.c
tests_unit_test_model_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_model_LDADD = $(PDP_BRAIN_LIBS) $(CHECK_LIBS)
tests_unit_test_model_LDFLAGS = $(AM_LDFLAGS) -static
tests_unit_test_delta_SOURCES = tests/unit/test_delta.c
tests_unit_test_delta_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_delta_LDADD = $(PDP_BRAIN_LIBS) $(CHECK_LIBS)
tests_unit_test_delta_LDFLAGS = $(AM_LDFLAGS) -static
$(tests_unit_test_delta_OBJECTS): $(PIB_GEN_H)
EXTRA_DIST += tests/intent tests/bench/gen_sites tests/bench/first_reply
EXTRA_PROGRAMS += tests/bench/bench_intent
tests_bench_bench_intent_SOURCES = tests/bench/bench_intent.c
tests_bench_bench_intent_LDADD = $(PDP_BRAIN_LIBS)
tests_bench_bench_intent_LDFLAGS = $(AM_LDFLAGS) -static

# --- the policy server's machinery, whole servers with scripted PEPs
check_PROGRAMS += tests/unit/test_pdp
tests_unit_test_pdp_SOURCES = tests/unit/test_pdp.c tests/unit/capture.h tests/unit/pdp_pep.c \
	tests/unit/pdp_pep.h
tests_unit_test_pdp_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) $(EVENT_CFLAGS) $(SSL_CFLAGS) \
	$(JANSSON_CFLAGS)
tests_unit_test_pdp_LDADD = pdp/libpdp.la copsctl/libcopsctl.la $(CHECK_LIBS)
tests_unit_test_pdp_LDFLAGS = $(AM_LDFLAGS) -static
$(tests_unit_test_pdp_OBJECTS): $(PIB_GEN_H)
check_PROGRAMS += tests/unit/test_pdp_contexts
tests_unit_test_pdp_contexts_SOURCES = tests/unit/test_pdp_contexts.c tests/unit/capture.h tests/unit/pdp_pep.c \
	tests/unit/pdp_pep.h
tests_unit_test_pdp_contexts_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) $(EVENT_CFLAGS) $(SSL_CFLAGS) \
	$(JANSSON_CFLAGS)
tests_unit_test_pdp_contexts_LDADD = pdp/libpdp.la copsctl/libcopsctl.la $(CHECK_LIBS)
tests_unit_test_pdp_contexts_LDFLAGS = $(AM_LDFLAGS) -static
$(tests_unit_test_pdp_contexts_OBJECTS): $(PIB_GEN_H)
check_PROGRAMS += tests/unit/test_membership
tests_unit_test_membership_SOURCES = tests/unit/test_membership.c tests/unit/capture.h tests/unit/pdp_pep.c \
	tests/unit/pdp_pep.h
tests_unit_test_membership_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) $(EVENT_CFLAGS) $(SSL_CFLAGS) \
	$(JANSSON_CFLAGS)
tests_unit_test_membership_LDADD = pdp/libpdp.la copsctl/libcopsctl.la $(CHECK_LIBS)
tests_unit_test_membership_LDFLAGS = $(AM_LDFLAGS) -static
$(tests_unit_test_membership_OBJECTS): $(PIB_GEN_H)
check_PROGRAMS += tests/unit/test_pdp_tunnels
tests_unit_test_pdp_tunnels_SOURCES = tests/unit/test_pdp_tunnels.c tests/unit/capture.h tests/unit/pdp_pep.c \
	tests/unit/pdp_pep.h
tests_unit_test_pdp_tunnels_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) $(EVENT_CFLAGS) $(SSL_CFLAGS) \
	$(JANSSON_CFLAGS)
tests_unit_test_pdp_tunnels_LDADD = pdp/libpdp.la copsctl/libcopsctl.la $(CHECK_LIBS)
tests_unit_test_pdp_tunnels_LDFLAGS = $(AM_LDFLAGS) -static
$(tests_unit_test_pdp_tunnels_OBJECTS): $(PIB_GEN_H)

check_PROGRAMS += tests/unit/test_pdp_learned
tests_unit_test_pdp_learned_SOURCES = tests/unit/test_pdp_learned.c tests/unit/capture.h tests/unit/pdp_pep.c \
	tests/unit/pdp_pep.h
tests_unit_test_pdp_learned_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) $(EVENT_CFLAGS) $(SSL_CFLAGS) \
	$(JANSSON_CFLAGS)
tests_unit_test_pdp_learned_LDADD = pdp/libpdp.la copsctl/libcopsctl.la $(CHECK_LIBS)
tests_unit_test_pdp_learned_LDFLAGS = $(AM_LDFLAGS) -static
$(tests_unit_test_pdp_learned_OBJECTS): $(PIB_GEN_H)

# --- pep: policies, the enforcer
check_PROGRAMS += tests/unit/test_spd tests/unit/test_pep_vpn tests/unit/test_ike
tests_unit_test_ike_SOURCES = tests/unit/test_ike.c
tests_unit_test_ike_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_ike_LDADD = pep/libpep.la $(CHECK_LIBS)
check_PROGRAMS += tests/unit/test_rtnl
tests_unit_test_rtnl_SOURCES = tests/unit/test_rtnl.c
tests_unit_test_rtnl_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) $(MNL_CFLAGS)
tests_unit_test_rtnl_LDADD = pep/libpep.la $(CHECK_LIBS) $(MNL_LIBS)
tests_unit_test_rtnl_LDFLAGS = $(AM_LDFLAGS) -static -Wl,--wrap=mnl_socket_sendto \
	-Wl,--wrap=mnl_socket_recvfrom
tests_unit_test_spd_SOURCES = tests/unit/test_spd.c
tests_unit_test_spd_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_spd_LDADD = pep/libpep.la $(CHECK_LIBS)
tests_unit_test_pep_vpn_SOURCES = tests/unit/test_pep_vpn.c
tests_unit_test_pep_vpn_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) $(EVENT_CFLAGS) $(SSL_CFLAGS) \
	$(JANSSON_CFLAGS)
tests_unit_test_pep_vpn_LDADD = pep/libpep.la copsctl/libcopsctl.la libcops/libcops.la \
	pib/libpib.la common/libcommon.la $(CHECK_LIBS) $(EVENT_LIBS) $(SSL_LIBS) $(JANSSON_LIBS)
tests_unit_test_pep_vpn_LDFLAGS = $(AM_LDFLAGS) -static -Wl,--wrap=kern_pfkey_ops
$(tests_unit_test_pep_vpn_OBJECTS): $(PIB_GEN_H)

check_PROGRAMS += tests/unit/test_pep_learn
tests_unit_test_pep_learn_SOURCES = tests/unit/test_pep_learn.c
tests_unit_test_pep_learn_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) $(EVENT_CFLAGS) $(SSL_CFLAGS) \
	$(JANSSON_CFLAGS)
tests_unit_test_pep_learn_LDADD = pep/libpep.la copsctl/libcopsctl.la libcops/libcops.la \
	pib/libpib.la common/libcommon.la $(CHECK_LIBS) $(EVENT_LIBS) $(SSL_LIBS) $(JANSSON_LIBS)
tests_unit_test_pep_learn_LDFLAGS = $(AM_LDFLAGS) -static
$(tests_unit_test_pep_learn_OBJECTS): $(PIB_GEN_H)

check_PROGRAMS += tests/unit/test_pep_agent
tests_unit_test_pep_agent_SOURCES = tests/unit/test_pep_agent.c tests/unit/pep_pdp.c \
	tests/unit/pep_pdp.h tests/unit/capture.h
tests_unit_test_pep_agent_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) $(EVENT_CFLAGS) $(SSL_CFLAGS)
tests_unit_test_pep_agent_LDADD = pep/libpep.la $(CHECK_LIBS)
tests_unit_test_pep_agent_LDFLAGS = $(AM_LDFLAGS) -static

check_PROGRAMS += tests/unit/test_pep_owed
tests_unit_test_pep_owed_SOURCES = tests/unit/test_pep_owed.c tests/unit/pep_pdp.c \
	tests/unit/pep_pdp.h tests/unit/capture.h
tests_unit_test_pep_owed_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) $(EVENT_CFLAGS) $(SSL_CFLAGS)
tests_unit_test_pep_owed_LDADD = pep/libpep.la copsctl/libcopsctl.la libcops/libcops.la \
	pib/libpib.la common/libcommon.la $(CHECK_LIBS) $(EVENT_LIBS) $(SSL_LIBS) $(JANSSON_LIBS)
tests_unit_test_pep_owed_LDFLAGS = $(AM_LDFLAGS) -static
$(tests_unit_test_pep_owed_OBJECTS): $(PIB_GEN_H)

check_PROGRAMS += tests/unit/test_store
tests_unit_test_store_SOURCES = tests/unit/test_store.c
tests_unit_test_store_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_store_LDADD = pdp/libpdp.la $(CHECK_LIBS)
tests_unit_test_store_LDFLAGS = $(AM_LDFLAGS) -static

check_PROGRAMS += tests/unit/test_keyring
tests_unit_test_keyring_SOURCES = tests/unit/test_keyring.c
tests_unit_test_keyring_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_keyring_LDADD = pdp/libpdp.la $(CHECK_LIBS)
tests_unit_test_keyring_LDFLAGS = $(AM_LDFLAGS) -static
$(tests_unit_test_keyring_OBJECTS): $(PIB_GEN_H)

TESTS += tests/pep_conf.sh
EXTRA_DIST += tests/pep_conf.sh
TESTS += tests/pdp_conf.sh tests/security.sh tests/failover.sh \
	tests/refresh.sh

# --- judges: fuzz seeds, tshark
EXTRA_DIST += tests/tshark/keylog.c

# --- what must not allocate
check_PROGRAMS += tests/unit/test_alloc
tests_unit_test_alloc_SOURCES = tests/unit/test_alloc.c tests/bench/prefixes.c tests/bench/prefixes.h
tests_unit_test_alloc_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_alloc_LDADD = $(PDP_BRAIN_LIBS) $(CHECK_LIBS)
tests_unit_test_alloc_LDFLAGS = $(AM_LDFLAGS) -static \
	-Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc
$(tests_unit_test_alloc_OBJECTS): $(PIB_GEN_H)

# --- client-types of others
EXTRA_DIST += tests/plugin.sh
check_PROGRAMS += tests/unit/test_source
tests_unit_test_source_SOURCES = tests/unit/test_source.c
tests_unit_test_source_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_source_LDADD = pdp/libpdp.la $(CHECK_LIBS)
tests_unit_test_source_LDFLAGS = $(AM_LDFLAGS) -static
$(tests_unit_test_source_OBJECTS): $(PIB_GEN_H)

check_PROGRAMS += tests/unit/test_pep_contexts
tests_unit_test_pep_contexts_SOURCES = tests/unit/test_pep_contexts.c tests/unit/pep_pdp.c \
	tests/unit/pep_pdp.h tests/unit/capture.h
tests_unit_test_pep_contexts_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) $(EVENT_CFLAGS) $(SSL_CFLAGS)
tests_unit_test_pep_contexts_LDADD = pep/libpep.la $(CHECK_LIBS)
tests_unit_test_pep_contexts_LDFLAGS = $(AM_LDFLAGS) -static
$(tests_unit_test_pep_contexts_OBJECTS): $(PIB_GEN_H)
