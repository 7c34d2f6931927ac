/* test_ixgbe_examiner.c - a driver without a mistake is not reported, and each mistake is, by its name */
#include <string.h>

#include "tests/models/ixgbe_rig.h"
#include "tests/unit/test.h"

/* Each does something wrong after, or instead of a part of, rig_start(). */
static void touches_registers_during_reset(struct rig *r)
{
	set(r, R_CTRL, CTRL_RST);
	rig_wait_for(r, R_CTRL, CTRL_RST, 0);
	set(r, R_EIMC, ~0u); /* and not 10 ms later */
}

static void reads_outside(struct rig *r)
{
	get(r, IXGBE_MODEL_REGISTERS_BYTES);
}

static void reset_but_no_eeprom_wait(struct rig *r)
{
	rig_pci(r);
	set(r, R_CTRL, CTRL_RST);
	rig_wait(r, 11000);
	rig_rx_ring(r, 0);
}

static void reset_but_no_dma_init_wait(struct rig *r)
{
	rig_pci(r);
	set(r, R_CTRL, CTRL_RST);
	rig_wait(r, 11000);
	rig_wait_for(r, R_EEC, EEC_ARD, EEC_ARD);
	rig_rx_ring(r, 0);
}

static void moves_a_running_rx_ring(struct rig *r)
{
	rig_start(r, 1);
	set(r, rx_register(0, Q_BAL), (uint32_t)RIG_RX_RING + 0x1000);
}

static void resizes_a_running_tx_ring(struct rig *r)
{
	rig_start(r, 1);
	set(r, tx_register(0, Q_LEN), 128);
}

static void changes_buffer_size_while_running(struct rig *r)
{
	rig_start(r, 1);
	set(r, rx_register(0, Q_SRRCTL), SRRCTL_ADVANCED | 4);
}

static void misaligned_ring(struct rig *r)
{
	rig_start(r, 1);
	set(r, rx_register(1, Q_BAL), (uint32_t)RIG_RX_RING + 0x1040);
}

static void odd_ring_length(struct rig *r)
{
	rig_start(r, 1);
	set(r, tx_register(1, Q_LEN), 1000);
}

static void ring_outside_of_memory(struct rig *r)
{
	rig_start(r, 1);
	rig_rx_ring(r, 1);
	set(r, rx_register(1, Q_BAH), 1);
	rig_rx_enable(r, 1);
}

static void takes_an_rx_ring_away(struct rig *r)
{
	static const uint8_t frame[60] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};

	rig_start(r, 1);
	ixgbe_model_receive(r->m, frame, sizeof(frame));
	rig_wait(r, 1);
	r->hidden_bytes = 0x8000;
	set(r, rx_register(0, Q_TAIL), 0);
}

static void takes_a_tx_ring_away(struct rig *r)
{
	rig_start(r, 1);
	r->hidden_bytes = RIG_TX_DATA - RIG_BASE;
	rig_tx_write(r, 0, 0, 60);
	set(r, tx_register(0, Q_TAIL), 1);
	rig_wait(r, 1);
}

static void enables_a_tx_ring_with_a_head(struct rig *r)
{
	rig_start(r, 1);
	rig_tx_ring(r, 1);
	set(r, tx_register(1, Q_HEAD), 3);
	ixgbe_model_set_cable(r->m, false); /* nothing is fetched, so that only this is seen */
	rig_wait(r, 1);
	rig_tx_enable(r, 1);
}

static void wants_the_head_written_back(struct rig *r)
{
	rig_start(r, 1);
	rig_tx_ring(r, 1);
	set(r, tx_register(1, Q_WBAL), 1);
	rig_tx_enable(r, 1);
}

static void enables_with_a_tail(struct rig *r)
{
	rig_start(r, 1);
	rig_rx_ring(r, 1);
	set(r, rx_register(1, Q_HEAD), 3);
	rig_rx_enable(r, 1);
}

static void legacy_rx_descriptors(struct rig *r)
{
	rig_start(r, 1);
	rig_rx_ring(r, 1);
	set(r, rx_register(1, Q_SRRCTL), 2);
	rig_rx_enable(r, 1);
}

static void no_buffer_size(struct rig *r)
{
	rig_start(r, 1);
	rig_rx_ring(r, 1);
	set(r, rx_register(1, Q_SRRCTL), SRRCTL_ADVANCED);
	rig_rx_enable(r, 1);
}

