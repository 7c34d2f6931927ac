/* ixgbe_examine_desc.c - the examiner's rules about descriptors; see ixgbe_examiner.h */
#include "tests/models/ixgbe_device.h"

/* As much of a buffer as a frame can reach: drivers let the rest of two buffers overlap, and rightly so. */
static uint32_t reach(struct ixgbe_model *m, unsigned int queue)
{
	uint32_t buffer = (*reg(m, rx_register(queue, Q_SRRCTL)) & SRRCTL_BSIZEPACKET) * 1024;
	uint32_t frame = ixgbe_max_frame(m, true);

	return buffer < frame ? buffer : frame;
}

static bool overlap(uint64_t a, uint32_t a_bytes, uint64_t b, uint32_t b_bytes)
{
	return a < b ? b - a < a_bytes : a - b < b_bytes;
}

/* Whatever a receive ring has of @bytes at @address, but for what @except says: one report for each */
static void examine_handed(struct ixgbe_model *m, const char *rule, unsigned int queue,
                           uint32_t slot, uint64_t address, uint32_t bytes,
                           const struct ixgbe_handed *except)
{
	for (unsigned int i = 0; i < NUM_QUEUES; i++) {
		const struct ixgbe_rx_queue *q = &m->rx[i];
		uint32_t other_bytes;

		if (!q->handed)
			continue;
		other_bytes = reach(m, i);
		for (uint32_t k = 0; k < q->size; k++)
			if (q->handed[k].ours && &q->handed[k] != except &&
			    overlap(q->handed[k].address, other_bytes, address, bytes))
				ixgbe_report(
					m, rule,
					"queue %u descriptor %u, and rx queue %u descriptor %u",
					queue, slot, i, k);
	}
}

bool ixgbe_examine_handover(struct ixgbe_model *m, unsigned int queue, uint32_t slot,
                            const uint64_t desc[2])
{
	/* Linux clears the length and not DD, and looks at that: what matters is that something was cleared */
	if (desc[0] & 1 || (desc[1] & RXD_DD && desc[1] >> 32 & 0xFFFF))
		ixgbe_report(m, "rx-descriptor", "queue %u, descriptor %u: %016llx %016llx", queue,
		             slot, (unsigned long long)desc[0], (unsigned long long)desc[1]);
	if (!m->host->dma_mapped(m->host->context, desc[0] & ~1ull, reach(m, queue), true)) {
		ixgbe_report(m, "rx-buffer-unmapped", "queue %u, descriptor %u", queue, slot);
		return false;
	}
	examine_handed(m, "rx-buffer-twice", queue, slot, desc[0], reach(m, queue),
	               &m->rx[queue].handed[slot]);
	return true;
}

/* 7.2.3.2.4: what a data descriptor must not have */
static bool examine_data(struct ixgbe_model *m, unsigned int queue, uint32_t slot, uint64_t address,
                         uint32_t command, uint32_t olinfo)
{
	if (command & (TXD_RESERVED | TXD_RESERVED_26) ||
	    olinfo & (TXD_STATUS | TXD_POPTS_RESERVED))
		ixgbe_report(m, "tx-reserved", "queue %u, descriptor %u: %08x %08x", queue, slot,
		             command, olinfo);
	if (!(command & TXD_LENGTH))
		ixgbe_report(m, "tx-length", "queue %u, descriptor %u: a buffer of no bytes", queue,
		             slot);
	if (command & TXD_TSE)
		ixgbe_report(m, "tx-unmodelled", "queue %u, descriptor %u: segmentation", queue,
		             slot);
	examine_handed(m, "tx-buffer-handed", queue, slot, address, command & TXD_LENGTH, NULL);
	return true;
}

/* 7.2.3.2.3: what a context descriptor must not have */
static bool examine_context(struct ixgbe_model *m, unsigned int queue, uint32_t slot,
                            const uint64_t desc[2])
{
	if (desc[0] & TXD_CONTEXT_RESERVED_LOW || desc[1] & TXD_CONTEXT_RESERVED_HIGH)
		ixgbe_report(m, "tx-reserved", "queue %u, descriptor %u: %016llx %016llx", queue,
		             slot, (unsigned long long)desc[0], (unsigned long long)desc[1]);
	return true;
}

bool ixgbe_examine_tx(struct ixgbe_model *m, unsigned int queue, uint32_t slot,
                      const uint64_t desc[2])
{
	uint32_t command = (uint32_t)desc[1], olinfo = (uint32_t)(desc[1] >> 32);

	if (command & TXD_DEXT && (command & TXD_DTYP) == TXD_DTYP_DATA)
		return examine_data(m, queue, slot, desc[0], command, olinfo);
	if (command & TXD_DEXT && (command & TXD_DTYP) == TXD_DTYP_CONTEXT)
		return examine_context(m, queue, slot, desc);
	ixgbe_report(m, "tx-type", "queue %u, descriptor %u: %08x", queue, slot, command);
	return false;
}

void ixgbe_examine_tx_packet(struct ixgbe_model *m, unsigned int queue,
                             const struct ixgbe_tx_queue *q)
{
	bool offload = q->olinfo & (TXD_IXSM | TXD_TXSM | TXD_CC) || q->command & TXD_VLE;

	if (q->command & TXD_TSE || q->spoiled)
		return;
	if (q->announced_bytes != q->len_bytes)
		ixgbe_report(m, "tx-length", "queue %u: PAYLEN %u, and buffers of %u bytes", queue,
		             q->announced_bytes, q->len_bytes);
	if (q->announced_bytes < MIN_PAYLEN)
		ixgbe_report(m, "tx-length", "queue %u: PAYLEN %u", queue, q->announced_bytes);
	if (!(q->command & TXD_IFCS))
		ixgbe_report(m, "tx-crc", "queue %u: a frame without IFCS", queue);
	if (offload && !q->contexts[q->olinfo >> 4 & 1].valid)
		ixgbe_report(m, "tx-context", "queue %u: context %u", queue, q->olinfo >> 4 & 1);
}
