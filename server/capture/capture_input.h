/* capture_input.h - file or pipe -> contiguous bytes and their offset; for the reader's parsers */
#ifndef CAPTURE_CAPTURE_INPUT_H
#define CAPTURE_CAPTURE_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/capture/capture.h"

/* The largest frame with its header, and as much again for options of pcapng. */
#define CAPTURE_INPUT_BYTES (2 * CAPTURE_MAX_FRAME_BYTES)

struct capture_input {
	int fd;
	int64_t start; /* where the capture begins in the file; -1: a pipe */
	uint64_t base; /* offset of buf[0] in the capture */
	size_t pos;    /* [pos, end) is read from the file and not consumed */
	size_t end;
	bool eof;
	int error; /* errno of read(2) or lseek(2); 0: none */
	unsigned char buf[CAPTURE_INPUT_BYTES];
};

/* capture_input_init - begins at the present position of @fd */
void capture_input_init(struct capture_input *in, int fd);

/*
 * capture_input_need - the next @n (<= CAPTURE_INPUT_BYTES) bytes without consuming them, or NULL
 *
 * NULL: the file ends before, capture_input_left() says how many there are, or in->error is set.
 * The bytes stay where they are until the next call with the same @in. Blocks as read(2) does.
 */
const unsigned char *capture_input_need(struct capture_input *in, size_t n);

/* capture_input_take - consumes @n bytes that capture_input_need() has shown */
static inline void capture_input_take(struct capture_input *in, size_t n)
{
	in->pos += n;
}

/* capture_input_skip - consumes @n bytes, however many; false where the file ends before */
bool capture_input_skip(struct capture_input *in, uint64_t n);

/* capture_input_rewind - back to the start; false with in->error for a pipe */
bool capture_input_rewind(struct capture_input *in);

static inline size_t capture_input_left(const struct capture_input *in)
{
	return in->end - in->pos;
}

/* capture_input_offset - where the next byte stands in the file, for messages */
static inline uint64_t capture_input_offset(const struct capture_input *in)
{
	return in->base + in->pos;
}

#endif