static void rx_tail_without_waiting_for_enable(struct rig *r)
{
	rig_start(r, 1);
	rig_rx_ring(r, 1);
	set_bits(r, rx_register(1, Q_DCTL), DCTL_ENABLE);
	rig_rx_fill(r, 1);
}

static void tx_tail_without_reading_enable_back(struct rig *r)
{
	rig_start(r, 1);
	rig_tx_ring(r, 1);
	set_bits(r, tx_register(1, Q_DCTL), DCTL_ENABLE);
	rig_wait(r, 1000);
	rig_tx_write(r, 1, 0, 60);
	set(r, tx_register(1, Q_TAIL), 1);
}

static void tail_at_the_end(struct rig *r)
{
	rig_start(r, 1);
	set(r, tx_register(0, Q_TAIL), RIG_RING);
}

static void tail_goes_back(struct rig *r)
{
	rig_start(r, 1);
	set(r, rx_register(0, Q_TAIL), 10);
}

static void descriptor_not_cleared(struct rig *r)
{
	static const uint8_t frame[60] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};

	rig_start(r, 1);
	ixgbe_model_receive(r->m, frame, sizeof(frame));
	rig_wait(r, 1);
	rig_rx_desc(r, 0, 0)[0] = rig_rx_buffer(0, 0); /* and not desc[1] */
	rig_rx_desc(r, 0, RIG_RING - 1)[0] = rig_rx_buffer(0, RIG_RING - 1);
	set(r, rx_register(0, Q_TAIL), 0);
	ixgbe_model_receive(r->m, frame, sizeof(frame));
	rig_wait(r, 1);
	set(r, rx_register(0, Q_TAIL), 1);
}

static void rx_buffer_outside_of_memory(struct rig *r)
{
	rig_start(r, 1);
	rig_rx_ring(r, 1);
	rig_rx_enable(r, 1);
	rig_rx_desc(r, 1, 0)[0] = RIG_BASE + RIG_BYTES - 1024;
	set(r, rx_register(1, Q_TAIL), 1);
}

static void hands_a_buffer_over_twice(struct rig *r)
{
	rig_start(r, 1);
	rig_rx_ring(r, 1);
	rig_rx_enable(r, 1);
	rig_rx_desc(r, 1, 0)[0] = rig_rx_buffer(0, 5); /* queue 0 has that one */
	set(r, rx_register(1, Q_TAIL), 1);
}

/* Sends one frame of 60 bytes whose descriptor is changed. */
static void send_changed(struct rig *r, uint64_t set_mask, uint64_t clear_mask)
{
	rig_start(r, 1);
	rig_tx_write(r, 0, 0, 60);
	rig_tx_desc(r, 0, 0)[1] = (rig_tx_desc(r, 0, 0)[1] | set_mask) & ~clear_mask;
	set(r, tx_register(0, Q_TAIL), 1);
	rig_wait(r, 1);
}

static void sends_a_legacy_descriptor(struct rig *r)
{
	send_changed(r, 0, TXD_DEXT);
}

static void sends_an_unknown_type(struct rig *r)
{
	send_changed(r, 0, 1 << 21);
}

static void sends_with_dd_set(struct rig *r)
{
	send_changed(r, (uint64_t)TXD_DD << 32, 0);
}

static void sends_with_a_wrong_paylen(struct rig *r)
{
	send_changed(r, 1ull << (32 + TXD_PAYLEN_POS), 0);
}

static void sends_an_empty_buffer(struct rig *r)
{
	rig_start(r, 1);
	rig_tx_write(r, 0, 0, 60);
	rig_tx_write(r, 0, 1, 60);
	rig_tx_desc(r, 0, 0)[1] &= ~(uint64_t)(TXD_LENGTH | TXD_EOP);
	set(r, tx_register(0, Q_TAIL), 2);
	rig_wait(r, 1);
}

static void sends_an_endless_frame(struct rig *r)
{
	rig_start(r, 1);
	rig_tx_write(r, 0, 0, 10000);
	rig_tx_write(r, 0, 1, 10000);
	rig_tx_desc(r, 0, 0)[1] &= ~(uint64_t)TXD_EOP;
	set(r, tx_register(0, Q_TAIL), 2);
	rig_wait(r, 1);
}

static void sends_without_a_crc(struct rig *r)
{
	send_changed(r, 0, TXD_IFCS);
}

static void sends_without_an_end(struct rig *r)
{
	send_changed(r, 0, TXD_EOP);
}

