/*
 * driver.h - what a port driver is: a const struct of operations over ports and their queues
 *
 * resolve, prepare, check, open and close run on the main thread, before the workers start and after they
 * ended; tick runs on the control thread, and may log. All other operations run on the worker that owns the
 * queue; they never block, allocate or log.
 */
#ifndef DRIVER_DRIVER_H
#define DRIVER_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ixy/abi.h>

#include "server/dataplane/record.h"
#include "server/error.h"
#include "server/port_config.h"
#include "shm/counters.h"

#define PORT_MAX_QUEUES 16
/*
 * Most descriptors in one call of rx_burst or tx_burst, and from one client in a round. What a round costs
 * whatever it does, and the index lines that go from core to core in it, is a third of all at 32.
 */
#define BURST 64

#define NEVER_NS UINT64_MAX

struct dma;
struct port;

/* The pool, as drivers see it. */
struct pool_view {
	unsigned char *base; /* where the server maps it */
	int fd;              /* its memfd */
	uint64_t bytes;
	uint64_t page_bytes;
	uint32_t buf_bytes;
	uint32_t buf_shift;
	uint32_t num_bufs;
	/*
	 * For the xdp driver, between open and close: *umem_owner is how its ports find the one
	 * registration of the pool with the kernel. The server provides the pointer, NULL at first.
	 * Without it (umem_owner is NULL) each port registers the pool, and is charged, by itself.
	 */
	void **umem_owner;
	struct dma
		*dma; /* how devices reach the pool, for drivers that do DMA; NULL: they cannot */
};

/* One queue of a port: a row of the column of the worker that polls it. */
struct port_queue {
	struct port *port;
	uint16_t index;
	uint16_t worker;       /* index of the worker that polls it */
	uint16_t holder;       /* HOLDER_DEVICE_FIRST + n: this queue, in the record */
	struct record *record; /* of the worker that polls this queue */
	const struct pool_view *pool;
	uint64_t *counters;      /* [PORT_NUM_COUNTERS]; counter_add() */
	uint64_t tx_blocked_ns;  /* worker: since when it was found without room; 0: it had some */
	uint64_t rx_progress_ns; /* worker: when all members last had room (can_wait) */
	bool failed;             /* the driver: device gone; it is not called any more */
	uint32_t closed;         /* worker, for the others: failed, or stalled; atomic */
	void *state;             /* the driver's own, for this queue */
};

struct port {
	uint16_t index; /* in descriptors */
	const struct driver *driver;
	const struct port_config *config;
	struct ixy_port *shared;  /* its entry in the header; the driver fills mac, link, ... */
	uint32_t min_frame_bytes; /* what can be sent; checked before tx_burst */
	uint32_t max_frame_bytes;
	uint32_t tx_slots; /* most that a queue holds to be sent; 0: a driver that copies */
	bool can_wait; /* a file: nothing is lost if it is not read while clients are busy; has due_ns */
	unsigned int num_queues;
	struct port_queue queues[PORT_MAX_QUEUES];
	void *state; /* the driver's own, for the port */
};

/* A device that a driver knows; a table of these ends with vendor 0. */
struct pci_id {
	uint16_t vendor, device;
	const char *name;
	const char *warning; /* what a person should know before using it; NULL: nothing */
};

struct driver {
	const char *name;  /* "null" in --port p=null:... */
	const char *usage; /* "null:[size=64,...]", for --help */
	bool takes_arg;    /* "pcap:FILE,...": the first item is not an option */
	/*
	 * Files: all such ports are the first worker's. They wait for room in a client's ring, and only
	 * one worker at a time can know how much of it is not promised to frames underway.
	 */
	bool first_worker;
	bool wait_edge; /* wait_fd is an eventfd of a device's: each signal wakes, nobody reads it */
	const struct pci_id *ids; /* devices of a driver for "pci"; it is not chosen by name then */

