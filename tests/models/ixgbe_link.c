/* ixgbe_link.c - the link to the other end of the cable: always 10 Gb/s, sometimes up (sections 3.7.4, 4.6.4) */
#include "tests/models/ixgbe_device.h"

static bool can_be_up(struct ixgbe_model *m)
{
	return m->cable && !(*reg(m, R_ESDP) & ESDP_SDP3) &&
	       !(*reg(m, R_AUTOC2) & AUTOC2_DISABLE) &&
	       (*reg(m, R_AUTOC) >> AUTOC_LMS_POS & 7) == 3;
}

/* A reset, or something that the driver did to the link: down, and up a while later. */
void ixgbe_link_restart(struct ixgbe_model *m)
{
	m->link_ns = can_be_up(m) ? m->now_ns + LINK_US * US_NS : UINT64_MAX;
}

bool ixgbe_link_update(struct ixgbe_model *m)
{
	bool up = m->now_ns >= m->link_ns;

	if (up == m->link_up)
		return false;
	m->link_up = up;
	return true;
}

void ixgbe_model_set_cable(struct ixgbe_model *m, bool in)
{
	ixgbe_settle(m);
	m->cable = in;
	ixgbe_link_restart(m);
	if (ixgbe_link_update(m))
		ixgbe_irq_other(m, EICR_LSC);
}
