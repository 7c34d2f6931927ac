/* test_vfio_ranges.c - which addresses devices can say: the kernel's answer taken apart, and searched */
#include <linux/vfio.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "server/pci/vfio.h"
#include "tests/unit/test.h"

#define GIB          (1ull << 30)
#define CAP_OTHER    2 /* VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION and the like */
#define INFO_BYTES   sizeof(struct vfio_iommu_type1_info)
#define RANGES_BYTES sizeof(struct vfio_iommu_type1_info_cap_iova_range)

/* What VFIO_IOMMU_GET_INFO gives: info, then capabilities anywhere. */
struct answer {
	union {
		struct vfio_iommu_type1_info info;
		unsigned char bytes[2048];
	};
	size_t n;
};

static void answer_begin(struct answer *a, size_t n)
{
	memset(a, 0, sizeof(*a));
	a->n = n;
	a->info.argsz = (uint32_t)n;
	a->info.flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
}

static void put_header(struct answer *a, size_t at, uint16_t id, uint32_t next)
{
	struct vfio_info_cap_header header = {.id = id, .version = 1, .next = next};

	memcpy(a->bytes + at, &header, sizeof(header));
}

/* The capability of ranges at @at, which says that it has @claimed of them, and has @n. */
static void put_ranges(struct answer *a, size_t at, uint32_t next, uint32_t claimed,
                       const struct vfio_range *ranges, unsigned int n)
{
	struct vfio_iommu_type1_info_cap_iova_range cap = {
		.header = {VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, 1, next}, .nr_iovas = claimed};

	memcpy(a->bytes + at, &cap, sizeof(cap));
	for (unsigned int i = 0; i < n; i++) {
		struct vfio_iova_range range = {ranges[i].first, ranges[i].last};

		memcpy(a->bytes + at + sizeof(cap) + i * sizeof(range), &range, sizeof(range));
	}
}

static bool parse(const struct answer *a, struct vfio_container *c)
{
	memset(c, 0, sizeof(*c));
	return vfio_parse_ranges(c, a->bytes, a->n);
}

/* Around the interrupt window, as a PC has them. */
static const struct vfio_range pc[] = {{0, 0xfedfffff}, {0xfef00000, (1ull << 39) - 1}};

static void answer_with_ranges_behind_another_capability_gives_them(void)
{
	struct vfio_container c;
	struct answer a;

	answer_begin(&a, 512);
	a.info.cap_offset = INFO_BYTES;
	put_header(&a, INFO_BYTES, CAP_OTHER, 100); /* at no multiple of anything */
	put_ranges(&a, 100, 0, 2, pc, 2);
	CHECK(parse(&a, &c));
	CHECK_EQ(c.num_ranges, 2);
	CHECK_EQ(c.ranges[0].first, 0);
	CHECK_EQ(c.ranges[0].last, 0xfedfffff);
	CHECK_EQ(c.ranges[1].first, 0xfef00000);
	CHECK_EQ(c.ranges[1].last, (1ull << 39) - 1);
}

static void answer_without_the_capability_leaves_all_valid(void)
{
	struct vfio_container c;
	struct answer a;

	answer_begin(&a, INFO_BYTES);
	CHECK(parse(&a, &c)); /* no chain at all */
	CHECK_EQ(c.num_ranges, 0);
	answer_begin(&a, 64);
	a.info.cap_offset = INFO_BYTES;
	put_header(&a, INFO_BYTES, CAP_OTHER, 0);
	CHECK(parse(&a, &c));
	CHECK_EQ(c.num_ranges, 0);
	/* before Linux 5.4: what stands in cap_offset means nothing */
	a.info.flags = VFIO_IOMMU_INFO_PGSIZES;
	a.info.cap_offset = 0xfffffff0;
	CHECK(parse(&a, &c));
	CHECK(vfio_range_valid(&c, 1ull << 63, 1ull << 63));
}

static void answer_that_ends_where_its_ranges_end_gives_them(void)
{
	size_t n = INFO_BYTES + RANGES_BYTES + 2 * sizeof(struct vfio_iova_range);
	struct vfio_container c;
	struct answer a;

	answer_begin(&a, n);
	a.info.cap_offset = INFO_BYTES;
	put_ranges(&a, INFO_BYTES, 0, 2, pc, 2);
	CHECK(parse(&a, &c));
	CHECK_EQ(c.num_ranges, 2);
	a.n--;
	CHECK(!parse(&a, &c));
}

/* -- answers that make no sense ------------------------------------------------------------------- */

static void chain_that_goes_back_is_refused(void)
{
	struct vfio_container c;
	struct answer a;

	answer_begin(&a, 512);
	a.info.cap_offset = 64;
	put_ranges(&a, 64, 64, 2, pc, 2); /* to itself */
	CHECK(!parse(&a, &c));
	put_header(&a, 64, CAP_OTHER, 128);
	put_ranges(&a, 128, 64, 2, pc, 2); /* in a circle */
	CHECK(!parse(&a, &c));
	put_ranges(&a, 128, 4, 2, pc, 2); /* into what is no capability */
	CHECK(!parse(&a, &c));
	a.info.cap_offset = 4;
	CHECK(!parse(&a, &c));
}

