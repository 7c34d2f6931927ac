/*
 * fuzz_uplane.c - hostile up lanes in a live session, while traffic runs and others attach and leave
 *
 * The input is a program: which clients there are, then steps: frames arrive and the worker makes a
 * round, a client writes any value to any word of its up lane, sends and frees what it holds or does
 * not hold, leaves, comes back. After each round of the worker the record of buffers has to be
 * consistent, and the well-behaved clients (uplane_good.h) must have noticed nothing. At the end every
 * client that broke a rule was told so, and the pool is exactly full.
 */
#include "tests/fuzz/server_rig_check.h"
#include "tests/fuzz/server_rig_guard.h"
#include "tests/fuzz/uplane_good.h"
#include "tests/unit/open_fds.h"

#define MAX_STEPS 200
#define HOSTILES  3
#define MAX_KEPT  256

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* A hostile client, and the descriptors that it received: those that it holds, and some that it does not. */
struct hostile {
	struct rig_client client;
	unsigned int num_kept;
	struct ixy_desc kept[MAX_KEPT];
};

struct fuzz {
	struct server_rig rig;
	struct good good;
	struct hostile hostiles[HOSTILES];
	uint16_t holder_before[RIG_BUFS]; /* the record, before this round of the worker */
	struct delivered made[RIG_BUFS];  /* what the port put into the buffer last */
	uint32_t rx_tail_before[MAX_QUEUE_PAIRS], grant_tail_before[MAX_QUEUE_PAIRS];
	uint64_t violations; /* counted by the worker when this input began */
};

static struct fuzz *fuzz;

/* -- what the ports see ----------------------------------------------------------------------------- */

static void received(struct server_rig *rig, unsigned int port, const struct ixy_desc *desc)
{
	unsigned char *bytes = pool_data(&rig->server.segment.pool, desc);

	fuzz->made[desc->buf] = (struct delivered){desc->offset, desc->len};
	if (port == GOOD_PORT)
		good_received(&fuzz->good, desc, bytes);
	else
		memset(bytes, 0x55, desc->len);
}

/* Was @buf given to @qp in this round? Then it may send it in the same round: it has guessed which one it would be. */
static bool given_now(const struct qp *qp, uint32_t buf)
{
	const struct qp_state *st = qp->state;
	const unsigned int entry = st->holder - HOLDER_QP_FIRST;
	uint32_t num_rx = st->rx_tail - fuzz->rx_tail_before[entry];
	uint32_t num_grants = st->grant_tail - fuzz->grant_tail_before[entry];

	for (uint32_t i = 1; i <= num_rx && i <= qp->rx_slots; i++)
		if (qp->rx_ring[(st->rx_tail - i) & (qp->rx_slots - 1)].buf == buf)
			return true;
	for (uint32_t i = 1; i <= num_grants && i <= qp->grant_slots; i++)
		if (qp->grant_ring[(st->grant_tail - i) & (qp->grant_slots - 1)] == buf)
			return true;
	return false;
}

static bool writer_got_it_now(uint32_t buf)
{
	for (const struct session *s = fuzz->rig.server.sessions; s; s = s->next)
		for (unsigned int i = 0; i < s->num_qps; i++)
			if (!(s->qps[i]->state->flags & QP_READONLY) && given_now(s->qps[i], buf))
				return true;
	return false;
}

/* A reader's frame leaves as it came, whatever its descriptor said when it was checked or afterwards. */
static void sent(struct server_rig *rig, unsigned int port, const struct ixy_desc *desc)
{
	uint16_t was = fuzz->holder_before[desc->buf];
	const struct qp_state *entries = rig->server.state.qps;

	must(was < HOLDER_DEVICE_FIRST || was == HOLDER_LENT);
	if ((was == HOLDER_LENT ||
	     (was != HOLDER_FREE && entries[was - HOLDER_QP_FIRST].flags & QP_READONLY)) &&
	    !writer_got_it_now(desc->buf))
		must(desc->offset == fuzz->made[desc->buf].offset &&
		     desc->len == fuzz->made[desc->buf].len);
	if (port == GOOD_PORT)
		good_sent(&fuzz->good, desc, pool_data(&rig->server.segment.pool, desc),
		          was == fuzz->good.holder);
}

