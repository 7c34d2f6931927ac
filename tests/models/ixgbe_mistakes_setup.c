/* ixgbe_mistakes_setup.c - what a driver can do wrong with registers: reset, set-up, queues, interrupts */
#include "tests/models/ixgbe_mistakes.h"

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
	set(r, R_CTRL, CTRL_RST); /* no bus master yet, so nothing can be underway */
	rig_wait(r, 11000);
	rig_rx_ring(r, 0);
}

static void reset_but_no_dma_init_wait(struct rig *r)
{
	set(r, R_CTRL, CTRL_RST); /* no bus master yet, so nothing can be underway */
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

static void enables_an_rx_ring_with_a_head(struct rig *r)
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

static void tx_queue_before_the_engine(struct rig *r)
{
	rig_pci(r);
	rig_reset(r);
	rig_tx_ring(r, 0);
	rig_tx_enable(r, 0);
}

static void asks_for_frames_without_room(struct rig *r)
{
	rig_pci(r);
	rig_reset(r);
	set(r, R_TXPBTHRESH, get(r, R_TXPBSIZE) >> 10);
	rig_tx_set_up(r);
}

static void asks_for_jumbo_frames_without_room(struct rig *r)
{
	rig_pci(r);
	rig_reset(r);
	set_bits(r, R_HLREG0, HLREG0_JUMBOEN);
	set(r, R_MAXFRS, 15872u << 16); /* the threshold is the reset's, for less */
	rig_tx_set_up(r);
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

static void forgets_what_a_tag_is(struct rig *r)
{
	rig_pci(r);
	rig_reset(r);
	rig_rx_ring(r, 0);
	set(r, R_VLNCTRL, 0); /* to switch the filter off, which is off */
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

static void resets_while_the_card_is_master(struct rig *r)
{
	rig_start(r, 1);
	set(r, R_CTRL, CTRL_RST);
}

static void resets_without_looking_for_requests_underway(struct rig *r)
{
	rig_start(r, 1);
	set(r, R_CTRL, CTRL_GIO_DIS);
	set(r, R_CTRL, CTRL_GIO_DIS | CTRL_RST);
}

static void moves_a_ring_that_is_not_off_yet(struct rig *r)
{
	rig_start(r, 1);
	set(r, tx_register(0, Q_DCTL), 0);
	set(r, tx_register(0, Q_BAL), (uint32_t)RIG_TX_RING + 0x1000);
}

static void enables_a_queue_that_is_not_off_yet(struct rig *r)
{
	rig_start(r, 1);
	/* empty, so that enabling it again is all that is wrong */
	rig_tx_ring(r, 1);
	rig_tx_enable(r, 1);
	set(r, tx_register(1, Q_DCTL), 0);
	set(r, tx_register(1, Q_DCTL), DCTL_ENABLE);
}

static void spreads_over_queues_while_running(struct rig *r)
{
	rig_start(r, 1);
	set(r, R_MRQC, MRQC_RSS | MRQC_IPV4);
}

static void reads_half_a_register(struct rig *r)
{
	get(r, R_CTRL + 2);
}

static void moves_a_running_ring_far_away(struct rig *r)
{
	rig_start(r, 1);
	set(r, tx_register(0, Q_BAH), 1);
}

static void sets_the_head_of_a_running_ring(struct rig *r)
{
	rig_start(r, 1);
	set(r, rx_register(0, Q_HEAD), 0);
}

static void ring_without_a_length(struct rig *r)
{
	rig_start(r, 1);
	rig_rx_ring(r, 1);
	set(r, rx_register(1, Q_LEN), 0);
	rig_rx_enable(r, 1);
}

static void buffers_that_are_too_large(struct rig *r)
{
	rig_start(r, 1);
	rig_rx_ring(r, 1);
	set(r, rx_register(1, Q_SRRCTL), SRRCTL_ADVANCED | 17);
	rig_rx_enable(r, 1);
}

static void enables_an_rx_ring_again_as_it_was(struct rig *r)
{
	rig_start(r, 1);
	set(r, rx_register(0, Q_DCTL), 0);
	rig_wait_for(r, rx_register(0, Q_DCTL), DCTL_ENABLE, 0);
	rig_rx_enable(r, 0);
}

static void enables_a_tx_ring_again_as_it_was(struct rig *r)
{
	rig_start(r, 1);
	ixgbe_model_set_cable(r->m, false); /* what is in the ring stays there */
	rig_tx_write(r, 0, 0, 60);
	set(r, tx_register(0, Q_TAIL), 1);
	set(r, tx_register(0, Q_DCTL), 0);
	rig_wait_for(r, tx_register(0, Q_DCTL), DCTL_ENABLE, 0);
	rig_tx_enable(r, 0);
}

static void high_interrupts_before_ivar(struct rig *r)
{
	rig_pci(r);
	rig_reset(r);
	set(r, R_GPIE, GPIE_MSIX_MODE);
	set(r, R_EIMS_EX + 4, 1);
}

static void resets_with_requests_underway(struct rig *r)
{
	rig_start(r, 1);
	get(r, R_STATUS); /* which says so */
	set(r, R_CTRL, CTRL_RST);
}

static void resets_after_it_made_the_card_master_again(struct rig *r)
{
	rig_start(r, 1);
	set(r, R_CTRL, CTRL_GIO_DIS);
	rig_wait_for(r, R_STATUS, STATUS_GIO, 0);
	set(r, R_CTRL, 0);
	set(r, R_CTRL, CTRL_RST);
}

static void rxen_without_waiting_the_second_time(struct rig *r)
{
	rig_start(r, 1);
	set(r, R_RXCTRL, 0);
	set_bits(r, R_SECRXCTRL, SEC_DIS);
	set(r, R_RXCTRL, RXCTRL_RXEN);
}

static void hangs_with_the_receiver_off(struct rig *r)
{
	rig_start(r, 1);
	set(r, R_RXCTRL, 0);
	ixgbe_model_hang(r->m);
	set(r, R_CTRL, CTRL_GIO_DIS);
	rig_wait_for(r, R_STATUS, STATUS_GIO, 0); /* in vain */
}

static void resets_what_hangs_only_once(struct rig *r)
{
	hangs_with_the_receiver_off(r);
	rig_flush(r, 20);
	rig_reset_once(r);
	rig_wait(r, 20000);
	rig_rx_ring(r, 0);
}

static void resets_what_hangs_as_it_is(struct rig *r)
{
	hangs_with_the_receiver_off(r);
	rig_reset_once(r);
}

static void flushes_for_too_short(struct rig *r)
{
	hangs_with_the_receiver_off(r);
	rig_flush(r, 19);
	rig_reset_once(r);
}

static void flushes_while_it_receives(struct rig *r)
{
	rig_start(r, 1);
	ixgbe_model_hang(r->m);
	set(r, R_CTRL, CTRL_GIO_DIS);
	rig_flush(r, 20);
	rig_reset_once(r);
}

static void flushes_without_loopback(struct rig *r)
{
	hangs_with_the_receiver_off(r);
	set(r, R_GCR_EXT, GCR_EXT_FLUSH);
	rig_wait(r, 20);
	set(r, R_GCR_EXT, 0);
	rig_reset_once(r);
}

static void resets_in_loopback(struct rig *r)
{
	hangs_with_the_receiver_off(r);
	rig_flush(r, 20);
	set_bits(r, R_HLREG0, HLREG0_LPBK);
	rig_reset_once(r);
}

const struct mistake mistakes_setup[] = {
	MISTAKE("access", reads_outside),
	MISTAKE("reset-wait", touches_registers_during_reset),
	MISTAKE("eeprom-wait", reset_but_no_eeprom_wait),
	MISTAKE("dma-init-wait", reset_but_no_dma_init_wait),
	MISTAKE("queue-enabled", moves_a_running_rx_ring),
	MISTAKE("queue-enabled", resizes_a_running_tx_ring),
	MISTAKE("queue-enabled", changes_buffer_size_while_running),
	MISTAKE("ring-shape", misaligned_ring),
	MISTAKE("ring-shape", odd_ring_length),
	MISTAKE("ring-unmapped", ring_outside_of_memory),
	MISTAKE("ring-empty", enables_an_rx_ring_with_a_head),
	MISTAKE("ring-empty", enables_a_tx_ring_with_a_head),
	MISTAKE("descriptor-type", legacy_rx_descriptors),
	MISTAKE("buffer-size", no_buffer_size),
	MISTAKE("tail-early", rx_tail_without_waiting_for_enable),
	MISTAKE("tail-early", tx_tail_without_reading_enable_back),
	MISTAKE("tx-unmodelled", wants_the_head_written_back),
	MISTAKE("tx-dma-off", tx_queue_before_the_engine),
	MISTAKE("tx-threshold", asks_for_frames_without_room),
	MISTAKE("tx-threshold", asks_for_jumbo_frames_without_room),
	MISTAKE("mtqc-arbiter", mtqc_while_the_arbiter_runs),
	MISTAKE("rx-path-running", rxen_with_the_path_running),
	MISTAKE("rx-path-running", rxen_without_waiting_for_the_path),
	MISTAKE("rx-no-ring", rxen_without_a_ring),
	MISTAKE("rx-crc", strips_the_crc_by_half),
	MISTAKE("vlan-type", forgets_what_a_tag_is),
	MISTAKE("rx-running", packet_buffer_while_running),
	MISTAKE("irq-setup", interrupts_before_ivar),
	MISTAKE("irq-setup", link_interrupt_before_ivar_misc),
	MISTAKE("irq-setup", interrupts_without_msix_mode),
	MISTAKE("reset-master", resets_while_the_card_is_master),
	MISTAKE("reset-master", resets_without_looking_for_requests_underway),
	MISTAKE("queue-enabled", moves_a_ring_that_is_not_off_yet),
	MISTAKE("queue-enabled", enables_a_queue_that_is_not_off_yet),
	MISTAKE("rx-running", spreads_over_queues_while_running),
	MISTAKE("access", reads_half_a_register),
	MISTAKE("queue-enabled", moves_a_running_ring_far_away),
	MISTAKE("queue-enabled", sets_the_head_of_a_running_ring),
	MISTAKE("ring-shape", ring_without_a_length),
	MISTAKE("buffer-size", buffers_that_are_too_large),
	MISTAKE("ring-empty", enables_an_rx_ring_again_as_it_was),
	MISTAKE("ring-empty", enables_a_tx_ring_again_as_it_was),
	MISTAKE("irq-setup", high_interrupts_before_ivar),
	MISTAKE("reset-master", resets_with_requests_underway),
	MISTAKE("reset-master", resets_after_it_made_the_card_master_again),
	MISTAKE("rx-path-running", rxen_without_waiting_the_second_time),
	MISTAKE("reset-twice", resets_what_hangs_only_once),
	MISTAKE("reset-flush", resets_what_hangs_as_it_is),
	MISTAKE("reset-flush", flushes_for_too_short),
	MISTAKE("reset-flush", flushes_while_it_receives),
	MISTAKE("reset-flush", flushes_without_loopback),
	MISTAKE("reset-flush", resets_in_loopback),
};

const unsigned int num_mistakes_setup = sizeof(mistakes_setup) / sizeof(mistakes_setup[0]);
