/* test_ixgbe_examiner.c - a driver without a mistake is not reported, and each mistake is, by its name */
#include <string.h>

#include "tests/models/ixgbe_mistakes.h"
#include "tests/unit/test.h"

static struct rig rig;

static void correct_driver_is_not_reported(void)
{
	uint8_t frame[128] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};

	rig_open(&rig);
	for (unsigned int life = 0; life < 3; life++) {
		if (life == 2)
			ixgbe_model_hang(rig.m); /* and it knows what to do then */
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

/* Whether it is, and nothing else is */
static bool is_caught(const struct mistake *mistake)
{
	size_t bytes = strlen(mistake->rule);
	bool caught, alone = true;

	rig_open(&rig);
	mistake->make(&rig);
	caught = rig_reported(&rig, mistake->rule);
	for (unsigned int i = 0; i < ixgbe_model_reports(rig.m); i++)
		alone &= !strncmp(ixgbe_model_report(rig.m, i), mistake->rule, bytes);
	printf("%s %s: %s\n", caught && alone ? "ok  " : "FAIL", mistake->name,
	       caught ? ixgbe_model_report(rig.m, 0) : "not reported");
	for (unsigned int i = 0; !alone && i < ixgbe_model_reports(rig.m); i++)
		printf("\t%s\n", ixgbe_model_report(rig.m, i));
	rig_close(&rig);
	return caught && alone;
}

static void each_mistake_is_reported_by_its_name(void)
{
	for (unsigned int i = 0; i < num_mistakes_setup; i++)
		CHECK(is_caught(&mistakes_setup[i]));
	for (unsigned int i = 0; i < num_mistakes_traffic; i++)
		CHECK(is_caught(&mistakes_traffic[i]));
}

int main(void)
{
	RUN(correct_driver_is_not_reported);
	RUN(each_mistake_is_reported_by_its_name);
	return DONE();
}
