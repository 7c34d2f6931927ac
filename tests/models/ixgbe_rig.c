/* ixgbe_rig.c - a machine around the model, and a driver that does everything right */
#include <stdlib.h>
#include <string.h>

#include "tests/models/ixgbe_rig.h"

const uint8_t rig_mac[6] = {0x02, 0xA5, 0, 0, 0, 0x42};

static bool inside(const struct rig *r, uint64_t address, size_t bytes)
{
	return address >= RIG_BASE + r->hidden_bytes && bytes <= RIG_BYTES &&
	       address - RIG_BASE <= RIG_BYTES - bytes;
}

static bool dma_read(void *context, uint64_t address, void *to, size_t bytes)
{
	struct rig *r = context;

	if (!inside(r, address, bytes))
		return false;
	memcpy(to, r->memory + (address - RIG_BASE), bytes);
	return true;
}

static bool dma_write(void *context, uint64_t address, const void *from, size_t bytes)
{
	struct rig *r = context;

	if (!inside(r, address, bytes))
		return false;
	memcpy(r->memory + (address - RIG_BASE), from, bytes);
	return true;
}

static bool dma_mapped(void *context, uint64_t address, size_t bytes, bool for_write)
{
	(void)for_write;
	return inside(context, address, bytes);
}

static void raise_vector(void *context, unsigned int vector)
{
	struct rig *r = context;

	r->raised[vector]++;
}

static void send_frame(void *context, const uint8_t *frame, size_t bytes)
{
	struct rig *r = context;

	r->num_sent++;
	r->sent_bytes = bytes;
	memcpy(r->sent, frame, bytes);
}

static uint64_t now_ns(void *context)
{
	struct rig *r = context;

	return r->now_ns;
}

void rig_open(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	r->host = (struct ixgbe_host){r,          dma_read, dma_write, dma_mapped, raise_vector,
	                              send_frame, now_ns,   NULL};
	r->now_ns = 10000000000u; /* the card has been powered for a while */
	r->m = ixgbe_model_new(&r->host, rig_mac);
	if (!r->m)
		abort();
}

void rig_close(struct rig *r)
{
	ixgbe_model_free(r->m);
}

void rig_wait(struct rig *r, uint64_t us)
{
	r->now_ns += us * 1000;
	while (ixgbe_model_poll(r->m) == 0)
		;
}

bool rig_wait_for(struct rig *r, uint32_t offset, uint32_t bits, uint32_t value)
{
	for (unsigned int i = 0; i < 1000; i++) {
		if ((get(r, offset) & bits) == value)
			return true;
		rig_wait(r, 100);
	}
	return false;
}

void *rig_memory(struct rig *r, uint64_t address)
{
	return r->memory + (address - RIG_BASE);
}

uint64_t *rig_rx_desc(struct rig *r, unsigned int queue, unsigned int slot)
{
	return rig_memory(r, RIG_RX_RING + queue * 0x1000 + slot * 16);
}

uint64_t *rig_tx_desc(struct rig *r, unsigned int queue, unsigned int slot)
{
	return rig_memory(r, RIG_TX_RING + queue * 0x1000 + slot * 16);
}

uint64_t rig_rx_buffer(unsigned int queue, unsigned int slot)
{
	return RIG_RX_DATA + (uint64_t)(queue * RIG_RING + slot) * RIG_BUFFER_BYTES;
}

void rig_pci(struct rig *r)
{
	const uint16_t command = 0x0006, msix = 0x8000; /* memory and bus master; MSI-X on */

	ixgbe_model_config_write(r->m, 0x04, &command, 2);
	ixgbe_model_config_write(r->m, 0x72, &msix, 2);
}

void rig_flush(struct rig *r, uint64_t us)
{
	set_bits(r, R_HLREG0, HLREG0_LPBK);
	set_bits(r, R_GCR_EXT, GCR_EXT_FLUSH);
	rig_wait(r, us);
	set(r, R_HLREG0, get(r, R_HLREG0) & ~(uint32_t)HLREG0_LPBK);
	set(r, R_GCR_EXT, get(r, R_GCR_EXT) & ~(uint32_t)GCR_EXT_FLUSH);
}

void rig_reset_once(struct rig *r)
{
	set_bits(r, R_CTRL, CTRL_RST);
	rig_wait_for(r, R_CTRL, CTRL_RST, 0);
	rig_wait(r, 10000);
}

void rig_reset(struct rig *r)
{
	bool quiet;

	set(r, R_EIMC, ~0u);
	set(r, R_RXCTRL, 0);
	set(r, R_CTRL, CTRL_GIO_DIS);
	quiet = rig_wait_for(r, R_STATUS, STATUS_GIO, 0);
	if (!quiet)
		rig_flush(r, 20);
	rig_reset_once(r);
	if (!quiet)
		rig_reset_once(r);
	set(r, R_EIMC, ~0u);
	rig_wait_for(r, R_EEC, EEC_ARD, EEC_ARD);
	rig_wait_for(r, R_RDRXCTL, RDRXCTL_DMAIDONE, RDRXCTL_DMAIDONE);
}

