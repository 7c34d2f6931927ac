/*
 * test_admission.c - law 5: who keeps everything it gets lowers neither what others were promised nor
 * their share; what n of them leave; and that all promises can be called in at once
 */
#include "tests/unit/rig.h"

#define SEED     0x5eed0000c0de0003u
#define NO_LIMIT 100000u /* only the threshold stands in the way */

static struct rig rig;

static unsigned int free_bufs(void)
{
	return rig.w->record.num_free;
}

/* Takes what lies in the rings and keeps it: the record alone knows what the client holds. */
static void hoard(struct rig_client *c)
{
	struct ixy_desc descs[64];

	while (ixy_rx_batch(&c->client, descs, 64) > 0)
		;
	while (ixy_alloc_batch(&c->client, descs, 64) > 0)
		;
}

/* @n frames for @c, who takes them from its ring; returns how many it got. */
static unsigned int offer(struct rig_client *c, unsigned int n)
{
	uint64_t before = c->server.counters[CLIENT_RX_PACKETS];

	rig_publish(&rig, 0, (struct rig_client *[]){c, NULL}, NULL);
	rig_receive(&rig, 0, n, 60, 1);
	hoard(c);
	return (unsigned int)(c->server.counters[CLIENT_RX_PACKETS] - before);
}

static struct rig_client *attach_hoarder(uint32_t min, uint32_t alloc)
{
	struct rig_client *c = rig_attach(&rig, 0, min, alloc);

	c->server.state->max_bufs = NO_LIMIT;
	return c;
}

/* -- what n hoarders leave ------------------------------------------------------------------------ */

/* They grow side by side: n + 1 equal parts of what was not promised, of which one is left. */
static void hoarders_together_leave_one_part_of_n_plus_one(void)
{
	for (unsigned int n = 1; n <= 6; n++) {
		struct rig_client *hoarders[6];
		unsigned int unpromised;

		rig_open(&rig);
		rig_attach(&rig, 0, 100, 0); /* promised, and never used */
		for (unsigned int i = 0; i < n; i++)
			hoarders[i] = attach_hoarder(8, 0);
		unpromised = RIG_BUFS - 100 - 8 * n;
		for (unsigned int round = 0; round < 2 * RIG_BUFS; round++)
			offer(hoarders[round % n], 1);
		for (unsigned int i = 0; i < n; i++)
			CHECK(hoarders[i]->server.state->held - 8 <= unpromised / (n + 1) + 1);
		CHECK(free_bufs() - 100 >= unpromised / (n + 1));
		CHECK(free_bufs() - 100 <= unpromised / (n + 1) + n);
		rig_verify(&rig);
		rig_close(&rig);
	}
}

/*
 * One after the other is worse, since nothing is taken from who has it: each halves what is left.
 * Nobody is below its minimum for that.
 */
static void hoarders_in_turn_each_leave_half(void)
{
	unsigned int unpromised = RIG_BUFS - 100 - 6 * 8, left = unpromised;
	struct rig_client *hoarders[6];

	rig_open(&rig);
	struct rig_client *modest = rig_attach(&rig, 0, 100, 0);
	for (unsigned int i = 0; i < 6; i++)
		hoarders[i] = attach_hoarder(8, 0);
	for (unsigned int i = 0; i < 6; i++) {
		for (unsigned int round = 0; round < RIG_BUFS; round++)
			offer(hoarders[i], 1);
		left = left / 2;
		CHECK(free_bufs() - 100 - 8 * (5 - i) >= left);
		CHECK(free_bufs() - 100 - 8 * (5 - i) <= left + i + 1);
	}
	CHECK_EQ(offer(modest, 32) + offer(modest, 32) + offer(modest, 32) + offer(modest, 4), 100);
	rig_verify(&rig);
	rig_close(&rig);
}

/* -- what others have of it ----------------------------------------------------------------------- */

enum keeper { BY_RX, BY_ALLOC, BY_LOAN, BY_COPY, KEEPERS };

/* A client that keeps all it can get in one of the ways there are. */
static struct rig_client *keep_everything(enum keeper how)
{
	struct rig_client *writer, *keeper;

	if (how == BY_RX || how == BY_ALLOC) {
		keeper = attach_hoarder(16, how == BY_ALLOC ? 32 : 0);
		for (unsigned int i = 0; i < RIG_BUFS; i++) {
			if (how == BY_RX)
				offer(keeper, 1);
			rig_collect(&rig, keeper);
			hoard(keeper);
		}
		return keeper;
	}
	keeper = rig_attach(&rig, QP_READONLY | QP_MONITOR, 16, 0);
	keeper->server.state->max_bufs = NO_LIMIT;
	writer = rig_attach(&rig, 0, 16, 0);
	rig_publish(&rig, 0, how == BY_COPY ? (struct rig_client *[]){writer, NULL} : NULL,
	            (struct rig_client *[]){keeper, NULL});
	for (unsigned int i = 0; i < RIG_BUFS; i++) {
		struct ixy_desc desc = {0};

		rig_receive(&rig, 0, 1, 60, 1);
		hoard(keeper);
		if (how == BY_COPY) {
			CHECK_EQ(ixy_rx_batch(&writer->client, &desc, 1), 1);
			ixy_free_batch(&writer->client, &desc, 1);
			rig_collect(&rig, writer);
		}
	}
	return keeper;
}

