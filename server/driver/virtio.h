/*
 * virtio.h - a virtio network card: the state of its port, and which file does what
 *
 *	virtio.c          the data path, on the worker that owns a queue
 *	virtio_setup.c    options, negotiation, queues; start and stop
 *	virtio_control.c  commands over the control queue
 *	virtio_watch.c    link, faults and removal, on the control thread
 *	virtio_pci.c      which transport a PCI device has, and what both need
 *	virtio_legacy.c, virtio_modern.c   the two transports
 *
 * Facts: Virtual I/O Device (VIRTIO) 1.2, by section; the headers linux/virtio_*.h.
 */
#ifndef DRIVER_VIRTIO_H
#define DRIVER_VIRTIO_H

#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/driver/driver.h"
#include "server/driver/virtq.h"
#include "server/pci/pci.h"

#define VIRTIO_ALL_ONES 0xffu /* the status of a device that is not there any more */

/* Why a queue failed: set by the worker or the control thread, told once by the latter. */
enum virtio_fault {
	VIRTIO_OK,
	VIRTIO_FAULT_INDEX,
	VIRTIO_FAULT_HEAD,
	VIRTIO_FAULT_LENGTH,
	VIRTIO_FAULT_COMPLETION,
	VIRTIO_FAULT_TROUBLE,
	VIRTIO_FAULT_RESET,
	VIRTIO_FAULT_GONE,
};

struct virtio_device;

/* How a device's registers are reached. Main thread; status, read_config and notify from any. */
struct virtio_transport {
	uint64_t (*features)(struct virtio_device *d);
	void (*accept)(struct virtio_device *d, uint64_t features);
	uint8_t (*status)(struct virtio_device *d);
	void (*set_status)(struct virtio_device *d, uint8_t status);
	/* device configuration (struct virtio_net_config), little-endian; all ones if it is gone */
	void (*read_config)(struct virtio_device *d, unsigned int at, void *bytes, unsigned int n);
	/* how many slots queue @index has at most; 0: there is none */
	uint16_t (*queue_size)(struct virtio_device *d, uint16_t index);
	bool fixed_size; /* and it cannot have fewer (legacy) */
	/* gives it its memory, and an interrupt: a vector's number or -1; -1 on failure */
	int (*queue_enable)(struct virtio_device *d, struct virtq *q, int vector);
	void (*notify)(struct virtio_device *d, uint16_t index);
	int (*alloc)(struct virtio_device *d, size_t bytes, size_t align, struct dma_memory *memory,
	             struct error *error);
	const struct dma_pool *(*pool)(struct virtio_device *d);
};

struct virtio_device {
	const struct virtio_transport *transport;
	const char *port;  /* its name, for messages */
	uint64_t accepted; /* features */

	struct pci_device pci;
	volatile unsigned char *common, *config, *doorbells; /* modern */
	uint32_t config_bytes, doorbells_bytes, doorbell_step;
};

struct virtio_rx {
	struct virtq q;
	uint32_t *bufs;        /* by slot: the buffer there; IXY_BUF_NONE while it is on its way */
	uint32_t header_bytes; /* before each frame */
	uint32_t room;         /* for a frame */
	uint64_t pause_ns;     /* without interrupts: until the next look */
	int event_fd;          /* -1: no interrupts */
	const struct dma_pool *pool;
};

/* Two descriptors for each frame: a header that is always zero, and the frame. */
struct virtio_tx {
	struct virtq q;
	uint32_t *bufs;  /* by slot: the buffer underway; IXY_BUF_NONE */
	uint16_t *spare; /* slots that are free, [0, num_spare) */
	uint16_t num_slots, num_spare;
	uint64_t pause_ns;
	const struct dma_pool *pool;
};

struct virtio_queue {
	_Alignas(IXY_CACHE_LINE) struct virtio_device *device;
	struct virtio_rx rx;
	struct virtio_tx tx;
	bool rx_first;  /* in the next round the receive queue is the first to be told of */
	uint32_t fault; /* enum virtio_fault; atomic */
	bool told;      /* the control thread's: the fault was logged */
};

struct virtio_port {
	struct virtio_device device;
	unsigned int num_pairs; /* that the device has */
	struct virtq control;   /* size 0: none */
	struct dma_memory command;
	struct dma_memory header; /* zero, for all frames that are sent */
	uint32_t gone;            /* enum virtio_fault; atomic, control thread -> workers */
	bool given_back;          /* the control thread's: after removal */
	struct virtio_queue queues[PORT_MAX_QUEUES];
};

static inline bool virtio_has(const struct virtio_device *d, unsigned int feature)
{
	return d->accepted >> feature & 1;
}

/* -- virtio.c: see struct driver -------------------------------------------------------------------- */
unsigned int virtio_rx_burst(struct port_queue *queue, struct ixy_desc *descs, unsigned int n,
                             uint64_t now_ns);
unsigned int virtio_tx_room(struct port_queue *queue, unsigned int n);
void virtio_tx_burst(struct port_queue *queue, const struct ixy_desc *descs, unsigned int n);
void virtio_poll(struct port_queue *queue, uint64_t now_ns);
int virtio_wait_fd(const struct port_queue *queue);
uint64_t virtio_due_ns(const struct port_queue *queue, uint64_t now_ns);
bool virtio_arm(struct port_queue *queue);
void virtio_disarm(struct port_queue *queue);

/* -- virtio_setup.c --------------------------------------------------------------------------------- */
int virtio_check(const struct port_config *config, const struct pool_view *pool,
                 unsigned int *num_queues, char *plan, size_t plan_bytes, struct error *error);
int virtio_open(struct port *port, struct error *error);
void virtio_close(struct port *port);

/*
 * virtio_begin - from a device that can be reached to a port that moves frames; @port->state is a
 * struct virtio_port with its device's transport set. -1 with @error; virtio_end is due all the same.
 */
int virtio_begin(struct port *port, struct error *error);

/* virtio_end - resets the device, frees what virtio_begin made; the device itself stays open */
void virtio_end(struct port *port);

/* -- virtio_control.c ------------------------------------------------------------------------------- */

/* virtio_command - one command; waits at most a second. -1 with @error: refused, or no answer. 5.1.6.5 */
int virtio_command(struct virtio_port *p, uint8_t class, uint8_t command, const void *data,
                   uint32_t bytes, struct error *error);

/* -- virtio_watch.c --------------------------------------------------------------------------------- */
void virtio_tick(struct port *port);

/* virtio_read_link - link state and speed into port->shared */
void virtio_read_link(struct port *port);

/* -- virtio_pci.c ----------------------------------------------------------------------------------- */

/* virtio_pci_attach - finds the transport of d->pci, which is open; -1 with @error */
int virtio_pci_attach(struct virtio_device *d, struct error *error);

/* What both transports do in the same way. */
int virtio_pci_alloc(struct virtio_device *d, size_t bytes, size_t align, struct dma_memory *memory,
                     struct error *error);
const struct dma_pool *virtio_pci_pool(struct virtio_device *d);

/* virtio_legacy.c, virtio_modern.c */
extern const struct virtio_transport virtio_legacy, virtio_modern;

/*
 * virtio_modern_find - the structures that the modern transport needs; false if one is missing
 *
 * @why says then what was wrong with the first that could not be used, or "".
 */
bool virtio_modern_find(struct virtio_device *d, struct error *why);

#endif
