/*
 * abi.h - the bytes that server and clients share: header, regions, lanes, descriptors, metadata
 *
 * shm/README.md is the specification; this file is its C form. Everything is little-endian and of
 * fixed width. There is no address in shared memory, only offsets and indices. Each structure names
 * its writer: the other side must treat what it reads as a snapshot.
 *
 *   header (server writes)          pool region (shared clients write, others read)
 *   +--------------------+          +-----------+-----------+-----------+--
 *   | identity, tables   |          | buffer 0  | buffer 1  | buffer 2  | ..
 *   | alive word         |          +-----------+-----------+-----------+--
 *   | worker words       |           \_ 64 B metadata | headroom | frame | tailroom
 *   | regions, ports     |
 *   +--------------------+
 *
 *   down lane of a queue pair (server writes)    up lane of the same pair (client writes)
 *   +---------------------------+                +---------------------------+
 *   | geometry                  |                | up_index: heads of rx and |
 *   | state                     |                |   grant, tails of tx and  |
 *   | down_index: tails of rx   |                |   free, wake mask         |
 *   |   and grant, heads of tx  |                +---------------------------+
 *   |   and free                |                | tx ring   (descriptors)   |
 *   | drop counters             |                | free ring (buffer ids)    |
 *   +---------------------------+                +---------------------------+
 *   | rx ring    (descriptors)  |
 *   | grant ring (buffer ids)   |
 *   +---------------------------+
 */
#ifndef IXY_ABI_H
#define IXY_ABI_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#define IXY_STATIC_ASSERT static_assert
#else
#define IXY_STATIC_ASSERT _Static_assert
#endif

/* "IXYH" and "IXYL", read as little-endian words */
#define IXY_HEADER_MAGIC 0x48595849u
#define IXY_LANE_MAGIC   0x4c595849u

/* A different major version cannot be spoken to. A larger minor version adds what can be ignored. */
#define IXY_ABI_MAJOR 1
#define IXY_ABI_MINOR 2 /* 1: VLAN, L4_OK, IP_OK; 2: state_offset, AWAKE */

#define IXY_CACHE_LINE       64
#define IXY_NAME_BYTES       32 /* names of servers, ports, clients; with the terminating zero */
#define IXY_MAX_PORTS        64
#define IXY_MAX_WORKERS      32
#define IXY_MAX_REGIONS      8
#define IXY_MAX_QUEUE_PAIRS  32 /* of one client */
#define IXY_MIN_BUF_BYTES    2048
#define IXY_MAX_BUF_BYTES    32768
#define IXY_MAX_REGION_BUFS  (1u << 24)
#define IXY_MIN_RING_SLOTS   8
#define IXY_MAX_RING_SLOTS   65536
#define IXY_META_BYTES       64  /* a buffer's first cache line; a frame cannot begin before it */
#define IXY_DEFAULT_HEADROOM 256 /* where frames begin; some one cache line later */

/* A buffer id: the region in the top 8 bits, the index within it in the low 24. */
#define IXY_BUF_REGION_SHIFT 24
#define IXY_BUF_INDEX_MASK   0x00ffffffu
#define IXY_BUF_NONE         0xffffffffu

/*
 * Descriptor: 16 bytes in the rx and tx rings that name a buffer and the bytes of a frame in it.
 * Four fit in a cache line, and one is copied with a single 16-byte load.
 */
struct ixy_desc {
	uint32_t buf;    /* buffer id */
	uint16_t offset; /* first byte of the frame, from the start of the buffer, bytes */
	uint16_t len;    /* length of the frame, bytes */
	uint16_t port;   /* received: the port it came from (or leaves by, IXY_DESC_OUT);
	                    transmitted: the port to send to */
	uint16_t flags;  /* IXY_DESC_*; an undefined bit in a sent descriptor is a violation */
	uint32_t meta;   /* flow hash where IXY_DESC_HASH is set; ignored on transmit */
};
IXY_STATIC_ASSERT(sizeof(struct ixy_desc) == 16, "descriptor size");

#define IXY_DESC_HASH      0x0001u /* meta is the symmetric flow hash */
#define IXY_DESC_TIMESTAMP 0x0002u /* rx_timestamp_ns in the buffer's metadata is valid */
#define IXY_DESC_SNAPPED   0x0004u /* cut to the snap length; rx_wire_len holds the real length */
#define IXY_DESC_OUT       0x0008u /* monitors only: the frame is on its way out of `port` */
#define IXY_DESC_VLAN      0x0010u /* rx_vlan in the buffer's metadata is valid */
#define IXY_DESC_L4_OK     0x0020u /* the device found the TCP or UDP checksum right */
#define IXY_DESC_IP_OK     0x0040u /* the device found the IPv4 header's checksum right */
#define IXY_DESC_MORE      0x8000u /* reserved: the frame continues in the next descriptor */
/* What a client may leave set when it sends a received descriptor on; all are ignored on transmit. */
#define IXY_DESC_TX_ALLOWED                                                                        \
	(IXY_DESC_HASH | IXY_DESC_TIMESTAMP | IXY_DESC_SNAPPED | IXY_DESC_OUT | IXY_DESC_VLAN |    \
	 IXY_DESC_L4_OK | IXY_DESC_IP_OK)

