/* ixgbe_examiner.c - the rules about registers, and the list of reports; ixgbe_examine_desc.c has the descriptors */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tests/models/ixgbe_device.h"

enum {
	SETTLE_US = 10000, /* 4.6.3.2: after a reset, before anything else */
	FLUSH_US = 20,
};

void ixgbe_report(struct ixgbe_model *m, const char *rule, const char *format, ...)
{
	struct ixgbe_examiner *e = &m->examiner;
	char line[EXAMINER_REPORT_BYTES];
	unsigned int same_rule = 0;
	va_list arguments;
	int used;

	used = snprintf(line, sizeof(line), "%s: ", rule);
	va_start(arguments, format);
	vsnprintf(line + used, sizeof(line) - (size_t)used, format, arguments);
	va_end(arguments);
	for (unsigned int i = 0; i < e->num_reports; i++) {
		same_rule += !strncmp(e->reports[i], line, (size_t)used);
		if (!strcmp(e->reports[i], line))
			return;
	}
	if (e->num_reports == EXAMINER_MAX_REPORTS || same_rule >= EXAMINER_MAX_OF_A_RULE)
		return;
	memcpy(e->reports[e->num_reports++], line, sizeof(line));
	if (m->host->report)
		m->host->report(m->host->context, line);
}

unsigned int ixgbe_model_reports(const struct ixgbe_model *m)
{
	return m->examiner.num_reports;
}

const char *ixgbe_model_report(const struct ixgbe_model *m, unsigned int number)
{
	return number < m->examiner.num_reports ? m->examiner.reports[number] : NULL;
}

static bool before(const struct ixgbe_model *m, uint64_t us)
{
	return m->now_ns < m->reset_ns + us * US_NS;
}

void ixgbe_examine_access(struct ixgbe_model *m, uint32_t offset)
{
	if (offset % 4 || offset >= IXGBE_MODEL_REGISTERS_BYTES)
		ixgbe_report(m, "access", "register %#x", offset);
	/* CTRL is polled, and reading STATUS flushes what was written */
	if (before(m, SETTLE_US) && offset != R_CTRL && offset != R_STATUS &&
	    !m->examiner.reset_reported) {
		m->examiner.reset_reported = true;
		ixgbe_report(m, "reset-wait", "register %#x %llu us after the reset", offset,
		             (unsigned long long)(m->now_ns - m->reset_ns) / US_NS);
	}
}

/* What the driver learns by a read that the rules ask for */
void ixgbe_examine_read(struct ixgbe_model *m, uint32_t offset, uint32_t value)
{
	if (offset == R_SECRXSTAT && value & SEC_READY)
		m->examiner.sec_ready_seen = true;
	if (offset == R_STATUS)
		m->examiner.master_off_seen = !(value & STATUS_GIO);
	if (offset % 0x40 != Q_DCTL || !(value & DCTL_ENABLE))
		return;
	for (unsigned int i = 0; i < NUM_QUEUES; i++) {
		if (offset == rx_register(i, Q_DCTL))
			m->rx[i].enable.seen = true;
		if (offset == tx_register(i, Q_DCTL))
			m->tx[i].enable.seen = true;
	}
}

static void examine_start(struct ixgbe_model *m, uint32_t offset)
{
	if (m->hanging == 1)
		ixgbe_report(m, "reset-twice", "register %#x written after one reset", offset);
	if (before(m, EEPROM_US))
		ixgbe_report(m, "eeprom-wait", "register %#x written before EEC.ARD is set",
		             offset);
	else if (before(m, DMA_INIT_US))
		ixgbe_report(m, "dma-init-wait",
		             "register %#x written before RDRXCTL.DMAIDONE is set", offset);
}