/* A pair that is still polled has indices that are possible; rx_head, as it was seen last. */
static void check_indices(void)
{
	for (const struct session *s = fuzz->rig.server.sessions; s; s = s->next)
		for (unsigned int i = 0; i < s->num_qps; i++) {
			const struct qp *qp = s->qps[i];
			const struct qp_state *st = qp->state;

			if (s->state != SESSION_OPEN || qp->stopped)
				continue;
			must(st->rx_tail - st->rx_head <= qp->rx_slots);
			must(qp->up->free_tail - st->free_head <= qp->free_slots);
			must(qp->up->tx_tail - st->tx_head <= qp->tx_slots);
			must(!st->alloc_bufs ||
			     st->grant_tail - qp->up->grant_head <= qp->grant_slots);
		}
}

static void work(void)
{
	memcpy(fuzz->holder_before, rig_worker(&fuzz->rig)->record.holder,
	       sizeof(fuzz->holder_before));
	for (unsigned int i = 0; i < MAX_QUEUE_PAIRS; i++) {
		fuzz->rx_tail_before[i] = fuzz->rig.server.state.qps[i].rx_tail;
		fuzz->grant_tail_before[i] = fuzz->rig.server.state.qps[i].grant_tail;
	}
	server_rig_work(&fuzz->rig);
	server_rig_check(&fuzz->rig);
	check_indices();
	must(fuzz->rig.ports[GOOD_PORT].num_lost == 0);
	good_member_step(&fuzz->good);
}

/* -- what hostile clients do ------------------------------------------------------------------------ */

static void attach(struct hostile *h, unsigned int kind)
{
	union message request;

	if (h->client.fd >= 0)
		return;
	rig_fill_attach(&request, kind % 2 ? ATTACH_READONLY : ATTACH_SHARED,
	                kind == 3 ? ATTACH_MONITOR : ATTACH_MEMBER);
	if (kind != 4)
		rig_attach_port(&request, 0);
	if (kind == 3)
		rig_attach_port(&request, GOOD_PORT);
	else if (kind >= 4)
		request.attach.num_queue_pairs = 2;
	if (request.attach.mode == ATTACH_SHARED)
		request.attach.alloc_bufs = 16;
	h->num_kept = 0;
	if (server_rig_attach(&fuzz->rig, &h->client, &request))
		server_rig_guard(&fuzz->rig, server_rig_session(&fuzz->rig, &h->client));
}

static void keep(struct hostile *h, const struct ixy_desc *descs, int n)
{
	for (int i = 0; i < n; i++)
		h->kept[h->num_kept++ % MAX_KEPT] = descs[i];
}

static struct ixy_desc *pick_kept(struct input *in, struct hostile *h)
{
	unsigned int n = h->num_kept < MAX_KEPT ? h->num_kept : MAX_KEPT;

	return n ? &h->kept[input_pick(in, n < 256 ? n : 256)] : NULL;
}

/* Often one that somebody has. */
static uint32_t pick_buffer(struct input *in, struct hostile *h)
{
	const struct ixy_desc *desc = NULL;

	switch (input_pick(in, 6)) {
	case 0:
	case 1:
		desc = pick_kept(in, h);
		break;
	case 2:
		desc = pick_kept(in, &fuzz->hostiles[input_pick(in, HOSTILES)]);
		break;
	case 3:
		return fuzz->good.buf;
	case 4:
		return input_u16(in) % (RIG_BUFS + 8);
	default:
		return input_u32(in);
	}
	return desc ? desc->buf : input_u8(in);
}

static void break_descriptor(struct input *in, struct ixy_desc *desc)
{
	unsigned int field = input_pick(in, 8);
	uint16_t value = input_u16(in);

	switch (field) {
	case 0:
		desc->offset = value;
		break;
	case 1:
		desc->len = value;
		break;
	case 2:
		desc->port = value % 4;
		break;
	case 3:
		desc->flags = value;
		break;
	case 4: /* as long as the buffer, or one byte longer */
		desc->len = (uint16_t)(2048 - desc->offset + value % 2);
		break;
	case 5:
		desc->offset = (uint16_t)(desc->offset + value % 3 - 1);
		break;
	default:
		break;
	}
}

