/*
 * capture_writer.c - frames -> records in a buffer -> write(2)
 *
 * The buffer always begins with a whole unit: the file header, a pcapng block or a pcap record.
 * Of the first one, `sent` bytes may be with the kernel already; it leaves the buffer when it is
 * there completely. So a torn unit can be cut off a file and written again from its start.
 *
 *   buf   | unit | unit | unit |     free      |
 *         |<sent>|      |<------ used -------->|  (sent < first unit between two calls)
 */
#include "server/capture/capture_writer.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/capture/bytes.h"
#include "server/capture/formats.h"

#define MAX_NAME_BYTES 255
/* Room for the longest frame in the longest block, or for the longest file header. */
#define BUFFER_BYTES (CAPTURE_MAX_FRAME_BYTES + 32 * 1024)

#define FLAGS_OPTION_BYTES 12 /* epb_flags and the end of the options */

struct capture_writer {
	int fd;
	enum capture_format format;
	unsigned int num_interfaces;
	bool header_buffered; /* the buffer begins with a pcap header: no length in it */
	int error;            /* of the last write(2): only a flush tries again */
	size_t used;
	size_t sent;
	uint64_t num_taken; /* frames */
	struct capture_written written;
	unsigned char buf[BUFFER_BYTES];
};

_Static_assert(BUFFER_BYTES >= CAPTURE_MAX_FRAME_BYTES + PCAPNG_FRAME_BYTES + FLAGS_OPTION_BYTES,
               "the longest frame fits");
_Static_assert(BUFFER_BYTES >= PCAPNG_SECTION_BYTES +
                                       CAPTURE_MAX_INTERFACES *
                                               (PCAPNG_INTERFACE_BYTES + MAX_NAME_BYTES + 1 + 16),
               "the longest file header fits");

static size_t pad4(size_t n)
{
	return (n + 3) & ~(size_t)3;
}

static unsigned char *put_padded(unsigned char *at, const void *data, size_t n)
{
	memcpy(at, data, n);
	memset(at + n, 0, pad4(n) - n);
	return at + pad4(n);
}

/* -- file headers ------------------------------------------------------------------------------ */

static void put_pcap_header(struct capture_writer *writer)
{
	unsigned char *at = writer->buf;

	at = bytes_put32(at,
	                 writer->format == CAPTURE_FORMAT_PCAP_NS ? PCAP_MAGIC_NS : PCAP_MAGIC_US);
	at = bytes_put16(at, PCAP_VERSION_MAJOR);
	at = bytes_put16(at, PCAP_VERSION_MINOR);
	at = bytes_put32(at, 0); /* time zone */
	at = bytes_put32(at, 0); /* accuracy */
	at = bytes_put32(at, CAPTURE_MAX_FRAME_BYTES);
	at = bytes_put32(at, CAPTURE_LINKTYPE_ETHERNET);
	writer->used = (size_t)(at - writer->buf);
	writer->header_buffered = true;
}

/* Writes a block's length at both ends; returns the address after it. */
static unsigned char *end_block(unsigned char *start, unsigned char *at)
{
	uint32_t bytes = (uint32_t)(at + 4 - start);

	bytes_put32(start + 4, bytes);
	return bytes_put32(at, bytes);
}

static unsigned char *put_section(unsigned char *start)
{
	unsigned char *at = bytes_put32(start, PCAPNG_SECTION);

	at = bytes_put32(at, 0); /* length: end_block() */
	at = bytes_put32(at, PCAPNG_BYTE_ORDER);
	at = bytes_put16(at, PCAPNG_VERSION_MAJOR);
	at = bytes_put16(at, 0);
	at = bytes_put64(at, UINT64_MAX); /* section length: not known yet */
	return end_block(start, at);
}