	/*
	 * resolve - the driver that such a port really needs ("pci": by the device's id); NULL with
	 * @error if there is none. NULL: this one. Changes nothing.
	 */
	const struct driver *(*resolve)(const struct port_config *config, struct error *error);

	/*
	 * prepare - before the server takes any memory: stops what a killed predecessor may have left
	 * running (a NIC that writes by physical address), and sets *numa_node if it should be on a
	 * certain one. May be NULL.
	 */
	int (*prepare)(const struct port_config *config, int *numa_node, struct error *error);

	/*
	 * check - validates the configuration and the machine, and changes nothing (--check,
	 * doctor)
	 *
	 * Reads every option that the driver knows (port_config_*). Sets *num_queues, and writes
	 * what it would do into @plan (a sentence). Returns 0, or -1 with @error.
	 */
	int (*check)(const struct port_config *config, const struct pool_view *pool,
	             unsigned int *num_queues, char *plan, size_t plan_bytes, struct error *error);

	/*
	 * open - makes the port ready: state, shared->*, frame limits; queues are numbered already
	 * and have record, pool and counters. Takes buffers for its rx rings from queue->record.
	 * On failure returns -1 with @error and leaves nothing behind.
	 */
	int (*open)(struct port *port, struct error *error);

	/* close - stops the device and frees everything; buffers need not be put back */
	void (*close)(struct port *port);

	/*
	 * rx_burst - up to @n (<= BURST) received frames; fills all fields of each descriptor
	 *
	 * @descs may be slots that a client can read (deliver_place): nothing else is written there,
	 * and nothing behind the last one.
	 * The buffers are HOLDER_WORKER's afterwards. A device queue that gives a buffer away takes
	 * another for its ring first; when the pool is empty it reuses the buffer at once and
	 * counts RX_NO_BUFFER. @now_ns is CLOCK_MONOTONIC of this round. Counts RX_NO_BUFFER,
	 * RX_TOO_LONG and RX_BAD; the caller counts packets and bytes.
	 */
	unsigned int (*rx_burst)(struct port_queue *queue, struct ixy_desc *descs, unsigned int n,
	                         uint64_t now_ns);

	/* tx_room - how many frames tx_burst would take now, at most @n */
	unsigned int (*tx_room)(struct port_queue *queue, unsigned int n);

	/*
	 * tx_burst - sends @n frames, never more than tx_room() said just before
	 *
	 * The buffers are queue->holder's (or lent, with it as one holder). The driver calls
	 * record_device_done() for each when the device is done, at once if it copies.
	 */
	void (*tx_burst)(struct port_queue *queue, const struct ixy_desc *descs, unsigned int n);

	/*
	 * poll - once per round, after all tx_burst calls: doorbells, completions; may be NULL
	 *
	 * At most one system call.
	 */
	void (*poll)(struct port_queue *queue, uint64_t now_ns);

	/*
	 * wait_fd - what a sleeping worker has to poll for reading, or -1; may be NULL (-1)
	 */
	int (*wait_fd)(const struct port_queue *queue);

	/*
	 * due_ns - until when a worker may sleep if wait_fd stays silent; NULL means NEVER_NS
	 *
	 * A CLOCK_MONOTONIC time; @now_ns or earlier means "do not sleep".
	 */
	uint64_t (*due_ns)(const struct port_queue *queue, uint64_t now_ns);

	/*
	 * arm - the worker is about to sleep: the device shall signal wait_fd when there is something
	 *
	 * Returns true if there is something already; the worker does not sleep then. disarm - it
	 * is awake again. Both may be NULL.
	 */
	bool (*arm)(struct port_queue *queue);
	void (*disarm)(struct port_queue *queue);

	/* attached - told by the worker, again and again, that the port has members; may be NULL */
	void (*attached)(struct port_queue *queue);

	/*
	 * tick - on the control thread, about once a second: link state and the like into
	 * port->shared; may be NULL
	 */
	void (*tick)(struct port *port);
};

extern const struct driver null_driver, pcap_driver, tap_driver, xdp_driver, pci_driver;
extern const struct driver virtio_driver, ixgbe_driver; /* behind "pci" */

