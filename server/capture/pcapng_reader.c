/*
 * pcapng_reader.c - pcapng blocks -> frames: sections, interfaces, three kinds of frame blocks
 *
 * Every block says its length at both ends. One that we do not know is skipped by that, one that
 * we know is looked at only once all of it is in the buffer and both lengths agree. Section numbers
 * are those of draft-ietf-opsawg-pcapng.
 */
#include <inttypes.h>

#include "server/capture/bytes.h"
#include "server/capture/formats.h"
#include "server/capture/reader_state.h"

/* The block at the reader's position. */
struct block {
	uint64_t offset;
	uint32_t type;
	uint32_t bytes; /* all of it */
};

static uint64_t pad4(uint32_t n)
{
	return ((uint64_t)n + 3) & ~UINT64_C(3);
}

/* A section header tells its byte order, which may differ from that of the section before. */
static int peek_byte_order(struct capture_reader *reader, uint64_t offset)
{
	const unsigned char *h = capture_input_need(&reader->in, 12);

	if (!h)
		return reader_fail(reader, offset,
		                   "cut: a section header begins, %zu bytes are "
		                   "there",
		                   capture_input_left(&reader->in));
	reader->big = bytes_get32(h + 8, true) == PCAPNG_BYTE_ORDER;
	if (!reader->big && bytes_get32(h + 8, false) != PCAPNG_BYTE_ORDER)
		return reader_fail(reader, offset + 8, "malformed: no byte-order magic");
	return 0;
}

/* Type and length of the next block: 1, 0 at the end of the file, or -1. */
static int peek_block(struct capture_reader *reader, struct block *block)
{
	const unsigned char *h = capture_input_need(&reader->in, 8);

	block->offset = capture_input_offset(&reader->in);
	if (!h && !reader->in.error && capture_input_left(&reader->in) == 0)
		return 0;
	if (!h)
		return reader_fail(reader, block->offset,
		                   "cut: a block begins, %zu bytes are there",
		                   capture_input_left(&reader->in));
	/* this type is the same in both byte orders */
	if (bytes_get32(h, false) == PCAPNG_SECTION) {
		if (peek_byte_order(reader, block->offset) < 0)
			return -1;
		h = capture_input_need(&reader->in, 8);
	}
	block->type = bytes_get32(h, reader->big);
	block->bytes = bytes_get32(h + 4, reader->big);
	if (block->bytes < PCAPNG_MIN_BYTES || block->bytes % 4)
		return reader_fail(reader, block->offset + 4,
		                   "malformed: a block of %u bytes; they have 12 or more, in "
		                   "fours",
		                   block->bytes);
	return 1;
}

static int block_cut(struct capture_reader *reader, const struct block *block)
{
	return reader_fail(reader, block->offset,
	                   "cut: a block of type 0x%x has %u bytes; the file ends before",
	                   block->type, block->bytes);
}

static int check_trailer(struct capture_reader *reader, const struct block *block,
                         const unsigned char *trailer)
{
	uint32_t bytes = bytes_get32(trailer, reader->big);

	if (bytes == block->bytes)
		return 0;
	return reader_fail(reader, block->offset + block->bytes - 4,
	                   "malformed: the block says %u bytes at its begin and %u at its end",
	                   block->bytes, bytes);
}

/* The whole block, at least @min bytes, checked at both ends; or NULL and a failure. */
static const unsigned char *whole_block(struct capture_reader *reader, const struct block *block,
                                        uint32_t min)
{
	if (block->bytes < min) {
		reader_fail(reader, block->offset + 4,
		            "malformed: a block of type 0x%x has %u bytes; it needs %u",
		            block->type, block->bytes, min);
		return NULL;
	}
	if (block->bytes > CAPTURE_INPUT_BYTES) {
		reader_fail(reader, block->offset + 4,
		            "a block of type 0x%x has %u bytes; at most %u are supported",
		            block->type, block->bytes, CAPTURE_INPUT_BYTES);
		return NULL;
	}
	const unsigned char *h = capture_input_need(&reader->in, block->bytes);
	if (!h) {
		block_cut(reader, block);
		return NULL;
	}
	return check_trailer(reader, block, h + block->bytes - 4) < 0 ? NULL : h;
}

