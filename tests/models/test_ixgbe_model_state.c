/* test_ixgbe_model_state.c - what the device keeps: statistics, interrupts, link, EEPROM; and what a reset leaves of it */
#include <string.h>

#include "tests/models/test_ixgbe_model.h"

static void statistics_clear_on_read(void)
{
	uint8_t frame[100];

	memcpy(frame, rig_mac, 6);
	open_started(1);
	receive(frame, sizeof(frame));
	receive(frame, sizeof(frame));
	rig_tx_write(&rig, 0, 0, 60);
	set(&rig, tx_register(0, Q_TAIL), 1);
	rig_wait(&rig, 1);
	CHECK_EQ(get(&rig, GPRC), 2);
	CHECK_EQ(get(&rig, GPRC), 0);
	CHECK_EQ(get(&rig, GPTC), 1);
	CHECK_EQ(get(&rig, GPTC), 0);
	/* of 36 bits: the upper half clears both */
	CHECK_EQ(get(&rig, GORCL), 208);
	CHECK_EQ(get(&rig, GORCL), 208);
	CHECK_EQ(get(&rig, GORCH), 0);
	CHECK_EQ(get(&rig, GORCL), 0);
	set(&rig, GPRC, 5); /* read only */
	CHECK_EQ(get(&rig, GPRC), 0);
	close_unreported();
}

static void interrupts_are_throttled_and_mask_themselves(void)
{
	uint8_t frame[64];

	memcpy(frame, rig_mac, 6);
	open_started(1);
	set(&rig, R_EITR, 100 / 2 * 8); /* 100 us */
	rig.raised[0] = 0;
	receive(frame, 64);
	CHECK_EQ(rig.raised[0], 1);
	for (unsigned int i = 0; i < 50; i++)
		receive(frame, 64);
	CHECK_EQ(rig.raised[0], 1);
	rig_wait(&rig, 50);
	CHECK_EQ(rig.raised[0], 2);
	rig_wait(&rig, 1000);
	CHECK_EQ(rig.raised[0], 2);
	/* masked by itself, until it is enabled again */
	set_bits(&rig, R_GPIE, GPIE_EIAME);
	set(&rig, R_EIAM, 1);
	receive(frame, 64);
	rig_wait(&rig, 1000);
	CHECK_EQ(rig.raised[0], 3);
	receive(frame, 64);
	rig_wait(&rig, 1000);
	CHECK_EQ(rig.raised[0], 3);
	set(&rig, R_EIMS, 1);
	rig_wait(&rig, 1000);
	CHECK_EQ(rig.raised[0], 4);
	close_unreported();
}

static void lost_link_is_said_and_holds_frames_back(void)
{
	open_started(1);
	rig.raised[1] = 0;
	ixgbe_model_set_cable(rig.m, false);
	rig_wait(&rig, 1);
	CHECK_EQ(rig.raised[1], 1);
	CHECK_EQ(get(&rig, R_LINKS), 0);
	CHECK_EQ(get(&rig, R_EICS), EICR_LSC);
	set(&rig, R_EICR, EICR_LSC);
	rig_tx_write(&rig, 0, 0, 60);
	set(&rig, tx_register(0, Q_TAIL), 1);
	rig_wait(&rig, 100000);
	CHECK_EQ(rig.num_sent, 0);
	ixgbe_model_set_cable(rig.m, true);
	rig_wait(&rig, 100000);
	CHECK_EQ(rig.num_sent, 1);
	CHECK_EQ(rig.raised[1], 2);
	close_unreported();
}

static void reset_leaves_nothing_but_the_address(void)
{
	uint16_t flr = 0x8000;

	open_started(2);
	for (unsigned int kind = 0; kind < 2; kind++) {
		if (kind == 0) {
			set(&rig, R_CTRL, CTRL_GIO_DIS);
			CHECK_EQ(get(&rig, R_STATUS) & STATUS_GIO, 0);
			set(&rig, R_CTRL, CTRL_RST);
		} else {
			ixgbe_model_config_write(rig.m, 0xA8, &flr, 2);
		}
		CHECK_EQ(get(&rig, R_CTRL), CTRL_RST);
		rig_wait(&rig, 50000);
		CHECK_EQ(get(&rig, R_CTRL), 0);
		CHECK_EQ(get(&rig, rx_register(0, Q_DCTL)), 0);
		CHECK_EQ(get(&rig, rx_register(0, Q_LEN)), 0);
		CHECK_EQ(get(&rig, R_EIMS), 0);
		CHECK_EQ(get(&rig, R_RAL), 0x0000A502);
		CHECK_EQ(get(&rig, R_RAL + 4), 0x80004200);
		rig_start(&rig, 2);
	}
	close_unreported();
}

static void eeprom_has_the_checksum_that_drivers_want(void)
{
	uint16_t sum = 0;

	open_started(1);
	for (uint32_t i = 0; i < 0x40; i++) {
		set(&rig, R_EERD, i << 2 | EERD_START);
		CHECK(get(&rig, R_EERD) & EERD_DONE);
		sum = (uint16_t)(sum + (get(&rig, R_EERD) >> 16));
	}
	CHECK_EQ(sum, 0xBABA);
	close_unreported();
}

int main(void)
{
	RUN(statistics_clear_on_read);
	RUN(interrupts_are_throttled_and_mask_themselves);
	RUN(lost_link_is_said_and_holds_frames_back);
	RUN(reset_leaves_nothing_but_the_address);
	RUN(eeprom_has_the_checksum_that_drivers_want);
	return DONE();
}