static void examine_ring(struct ixgbe_model *m, const char *kind, unsigned int queue, uint64_t base,
                         uint32_t len_bytes)
{
	if (!len_bytes)
		ixgbe_report(m, "ring-shape", "%s queue %u enabled with a length of 0", kind,
		             queue);
	else if (!m->host->dma_mapped(m->host->context, base, len_bytes, true))
		ixgbe_report(m, "ring-unmapped", "%s queue %u: %u bytes at %#llx", kind, queue,
		             len_bytes, (unsigned long long)base);
}

static void examine_rx_enable(struct ixgbe_model *m, unsigned int queue)
{
	uint32_t srrctl = *reg(m, rx_register(queue, Q_SRRCTL)), kb = srrctl & SRRCTL_BSIZEPACKET;

	examine_ring(m, "rx", queue, rx_base(m, queue), *reg(m, rx_register(queue, Q_LEN)));
	if (*reg(m, rx_register(queue, Q_HEAD)) || *reg(m, rx_register(queue, Q_TAIL)))
		ixgbe_report(m, "ring-empty", "rx queue %u", queue);
	if ((srrctl & SRRCTL_DESCTYPE) != SRRCTL_ADVANCED)
		ixgbe_report(m, "descriptor-type", "rx queue %u", queue);
	if (!kb || kb > 16)
		ixgbe_report(m, "buffer-size", "rx queue %u: %u KB", queue, kb);
}

static void examine_tx_enable(struct ixgbe_model *m, unsigned int queue)
{
	examine_ring(m, "tx", queue, tx_base(m, queue), *reg(m, tx_register(queue, Q_LEN)));
	if (*reg(m, tx_register(queue, Q_HEAD)) || *reg(m, tx_register(queue, Q_TAIL)))
		ixgbe_report(m, "ring-empty", "tx queue %u", queue);
	if (!(*reg(m, R_DMATXCTL) & DMATXCTL_TE))
		ixgbe_report(m, "tx-dma-off", "queue %u", queue);
	if (*reg(m, tx_register(queue, Q_WBAL)) & 1)
		ixgbe_report(m, "tx-unmodelled", "queue %u: head write-back", queue);
}

static void examine_tail(struct ixgbe_model *m, const char *kind, unsigned int queue,
                         const struct ixgbe_switch *enable, uint32_t head, uint32_t old,
                         uint32_t len_bytes, uint32_t tail)
{
	uint32_t size = len_bytes / DESCRIPTOR_BYTES;

	if (!enable->wanted && tail == 0)
		return; /* part of the set-up */
	if (!enable->seen)
		ixgbe_report(m, "tail-early", "%s queue %u", kind, queue);
	if (tail >= size)
		ixgbe_report(m, "tail-range", "%s queue %u: %u of %u", kind, queue, tail, size);
	else if (enable->on && (old + size - head) % size > (tail + size - head) % size)
		ixgbe_report(m, "tail-overtakes", "%s queue %u: from %u to %u, head %u", kind,
		             queue, old, tail, head);
}

/* What both directions have in common */
static void examine_queue(struct ixgbe_model *m, const char *kind, unsigned int queue,
                          const struct ixgbe_switch *enable, uint32_t offset, uint32_t value)
{
	uint32_t *regs = reg(m, offset & ~0x3Fu), place = offset % 0x40;

	/* Linux changes SRRCTL.DROP_EN, and nothing else of it, whenever the link comes up */
	if (enable->on && (place == Q_BAL || place == Q_BAH || place == Q_LEN || place == Q_HEAD ||
	                   (place == Q_SRRCTL && (value ^ regs[Q_SRRCTL / 4]) & ~SRRCTL_DROP_EN)))
		ixgbe_report(m, "queue-enabled", "%s queue %u, register %#x", kind, queue, offset);
	if (value % 128 && (place == Q_BAL || place == Q_LEN))
		ixgbe_report(m, "ring-shape", "%s queue %u, register %#x: %#x", kind, queue, offset,
		             value);
	if (place == Q_TAIL)
		examine_tail(m, kind, queue, enable, regs[Q_HEAD / 4], regs[Q_TAIL / 4],
		             regs[Q_LEN / 4], value);
}

