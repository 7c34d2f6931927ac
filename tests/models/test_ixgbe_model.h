/* test_ixgbe_model.h - begin and end of a test of the model: started by a driver that must not be reported */
#ifndef TEST_IXGBE_MODEL_H
#define TEST_IXGBE_MODEL_H

#include "tests/models/ixgbe_rig.h"
#include "tests/unit/test.h"

/* Statistics, 8.2.3.23 */
enum {
	GPRC = 0x04074,
	GPTC = 0x04080,
	GORCL = 0x04088,
	GORCH = 0x0408C,
	MPC0 = 0x03FA0,
	ROC = 0x040AC,
	QPRC0 = 0x01030,
	QPRC1 = 0x01070,
	QPRDC0 = 0x01430,
};

static struct rig rig;

static void open_started(unsigned int num_queues)
{
	rig_open(&rig);
	rig_start(&rig, num_queues);
}

static void close_unreported(void)
{
	for (unsigned int i = 0; i < ixgbe_model_reports(rig.m); i++)
		printf("%s\n", ixgbe_model_report(rig.m, i));
	CHECK_EQ(ixgbe_model_reports(rig.m), 0);
	rig_close(&rig);
}

static void receive(const uint8_t *frame, size_t bytes)
{
	ixgbe_model_receive(rig.m, frame, bytes);
	rig_wait(&rig, 1);
}

#endif
