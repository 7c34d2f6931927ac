/* ixgbe_sfp.c - the module in the cage: its memory behind a bit-banged I2C bus in I2CCTL (8.2.3.1.4, SFF-8472) */
#include "tests/models/ixgbe_device.h"

enum {
	ADDRESS = 0xA0,
};

/* An optical 10GBASE-SR module by Intel */
static uint8_t memory(uint8_t where)
{
	switch (where) {
	case 0x00: /* SFP */
		return 0x03;
	case 0x03: /* 10GBASE-SR */
		return 0x10;
	case 0x25: /* the vendor's OUI: 00-1B-21 */
		return 0x00;
	case 0x26:
		return 0x1B;
	case 0x27:
		return 0x21;
	default:
		return 0x00;
	}
}

/* A whole byte has come from the driver: whether we answer it */
static bool taken(struct ixgbe_sfp *sfp)
{
	switch (sfp->state) {
	case SFP_DEVICE:
		if ((sfp->shifted & 0xFE) != ADDRESS) {
			sfp->state = SFP_IDLE;
			return false;
		}
		sfp->state = sfp->shifted & 1 ? SFP_READ : SFP_ADDRESS;
		return true;
	case SFP_ADDRESS:
		sfp->where = sfp->shifted;
		sfp->state = SFP_WRITE;
		return true;
	case SFP_WRITE: /* it cannot be written to, and says nothing about it */
		return true;
	default:
		return false;
	}
}

static bool bit_to_send(const struct ixgbe_sfp *sfp)
{
	return memory(sfp->where) >> (7 - sfp->bits) & 1;
}

/* The clock goes up: the bit on the bus counts. */
static void rising(struct ixgbe_sfp *sfp)
{
	if (sfp->bits < 8 && sfp->state != SFP_READ)
		sfp->shifted = (uint8_t)(sfp->shifted << 1 | sfp->data);
	if (sfp->bits == 8 && sfp->state == SFP_READ && !sfp->answering && sfp->data)
		sfp->state = SFP_IDLE; /* the reader has had enough */
}

/* The clock goes down: the next bit may be put on the bus. */
static void falling(struct ixgbe_sfp *sfp)
{
	bool reading = sfp->state == SFP_READ && !sfp->answering;

	sfp->bits++;
	if (sfp->bits == 8) {
		if (!reading && taken(sfp)) {
			sfp->answering = true;
			sfp->pulls = true;
			return;
		}
		sfp->pulls = false;
		return;
	}
	if (sfp->bits > 8) {
		sfp->bits = 0;
		if (reading)
			sfp->where++;
		sfp->answering = false;
		sfp->shifted = 0;
	}
	sfp->pulls = sfp->state == SFP_READ && !bit_to_send(sfp);
}

void ixgbe_sfp_write(struct ixgbe_model *m, uint32_t value)
{
	struct ixgbe_sfp *sfp = &m->sfp;
	bool clock = value & I2C_CLK_OUT, data = value & I2C_DATA_OUT;

	*reg(m, R_I2CCTL) = value & (I2C_CLK_OUT | I2C_DATA_OUT);
	if (sfp->clock && clock && data != sfp->data) {
		/* data changes while the clock is high: down is a start, up a stop */
		sfp->state = data ? SFP_IDLE : SFP_DEVICE;
		sfp->bits = UINT8_MAX; /* the clock's falling edge that ends the start is no bit */
		sfp->shifted = 0;
		sfp->answering = sfp->pulls = false;
	} else if (clock != sfp->clock && sfp->state != SFP_IDLE) {
		sfp->data = data;
		if (clock)
			rising(sfp);
		else
			falling(sfp);
	} else if (sfp->state == SFP_IDLE) {
		sfp->pulls = false;
	}
	sfp->clock = clock;
	sfp->data = data;
}

uint32_t ixgbe_sfp_read(struct ixgbe_model *m)
{
	uint32_t out = *reg(m, R_I2CCTL);

	/* open drain: low if anybody pulls */
	return out | (out & I2C_CLK_OUT ? I2C_CLK_IN : 0) |
	       (out & I2C_DATA_OUT && !m->sfp.pulls ? I2C_DATA_IN : 0);
}
