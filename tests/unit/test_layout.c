/* test_layout.c - what lane_check, header_check and region_check let through is safe to use */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "shm/lane.h"
#include "tests/unit/test.h"

#define SEED   0x1a7e00c0ffee0001u
#define ROUNDS 200000
#define DOWN   0
#define UP     1

static uint64_t random_state = SEED;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static uint64_t pick(const uint64_t *values, unsigned int n)
{
	return values[next_random() % n];
}

/* -- one field of a structure, by number ------------------------------------------------------- */

struct field {
	const char *name;
	size_t offset, bytes;
};

#define FIELD(type, member) #member, offsetof(type, member), sizeof(((type *)NULL)->member)
#define GEOMETRY(member)    FIELD(struct ixy_geometry, member)
#define HEADER(member)      FIELD(struct ixy_header, member)
#define REGION(member)      FIELD(struct ixy_region, member)
#define COUNT(array)        (sizeof(array) / sizeof((array)[0]))

static uint64_t get(const void *object, const struct field *field)
{
	uint64_t value = 0;

	memcpy(&value, (const char *)object + field->offset, field->bytes);
	return value;
}

static void set(void *object, const struct field *field, uint64_t value)
{
	memcpy((char *)object + field->offset, &value, field->bytes);
}

/*
 * What is worth putting into a field: borders of the integer types and of the limits, neighbours of
 * the right value, and products with 4, 16 or 64 that are small again modulo 2^32.
 */
static unsigned int interesting(uint64_t right, uint64_t *values)
{
	static const uint64_t fixed[] = {
		0,          1,          2,          3,          4,           7,
		8,          9,          12,         15,         16,          31,
		32,         33,         60,         63,         64,          65,
		128,        255,        256,        1216,       2047,        2048,
		2049,       4095,       4096,       4097,       6144,        8192,
		32768,      65535,      65536,      65537,      131072,      0xffffff,
		0x1000000,  0x1000001,  0x4000000,  0x10000000, 0x10000008,  0x1fffffff,
		0x20000000, 0x40000000, 0x40000008, 0x7fffffff, 0x80000000,  0xfffff000,
		0xffffff80, 0xffffffc0, 0xfffffff0, 0xffffffff, 0x100000000, UINT64_MAX - 63,
		UINT64_MAX,
	};
	static const int64_t steps[] = {-4096, -64, -32, -8, -4, -1, 1, 4, 8, 32, 64, 4096};
	unsigned int n = COUNT(fixed);

	memcpy(values, fixed, sizeof(fixed));
	for (unsigned int i = 0; i < COUNT(steps); i++)
		values[n++] = right + (uint64_t)steps[i];
	values[n++] = right * 2;
	values[n++] = right / 2;
	values[n++] = right + 0x100000000;
	values[n++] = ~right;
	return n;
}
#define MAX_INTERESTING 80

/* -- lanes ------------------------------------------------------------------------------------- */

static const struct field geometry_fields[] = {
	{GEOMETRY(magic)},           {GEOMETRY(abi_major)},    {GEOMETRY(abi_minor)},
	{GEOMETRY(down_bytes)},      {GEOMETRY(up_bytes)},     {GEOMETRY(down_index_offset)},
	{GEOMETRY(up_index_offset)}, {GEOMETRY(rx_offset)},    {GEOMETRY(rx_slots)},
	{GEOMETRY(grant_offset)},    {GEOMETRY(grant_slots)},  {GEOMETRY(tx_offset)},
	{GEOMETRY(tx_slots)},        {GEOMETRY(free_offset)},  {GEOMETRY(free_slots)},
	{GEOMETRY(counters_offset)}, {GEOMETRY(state_offset)},
};

/* Two lanes in memory: a byte is set where a part lies. Large enough for the largest rings. */
static unsigned char painted[2][65536 * 20 + 8192];

/* Claims bytes of a lane; false if they are misaligned, outside, or claimed already. */
static bool paint(unsigned int lane, uint64_t lane_bytes, uint64_t offset, uint64_t bytes)
{
	if (offset % 64)
		return false;
	for (uint64_t i = 0; i < bytes; i++) {
		if (offset + i >= lane_bytes || painted[lane][offset + i])
			return false;
		painted[lane][offset + i] = 1;
	}
	return true;
}

/* The fast path masks its indices: anything but a power of two would skip or repeat slots. */
static bool can_be_masked(uint32_t slots)
{
	return __builtin_popcount(slots) == 1 && slots >= 8 && slots <= 65536;
}

