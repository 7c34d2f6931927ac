/*
 * chaos_roles.h - what each witness does; included by chaos_witness.c alone, which starts and ends them
 */
#ifndef CHAOS_ROLES_H
#define CHAOS_ROLES_H

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <ixy/client.h>

#include "tests/integration/chaos_audit.h"
#include "tests/integration/chaos_frame.h"
#include "tests/integration/chaos_marks.h"

#define BURST        32u
#define FILE_FRAMES  4093u /* prime: a gap of a whole pass is not what one expects of a bug */
#define STEADY_FLOWS 4096u
#define WINDOW       512u /* frames of one stream on their way to the monitor */
#define PAUSE_NS     500000
#define PATIENCE     400u /* pauses */
#define KEEP_FEW     64u
#define KEEP_MANY    3000u
#define KEPT_SLOTS   4096u

enum role { GENERATOR, FORWARDER, MONITOR, RECEIVER, AUDITOR, NUM_ROLES };

/* Written by the role that the name says, read by all; atomic. */
struct shared {
	uint32_t ready; /* roles that are attached */
	uint32_t quiet, keep, stop, no_more;
	uint64_t generated, forwarded;           /* sent */
	uint64_t seen_generated, seen_forwarded; /* the next that the monitor expects */
	uint64_t seen_lost;
	uint64_t received, received_lost, received_dropped;
	uint64_t filed, filed_lost, filed_dropped; /* by the forwarder, of what the file has */
	uint64_t monitor_dropped;
	uint64_t audited, audited_gaps, audited_foreign, auditor_dropped;
	uint64_t wrong; /* everything that must not be */
};

static struct shared *shared;

struct window {
	uint64_t seen;
	unsigned int naps; /* since @seen changed */
};

struct witness {
	const char *role;
	struct ixy_client *client;
	struct ixy_qp *qp;
};

