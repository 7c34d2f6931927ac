/* ixgbe_irq.c - causes -> MSI-X messages (section 7.3): IVAR, masks, clearing and masking by itself, throttling
 *
 *	queue --IVAR--> cause v (EICR, EICR_EX) --EIMS--> pending --EITR v--> message v
 *	link  ------> cause (EICR 30:16) --EIMS, IVAR_MISC--> pending ...
 */
#include "tests/models/ixgbe_device.h"

/* EITR of vector v */
static uint32_t eitr(unsigned int vector)
{
	return vector < 24 ? R_EITR + 4 * vector : R_EITR_HIGH + 4 * (vector - 24);
}

bool ixgbe_irq_register(uint32_t offset)
{
	switch (offset) {
	case R_EICR:
	case R_EICS:
	case R_EIMS:
	case R_EIMC:
	case R_EIAM:
	case R_EICS_EX:
	case R_EICS_EX + 4:
	case R_EIMS_EX:
	case R_EIMS_EX + 4:
	case R_EIMC_EX:
	case R_EIMC_EX + 4:
	case R_EIAM_EX:
	case R_EIAM_EX + 4:
		return true;
	default:
		return false;
	}
}

/* The vector of all that is no queue, or -1 */
static int other_vector(struct ixgbe_model *m)
{
	uint32_t entry = *reg(m, R_IVAR_MISC) >> 8 & 0xFF;

	return entry & IVAR_VALID ? (int)(entry & 0x3F) : -1;
}

/* Causes that are set and enabled become pending. */
static void trigger(struct ixgbe_model *m, uint64_t causes, uint32_t others)
{
	int other = other_vector(m);

	causes &= m->causes & m->causes_enabled;
	for (unsigned int v = 0; causes; v++, causes >>= 1)
		m->vectors[v].pending |= causes & 1;
	if (others & m->others & m->others_enabled && other >= 0)
		m->vectors[other].pending = true;
}

static void set(struct ixgbe_model *m, uint64_t causes, uint32_t others)
{
	m->causes |= causes;
	m->others |= others & EICR_OTHER;
	trigger(m, causes, others);
}

static void enable(struct ixgbe_model *m, uint64_t causes, uint32_t others)
{
	m->causes_enabled |= causes;
	m->others_enabled |= others & EICR_OTHER;
	trigger(m, causes, others);
}

void ixgbe_irq_other(struct ixgbe_model *m, uint32_t causes)
{
	set(m, 0, causes);
}

/* 8.2.3.5.12: four entries in each register: receive and transmit of an even queue, then of an odd one */
void ixgbe_irq_queue(struct ixgbe_model *m, unsigned int queue, bool transmit)
{
	uint32_t ivar = *reg(m, R_IVAR + queue / 2 * 4);
	uint32_t entry = ivar >> (queue % 2 * 16 + transmit * 8) & 0xFF;

	if (entry & IVAR_VALID)
		set(m, 1ull << (entry & 0x3F), 0);
}

static uint32_t read_eicr(struct ixgbe_model *m)
{
	uint32_t value = (uint32_t)(m->causes & EICR_QUEUES) | m->others;

	/* 7.3.1.4: clears on read; with OCD only 29:16 */
	m->others &= 3u << 30;
	if (!(*reg(m, R_GPIE) & GPIE_OCD)) {
		m->others = 0;
		m->causes &= ~(uint64_t)EICR_QUEUES;
	}
	return value;
}