/* driver_find - the driver called @name, or NULL */
const struct driver *driver_find(const char *name);

/* driver_resolve - the driver that works for the port: that of its name, or of its device's id */
const struct driver *driver_resolve(const struct port_config *config, struct error *error);

/* driver_by_id - the driver for a PCI device and its entry in the table, or NULL */
const struct driver *driver_by_id(uint16_t vendor, uint16_t device, const struct pci_id **id);

/* driver_at - the drivers in order, for --help; NULL after the last */
const struct driver *driver_at(unsigned int index);

/*
 * A descriptor, to be put together in registers and written at once: pieces written one by one cannot be
 * forwarded to the 16-byte load that copies them to a ring, where they are not received into one.
 */
typedef uint64_t desc_words __attribute__((vector_size(16), aligned(4)));

/* desc_words_of - a descriptor with all but its buffer; @flags, @hash: see desc_described */
static inline desc_words desc_words_of(uint32_t offset, uint32_t len, uint16_t port, uint32_t flags,
                                       uint32_t hash)
{
	return (desc_words){(uint64_t)offset << 32 | (uint64_t)len << 48,
	                    port | (uint64_t)flags << 16 | (uint64_t)hash << 32};
}

/* desc_write - *@desc is @words with buffer @buf */
static inline void desc_write(struct ixy_desc *desc, desc_words words, uint32_t buf)
{
	/* of 32 bits, for which one instruction clears the rest of the register */
	typedef uint32_t quarters __attribute__((vector_size(16)));

	*(desc_words *)(void *)desc = words | (desc_words)(quarters){buf, 0, 0, 0};
}

/*
 * desc_described - a descriptor of a received frame
 *
 * @flags and @hash: what the device found out (IXY_DESC_HASH, IXY_DESC_L4_OK, ...).
 */
static inline void desc_described(struct ixy_desc *desc, uint32_t buf, uint32_t offset,
                                  uint32_t len, uint16_t port, uint32_t flags, uint32_t hash)
{
	desc_write(desc, desc_words_of(offset, len, port, flags, hash), buf);
}

/* desc_received - the same, of a device that found out nothing */
static inline void desc_received(struct ixy_desc *desc, uint32_t buf, uint32_t offset, uint32_t len,
                                 uint16_t port)
{
	desc_described(desc, buf, offset, len, port, 0, 0);
}

/* Counters have one writer, the worker, and are read by the control thread at any time. */
static inline void counter_add(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

/* counter_add_shown - the same for one that a client sees as well, at @shown in its lane */
static inline void counter_add_shown(uint64_t *counter, uint64_t *shown, uint64_t n)
{
	counter_add(counter, n);
	__atomic_store_n(shown, *counter, __ATOMIC_RELAXED);
}

/*
 * frame_begin - where in its buffer a device puts the frame of slot @i of its ring
 *
 * Every other frame begins one cache line further. Buffers lie 2,048 bytes apart, or a multiple, so that the
 * lines with all frames' headers would share one set in 32 of each cache; this way it is one in 16. Measured where
 * both sides touch the headers: tests/bench/README.md, What was tried. A slot keeps its beginning, whatever
 * buffer it has, so that loops over several slots find it in a constant.
 */
static inline uint32_t frame_begin(unsigned int i)
{
	return IXY_DEFAULT_HEADROOM + (i & 1) * 64;
}

/* frame_room - bytes that a frame may have, wherever frame_begin() puts it */
static inline uint32_t frame_room(const struct pool_view *pool)
{
	return pool->buf_bytes - frame_begin(1);
}

static inline unsigned char *pool_buf(const struct pool_view *pool, uint32_t buf)
{
	return pool->base + ((size_t)buf << pool->buf_shift);
}

static inline unsigned char *pool_data(const struct pool_view *pool, const struct ixy_desc *desc)
{
	return pool_buf(pool, desc->buf) + desc->offset;
}

#endif
