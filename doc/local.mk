EXTRA_DIST += doc/conformance.md doc/keying.md
dist_man_MANS += doc/copsctl.1
dist_man_MANS += doc/intent.5
dist_man_MANS += doc/copspepd.8 doc/pep.conf.5
dist_man_MANS += doc/copspdpd.8 doc/pdp.conf.5
dist_man_MANS += doc/libcops.3 doc/libpib.3
dist_man_MANS += doc/cops-plugin.7
