/* ixgbe_regs.c - a driver's register accesses -> effects on the device; reset */
#include <stdlib.h>
#include <string.h>

#include "tests/models/ixgbe_device.h"

/* Some registers of the first sixteen queues and addresses have two places. */
static uint32_t canonical(uint32_t offset)
{
	if (offset >= R_SRRCTL_LOW && offset < R_SRRCTL_LOW + 16 * 4)
		return rx_register((offset - R_SRRCTL_LOW) / 4, Q_SRRCTL);
	if (offset >= R_DCA_RXCTRL_LOW && offset < R_DCA_RXCTRL_LOW + 16 * 4)
		return rx_register((offset - R_DCA_RXCTRL_LOW) / 4, Q_DCA);
	if (offset >= R_RAL_LOW && offset < R_RAL_LOW + 16 * 8)
		return R_RAL + (offset - R_RAL_LOW);
	if (offset >= R_PSRTYPE_LOW && offset < R_PSRTYPE_LOW + 16 * 4)
		return R_PSRTYPE + (offset - R_PSRTYPE_LOW);
	return offset;
}

/* The queue whose register it is, or -1 */
static int rx_queue_of(uint32_t offset)
{
	if (offset >= R_RX_QUEUES && offset < R_RX_QUEUES + 64 * 0x40)
		return (int)(offset - R_RX_QUEUES) / 0x40;
	if (offset >= R_RX_QUEUES_HIGH && offset < R_RX_QUEUES_HIGH + 64 * 0x40)
		return (int)(offset - R_RX_QUEUES_HIGH) / 0x40 + 64;
	return -1;
}

static int tx_queue_of(uint32_t offset)
{
	if (offset >= R_TX_QUEUES && offset < R_TX_QUEUES + NUM_QUEUES * 0x40)
		return (int)(offset - R_TX_QUEUES) / 0x40;
	return -1;
}

static bool settled(struct ixgbe_switch *enable, uint64_t now_ns)
{
	if (enable->on == enable->wanted || now_ns < enable->settles_ns)
		return false;
	enable->on = enable->wanted;
	return true;
}

/* ENABLE bits follow what was written to them with a delay. */
void ixgbe_settle(struct ixgbe_model *m)
{
	m->now_ns = m->host->now_ns(m->host->context);
	if (!m->unsettled)
		return;
	m->unsettled = false;
	for (unsigned int i = 0; i < NUM_QUEUES; i++) {
		if (settled(&m->rx[i].enable, m->now_ns))
			ixgbe_rx_switched(m, i);
		if (settled(&m->tx[i].enable, m->now_ns))
			m->tx[i].begun = m->tx[i].spoiled = false;
		m->unsettled |= m->rx[i].enable.on != m->rx[i].enable.wanted;
		m->unsettled |= m->tx[i].enable.on != m->tx[i].enable.wanted;
	}
}

static void turn(struct ixgbe_model *m, struct ixgbe_switch *enable, uint32_t dctl)
{
	bool wanted = dctl & DCTL_ENABLE;

	if (wanted == enable->wanted)
		return;
	enable->wanted = wanted;
	enable->seen = false;
	enable->settles_ns = m->now_ns + QUEUE_US * US_NS;
	m->unsettled = true;
}

static uint32_t queue_read(struct ixgbe_switch *enable, uint32_t stored)
{
	return (stored & ~DCTL_ENABLE) | (enable->on ? DCTL_ENABLE : 0);
}

static bool since_reset(const struct ixgbe_model *m, uint64_t us)
{
	return m->now_ns >= m->reset_ns + us * US_NS;
}

static uint32_t status(const struct ixgbe_model *m, uint32_t ctrl)
{
	return (ctrl & CTRL_GIO_DIS && !m->hanging ? 0 : STATUS_GIO) |
	       (m->link_up ? STATUS_LINK_UP : 0);
}

