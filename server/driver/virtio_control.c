/*
 * virtio_control.c - the control queue: promiscuous mode, MAC address, how many queues; VIRTIO 1.2, 5.1.6.5
 *
 *	descriptor 0 (device reads)   class, command, what belongs to it
 *	descriptor 1 (device writes)  one byte: VIRTIO_NET_OK, or not
 *
 * Main thread, while the port is opened: one command at a time, and it is waited for.
 */
#include <string.h>
#include <time.h>

#include "server/driver/virtio.h"

#define PATIENCE_MS   1000
#define COMMAND_BYTES 64 /* with the answer in the last one */

static unsigned int wait_for_answer(struct virtq *q)
{
	const struct timespec pause = {0, 1000000};
	unsigned int n = virtq_ready(q);

	for (unsigned int i = 0; n == 0 && i < PATIENCE_MS; i++) {
		nanosleep(&pause, NULL);
		n = virtq_ready(q);
	}
	return n;
}

int virtio_command(struct virtio_port *p, uint8_t class, uint8_t command, const void *data,
                   uint32_t bytes, struct error *error)
{
	struct virtio_device *d = &p->device;
	struct virtq *q = &p->control;
	unsigned char *out = p->command.base, *answer = out + COMMAND_BYTES - 1;
	unsigned int n;

	if (q->size == 0)
		return error_set(error, "port %s: the device has no control queue", d->port);
	out[0] = class;
	out[1] = command;
	memcpy(out + 2, data, bytes);
	*answer = 0xff;
	q->desc[0] = (struct vring_desc){p->command.address, 2 + bytes, VRING_DESC_F_NEXT, 1};
	q->desc[1] = (struct vring_desc){p->command.address + COMMAND_BYTES - 1, 1,
	                                 VRING_DESC_F_WRITE, 0};
	virtq_offer(q, 0, 0);
	virtq_publish(q, 1);
	if (virtq_must_tell(q)) {
		if (q->doorbell)
			*q->doorbell = q->index;
		else
			d->transport->notify(d, q->index);
	}
	n = wait_for_answer(q);
	if (n == 0)
		return error_set(error,
		                 "port %s: the device does not answer command %u.%u within %d ms "
		                 "(control queue)",
		                 d->port, class, command, PATIENCE_MS);
	/* one is underway, and it is head 0: else the device has it still, and we would write over it */
	if (n > 1 || virtq_used(q, 0).id != 0)
		return error_set(
			error,
			"port %s: the device returned what it was not given, after command "
			"%u.%u (control queue: %u more in its used index, head %u)",
			d->port, class, command, n, virtq_used(q, 0).id);
	q->finished++;
	if (__atomic_load_n(answer, __ATOMIC_RELAXED) != VIRTIO_NET_OK)
		return error_set(error, "port %s: the device refuses command %u.%u", d->port, class,
		                 command);
	return 0;
}