static bool examine_queues(struct ixgbe_model *m, uint32_t offset, uint32_t value)
{
	uint32_t place = offset % 0x40;
	bool enabling;

	for (unsigned int i = 0; i < NUM_QUEUES; i++) {
		bool rx = rx_register(i, 0) == (offset & ~0x3Fu),
		     tx = tx_register(i, 0) == (offset & ~0x3Fu);
		struct ixgbe_switch *enable = rx ? &m->rx[i].enable : &m->tx[i].enable;

		if (!rx && !tx)
			continue;
		examine_queue(m, rx ? "rx" : "tx", i, enable, offset, value);
		enabling = place == Q_DCTL && value & DCTL_ENABLE && !enable->wanted;
		if (enabling && enable->on)
			ixgbe_report(m, "queue-enabled", "%s queue %u enabled again",
			             rx ? "rx" : "tx", i);
		if (place == Q_BAL || enabling)
			examine_start(m, offset);
		if (enabling && rx)
			examine_rx_enable(m, i);
		if (enabling && tx)
			examine_tx_enable(m, i);
		return true;
	}
	return false;
}

static void examine_rxen(struct ixgbe_model *m)
{
	uint32_t strip = *reg(m, R_HLREG0) & HLREG0_RXCRCSTRP;
	bool ring = false;

	examine_start(m, R_RXCTRL);
	for (unsigned int i = 0; i < NUM_QUEUES; i++)
		ring |= *reg(m, rx_register(i, Q_LEN)) != 0;
	if (!ring)
		ixgbe_report(m, "rx-no-ring", "RXCTRL.RXEN");
	if (!(*reg(m, R_SECRXCTRL) & SEC_DIS))
		ixgbe_report(m, "rx-path-running", "SECRXCTRL.RX_DIS is not set");
	else if (!m->examiner.sec_ready_seen)
		ixgbe_report(m, "rx-path-running", "SECRXSTAT.SECRX_RDY was not waited for");
	if (!strip != !(*reg(m, R_RDRXCTL) & RDRXCTL_CRCSTRIP))
		ixgbe_report(m, "rx-crc", "HLREG0.RXCRCSTRP is %u", strip ? 1 : 0);
	if ((*reg(m, R_VLNCTRL) & VLNCTRL_VET) != *reg(m, R_DMATXCTL) >> DMATXCTL_VT_POS)
		ixgbe_report(m, "vlan-type", "VLNCTRL %#x, DMATXCTL %#x", *reg(m, R_VLNCTRL),
		             *reg(m, R_DMATXCTL));
}

static void examine_irq(struct ixgbe_model *m, uint32_t offset, uint32_t value)
{
	bool others = offset == R_EIMS && value & EICR_OTHER,
	     queues = offset == R_EIMS ? value & EICR_QUEUES : value;
	bool mapped = false;

	for (unsigned int i = 0; i < NUM_QUEUES / 2; i++)
		mapped |= (*reg(m, R_IVAR + 4 * i) & (IVAR_VALID * 0x01010101u)) != 0;
	if (queues && !mapped)
		ixgbe_report(m, "irq-setup", "a queue's cause enabled and no IVAR entry is valid");
	if (others && !(*reg(m, R_IVAR_MISC) & IVAR_VALID << 8))
		ixgbe_report(m, "irq-setup", "EIMS %#x and IVAR_MISC is not valid", value);
	if ((others || queues) && ixgbe_pci_msix_enabled(m) && !(*reg(m, R_GPIE) & GPIE_MSIX_MODE))
		ixgbe_report(m, "irq-setup", "MSI-X is enabled and GPIE.MSIX_MODE is not set");
}

/* The card asks for a frame's bytes as long as there is not more than the threshold in the packet buffer. */
static void examine_tx_start(struct ixgbe_model *m)
{
	uint32_t longest = ixgbe_max_frame(m, true), size = *reg(m, R_TXPBSIZE),
		 threshold = (*reg(m, R_TXPBTHRESH) & 0x3FF) << 10;

	if (threshold + longest > size)
		ixgbe_report(m, "tx-threshold", "%u bytes and a frame of %u, of %u", threshold,
		             longest, size);
}