/* The independent judgement: every byte that the fast path may touch belongs to one part only. */
static bool geometry_is_safe(const struct ixy_geometry *g, uint64_t down, uint64_t up)
{
	if (down > sizeof(painted[DOWN]) || up > sizeof(painted[UP]) ||
	    !can_be_masked(g->rx_slots) || !can_be_masked(g->tx_slots) ||
	    !can_be_masked(g->free_slots) || (g->grant_slots && !can_be_masked(g->grant_slots)))
		return false;
	memset(painted[DOWN], 0, down);
	memset(painted[UP], 0, up);
	return paint(DOWN, down, 0, 64) && paint(DOWN, down, g->down_index_offset, 64) &&
	       paint(DOWN, down, g->counters_offset, 64) &&
	       (g->state_offset == 0 || paint(DOWN, down, g->state_offset, 64)) &&
	       paint(DOWN, down, g->rx_offset, 16ull * g->rx_slots) &&
	       paint(DOWN, down, g->grant_offset, 4ull * g->grant_slots) &&
	       paint(UP, up, g->up_index_offset, 64) &&
	       paint(UP, up, g->tx_offset, 16ull * g->tx_slots) &&
	       paint(UP, up, g->free_offset, 4ull * g->free_slots);
}

/* What is let through must be safe. Returns whether it was. */
static bool judge_geometry(const struct ixy_geometry *g, uint64_t down, uint64_t up,
                           const char *changed)
{
	const char *wrong = lane_check(g, down, up);
	bool ok = wrong || geometry_is_safe(g, down, up);

	if (!ok)
		printf("    let through, but not safe, after a change of %s\n", changed);
	CHECK(ok);
	if (!wrong) {
		CHECK_EQ(g->magic, IXY_LANE_MAGIC);
		CHECK_EQ(g->abi_major, IXY_ABI_MAJOR);
	}
	return !wrong;
}

static struct ixy_geometry geometry(uint32_t rx, uint32_t grant, uint32_t tx, uint32_t free_slots,
                                    uint32_t stagger)
{
	struct ixy_geometry g;

	memset(&g, 0xff, sizeof(g)); /* all of it is to be set */
	CHECK_EQ(lane_layout(&g, rx, grant, tx, free_slots, stagger), 0);
	return g;
}

static void layout_of_every_size_passes_the_check(void)
{
	static const uint32_t counts[] = {8, 16, 512, 65536};

	for (unsigned int i = 0; i < 4 * 4 * 4 * 5; i++) {
		uint32_t grant = i / 64 == 4 ? 0 : counts[i / 64];
		struct ixy_geometry g = geometry(counts[i % 4], grant, counts[i / 4 % 4],
		                                 counts[i / 16 % 4], i % 16);

		CHECK(lane_check(&g, g.down_bytes, g.up_bytes) == NULL);
		CHECK(geometry_is_safe(&g, g.down_bytes, g.up_bytes));
		CHECK_EQ(g.down_bytes % 4096, 0);
		CHECK_EQ(g.up_bytes % 4096, 0);
		CHECK_EQ(g.rx_slots, counts[i % 4]);
		CHECK_EQ(g.grant_slots, grant);
		CHECK_EQ(g.tx_slots, counts[i / 4 % 4]);
		CHECK_EQ(g.free_slots, counts[i / 16 % 4]);
		CHECK_EQ(g.state_offset, 64);
	}
}

/* So that the lines that a worker polls fall into different cache sets; nothing else moves. */
static void layout_stagger_moves_the_index_lines(void)
{
	for (uint32_t stagger = 0; stagger < 16; stagger++) {
		struct ixy_geometry g = geometry(64, 64, 64, 64, stagger);

		CHECK_EQ(g.down_index_offset, 128 + stagger * 64);
		CHECK_EQ(g.up_index_offset, 128 + stagger * 64);
		CHECK_EQ(g.counters_offset, g.down_index_offset + 64);
		CHECK_EQ(g.down_bytes, geometry(64, 64, 64, 64, 0).down_bytes);
	}
}