static void sends_a_tag_without_a_context(struct rig *r)
{
	send_changed(r, TXD_VLE, 0);
}

static void sends_a_segment(struct rig *r)
{
	send_changed(r, 1ull << 31, 0);
}

static void sends_from_outside_of_memory(struct rig *r)
{
	rig_start(r, 1);
	rig_tx_write(r, 0, 0, 60);
	rig_tx_desc(r, 0, 0)[0] = 0x1000;
	set(r, tx_register(0, Q_TAIL), 1);
	rig_wait(r, 1);
}

static void tx_queue_before_the_engine(struct rig *r)
{
	rig_pci(r);
	rig_reset(r);
	rig_tx_ring(r, 0);
	rig_tx_enable(r, 0);
}

static void mtqc_while_the_arbiter_runs(struct rig *r)
{
	rig_start(r, 1);
	set(r, R_MTQC, 0);
}

static void rxen_with_the_path_running(struct rig *r)
{
	rig_pci(r);
	rig_reset(r);
	rig_rx_ring(r, 0);
	set_bits(r, R_RDRXCTL, RDRXCTL_CRCSTRIP);
	set(r, R_RXCTRL, RXCTRL_RXEN);
}

static void rxen_without_waiting_for_the_path(struct rig *r)
{
	rig_pci(r);
	rig_reset(r);
	rig_rx_ring(r, 0);
	set_bits(r, R_RDRXCTL, RDRXCTL_CRCSTRIP);
	set_bits(r, R_SECRXCTRL, SEC_DIS);
	set(r, R_RXCTRL, RXCTRL_RXEN);
}

static void rxen_without_a_ring(struct rig *r)
{
	rig_pci(r);
	rig_reset(r);
	rig_rx_path(r);
}

static void strips_the_crc_by_half(struct rig *r)
{
	rig_pci(r);
	rig_reset(r);
	rig_rx_ring(r, 0);
	set(r, R_HLREG0, get(r, R_HLREG0) & ~(uint32_t)HLREG0_RXCRCSTRP);
	rig_rx_path(r);
}

static void packet_buffer_while_running(struct rig *r)
{
	rig_start(r, 1);
	set(r, R_RXPBSIZE, 0x20000);
}

static void interrupts_before_ivar(struct rig *r)
{
	rig_pci(r);
	rig_reset(r);
	set(r, R_GPIE, GPIE_MSIX_MODE);
	set(r, R_EIMS, 1);
}

static void link_interrupt_before_ivar_misc(struct rig *r)
{
	rig_start(r, 1);
	set(r, R_IVAR_MISC, 0);
	set(r, R_EIMS, EICR_LSC);
}

static void interrupts_without_msix_mode(struct rig *r)
{
	rig_start(r, 1);
	set(r, R_GPIE, 0);
	set(r, R_EIMS, 1);
}

static void bus_master_forgotten(struct rig *r)
{
	const uint16_t command = 0x0002;

	rig_start(r, 1);
	ixgbe_model_config_write(r->m, 0x04, &command, 2);
	rig_tx_write(r, 0, 0, 60);
	set(r, tx_register(0, Q_TAIL), 1);
	rig_wait(r, 1);
}