/* Section 4.1. The section's length is not needed: the next header shows itself. */
static int read_section(struct capture_reader *reader, const struct block *block)
{
	const unsigned char *h = whole_block(reader, block, PCAPNG_SECTION_BYTES);

	if (!h)
		return -1;
	unsigned int major = bytes_get16(h + 12, reader->big);
	if (major != PCAPNG_VERSION_MAJOR)
		return reader_fail(reader, block->offset + 12,
		                   "pcapng version %u.%u; only 1.x is supported", major,
		                   bytes_get16(h + 14, reader->big));
	reader->num_interfaces = 0;
	capture_input_take(&reader->in, block->bytes);
	return 0;
}

/* Section 3.5: options are code, length, value, padding to four bytes. */
static int read_interface_options(struct capture_reader *reader, struct reader_interface *interface,
                                  const unsigned char *at, const unsigned char *end,
                                  uint64_t offset)
{
	const unsigned char *first = at;

	while (end - at >= 4) {
		uint16_t code = bytes_get16(at, reader->big),
			 len = bytes_get16(at + 2, reader->big);

		if (code == PCAPNG_OPT_END)
			return 0;
		if (pad4(len) > (uint64_t)(end - at - 4))
			return reader_fail(reader, offset + (uint64_t)(at - first),
			                   "malformed: option %u has %u bytes and does not fit its "
			                   "block",
			                   code, len);
		if (code == PCAPNG_OPT_TSRESOL && len >= 1)
			interface->tsresol = at[4];
		if (code == PCAPNG_OPT_TSOFFSET && len >= 8)
			interface->tsoffset_s = (int64_t)bytes_get64(at + 4, reader->big);
		at += 4 + pad4(len);
	}
	return 0;
}

/* Section 4.2 */
static int read_interface(struct capture_reader *reader, const struct block *block)
{
	const unsigned char *h = whole_block(reader, block, PCAPNG_INTERFACE_BYTES);

	if (!h)
		return -1;
	unsigned int linktype = bytes_get16(h + 8, reader->big);
	if (linktype != CAPTURE_LINKTYPE_ETHERNET)
		return reader_fail(reader, block->offset + 8,
		                   "link type %u; only 1 (Ethernet) is supported", linktype);
	if (reader->num_interfaces == READER_MAX_INTERFACES)
		return reader_fail(reader, block->offset, "more than %d interfaces",
		                   READER_MAX_INTERFACES);
	struct reader_interface *interface = &reader->interfaces[reader->num_interfaces];
	*interface = (struct reader_interface){
		.snap_len = bytes_get32(h + 12, reader->big),
		.tsresol = 6,
	};
	if (read_interface_options(reader, interface, h + 16, h + block->bytes - 4,
	                           block->offset + 16) < 0)
		return -1;
	reader->num_interfaces++;
	capture_input_take(&reader->in, block->bytes);
	return 0;
}

static int skip_block(struct capture_reader *reader, const struct block *block)
{
	const unsigned char *trailer = NULL;

	if (capture_input_skip(&reader->in, block->bytes - 4))
		trailer = capture_input_need(&reader->in, 4);
	if (!trailer)
		return block_cut(reader, block);
	if (check_trailer(reader, block, trailer) < 0)
		return -1;
	capture_input_take(&reader->in, 4);
	return 0;
}

static bool is_frame(uint32_t type)
{
	return type == PCAPNG_FRAME || type == PCAPNG_SIMPLE || type == PCAPNG_OLD_FRAME;
}

static int read_other(struct capture_reader *reader, const struct block *block)
{
	if (block->type == PCAPNG_SECTION)
		return read_section(reader, block);
	if (block->type == PCAPNG_INTERFACE)
		return read_interface(reader, block);
	return skip_block(reader, block);
}

int pcapng_open(struct capture_reader *reader)
{
	struct block block;
	int result = 1;

	reader->num_interfaces = 0;
	/* not further than the first interface: a pipe may have no frame yet */
	while (result > 0 && reader->num_interfaces == 0) {
		result = peek_block(reader, &block);
		if (result <= 0 || is_frame(block.type))
			break;
		if (read_other(reader, &block) < 0)
			return -1;
	}
	return result < 0 ? -1 : 0;
}

/*
 * Units of 10^-n or 2^-n seconds -> nanoseconds. 2^64 units of a second are 2^94 ns, so that 128
 * bits hold every sum; what lies outside 64 bits of nanoseconds becomes the nearest that does not.
 */
