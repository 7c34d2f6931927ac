/* record_bulk_rig.h - a rig with two readers of port 0, and what tests of loans of whole bursts ask of it */
#ifndef UNIT_RECORD_BULK_RIG_H
#define UNIT_RECORD_BULK_RIG_H

#define RIG_BUFS 1024u
#include "tests/unit/rig.h"

static struct rig rig;
static struct rig_client *member, *monitor;

/* Two readers of port @port: a member, and a monitor; they are attached to worker @worker. */
static inline void attach_two(unsigned int worker, unsigned int port)
{
	member = rig_attach_to(&rig, worker, QP_READONLY, 0, 0);
	monitor = rig_attach_to(&rig, worker, QP_READONLY | QP_MONITOR, 0, 0);
	rig_publish(&rig, port, (struct rig_client *[]){member, NULL},
	            (struct rig_client *[]){monitor, NULL});
}

static inline void open_two(void)
{
	rig_open(&rig);
	attach_two(0, 0);
}

/* With rings that hold all that a reader may have. */
static inline void open_two_deep(void)
{
	rig_open(&rig);
	rig.slots = 256;
	attach_two(0, 0);
}

/* Both are worker @worker's of two, and of its port. */
static inline void open_two_of_worker(unsigned int worker)
{
	rig_open_workers(&rig, 2);
	attach_two(worker, worker);
}

/* Readers that have returned a part of their oldest bulk. */
static inline unsigned int num_partial(void)
{
	unsigned int num = 0;

	for (unsigned int i = 0; i < BULK_WORDS; i++)
		num += (unsigned int)__builtin_popcountll(rig.w->record.partial[i]);
	return num;
}

static inline void close_empty(void)
{
	CHECK_EQ(rig.w->record.num_free, RIG_BUFS);
	CHECK_EQ(rig.w->record.num_bulks, 0);
	CHECK_EQ(num_partial(), 0);
	for (unsigned int i = 0; i < rig.num_clients; i++)
		CHECK_EQ(rig.clients[i]->server.state->held, 0);
	rig_verify(&rig);
	rig_close(&rig);
}

static inline void close_empty_workers(void)
{
	rig_settle(&rig);
	for (unsigned int i = 0; i < 2; i++)
		CHECK_EQ(rig.workers[i]->record.num_free, rig.workers[i]->record.num_own);
	rig_verify(&rig);
	rig_close(&rig);
}

/* @c takes @n frames that have come. */
static inline void receive(struct rig_client *c, struct ixy_desc *descs, unsigned int n)
{
	CHECK_EQ(ixy_rx_batch(&c->client, descs, n), n);
}

/* @n frames come to port 0, for member and monitor. */
static inline void both_receive(struct ixy_desc *a, struct ixy_desc *b, unsigned int n)
{
	rig_receive(&rig, 0, n, 100, 1);
	receive(member, a, n);
	receive(monitor, b, n);
}

/* @c returns @n buffers, which the worker takes back. */
static inline void give_back(struct rig_client *c, const struct ixy_desc *descs, unsigned int n)
{
	CHECK_EQ(ixy_free_batch(&c->client, descs, n), n);
	rig_collect(&rig, c);
}

/* What a client can write into its ring that the library would not: any ids. */
static inline void give_back_ids(struct rig_client *c, const uint32_t *ids, unsigned int n)
{
	struct ixy_qp *qp = &c->client;
	uint32_t tail = qp->up->free_tail;

	for (unsigned int i = 0; i < n; i++)
		qp->free_ring[(tail + i) & (qp->free_slots - 1)] = ids[i];
	__atomic_store_n(&qp->up->free_tail, tail + n, __ATOMIC_RELEASE);
	rig_collect(&rig, c);
}

static inline unsigned int in_bulks(const struct ixy_desc *descs, unsigned int n)
{
	unsigned int num = 0;

	for (unsigned int i = 0; i < n; i++)
		num += loan_bulk(&rig.w->record, descs[i].buf) != NULL;
	return num;
}

static inline unsigned int lent_to(const struct rig_client *c, const struct ixy_desc *descs,
                                   unsigned int n)
{
	unsigned int num = 0;

	for (unsigned int i = 0; i < n; i++)
		num += loan_has(&rig.w->record, c->server.state->reader, descs[i].buf);
	return num;
}

/* Lends @num bursts of @n frames of @port to both readers; returns how many are bulks. */
static inline unsigned int lend_bursts(unsigned int port, unsigned int num, unsigned int n)
{
	const unsigned int before = rig.w->record.num_bulks;

	for (unsigned int i = 0; i < num; i++)
		rig_receive(&rig, port, n, 100, 1);
	rig_verify(&rig);
	return rig.w->record.num_bulks - before;
}

static inline void give_all_back(struct rig_client *c)
{
	struct ixy_desc descs[256];
	int n = ixy_rx_batch(&c->client, descs, 256);

	give_back(c, descs, (unsigned int)n);
}

/* A round of the worker, @ns later. */
static inline void round_after(uint64_t ns)
{
	rig.w->now_ns += ns;
	worker_round(rig.w, rig.tables);
}

#endif
