# What goes with an installation: systemd's units and the user of the daemons.
systemdunitdir = $(prefix)/lib/systemd/system
systemdunit_DATA = contrib/systemd/copspdpd.service contrib/systemd/copspepd.service \
	contrib/systemd/copspepd-lockdown.service
sysusersdir = $(prefix)/lib/sysusers.d
sysusers_DATA = contrib/systemd/cops.conf

contrib/systemd/%.service: $(top_srcdir)/contrib/systemd/%.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) contrib/systemd && \
	sed -e 's|[@]sbindir[@]|$(sbindir)|' $(srcdir)/contrib/systemd/$*.service.in > $@

contrib/systemd/cops.conf: $(top_srcdir)/contrib/systemd/cops.sysusers
	$(AM_V_GEN)$(MKDIR_P) contrib/systemd && cp $(srcdir)/contrib/systemd/cops.sysusers $@

CLEANFILES += $(systemdunit_DATA) $(sysusers_DATA)
EXTRA_DIST += contrib/bootstrap contrib/systemd/copspdpd.service.in \
	contrib/systemd/copspepd.service.in contrib/systemd/copspepd-lockdown.service.in \
	contrib/systemd/cops.sysusers

# For those who write client-types (cops-plugin(7)).
pkgconfig_DATA += contrib/copsvpn.pc
EXTRA_DIST += contrib/copsvpn.pc.in
CLEANFILES += contrib/copsvpn.pc
contrib/copsvpn.pc: $(top_srcdir)/contrib/copsvpn.pc.in Makefile
	$(AM_V_GEN)$(MKDIR_P) contrib && sed -e 's|[@]prefix[@]|$(prefix)|' \
		-e 's|[@]libdir[@]|$(libdir)|' -e 's|[@]includedir[@]|$(includedir)|' \
		-e 's|[@]bindir[@]|$(bindir)|' -e 's|[@]pkgdatadir[@]|$(pkgdatadir)|' \
		-e 's|[@]version[@]|$(PACKAGE_VERSION)|' \
		$(top_srcdir)/contrib/copsvpn.pc.in > $@
