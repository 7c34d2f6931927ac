/* virtio_watch.c - the control thread's part of a virtio port: link, faults, and a card that is taken away */
#include <stddef.h>
#include <unistd.h>

#include "server/driver/virtio.h"
#include "server/log.h"

static const char *const fault_texts[] = {
	[VIRTIO_FAULT_INDEX] = "the device's used index jumped",
	[VIRTIO_FAULT_HEAD] = "the device returned a buffer that it does not have",
	[VIRTIO_FAULT_LENGTH] = "the device says that it wrote more than a buffer holds",
	[VIRTIO_FAULT_COMPLETION] = "the device completed a frame that it was not given",
	[VIRTIO_FAULT_TROUBLE] = "the device is in trouble and wants a reset (DEVICE_NEEDS_RESET)",
	[VIRTIO_FAULT_RESET] = "somebody else has reset the device",
	[VIRTIO_FAULT_GONE] = "the device is gone",
};

void virtio_read_link(struct port *port)
{
	struct virtio_port *p = port->state;
	struct virtio_device *d = &p->device;
	uint16_t link = VIRTIO_NET_S_LINK_UP;
	uint32_t speed = UINT32_MAX;

	if (virtio_has(d, VIRTIO_NET_F_STATUS))
		d->transport->read_config(d, offsetof(struct virtio_net_config, status), &link,
		                          sizeof(link));
	if (virtio_has(d, VIRTIO_NET_F_SPEED_DUPLEX))
		d->transport->read_config(d, offsetof(struct virtio_net_config, speed), &speed,
		                          sizeof(speed));
	__atomic_store_n(&port->shared->flags, link & VIRTIO_NET_S_LINK_UP ? IXY_PORT_LINK_UP : 0,
	                 __ATOMIC_RELAXED);
	__atomic_store_n(&port->shared->speed_mbps, speed > INT32_MAX ? 0 : speed,
	                 __ATOMIC_RELAXED);
}

/* A worker that sleeps has to look at once. */
static void end_port(struct port *port, enum virtio_fault why)
{
	struct virtio_port *p = port->state;
	uint64_t one = 1;

	__atomic_store_n(&p->gone, why, __ATOMIC_RELAXED);
	if (why == VIRTIO_FAULT_GONE)
		p->device.pci.removed =
			true; /* nothing to give back to its driver, if it stays so */
	__atomic_store_n(&port->shared->flags, 0, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < port->num_queues; i++) {
		int fd = p->queues[i].rx.event_fd;

		if (fd >= 0 && write(fd, &one, sizeof(one)) < 0)
			log_warnx("port %s: cannot wake its worker", port->config->name);
	}
}

static void tell_faults(struct port *port)
{
	struct virtio_port *p = port->state;

	for (unsigned int i = 0; i < port->num_queues; i++) {
		struct virtio_queue *vq = &p->queues[i];
		uint32_t fault = __atomic_load_n(&vq->fault, __ATOMIC_RELAXED);

		if (fault == VIRTIO_OK || vq->told)
			continue;
		vq->told = true;
		log_warnx("port %s: queue %u has stopped: %s; restart the server to use it again",
		          port->config->name, i, fault_texts[fault]);
	}
}

/* The kernel waits with the removal until nobody has the card; workers must not touch it any more. */
static void give_back(struct port *port)
{
	struct virtio_port *p = port->state;

	for (unsigned int i = 0; i < port->num_queues; i++)
		if (__atomic_load_n(&p->queues[i].fault, __ATOMIC_ACQUIRE) == VIRTIO_OK)
			return;
	pci_close(&p->device.pci);
	p->given_back = true;
}

void virtio_tick(struct port *port)
{
	struct virtio_port *p = port->state;
	uint8_t status;

	tell_faults(port);
	if (p->given_back)
		return;
	if (p->gone == VIRTIO_FAULT_GONE) {
		/* not before: the kernel may try for a minute to reset a card that is dead */
		if (pci_removal_wanted(&p->device.pci))
			give_back(port);
		return;
	}
	status = p->device.transport->status(&p->device);
	if (status == VIRTIO_ALL_ONES || pci_removal_wanted(&p->device.pci))
		end_port(port, VIRTIO_FAULT_GONE);
	else if (!p->gone && (status & VIRTIO_CONFIG_S_NEEDS_RESET))
		end_port(port, VIRTIO_FAULT_TROUBLE);
	else if (!p->gone && !(status & VIRTIO_CONFIG_S_DRIVER_OK))
		end_port(port,
		         pci_is_there(&p->device.pci) ? VIRTIO_FAULT_RESET : VIRTIO_FAULT_GONE);
	else if (!p->gone)
		virtio_read_link(port);
}
