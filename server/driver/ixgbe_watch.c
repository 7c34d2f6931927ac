/* ixgbe_watch.c - the control thread's part of an 82599 port: link, statistics, faults, removal */
#include <unistd.h>

#include "server/driver/ixgbe.h"
#include "server/log.h"

static const char *const fault_texts[] = {
	[IXGBE_FAULT_LENGTH] = "the card says that it wrote more than a buffer holds",
	[IXGBE_FAULT_GONE] = "the device is gone",
};

bool ixgbe_read_link(struct port *port)
{
	static const uint64_t speeds[] = {0, 100, 1000, 10000}; /* 8.2.3.22.20 */
	struct ixgbe_port *p = port->state;
	uint32_t links = ixgbe_read(&p->device, IXGBE_LINKS);
	bool up = links & IXGBE_LINKS_UP;

	if (links == UINT32_MAX)
		return false;
	__atomic_store_n(&port->shared->flags, up ? IXY_PORT_LINK_UP : 0, __ATOMIC_RELAXED);
	__atomic_store_n(&port->shared->speed_mbps, up ? speeds[IXGBE_LINKS_SPEED(links)] : 0,
	                 __ATOMIC_RELAXED);
	return true;
}

static void add(uint64_t *total, uint32_t n)
{
	if (n == UINT32_MAX)
		return; /* the card went away between two registers */
	__atomic_store_n(total, *total + n, __ATOMIC_RELAXED);
}

/* They clear when they are read; what belongs to no queue is the first one's. 8.2.3.23 */
void ixgbe_read_drops(struct port *port)
{
	struct ixgbe_port *p = port->state;
	struct ixgbe_device *d = &p->device;
	struct ixgbe_drops *first = &p->queues[0].drops;

	for (unsigned int i = 0; i < port->num_queues; i++)
		add(&p->queues[i].drops.no_buffer, ixgbe_read(d, IXGBE_QPRDC(i)));
	add(&first->no_buffer, ixgbe_read(d, IXGBE_RXMPC(0)));
	add(&first->too_long, ixgbe_read(d, IXGBE_ROC));
	add(&first->bad, ixgbe_read(d, IXGBE_CRCERRS));
	add(&first->bad, ixgbe_read(d, IXGBE_RLEC));
	add(&first->bad, ixgbe_read(d, IXGBE_RUC));
	add(&first->bad, ixgbe_read(d, IXGBE_RFC));
	add(&first->bad, ixgbe_read(d, IXGBE_RJC));
}

/* A worker that sleeps has to look at once. */
static void lose_card(struct port *port)
{
	struct ixgbe_port *p = port->state;
	uint64_t one = 1;

	p->device.pci.removed = true; /* nothing to give back to its driver, if it stays so */
	__atomic_store_n(&p->gone, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&port->shared->flags, 0, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < port->num_queues; i++) {
		int fd = p->queues[i].rx.event_fd;

		if (fd >= 0 && write(fd, &one, sizeof(one)) < 0)
			log_warnx("port %s: cannot wake its worker", port->config->name);
	}
}

static void tell_faults(struct port *port)
{
	struct ixgbe_port *p = port->state;

	for (unsigned int i = 0; i < port->num_queues; i++) {
		struct ixgbe_queue *q = &p->queues[i];
		uint32_t fault = __atomic_load_n(&q->fault, __ATOMIC_RELAXED);

		if (fault == IXGBE_OK || q->told)
			continue;
		q->told = true;
		log_warnx("port %s: queue %u has stopped: %s; restart the server to use it again",
		          port->config->name, i, fault_texts[fault]);
	}
}

/* The kernel waits with the removal until nobody has the card; workers must not touch it any more. */
static void give_back(struct port *port)
{
	struct ixgbe_port *p = port->state;

	for (unsigned int i = 0; i < port->num_queues; i++)
		if (__atomic_load_n(&p->queues[i].fault, __ATOMIC_ACQUIRE) == IXGBE_OK)
			return;
	pci_close(&p->device.pci);
	p->given_back = true;
}

void ixgbe_tick(struct port *port)
{
	struct ixgbe_port *p = port->state;

	tell_faults(port);
	if (p->given_back)
		return;
	if (p->gone) {
		/* not before: the kernel may try for a minute to reset a card that is dead */
		if (pci_removal_wanted(&p->device.pci))
			give_back(port);
		return;
	}
	if (!ixgbe_read_link(port) || !pci_is_there(&p->device.pci) ||
	    pci_removal_wanted(&p->device.pci))
		lose_card(port);
	else
		ixgbe_read_drops(port);
}
