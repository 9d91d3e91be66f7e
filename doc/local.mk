dist_man_MANS += doc/copsctl.1
