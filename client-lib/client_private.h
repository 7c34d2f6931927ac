/* client_private.h - what the sources of libixy-client know about one attached client */
#ifndef CLIENT_PRIVATE_H
#define CLIENT_PRIVATE_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

/* All is compiled with hidden symbols; what the public headers declare is what we export. */
#pragma GCC visibility push(default)
#include <ixy/client.h>
#pragma GCC visibility pop

#include "client-lib/connect.h"
#include "client-lib/failure.h"
#include "shm/message.h"

/* Memory of the server's that is mapped here; base NULL: nothing. */
struct mapping {
	void *base;
	size_t bytes;
};

/* A queue pair and what the fast path does not need of it. Pairs never share a cache line. */
struct queue_pair {
	_Alignas(IXY_CACHE_LINE) struct ixy_qp qp;
	struct mapping down, up;
	const struct ixy_down_counters *counters;
};

struct ixy_client {
	struct ixy_client *next; /* in fork.c's registry */
	pid_t pid;               /* of the process that attached */
	bool orphan;             /* this is a fork's copy: everything below is cut off */

	int control; /* the socket to the server; the session lives as long as it does */
	struct connection server;
	struct mapping header;
	struct mapping regions[IXY_MAX_REGIONS];

	/* from ATTACHED and the header, copied once so that they cannot change after the checks */
	uint32_t alive_value;
	uint32_t port_offset, port_count, port_entry_bytes;
	uint32_t worker_offset, worker_count, worker_entry_bytes;
	uint32_t headroom, buf_bytes;

	unsigned int num_qps;
	struct queue_pair *qps;

	/* why the session ended, once known */
	pthread_mutex_t reason_lock;
	bool reason_known;
	char reason[MESSAGE_TEXT_BYTES];
};

/* -- map.c: the server's memory, validated and mapped -------------------------------------------
 */

/* map_segment - header and pool of an ATTACHED message; the descriptors stay the caller's */
int map_segment(struct ixy_client *client, const struct message_attached *attached, const int *fds,
                struct failure *failure);

/*
 * map_queue_pair - the lanes of a QP message
 *
 * Takes over wake socket and doorbell (fds[2], fds[3], set to -1) on success; lanes stay the
 * caller's.
 */
int map_queue_pair(struct ixy_client *client, unsigned int index, const struct message_qp *message,
                   int *fds, struct failure *failure);

/* unmap_all - undoes both, also half done */
void unmap_all(struct ixy_client *client);

/* -- fork.c: which clients a child of fork() has to be cut off from ------------------------------
 */

int registry_add(struct ixy_client *client);
void registry_remove(struct ixy_client *client);

/* -- detach.c ------------------------------------------------------------------------------------
 */

/* close_fd - closes *@fd unless it is -1 already, and makes it -1 */
void close_fd(int *fd);

/* client_free - closes and unmaps what there is and frees @client; says nothing to the server */
void client_free(struct ixy_client *client);

/* -- doorbell.c ---------------------------------------------------------------------------------- */

/* -- stats.c -------------------------------------------------------------------------------------
 */

/* client_is_open - the server lives and has not closed the session */
bool client_is_open(const struct ixy_client *client);

#endif
