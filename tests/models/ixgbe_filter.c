/* ixgbe_filter.c - which frames the card takes (section 7.1.1): addresses, VLANs, size */
#include "tests/models/ixgbe_device.h"

static bool unicast(struct ixgbe_model *m, const uint8_t *to)
{
	uint32_t low = (uint32_t)to[3] << 24 | to[2] << 16 | to[1] << 8 | to[0],
		 high = to[5] << 8 | to[4];

	for (unsigned int i = 0; i < 128; i++) {
		uint32_t rah = *reg(m, R_RAL + 8 * i + 4);

		if (rah & RAH_AV && (rah & 0xFFFF) == high && *reg(m, R_RAL + 8 * i) == low)
			return true;
	}
	return false;
}

/* 8.2.3.7.8: MCSTCTRL.MO says which twelve of the address's upper sixteen bits count */
static bool multicast(struct ixgbe_model *m, const uint8_t *to)
{
	uint32_t mcstctrl = *reg(m, R_MCSTCTRL), upper = to[5] << 8 | to[4];
	unsigned int shift = (unsigned int[]){4, 3, 2, 0}[mcstctrl & 3];
	uint32_t hash = upper >> shift & 0xFFF;

	return mcstctrl & MCSTCTRL_MFE && *reg(m, R_MTA + hash / 32 * 4) >> hash % 32 & 1;
}

static bool address_passes(struct ixgbe_model *m, const uint8_t *to, bool *exact)
{
	uint32_t fctrl = *reg(m, R_FCTRL);

	*exact = true;
	if ((to[0] & to[1] & to[2] & to[3] & to[4] & to[5]) == 0xFF && fctrl & FCTRL_BAM)
		return true;
	if (unicast(m, to))
		return true;
	*exact = false;
	if (to[0] & 1)
		return fctrl & FCTRL_MPE || multicast(m, to);
	return fctrl & FCTRL_UPE;
}

/* 8.2.3.7.2: what is a tag is the driver's to say */
static bool is_tagged(struct ixgbe_model *m, const uint8_t *frame)
{
	return (frame[12] << 8 | frame[13]) == (int)(*reg(m, R_VLNCTRL) & VLNCTRL_VET);
}

static bool vlan_passes(struct ixgbe_model *m, const uint8_t *frame)
{
	unsigned int id = (frame[14] << 8 | frame[15]) & 0xFFF;

	if (!(*reg(m, R_VLNCTRL) & VLNCTRL_VFE) || !is_tagged(m, frame))
		return true;
	return *reg(m, R_VFTA + id / 32 * 4) >> id % 32 & 1;
}

uint32_t ixgbe_max_frame(struct ixgbe_model *m, bool tagged)
{
	uint32_t max = *reg(m, R_HLREG0) & HLREG0_JUMBOEN ? *reg(m, R_MAXFRS) >> 16 : 1518;

	/* 8.2.3.22.13: with FCS, without tag */
	max = (max > 4 ? max - 4 : 0) + (tagged ? 4 : 0);
	return max < IXGBE_MODEL_MAX_FRAME_BYTES ? max : IXGBE_MODEL_MAX_FRAME_BYTES;
}

bool ixgbe_filter(struct ixgbe_model *m, const uint8_t *frame, uint32_t len_bytes, bool *exact)
{
	if (len_bytes > ixgbe_max_frame(m, is_tagged(m, frame))) {
		ixgbe_stats_oversized(m);
		return false;
	}
	return address_passes(m, frame, exact) && vlan_passes(m, frame);
}