static void capability_beyond_the_end_is_refused(void)
{
	static const uint32_t offsets[] = {505, 512, 513, 0x7fffffff, 0xfffffff8, 0xffffffff};
	struct vfio_container c;
	struct answer a;

	for (unsigned int i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		answer_begin(&a, 512);
		a.info.cap_offset = offsets[i];
		CHECK(!parse(&a, &c));
		a.info.cap_offset = 64;
		put_ranges(&a, 64, offsets[i], 2, pc, 2);
		CHECK(!parse(&a, &c));
	}
	/* the header is inside, its count is not */
	answer_begin(&a, 512);
	a.info.cap_offset = 504;
	put_header(&a, 504, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, 0);
	CHECK(!parse(&a, &c));
	/* not even all of what comes first */
	answer_begin(&a, 512);
	a.info.flags = 0;
	CHECK(parse(&a, &c));
	for (size_t n = 0; n < INFO_BYTES; n++) {
		a.n = n;
		CHECK(!parse(&a, &c));
	}
}

static void count_of_ranges_that_is_not_there_is_refused(void)
{
	static const uint32_t counts[] = {0, 28, 1u << 28, 0x10000001, 0xffffffff};
	struct vfio_container c;
	struct answer a;

	for (unsigned int i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		answer_begin(&a, 512); /* there is room for 27 at 64 */
		a.info.cap_offset = 64;
		put_ranges(&a, 64, 0, counts[i], pc, 2);
		CHECK(!parse(&a, &c));
	}
	put_ranges(&a, 64, 0, 27, pc, 2);
	CHECK(parse(&a, &c));
}

