/*
 * fuzz_layout.c - what a broken or hostile server could send to a client: geometry, header, regions,
 * lanes, descriptors
 *
 * The input changes what an honest server would send (fake_server.h), anywhere; then ixy_attach() either
 * refuses it, or everything that the client's calls reach lies within what is mapped. Nothing stays
 * behind in either case. The same for the checks alone, on numbers: what they let through is touched in
 * memory that ends where it was said to.
 */
#include "tests/fuzz/fake_server.h"
#include "tests/unit/open_fds.h"

#define MAX_CHANGES 24
#define MAX_LANE    (8u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* A word at the edge of something more often than any other. */
static uint32_t pick_value(struct input *in, uint32_t was)
{
	switch (input_pick(in, 6)) {
	case 0:
		return was + (uint32_t)(int8_t)input_u8(in);
	case 1:
		return was + 64u * (uint32_t)(int8_t)input_u8(in);
	case 2:
		return 1u << input_pick(in, 32);
	case 3:
		return (1u << input_pick(in, 32)) - 64;
	case 4:
		return 4096u * input_u8(in);
	default:
		return input_u32(in);
	}
}

/* Changes one of the words of @what; the first @words of it are likely ones. */
static unsigned int change_word(struct input *in, void *what, size_t bytes, unsigned int words)
{
	size_t n = input_pick(in, 4) ? words : bytes / sizeof(uint32_t);
	size_t at = input_u16(in) % n;
	uint32_t word;

	memcpy(&word, (char *)what + at * sizeof(word), sizeof(word));
	word = pick_value(in, word);
	memcpy((char *)what + at * sizeof(word), &word, sizeof(word));
	return (unsigned int)at;
}

/* -- the checks alone --------------------------------------------------------------------------------- */

struct part {
	uint32_t offset;
	uint64_t bytes;
};

/* Each part has bytes of its own, all within @bytes of memory. */
static void touch(const struct part *parts, unsigned int n, uint64_t bytes)
{
	unsigned char *lane = calloc(1, bytes);

	must(lane);
	for (unsigned int i = 0; i < n; i++) {
		must(parts[i].offset % IXY_CACHE_LINE == 0);
		for (uint64_t k = 0; k < parts[i].bytes; k += IXY_CACHE_LINE)
			must(lane[parts[i].offset + k]++ == 0);
		if (parts[i].bytes)
			lane[parts[i].offset + parts[i].bytes - 1] |= 0x80;
	}
	free(lane);
}

static void touch_lanes(const struct ixy_geometry *g)
{
	const struct part down[] = {
		{0, sizeof(*g)},
		{g->state_offset, g->state_offset ? sizeof(struct ixy_down_state) : 0},
		{g->down_index_offset, sizeof(struct ixy_down_index)},
		{g->counters_offset, sizeof(struct ixy_down_counters)},
		{g->rx_offset, (uint64_t)g->rx_slots * sizeof(struct ixy_desc)},
		{g->grant_offset, (uint64_t)g->grant_slots * sizeof(uint32_t)},
	};
	const struct part up[] = {
		{g->up_index_offset, sizeof(struct ixy_up_index)},
		{g->tx_offset, (uint64_t)g->tx_slots * sizeof(struct ixy_desc)},
		{g->free_offset, (uint64_t)g->free_slots * sizeof(uint32_t)},
	};

	must(((g->rx_slots & (g->rx_slots - 1)) | (g->tx_slots & (g->tx_slots - 1)) |
	      (g->free_slots & (g->free_slots - 1))) == 0);
	must(g->rx_slots && g->tx_slots && g->free_slots);
	if (g->down_bytes > MAX_LANE || g->up_bytes > MAX_LANE)
		return;
	touch(down, sizeof(down) / sizeof(down[0]), g->down_bytes);
	touch(up, sizeof(up) / sizeof(up[0]), g->up_bytes);
}