static void layout_bad_counts_are_refused(void)
{
	static const uint32_t bad[] = {1,     4,      7,          9,          12,        65535,
	                               65537, 131072, 0x10000000, 0x80000000, UINT32_MAX};
	struct ixy_geometry g;

	for (unsigned int i = 0; i < COUNT(bad); i++) {
		CHECK_EQ(lane_layout(&g, bad[i], 8, 8, 8, 0), -EINVAL);
		CHECK_EQ(lane_layout(&g, 8, bad[i], 8, 8, 0), -EINVAL);
		CHECK_EQ(lane_layout(&g, 8, 8, bad[i], 8, 0), -EINVAL);
		CHECK_EQ(lane_layout(&g, 8, 8, 8, bad[i], 0), -EINVAL);
	}
	CHECK_EQ(lane_layout(&g, 0, 8, 8, 8, 0), -EINVAL);
	CHECK_EQ(lane_layout(&g, 8, 8, 0, 8, 0), -EINVAL);
	CHECK_EQ(lane_layout(&g, 8, 8, 8, 0, 0), -EINVAL);
	CHECK_EQ(lane_layout(&g, 8, 8, 8, 8, 16), -EINVAL);
	CHECK_EQ(lane_layout(&g, 8, 8, 8, 8, UINT32_MAX), -EINVAL);
}

static void geometry_one_field_changed_is_refused_or_safe(void)
{
	const struct ixy_geometry bases[] = {
		geometry(8, 8, 8, 8, 0),        geometry(64, 0, 32, 16, 3),
		geometry(16, 64, 128, 512, 15), geometry(65536, 65536, 65536, 65536, 7),
		geometry(1024, 0, 8, 65536, 1),
	};
	unsigned int tried = 0, passed = 0;

	for (unsigned int b = 0; b < COUNT(bases); b++) {
		for (unsigned int f = 0; f < COUNT(geometry_fields); f++) {
			const struct field *field = &geometry_fields[f];
			uint64_t values[MAX_INTERESTING + COUNT(geometry_fields)];
			unsigned int n = interesting(get(&bases[b], field), values);

			/* where the other parts are, too: what overlaps them */
			for (unsigned int i = 0; i < COUNT(geometry_fields); i++)
				values[n++] = get(&bases[b], &geometry_fields[i]);
			for (unsigned int i = 0; i < n; i++, tried++) {
				struct ixy_geometry g = bases[b];

				set(&g, field, values[i]);
				passed += judge_geometry(&g, bases[b].down_bytes, bases[b].up_bytes,
				                         field->name);
			}
		}
	}
	printf("    %u of %u changed geometries are harmless\n", passed, tried);
	CHECK(passed > 0 && passed < tried / 2);
}

/* One of each kind of damage, with what is said about it. */
static void geometry_damage_is_named(void)
{
	static const struct {
		struct field field;
		uint64_t value;
		const char *wrong;
	} cases[] = {
		{{GEOMETRY(magic)}, 0, "wrong magic in a lane"},
		{{GEOMETRY(magic)}, IXY_HEADER_MAGIC, "wrong magic in a lane"},
		{{GEOMETRY(abi_major)}, 0, "the lane has another major version"},
		{{GEOMETRY(abi_major)}, 2, "the lane has another major version"},
		{{GEOMETRY(down_bytes)}, 8192, "the lane's size differs from what was announced"},
		{{GEOMETRY(up_bytes)}, 0, "the lane's size differs from what was announced"},
		{{GEOMETRY(down_index_offset)},
	         32,
	         "a part of a lane is not aligned to a cache line"},
		{{GEOMETRY(down_index_offset)}, 0, "two parts of a lane overlap"},
		{{GEOMETRY(down_index_offset)}, 0xffffffc0, "a part of a lane lies outside of it"},
		{{GEOMETRY(state_offset)}, 32, "a part of a lane is not aligned to a cache line"},
		{{GEOMETRY(state_offset)}, 128, "two parts of a lane overlap"},
		{{GEOMETRY(state_offset)}, 0xffffffc0, "a part of a lane lies outside of it"},
		{{GEOMETRY(up_index_offset)}, 1216, "two parts of a lane overlap"},
		{{GEOMETRY(rx_offset)}, 64, "two parts of a lane overlap"},
		{{GEOMETRY(rx_offset)}, 1217, "a part of a lane is not aligned to a cache line"},
		{{GEOMETRY(rx_slots)}, 0, "a ring's slot count is not a power of two in range"},
		{{GEOMETRY(rx_slots)}, 4, "a ring's slot count is not a power of two in range"},
		{{GEOMETRY(rx_slots)}, 24, "a ring's slot count is not a power of two in range"},
		{{GEOMETRY(rx_slots)},
	         0x10000000,
	         "a ring's slot count is not a power of two in range"},
		{{GEOMETRY(rx_slots)}, 2048, "a part of a lane lies outside of it"},
		{{GEOMETRY(grant_offset)}, 0xffffff00, "a part of a lane lies outside of it"},
		{{GEOMETRY(grant_offset)}, 1216, "two parts of a lane overlap"},
		{{GEOMETRY(grant_slots)},
	         0x40000000,
	         "a ring's slot count is not a power of two in range"},
		{{GEOMETRY(tx_offset)}, 0xfffffc00, "a part of a lane lies outside of it"},
		{{GEOMETRY(tx_slots)}, 7, "a ring's slot count is not a power of two in range"},
		{{GEOMETRY(free_offset)}, 1216, "two parts of a lane overlap"},
		{{GEOMETRY(free_slots)}, 0, "a ring's slot count is not a power of two in range"},
		{{GEOMETRY(counters_offset)}, 128, "two parts of a lane overlap"},
		{{GEOMETRY(counters_offset)}, 0x80000000, "a part of a lane lies outside of it"},
	};
	const struct ixy_geometry base = geometry(64, 64, 64, 64, 0);

	for (unsigned int i = 0; i < COUNT(cases); i++) {
		struct ixy_geometry g = base;
		uint64_t down = base.down_bytes, up = base.up_bytes;
		const char *wrong;

		set(&g, &cases[i].field, cases[i].value);
		wrong = lane_check(&g, down, up);
		if (!wrong || strcmp(wrong, cases[i].wrong))
			printf("    case %u: %s\n", i, wrong ? wrong : "let through");
		CHECK(wrong && strcmp(wrong, cases[i].wrong) == 0);
	}
}

