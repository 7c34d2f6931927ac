/* lane.c - layout of lanes, header and regions; pure functions over numbers */
#include "shm/lane.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define PAGE_BYTES   4096u
#define STATE_OFFSET 64u  /* behind the geometry */
#define INDEX_OFFSET 128u /* in the up lane as well, where nothing is before it */
#define MAX_STAGGER  16u

static bool is_power_of_two(uint64_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

static bool is_slot_count(uint32_t slots)
{
	return is_power_of_two(slots) && slots >= IXY_MIN_RING_SLOTS && slots <= IXY_MAX_RING_SLOTS;
}

static uint32_t align(uint32_t n, uint32_t to)
{
	return (n + to - 1) & ~(to - 1);
}

int lane_layout(struct ixy_geometry *geometry, uint32_t rx_slots, uint32_t grant_slots,
                uint32_t tx_slots, uint32_t free_slots, uint32_t stagger)
{
	/* the first ring follows the area in which the index lines are staggered */
	const uint32_t rings = INDEX_OFFSET + (MAX_STAGGER + 1) * IXY_CACHE_LINE;
	uint32_t line = INDEX_OFFSET + stagger * IXY_CACHE_LINE;

	if (!is_slot_count(rx_slots) || !is_slot_count(tx_slots) || !is_slot_count(free_slots) ||
	    (grant_slots != 0 && !is_slot_count(grant_slots)) || stagger >= MAX_STAGGER)
		return -EINVAL;
	memset(geometry, 0, sizeof(*geometry));
	geometry->magic = IXY_LANE_MAGIC;
	geometry->abi_major = IXY_ABI_MAJOR;
	geometry->abi_minor = IXY_ABI_MINOR;

	geometry->state_offset = STATE_OFFSET;
	geometry->down_index_offset = line;
	geometry->counters_offset = line + IXY_CACHE_LINE;
	geometry->rx_slots = rx_slots;
	geometry->rx_offset = rings;
	geometry->grant_slots = grant_slots;
	geometry->grant_offset = rings + rx_slots * (uint32_t)sizeof(struct ixy_desc);
	geometry->down_bytes = align(
		geometry->grant_offset + grant_slots * (uint32_t)sizeof(uint32_t), PAGE_BYTES);

	geometry->up_index_offset = line;
	geometry->tx_slots = tx_slots;
	geometry->tx_offset = rings;
	geometry->free_slots = free_slots;
	geometry->free_offset = rings + tx_slots * (uint32_t)sizeof(struct ixy_desc);
	geometry->up_bytes =
		align(geometry->free_offset + free_slots * (uint32_t)sizeof(uint32_t), PAGE_BYTES);
	return 0;
}

/* A half-open interval of bytes within a lane. */
struct extent {
	uint64_t begin, end;
};

static struct extent extent(uint32_t offset, uint64_t bytes)
{
	struct extent e = {offset, (uint64_t)offset + bytes};

	return e;
}

static const char *check_extents(const struct extent *extents, unsigned int n, uint64_t lane_bytes)
{
	for (unsigned int i = 0; i < n; i++) {
		if (extents[i].begin % IXY_CACHE_LINE)
			return "a part of a lane is not aligned to a cache line";
		if (extents[i].end > lane_bytes)
			return "a part of a lane lies outside of it";
		for (unsigned int k = 0; k < i; k++)
			if (extents[i].begin < extents[k].end && extents[k].begin < extents[i].end)
				return "two parts of a lane overlap";
	}
	return NULL;
}

const char *lane_check(const struct ixy_geometry *g, uint64_t down_bytes, uint64_t up_bytes)
{
	const char *wrong;

	if (g->magic != IXY_LANE_MAGIC)
		return "wrong magic in a lane";
	if (g->abi_major != IXY_ABI_MAJOR)
		return "the lane has another major version";
	if (g->down_bytes != down_bytes || g->up_bytes != up_bytes)
		return "the lane's size differs from what was announced";
	if (!is_slot_count(g->rx_slots) || !is_slot_count(g->tx_slots) ||
	    !is_slot_count(g->free_slots) ||
	    (g->grant_slots != 0 && !is_slot_count(g->grant_slots)))
		return "a ring's slot count is not a power of two in range";

	const struct extent down[] = {
		extent(0, sizeof(*g)),
		/* a server of version 1.1 has none */
		extent(g->state_offset, g->state_offset ? sizeof(struct ixy_down_state) : 0),
		extent(g->down_index_offset, sizeof(struct ixy_down_index)),
		extent(g->counters_offset, sizeof(struct ixy_down_counters)),
		extent(g->rx_offset, (uint64_t)g->rx_slots * sizeof(struct ixy_desc)),
		extent(g->grant_offset, (uint64_t)g->grant_slots * sizeof(uint32_t)),
	};
	const struct extent up[] = {
		extent(g->up_index_offset, sizeof(struct ixy_up_index)),
		extent(g->tx_offset, (uint64_t)g->tx_slots * sizeof(struct ixy_desc)),
		extent(g->free_offset, (uint64_t)g->free_slots * sizeof(uint32_t)),
	};

	wrong = check_extents(down, sizeof(down) / sizeof(down[0]), down_bytes);
	return wrong ? wrong : check_extents(up, sizeof(up) / sizeof(up[0]), up_bytes);
}

static bool table_fits(uint32_t offset, uint32_t count, uint32_t entry, uint32_t min_entry,
                       uint64_t bytes)
{
	return entry >= min_entry && entry % 8 == 0 && offset % 8 == 0 &&
	       (uint64_t)offset + (uint64_t)count * entry <= bytes;
}

const char *header_check(const struct ixy_header *h, uint64_t bytes, char *text, size_t text_bytes)
{
	if (bytes < sizeof(*h))
		return "the header is too short";
	if (h->magic != IXY_HEADER_MAGIC)
		return "wrong magic in the header";
	if (h->abi_major != IXY_ABI_MAJOR) {
		snprintf(text, text_bytes,
		         "the server's shared memory has version %u.%u, this library speaks %u.%u",
		         h->abi_major, h->abi_minor, IXY_ABI_MAJOR, IXY_ABI_MINOR);
		return text;
	}
	if (h->header_bytes < sizeof(*h) || h->header_bytes > bytes)
		return "the header's size is wrong";
	if (h->region_count > IXY_MAX_REGIONS || h->port_count > IXY_MAX_PORTS ||
	    h->worker_count > IXY_MAX_WORKERS)
		return "a table in the header has too many entries";
	if (!table_fits(h->region_offset, h->region_count, h->region_entry_bytes,
	                sizeof(struct ixy_region), h->header_bytes) ||
	    !table_fits(h->port_offset, h->port_count, h->port_entry_bytes, sizeof(struct ixy_port),
	                h->header_bytes) ||
	    !table_fits(h->worker_offset, h->worker_count, h->worker_entry_bytes,
	                sizeof(struct ixy_worker_word), h->header_bytes))
		return "a table lies outside of the header";
	return NULL;
}

const char *region_check(const struct ixy_region *r, uint64_t bytes)
{
	if (r->kind != IXY_REGION_POOL || r->id >= IXY_MAX_REGIONS)
		return "unknown kind of region";
	if (!is_power_of_two(r->page_bytes) || r->page_bytes < PAGE_BYTES)
		return "a region's page size is not a power of two";
	if (r->size_bytes == 0 || r->size_bytes % r->page_bytes || r->size_bytes != bytes)
		return "a region's size is wrong";
	if (!is_power_of_two(r->buf_bytes) || r->buf_bytes < IXY_MIN_BUF_BYTES ||
	    r->buf_bytes > IXY_MAX_BUF_BYTES || r->buf_bytes > r->page_bytes)
		return "a region's buffer size is wrong";
	if (r->num_bufs == 0 || r->num_bufs > IXY_MAX_REGION_BUFS ||
	    (uint64_t)r->num_bufs * r->buf_bytes > r->size_bytes)
		return "a region's number of buffers is wrong";
	return NULL;
}