static const struct mistake {
	const char *rule;
	void (*make)(struct rig *r);
} mistakes[] = {
	{"access", reads_outside},
	{"reset-wait", touches_registers_during_reset},
	{"eeprom-wait", reset_but_no_eeprom_wait},
	{"dma-init-wait", reset_but_no_dma_init_wait},
	{"queue-enabled", moves_a_running_rx_ring},
	{"queue-enabled", resizes_a_running_tx_ring},
	{"queue-enabled", changes_buffer_size_while_running},
	{"ring-shape", misaligned_ring},
	{"ring-shape", odd_ring_length},
	{"ring-unmapped", ring_outside_of_memory},
	{"ring-unmapped", takes_an_rx_ring_away},
	{"ring-unmapped", takes_a_tx_ring_away},
	{"ring-empty", enables_with_a_tail},
	{"ring-empty", enables_a_tx_ring_with_a_head},
	{"descriptor-type", legacy_rx_descriptors},
	{"buffer-size", no_buffer_size},
	{"tail-early", rx_tail_without_waiting_for_enable},
	{"tail-early", tx_tail_without_reading_enable_back},
	{"tail-range", tail_at_the_end},
	{"tail-overtakes", tail_goes_back},
	{"rx-descriptor", descriptor_not_cleared},
	{"rx-buffer-unmapped", rx_buffer_outside_of_memory},
	{"rx-buffer-twice", hands_a_buffer_over_twice},
	{"tx-type", sends_a_legacy_descriptor},
	{"tx-type", sends_an_unknown_type},
	{"tx-reserved", sends_with_dd_set},
	{"tx-length", sends_with_a_wrong_paylen},
	{"tx-length", sends_an_empty_buffer},
	{"tx-length", sends_an_endless_frame},
	{"tx-crc", sends_without_a_crc},
	{"tx-no-eop", sends_without_an_end},
	{"tx-context", sends_a_tag_without_a_context},
	{"tx-unmodelled", sends_a_segment},
	{"tx-unmodelled", wants_the_head_written_back},
	{"tx-buffer-unmapped", sends_from_outside_of_memory},
	{"tx-dma-off", tx_queue_before_the_engine},
	{"mtqc-arbiter", mtqc_while_the_arbiter_runs},
	{"rx-path-running", rxen_with_the_path_running},
	{"rx-path-running", rxen_without_waiting_for_the_path},
	{"rx-no-ring", rxen_without_a_ring},
	{"rx-crc", strips_the_crc_by_half},
	{"rx-running", packet_buffer_while_running},
	{"irq-setup", interrupts_before_ivar},
	{"irq-setup", link_interrupt_before_ivar_misc},
	{"irq-setup", interrupts_without_msix_mode},
	{"bus-master", bus_master_forgotten},
};

static struct rig rig;

static void correct_driver_is_not_reported(void)
{
	uint8_t frame[128] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};

	rig_open(&rig);
	for (unsigned int life = 0; life < 2; life++) {
		rig_start(&rig, 2);
		/* round the rings several times */
		for (unsigned int i = 0; i < 5 * RIG_RING; i++) {
			unsigned int slot = i % RIG_RING, given = (i + RIG_RING - 1) % RIG_RING;

			frame[20] = (uint8_t)i;
			ixgbe_model_receive(rig.m, frame, sizeof(frame));
			rig_tx_write(&rig, 1, slot, 60 + i % 1400);
			set(&rig, tx_register(1, Q_TAIL), (slot + 1) % RIG_RING);
			rig_wait(&rig, 1);
			CHECK_EQ(rig_rx_desc(&rig, 0, slot)[1] & (RXD_DD | RXD_EOP),
			         RXD_DD | RXD_EOP);
			CHECK_EQ(((uint8_t *)rig_memory(&rig, rig_rx_buffer(0, slot)))[20],
			         (uint8_t)i);
			CHECK_EQ(rig_tx_desc(&rig, 1, slot)[1], (uint64_t)TXD_DD << 32);
			CHECK_EQ(rig.sent_bytes, 60 + i % 1400);
			rig_rx_desc(&rig, 0, given)[0] = rig_rx_buffer(0, given);
			rig_rx_desc(&rig, 0, given)[1] = 0;
			set(&rig, rx_register(0, Q_TAIL), slot);
		}
	}
	CHECK(rig.raised[0] >= 1 && rig.raised[1] >= 1);
	for (unsigned int i = 0; i < ixgbe_model_reports(rig.m); i++)
		printf("%s\n", ixgbe_model_report(rig.m, i));
	CHECK_EQ(ixgbe_model_reports(rig.m), 0);
	rig_close(&rig);
}

static void each_mistake_is_reported_by_its_name(void)
{
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		bool reported, alone = true;

		rig_open(&rig);
		mistakes[i].make(&rig);
		reported = rig_reported(&rig, mistakes[i].rule);
		for (unsigned int k = 0; k < ixgbe_model_reports(rig.m); k++)
			alone &= !strncmp(ixgbe_model_report(rig.m, k), mistakes[i].rule,
			                  strlen(mistakes[i].rule));
		if (!reported || !alone) {
			printf("mistake %zu, %s:\n", i, mistakes[i].rule);
			for (unsigned int k = 0; k < ixgbe_model_reports(rig.m); k++)
				printf("\t%s\n", ixgbe_model_report(rig.m, k));
		}
		CHECK(reported && alone);
		rig_close(&rig);
	}
}

int main(void)
{
	RUN(correct_driver_is_not_reported);
	RUN(each_mistake_is_reported_by_its_name);
	return DONE();
}