static void send_any(struct input *in, struct hostile *h, struct ixy_qp *qp)
{
	const struct ixy_desc *kept = pick_kept(in, h);
	struct ixy_desc desc = kept ? *kept : (struct ixy_desc){.offset = 256, .len = 60};

	if (input_pick(in, 3) == 0)
		desc.buf = pick_buffer(in, h);
	break_descriptor(in, &desc);
	ixy_tx_batch(qp, &desc, 1);
}

static void free_any(struct input *in, struct hostile *h, struct ixy_qp *qp)
{
	struct ixy_desc desc = {.buf = pick_buffer(in, h)};

	ixy_free_batch(qp, &desc, 1);
}

/* Gives back what it holds, to the pool or to a port; unless @forgets, it will not do so again. */
static void give_back(struct input *in, struct hostile *h, struct ixy_qp *qp, bool forgets)
{
	unsigned int n = input_u8(in), port = input_pick(in, 3);

	for (; n && h->num_kept && h->num_kept < MAX_KEPT; n--) {
		struct ixy_desc *desc = &h->kept[h->num_kept - 1];

		desc->port = (uint16_t)port;
		desc->flags &= IXY_DESC_TX_ALLOWED;
		if (port < RIG_PORTS ? ixy_tx_batch(qp, desc, 1) != 1
		                     : ixy_free_batch(qp, desc, 1) != 1)
			return;
		if (forgets)
			h->num_kept--;
	}
}

static void write_index(struct input *in, struct rig_pair *pair)
{
	uint32_t *line = pair->up_words + pair->geometry.up_index_offset / 4;
	uint32_t *word = line + input_pick(in, 6);

	if (input_pick(in, 3))
		*word += (uint32_t)(int8_t)input_u8(in);
	else
		*word = input_u32(in);
}

static void write_word(struct input *in, struct rig_pair *pair)
{
	uint32_t at = input_u16(in) % (pair->geometry.up_bytes / 4);

	pair->up_words[at] = input_u32(in);
}

static void receive(struct input *in, struct hostile *h, struct ixy_qp *qp, bool alloc)
{
	struct ixy_desc descs[BURST];
	unsigned int n = 1 + input_pick(in, BURST);

	keep(h, descs, alloc ? ixy_alloc_batch(qp, descs, n) : ixy_rx_batch(qp, descs, n));
}

/* Rings, abuses the doorbell, drains what wakes it. */
static void use_descriptors(struct input *in, struct rig_pair *pair)
{
	char bytes[4096] = {0};
	ssize_t done = input_pick(in, 2) ? write(pair->bell_fd, bytes, input_u8(in))
	                                 : read(pair->wake_fd, bytes, sizeof(bytes));

	(void)done;
}

static void hostile_step(struct input *in, unsigned int what)
{
	struct hostile *h = &fuzz->hostiles[input_pick(in, HOSTILES)];
	struct rig_pair *pair;

	if (h->client.fd < 0) {
		attach(h, input_pick(in, 6));
		return;
	}
	pair = &h->client.pairs[what / 16 % h->client.num_pairs];
	switch (what % 16) {
	case 0:
		server_rig_leave(&fuzz->rig, &h->client);
		break;
	case 1:
	case 2:
		write_index(in, pair);
		break;
	case 3:
		write_word(in, pair);
		break;
	case 4:
	case 5:
		send_any(in, h, &pair->qp);
		break;
	case 6:
		free_any(in, h, &pair->qp);
		break;
	case 7:
	case 8:
		give_back(in, h, &pair->qp, true);
		break;
	case 9:
		give_back(in, h, &pair->qp, false);
		break;
	case 10:
		use_descriptors(in, pair);
		break;
	case 11:
		receive(in, h, &pair->qp, true);
		break;
	default:
		receive(in, h, &pair->qp, false);
	}
}

/* -- the program ------------------------------------------------------------------------------------ */

