/* vpn_caps.c - see vpn_caps.h. */
#include "pep/vpn_caps.h"

#include "pep/kern_suite.h"
#include "pib/gen/ce_vpn_pib.h"

#define WINDOW_LEAST 32

static void find_windows(struct vpn_caps *c, const struct kern_ops *ops, struct kern *k)
{
	static const uint32_t widths[] = {4096, 2048, 1024, 512, 256, 128, 64, WINDOW_LEAST};
	struct kern_fault f;

	for (size_t i = 0; c->suites > 0 && c->window_max == 0 && i < sizeof(widths) / 4; i++)
		if (ops->can(k, &c->suite[0], widths[i], &f) == 0)
			c->window_max = widths[i];
}

void vpn_caps_find(struct vpn_caps *c, const struct kern_ops *ops, struct kern *k)
{
	struct suite all[SENDS_MAX];
	size_t count = kern_suite_list(all, SENDS_MAX);
	struct kern_fault f;

	*c = (struct vpn_caps) {.esn = count > 0};
	for (size_t i = 0; i < count; i++) {
		struct suite s = all[i];

		if (ops->can(k, &s, 0, &f) < 0)
			continue;
		s.esn = true;
		s.esn = ops->can(k, &s, 0, &f) == 0;
		c->esn &= s.esn;
		c->suite[c->suites++] = s;
	}
	c->esn &= c->suites > 0;
	find_windows(c, ops, k);
}

void vpn_caps_notify(const struct vpn_caps *c,
    void (*put)(void *arg, const struct pib_class *cls, uint32_t instance, const void *row),
    void *arg)
{
	for (size_t i = 0; i < c->suites; i++) {
		const struct suite *s = &c->suite[i];
		const struct pib_ce_vpn_site_transform row = {
		    .id = (uint32_t)i + 1,
		    .protocol = s->protocol,
		    .encr = s->encr,
		    .encr_key_bits = s->encr_key_bits,
		    .integ = s->integ,
		};

		put(arg, &pib_ce_vpn_site_transform_class, row.id, &row);
	}
}
