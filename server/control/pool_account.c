/* pool_account.c - record -> who holds how many buffers, as rows for QUERY; control thread */
#include "server/control/pool_account.h"

#include <stdlib.h>
#include <string.h>

#include "server/control/session.h"
#include "server/dataplane/record_bulk.h"

#define MIN_INTERVAL_NS 10000000u
#define SHARE           100 /* one part in so many of the control thread's time */

void pool_count(const struct record *r, struct pool_count *count)
{
	memset(count, 0, sizeof(*count));
	for (uint32_t buf = r->first; buf < r->first + r->num_own; buf++) {
		uint16_t holder = record_holder(r, buf);

		if (holder <= MAX_QUEUE_PAIRS)
			count->low[holder]++;
		else if (holder == HOLDER_LENT)
			count->lent_to[record_num_holders(r, buf)]++;
		else if (holder >= HOLDER_DEVICE_FIRST)
			count->high[holder - HOLDER_DEVICE_FIRST]++;
		else
			count->unknown++;
	}
}

static uint64_t sum(const uint32_t *numbers, unsigned int from, unsigned int to)
{
	uint64_t total = 0;

	for (unsigned int i = from; i < to; i++)
		total += numbers[i];
	return total;
}

static void fill_pool(const struct server *server, const struct worker *w,
                      const struct pool_count *count, struct message_row_pool *row)
{
	union message message;

	message_init(&message, MESSAGE_ROW_POOL);
	*row = message.row_pool;
	row->worker = w->index;
	row->buf_bytes = server->segment.pool.buf_bytes;
	row->page_bytes = server->segment.pool.page_bytes;
	row->total = w->record.num_own;
	row->reserved_bufs = __atomic_load_n(&w->reserved_bufs, __ATOMIC_RELAXED);
	row->free = count->low[HOLDER_FREE];
	row->in_clients = sum(count->low, HOLDER_QP_FIRST, MAX_QUEUE_PAIRS + 1) + count->unknown;
	row->in_devices = sum(count->high, 0, HOLDER_WORKER - HOLDER_DEVICE_FIRST);
	row->in_worker = count->high[HOLDER_WORKER - HOLDER_DEVICE_FIRST];
	row->lent = sum(count->lent_to, 0, 256);
}

/* -- rows ---------------------------------------------------------------------------------------- */

/* Adds a row, zeroed but for @kind and @bufs; NULL when there is no memory. */
static struct message_row_holder *add(struct pool_account *account, const struct worker *w,
                                      uint32_t kind, uint64_t bufs)
{
	struct message_row_holder *rows = account->holders;
	unsigned int n = account->num_holders;
	union message message;

	/* doubles at each power of two */
	if ((n & (n - 1)) == 0) {
		rows = realloc(rows, (n ? 2 * (size_t)n : 1) * sizeof(*rows));
		if (!rows)
			return NULL;
		account->holders = rows;
	}
	message_init(&message, MESSAGE_ROW_HOLDER);
	message.row_holder.worker = w->index;
	message.row_holder.kind = kind;
	message.row_holder.bufs = bufs;
	rows[n] = message.row_holder;
	account->num_holders++;
	return &rows[n];
}

static bool add_devices(struct pool_account *account, const struct server *server,
                        const struct worker *w, struct pool_count *count)
{
	for (unsigned int i = 0; i < server->num_ports; i++) {
		const struct port *port = &server->ports[i];

		for (unsigned int q = 0; q < port->num_queues; q++) {
			uint32_t *bufs = &count->high[port->queues[q].holder - HOLDER_DEVICE_FIRST];
			struct message_row_holder *row = add(account, w, ROW_HOLDER_DEVICE, *bufs);

			if (!row)
				return false;
			row->port = i;
			row->queue = q;
			memcpy(row->name, port->shared->name, sizeof(row->name));
			*bufs = 0; /* accounted for */
		}
	}
	return true;
}

static void name_session(struct message_row_holder *row, const struct session *s)
{
	row->session = s->id;
	row->flags = s->state == SESSION_CLOSING ? ROW_HOLDER_CLOSING : 0;
	memcpy(row->name, s->name, sizeof(row->name));
}

/*
 * What the queue pairs of a session hold alone. @loans[] is what they have beyond that, as far as the
 * counts before this one know: it begins with all that they hold.
 */
static bool add_session(struct pool_account *account, const struct worker *w,
                        const struct session *s, struct pool_count *count, int64_t *loans)
{
	struct message_row_holder *row;
	uint64_t alone = 0;

	for (unsigned int i = 0; i < s->num_qps; i++) {
		uint32_t *bufs = &count->low[s->qps[i]->state->holder];

		alone += *bufs;
		*bufs = 0;
	}
	*loans -= (int64_t)alone;
	if (alone == 0)
		return true;
	row = add(account, w, ROW_HOLDER_CLIENT, alone);
	if (row)
		name_session(row, s);
	return row != NULL;
}