/* The sizes that fstat(2) tells are 64 bits wide: no agreement of the lower half alone. */
static void geometry_other_memfd_size_is_refused(void)
{
	const struct ixy_geometry g = geometry(64, 64, 64, 64, 0);
	static const int64_t steps[] = {-4096, -1, 1, 4096, 0x100000000};

	for (unsigned int i = 0; i < COUNT(steps); i++) {
		CHECK(lane_check(&g, g.down_bytes + (uint64_t)steps[i], g.up_bytes));
		CHECK(lane_check(&g, g.down_bytes, g.up_bytes + (uint64_t)steps[i]));
	}
	CHECK(lane_check(&g, 0, g.up_bytes));
	CHECK(lane_check(&g, g.down_bytes, UINT64_MAX));
}

static void geometry_later_minor_version_passes(void)
{
	struct ixy_geometry g = geometry(64, 64, 64, 64, 0);

	g.abi_minor = IXY_ABI_MINOR + 1;
	CHECK(lane_check(&g, g.down_bytes, g.up_bytes) == NULL);
}

/* Before 1.2 there was no line for the state. */
static void geometry_earlier_minor_version_passes(void)
{
	struct ixy_geometry g = geometry(64, 64, 64, 64, 0);

	g.abi_minor = 1;
	g.state_offset = 0;
	CHECK(lane_check(&g, g.down_bytes, g.up_bytes) == NULL);
}

static void geometry_random_changes_are_refused_or_safe(void)
{
	const int before = test_failures;
	unsigned int passed = 0;

	printf("    seed 0x%llx\n", (unsigned long long)SEED);
	random_state = SEED;
	for (unsigned int round = 0; round < ROUNDS && test_failures == before; round++) {
		struct ixy_geometry g;
		uint64_t down, up, values[MAX_INTERESTING];

		CHECK_EQ(lane_layout(&g, 8u << next_random() % 4,
		                     next_random() % 4 ? 8u << next_random() % 4 : 0,
		                     8u << next_random() % 4, 8u << next_random() % 4,
		                     (uint32_t)next_random() % 16),
		         0);
		down = g.down_bytes;
		up = g.up_bytes;
		/* mostly 64-byte steps within the lanes: what has a chance to pass */
		for (uint64_t changes = 1 + next_random() % 4; changes > 0; changes--) {
			const struct field *field =
				&geometry_fields[next_random() % COUNT(geometry_fields)];
			unsigned int n = interesting(get(&g, field), values);

			if (next_random() % 3)
				set(&g, field, next_random() % 64 * 64);
			else
				set(&g, field, pick(values, n));
		}
		passed += judge_geometry(&g, down, up, "several fields");
	}
	printf("    %u of %u are harmless\n", passed, ROUNDS);
	CHECK(passed > ROUNDS / 1000 && passed < ROUNDS / 2);
}

