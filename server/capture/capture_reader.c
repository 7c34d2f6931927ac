/* capture_reader.c - opens a capture, tells the formats apart, and reads the classic one */
#include "server/capture/capture_reader.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/capture/bytes.h"
#include "server/capture/formats.h"
#include "server/capture/reader_state.h"

int reader_fail(struct capture_reader *reader, uint64_t offset, const char *format, ...)
{
	char *text = reader->failure.text;
	size_t room = sizeof(reader->failure.text);
	int used = snprintf(text, room, "%s: byte %" PRIu64 ": ", reader->name, offset);
	va_list args;

	reader->failed = true;
	if (reader->in.error) {
		snprintf(text + used, room - (size_t)used, "cannot read on: %s",
		         strerror(reader->in.error));
		return -1;
	}
	va_start(args, format);
	vsnprintf(text + used, room - (size_t)used, format, args);
	va_end(args);
	return -1;
}

static int read_pcap_header(struct capture_reader *reader)
{
	const unsigned char *h = capture_input_need(&reader->in, PCAP_HEADER_BYTES);

	if (!h)
		return reader_fail(reader, 0, "cut: the file header has 24 bytes, %zu are there",
		                   capture_input_left(&reader->in));
	unsigned int major = bytes_get16(h + 4, reader->big);
	unsigned int minor = bytes_get16(h + 6, reader->big);
	unsigned int linktype = bytes_get32(h + 20, reader->big) & PCAP_LINKTYPE_MASK;
	if (major != PCAP_VERSION_MAJOR || minor != PCAP_VERSION_MINOR)
		return reader_fail(reader, 4, "pcap version %u.%u; only 2.4 is supported", major,
		                   minor);
	if (linktype != CAPTURE_LINKTYPE_ETHERNET)
		return reader_fail(reader, 20, "link type %u; only 1 (Ethernet) is supported",
		                   linktype);
	capture_input_take(&reader->in, PCAP_HEADER_BYTES);
	return 0;
}

/* The magic number tells format, byte order and the unit of time. */
static int read_header(struct capture_reader *reader)
{
	const unsigned char *h = capture_input_need(&reader->in, 4);

	if (!h)
		return reader_fail(reader, 0, "not a capture: %zu bytes",
		                   capture_input_left(&reader->in));
	uint32_t little = bytes_get32(h, false), big = bytes_get32(h, true);

	reader->pcapng = little == PCAPNG_SECTION;
	if (reader->pcapng)
		return pcapng_open(reader);
	reader->big = big == PCAP_MAGIC_US || big == PCAP_MAGIC_NS;
	uint32_t magic = reader->big ? big : little;
	if (magic != PCAP_MAGIC_US && magic != PCAP_MAGIC_NS)
		return reader_fail(reader, 0,
		                   "not a capture: begins with %02x %02x %02x %02x, neither pcap "
		                   "nor pcapng",
		                   h[0], h[1], h[2], h[3]);
	reader->fraction_ns = magic == PCAP_MAGIC_NS ? 1 : 1000;
	return read_pcap_header(reader);
}

static int pcap_next(struct capture_reader *reader, struct capture_frame *frame)
{
	uint64_t offset = capture_input_offset(&reader->in), number = reader->num_frames + 1;
	const unsigned char *h = capture_input_need(&reader->in, PCAP_RECORD_BYTES);

	if (!h && !reader->in.error && capture_input_left(&reader->in) == 0)
		return 0;
	if (!h)
		return reader_fail(reader, offset,
		                   "cut: the header of frame %" PRIu64
		                   " has 16 bytes, %zu are there",
		                   number, capture_input_left(&reader->in));
	uint32_t caplen = bytes_get32(h + 8, reader->big);
	if (caplen > CAPTURE_MAX_FRAME_BYTES)
		return reader_fail(reader, offset + 8,
		                   "malformed: frame %" PRIu64 " has %u bytes; at most %u are "
		                   "possible",
		                   number, caplen, CAPTURE_MAX_FRAME_BYTES);
	h = capture_input_need(&reader->in, PCAP_RECORD_BYTES + caplen);
	if (!h)
		return reader_fail(reader, offset,
		                   "cut: frame %" PRIu64 " has %u bytes, %zu are there", number,
		                   caplen, capture_input_left(&reader->in) - PCAP_RECORD_BYTES);

	frame->data = h + PCAP_RECORD_BYTES;
	frame->caplen = caplen;
	frame->wire_len = bytes_get32(h + 12, reader->big);
	frame->timestamp_ns = bytes_get32(h, reader->big) * UINT64_C(1000000000) +
	                      (uint64_t)bytes_get32(h + 4, reader->big) * reader->fraction_ns;
	frame->interface = 0;
	capture_input_take(&reader->in, PCAP_RECORD_BYTES + caplen);
	return 1;
}

int capture_reader_next(struct capture_reader *reader, struct capture_frame *frame,
                        struct error *error)
{
	int result = -1;

	if (!reader->failed)
		result = reader->pcapng ? pcapng_next(reader, frame) : pcap_next(reader, frame);
	if (result < 0)
		*error = reader->failure;
	if (result > 0) {
		if (frame->wire_len < frame->caplen)
			frame->wire_len = frame->caplen;
		frame->direction = CAPTURE_DIRECTION_UNKNOWN;
		reader->last_ns = frame->timestamp_ns;
		reader->num_frames++;
	}
	return result;
}

int capture_reader_open(struct capture_reader **result, int fd, const char *name,
                        struct error *error)
{
	struct capture_reader *reader = malloc(sizeof(*reader));

	*result = NULL;
	if (!reader) {
		snprintf(error->text, sizeof(error->text), "%s: no memory to read it", name);
		return -1;
	}
	memset(reader, 0, offsetof(struct capture_reader, in));
	snprintf(reader->name, sizeof(reader->name), "%s", name);
	capture_input_init(&reader->in, fd);
	if (read_header(reader) < 0) {
		*error = reader->failure;
		capture_reader_close(reader);
		return -1;
	}
	*result = reader;
	return 0;
}

int capture_reader_rewind(struct capture_reader *reader, struct error *error)
{
	reader->failed = false;
	reader->num_frames = 0;
	reader->last_ns = 0;
	if (!capture_input_rewind(&reader->in))
		reader_fail(reader, 0, "cannot go back");
	else
		read_header(reader);
	if (reader->failed)
		*error = reader->failure;
	return reader->failed ? -1 : 0;
}

void capture_reader_close(struct capture_reader *reader)
{
	free(reader);
}
