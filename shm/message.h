/*
 * message.h - control messages between a client and the server: what they say, and in what order
 *
 * One SOCK_SEQPACKET Unix socket per server; one message per packet; every message type has one
 * fixed size. Encoding and decoding are pure functions of bytes. Descriptors travel beside a message
 * by SCM_RIGHTS, as many as message_num_fds() says, no more and no fewer.
 *
 *   client                                  server
 *     HELLO (magic, versions)         ->
 *                                     <-    WELCOME (version, server)  or  REFUSED
 *   to attach:
 *     ATTACH (mode, role, sizes)      ->
 *                                     <-    ATTACHED + [header, pool]  or  REFUSED
 *                                     <-    QP + [down, up, wake, doorbell]   for each queue pair
 *     MAPPED                          ->      (all lanes mapped)
 *                                     <-    READY                      or  REFUSED
 *     ...                             <-    CLOSED (why)                at any later time
 *     DETACH                          ->    (then closes the socket)
 *   to look, or to manage:
 *     QUERY (what)                    ->
 *                                     <-    ROW_* (any number), then END
 *     KICK (session)                  ->
 *                                     <-    END  or  REFUSED
 */
#ifndef SHM_MESSAGE_H
#define SHM_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ixy/abi.h>

#define MESSAGE_MAGIC      0x43595849u /* "IXYC" */
#define MESSAGE_MAX_BYTES  1024
#define MESSAGE_MAX_FDS    4
#define MESSAGE_TEXT_BYTES 256
#define MESSAGE_COUNTERS   24

/* version of the control protocol; independent of the ABI's */
#define CONTROL_MAJOR 1
#define CONTROL_MINOR 1 /* 1: QUERY_VERIFY, QUERY_HOLDERS and their rows */

enum message_type {
	MESSAGE_HELLO = 1,
	MESSAGE_WELCOME,
	MESSAGE_REFUSED,
	MESSAGE_ATTACH,
	MESSAGE_ATTACHED,
	MESSAGE_QP,
	MESSAGE_MAPPED,
	MESSAGE_READY,
	MESSAGE_CLOSED,
	MESSAGE_DETACH,
	MESSAGE_QUERY,
	MESSAGE_ROW_SERVER,
	MESSAGE_ROW_PORT,
	MESSAGE_ROW_CLIENT,
	MESSAGE_ROW_POOL,
	MESSAGE_END,
	MESSAGE_KICK,
	MESSAGE_ROW_VERIFIED,
	MESSAGE_ROW_HOLDER,
	MESSAGE_TYPES, /* one past the last */
};

/* Each message begins with this. */
struct message_header {
	uint32_t type; /* enum message_type */
	uint32_t size; /* of the whole message, bytes */
};

struct message_hello {
	struct message_header header;
	uint32_t magic;                        /* MESSAGE_MAGIC; fixed for all versions */
	uint16_t control_major, control_minor; /* what the client was built with */
	uint16_t abi_major, abi_minor;
	uint32_t reserved;
	char program[IXY_NAME_BYTES]; /* for messages only */
};

struct message_welcome {
	struct message_header header;
	uint32_t magic;
	uint16_t control_major, control_minor; /* what the server speaks */
	uint16_t abi_major, abi_minor;
	uint32_t server_pid;
	char server_name[IXY_NAME_BYTES];
	char server_version[IXY_NAME_BYTES];
};

struct message_refused {
	struct message_header header;
	uint32_t error; /* a positive errno value */
	uint16_t abi_major, abi_minor;
	char text[MESSAGE_TEXT_BYTES]; /* a sentence for a person */
};

enum attach_mode { ATTACH_SHARED = 0, ATTACH_READONLY = 1, ATTACH_ISOLATED = 2 };
enum attach_role { ATTACH_MEMBER = 0, ATTACH_MONITOR = 1 };

#define ATTACH_ALL_PORTS  0x1u /* ignore ports[], receive from all */
#define ATTACH_TIMESTAMPS 0x2u /* members: stamp received frames */
#define ATTACH_FLAGS      (ATTACH_ALL_PORTS | ATTACH_TIMESTAMPS)
#define ATTACH_MAX_PORTS  16 /* named in one request */