uint32_t ixgbe_irq_read(struct ixgbe_model *m, uint32_t offset)
{
	switch (offset) {
	case R_EICR:
		return read_eicr(m);
	case R_EICS:
		return (uint32_t)(m->causes & EICR_QUEUES) | m->others;
	case R_EIMS:
	case R_EIMC:
		return (uint32_t)(m->causes_enabled & EICR_QUEUES) | m->others_enabled;
	case R_EIAM:
		return (uint32_t)(m->causes_automask & EICR_QUEUES);
	case R_EICS_EX:
	case R_EICS_EX + 4:
		return (uint32_t)(m->causes >> 8 * (offset - R_EICS_EX));
	case R_EIMS_EX:
	case R_EIMS_EX + 4:
		return (uint32_t)(m->causes_enabled >> 8 * (offset - R_EIMS_EX));
	case R_EIAM_EX:
	case R_EIAM_EX + 4:
		return (uint32_t)(m->causes_automask >> 8 * (offset - R_EIAM_EX));
	default:
		return 0;
	}
}

/* 32 of the 64 causes */
static void replace(uint64_t *all, unsigned int half, uint32_t value)
{
	*all = (*all & ~(0xFFFFFFFFull << 32 * half)) | (uint64_t)value << 32 * half;
}

static void write_extended(struct ixgbe_model *m, uint32_t offset, uint32_t value)
{
	unsigned int half = offset / 4 % 2;
	uint64_t causes;

	/* the pairs begin at multiples of 16 */
	causes = (uint64_t)value << 32 * half;
	switch (offset & ~4u) {
	case R_EICS_EX:
		set(m, causes, 0);
		break;
	case R_EIMS_EX:
		enable(m, causes, 0);
		break;
	case R_EIMC_EX:
		m->causes_enabled &= ~causes;
		break;
	case R_EIAM_EX:
		replace(&m->causes_automask, half, value);
		break;
	}
}

void ixgbe_irq_write(struct ixgbe_model *m, uint32_t offset, uint32_t value)
{
	uint64_t causes = value & EICR_QUEUES;

	switch (offset) {
	case R_EICR: /* write one to clear */
		m->causes &= ~causes;
		m->others &= ~value;
		break;
	case R_EICS:
		set(m, causes, value);
		break;
	case R_EIMS:
		enable(m, causes, value);
		break;
	case R_EIMC:
		m->causes_enabled &= ~causes;
		m->others_enabled &= ~value;
		break;
	case R_EIAM:
		m->causes_automask = (m->causes_automask & ~(uint64_t)EICR_QUEUES) | causes;
		break;
	default:
		write_extended(m, offset, value);
	}
}

static void fire(struct ixgbe_model *m, unsigned int vector, bool by_queue)
{
	uint64_t cause = 1ull << vector;

	/* 7.3.1.4: causes above 15 always clear by themselves, others where EIAC says so */
	if (by_queue && (vector > 15 || *reg(m, R_EIAC) & cause))
		m->causes &= ~cause;
	if (*reg(m, R_GPIE) & GPIE_EIAME && by_queue)
		m->causes_enabled &= ~(m->causes_automask & cause);
	m->vectors[vector].pending = false;
	m->vectors[vector].not_before_ns =
		m->now_ns + (*reg(m, eitr(vector)) & EITR_INTERVAL) / 8 * 2 * US_NS;
	m->host->raise(m->host->context, vector);
}

uint64_t ixgbe_irq_poll(struct ixgbe_model *m)
{
	bool ready =
		ixgbe_pci_msix_enabled(m) && *reg(m, R_GPIE) & GPIE_MSIX_MODE && ixgbe_can_dma(m);
	int other = other_vector(m);
	uint64_t due = UINT64_MAX;

	for (unsigned int v = 0; v < IXGBE_MODEL_VECTORS; v++) {
		struct ixgbe_vector *vector = &m->vectors[v];
		bool by_queue = m->causes & m->causes_enabled & 1ull << v;
		bool by_other = (int)v == other && m->others & m->others_enabled;

		if (!vector->pending)
			continue;
		if (!by_queue && !by_other)
			vector->pending = false; /* masked or cleared meanwhile */
		else if (ready && m->now_ns >= vector->not_before_ns)
			fire(m, v, by_queue);
		else if (ready && vector->not_before_ns < due)
			due = vector->not_before_ns;
	}
	return due;
}
