/* captures.h - captures made byte by byte, and read back; for the tests of reader, writer, port */
#ifndef UNIT_CAPTURES_H
#define UNIT_CAPTURES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "server/capture/capture_reader.h"
#include "tests/unit/test.h"

/* -- a capture in memory ----------------------------------------------------------------------- */

struct text {
	unsigned char *bytes;
	size_t used;
	bool big; /* byte order of what is put */
};

static unsigned char store[4u << 20];

static inline struct text begin(bool big)
{
	return (struct text){.bytes = store, .big = big};
}

static inline void put(struct text *t, uint64_t v, unsigned int width)
{
	for (unsigned int i = 0; i < width; i++)
		t->bytes[t->used++] = (unsigned char)(v >> 8 * (t->big ? width - 1 - i : i));
}

/* Frame bytes that tell their place: a shifted or swapped frame does not pass for the right one. */
static inline unsigned char pattern(unsigned int seed, size_t at)
{
	return (unsigned char)(seed * 31 + at * 7 + 1);
}

static inline void put_pattern(struct text *t, unsigned int seed, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		t->bytes[t->used++] = pattern(seed, i);
}

static inline void put_pcap_header(struct text *t, uint32_t magic, uint32_t linktype)
{
	put(t, magic, 4);
	put(t, 2, 2);
	put(t, 4, 2);
	put(t, 0, 8);
	put(t, 65535, 4);
	put(t, linktype, 4);
}

static inline void put_pcap_record(struct text *t, uint32_t s, uint32_t fraction, uint32_t caplen,
                                   uint32_t wire_len)
{
	put(t, s, 4);
	put(t, fraction, 4);
	put(t, caplen, 4);
	put(t, wire_len, 4);
	put_pattern(t, caplen, caplen);
}

static inline size_t begin_block(struct text *t, uint32_t type)
{
	size_t start = t->used;

	put(t, type, 4);
	put(t, 0, 4);
	return start;
}

static inline void end_block(struct text *t, size_t start)
{
	size_t end;

	while (t->used % 4)
		put(t, 0, 1);
	put(t, t->used + 4 - start, 4);
	end = t->used;
	t->used = start + 4;
	put(t, end - start, 4);
	t->used = end;
}

static inline void put_section(struct text *t)
{
	size_t start = begin_block(t, 0x0a0d0d0a);

	put(t, 0x1a2b3c4d, 4);
	put(t, 1, 2);
	put(t, 0, 2);
	put(t, UINT64_MAX, 8);
	end_block(t, start);
}

/* @tsresol and @tsoffset are put as options unless 0 */
static inline void put_interface(struct text *t, uint32_t snap_len, uint8_t tsresol,
                                 int64_t tsoffset)
{
	size_t start = begin_block(t, 1);

	put(t, 1, 2);
	put(t, 0, 2);
	put(t, snap_len, 4);
	put(t, 2, 2); /* a name, odd in length: options are padded */
	put(t, 3, 2);
	put(t, 0x30687465, 4);
	t->bytes[t->used - 1] = 0;
	if (tsresol) {
		put(t, 9, 2);
		put(t, 1, 2);
		put(t, tsresol, 1);
		put(t, 0, 3);
	}
	if (tsoffset) {
		put(t, 14, 2);
		put(t, 8, 2);
		put(t, (uint64_t)tsoffset, 8);
	}
	put(t, 0, 4);
	end_block(t, start);
}

static inline void put_enhanced(struct text *t, uint32_t interface, uint64_t time, uint32_t caplen,
                                uint32_t wire_len)
{
	size_t start = begin_block(t, 6);

	put(t, interface, 4);
	put(t, time >> 32, 4);
	put(t, (uint32_t)time, 4);
	put(t, caplen, 4);
	put(t, wire_len, 4);
	put_pattern(t, caplen, caplen);
	end_block(t, start);
}

static inline void put_obsolete(struct text *t, uint16_t interface, uint64_t time, uint32_t caplen)
{
	size_t start = begin_block(t, 2);

	put(t, interface, 2);
	put(t, 0xffff, 2);
	put(t, time >> 32, 4);
	put(t, (uint32_t)time, 4);
	put(t, caplen, 4);
	put(t, caplen, 4);
	put_pattern(t, caplen, caplen);
	end_block(t, start);
}

static inline void put_simple(struct text *t, uint32_t wire_len, uint32_t caplen)
{
	size_t start = begin_block(t, 3);

	put(t, wire_len, 4);
	put_pattern(t, caplen, caplen);
	end_block(t, start);
}

static inline void put_unknown(struct text *t, uint32_t n)
{
	size_t start = begin_block(t, 0x0bad);

	put_pattern(t, 9, n);
	end_block(t, start);
}

/* -- reading it -------------------------------------------------------------------------------- */

static inline int memory_file(const unsigned char *bytes, size_t n)
{
	int fd = memfd_create("capture", MFD_CLOEXEC);

	CHECK(fd >= 0);
	CHECK(write(fd, bytes, n) == (ssize_t)n);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

struct outcome {
	int opened; /* of capture_reader_open */
	int last;   /* of the last capture_reader_next */
	unsigned int num_frames;
	struct capture_frame frames[8]; /* without data */
	bool sound;                     /* all bytes were as put_pattern() makes them */
	char error[1024];
};

/* Reads all frames of @fd, and closes it. */
static inline struct outcome read_fd(int fd)
{
	struct outcome o = {.sound = true};
	struct capture_reader *reader;
	struct capture_frame frame;
	struct error error = {""};

	o.opened = capture_reader_open(&reader, fd, "x.pcap", &error);
	while (o.opened == 0 && (o.last = capture_reader_next(reader, &frame, &error)) > 0) {
		for (uint32_t i = 0; i < frame.caplen; i++)
			o.sound &= frame.data[i] == pattern(frame.caplen, i);
		if (o.num_frames < 8)
			o.frames[o.num_frames] = frame;
		o.num_frames++;
	}
	if (o.last < 0) /* for good */
		CHECK_EQ(capture_reader_next(reader, &frame, &error), -1);
	strcpy(o.error, error.text);
	capture_reader_close(reader);
	close(fd);
	return o;
}

static inline struct outcome read_bytes(const unsigned char *bytes, size_t n)
{
	return read_fd(memory_file(bytes, n));
}

static inline struct outcome read_text(const struct text *t)
{
	return read_bytes(t->bytes, t->used);
}

static inline void check_error(const struct outcome *o, const char *wanted)
{
	CHECK(o->opened < 0 || o->last < 0);
	if (strcmp(o->error, wanted))
		printf("    got:    %s\n    wanted: %s\n", o->error, wanted);
	CHECK(strcmp(o->error, wanted) == 0);
}

static inline void check_frame(const struct capture_frame *f, uint64_t ns, uint32_t caplen,
                               uint32_t len)
{
	CHECK_EQ(f->timestamp_ns, ns);
	CHECK_EQ(f->caplen, caplen);
	CHECK_EQ(f->wire_len, len);
}

static inline void check_clean(const struct outcome *o, unsigned int num_frames)
{
	CHECK_EQ(o->opened, 0);
	CHECK_EQ(o->last, 0);
	CHECK_EQ(o->num_frames, num_frames);
	CHECK(o->sound);
	if (*o->error)
		printf("    %s\n", o->error);
}

#endif