struct message_attach {
	struct message_header header;
	uint32_t mode; /* enum attach_mode */
	uint32_t role; /* enum attach_role */
	uint32_t flags;
	uint32_t num_queue_pairs;
	uint32_t rx_slots, tx_slots; /* 0: default */
	uint32_t min_bufs, max_bufs, alloc_bufs;
	uint32_t snap_len;
	uint32_t num_ports;
	uint32_t reserved;
	char client_name[IXY_NAME_BYTES];
	char ports[ATTACH_MAX_PORTS][IXY_NAME_BYTES];
};

/* With two descriptors: the header (read-only) and the pool (as the mode allows). */
struct message_attached {
	struct message_header header;
	uint64_t session;      /* never used again by this server */
	uint32_t alive;        /* value of the header's alive word while the server lives */
	uint32_t header_bytes; /* size of the header's memfd */
	uint32_t num_queue_pairs;
	uint32_t mode;
	uint32_t headroom; /* bytes in front of received frames and of allocated buffers' data */
	uint32_t num_regions;
	struct ixy_region regions[IXY_MAX_REGIONS]; /* 64 bytes each */
};

/* With four descriptors: down lane (read-only), up lane, wake socket, doorbell (eventfd). */
struct message_qp {
	struct message_header header;
	uint32_t index;
	uint32_t worker;
	struct ixy_geometry geometry;
};

/* MAPPED, READY, DETACH and END have no content. */
struct message_plain {
	struct message_header header;
};

enum close_cause {
	CLOSE_SHUTDOWN = 1,  /* the server stops */
	CLOSE_KICKED = 2,    /* ixyctl kick */
	CLOSE_VIOLATION = 3, /* the client broke a rule; the text says which */
	CLOSE_PROTOCOL = 4,  /* bad control message */
};

struct message_closed {
	struct message_header header;
	uint32_t cause; /* enum close_cause */
	uint32_t reserved;
	char text[MESSAGE_TEXT_BYTES];
};

enum query_what {
	QUERY_SERVER = 1,
	QUERY_PORTS,
	QUERY_CLIENTS,
	QUERY_POOL,
	QUERY_VERIFY, /* the workers stand still for a moment: for root and the server's user only */
	QUERY_HOLDERS,
	QUERY_LAST = QUERY_HOLDERS,
};

struct message_query {
	struct message_header header;
	uint32_t what; /* enum query_what */
	uint32_t reserved;
};

struct message_kick {
	struct message_header header;
	uint64_t session;
};

/* counters[] are in the order of shm/counters.h; a reader ignores those that it does not know */
struct message_row_server {
	struct message_header header;
	char name[IXY_NAME_BYTES];
	char version[IXY_NAME_BYTES];
	uint32_t pid;
	uint32_t num_workers, num_ports, num_clients;
	uint64_t uptime_ns;
	uint64_t now_ns; /* CLOCK_MONOTONIC, to make rates of */
	uint32_t num_counters;
	uint32_t reserved;
	uint64_t counters[MESSAGE_COUNTERS];
};

struct message_row_port {
	struct message_header header;
	struct ixy_port port;
	uint32_t index;
	uint32_t num_members, num_monitors;
	uint32_t num_counters;
	uint64_t now_ns;
	uint64_t counters[MESSAGE_COUNTERS];
};

#define ROW_CLIENT_UNCONFINED 0x1u /* runs as root or as the server's user */

struct message_row_client {
	struct message_header header;
	uint64_t session;
	char name[IXY_NAME_BYTES];
	uint32_t pid, uid;
	uint32_t mode, role;
	uint32_t num_queue_pairs, flags;
	uint64_t port_mask; /* ports that it receives from */
	uint32_t held_bufs, min_bufs, max_bufs;
	uint32_t num_counters;
	uint64_t now_ns;
	uint64_t counters[MESSAGE_COUNTERS];
};

/* Where every buffer is: free + in_devices + in_clients + lent + in_worker is total. */
struct message_row_pool {
	struct message_header header;
	uint32_t worker;
	uint32_t buf_bytes;
	uint64_t total;
	uint64_t free;
	uint64_t in_devices; /* held by a port's queues alone */
	uint64_t in_clients; /* held by one queue pair alone */
	uint64_t lent;       /* held by several readers, or by a reader and a port */
	uint64_t in_worker;  /* in the worker's hands */
	uint64_t page_bytes;
	uint64_t reserved_bufs; /* of the free ones, those promised to clients as minimum */
};

