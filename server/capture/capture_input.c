/* capture_input.c - read(2) -> one buffer -> the parsers; a truncated file is an end, no SIGBUS */
#include "server/capture/capture_input.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

void capture_input_init(struct capture_input *in, int fd)
{
	/* not the buffer: untouched pages of it cost nothing */
	memset(in, 0, offsetof(struct capture_input, buf));
	in->fd = fd;
	in->start = lseek(fd, 0, SEEK_CUR);
}

static void compact(struct capture_input *in)
{
	memmove(in->buf, in->buf + in->pos, in->end - in->pos);
	in->base += in->pos;
	in->end -= in->pos;
	in->pos = 0;
}

/* Reads once; false at the end of the file or on an error. */
static bool refill(struct capture_input *in)
{
	ssize_t got;

	if (in->eof || in->error)
		return false;
	do
		got = read(in->fd, in->buf + in->end, sizeof(in->buf) - in->end);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		in->error = errno;
	if (got <= 0)
		in->eof = true;
	else
		in->end += (size_t)got;
	return got > 0;
}

const unsigned char *capture_input_need(struct capture_input *in, size_t n)
{
	/* only when it must: as long as the buffer starts with the file, a rewind costs nothing */
	if (n > sizeof(in->buf) - in->pos)
		compact(in);
	while (in->end - in->pos < n)
		if (!refill(in))
			return NULL;
	return in->buf + in->pos;
}

bool capture_input_skip(struct capture_input *in, uint64_t n)
{
	while (n > in->end - in->pos) {
		n -= in->end - in->pos;
		in->pos = in->end;
		compact(in);
		if (!refill(in))
			return false;
	}
	in->pos += (size_t)n;
	return true;
}

bool capture_input_rewind(struct capture_input *in)
{
	if (in->base == 0 && !in->error) {
		in->pos = 0; /* all that was read is still here */
		return true;
	}
	if (in->start < 0 || lseek(in->fd, in->start, SEEK_SET) < 0) {
		in->error = in->start < 0 ? ESPIPE : errno;
		return false;
	}
	in->base = 0;
	in->pos = in->end = 0;
	in->eof = false;
	in->error = 0;
	return true;
}
