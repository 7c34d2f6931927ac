/* test_indirection.c - which member gets which hash: even shares, as few changes as can be */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "server/control/publish.h"
#include "tests/unit/test.h"

#define SEED    0x1d1ec7ed51070005u
#define MEMBERS 400 /* more than there are slots */
#define ROUNDS  3000

static struct qp qps[MEMBERS];
static struct qp *slots[INDIRECTION_SLOTS];
static uint64_t random_state;

static unsigned int below(unsigned int n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned int)(random_state >> 16) % n;
}

struct group {
	unsigned int num;
	struct qp *members[MEMBERS];
};

static struct group first_members(unsigned int num)
{
	struct group group = {.num = num};

	for (unsigned int i = 0; i < num; i++)
		group.members[i] = &qps[i];
	return group;
}

static struct group without(const struct group *group, unsigned int at)
{
	struct group rest = *group;

	rest.num--;
	memmove(rest.members + at, rest.members + at + 1, (rest.num - at) * sizeof(struct qp *));
	return rest;
}

static unsigned int share_of(const struct qp *member)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < INDIRECTION_SLOTS; i++)
		n += slots[i] == member;
	return n;
}

/*
 * The fewest entries that have to change until the shares of @group are even: 256 less those that
 * can stay. A member may keep what it has up to the small share, and as many members as get the
 * large one keep one more.
 */
static unsigned int fewest_changes(const struct group *group)
{
	unsigned int num = group->num < INDIRECTION_SLOTS ? group->num : INDIRECTION_SLOTS;
	unsigned int small = INDIRECTION_SLOTS / num, large_shares = INDIRECTION_SLOTS % num;
	unsigned int stay = 0;

	for (unsigned int i = 0; i < num; i++) {
		unsigned int has = share_of(group->members[i]);

		stay += has < small ? has : small;
		if (has > small && large_shares > 0) {
			stay++;
			large_shares--;
		}
	}
	return INDIRECTION_SLOTS - stay;
}

/* Updates the slots for @group; they must be even, and change as little as can be. */
static unsigned int update(const struct group *group)
{
	struct qp *before[INDIRECTION_SLOTS];
	unsigned int fewest = fewest_changes(group), changes = 0, given = 0;

	memcpy(before, slots, sizeof(slots));
	indirection_update(slots, group->members, group->num);
	for (unsigned int i = 0; i < group->num; i++) {
		unsigned int share = share_of(group->members[i]);

		if (i < INDIRECTION_SLOTS) {
			unsigned int num =
				group->num < INDIRECTION_SLOTS ? group->num : INDIRECTION_SLOTS;

			CHECK(share == INDIRECTION_SLOTS / num ||
			      (share == INDIRECTION_SLOTS / num + 1 && INDIRECTION_SLOTS % num));
		} else {
			CHECK_EQ(share, 0);
		}
		given += share;
	}
	CHECK_EQ(given, INDIRECTION_SLOTS); /* all entries are a member's */
	for (unsigned int i = 0; i < INDIRECTION_SLOTS; i++)
		changes += slots[i] != before[i];
	CHECK_EQ(changes, fewest);
	return changes;
}

static void begin(unsigned int num)
{
	struct group group = first_members(num);

	memset(slots, 0, sizeof(slots));
	CHECK_EQ(update(&group), INDIRECTION_SLOTS);
}

static void indirection_any_number_of_members_has_even_shares(void)
{
	for (unsigned int num = 1; num <= INDIRECTION_SLOTS; num++)
		begin(num);
}

static void indirection_more_members_than_slots_serves_the_first(void)
{
	for (unsigned int num = INDIRECTION_SLOTS + 1; num <= MEMBERS; num += 13) {
		begin(num);
		for (unsigned int i = 0; i < num; i++)
			CHECK_EQ(share_of(&qps[i]), i < INDIRECTION_SLOTS);
	}
}

