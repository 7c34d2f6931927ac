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

static bool finished(struct virtq *q)
{
	const struct timespec pause = {0, 1000000};

	for (unsigned int i = 0; i < PATIENCE_MS; i++) {
		if (virtq_ready(q))
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

int virtio_command(struct virtio_port *p, uint8_t class, uint8_t command, const void *data,
                   uint32_t bytes, struct error *error)
{
	struct virtio_device *d = &p->device;
	struct virtq *q = &p->control;
	unsigned char *out = p->command.base, *answer = out + COMMAND_BYTES - 1;

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
	if (!finished(q))
		return error_set(error,
		                 "port %s: the device does not answer command %u.%u within %d ms "
		                 "(control queue)",
		                 d->port, class, command, PATIENCE_MS);
	q->finished++;
	if (__atomic_load_n(answer, __ATOMIC_RELAXED) != VIRTIO_NET_OK)
		return error_set(error, "port %s: the device refuses command %u.%u", d->port, class,
		                 command);
	return 0;
}