/* 4.2.1.6.1; Specification Update, Specification Clarification 9 */
static void examine_reset(struct ixgbe_model *m, uint32_t ctrl)
{
	struct ixgbe_examiner *e = &m->examiner;

	if (!ixgbe_pci_bus_master(m) || e->master_off_seen || m->hanging == 1)
		return;
	if (!m->hanging || !(*reg(m, R_CTRL) & CTRL_GIO_DIS))
		ixgbe_report(m, "reset-master", "CTRL %#x", ctrl);
	else if (!e->flushed || (*reg(m, R_GCR_EXT) & GCR_EXT_FLUSH) ||
	         (*reg(m, R_HLREG0) & HLREG0_LPBK))
		ixgbe_report(m, "reset-flush", "CTRL %#x", ctrl);
}

/* The path is empty after 20 us in which nothing comes in and nothing leaves. */
static void examine_flush(struct ixgbe_model *m, uint32_t value)
{
	struct ixgbe_examiner *e = &m->examiner;
	bool still = *reg(m, R_HLREG0) & HLREG0_LPBK && !(*reg(m, R_RXCTRL) & RXCTRL_RXEN);

	if (value & GCR_EXT_FLUSH && still)
		e->flush_ns = m->now_ns;
	else if (value & GCR_EXT_FLUSH)
		e->flush_ns = UINT64_MAX;
	else if (*reg(m, R_GCR_EXT) & GCR_EXT_FLUSH && e->flush_ns != UINT64_MAX)
		e->flushed = m->now_ns >= e->flush_ns + FLUSH_US * US_NS;
}

void ixgbe_examine_write(struct ixgbe_model *m, uint32_t offset, uint32_t value)
{
	uint32_t old = *reg(m, offset);
	bool running = *reg(m, R_RXCTRL) & RXCTRL_RXEN;

	if (examine_queues(m, offset, value))
		return;
	switch (offset) {
	case R_CTRL:
		if (value & CTRL_RST)
			examine_reset(m, value);
		if (!(value & CTRL_GIO_DIS))
			m->examiner.master_off_seen = false;
		break;
	case R_GCR_EXT:
		examine_flush(m, value);
		break;
	case R_RXCTRL:
		if (value & ~old & RXCTRL_RXEN)
			examine_rxen(m);
		break;
	case R_DMATXCTL:
		if (value & ~old & DMATXCTL_TE)
			examine_tx_start(m);
		break;
	case R_SECRXCTRL:
		if ((value ^ old) & SEC_DIS)
			m->examiner.sec_ready_seen = false;
		break;
	case R_EIMS:
	case R_EIMS_EX:
	case R_EIMS_EX + 4:
		examine_irq(m, offset, value);
		break;
	case R_MTQC:
		if (!(*reg(m, R_RTTDCS) & RTTDCS_ARBDIS))
			ixgbe_report(m, "mtqc-arbiter", "MTQC %#x", value);
		break;
	case R_MRQC:
		if (running && (value ^ old) & MRQC_MODE)
			ixgbe_report(m, "rx-running", "MRQC %#x, and before %#x", value, old);
		break;
	default:
		if (running && value != old && offset >= R_RXPBSIZE && offset < R_RXPBSIZE + 32)
			ixgbe_report(m, "rx-running", "RXPBSIZE, register %#x", offset);
	}
}

void ixgbe_examine_bus_master(struct ixgbe_model *m)
{
	if (m->examiner.bus_master_reported)
		return;
	m->examiner.bus_master_reported = true;
	ixgbe_report(m, "bus-master", "%s",
	             ixgbe_pci_bus_master(m) ? "CTRL.GIO_DIS is set" : "PCI command register");
}
