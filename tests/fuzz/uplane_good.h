/*
 * uplane_good.h - the well-behaved clients beside the hostile ones, and what they must not notice
 *
 * A member of port 1 that changes each frame in place and sends half of them back, and a monitor of
 * that port which is slow. The member has to get every frame, in order and undamaged; the monitor may
 * miss some, but what it sees are the bytes that arrived or left, whatever the member did meanwhile.
 */
#ifndef FUZZ_UPLANE_GOOD_H
#define FUZZ_UPLANE_GOOD_H

#include "tests/fuzz/server_rig_client.h"

#define GOOD_PORT    1
#define GOOD_MAX_LOG 4096
#define GOOD_PENDING                                                                               \
	16 /* frames on their way out; with a burst and the grants less than its minimum */

/* Hashes of the frames that crossed the port in one direction, and how far the monitor has got. */
struct good_log {
	unsigned int n, seen;
	uint64_t hash[GOOD_MAX_LOG];
};

struct good {
	struct rig_client member, monitor; /* monitor.fd -1: there is none */
	uint64_t made;                     /* frames that arrived at the port so far */
	uint64_t got;                      /* of these, by the member */
	uint64_t sent, left; /* frames that the member sent; that the port was given */
	uint64_t last_left;
	uint32_t buf; /* one that the member holds, or held lately */
	uint16_t holder;
	struct good_log in, out;
};

/* as in server_rig_check.h: loops over bytes tell the fuzzer nothing */
#ifdef __clang__
#pragma clang attribute push(__attribute__((no_sanitize("coverage"))), apply_to = function)
#endif

static inline uint64_t good_hash(const struct ixy_desc *desc, const unsigned char *bytes)
{
	uint64_t hash = desc->len;

	for (unsigned int i = 0; i < desc->len; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	return hash;
}

static inline void good_note(struct good_log *log, uint64_t hash)
{
	if (log->n < GOOD_MAX_LOG)
		log->hash[log->n++] = hash;
}

static inline unsigned char good_byte(uint64_t number, unsigned int i)
{
	return (unsigned char)(number * 31 + i * 7 + (number >> 8));
}

/* The @number-th frame, as it arrives (@flip 0) or as the member sends it (0xff). */
static inline void good_check_frame(const unsigned char *bytes, unsigned int len, uint64_t number,
                                    unsigned char flip)
{
	for (unsigned int i = 0; i < len; i++)
		must(bytes[i] == (good_byte(number, i) ^ flip));
}

#ifdef __clang__
#pragma clang attribute pop
#endif

/* A frame arrives at the port. */
static inline void good_received(struct good *good, const struct ixy_desc *desc,
                                 unsigned char *bytes)
{
	for (unsigned int i = 0; i < desc->len; i++)
		bytes[i] = good_byte(good->made, i);
	good->made++;
	good_note(&good->in, good_hash(desc, bytes));
}

/* A frame leaves by the port; @own: it was the member's. */
static inline void good_sent(struct good *good, const struct ixy_desc *desc,
                             const unsigned char *bytes, bool own)
{
	uint64_t number = good->last_left;

	good_note(&good->out, good_hash(desc, bytes));
	if (!own)
		return;
	while (++number <= good->made && bytes[0] != (good_byte(number - 1, 0) ^ 0xff))
		;
	must(number <= good->made);
	good_check_frame(bytes, desc->len, number - 1, 0xff);
	good->last_left = number;
	good->left++;
}

static inline void good_member_step(struct good *good)
{
	struct ixy_qp *qp = &good->member.pairs[0].qp;
	struct ixy_desc descs[2 * BURST];
	int n = ixy_rx_batch(qp, descs, 2 * BURST);

	must(n >= 0 && (uint64_t)n == good->made - good->got);
	for (int i = 0; i < n; i++) {
		unsigned char *bytes = ixy_data(qp, &descs[i]);

		must(descs[i].port == GOOD_PORT);
		good_check_frame(bytes, descs[i].len, good->got, 0);
		for (unsigned int k = 0; k < descs[i].len; k++)
			bytes[k] ^= 0xff;
		good->buf = descs[i].buf;
		good->got++;
		if (i % 2 || qp->tx_tail - qp->down->tx_head >= GOOD_PENDING) {
			must(ixy_free_batch(qp, &descs[i], 1) == 1);
			continue;
		}
		must(ixy_tx_batch(qp, &descs[i], 1) == 1);
		good->sent++;
	}
	/* what it is granted it gives back */
	n = ixy_alloc_batch(qp, descs, 4);
	must(n >= 0 && ixy_free_batch(qp, descs, (unsigned int)n) == n);
}

/* What the monitor sees next of @log: frames may be missing, none may differ. */
static inline void good_expect(struct good_log *log, uint64_t hash)
{
	if (log->n == GOOD_MAX_LOG)
		return;
	while (log->seen < log->n && log->hash[log->seen] != hash)
		log->seen++;
	must(log->seen++ < log->n);
}

static inline void good_monitor_step(struct good *good)
{
	struct ixy_qp *qp = &good->monitor.pairs[0].qp;
	struct ixy_desc desc;

	if (good->monitor.fd < 0)
		return;
	while (ixy_rx_batch(qp, &desc, 1) == 1) {
		must(desc.port == GOOD_PORT && !(desc.flags & IXY_DESC_SNAPPED));
		good_expect(desc.flags & IXY_DESC_OUT ? &good->out : &good->in,
		            good_hash(&desc, ixy_data(qp, &desc)));
		must(ixy_free_batch(qp, &desc, 1) == 1);
	}
	must(ixy_qp_is_open(qp));
}

static inline void good_attach(struct server_rig *rig, struct good *good, bool monitor)
{
	union message request;

	memset(good, 0, sizeof(*good));
	rig_fill_attach(&request, ATTACH_SHARED, ATTACH_MEMBER);
	request.attach.alloc_bufs = 16;
	rig_attach_port(&request, GOOD_PORT);
	must(server_rig_attach(rig, &good->member, &request));
	good->holder = server_rig_session(rig, &good->member)->qps[0]->state->holder;
	good->monitor.fd = -1;
	if (!monitor)
		return;
	rig_fill_attach(&request, ATTACH_READONLY, ATTACH_MONITOR);
	rig_attach_port(&request, GOOD_PORT);
	must(server_rig_attach(rig, &good->monitor, &request));
}

/* After the port has sent all: nothing that the member sent is missing, and it still is a client. */
static inline void good_detach(struct server_rig *rig, struct good *good)
{
	const struct session *s = server_rig_session(rig, &good->member);

	good_monitor_step(good);
	must(s && s->state == SESSION_OPEN && s->qps[0]->violation == VIOLATION_NONE);
	must(good->left + s->qps[0]->counters[CLIENT_TX_DROPPED] == good->sent);
	server_rig_leave(rig, &good->member);
	if (good->monitor.fd >= 0)
		server_rig_leave(rig, &good->monitor);
}

#endif