/* -- header ------------------------------------------------------------------------------------ */

static const struct field header_fields[] = {
	{HEADER(magic)},
	{HEADER(abi_major)},
	{HEADER(abi_minor)},
	{HEADER(header_bytes)},
	{HEADER(region_offset)},
	{HEADER(region_count)},
	{HEADER(region_entry_bytes)},
	{HEADER(port_offset)},
	{HEADER(port_count)},
	{HEADER(port_entry_bytes)},
	{HEADER(worker_offset)},
	{HEADER(worker_count)},
	{HEADER(worker_entry_bytes)},
	{HEADER(instance)},
	{HEADER(server_pid)},
	{HEADER(reserved0)},
	{HEADER(alive)},
};

#define HEADER_MAPPED 16384

static struct ixy_header sound_header(void)
{
	struct ixy_header h = {
		.magic = IXY_HEADER_MAGIC,
		.abi_major = IXY_ABI_MAJOR,
		.abi_minor = IXY_ABI_MINOR,
		.header_bytes = sizeof(h),
		.region_offset = offsetof(struct ixy_header, regions),
		.region_count = 1,
		.region_entry_bytes = sizeof(struct ixy_region),
		.port_offset = offsetof(struct ixy_header, ports),
		.port_count = 3,
		.port_entry_bytes = sizeof(struct ixy_port),
		.worker_offset = offsetof(struct ixy_header, workers),
		.worker_count = 2,
		.worker_entry_bytes = sizeof(struct ixy_worker_word),
		.name = "main",
	};

	return h;
}

/*
 * Every entry lies in the mapping. Tables may overlap: a client only reads them, and what it reads
 * there it treats as a peer's data.
 */
static bool table_is_safe(uint32_t offset, uint32_t count, uint32_t stride, size_t entry,
                          uint32_t max, uint64_t mapped)
{
	if (count > max || stride < entry || offset % 8 || stride % 8)
		return false;
	for (unsigned __int128 i = 0; i < count; i++)
		if ((unsigned __int128)offset + i * stride + entry > mapped)
			return false;
	return true;
}

static bool header_is_safe(const struct ixy_header *h, uint64_t mapped)
{
	return h->header_bytes <= mapped &&
	       table_is_safe(h->region_offset, h->region_count, h->region_entry_bytes, 64, 8,
	                     mapped) &&
	       table_is_safe(h->port_offset, h->port_count, h->port_entry_bytes, 128, 64, mapped) &&
	       table_is_safe(h->worker_offset, h->worker_count, h->worker_entry_bytes, 64, 32,
	                     mapped);
}

static bool judge_header(const struct ixy_header *h, uint64_t mapped, const char *changed)
{
	char text[160];
	const char *wrong = header_check(h, mapped, text, sizeof(text));
	bool ok = wrong || (header_is_safe(h, mapped) && h->magic == IXY_HEADER_MAGIC &&
	                    h->abi_major == IXY_ABI_MAJOR);

	if (!ok)
		printf("    let through, but not safe, after a change of %s\n", changed);
	CHECK(ok);
	return !wrong;
}

static void header_one_field_changed_is_refused_or_safe(void)
{
	static const uint32_t bytes[] = {sizeof(struct ixy_header), HEADER_MAPPED};
	const struct ixy_header base = sound_header();
	unsigned int tried = 0, passed = 0;

	for (unsigned int f = 0; f < COUNT(header_fields) * 2; f++) {
		const struct field *field = &header_fields[f / 2];
		uint64_t values[MAX_INTERESTING];
		unsigned int n = interesting(get(&base, field), values);

		for (unsigned int i = 0; i < n; i++, tried++) {
			struct ixy_header h = base;

			set(&h, field, values[i]);
			passed += judge_header(&h, bytes[f % 2], field->name);
		}
	}
	printf("    %u of %u changed headers are harmless\n", passed, tried);
	CHECK(passed > 0 && passed < tried / 2);
}

