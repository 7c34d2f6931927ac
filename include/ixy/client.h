/*
 * client.h - libixy-client: attach to an ixy-server by name, then use its packets in place
 *
 *	struct ixy_attach_opts opts = IXY_ATTACH_OPTS_INIT;
 *	struct ixy_client *client;
 *	struct ixy_desc descs[32];
 *
 *	if (ixy_attach("main", &opts, &client) < 0)
 *		...
 *	struct ixy_qp *qp = ixy_queue_pair(client, 0);
 *	while (ixy_wait(qp, IXY_WAKE_RX, -1) >= 0) {
 *		int n = ixy_rx_batch(qp, descs, 32);
 *		...
 *		ixy_free_batch(qp, descs, n);
 *	}
 *	ixy_detach(client);
 *
 * The library prints nothing, never exits, starts no thread and installs no signal handler. Errors
 * are negative errno values. Programs need no privilege beyond access to the server's socket.
 *
 * Threads: ixy_attach and ixy_detach of different clients may run at once. The functions that take
 * a struct ixy_qp (also ixy_stats and the three for event loops) may be called by one thread at a time
 * per queue pair. Those that take a struct ixy_client may be called by any thread, but not while
 * ixy_detach runs. None may be called by a signal handler that can interrupt another one.
 *
 * fork: the client belongs to the process that attached. In a child, calls on an inherited client
 * touch nothing of the parent's: those that move packets or wait return -ENOTCONN, as does
 * ixy_port_info; ixy_port_index returns -ENODEV, ixy_wait_fd -1, ixy_stats what this side had counted,
 * and ixy_close_reason says that this is a fork. The child may ixy_detach it to free memory, and may
 * attach on its own. Packets that the parent held read as zeros. A child that lives on does not keep a
 * dead parent's session alive. This holds for fork(), not for a bare clone system call, which runs no
 * handlers: such a child must not touch an inherited client.
 *
 * The end of a session (the server stops or dies, closes it for a broken rule, or is told to by
 * "ixyctl kick"): from then on the calls that move packets or wait return -ENOTCONN, ixy_close_reason
 * says why, and what is left to do is ixy_detach. Nothing is attached again by itself.
 */
#ifndef IXY_CLIENT_H
#define IXY_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include <ixy/abi.h>
#include <ixy/ring.h>
#include <ixy/version.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ixy_client;

#define IXY_PER_WORKER 0xffffffffu /* for ixy_attach_opts.num_queue_pairs */

enum ixy_mode {
	IXY_MODE_SHARED = 0,   /* maps the pool read-write: may change frames in place, allocate */
	IXY_MODE_READONLY = 1, /* maps the pool read-only: looks, frees, or passes on unchanged */
};

enum ixy_role {
	IXY_ROLE_MEMBER = 0,  /* shares each port's packets with its other members, by flow */
	IXY_ROLE_MONITOR = 1, /* sees all that its ports receive and send; IXY_MODE_READONLY only */
};

/*
 * What to attach as. Initialise with IXY_ATTACH_OPTS_INIT; 0 means the default everywhere.
 * The struct grows at its end; `size` says how much of it the caller knows.
 */
struct ixy_attach_opts {
	size_t size; /* sizeof(struct ixy_attach_opts) */

	/*
	 * Shown by ixyctl: 1 to 31 printable ASCII characters without space and '/'. NULL: the
	 * program's name.
	 */
	const char *client_name;
	enum ixy_mode mode;
	enum ixy_role role;

	/*
	 * Ports to receive from, by name, at most 16; NULL: all. num_ports 0 with ports not NULL: none.
	 * A member may send to every port of the server, whatever stands here.
	 */
	const char *const *ports;
	unsigned int num_ports;

	/*
	 * One for each thread; 0: 1; at most 32; a monitor has one. With IXY_PER_WORKER as many as the
	 * server has workers, pair w in worker w's column: nothing that stays in it crosses between the
	 * server's threads. ixy_num_queue_pairs() tells how many there are.
	 */
	unsigned int num_queue_pairs;

	/* per queue pair; powers of two, 8 to 65536; 0: 1024 */
	unsigned int rx_slots;
	unsigned int tx_slots;