/*
 * Metadata: the first cache line of every buffer. What is received and what is to be transmitted
 * never share a field, so that forwarding in place cannot mix them up.
 */
struct ixy_meta {
	/* written by the server before it delivers the buffer */
	uint64_t rx_timestamp_ns; /* CLOCK_REALTIME, ns; valid with IXY_DESC_TIMESTAMP */
	uint32_t rx_wire_len;     /* length before cutting, bytes; valid with IXY_DESC_SNAPPED */
	uint16_t rx_vlan; /* outer tag: priority, DEI, VLAN id (its 16 bits as a number); the tag
	                     stays in the frame; valid with IXY_DESC_VLAN */
	uint8_t rx_reserved[18];
	/* written by a client before it sends the buffer; nothing is defined yet: leave it alone */
	uint8_t tx_reserved[32];
};
IXY_STATIC_ASSERT(sizeof(struct ixy_meta) == IXY_META_BYTES, "metadata size");

/* -- header: one small memfd that only the server can write ------------------------------------ */

enum ixy_region_kind {
	IXY_REGION_POOL = 1, /* packet buffers */
};

struct ixy_region {
	uint32_t id;         /* index in the table and top byte of its buffer ids */
	uint32_t kind;       /* enum ixy_region_kind; 0: unused entry */
	uint64_t size_bytes; /* of the memfd */
	uint64_t page_bytes; /* page size that backs it: 4096, 2 MiB, 1 GiB */
	uint32_t buf_bytes;  /* size of a buffer: a power of two that divides page_bytes */
	uint32_t num_bufs;   /* num_bufs * buf_bytes <= size_bytes */
	uint8_t reserved[32];
};
IXY_STATIC_ASSERT(sizeof(struct ixy_region) == 64, "region entry size");

#define IXY_PORT_LINK_UP 0x0001u

struct ixy_port {
	char name[IXY_NAME_BYTES];   /* zero-terminated */
	char driver[IXY_NAME_BYTES]; /* zero-terminated */
	uint8_t mac[6];              /* all zero where the port has none */
	uint16_t flags;              /* IXY_PORT_*; the server may change them at any time */
	uint32_t num_queues;
	uint32_t max_frame_bytes; /* longest frame that the port can send, without FCS */
	uint32_t reserved0[2];
	uint64_t speed_mbps; /* 0: unknown or without meaning */
	uint8_t reserved[32];
};
IXY_STATIC_ASSERT(sizeof(struct ixy_port) == 128, "port entry size");

/*
 * A worker's state, read by clients after they published something (ring.h has the protocol).
 * The server writes it; in busy mode it is POLLS for ever. AWAKE is a promise that holds for what is
 * published within some time after the word was read; so read it each time.
 */
enum ixy_worker_state {
	IXY_WORKER_POLLS = 0,     /* never sleeps: publishing is enough */
	IXY_WORKER_MAY_SLEEP = 1, /* fence after publishing, then read this word again */
	IXY_WORKER_ASLEEP = 2,    /* ring the doorbell after publishing */
	IXY_WORKER_AWAKE = 4, /* does not sleep soon: publishing is enough; from version 1.2 on */
};

struct ixy_worker_word {
	uint32_t state; /* enum ixy_worker_state */
	uint32_t reserved[15];
};
IXY_STATIC_ASSERT(sizeof(struct ixy_worker_word) == IXY_CACHE_LINE, "worker word size");

struct ixy_header {
	/* identity: constant after the server's start */
	uint32_t magic; /* IXY_HEADER_MAGIC */
	uint16_t abi_major;
	uint16_t abi_minor;
	uint32_t header_bytes; /* sizeof(struct ixy_header) of the server */
	uint32_t region_offset, region_count, region_entry_bytes;
	uint32_t port_offset, port_count, port_entry_bytes;
	uint32_t worker_offset, worker_count, worker_entry_bytes;
	uint64_t instance; /* differs between two runs of a server under the same name */
	uint32_t server_pid;
	uint32_t reserved0;
	char name[IXY_NAME_BYTES];
	uint8_t reserved1[32];

	/*
	 * The alive word, on a line of its own. While the server runs it equals the `alive` value
	 * of the attach reply. An orderly stop sets it to 0; when the process dies, however it
	 * dies, the kernel makes it 0x40000000 (it is on the server's robust futex list). A client
	 * that sees any other value than the one it was given has lost its server.
	 */
	uint32_t alive;
	uint32_t reserved2[15];