/* However one keeps its buffers, another has its minimum at any time and all at once. */
static void keeper_of_any_kind_leaves_the_minimum_of_others(void)
{
	for (int how = 0; how < KEEPERS; how++) {
		unsigned int got = 0;

		rig_open(&rig);
		struct rig_client *other = rig_attach(&rig, 0, 256, 0);
		struct rig_client *keeper = keep_everything((enum keeper)how);
		/* half of what was not promised, and its minimum */
		CHECK(keeper->server.state->held > 350 && keeper->server.state->held < 420);
		while (got < 256 && offer(other, 1))
			got++;
		CHECK_EQ(got, 256);
		CHECK_EQ(other->server.counters[CLIENT_RX_DROP_HELD], 0);
		rig_verify(&rig);
		rig_close(&rig);
	}
}

/* A client that gives back what it gets misses nothing, though it is above its minimum each time. */
static void keeper_of_any_kind_leaves_a_share_to_others(void)
{
	for (int how = 0; how < KEEPERS; how++) {
		struct ixy_desc descs[64];

		rig_open(&rig);
		struct rig_client *other = rig_attach(&rig, 0, 8, 0);
		struct rig_client *keeper = keep_everything((enum keeper)how);
		rig_publish(&rig, 0, (struct rig_client *[]){other, NULL}, NULL);
		for (int i = 0; i < 200; i++) {
			rig_receive(&rig, 0, 32, 60, 1);
			rig_receive(&rig, 0, 32, 60, 1);
			CHECK_EQ(ixy_rx_batch(&other->client, descs, 64), 64);
			ixy_free_batch(&other->client, descs, 64);
			rig_collect(&rig, other);
		}
		CHECK_EQ(other->server.counters[CLIENT_RX_DROP_HELD], 0);
		/* and when the keeper is gone, the whole share is there again */
		rig_reclaim(&rig, keeper);
		CHECK_EQ(free_bufs(), RIG_BUFS);
		rig_close(&rig);
	}
}

/* -- all promises at once ------------------------------------------------------------------------- */

static uint64_t random_state = SEED;

static uint32_t random_below(uint32_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state % n);
}

/* Gives back some of what is in hand: frees or sends, oldest first. */
static void give_back(struct rig_client *c, struct ixy_desc *hand, unsigned int *num)
{
	unsigned int n = *num ? random_below(*num < 200 ? *num + 1 : 200) : 0;
	int done;

	for (unsigned int i = 0; i < n; i++)
		hand[i].len = 60;
	done = random_below(2) ? ixy_tx_batch(&c->client, hand, n)
	                       : ixy_free_batch(&c->client, hand, n);
	*num -= (unsigned int)done;
	memmove(hand, hand + done, *num * sizeof(*hand));
}

static unsigned int take(struct rig_client *c, struct ixy_desc *hand)
{
	int n = ixy_rx_batch(&c->client, hand, 64);

	return (unsigned int)(n + ixy_alloc_batch(&c->client, hand + n, 64));
}

/* At any moment there is a free buffer for each that was promised and is not held. */
static void promises_under_random_traffic_stay_covered(void)
{
	enum { CLIENTS = 6 };
	static struct ixy_desc hands[CLIENTS][RIG_BUFS];
	struct rig_client *clients[CLIENTS];
	unsigned int num[CLIENTS] = {0}, above = 0;

	printf("    seed 0x%llx\n", (unsigned long long)SEED);
	rig_open(&rig);
	for (unsigned int i = 0; i < CLIENTS; i++)
		clients[i] = rig_attach(&rig, 0, 40 + 30 * i, i % 2 ? 32 : 0);
	for (unsigned int round = 0; round < 30000; round++) {
		unsigned int i = random_below(CLIENTS);

		if (random_below(2)) {
			rig_publish(&rig, 0, (struct rig_client *[]){clients[i], NULL}, NULL);
			rig_receive(&rig, 0, 1 + random_below(32), 60, 1);
		}
		if (num[i] <= RIG_BUFS - 128)
			num[i] += take(clients[i], hands[i] + num[i]);
		/* some are generous, some are not */
		if (random_below(CLIENTS) >= i)
			give_back(clients[i], hands[i], &num[i]);
		rig_collect(&rig, clients[i]);
		above += clients[i]->server.state->held > clients[i]->server.state->min_bufs;
		if (free_bufs() < rig.w->reserved_bufs) {
			printf("    round %u\n", round);
			CHECK(free_bufs() >= rig.w->reserved_bufs);
			break;
		}
	}
	CHECK(above > 3000); /* shares were lent, or nothing was tried */
	for (unsigned int i = 0; i < CLIENTS; i++)
		CHECK_EQ(clients[i]->server.violation, VIOLATION_NONE);
	/* now everybody wants its minimum, whatever the others have kept */
	for (unsigned int i = 0; i < CLIENTS; i++) {
		while (clients[i]->server.state->held < clients[i]->server.state->min_bufs &&
		       offer(clients[i], 1))
			;
		CHECK(clients[i]->server.state->held >= clients[i]->server.state->min_bufs);
	}
	CHECK_EQ(rig.w->reserved_bufs, 0);
	rig_verify(&rig);
	for (unsigned int i = 0; i < CLIENTS; i++)
		rig_reclaim(&rig, clients[i]);
	CHECK_EQ(free_bufs(), RIG_BUFS);
	rig_verify(&rig);
	rig_close(&rig);
}

int main(void)
{
	RUN(hoarders_together_leave_one_part_of_n_plus_one);
	RUN(hoarders_in_turn_each_leave_half);
	RUN(keeper_of_any_kind_leaves_the_minimum_of_others);
	RUN(keeper_of_any_kind_leaves_a_share_to_others);
	RUN(promises_under_random_traffic_stay_covered);
	return DONE();
}