static void change_port(struct input *in)
{
	unsigned int p = input_pick(in, RIG_PORTS);
	struct rig_port *port = &fuzz->rig.ports[p];

	port->stuck = input_pick(in, 2);
	/* as if it had been so for long: what is sent is dropped from now on */
	if (port->stuck && input_pick(in, 2))
		fuzz->rig.server.ports[p].queues[0].tx_blocked_ns = 1;
}

static void step(struct input *in)
{
	unsigned int what = input_u8(in);

	switch (what % 8) {
	case 0:
	case 1:
		fuzz->rig.ports[0].due = input_pick(in, BURST + 1);
		fuzz->rig.ports[1].due = input_pick(in, GOOD_PENDING + 1);
		work();
		break;
	case 2:
		server_rig_control(&fuzz->rig);
		break;
	case 3:
		if (what & 8)
			change_port(in);
		else
			good_monitor_step(&fuzz->good);
		break;
	default:
		/* the remaining bits say what */
		hostile_step(in, input_u8(in));
	}
	if (what >= 0xfc)
		server_rig_sleep(&fuzz->rig);
}

static uint64_t count_violations(void)
{
	const uint64_t *counters = rig_worker(&fuzz->rig)->counters;
	uint64_t n = 0;

	for (unsigned int i = SERVER_BAD_INDEX; i <= SERVER_BAD_VERDICT; i++)
		n += counters[i];
	return n;
}

/*
 * The session of a client that broke a rule ends with CLOSED, which says so; and no other does.
 * Returns whether it did.
 */
static bool check_told(struct hostile *h)
{
	int fds[MESSAGE_MAX_FDS];
	unsigned int num_fds;
	union message message;
	bool told = false;

	while (fdpass_recv(h->client.fd, &message, fds, &num_fds, MSG_DONTWAIT) > 0) {
		must(message.header.type == MESSAGE_CLOSED && !told);
		must(message.closed.cause == CLOSE_VIOLATION);
		told = true;
	}
	must(told == !server_rig_session(&fuzz->rig, &h->client));
	return told;
}

static void finish(void)
{
	uint64_t told = 0;

	for (unsigned int p = 0; p < RIG_PORTS; p++) {
		fuzz->rig.ports[p].stuck = false;
		fuzz->rig.ports[p].due = 0;
	}
	for (unsigned int i = 0; i < 4; i++)
		work();
	server_rig_settle(&fuzz->rig, false);
	server_rig_check(&fuzz->rig);
	for (unsigned int i = 0; i < HOSTILES; i++)
		if (fuzz->hostiles[i].client.fd >= 0) {
			told += check_told(&fuzz->hostiles[i]);
			server_rig_leave(&fuzz->rig, &fuzz->hostiles[i].client);
		}
	must(count_violations() - fuzz->violations >= told);
	work();
	good_detach(&fuzz->rig, &fuzz->good);
	server_rig_settle(&fuzz->rig, true);
	server_rig_check_empty(&fuzz->rig);
	server_rig_unguard(&fuzz->rig);
	server_rig_reset(&fuzz->rig);
}

static void make_fuzz(void)
{
	fuzz = calloc(1, sizeof(*fuzz));
	must(fuzz);
	server_rig_open(&fuzz->rig, false);
	server_rig_guard_pool(&fuzz->rig);
	fuzz->rig.received = received;
	fuzz->rig.sent = sent;
	fuzz->rig.ports[0].len = 60;
	fuzz->rig.ports[1].len = 61;
	for (unsigned int i = 0; i < HOSTILES; i++)
		fuzz->hostiles[i].client.fd = -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct input in = {bytes, n};
	unsigned int clients, fds;

	if (!fuzz)
		make_fuzz();
	fds = open_fds();
	fuzz->violations = count_violations();
	clients = input_u8(&in);
	good_attach(&fuzz->rig, &fuzz->good, clients & 1);
	for (unsigned int i = 0; i < HOSTILES; i++)
		attach(&fuzz->hostiles[i], (clients / 2 + i) % 6);
	for (unsigned int i = 0; i < MAX_STEPS && in.left; i++)
		step(&in);
	finish();
	must(open_fds() == fds);
	return 0;
}
