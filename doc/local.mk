dist_man_MANS += doc/copsctl.1
dist_man_MANS += doc/intent.5