static unsigned char *put_interface(unsigned char *start, const char *name)
{
	unsigned char *at = bytes_put32(start, PCAPNG_INTERFACE);

	at = bytes_put32(at, 0);
	at = bytes_put16(at, CAPTURE_LINKTYPE_ETHERNET);
	at = bytes_put16(at, 0);
	at = bytes_put32(at, CAPTURE_MAX_FRAME_BYTES);
	if (*name) {
		at = bytes_put16(at, PCAPNG_OPT_NAME);
		at = bytes_put16(at, (uint16_t)strlen(name));
		at = put_padded(at, name, strlen(name));
	}
	at = bytes_put16(at, PCAPNG_OPT_TSRESOL);
	at = bytes_put16(at, 1);
	at = put_padded(at, "\x09", 1); /* nanoseconds */
	at = bytes_put32(at, PCAPNG_OPT_END);
	return end_block(start, at);
}

static void put_pcapng_header(struct capture_writer *writer, const char *const *names)
{
	unsigned char *at = put_section(writer->buf);

	for (unsigned int i = 0; i < writer->num_interfaces; i++)
		at = put_interface(at, names[i]);
	writer->used = (size_t)(at - writer->buf);
}

int capture_writer_open(struct capture_writer **result, int fd, enum capture_format format,
                        const char *const *names, unsigned int num_names)
{
	static const char *const nameless[] = {""};
	struct capture_writer *writer;

	*result = NULL;
	if (num_names > CAPTURE_MAX_INTERFACES)
		return -EINVAL;
	for (unsigned int i = 0; i < num_names; i++)
		if (strlen(names[i]) > MAX_NAME_BYTES)
			return -EINVAL;
	writer = malloc(sizeof(*writer));
	if (!writer)
		return -ENOMEM;
	memset(writer, 0, offsetof(struct capture_writer, buf));
	writer->fd = fd;
	writer->format = format;
	writer->num_interfaces = num_names ? num_names : 1;
	if (format == CAPTURE_FORMAT_PCAPNG)
		put_pcapng_header(writer, num_names ? names : nameless);
	else
		put_pcap_header(writer);
	*result = writer;
	return 0;
}

/* -- buffer -> descriptor ---------------------------------------------------------------------- */

/* Length of the unit at @at; tells whether it is a frame. */
static size_t unit_bytes(const struct capture_writer *writer, const unsigned char *at, bool *frame)
{
	*frame = true;
	if (writer->format == CAPTURE_FORMAT_PCAPNG) {
		*frame = bytes_get32(at, false) == PCAPNG_FRAME;
		return bytes_get32(at + 4, false);
	}
	if (writer->header_buffered && at == writer->buf) {
		*frame = false;
		return PCAP_HEADER_BYTES;
	}
	return PCAP_RECORD_BYTES + bytes_get32(at + 8, false);
}

/* Drops the units that were sent completely; the buffer begins with a whole one again. */
static void drop_sent(struct capture_writer *writer)
{
	size_t done = 0;

	while (done < writer->used) {
		bool frame;
		size_t bytes = unit_bytes(writer, writer->buf + done, &frame);

		if (bytes > writer->sent - done)
			break;
		done += bytes;
		writer->written.frames += frame;
	}
	if (done == 0)
		return;
	writer->header_buffered = false;
	memmove(writer->buf, writer->buf + done, writer->used - done);
	writer->used -= done;
	writer->sent -= done;
}

/*
 * Cuts the torn unit off a file, so that it can be read while the disk is full. Only if the unit is
 * at the file's end: the descriptor may point into the middle of something else.
 */