static uint64_t to_ns(const struct reader_interface *interface, uint64_t units)
{
	unsigned int exponent = interface->tsresol & 0x7f;
	__int128 ns = (__int128)units * 1000000000;

	if (interface->tsresol & 0x80)
		ns >>= exponent;
	else
		for (; exponent && ns; exponent--)
			ns /= 10;
	ns += (__int128)interface->tsoffset_s * 1000000000;
	if (ns < 0)
		return 0;
	return ns > UINT64_MAX ? UINT64_MAX : (uint64_t)ns;
}

static int check_interface(struct capture_reader *reader, uint64_t offset, uint32_t interface)
{
	if (interface < reader->num_interfaces)
		return 0;
	return reader_fail(reader, offset,
	                   "malformed: frame %" PRIu64
	                   " is of interface %u, and the section has %u",
	                   reader->num_frames + 1, interface, reader->num_interfaces);
}

static int check_caplen(struct capture_reader *reader, uint64_t offset, uint32_t caplen,
                        uint32_t room)
{
	if (caplen > CAPTURE_MAX_FRAME_BYTES)
		return reader_fail(reader, offset,
		                   "malformed: frame %" PRIu64 " has %u bytes; at most %u are "
		                   "possible",
		                   reader->num_frames + 1, caplen, CAPTURE_MAX_FRAME_BYTES);
	if (pad4(caplen) > room)
		return reader_fail(reader, offset,
		                   "malformed: frame %" PRIu64
		                   " has %u bytes, its block room for %u",
		                   reader->num_frames + 1, caplen, room);
	return 0;
}

/* Sections 4.3 (enhanced) and A (obsolete): they differ in how the interface is told. */
static int read_frame(struct capture_reader *reader, const struct block *block,
                      struct capture_frame *frame)
{
	const unsigned char *h = whole_block(reader, block, PCAPNG_FRAME_BYTES);

	if (!h)
		return -1;
	frame->interface = block->type == PCAPNG_FRAME ? bytes_get32(h + 8, reader->big)
	                                               : bytes_get16(h + 8, reader->big);
	frame->caplen = bytes_get32(h + 20, reader->big);
	frame->wire_len = bytes_get32(h + 24, reader->big);
	if (check_interface(reader, block->offset + 8, frame->interface) < 0 ||
	    check_caplen(reader, block->offset + 20, frame->caplen,
	                 block->bytes - PCAPNG_FRAME_BYTES) < 0)
		return -1;
	uint64_t high = bytes_get32(h + 12, reader->big), low = bytes_get32(h + 16, reader->big);
	frame->timestamp_ns = to_ns(&reader->interfaces[frame->interface], high << 32 | low);
	frame->data = h + 28;
	return 1;
}

/* Section 4.4: no time, no captured length; the first interface's snap length tells it. */
static int read_simple(struct capture_reader *reader, const struct block *block,
                       struct capture_frame *frame)
{
	const unsigned char *h = whole_block(reader, block, PCAPNG_SIMPLE_BYTES);

	if (!h || check_interface(reader, block->offset, 0) < 0)
		return -1;
	uint32_t snap_len = reader->interfaces[0].snap_len;
	frame->interface = 0;
	frame->wire_len = bytes_get32(h + 8, reader->big);
	frame->caplen = frame->wire_len;
	if (snap_len && snap_len < frame->caplen)
		frame->caplen = snap_len;
	if (check_caplen(reader, block->offset + 8, frame->caplen,
	                 block->bytes - PCAPNG_SIMPLE_BYTES) < 0)
		return -1;
	frame->timestamp_ns = reader->last_ns;
	frame->data = h + 12;
	return 1;
}

int pcapng_next(struct capture_reader *reader, struct capture_frame *frame)
{
	struct block block;
	int result;

	while ((result = peek_block(reader, &block)) > 0) {
		if (!is_frame(block.type)) {
			if (read_other(reader, &block) < 0)
				return -1;
			continue;
		}
		result = block.type == PCAPNG_SIMPLE ? read_simple(reader, &block, frame)
		                                     : read_frame(reader, &block, frame);
		if (result > 0)
			capture_input_take(&reader->in, block.bytes);
		return result;
	}
	return result;
}