/* More than we keep: those that are not kept are not valid, the others are. */
static void more_ranges_than_are_kept_are_cut(void)
{
	struct vfio_range many[VFIO_MAX_RANGES + 8];
	struct vfio_container c;
	struct answer a;

	for (unsigned int i = 0; i < VFIO_MAX_RANGES + 8; i++)
		many[i] = (struct vfio_range){(i + 1) * GIB, (i + 1) * GIB + 0xffff};
	answer_begin(&a, sizeof(a.bytes));
	a.info.cap_offset = 64;
	put_ranges(&a, 64, 1024, VFIO_MAX_RANGES + 8, many, VFIO_MAX_RANGES + 8);
	put_ranges(&a, 1024, 0, 1, pc, 1); /* and another capability of them */
	CHECK(parse(&a, &c));
	CHECK_EQ(c.num_ranges, VFIO_MAX_RANGES);
	CHECK(vfio_range_valid(&c, VFIO_MAX_RANGES * GIB, 0x10000));
	CHECK(!vfio_range_valid(&c, (VFIO_MAX_RANGES + 1) * GIB, 1));
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* In memory that ends where the answer ends: a sanitizer sees what reaches beyond it. */
static void any_bytes_are_parsed_within_them(void)
{
	uint64_t state = 0x9e3779b97f4a7c15ull;
	unsigned int accepted = 0, refused = 0;

	for (unsigned int round = 0; round < 200000; round++) {
		size_t n = next_random(&state) % 160;
		unsigned char *bytes = malloc(n ? n : 1);
		struct vfio_container c = {0};

		for (size_t i = 0; i < n; i++) /* small numbers: chains that lead somewhere */
			bytes[i] = next_random(&state) % 4 ? 0 : (unsigned char)(state >> 8) & 0x3f;
		if (n >= INFO_BYTES)
			((struct vfio_iommu_type1_info *)(void *)bytes)->flags |=
				VFIO_IOMMU_INFO_CAPS;
		if (vfio_parse_ranges(&c, bytes, n))
			accepted++;
		else
			refused++;
		CHECK(c.num_ranges <= n / sizeof(struct vfio_iova_range));
		free(bytes);
	}
	CHECK(accepted > 1000 && refused > 1000); /* it was no use otherwise */
}

/* -- asking ----------------------------------------------------------------------------------------- */

static void range_is_valid_if_all_of_it_is_in_one(void)
{
	struct vfio_container c = {.num_ranges = 2, .ranges = {pc[0], pc[1]}};

	CHECK(vfio_range_valid(&c, 0, 1));
	CHECK(vfio_range_valid(&c, 0, 0xfee00000));
	CHECK(!vfio_range_valid(&c, 0, 0xfee00001));
	CHECK(!vfio_range_valid(&c, 0xfee00000, 1));
	CHECK(!vfio_range_valid(&c, 0xfedfffff, 2));
	CHECK(!vfio_range_valid(&c, 0xfeefffff, 2));
	CHECK(vfio_range_valid(&c, 0xfef00000, (1ull << 39) - 0xfef00000));
	CHECK(!vfio_range_valid(&c, 0xfef00000, (1ull << 39) - 0xfef00000 + 1));
	CHECK(!vfio_range_valid(&c, 4 * GIB, 0));
	CHECK(!vfio_range_valid(&(struct vfio_container){0}, 0, 0));
	/* from one valid address round to another */
	CHECK(!vfio_range_valid(&c, 4 * GIB, UINT64_MAX - 4 * GIB + 3));
	CHECK(!vfio_range_valid(&c, UINT64_MAX, 2));
}

static void range_at_the_top_of_64_bits_is_valid(void)
{
	struct vfio_container c = {.num_ranges = 1, .ranges = {{1ull << 63, UINT64_MAX}}};

	CHECK(vfio_range_valid(&c, 1ull << 63, 1ull << 63));
	CHECK(vfio_range_valid(&c, UINT64_MAX, 1));
	CHECK(!vfio_range_valid(&c, (1ull << 63) - 1, 2));
}

static void range_upside_down_holds_nothing(void)
{
	struct vfio_container c = {.num_ranges = 1, .ranges = {{8 * GIB, 4 * GIB}}};

	CHECK(!vfio_range_valid(&c, 4 * GIB, 1));
	CHECK(!vfio_range_valid(&c, 6 * GIB, 1));
	CHECK(!vfio_range_valid(&c, 8 * GIB, 1));
	CHECK_EQ(vfio_find_range(&c, 4 * GIB, 4096, 4096), 0);
}

/* Overlapping ranges are what each of them says; what needs both is not taken. */
static void ranges_that_overlap_are_looked_at_one_by_one(void)
{
	struct vfio_container c = {.num_ranges = 2,
	                           .ranges = {{4 * GIB, 8 * GIB - 1}, {6 * GIB, 10 * GIB - 1}}};

	CHECK(vfio_range_valid(&c, 5 * GIB, 3 * GIB));
	CHECK(vfio_range_valid(&c, 7 * GIB, 3 * GIB));
	CHECK(!vfio_range_valid(&c, 5 * GIB, 4 * GIB));
	CHECK_EQ(vfio_find_range(&c, 4 * GIB + 1, 4 * GIB, 4096), 6 * GIB);
}

static void place_is_the_lowest_that_is_aligned(void)
{
	const uint64_t huge = 2ull << 20;
	struct vfio_container none = {0};
	struct vfio_container c = {
		.num_ranges = 3,
		.ranges = {{64 * GIB, 65 * GIB}, {0, 5 * GIB - 1}, {6 * GIB + 4096, 8 * GIB - 1}}};

	CHECK_EQ(vfio_find_range(&none, 4 * GIB, 100 * GIB, huge), 4 * GIB);
	CHECK_EQ(vfio_find_range(&none, 4 * GIB + 1, GIB, huge), 4 * GIB + huge);
	CHECK_EQ(vfio_find_range(&c, 4 * GIB, GIB, huge), 4 * GIB);
	CHECK_EQ(vfio_find_range(&c, 4 * GIB + 1, GIB, huge), 6 * GIB + huge);
	CHECK_EQ(vfio_find_range(&c, 4 * GIB, 2 * GIB - huge, huge), 6 * GIB + huge);
	CHECK_EQ(vfio_find_range(&c, 4 * GIB, 2 * GIB - huge + 1, huge), 0);
	CHECK_EQ(vfio_find_range(&c, 7 * GIB + 1, GIB, GIB), 64 * GIB);
	/* a range that began before @from is no way back */
	CHECK_EQ(vfio_find_range(&c, 66 * GIB, 4096, 4096), 0);
}

static void place_near_the_end_of_64_bits_does_not_wrap(void)
{
	struct vfio_container c = {.num_ranges = 1, .ranges = {{UINT64_MAX - 100, UINT64_MAX}}};
	struct vfio_container all = {0};

	CHECK_EQ(vfio_find_range(&c, 4 * GIB, 10, 4096), 0);
	CHECK_EQ(vfio_find_range(&all, UINT64_MAX - 100, 10, 4096), 0);
	CHECK_EQ(vfio_find_range(&all, UINT64_MAX - 4095, 4097, 4096), 0);
	CHECK_EQ(vfio_find_range(&all, UINT64_MAX - 4095, 4096, 4096), UINT64_MAX - 4095);
}

int main(void)
{
	RUN(answer_with_ranges_behind_another_capability_gives_them);
	RUN(answer_without_the_capability_leaves_all_valid);
	RUN(answer_that_ends_where_its_ranges_end_gives_them);
	RUN(chain_that_goes_back_is_refused);
	RUN(capability_beyond_the_end_is_refused);
	RUN(count_of_ranges_that_is_not_there_is_refused);
	RUN(more_ranges_than_are_kept_are_cut);
	RUN(any_bytes_are_parsed_within_them);
	RUN(range_is_valid_if_all_of_it_is_in_one);
	RUN(range_at_the_top_of_64_bits_is_valid);
	RUN(range_upside_down_holds_nothing);
	RUN(ranges_that_overlap_are_looked_at_one_by_one);
	RUN(place_is_the_lowest_that_is_aligned);
	RUN(place_near_the_end_of_64_bits_does_not_wrap);
	return DONE();
}