static uint32_t eec(const struct ixgbe_model *m, uint32_t stored)
{
	return (stored & EEC_REQ) | (stored & EEC_REQ ? EEC_GNT : 0) | EEC_PRES | EEC_ADDR_SIZE |
	       2 << EEC_SIZE_POS | (since_reset(m, EEPROM_US) ? EEC_ARD : 0);
}

static uint32_t sec_rx_status(struct ixgbe_model *m)
{
	bool halted = *reg(m, R_SECRXCTRL) & SEC_DIS;

	return halted && m->now_ns >= m->sec_rx_ns + SEC_US * US_NS ? SEC_READY : 0;
}

static uint32_t read_effect(struct ixgbe_model *m, uint32_t offset)
{
	uint32_t *stored = reg(m, offset), old = *stored;
	int queue;

	if (ixgbe_irq_register(offset))
		return ixgbe_irq_read(m, offset);
	if (ixgbe_stats_register(offset))
		return ixgbe_stats_read(m, offset);
	queue = rx_queue_of(offset);
	if (queue >= 0 && offset % 0x40 == Q_DCTL)
		return queue_read(&m->rx[queue].enable, old);
	queue = tx_queue_of(offset);
	if (queue >= 0 && offset % 0x40 == Q_DCTL)
		return queue_read(&m->tx[queue].enable, old);
	switch (offset) {
	case R_CTRL:
		return old | (since_reset(m, RESET_US) ? 0 : CTRL_RST);
	case R_STATUS:
		return status(m, *reg(m, R_CTRL));
	case R_I2CCTL:
		return ixgbe_sfp_read(m);
	case R_EEC:
		return eec(m, old);
	case R_SWSM: /* 10.5.4: whoever reads zero has it */
		*stored |= SWSM_SMBI;
		return old;
	case R_RDRXCTL:
		return (old & ~RDRXCTL_DMAIDONE) |
		       (since_reset(m, DMA_INIT_US) ? RDRXCTL_DMAIDONE : 0);
	case R_SECRXSTAT:
		return sec_rx_status(m);
	case R_SECTXSTAT:
		return *reg(m, R_SECTXCTRL) & SEC_DIS ? SEC_READY : 0;
	case R_LINKS:
		return m->link_up ? LINKS_UP | LINKS_10G : 0;
	case R_ANLP1:
		return m->autoneg ? ANLP1_AN_STATE : 0;
	case R_MSRWD: /* no PHY answers on the MDIO: the module is behind the I2C bus */
		return 0xFFFF0000;
	case R_FDIRCTRL:
		return old ? old | FDIRCTRL_INIT_DONE : 0;
	case R_RAL:
	case R_RAL + 4: /* loaded from the EEPROM (4.6.3) */
		return since_reset(m, EEPROM_US) ? old : 0;
	default:
		return old;
	}
}

uint32_t ixgbe_model_reg_read(struct ixgbe_model *m, uint32_t offset)
{
	uint32_t value;

	ixgbe_settle(m);
	ixgbe_examine_access(m, offset);
	if (offset % 4 || offset >= IXGBE_MODEL_REGISTERS_BYTES)
		return 0;
	offset = canonical(offset);
	if (offset == R_LINKS && ixgbe_link_update(m))
		ixgbe_irq_other(m, EICR_LSC);
	value = read_effect(m, offset);
	ixgbe_examine_read(m, offset, value);
	return value;
}

static void write_rx_queue(struct ixgbe_model *m, unsigned int queue, uint32_t offset,
                           uint32_t value)
{
	uint32_t *stored = reg(m, offset), old = *stored;

	switch (offset % 0x40) {
	case Q_BAL:
		*stored = value & ~127u;
		break;
	case Q_LEN:
		*stored = value & 0xFFF80;
		break;
	case Q_HEAD:
		*stored = value & 0xFFFF;
		break;
	case Q_TAIL:
		*stored = value & 0xFFFF;
		ixgbe_rx_tail(m, queue, old, *stored);
		break;
	case Q_DCTL:
		*stored = value;
		turn(m, &m->rx[queue].enable, value);
		break;
	default:
		*stored = value;
	}
}

