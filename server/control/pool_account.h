/*
 * pool_account.h - where every buffer is, counted from the record; for QUERY
 *
 * Anybody who may connect may ask, and counting touches every entry of holder[], whose cache lines the
 * workers then have to get back. So an account is used again for a while: at most a hundredth of the
 * control thread's time, and one count in 10 ms, goes into it.
 */
#ifndef CONTROL_POOL_ACCOUNT_H
#define CONTROL_POOL_ACCOUNT_H

#include <stdint.h>

#include "server/control/server.h"
#include "server/dataplane/record.h"
#include "shm/message.h"

#define POOL_COUNT_HIGH (HOLDER_LENT - HOLDER_DEVICE_FIRST + 1)

/* One worker's part of the pool, by holder. All numbers together are its buffers. */
struct pool_count {
	uint32_t low[MAX_QUEUE_PAIRS + 1];  /* free, and queue pairs, by holder */
	uint32_t high[POOL_COUNT_HIGH - 1]; /* device queues and WORKER, by holder - DEVICE_FIRST */
	uint32_t lent_to[256];              /* lent, by the number of holders */
	uint32_t unknown;                   /* what no holder is called */
};

/* What one count came to, as rows. Constant once made. */
struct pool_account {
	struct pool_account *next; /* older; somebody is still being sent it */
	uint64_t valid_until_ns;
	unsigned int num_pools;
	struct message_row_pool pools[IXY_MAX_WORKERS];
	unsigned int num_holders;
	struct message_row_holder *holders;
};

/* pool_count - counts the buffers of the record's part of the pool, while the workers run */
void pool_count(const struct record *record, struct pool_count *count);

/*
 * pool_account - the last account, or a new one if that is too old; NULL: out of memory
 *
 * It stays for as long as it is the query_account of a session whose query_what is not 0.
 */
const struct pool_account *pool_account(struct server *server);

/* pool_account_end - frees all of them; nobody is sent rows any more */
void pool_account_end(struct server *server);

#endif
