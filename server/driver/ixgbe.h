/*
 * ixgbe.h - an Intel 82599 network card: the state of its port, and which file does what
 *
 *	ixgbe.c        the data path, on the worker that owns a queue
 *	ixgbe_wide.c   the same for four frames at once, where they are plain
 *	ixgbe_setup.c  options, rings, open and close
 *	ixgbe_init.c   reset and initialisation, in the datasheet's order
 *	ixgbe_watch.c  link, statistics, faults and removal, on the control thread
 *	ixgbe_regs.h   registers and descriptors
 *
 * Facts: Intel 82599 10 GbE Controller Datasheet (331520), by section.
 */
#ifndef DRIVER_IXGBE_H
#define DRIVER_IXGBE_H

#include <stdbool.h>
#include <stdint.h>

#include "server/driver/driver.h"
#include "server/driver/ixgbe_regs.h"
#include "server/pci/pci.h"

/* Why a queue failed: set by the worker or the control thread, told once by the latter. */
enum ixgbe_fault { IXGBE_OK, IXGBE_FAULT_LENGTH, IXGBE_FAULT_GONE };

struct ixgbe_device;

/* How registers and memory are reached: PCI, or a model in a test. */
struct ixgbe_access {
	uint32_t (*read)(struct ixgbe_device *d, uint32_t at);
	void (*write)(struct ixgbe_device *d, uint32_t at, uint32_t value);
	/* where doorbells are written without a call */
	volatile uint32_t *(*doorbell)(struct ixgbe_device *d, uint32_t at);
	int (*alloc)(struct ixgbe_device *d, size_t bytes, size_t align, struct dma_memory *memory,
	             struct error *error);
	const struct dma_pool *(*pool)(struct ixgbe_device *d);
};

struct ixgbe_device {
	const struct ixgbe_access *access;
	const char *port; /* its name, for messages */
	struct pci_device pci;
	volatile unsigned char *regs; /* BAR 0 */
};

/* What the device lost since it was opened; control thread -> worker. */
struct ixgbe_drops {
	uint64_t no_buffer, too_long, bad; /* atomic */
};

struct ixgbe_rx {
	struct dma_memory memory;
	volatile union ixgbe_rx_desc *ring;
	uint32_t *bufs; /* by slot: the buffer there */
	volatile uint32_t *tail;
	const struct dma_pool *pool;
	uint32_t room;   /* for a frame, in a buffer */
	uint16_t size;   /* slots, a multiple of 8 */
	uint16_t next;   /* the slot that is looked at next */
	uint16_t filled; /* slots with a new buffer of which the device does not know yet */
	bool skipping;   /* in the middle of a frame of several descriptors */
	bool wide;       /* four at a time, where that can be: ixgbe_wide.h */
	uint64_t pause_ns;
	int event_fd;              /* -1: no interrupts */
	volatile uint32_t *enable; /* EIMS */
};

struct ixgbe_tx {
	struct dma_memory memory;
	volatile struct ixgbe_tx_desc *ring;
	uint32_t *bufs; /* by slot */
	uint16_t *last; /* by the first slot of a burst: its last one, which reports */
	volatile uint32_t *tail;
	const struct dma_pool *pool;
	uint16_t size, next, clean; /* slots [clean, next) are underway */
	uint16_t told;              /* what the device knows of next */
	bool wide;
	uint64_t pause_ns;
};

struct ixgbe_queue {
	_Alignas(IXY_CACHE_LINE) struct ixgbe_rx rx;
	struct ixgbe_tx tx;
	struct ixgbe_drops counted; /* of drops, what is in the port's counters */
	uint32_t fault;             /* enum ixgbe_fault; atomic */

	/* the control thread's */
	_Alignas(IXY_CACHE_LINE) struct ixgbe_drops drops;
	bool told; /* the fault was logged */
};

struct ixgbe_port {
	struct ixgbe_device device;
	bool promisc;
	uint32_t gone;   /* atomic, control thread -> workers */
	bool given_back; /* the control thread's: after removal */
	struct ixgbe_queue queues[PORT_MAX_QUEUES];
};

static inline uint32_t ixgbe_read(struct ixgbe_device *d, uint32_t at)
{
	return d->access->read(d, at);
}

static inline void ixgbe_write(struct ixgbe_device *d, uint32_t at, uint32_t value)
{
	d->access->write(d, at, value);
}

/* -- ixgbe.c: see struct driver --------------------------------------------------------------------- */
unsigned int ixgbe_rx_burst(struct port_queue *queue, struct ixy_desc *descs, unsigned int n,
                            uint64_t now_ns);
unsigned int ixgbe_tx_room(struct port_queue *queue, unsigned int n);
void ixgbe_tx_burst(struct port_queue *queue, const struct ixy_desc *descs, unsigned int n);
void ixgbe_poll(struct port_queue *queue, uint64_t now_ns);
int ixgbe_wait_fd(const struct port_queue *queue);
uint64_t ixgbe_due_ns(const struct port_queue *queue, uint64_t now_ns);
bool ixgbe_arm(struct port_queue *queue);

/* -- ixgbe_setup.c ---------------------------------------------------------------------------------- */
int ixgbe_check(const struct port_config *config, const struct pool_view *pool,
                unsigned int *num_queues, char *plan, size_t plan_bytes, struct error *error);
int ixgbe_open(struct port *port, struct error *error);
void ixgbe_close(struct port *port);

/*
 * ixgbe_begin - from a device that can be reached to a port that moves frames; port->state is a struct
 * ixgbe_port with its device's access set. -1 with @error; ixgbe_end is due all the same.
 */
int ixgbe_begin(struct port *port, struct error *error);

/* ixgbe_end - stops the device, frees what ixgbe_begin made; the device itself stays open */
void ixgbe_end(struct port *port);

/* -- ixgbe_init.c ------------------------------------------------------------------------------------ */

/* ixgbe_reset - master disable, reset, and what the datasheet has us wait for; -1 with @error. 4.6.3 */
int ixgbe_reset(struct ixgbe_device *d, struct error *error);

/* ixgbe_init - all but the queues: MAC, packet buffers, filters, RSS over @num_queues. 4.6.7, 4.6.8 */
void ixgbe_init(struct ixgbe_device *d, unsigned int num_queues, uint32_t room, bool promisc);

/* ixgbe_start - the rings of queue @index, then receives and sends; waits for both to be enabled */
int ixgbe_start_queue(struct ixgbe_device *d, unsigned int index, struct ixgbe_queue *q,
                      struct error *error);
int ixgbe_start(struct ixgbe_device *d, struct error *error);

/* ixgbe_route_interrupts - receive queue n to vector n, throttled; all masked. 4.6.6, 7.3 */
void ixgbe_route_interrupts(struct ixgbe_device *d, unsigned int num_queues);

/* ixgbe_stop - no new DMA; then reset. Says nothing of a device that is gone. */
void ixgbe_stop(struct ixgbe_device *d, unsigned int num_queues);

/* ixgbe_max_frame - the longest frame, with a VLAN tag and without CRC, that never leaves @room */
uint32_t ixgbe_max_frame(uint32_t room);

/* -- ixgbe_watch.c ----------------------------------------------------------------------------------- */
void ixgbe_tick(struct port *port);

/* ixgbe_read_link - link state and speed into port->shared; false if the device is gone */
bool ixgbe_read_link(struct port *port);

/* ixgbe_read_drops - what the device counted since it was last asked */
void ixgbe_read_drops(struct port *port);

#endif