/* What the server computes passes the client's check; changed, it is refused or still sound. */
static void check_lanes(struct input *in)
{
	struct ixy_geometry g;
	unsigned int power = input_pick(in, 20);

	if (lane_layout(&g, 1u << power, power % 2 ? 0 : 8u << input_pick(in, 16),
	                8u << input_pick(in, 16), 8u << input_pick(in, 16), input_pick(in, 18)))
		must(lane_layout(&g, 64, 0, 64, 64, 0) == 0);
	must(!lane_check(&g, g.down_bytes, g.up_bytes));
	must(lane_check(&g, g.down_bytes, g.up_bytes + 1ull));
	must(lane_check(&g, g.down_bytes + (1ull << 32), g.up_bytes));
	touch_lanes(&g);
	for (unsigned int i = 0; i < MAX_CHANGES && in->left; i++) {
		change_word(in, &g, sizeof(g), 16);
		if (!lane_check(&g, g.down_bytes, g.up_bytes))
			touch_lanes(&g);
	}
}

static void touch_table(const unsigned char *base, uint32_t offset, uint32_t count, uint32_t entry,
                        size_t entry_bytes)
{
	unsigned char copy[sizeof(struct ixy_port)];

	must(entry_bytes <= sizeof(copy));
	for (uint32_t i = 0; i < count; i++)
		memcpy(copy, base + offset + (size_t)i * entry, entry_bytes);
}

static void check_header(struct input *in)
{
	struct ixy_header h, *exact;
	char text[160];
	uint64_t bytes = sizeof(h) + (input_pick(in, 2) ? input_u8(in) : 0);
	struct ixy_region *r = &h.regions[0];

	fake_header(&h);
	for (unsigned int i = 0; i < MAX_CHANGES && in->left; i++)
		change_word(in, &h, sizeof(h), 12);
	exact = calloc(1, bytes);
	must(exact);
	memcpy(exact, &h, sizeof(h));
	if (!header_check(exact, bytes, text, sizeof(text))) {
		const unsigned char *base = (const unsigned char *)exact;

		touch_table(base, h.port_offset, h.port_count, h.port_entry_bytes,
		            sizeof(struct ixy_port));
		touch_table(base, h.worker_offset, h.worker_count, h.worker_entry_bytes,
		            sizeof(struct ixy_worker_word));
		touch_table(base, h.region_offset, h.region_count, h.region_entry_bytes,
		            sizeof(struct ixy_region));
	}
	must(header_check(exact, sizeof(h) - 1, text, sizeof(text)));
	free(exact);
	for (unsigned int i = 0; i < MAX_CHANGES && in->left; i++)
		change_word(in, r, sizeof(*r), 8);
	if (!region_check(r, r->size_bytes)) {
		must(r->id < IXY_MAX_REGIONS && r->num_bufs && r->num_bufs <= IXY_MAX_REGION_BUFS);
		must((uint64_t)r->num_bufs * r->buf_bytes <= r->size_bytes);
		must((r->buf_bytes & (r->buf_bytes - 1)) == 0 && r->buf_bytes >= 2048);
		must(region_check(r, r->size_bytes + 1));
	}
}

/* -- a whole attach ------------------------------------------------------------------------------------ */

static struct fake_server fake;

static void change_message(struct input *in)
{
	struct fake_message *m = &fake.messages[input_pick(in, FAKE_MESSAGES)];

	switch (input_pick(in, 8)) {
	case 0:
		m->bytes = input_u16(in) % (sizeof(m->message) + 1);
		break;
	case 1:
		m->num_fds = input_pick(in, MESSAGE_MAX_FDS + 1);
		break;
	case 2:
		m->fds[input_pick(in, MESSAGE_MAX_FDS)] = input_pick(in, FAKE_FDS);
		break;
	case 3:
		/* another of the messages, once more */
		*m = fake.messages[input_pick(in, FAKE_MESSAGES)];
		break;
	case 4:
		message_init(&m->message, 1 + input_pick(in, MESSAGE_TYPES));
		break;
	default:
		change_word(in, &m->message, sizeof(m->message),
		            (unsigned int)(m->bytes / 4 < 24 ? m->bytes / 4 + 1 : 24));
	}
}

/* A wrong geometry, in the message as in the lane. */
static void change_geometry(struct input *in)
{
	struct message_qp *qp = &fake.messages[2].message.qp;

	change_word(in, &fake.geometry, sizeof(fake.geometry), 16);
	if (input_pick(in, 4))
		qp->geometry = fake.geometry;
	if (input_pick(in, 2)) {
		fake.bytes[FAKE_DOWN] = fake.geometry.down_bytes % MAX_LANE;
		fake.bytes[FAKE_UP] = fake.geometry.up_bytes % MAX_LANE;
	}
}