void rig_wait_for_link(struct rig *r)
{
	rig_wait_for(r, R_LINKS, LINKS_UP, LINKS_UP);
}

void rig_rx_ring(struct rig *r, unsigned int queue)
{
	uint64_t base = RIG_RX_RING + queue * 0x1000;

	set(r, rx_register(queue, Q_BAL), (uint32_t)base);
	set(r, rx_register(queue, Q_BAH), (uint32_t)(base >> 32));
	set(r, rx_register(queue, Q_LEN), RIG_RING * 16);
	set(r, rx_register(queue, Q_HEAD), 0);
	set(r, rx_register(queue, Q_TAIL), 0);
	set(r, rx_register(queue, Q_SRRCTL), SRRCTL_ADVANCED | RIG_BUFFER_BYTES / 1024);
}

void rig_rx_enable(struct rig *r, unsigned int queue)
{
	set_bits(r, rx_register(queue, Q_DCTL), DCTL_ENABLE);
	rig_wait_for(r, rx_register(queue, Q_DCTL), DCTL_ENABLE, DCTL_ENABLE);
}

void rig_rx_fill(struct rig *r, unsigned int queue)
{
	for (unsigned int i = 0; i < RIG_RING; i++) {
		rig_rx_desc(r, queue, i)[0] = rig_rx_buffer(queue, i);
		rig_rx_desc(r, queue, i)[1] = 0;
	}
	set(r, rx_register(queue, Q_TAIL), RIG_RING - 1);
}

void rig_rx_path(struct rig *r)
{
	set_bits(r, R_RDRXCTL, RDRXCTL_CRCSTRIP);
	set_bits(r, R_SECRXCTRL, SEC_DIS);
	rig_wait_for(r, R_SECRXSTAT, SEC_READY, SEC_READY);
	set(r, R_RXCTRL, RXCTRL_RXEN);
	set(r, R_SECRXCTRL, get(r, R_SECRXCTRL) & ~(uint32_t)SEC_DIS);
}

void rig_tx_set_up(struct rig *r)
{
	set_bits(r, R_RTTDCS, RTTDCS_ARBDIS);
	set(r, R_MTQC, 0);
	set(r, R_RTTDCS, get(r, R_RTTDCS) & ~(uint32_t)RTTDCS_ARBDIS);
	set_bits(r, R_DMATXCTL, DMATXCTL_TE);
}

void rig_tx_ring(struct rig *r, unsigned int queue)
{
	uint64_t base = RIG_TX_RING + queue * 0x1000;

	set(r, tx_register(queue, Q_BAL), (uint32_t)base);
	set(r, tx_register(queue, Q_BAH), (uint32_t)(base >> 32));
	set(r, tx_register(queue, Q_LEN), RIG_RING * 16);
	set(r, tx_register(queue, Q_HEAD), 0);
	set(r, tx_register(queue, Q_TAIL), 0);
}

void rig_tx_enable(struct rig *r, unsigned int queue)
{
	set_bits(r, tx_register(queue, Q_DCTL), DCTL_ENABLE);
	rig_wait_for(r, tx_register(queue, Q_DCTL), DCTL_ENABLE, DCTL_ENABLE);
}

void rig_irq(struct rig *r, unsigned int num_queues)
{
	for (unsigned int i = 0; i < num_queues; i++) {
		uint32_t entries = (IVAR_VALID | i) * 0x0101u; /* of receive and transmit */

		set_bits(r, R_IVAR + i / 2 * 4, entries << 16 * (i % 2));
	}
	set(r, R_IVAR_MISC, (IVAR_VALID | num_queues) << 8);
	set(r, R_EIAC, (1u << num_queues) - 1);
	set(r, R_GPIE, GPIE_MSIX_MODE);
	set(r, R_EIMS, ((1u << num_queues) - 1) | EICR_LSC);
}

void rig_start(struct rig *r, unsigned int num_queues)
{
	rig_pci(r);
	rig_reset(r);
	rig_wait_for_link(r);
	set(r, R_FCTRL, FCTRL_BAM);
	rig_tx_set_up(r);
	for (unsigned int i = 0; i < num_queues; i++) {
		rig_tx_ring(r, i);
		rig_tx_enable(r, i);
		rig_rx_ring(r, i);
		rig_rx_enable(r, i);
		rig_rx_fill(r, i);
	}
	rig_rx_path(r);
	rig_irq(r, num_queues);
}

void rig_tx_write(struct rig *r, unsigned int queue, unsigned int slot, uint32_t bytes)
{
	uint64_t *desc = rig_tx_desc(r, queue, slot);

	desc[0] = RIG_TX_DATA;
	desc[1] = (uint64_t)bytes << (32 + TXD_PAYLEN_POS) | TXD_DTYP_DATA | TXD_DEXT | TXD_EOP |
	          TXD_IFCS | TXD_RS | bytes;
}

bool rig_reported(const struct rig *r, const char *rule)
{
	size_t bytes = strlen(rule);

	for (unsigned int i = 0; i < ixgbe_model_reports(r->m); i++)
		if (!strncmp(ixgbe_model_report(r->m, i), rule, bytes) &&
		    ixgbe_model_report(r->m, i)[bytes] == ':')
			return true;
	return false;
}