	/*
	 * Buffers of each queue pair, at most 65536. min_bufs are guaranteed to it, as long as the session
	 * lives (0: 64 + alloc_bufs); of what is free beyond all minimums it may hold a share, up to
	 * max_bufs in all (0: 4096; rounded up to min_bufs and to a power of two).
	 */
	unsigned int min_bufs;
	unsigned int max_bufs;
	/* empty ones kept ready for ixy_alloc_batch, at most 8192; readonly clients: 0 */
	unsigned int alloc_bufs;

	unsigned int snap_len;   /* monitors: bytes of each frame wanted; 0: all; members: 0 */
	unsigned int timestamps; /* not 0: members get receive timestamps too; monitors always do */
	const char *socket_dir;  /* NULL: $IXY_SOCKET_DIR, else where the server is found */
	unsigned int timeout_ms; /* for the whole attach; 0: 5000 */

	/*
	 * Where to put an explanation when ixy_attach fails, terminated, cut to error_bytes; 768 hold
	 * all. May be NULL. Untouched on success.
	 */
	char *error;
	size_t error_bytes;
};

/* Every field, so that neither C nor C++ compilers warn about missing ones. */
#define IXY_ATTACH_OPTS_INIT                                                                       \
	{                                                                                          \
		sizeof(struct ixy_attach_opts), NULL, IXY_MODE_SHARED, IXY_ROLE_MEMBER, NULL, 0,   \
			0, 0, 0, 0, 0, 0, 0, 0, NULL, 0, NULL, 0                                   \
	}

struct ixy_port_info {
	size_t size; /* in: sizeof(struct ixy_port_info) */
	char name[IXY_NAME_BYTES];
	char driver[IXY_NAME_BYTES];
	uint8_t mac[6];   /* zeros: the port has none */
	uint16_t link_up; /* 1 or 0 */
	unsigned int num_queues;
	unsigned int max_frame_bytes; /* longest frame it can send, without FCS */
	uint64_t speed_mbps;          /* 0: unknown */
};

struct ixy_stats {
	size_t size; /* in: sizeof(struct ixy_stats) */
	/* counted here: frames received and sent, buffers allocated and freed */
	uint64_t rx_packets, tx_packets, alloc_bufs, free_bufs;
	/* counted by the server, by reason; struct ixy_down_counters has the meanings */
	uint64_t rx_dropped_ring, rx_dropped_held, rx_dropped_pool, tx_dropped;
};

/*
 * ixy_attach - attaches to the server called @name (or, if it has a '/', at that socket)
 *
 * The name is looked for in opts->socket_dir, else $IXY_SOCKET_DIR, else $XDG_RUNTIME_DIR/ixy, then
 * /run/ixy. @opts may be NULL: a shared member of all ports with one queue pair. Nothing that @opts
 * points to is kept. Blocks until the server answered, at most timeout_ms; signals do not end that.
 * On success *@client is to be given to ixy_detach; on failure it is NULL. Any thread may call it.
 *
 * Returns 0 or a negative errno; opts->error then has a sentence for a person:
 *   -ENOENT        no socket of that name
 *   -ECONNREFUSED  a socket, but no server behind it, or one that went away before it answered
 *   -EACCES        no permission to connect, or kicked out meanwhile
 *   -EPROTO        what answered does not speak this protocol, or an incompatible version of it
 *   -ENODEV        a port in opts->ports does not exist
 *   -ENOBUFS       the guaranteed buffers cannot be promised, or there is no memory left for rings of
 *                  this size (in all, or for this user)
 *   -EINVAL        an option out of range, or that does not go with another; no possible server's name
 *   -EUSERS        the server has as many clients, readonly queue pairs or monitors of a port (in all,
 *                  or of this user) as it takes
 *   -EPERM         the server cannot seal the memory that it shares with this client
 *   -ETIMEDOUT     no answer in time
 *   -ENOMEM, -EMFILE  here or in the server: out of memory, or of file descriptors (five per queue pair
 *                  while attaching)
 *   others         what a system call said
 */
int ixy_attach(const char *name, const struct ixy_attach_opts *opts, struct ixy_client **client);