static bool add_lent(struct pool_account *account, const struct worker *w,
                     const struct pool_count *count)
{
	for (unsigned int n = 0; n < 256; n++) {
		struct message_row_holder *row;

		if (count->lent_to[n] == 0)
			continue;
		row = add(account, w, ROW_HOLDER_LENT, count->lent_to[n]);
		if (!row)
			return false;
		row->holders = n;
	}
	return true;
}

/* What is left once everybody has been accounted for is held by nobody that there is: a bug. */
static bool add_unknown(struct pool_account *account, const struct worker *w,
                        const struct pool_count *count)
{
	uint64_t bufs = count->unknown + sum(count->low, HOLDER_QP_FIRST, MAX_QUEUE_PAIRS + 1) +
	                sum(count->high, 0, HOLDER_WORKER - HOLDER_DEVICE_FIRST);

	return bufs == 0 || add(account, w, ROW_HOLDER_UNKNOWN, bufs);
}

static bool add_worker(struct pool_account *account, const struct server *server,
                       const struct worker *w, struct pool_count *count, int64_t *loans)
{
	unsigned int i = 0;

	fill_pool(server, w, count, &account->pools[account->num_pools++]);
	if (!add(account, w, ROW_HOLDER_FREE, count->low[HOLDER_FREE]) ||
	    !add(account, w, ROW_HOLDER_WORKER, count->high[HOLDER_WORKER - HOLDER_DEVICE_FIRST]) ||
	    !add_devices(account, server, w, count))
		return false;
	for (const struct session *s = server->sessions; s; s = s->next, i++)
		if (!add_session(account, w, s, count, &loans[i]))
			return false;
	return add_lent(account, w, count) && add_unknown(account, w, count);
}

/* All that a session's queue pairs hold, loans included, as they were charged with it. */
static int64_t charged(const struct session *s)
{
	int64_t held = 0;

	for (unsigned int i = 0; i < s->num_qps; i++)
		held += __atomic_load_n(&s->qps[i]->state->held, __ATOMIC_RELAXED);
	return held;
}

static bool add_readers(struct pool_account *account, const struct server *server,
                        const int64_t *loans)
{
	unsigned int i = 0;

	for (const struct session *s = server->sessions; s; s = s->next, i++) {
		struct message_row_holder *row;

		if (s->mode != ATTACH_READONLY || loans[i] <= 0)
			continue;
		row = add(account, server->workers[0], ROW_HOLDER_READER, (uint64_t)loans[i]);
		if (!row)
			return false;
		name_session(row, s);
	}
	return true;
}

/* -- accounts ------------------------------------------------------------------------------------ */

static bool fill(struct pool_account *account, const struct server *server)
{
	struct pool_count *count = malloc(sizeof(*count));
	unsigned int num_sessions = 0, i = 0;
	int64_t *loans;
	bool filled;

	for (const struct session *s = server->sessions; s; s = s->next)
		num_sessions++;
	loans = calloc(num_sessions + 1, sizeof(*loans));
	filled = count && loans;
	for (const struct session *s = server->sessions; filled && s; s = s->next)
		loans[i++] = charged(s);
	for (i = 0; filled && i < server->num_workers; i++) {
		pool_count(&server->workers[i]->record, count);
		filled = add_worker(account, server, server->workers[i], count, loans);
	}
	filled = filled && add_readers(account, server, loans);
	free(loans);
	free(count);
	return filled;
}

static bool in_use(const struct server *server, const struct pool_account *account)
{
	for (const struct session *s = server->sessions; s; s = s->next)
		if (s->query_what && s->query_account == account)
			return true;
	return false;
}

static void forget_unused(struct server *server)
{
	struct pool_account **link = &server->pool_accounts, *account;

	while ((account = *link)) {
		if (in_use(server, account)) {
			link = &account->next;
			continue;
		}
		*link = account->next;
		free(account->holders);
		free(account);
	}
}

const struct pool_account *pool_account(struct server *server)
{
	uint64_t begin = kernel_clock_ns(CLOCK_MONOTONIC), took;
	struct pool_account *account = server->pool_accounts;

	if (account && begin < account->valid_until_ns)
		return account;
	forget_unused(server);
	account = calloc(1, sizeof(*account));
	if (!account)
		return NULL;
	if (!fill(account, server)) {
		free(account->holders);
		free(account);
		return NULL;
	}
	took = kernel_clock_ns(CLOCK_MONOTONIC) - begin;
	account->valid_until_ns =
		begin + (took * SHARE > MIN_INTERVAL_NS ? took * SHARE : MIN_INTERVAL_NS);
	account->next = server->pool_accounts;
	server->pool_accounts = account;
	return account;
}

void pool_account_end(struct server *server)
{
	struct pool_account *account;

	while ((account = server->pool_accounts)) {
		server->pool_accounts = account->next;
		free(account->holders);
		free(account);
	}
}