static void indirection_no_members_empties_all(void)
{
	begin(5);
	indirection_update(slots, NULL, 0);
	for (unsigned int i = 0; i < INDIRECTION_SLOTS; i++)
		CHECK(slots[i] == NULL);
	indirection_update(slots, NULL, 0);
	for (unsigned int i = 0; i < INDIRECTION_SLOTS; i++)
		CHECK(slots[i] == NULL);
}

static void indirection_same_members_change_nothing(void)
{
	for (unsigned int num = 1; num <= INDIRECTION_SLOTS; num += 7) {
		struct group group = first_members(num);

		begin(num);
		CHECK_EQ(update(&group), 0);
		/* another order is the same group: sessions are a list that is built at its head */
		for (unsigned int i = 0; i < num / 2; i++) {
			struct qp *swap = group.members[i];

			group.members[i] = group.members[num - 1 - i];
			group.members[num - 1 - i] = swap;
		}
		CHECK_EQ(update(&group), 0);
	}
}

/* A newcomer takes its share and nobody else's flows move. */
static void indirection_join_moves_one_share(void)
{
	for (unsigned int num = 1; num < INDIRECTION_SLOTS; num++) {
		struct group more = first_members(num + 1);

		begin(num);
		CHECK_EQ(update(&more), INDIRECTION_SLOTS / (num + 1));
		CHECK_EQ(share_of(&qps[num]), INDIRECTION_SLOTS / (num + 1));
	}
}

/* What the leaver had is spread over the others; their flows stay where they are. */
static void indirection_leave_moves_the_leavers_share(void)
{
	for (unsigned int num = 2; num <= INDIRECTION_SLOTS; num += num < 20 ? 1 : 17) {
		for (unsigned int leaver = 0; leaver < num; leaver += num < 20 ? 1 : 11) {
			struct group group = first_members(num), rest = without(&group, leaver);
			unsigned int had;

			begin(num);
			had = share_of(&qps[leaver]);
			CHECK_EQ(update(&rest), had);
		}
	}
}

/* Members beyond the 256th wait; when one of the others leaves, its entry is the next one's. */
static void indirection_waiting_member_moves_up(void)
{
	struct group group = first_members(300), rest;

	begin(300);
	rest = without(&group, 100);
	CHECK_EQ(update(&rest), 1);
	CHECK_EQ(share_of(&qps[256]), 1);
}

static void indirection_random_joins_and_leaves_move_the_fewest(void)
{
	const int before = test_failures;
	bool is_member[MEMBERS] = {false};

	printf("    seed 0x%llx\n", (unsigned long long)SEED);
	random_state = SEED;
	begin(1);
	for (unsigned int round = 0; round < ROUNDS && test_failures == before; round++) {
		/* mostly small groups, and several changes at a time */
		unsigned int most = round % 10 ? 12 : MEMBERS;
		struct group group = {.num = 0};

		for (unsigned int i = 0; i < MEMBERS; i++) {
			if (i >= most)
				is_member[i] = false;
			else if (below(most) < 3)
				is_member[i] = !is_member[i];
			if (is_member[i])
				group.members[group.num++] = &qps[i];
		}
		for (unsigned int i = group.num; i > 1; i--) {
			unsigned int k = below(i);
			struct qp *swap = group.members[k];

			group.members[k] = group.members[i - 1];
			group.members[i - 1] = swap;
		}
		if (group.num)
			update(&group);
		else
			indirection_update(slots, group.members, 0);
	}
}

int main(void)
{
	RUN(indirection_any_number_of_members_has_even_shares);
	RUN(indirection_more_members_than_slots_serves_the_first);
	RUN(indirection_no_members_empties_all);
	RUN(indirection_same_members_change_nothing);
	RUN(indirection_join_moves_one_share);
	RUN(indirection_leave_moves_the_leavers_share);
	RUN(indirection_waiting_member_moves_up);
	RUN(indirection_random_joins_and_leaves_move_the_fewest);
	return DONE();
}
