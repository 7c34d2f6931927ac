/* lane.h - layout of a queue pair's lanes: computed by the server, validated by the client */
#ifndef SHM_LANE_H
#define SHM_LANE_H

#include <stddef.h>
#include <stdint.h>

#include <ixy/abi.h>

/*
 * lane_layout - fills @geometry for rings of the given slot counts
 *
 * Counts are powers of two between IXY_MIN_RING_SLOTS and IXY_MAX_RING_SLOTS; grant_slots may be 0.
 * @stagger (0 to 15) moves the index lines by that many cache lines, so that the lines that a worker
 * polls do not all fall into the same cache set. Returns 0, or -EINVAL for a bad count.
 */
int lane_layout(struct ixy_geometry *geometry, uint32_t rx_slots, uint32_t grant_slots,
                uint32_t tx_slots, uint32_t free_slots, uint32_t stagger);

/*
 * lane_check - validates a geometry that came from another process
 *
 * @down_bytes and @up_bytes are the sizes of the two memfds as fstat(2) says. Checks magic, major
 * version, counts, alignment, that everything lies inside (sums in 64 bits) and that nothing
 * overlaps. Returns NULL when it is sound, else a static sentence that says what is wrong.
 */
const char *lane_check(const struct ixy_geometry *geometry, uint64_t down_bytes, uint64_t up_bytes);

/*
 * header_check - validates the header of a segment, of which @bytes are mapped
 *
 * Returns NULL, or a sentence in @text (of @text_bytes) which, for a version mismatch, names both.
 */
const char *header_check(const struct ixy_header *header, uint64_t bytes, char *text,
                         size_t text_bytes);

/*
 * region_check - validates one entry of the region table against @bytes, the size of its memfd
 */
const char *region_check(const struct ixy_region *region, uint64_t bytes);

#endif
