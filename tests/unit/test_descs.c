/*
 * test_descs.c - bursts of descriptors: in and out of rings, and the checks of several at a time beside one
 * that looks at each; then the same through the whole data path
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "server/dataplane/descs.h"
#include "tests/unit/rig.h"

#define SEED   0x0b0f0000feed0011u
#define ROUNDS 200000

static uint64_t random_state = SEED;

/* xorshift64 */
static uint64_t random_number(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* -- the rules once more, in words of their own ------------------------------------------------ */

static bool is_sound(const struct ixy_desc *d, uint16_t port, const struct desc_limits *limits)
{
	const int64_t buf = d->buf, begin = d->offset, len = d->len;

	return buf < (int64_t)limits->num_bufs && begin >= 64 && len >= 1 &&
	       begin + len <= (int64_t)limits->buf_bytes && len >= (int64_t)limits->min_bytes &&
	       len <= (int64_t)limits->max_bytes && d->port == port && (d->flags & 0xff80) == 0;
}

/* What each way says of a burst must be what the rules say. Returns that. */
static bool compare(const struct ixy_desc *descs, uint32_t n, uint16_t port,
                    const struct desc_limits *limits)
{
	uint64_t sum = 0, bytes = 0;
	bool sound = true;

	for (uint32_t i = 0; i < n; i++) {
		sound &= is_sound(&descs[i], port, limits);
		sum += descs[i].len;
	}
	CHECK_EQ(descs_sound_plain(descs, n, port, limits), sound);
	CHECK_EQ(descs_sound(descs, n, port, limits, &bytes), sound);
	if (sound)
		CHECK_EQ(bytes, sum);
	CHECK_EQ(descs_bytes(descs, n), sum);
	return sound;
}

static const struct desc_limits many_limits[] = {
	{1024, 2048, 14, 1514},          {1, 2048, 1, 2048},
	{1u << 24, 16384, 60, 9000},     {65536, 32768, 1, 32768},
	{65537, 4096, 0, 4096},          {3, 2048, 60, 60},
	{1u << 31, 16384, 1, 16384},     {UINT32_MAX, 2048, 1, 2048},
	{1024, 32766, 1, 40000},         {1024, 32767, 1, 65535},
	{1024, 65535, 1, 65535},         {1024, 65536, 1, 65536},
	{1024, 2048, 70000, UINT32_MAX}, {1024, 2048, 32768, 40000},
	{1024, 16384, 1, UINT32_MAX},    {0, 2048, 1, 1514},
};

#define NUM_LIMITS (sizeof(many_limits) / sizeof(many_limits[0]))

/* Just below, at, and just above each limit, and where signs and halves of a word change. */
static uint16_t edge16(const struct desc_limits *l, uint32_t offset)
{
	const uint32_t at[] = {0,
	                       1,
	                       64,
	                       l->min_bytes,
	                       l->max_bytes,
	                       l->buf_bytes,
	                       l->buf_bytes - offset,
	                       l->buf_bytes - 64,
	                       0x7fff,
	                       0x8000,
	                       0xffff};

	return (uint16_t)(at[random_number() % (sizeof(at) / sizeof(at[0]))] + random_number() % 3 -
	                  1);
}

static uint32_t edge32(const struct desc_limits *l)
{
	const uint32_t at[] = {0,          l->num_bufs, l->num_bufs | 0x80000000,
	                       0xffff,     0x7fffffff,  0x80000000,
	                       0xffffffff, 1u << 24,    l->num_bufs / 2};

	return at[random_number() % (sizeof(at) / sizeof(at[0]))] +
	       (uint32_t)(random_number() % 3) - 1;
}

/* A sound one, if there can be one. */
static struct ixy_desc good(const struct desc_limits *l, uint16_t port)
{
	uint32_t least = l->min_bytes ? l->min_bytes : 1;
	uint32_t most = l->max_bytes < l->buf_bytes - 64 ? l->max_bytes : l->buf_bytes - 64;
	uint32_t len =
		most > least ? least + (uint32_t)(random_number() % (most - least + 1)) : least;
	uint32_t room = l->buf_bytes - 64 - len;

	if (len > 0xffff)
		len = 0xffff;
	return (struct ixy_desc){
		.buf = l->num_bufs ? (uint32_t)(random_number() % l->num_bufs) : 0,
		.offset = (uint16_t)(64 + (room < 0x10000 ? random_number() % (room + 1) : 0)),
		.len = (uint16_t)len,
		.port = port,
		.flags = (uint16_t)(random_number() & IXY_DESC_TX_ALLOWED),
		.meta = (uint32_t)random_number(),
	};
}

static void descs_sound_random_bursts_agree_with_the_rules(void)
{
	unsigned int sound = 0, unsound = 0;

	for (unsigned int round = 0; round < ROUNDS && test_failures == 0; round++) {
		const struct desc_limits *l = &many_limits[random_number() % NUM_LIMITS];
		uint16_t port = (uint16_t)(random_number() % 3 ? random_number() : 0);
		uint32_t n = (uint32_t)(random_number() % 65),
			 bad = (uint32_t)(random_number() % 3);
		struct ixy_desc descs[64];

		for (uint32_t i = 0; i < n; i++)
			descs[i] = good(l, port);
		for (; n && bad; bad--) {
			struct ixy_desc *d = &descs[random_number() % n];

			switch (random_number() % 5) {
			case 0:
				d->buf = edge32(l);
				break;
			case 1:
				d->offset = edge16(l, d->len);
				break;
			case 2:
				d->len = edge16(l, d->offset);
				break;
			case 3:
				d->port ^= (uint16_t)(1u << random_number() % 16);
				break;
			default:
				d->flags ^= (uint16_t)(1u << random_number() % 16);
			}
		}
		if (compare(descs, n, port, l))
			sound++;
		else
			unsound++;
	}
	printf("    %u bursts were sound, %u not\n", sound, unsound);
	CHECK(sound > ROUNDS / 4 && unsound > ROUNDS / 4);
}

/* What is wrong with one descriptor only by one. */
enum fault {
	FAULT_NONE,
	FAULT_BUF,
	FAULT_BUF_NEGATIVE,
	FAULT_OFFSET,
	FAULT_EMPTY,
	FAULT_SHORT,
	FAULT_LONG,
	FAULT_END,
	FAULT_FLAG,
	FAULT_LAST_FLAG,
	NUM_FAULTS,
};

/* At a limit, and with @fault beyond it; @least, @most: of the port. */
static void spoil(struct ixy_desc *d, enum fault fault, uint32_t num_bufs, uint16_t least,
                  uint16_t most, bool beyond)
{
	const uint16_t by = beyond;

	switch (fault) {
	case FAULT_BUF:
		d->buf = num_bufs - 1 + by;
		break;
	case FAULT_BUF_NEGATIVE:
		d->buf |= beyond ? 0x80000000 : 0;
		break;
	case FAULT_OFFSET:
		d->offset = (uint16_t)(64 - by);
		break;
	case FAULT_EMPTY:
		d->len = beyond ? 0 : least;
		break;
	case FAULT_SHORT:
		d->len = (uint16_t)(least - by);
		break;
	case FAULT_LONG:
		d->len = (uint16_t)(most + by);
		break;
	case FAULT_END:
		d->offset = (uint16_t)(2048 - d->len + by);
		break;
	case FAULT_FLAG:
		d->flags = beyond ? 0x0080 : 0x0040;
		break;
	case FAULT_LAST_FLAG:
		d->flags = beyond ? 0x8000 : 0;
		break;
	default:
		break;
	}
}

static void descs_sound_each_limit_by_one_at_each_place_is_seen(void)
{
	const struct desc_limits limits = {1000, 2048, 14, 1600};

	for (uint32_t n = 1; n <= 33; n++) {
		for (uint32_t at = 0; at < n; at++) {
			for (int fault = FAULT_NONE + 1; fault < NUM_FAULTS; fault++) {
				struct ixy_desc descs[33];

				for (uint32_t i = 0; i < n; i++)
					descs[i] = (struct ixy_desc){i, 256, 60, 5, 0, 0};
				spoil(&descs[at], fault, 1000, 14, 1600, false);
				CHECK(compare(descs, n, 5, &limits));
				spoil(&descs[at], fault, 1000, 14, 1600, true);
				CHECK(!compare(descs, n, 5, &limits));
			}
		}
	}
}

static void descs_put_and_get_wrap_around_the_ring(void)
{
	for (uint32_t at = UINT32_MAX - 40; at != 40; at++) {
		for (uint32_t n = 0; n <= 16; n++) {
			struct ixy_desc ring[16], in[16], out[18];

			memset(ring, 0x55, sizeof(ring));
			memset(out, 0x66, sizeof(out));
			for (uint32_t i = 0; i < n; i++)
				in[i] = (struct ixy_desc){at, (uint16_t)n, (uint16_t)i, 1, 2, 3};
			descs_put(ring, 16, at, in, n);
			for (uint32_t i = 0; i < 16; i++) {
				if (i < n)
					CHECK_EQ(ring[(at + i) % 16].len, i);
				else
					CHECK_EQ(ring[(at + i) % 16].len, 0x5555);
			}
			descs_get(out + 1, ring, 16, at, n);
			CHECK(memcmp(out + 1, in, n * sizeof(in[0])) == 0);
			CHECK(out[0].buf == 0x66666666 && out[n + 1].buf == 0x66666666);
		}
	}
}

/* -- through the data path --------------------------------------------------------------------- */

static struct rig rig;

/* A client that has @n frames, numbered in meta, each to be sent by port 0. */
static struct rig_client *begin(struct ixy_desc *descs, unsigned int n)
{
	struct rig_client *c;

	rig_open(&rig);
	c = rig_attach(&rig, 0, 64, 0);
	rig_publish(&rig, 0, (struct rig_client *[]){c, NULL}, NULL);
	rig_receive(&rig, 0, n, 100, 0x22);
	CHECK_EQ(ixy_rx_batch(&c->client, descs, n), n);
	for (unsigned int i = 0; i < n; i++)
		descs[i].meta = i;
	return c;
}

static void end(struct rig_client *c)
{
	rig_reclaim(&rig, c);
	CHECK_EQ(rig.w->record.num_free, RIG_BUFS);
	CHECK_EQ(rig.w->reserved_bufs, 0);
	rig_verify(&rig);
	rig_close(&rig);
}

static void burst_with_a_fault_at_each_place_is_sent_up_to_there(void)
{
	/* the port's limits are no violation; the others are */
	static const enum violation wanted[] = {
		[FAULT_BUF] = VIOLATION_BUFFER,      [FAULT_BUF_NEGATIVE] = VIOLATION_BUFFER,
		[FAULT_OFFSET] = VIOLATION_BOUNDS,   [FAULT_EMPTY] = VIOLATION_BOUNDS,
		[FAULT_END] = VIOLATION_BOUNDS,      [FAULT_FLAG] = VIOLATION_FLAGS,
		[FAULT_LAST_FLAG] = VIOLATION_FLAGS,
	};

	for (unsigned int at = 0; at < 32; at++) {
		for (int fault = FAULT_NONE; fault < NUM_FAULTS; fault++) {
			struct ixy_desc descs[32];
			struct rig_client *c = begin(descs, 32);
			const bool left_out = fault == FAULT_SHORT || fault == FAULT_LONG;
			unsigned int sent = wanted[fault] ? at : left_out ? 31 : 32;

			spoil(&descs[at], fault, RIG_BUFS, 14, 1600, true);
			CHECK_EQ(ixy_tx_batch(&c->client, descs, 32), 32);
			rig_collect(&rig, c);
			CHECK_EQ(c->server.violation, wanted[fault]);
			CHECK_EQ(rig.num_sent, sent);
			for (unsigned int i = 0; i < sent; i++)
				CHECK_EQ(rig.sent[i].meta, i + (left_out && i >= at));
			CHECK_EQ(c->server.counters[CLIENT_TX_PACKETS], sent);
			CHECK_EQ(c->server.counters[CLIENT_TX_BYTES], 100 * sent);
			CHECK_EQ(rig.w->port_counters[0][PORT_TX_BYTES], 100 * sent);
			CHECK_EQ(rig.w->port_counters[0][PORT_TX_BAD], left_out);
			end(c);
		}
	}
}

static void burst_with_a_buffer_of_others_at_each_place_is_sent_up_to_there(void)
{
	for (unsigned int at = 0; at < 32; at++) {
		for (unsigned int twice = 0; twice < 2 && (at || !twice); twice++) {
			struct ixy_desc descs[32];
			struct rig_client *c = begin(descs, 32);
			uint32_t buf = descs[0].buf, own = descs[at].buf;

			if (!twice)
				buf = rig.w->record.free_stack[0];
			descs[at].buf = buf;
			CHECK_EQ(ixy_tx_batch(&c->client, descs, 32), 32);
			rig_collect(&rig, c);
			CHECK_EQ(c->server.violation, VIOLATION_HOLDER);
			CHECK_EQ(rig.num_sent, at);
			CHECK_EQ(c->server.counters[CLIENT_TX_BYTES], 100 * at);
			CHECK_EQ(rig.w->record.holder[buf], HOLDER_FREE);
			CHECK_EQ(rig.w->record.holder[own], c->server.state->holder);
			end(c);
		}
	}
}

static void burst_for_two_ports_goes_to_each_in_order(void)
{
	for (unsigned int at = 0; at <= 32; at++) {
		for (unsigned int again = at; again <= 32; again++) {
			struct ixy_desc descs[32];
			struct rig_client *c = begin(descs, 32);

			for (unsigned int i = 0; i < 32; i++)
				descs[i].port = i >= at && i < again;
			CHECK_EQ(ixy_tx_batch(&c->client, descs, 32), 32);
			rig_collect(&rig, c);
			CHECK_EQ(rig.num_sent, 32);
			for (unsigned int i = 0; i < 32; i++)
				CHECK(rig.sent[i].meta == i && rig.sent[i].port == descs[i].port);
			CHECK_EQ(rig.w->port_counters[1][PORT_TX_PACKETS], again - at);
			CHECK_EQ(rig.w->port_counters[0][PORT_TX_BYTES], 100 * (32 - again + at));
			end(c);
		}
	}
}

static void burst_of_verdicts_for_two_ports_goes_to_each_in_order(void)
{
	for (unsigned int at = 0; at <= 32; at++) {
		struct ixy_desc descs[32];

		rig_open(&rig);
		struct rig_client *c = rig_attach(&rig, QP_READONLY, 64, 0);
		rig_publish(&rig, 0, (struct rig_client *[]){c, NULL}, NULL);
		rig_receive(&rig, 0, 32, 100, 0x22);
		CHECK_EQ(ixy_rx_batch(&c->client, descs, 32), 32);
		for (unsigned int i = 0; i < 32; i++)
			descs[i].port = i >= at;
		CHECK_EQ(ixy_tx_batch(&c->client, descs, 32), 32);
		rig_collect(&rig, c);
		CHECK_EQ(rig.num_sent, 32);
		CHECK_EQ(rig.w->port_counters[0][PORT_TX_PACKETS], at);
		CHECK_EQ(rig.w->port_counters[1][PORT_TX_PACKETS], 32 - at);
		end(c);
	}
}

static void burst_for_a_port_with_little_room_is_sent_up_to_there(void)
{
	for (unsigned int room = 1; room < 32; room++) {
		struct ixy_desc descs[32];
		struct rig_client *c = begin(descs, 32);

		CHECK_EQ(ixy_tx_batch(&c->client, descs, 32), 32);
		rig.room = room;
		rig_collect(&rig, c);
		CHECK_EQ(rig.num_sent, room);
		CHECK_EQ(c->server.counters[CLIENT_TX_BYTES], 100 * room);
		rig.room = 32;
		rig_collect(&rig, c);
		CHECK_EQ(rig.num_sent, 32);
		CHECK_EQ(rig.sent[room].meta, room);
		end(c);
	}
}

int main(void)
{
	RUN(descs_sound_each_limit_by_one_at_each_place_is_seen);
	RUN(descs_sound_random_bursts_agree_with_the_rules);
	RUN(descs_put_and_get_wrap_around_the_ring);
	RUN(burst_with_a_fault_at_each_place_is_sent_up_to_there);
	RUN(burst_with_a_buffer_of_others_at_each_place_is_sent_up_to_there);
	RUN(burst_for_two_ports_goes_to_each_in_order);
	RUN(burst_of_verdicts_for_two_ports_goes_to_each_in_order);
	RUN(burst_for_a_port_with_little_room_is_sent_up_to_there);
	return DONE();
}