static void write_tx_queue(struct ixgbe_model *m, unsigned int queue, uint32_t offset,
                           uint32_t value)
{
	uint32_t *stored = reg(m, offset);

	switch (offset % 0x40) {
	case Q_BAL:
		*stored = value & ~127u;
		break;
	case Q_LEN:
		*stored = value & 0xFFF80;
		break;
	case Q_HEAD:
	case Q_TAIL:
		*stored = value & 0xFFFF;
		break;
	case Q_DCTL:
		*stored = value;
		turn(m, &m->tx[queue].enable, value);
		break;
	default:
		*stored = value;
	}
}

/* 8.2.3: what the registers hold after a reset, where that is not zero */
static void load_defaults(struct ixgbe_model *m)
{
	*reg(m, R_ESDP) = ESDP_SDP2;
	*reg(m, R_FWSM) =
		FWSM_VALID; /* firmware is there, without a mode in which it does anything */
	*reg(m, R_HLREG0) = HLREG0_TXCRCEN | HLREG0_RXCRCSTRP | HLREG0_TXPADEN;
	*reg(m, R_MAXFRS) = 1518u << 16;
	*reg(m, R_VLNCTRL) = 0x8100;
	*reg(m, R_DMATXCTL) = 0x8100u << 16;
	*reg(m, R_RXPBSIZE) = 512u << 10;
	*reg(m, R_TXPBSIZE) = 160u << 10;
	*reg(m, R_TXPBTHRESH) = 150;
	*reg(m, R_AUTOC) = 0xC09C6004;  /* LMS 011b: 10G serial */
	*reg(m, R_AUTOC2) = 0x000A0000; /* SFI */
	*reg(m, R_RAL) = m->mac[0] | m->mac[1] << 8 | m->mac[2] << 16 | (uint32_t)m->mac[3] << 24;
	*reg(m, R_RAL + 4) = (uint32_t)(m->mac[4] | m->mac[5] << 8) | RAH_AV;
	for (unsigned int i = 0; i < NUM_QUEUES; i++)
		*reg(m, rx_register(i, Q_SRRCTL)) = 0x402; /* 2 KB, header buffers of 256 */
}

static void reset_device(struct ixgbe_model *m)
{
	uint32_t swsm = *reg(m, R_SWSM), sync = *reg(m, R_SW_FW_SYNC);

	ixgbe_rx_forget(m);
	memset(m->regs, 0, sizeof(m->regs));
	memset(m->rx, 0, sizeof(m->rx));
	memset(m->tx, 0, sizeof(m->tx));
	memset(m->vectors, 0, sizeof(m->vectors));
	m->causes = m->causes_enabled = m->causes_automask = 0;
	m->others = m->others_enabled = 0;
	m->unsettled = m->autoneg = false;
	m->reset_ns = m->now_ns;
	m->hanging -= m->hanging > 0;
	m->examiner.reset_reported = m->examiner.bus_master_reported = false;
	m->examiner.master_off_seen = m->examiner.flushed = false;
	load_defaults(m);
	*reg(m, R_SWSM) = swsm; /* shared with firmware and the other port */
	*reg(m, R_SW_FW_SYNC) = sync;
	ixgbe_link_restart(m);
}