static void header_full_tables_pass_and_one_more_does_not(void)
{
	struct ixy_header h = sound_header();
	char text[160];

	h.region_count = IXY_MAX_REGIONS;
	h.port_count = IXY_MAX_PORTS;
	h.worker_count = IXY_MAX_WORKERS;
	CHECK(header_check(&h, sizeof(h), text, sizeof(text)) == NULL);
	for (unsigned int i = 0; i < 3; i++) {
		struct ixy_header more = h;

		*(i == 0   ? &more.region_count
		  : i == 1 ? &more.port_count
		           : &more.worker_count) += 1;
		CHECK(header_check(&more, HEADER_MAPPED, text, sizeof(text)));
	}
}

/* A later minor version may append: a larger header and larger entries; the known part is read. */
static void header_larger_entries_pass(void)
{
	struct ixy_header h = sound_header();
	char text[160];

	h.abi_minor = 9;
	h.header_bytes = 12000;
	h.port_offset = 11000;
	h.port_entry_bytes = 320;
	CHECK(header_check(&h, 12000, text, sizeof(text)) == NULL);
	h.port_entry_bytes =
		344; /* the third one ends beyond the header, though inside the memfd */
	CHECK(header_check(&h, HEADER_MAPPED, text, sizeof(text)));
}

/* Copies of exact size, so that a sanitizer sees a read behind the end. */
static void header_too_short_is_refused_unread(void)
{
	const struct ixy_header base = sound_header();
	char text[160];

	for (size_t bytes = 0; bytes < sizeof(base); bytes += bytes < 256 ? 1 : 61) {
		void *copy = malloc(bytes ? bytes : 1);

		if (!copy)
			abort();
		memcpy(copy, &base, bytes);
		CHECK(header_check(copy, bytes, text, sizeof(text)));
		free(copy);
	}
}

static void header_other_version_is_refused_with_both(void)
{
	static const uint16_t majors[] = {0, IXY_ABI_MAJOR + 1, 777, UINT16_MAX};
	char ours[32], theirs[32], text[160], narrow[12];

	snprintf(ours, sizeof(ours), "%u.%u", IXY_ABI_MAJOR, IXY_ABI_MINOR);
	for (unsigned int i = 0; i < COUNT(majors); i++) {
		struct ixy_header h = sound_header();
		const char *wrong;

		h.abi_major = majors[i];
		h.abi_minor = 4321;
		h.header_bytes = 1; /* another version may differ in all the rest */
		snprintf(theirs, sizeof(theirs), "%u.4321", majors[i]);
		wrong = header_check(&h, sizeof(h), text, sizeof(text));
		CHECK(wrong && strstr(wrong, theirs) && strstr(wrong, ours));
		memset(narrow, 'x', sizeof(narrow));
		wrong = header_check(&h, sizeof(h), narrow, sizeof(narrow));
		CHECK(wrong && strlen(wrong) < sizeof(narrow));
	}
}

static void header_random_changes_are_refused_or_safe(void)
{
	const int before = test_failures;
	unsigned int passed = 0;

	printf("    seed 0x%llx\n", (unsigned long long)SEED);
	random_state = SEED;
	for (unsigned int round = 0; round < ROUNDS && test_failures == before; round++) {
		struct ixy_header h = sound_header();
		uint64_t values[MAX_INTERESTING];
		uint64_t mapped = next_random() % 2 ? HEADER_MAPPED : sizeof(h);

		for (uint64_t changes = 1 + next_random() % 3; changes > 0; changes--) {
			const struct field *field =
				&header_fields[next_random() % COUNT(header_fields)];
			unsigned int n = interesting(get(&h, field), values);

			set(&h, field,
			    next_random() % 2 ? next_random() % 1400 * 8 : pick(values, n));
		}
		passed += judge_header(&h, mapped, "several fields");
	}
	printf("    %u of %u are harmless\n", passed, ROUNDS);
	CHECK(passed > ROUNDS / 1000 && passed < ROUNDS / 2);
}

/* -- regions ----------------------------------------------------------------------------------- */

static const struct field region_fields[] = {
	{REGION(id)},         {REGION(kind)},      {REGION(size_bytes)},
	{REGION(page_bytes)}, {REGION(buf_bytes)}, {REGION(num_bufs)},
};

static const struct ixy_region sound_regions[] = {
	{.kind = 1,
         .size_bytes = 4 << 20,
         .page_bytes = 2 << 20,
         .buf_bytes = 2048,
         .num_bufs = 2048},
	{.id = 7,
         .kind = 1,
         .size_bytes = 12288,
         .page_bytes = 4096,
         .buf_bytes = 4096,
         .num_bufs = 2},
	{.kind = 1,
         .size_bytes = 1ull << 39,
         .page_bytes = 1ull << 30,
         .buf_bytes = 32768,
         .num_bufs = 1u << 24},
};