static void change_something(struct input *in)
{
	unsigned int what = input_pick(in, 8), which = input_pick(in, FAKE_MEMFDS);

	switch (what) {
	case 0:
		fake.bytes[which] = input_pick(in, 2) ? input_u16(in) : 4096u * input_u8(in);
		break;
	case 1:
		fake.sealed[which] = false;
		break;
	case 2:
		fake.num_messages = input_pick(in, FAKE_MESSAGES + 1);
		break;
	case 3:
		change_word(in, &fake.down_index, sizeof(fake.down_index), 6);
		change_word(in, &fake.down_state, sizeof(fake.down_state), 1);
		break;
	case 4:
		change_word(in, &fake.header, sizeof(fake.header), 12);
		break;
	case 5:
		change_geometry(in);
		break;
	default:
		change_message(in);
	}
}

static void use_queue_pair(struct ixy_qp *qp, uint32_t rounds)
{
	struct ixy_stats stats = {.size = sizeof(stats)};
	struct ixy_desc descs[32];

	memset(descs, 0, sizeof(descs));
	for (uint32_t i = 0; i < rounds; i++) {
		ixy_rx_batch(qp, descs, 32);
		ixy_alloc_batch(qp, descs, 32);
		ixy_free_batch(qp, descs, 32);
		ixy_tx_batch(qp, descs, 32);
	}
	must(ixy_stats(qp, &stats) == 0);
	ixy_wait(qp, IXY_WAKE_RX | IXY_WAKE_TX, 0);
	ixy_wait(qp, IXY_WAKE_ALLOC, 0);
	if (ixy_wait_arm(qp, IXY_WAKE_RX) == 0)
		ixy_wait_disarm(qp);
}

static void use_client(struct ixy_client *client)
{
	struct ixy_port_info info = {.size = sizeof(info)};
	struct ixy_qp *qp = ixy_queue_pair(client, 0);
	uint32_t zero = 0, slots;
	char text[256];

	must(qp && !ixy_queue_pair(client, 1));
	ixy_port_index(client, "p1");
	for (unsigned int i = 0; ixy_port_info(client, i, &info) == 0; i++)
		must(strnlen(info.name, sizeof(info.name)) < sizeof(info.name));
	slots = qp->rx_slots > qp->tx_slots ? qp->rx_slots : qp->tx_slots;
	/* all of every ring and once more from its beginning; more than a page of the smallest */
	use_queue_pair(qp, (slots + qp->free_slots + qp->grant_slots + 2048) / 32);
	ixy_close_reason(client, text, sizeof(text));
	/* the server ends, or detach would wait for what was sent */
	must(pwrite(fake.fds[FAKE_HEADER], &zero, sizeof(zero),
	            offsetof(struct ixy_header, alive)) == sizeof(zero));
	ixy_close_reason(client, text, sizeof(text));
}

static void check_attach(struct input *in)
{
	struct ixy_attach_opts opts = IXY_ATTACH_OPTS_INIT;
	struct ixy_client *client;
	char text[256] = "";
	int error;

	fake_plan(&fake, input_pick(in, 2) ? 16 : 0);
	for (unsigned int i = 0; i < MAX_CHANGES && in->left; i++)
		change_something(in);
	fake_make(&fake);
	sem_post(&fake.begin);
	opts.timeout_ms = 60000;
	opts.error = text;
	opts.error_bytes = sizeof(text);
	error = ixy_attach(fake.path, &opts, &client);
	must(error == 0 || (error < 0 && error != -ETIMEDOUT && text[0] && !client));
	if (client)
		use_client(client);
	ixy_detach(client);
	fake_wait(&fake.end);
	fake_free(&fake);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct input in = {bytes, n};
	unsigned int what = input_pick(&in, 4), fds;

	if (what == 0) {
		check_lanes(&in);
		return 0;
	}
	if (what == 1) {
		check_header(&in);
		return 0;
	}
	if (!fake.path[0])
		fake_open(&fake);
	fds = open_fds();
	check_attach(&in);
	must(open_fds() == fds);
	return 0;
}