static void write_effect(struct ixgbe_model *m, uint32_t offset, uint32_t value)
{
	uint32_t *stored = reg(m, offset), old = *stored;

	switch (offset) {
	case R_CTRL:
		*stored = value & ~(CTRL_RST | CTRL_LRST);
		if (value & (CTRL_RST | CTRL_LRST))
			reset_device(m);
		break;
	case R_STATUS:
	case R_LINKS:
	case R_ANLP1:
	case R_SECRXSTAT:
	case R_SECTXSTAT:
		break;
	case R_I2CCTL:
		ixgbe_sfp_write(m, value);
		break;
	case R_EERD:
		*stored = value & EERD_START ? ixgbe_eeprom_read(m, value) : value;
		break;
	case R_SECRXCTRL:
		if (value & ~old & SEC_DIS)
			m->sec_rx_ns = m->now_ns;
		*stored = value;
		break;
	case R_AUTOC:
		*stored = value & ~AUTOC_AN_RESTART;
		m->autoneg = value >> AUTOC_LMS_POS & 4; /* LMS 1xxb: clause 73 */
		if (value & AUTOC_AN_RESTART)
			ixgbe_link_restart(m);
		break;
	case R_AUTOC2:
	case R_ESDP:
		*stored = value;
		if ((value ^ old) & (offset == R_ESDP ? (uint32_t)ESDP_SDP3 : AUTOC2_DISABLE))
			ixgbe_link_restart(m);
		break;
	case R_MSCA:
		*stored = value & ~MSCA_COMMAND;
		break;
	case R_FDIRCMD:
		*stored = value & ~FDIRCMD_CMD;
		break;
	default:
		*stored = value;
	}
}

void ixgbe_model_reg_write(struct ixgbe_model *m, uint32_t offset, uint32_t value)
{
	int queue;

	ixgbe_settle(m);
	ixgbe_examine_access(m, offset);
	if (offset % 4 || offset >= IXGBE_MODEL_REGISTERS_BYTES)
		return;
	offset = canonical(offset);
	ixgbe_examine_write(m, offset, value);
	if (ixgbe_irq_register(offset))
		ixgbe_irq_write(m, offset, value);
	else if (ixgbe_stats_register(offset))
		return;
	else if ((queue = rx_queue_of(offset)) >= 0)
		write_rx_queue(m, (unsigned int)queue, offset, value);
	else if ((queue = tx_queue_of(offset)) >= 0)
		write_tx_queue(m, (unsigned int)queue, offset, value);
	else
		write_effect(m, offset, value);
}

/* 5.2.5.3.2: with GIO_DIS, or without the PCI command register's bit, there is no DMA. */
bool ixgbe_can_dma(struct ixgbe_model *m)
{
	return ixgbe_pci_bus_master(m) && !(*reg(m, R_CTRL) & CTRL_GIO_DIS);
}

struct ixgbe_model *ixgbe_model_new(const struct ixgbe_host *host, const uint8_t mac[6])
{
	struct ixgbe_model *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->host = host;
	m->last = &m->first;
	m->cable = true;
	memcpy(m->mac, mac, sizeof(m->mac));
	ixgbe_pci_init(m);
	ixgbe_eeprom_init(m);
	m->now_ns = host->now_ns(host->context);
	reset_device(m);
	/* powered on long ago: firmware waits for the card before anybody else does */
	m->reset_ns = m->now_ns > 1000 * MS_NS ? m->now_ns - 1000 * MS_NS : 0;
	return m;
}

void ixgbe_model_free(struct ixgbe_model *m)
{
	if (!m)
		return;
	ixgbe_rx_forget(m);
	free(m);
}

void ixgbe_model_reset(struct ixgbe_model *m)
{
	ixgbe_settle(m);
	m->hanging = 0;
	reset_device(m);
	ixgbe_pci_init(m);
}

void ixgbe_model_hang(struct ixgbe_model *m)
{
	m->hanging = 2;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t ixgbe_model_poll(struct ixgbe_model *m)
{
	uint64_t due = UINT64_MAX;
	bool more;

	ixgbe_settle(m);
	if (ixgbe_link_update(m))
		ixgbe_irq_other(m, EICR_LSC);
	more = ixgbe_tx_poll(m);
	more |= ixgbe_rx_poll(m);
	due = ixgbe_irq_poll(m);
	if (!m->link_up)
		due = earlier(due, m->link_ns);
	if (m->unsettled)
		due = earlier(due, m->now_ns + QUEUE_US * US_NS);
	return more ? 0 : due;
}