static void cut_torn(struct capture_writer *writer)
{
	off_t torn = (off_t)writer->sent, pos;
	struct stat st;

	if (torn == 0 || fstat(writer->fd, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	pos = lseek(writer->fd, 0, SEEK_CUR);
	if (pos != st.st_size || pos < torn || ftruncate(writer->fd, pos - torn) < 0)
		return;
	lseek(writer->fd, pos - torn, SEEK_SET);
	writer->sent = 0;
	writer->written.bytes -= (uint64_t)torn;
}

int capture_writer_flush(struct capture_writer *writer)
{
	writer->error = 0;
	while (writer->sent < writer->used) {
		ssize_t n =
			write(writer->fd, writer->buf + writer->sent, writer->used - writer->sent);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			writer->error = n < 0 ? -errno : -EIO;
			break;
		}
		writer->sent += (size_t)n;
		writer->written.bytes += (uint64_t)n;
	}
	drop_sent(writer);
	if (writer->error)
		cut_torn(writer);
	return writer->error;
}

/* -- frame -> buffer --------------------------------------------------------------------------- */

static size_t record_bytes(const struct capture_writer *writer, const struct capture_frame *frame)
{
	if (writer->format != CAPTURE_FORMAT_PCAPNG)
		return PCAP_RECORD_BYTES + frame->caplen;
	return PCAPNG_FRAME_BYTES + pad4(frame->caplen) +
	       (frame->direction ? FLAGS_OPTION_BYTES : 0);
}

static uint32_t wire_len(const struct capture_frame *frame)
{
	return frame->wire_len < frame->caplen ? frame->caplen : frame->wire_len;
}

static void put_record(unsigned char *at, enum capture_format format,
                       const struct capture_frame *frame)
{
	uint64_t seconds = frame->timestamp_ns / 1000000000;
	uint32_t fraction = (uint32_t)(frame->timestamp_ns % 1000000000);

	if (seconds > UINT32_MAX)
		seconds = UINT32_MAX;
	if (format == CAPTURE_FORMAT_PCAP_US)
		fraction /= 1000;
	at = bytes_put32(at, (uint32_t)seconds);
	at = bytes_put32(at, fraction);
	at = bytes_put32(at, frame->caplen);
	at = bytes_put32(at, wire_len(frame));
	memcpy(at, frame->data, frame->caplen);
}

static void put_frame_block(unsigned char *start, const struct capture_frame *frame)
{
	unsigned char *at = bytes_put32(start, PCAPNG_FRAME);

	at = bytes_put32(at, 0);
	at = bytes_put32(at, frame->interface);
	at = bytes_put32(at, (uint32_t)(frame->timestamp_ns >> 32));
	at = bytes_put32(at, (uint32_t)frame->timestamp_ns);
	at = bytes_put32(at, frame->caplen);
	at = bytes_put32(at, wire_len(frame));
	at = put_padded(at, frame->data, frame->caplen);
	if (frame->direction) {
		at = bytes_put16(at, PCAPNG_OPT_FLAGS);
		at = bytes_put16(at, 4);
		at = bytes_put32(at, (uint32_t)frame->direction);
		at = bytes_put32(at, PCAPNG_OPT_END);
	}
	end_block(start, at);
}

int capture_writer_write(struct capture_writer *writer, const struct capture_frame *frame)
{
	bool pcapng = writer->format == CAPTURE_FORMAT_PCAPNG;

	if (frame->caplen > CAPTURE_MAX_FRAME_BYTES)
		return -EMSGSIZE;
	if (pcapng && frame->interface >= writer->num_interfaces)
		return -EINVAL;
	size_t bytes = record_bytes(writer, frame);
	if (bytes > BUFFER_BYTES - writer->used) {
		if (!writer->error)
			capture_writer_flush(writer);
		if (bytes > BUFFER_BYTES - writer->used)
			return writer->error;
	}
	if (pcapng)
		put_frame_block(writer->buf + writer->used, frame);
	else
		put_record(writer->buf + writer->used, writer->format, frame);
	writer->used += bytes;
	writer->num_taken++;
	return 0;
}

void capture_writer_written(const struct capture_writer *writer, struct capture_written *written)
{
	*written = writer->written;
}

int capture_writer_close(struct capture_writer *writer, struct capture_written *written)
{
	int result;

	if (!writer)
		return 0;
	result = capture_writer_flush(writer);
	writer->written.lost = writer->num_taken - writer->written.frames;
	if (written)
		*written = writer->written;
	free(writer);
	return result;
}