	struct ixy_worker_word workers[IXY_MAX_WORKERS];
	struct ixy_region regions[IXY_MAX_REGIONS];
	struct ixy_port ports[IXY_MAX_PORTS];
};
IXY_STATIC_ASSERT(offsetof(struct ixy_header, instance) == 48, "header layout");
IXY_STATIC_ASSERT(offsetof(struct ixy_header, alive) == 128, "header layout");
IXY_STATIC_ASSERT(offsetof(struct ixy_header, workers) == 192, "header layout");
IXY_STATIC_ASSERT(offsetof(struct ixy_header, regions) == 2240, "header layout");
IXY_STATIC_ASSERT(offsetof(struct ixy_header, ports) == 2752, "header layout");
IXY_STATIC_ASSERT(sizeof(struct ixy_header) == 10944, "header size");

/* -- lanes: two memfds for each queue pair ----------------------------------------------------- */

/*
 * Geometry: where things lie in a queue pair's two lanes. Stands at the start of the down lane and
 * in the control message that announces the pair; both must agree. Slot counts are powers of two;
 * the grant ring may have none. Offsets are multiples of 64, in bytes from the start of the lane.
 */
struct ixy_geometry {
	uint32_t magic; /* IXY_LANE_MAGIC */
	uint16_t abi_major;
	uint16_t abi_minor;
	uint32_t down_bytes, up_bytes; /* sizes of the two memfds */
	uint32_t down_index_offset, up_index_offset;
	uint32_t rx_offset, rx_slots;       /* down: struct ixy_desc[rx_slots] */
	uint32_t grant_offset, grant_slots; /* down: uint32_t[grant_slots] */
	uint32_t tx_offset, tx_slots;       /* up: struct ixy_desc[tx_slots] */
	uint32_t free_offset, free_slots;   /* up: uint32_t[free_slots] */
	uint32_t counters_offset;           /* down: struct ixy_down_counters */
	uint32_t state_offset;              /* down: struct ixy_down_state; 0 before version 1.2 */
};
IXY_STATIC_ASSERT(sizeof(struct ixy_geometry) == IXY_CACHE_LINE, "geometry size");

enum ixy_qp_state {
	IXY_QP_OPEN = 1,
	IXY_QP_CLOSED = 2, /* the session has ended; the control socket said why */
};

/*
 * Does the session last? A line that is written twice in its life, so that a client can look at each call
 * and finds it in its cache: the line of the indices is written in each round of the server's.
 */
struct ixy_down_state {
	uint32_t state; /* enum ixy_qp_state */
	uint32_t reserved[15];
};
IXY_STATIC_ASSERT(sizeof(struct ixy_down_state) == IXY_CACHE_LINE, "down state size");

/* The indices that the server writes and the client reads: one cache line, down lane. */
struct ixy_down_index {
	uint32_t rx_tail;    /* descriptors ever put into the rx ring, modulo 2^32 */
	uint32_t grant_tail; /* buffer ids ever put into the grant ring */
	uint32_t tx_head;    /* descriptors ever taken from the tx ring */
	uint32_t free_head;  /* buffer ids ever taken from the free ring */
	uint32_t state;      /* the same as struct ixy_down_state's, for clients of version 1.1 */
	uint32_t
		doorbell; /* not 0, and the word says that the worker may sleep: ring after publishing */
	uint32_t reserved[10];
};
IXY_STATIC_ASSERT(sizeof(struct ixy_down_index) == IXY_CACHE_LINE, "down index size");

/* All that the client writes and the server reads when it polls: one cache line, up lane. */
struct ixy_up_index {
	uint32_t rx_head;    /* descriptors ever taken from the rx ring */
	uint32_t grant_head; /* buffer ids ever taken from the grant ring */
	uint32_t tx_tail;    /* descriptors ever put into the tx ring */
	uint32_t free_tail;  /* buffer ids ever put into the free ring */
	uint32_t wake;       /* IXY_WAKE_*: what the client sleeps for; 0: awake */
	uint32_t reserved[11];
};
IXY_STATIC_ASSERT(sizeof(struct ixy_up_index) == IXY_CACHE_LINE, "up index size");

#define IXY_WAKE_RX    0x1u /* the rx ring is not empty any more */
#define IXY_WAKE_TX    0x2u /* the tx ring has room again */
#define IXY_WAKE_ALLOC 0x4u /* the grant ring is not empty any more */

/* Why this queue pair did not get, or could not send, packets. The server writes, rarely. */
struct ixy_down_counters {
	uint64_t rx_dropped_ring; /* the rx ring was full */
	uint64_t rx_dropped_held; /* the client held its share of the buffers already */
	uint64_t rx_dropped_pool; /* no buffer was free for a copy (monitors) */
	uint64_t tx_dropped;      /* the port was down, stalled, or cannot send such a frame */
	uint64_t reserved[4];
};
IXY_STATIC_ASSERT(sizeof(struct ixy_down_counters) == IXY_CACHE_LINE, "counters size");

#ifdef __cplusplus
}
#endif

#endif