/* What a recount of all buffers found, at one instant: the sum of bufs below is total. */
struct message_row_verified {
	struct message_header header;
	uint64_t total;
	uint64_t free;       /* each once on the right free stack */
	uint64_t in_devices; /* held by a port's queues alone */
	uint64_t in_clients; /* held by one queue pair alone */
	uint64_t lent;
	uint64_t underway;              /* between two workers */
	uint64_t stall_ns;              /* how long the workers stood still */
	uint64_t num_errors;            /* disagreements of the record with itself */
	char error[MESSAGE_TEXT_BYTES]; /* the first of them */
};

/*
 * ROW_HOLDER: who holds how many buffers of a worker's part of the pool. But for READER, all rows of a
 * worker together are its total.
 */
enum row_holder_kind {
	ROW_HOLDER_FREE = 1,
	ROW_HOLDER_WORKER,  /* in a worker's hands, or on the way between two */
	ROW_HOLDER_DEVICE,  /* one port queue alone */
	ROW_HOLDER_CLIENT,  /* queue pairs of one session, each buffer one of them alone */
	ROW_HOLDER_LENT,    /* readers, perhaps with a device: as many as `holders` says */
	ROW_HOLDER_UNKNOWN, /* held by what does not exist: a bug of the server */
	ROW_HOLDER_READER, /* one session's places in loans, of all parts; counted in LENT already */
	ROW_HOLDER_KINDS,  /* one past the last */
};

#define ROW_HOLDER_CLOSING 0x1u /* the session ended; its buffers are being taken back */

struct message_row_holder {
	struct message_header header;
	uint32_t worker; /* whose part; 0 for READER */
	uint32_t kind;   /* enum row_holder_kind */
	uint64_t session;
	uint32_t port, queue;
	uint32_t holders;
	uint32_t flags;
	uint64_t bufs;
	char name[IXY_NAME_BYTES]; /* of the port or the client; else empty */
};

/* Any message, for buffers that hold one of unknown type. */
union message {
	struct message_header header;
	struct message_hello hello;
	struct message_welcome welcome;
	struct message_refused refused;
	struct message_attach attach;
	struct message_attached attached;
	struct message_qp qp;
	struct message_plain plain;
	struct message_closed closed;
	struct message_query query;
	struct message_kick kick;
	struct message_row_server row_server;
	struct message_row_port row_port;
	struct message_row_client row_client;
	struct message_row_pool row_pool;
	struct message_row_verified row_verified;
	struct message_row_holder row_holder;
	unsigned char bytes[MESSAGE_MAX_BYTES];
};

/* message_size - the fixed size of messages of @type, bytes; 0 for an unknown type */
size_t message_size(uint32_t type);

/* message_name - "ATTACH" and so on, for log lines; "?" for an unknown type */
const char *message_name(uint32_t type);

/* message_num_fds - how many descriptors travel beside a message of @type */
unsigned int message_num_fds(uint32_t type);

/* message_init - zeroes @message and sets its header for @type */
void message_init(union message *message, uint32_t type);

/*
 * message_check - decides whether @bytes of input are a well-formed message
 *
 * Checks type, size, that every string is terminated, and that what is used as an index, a count or
 * an errno value is in range; of what clients send, also that reserved fields are zero. Does not
 * decide whether a request can be met.
 * Returns NULL when it is well-formed, else a static sentence that says what is wrong.
 * HELLO alone is checked for type, size and magic only, so that a version mismatch can be answered.
 */
const char *message_check(const union message *message, size_t bytes);

/* States of a session on the server's side; message_allowed says what a client may send in each. */
enum session_state {
	SESSION_NEW,       /* connected; nothing received yet */
	SESSION_GREETED,   /* versions agreed */
	SESSION_ATTACHING, /* lanes sent, not yet mapped */
	SESSION_OPEN,      /* polled by workers */
	SESSION_CLOSING,   /* being reclaimed; nothing more is accepted */
	SESSION_STATES,
};

bool message_allowed(enum session_state state, uint32_t type);

#endif