/*
 * ixy_detach - ends the session and frees @client; NULL is allowed
 *
 * All buffers that the client still holds return to the server; frames accepted by ixy_tx_batch
 * before are sent if the server takes them within a second. Blocks for that second at most, and for
 * one more at most until the server has all buffers back. No other thread may be using this client.
 * Its queue pairs and all pointers to packets are gone afterwards.
 */
void ixy_detach(struct ixy_client *client);

/* ixy_num_queue_pairs - how many queue pairs the client has; the same all its life */
unsigned int ixy_num_queue_pairs(const struct ixy_client *client);

/*
 * ixy_queue_pair - the client's @index-th queue pair, or NULL beyond the last
 *
 * Threads may pass buffers among each other: what was received or allocated through one pair may be
 * sent or freed through another one of the same client. Order is kept among the frames that go through
 * the pair that holds their buffers.
 */
struct ixy_qp *ixy_queue_pair(struct ixy_client *client, unsigned int index);

/*
 * ixy_port_index - the number of the port called @name for ixy_desc.port, or -ENODEV
 *
 * Numbers and names stay the same all through a session.
 */
int ixy_port_index(const struct ixy_client *client, const char *name);

/*
 * ixy_port_info - describes port @index into *@info (set info->size before)
 *
 * Returns 0, -ENODEV beyond the last port, -EINVAL for a bad size, -ENOTCONN without a server. Asks
 * nobody, and does not block: the server looks at the link once a second.
 */
int ixy_port_info(const struct ixy_client *client, unsigned int index, struct ixy_port_info *info);

/*
 * ixy_wait - sleeps until one of @events (IXY_WAKE_*) is true
 *
 * @timeout_ms as for poll(2): -1 waits for ever, 0 only looks. Returns the events that are true, 0
 * on timeout, -EINTR on a signal, -ENOTCONN when the server is gone or closed the session (at once,
 * also while asleep), -EINVAL for an undefined event or for IXY_WAKE_ALLOC without alloc_bufs. With
 * @events 0 it waits for the end of the session only. Looks before it sleeps, so that it costs no
 * system call under load.
 *
 * Where frames come by the dozen, 160,000 to a million a second, a wait for IXY_WAKE_RX alone sleeps by
 * the clock first, for 0.1 ms at most, so that they gather; the end of the session is seen that much
 * later. A program that wants each frame as soon as it is there does not wait, but polls.
 *
 * IXY_WAKE_RX is true while a frame is waiting, IXY_WAKE_ALLOC while an empty buffer is ready, and
 * IXY_WAKE_TX while at least a quarter of the tx ring is free, so that a sender sleeps once for
 * many frames.
 */
int ixy_wait(struct ixy_qp *qp, unsigned int events, int timeout_ms);

/*
 * ixy_wait_fd, ixy_wait_arm, ixy_wait_disarm - for a program with its own event loop
 *
 * Poll ixy_wait_fd() for reading after ixy_wait_arm() returned 0; when it is readable, or before
 * working for another reason, call ixy_wait_disarm(). The descriptor belongs to the library.
 * ixy_wait_arm returns the events that are true already (then do not sleep), 0 when armed,
 * -ENOTCONN or -EINVAL as above. The descriptor is readable for ever once the server is gone, or closed
 * the session. None of the three blocks.
 */
int ixy_wait_fd(const struct ixy_qp *qp);
int ixy_wait_arm(struct ixy_qp *qp, unsigned int events);
void ixy_wait_disarm(struct ixy_qp *qp);

/*
 * ixy_stats - counters of one queue pair since attach (set stats->size before)
 *
 * Returns 0, or -EINVAL for a bad size. Works after the end of the session as well. For the pair's own
 * thread, since what it counts is not atomic.
 */
int ixy_stats(const struct ixy_qp *qp, struct ixy_stats *stats);

/*
 * ixy_close_reason - why the session ended, as a sentence, after a call returned -ENOTCONN
 *
 * Returns 0, or -EAGAIN while the session is open (@text is then untouched). @text is terminated, cut
 * to @text_bytes; 256 hold every reason. Does not block.
 */
int ixy_close_reason(struct ixy_client *client, char *text, size_t text_bytes);

#ifdef __cplusplus
}
#endif

#endif