static uint64_t get(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static void add(uint64_t *word, uint64_t n)
{
	__atomic_fetch_add(word, n, __ATOMIC_RELEASE);
}

static bool told(const uint32_t *flag)
{
	return __atomic_load_n(flag, __ATOMIC_ACQUIRE);
}

static void wrong(const struct witness *w, const char *what, uint64_t got, uint64_t wanted)
{
	if (__atomic_fetch_add(&shared->wrong, 1, __ATOMIC_RELEASE) < 20)
		fprintf(stderr, "WRONG: %s: %s: %" PRIu64 ", expected %" PRIu64 "\n", w->role, what,
		        got, wanted);
}

static void nap(void)
{
	nanosleep(&(struct timespec){0, PAUSE_NS}, NULL);
}

/* The session has ended: nothing that a victim does may bring that about. */
static void lost_session(const struct witness *w)
{
	char why[256] = "no reason";

	ixy_close_reason(w->client, why, sizeof(why));
	fprintf(stderr, "WRONG: %s: its session ended: %s\n", w->role, why);
	add(&shared->wrong, 1);
	exit(EXIT_FAILURE);
}

static unsigned int receive(struct witness *w, struct ixy_desc *descs)
{
	int n = ixy_wait(w->qp, IXY_WAKE_RX, 20);

	if (n >= 0)
		n = ixy_rx_batch(w->qp, descs, BURST);
	if (n == -EINTR)
		return 0;
	if (n < 0)
		lost_session(w);
	return (unsigned int)n;
}

static void give_back(struct witness *w, const struct ixy_desc *descs, unsigned int n)
{
	if (n && ixy_free_batch(w->qp, descs, n) != (int)n)
		lost_session(w);
}

static void send_all(struct witness *w, const struct ixy_desc *descs, unsigned int n)
{
	for (unsigned int sent = 0; sent < n;) {
		int k = ixy_tx_batch(w->qp, descs + sent, n - sent);

		if (k < 0 || (k == 0 && ixy_wait(w->qp, IXY_WAKE_TX, 1000) < 0))
			lost_session(w);
		sent += (unsigned int)k;
	}
}

static uint64_t dropped(const struct witness *w)
{
	struct ixy_stats stats = {.size = sizeof(stats)};

	ixy_stats(w->qp, &stats);
	if (stats.rx_dropped_held || stats.rx_dropped_pool)
		wrong(w, "dropped although within its minimum",
		      stats.rx_dropped_held + stats.rx_dropped_pool, 0);
	return stats.rx_dropped_ring;
}

static uint16_t port_of(const struct witness *w, const char *name)
{
	int port = ixy_port_index(w->client, name);

	if (port < 0)
		lost_session(w);
	return (uint16_t)port;
}

/* A frame of another port than the one that it asked for is a misdelivery. */
static void check_port(const struct witness *w, const struct ixy_desc *desc, uint16_t port)
{
	if (desc->port != port)
		wrong(w, "a frame of another port", desc->port, port);
}

/*
 * Whether @sent may run further ahead of @seen. If nothing was seen for long, all that was under way is
 * lost, and whether that was accounted for is found out in the end.
 */
static bool window_is_open(struct window *window, uint64_t sent, uint64_t seen)
{
	if (seen != window->seen)
		*window = (struct window){seen, 0};
	return sent - seen <= WINDOW || ++window->naps % PATIENCE == 0;
}

/* -- generator, forwarder: what they send is to arrive at the monitor exactly once, in order ------- */

static void generate(struct witness *w)
{
	const uint16_t cable = port_of(w, "cable");
	struct ixy_desc descs[BURST];
	struct window window = {0};

	while (!told(&shared->stop)) {
		uint64_t sequence = get(&shared->generated);
		int n;

		nap();
		if (told(&shared->quiet) ||
		    !window_is_open(&window, sequence, get(&shared->seen_generated)))
			continue;
		n = ixy_alloc_batch(w->qp, descs, BURST);
		if (n < 0)
			lost_session(w);
		for (int i = 0; i < n; i++) {
			descs[i].port = cable;
			descs[i].len = chaos_frame_make(ixy_data(w->qp, &descs[i]),
			                                STREAM_GENERATOR, sequence++);
		}
		send_all(w, descs, (unsigned int)n);
		add(&shared->generated, (uint64_t)n);
	}
}

/* Every byte of a frame of the file is checked; then it becomes one of the forwarder's, in place. */
static void forward_one(struct witness *w, struct ixy_desc *desc, uint64_t *expected)
{
	struct chaos_tag *tag = ixy_data(w->qp, desc);
	uint64_t gap;

	if (!chaos_frame_is_sound(tag, desc->len) || tag->stream != STREAM_FILE) {
		wrong(w, "a frame that is damaged, or not from the file", get(&shared->filed), 0);
	} else {
		gap = (tag->sequence + FILE_FRAMES - *expected) % FILE_FRAMES;
		/* half a pass backwards is a frame that was there before */
		if (gap > FILE_FRAMES / 2)
			wrong(w, "a frame of the file twice", tag->sequence, *expected);
		add(&shared->filed_lost, gap);
		*expected = (tag->sequence + 1) % FILE_FRAMES;
	}
	add(&shared->filed, 1);
	desc->len = chaos_frame_make(tag, STREAM_FORWARDER, get(&shared->forwarded));
	add(&shared->forwarded, 1);
}

static void forward(struct witness *w)
{
	const uint16_t file = port_of(w, "file"), cable = port_of(w, "cable");
	struct ixy_desc descs[BURST];
	struct window window = {0};
	uint64_t expected = 0;

	while (!told(&shared->stop)) {
		unsigned int n;

		if (!window_is_open(&window, get(&shared->forwarded),
		                    get(&shared->seen_forwarded))) {
			nap();
			continue;
		}
		n = receive(w, descs);
		for (unsigned int i = 0; i < n; i++) {
			check_port(w, &descs[i], file);
			forward_one(w, &descs[i], &expected);
			descs[i].port = cable;
		}
		send_all(w, descs, n);
	}
	__atomic_store_n(&shared->filed_dropped, dropped(w), __ATOMIC_RELEASE);
}

/* -- monitor ---------------------------------------------------------------------------------------- */

static void see(struct witness *w, const struct ixy_desc *desc, uint16_t cable)
{
	const struct chaos_tag *tag = ixy_data(w->qp, desc);
	uint64_t *seen = tag->stream == STREAM_GENERATOR   ? &shared->seen_generated
	                 : tag->stream == STREAM_FORWARDER ? &shared->seen_forwarded
	                                                   : NULL;

	check_port(w, desc, cable);
	if (!(desc->flags & IXY_DESC_OUT) || !seen || !chaos_frame_is_sound(tag, desc->len)) {
		wrong(w, "a frame that is damaged or was sent by nobody", tag->stream, 0);
		return;
	}
	if (tag->sequence < get(seen)) {
		wrong(w, "a frame that was seen before", tag->sequence, get(seen));
		return;
	}
	add(&shared->seen_lost, tag->sequence - get(seen));
	__atomic_store_n(seen, tag->sequence + 1, __ATOMIC_RELEASE);
}

/* Until all that was sent has come: the senders stop first. */
static void monitor(struct witness *w)
{
	const uint16_t cable = port_of(w, "cable");
	struct ixy_desc descs[BURST];

	while (!told(&shared->no_more)) {
		unsigned int n = receive(w, descs);

		for (unsigned int i = 0; i < n; i++)
			see(w, &descs[i], cable);
		give_back(w, descs, n);
	}
	__atomic_store_n(&shared->monitor_dropped, dropped(w), __ATOMIC_RELEASE);
}

/* -- receiver ---------------------------------------------------------------------------------------- */

/* One after the other, as a null port makes them; what is missing is counted. */
static void receive_one(struct witness *w, struct ixy_desc *desc, uint64_t *expected)
{
	int flow = null_frame_flow(ixy_data(w->qp, desc), desc->len);

	if (flow < 0) {
		wrong(w, "a frame that is damaged or sent by nobody", desc->buf, 0);
		return;
	}
	if (*expected < STEADY_FLOWS)
		add(&shared->received_lost,
		    ((uint64_t)flow + STEADY_FLOWS - *expected) % STEADY_FLOWS);
	*expected = ((uint64_t)flow + 1) % STEADY_FLOWS;
}

/* How many it keeps, the oldest of which it gives back: never more than its minimum. */
static uint64_t receiver_keeps(void)
{
	return told(&shared->quiet) ? 0 : told(&shared->keep) ? KEEP_MANY : KEEP_FEW;
}

/* What it keeps, it has marked; so others get the time to write into what this one holds. */
static void receive_steady(struct witness *w)
{
	static struct ixy_desc kept[KEPT_SLOTS];
	const uint16_t steady = port_of(w, "steady");
	struct marks marks = {.owner = UINT32_MAX};
	uint64_t expected = STEADY_FLOWS, first = 0, end = 0;

	while (!told(&shared->stop)) {
		struct ixy_desc descs[BURST];
		unsigned int n = receive(w, descs);

		for (unsigned int i = 0; i < n; i++) {
			check_port(w, &descs[i], steady);
			receive_one(w, &descs[i], &expected);
			marks_put(&marks, w->qp, &descs[i]);
			kept[end++ % KEPT_SLOTS] = descs[i];
		}
		add(&shared->received, n);
		for (; end - first > receiver_keeps(); first++) {
			struct ixy_desc *desc = &kept[first % KEPT_SLOTS];

			if (!marks_check(&marks, w->qp, desc))
				wrong(w, "somebody wrote into a buffer that it held", desc->buf, 0);
			give_back(w, desc, 1);
		}
	}
	__atomic_store_n(&shared->received_dropped, dropped(w), __ATOMIC_RELEASE);
}

/* -- auditor ------------------------------------------------------------------------------------------ */

static void audit(struct witness *w)
{
	const uint16_t sink = port_of(w, "sink");
	struct audit *audit = audit_new();
	struct ixy_desc descs[BURST];

	while (!told(&shared->no_more)) {
		unsigned int n = receive(w, descs);

		for (unsigned int i = 0; i < n; i++) {
			const struct chaos_tag *tag = ixy_data(w->qp, &descs[i]);
			int64_t gap = -1;

			check_port(w, &descs[i], sink);
			if (tag->magic != CHAOS_MAGIC) { /* a reader's verdict, or an attacker's */
				if (null_frame_flow((const unsigned char *)tag, descs[i].len) < 0)
					add(&shared->audited_foreign, 1);
				continue;
			}
			if (!chaos_frame_is_sound(tag, descs[i].len) ||
			    tag->stream < FIRST_VICTIM_STREAM)
				wrong(w, "a victim's frame is damaged", tag->stream, 0);
			else
				gap = audit_frame(audit, tag->stream, tag->sequence);
			if (gap < 0)
				wrong(w, "a victim's frame was sent twice", tag->sequence,
				      tag->stream);
			else
				add(&shared->audited_gaps, (uint64_t)gap);
			add(&shared->audited, 1);
		}
		give_back(w, descs, n);
	}
	/* it keeps no window, so it may drop: but what it misses is what was counted */
	struct ixy_stats stats = {.size = sizeof(stats)};

	ixy_stats(w->qp, &stats);
	__atomic_store_n(&shared->auditor_dropped,
	                 stats.rx_dropped_ring + stats.rx_dropped_held + stats.rx_dropped_pool,
	                 __ATOMIC_RELEASE);
	free(audit);
}

#endif
