/* test_vfio_user.h - begin and end of a test of the vfio-user server: what must be as it was before */
#ifndef TEST_VFIO_USER_H
#define TEST_VFIO_USER_H

#include <linux/vfio.h>

#include "tests/models/vfio_user_client.h"
#include "tests/unit/open_fds.h"
#include "tests/unit/test.h"

enum {
	PAGE = 4096,
	HEADER = sizeof(struct vfio_user_header),
	MSIX = VFIO_PCI_MSIX_IRQ_INDEX,
	TRIGGER_EVENTFD = VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_EVENTFD,
};

static struct client client;
static unsigned int fds_before;

static void begin(void)
{
	fds_before = open_fds();
	client_start(&client);
}

/* Nothing of either side is left, and the device was never asked for what it has not. */
static void end(void)
{
	client_close(&client);
	CHECK_EQ(open_fds(), fds_before);
	CHECK_EQ(client_mappings(), 0);
	CHECK_EQ(client.stub.num_outside, 0);
}

#endif