/* Every buffer that has an id lies in the memory, and in one page of it. */
static bool region_is_safe(const struct ixy_region *r, uint64_t bytes)
{
	return r->kind == IXY_REGION_POOL && r->id < 8 && r->num_bufs >= 1 &&
	       r->num_bufs - 1 <= IXY_BUF_INDEX_MASK && r->buf_bytes >= 2048 &&
	       r->buf_bytes <= 32768 && __builtin_popcount(r->buf_bytes) == 1 &&
	       (unsigned __int128)r->num_bufs * r->buf_bytes <= bytes &&
	       __builtin_popcountll(r->page_bytes) == 1 && r->page_bytes % r->buf_bytes == 0 &&
	       bytes % r->page_bytes == 0;
}

static void region_one_field_changed_is_refused_or_safe(void)
{
	unsigned int tried = 0, passed = 0;

	for (unsigned int b = 0; b < COUNT(sound_regions) * COUNT(region_fields); b++) {
		const struct ixy_region *base = &sound_regions[b / COUNT(region_fields)];
		const struct field *field = &region_fields[b % COUNT(region_fields)];
		uint64_t values[MAX_INTERESTING];
		unsigned int n = interesting(get(base, field), values);

		CHECK(region_check(base, base->size_bytes) == NULL);
		CHECK(region_check(base, base->size_bytes - 1));
		CHECK(region_check(base, base->size_bytes + base->page_bytes));
		for (unsigned int i = 0; i < n; i++, tried++) {
			struct ixy_region r = *base;

			set(&r, field, values[i]);
			if (region_check(&r, base->size_bytes))
				continue;
			if (!region_is_safe(&r, base->size_bytes))
				printf("    let through, but not safe: %s = %llu\n", field->name,
				       (unsigned long long)values[i]);
			CHECK(region_is_safe(&r, base->size_bytes));
			passed++;
		}
	}
	printf("    %u of %u changed regions are harmless\n", passed, tried);
	CHECK(passed > 0 && passed < tried / 2);
}

static void region_random_changes_are_refused_or_safe(void)
{
	const int before = test_failures;
	unsigned int passed = 0;

	printf("    seed 0x%llx\n", (unsigned long long)SEED);
	random_state = SEED;
	for (unsigned int round = 0; round < ROUNDS && test_failures == before; round++) {
		struct ixy_region r = sound_regions[next_random() % COUNT(sound_regions)];
		uint64_t values[MAX_INTERESTING], bytes = r.size_bytes;

		for (uint64_t changes = 1 + next_random() % 3; changes > 0; changes--) {
			const struct field *field =
				&region_fields[next_random() % COUNT(region_fields)];
			unsigned int n = interesting(get(&r, field), values);

			set(&r, field,
			    next_random() % 2 ? 1ull << next_random() % 40 : pick(values, n));
		}
		/* sometimes the memfd is as large as the region says */
		if (next_random() % 2)
			bytes = r.size_bytes;
		if (region_check(&r, bytes) == NULL) {
			CHECK(region_is_safe(&r, bytes));
			passed++;
		}
	}
	printf("    %u of %u are harmless\n", passed, ROUNDS);
	CHECK(passed > ROUNDS / 1000 && passed < ROUNDS / 2);
}

int main(void)
{
	RUN(layout_of_every_size_passes_the_check);
	RUN(layout_stagger_moves_the_index_lines);
	RUN(layout_bad_counts_are_refused);
	RUN(geometry_one_field_changed_is_refused_or_safe);
	RUN(geometry_damage_is_named);
	RUN(geometry_other_memfd_size_is_refused);
	RUN(geometry_later_minor_version_passes);
	RUN(geometry_earlier_minor_version_passes);
	RUN(geometry_random_changes_are_refused_or_safe);
	RUN(header_one_field_changed_is_refused_or_safe);
	RUN(header_full_tables_pass_and_one_more_does_not);
	RUN(header_larger_entries_pass);
	RUN(header_too_short_is_refused_unread);
	RUN(header_other_version_is_refused_with_both);
	RUN(header_random_changes_are_refused_or_safe);
	RUN(region_one_field_changed_is_refused_or_safe);
	RUN(region_random_changes_are_refused_or_safe);
	return DONE();
}
