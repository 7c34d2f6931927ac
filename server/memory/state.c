/* state.c - lays out and maps the private state memfd */
#include "server/memory/state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/log.h"

#define PAGE 4096u

/* Reserves @bytes at the end of the layout, on a page of its own. */
static uint64_t place(uint64_t *end, uint64_t bytes)
{
	uint64_t at = *end;

	*end = (at + bytes + PAGE - 1) / PAGE * PAGE;
	return at;
}

static void lay_out(struct state_header *h, uint32_t num_bufs, uint32_t num_qps,
                    uint32_t num_workers)
{
	uint64_t n = num_bufs, end = PAGE;

	memset(h, 0, sizeof(*h));
	h->magic = STATE_MAGIC;
	h->major = STATE_MAJOR;
	h->minor = STATE_MINOR;
	h->num_bufs = num_bufs;
	h->num_qps = num_qps;
	h->num_readers = RECORD_MAX_READERS;
	h->num_workers = num_workers;
	h->reader_bytes = ((n + 63) / 64 * 8 + PAGE - 1) / PAGE * PAGE;
	h->holder_offset = place(&end, n * sizeof(uint16_t));
	h->lent_offset = place(&end, n * sizeof(uint16_t));
	h->free_stack_offset = place(&end, n * sizeof(uint32_t));
	h->delivered_offset = place(&end, n * sizeof(struct delivered));
	h->qps_offset = place(&end, (uint64_t)num_qps * sizeof(struct qp_state));
	h->readers_offset = place(&end, h->reader_bytes * RECORD_MAX_READERS);
	h->bulks_offset = place(&end, num_workers * RECORD_MAX_BULKS * sizeof(struct bulk));
	h->reader_bulks_offset = place(&end, RECORD_MAX_READERS * sizeof(struct reader_bulks));
	h->bytes = end;
	h->next_session = 1;
}

void state_bind(struct state *state, struct record *record, unsigned int worker)
{
	struct state_header *h = state->header;
	char *base = (char *)h;

	record->num_bufs = h->num_bufs;
	record->worker = worker;
	record->num_workers = h->num_workers;
	record->part = h->num_bufs / h->num_workers;
	record->first = worker * record->part;
	record->num_own = worker + 1 < h->num_workers ? record->part : h->num_bufs - record->first;
	record->holder = (uint16_t *)(void *)(base + h->holder_offset);
	record->lent = (uint16_t *)(void *)(base + h->lent_offset);
	record->free_stack = (uint32_t *)(void *)(base + h->free_stack_offset) + record->first;
	record->delivered = (struct delivered *)(void *)(base + h->delivered_offset);
	for (unsigned int i = 0; i < RECORD_MAX_READERS; i++)
		record->readers[i] =
			(uint64_t *)(void *)(base + h->readers_offset + i * h->reader_bytes);
	for (unsigned int i = 0; i < h->num_workers; i++)
		record->bulks[i] = (struct bulk *)(void *)(base + h->bulks_offset) +
		                   (size_t)i * RECORD_MAX_BULKS;
	record->reader_bulks = (struct reader_bulks *)(void *)(base + h->reader_bulks_offset);
	for (unsigned int i = 0; i < RECORD_MAX_BULKS; i++)
		record->free_bulks[i] = (uint8_t)i;
	record->num_bulks = 0;
	memset(record->partial, 0, sizeof(record->partial));
	record->num_free = 0;
	/* so that the first one taken is the first of the part */
	for (uint32_t buf = record->first + record->num_own; buf-- > record->first;)
		record_put(record, buf);
}

int state_open(struct state *state, uint32_t num_bufs, uint32_t num_qps, uint32_t num_workers,
               struct error *error)
{
	struct state_header layout;

	lay_out(&layout, num_bufs, num_qps, num_workers);
	state->fd = memfd_create("ixy-state", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (state->fd < 0 || fchmod(state->fd, 0600) || ftruncate(state->fd, (off_t)layout.bytes) ||
	    fcntl(state->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
		error_set(error, "cannot make the server's state memory: %s", strerror(errno));
		if (state->fd >= 0)
			close(state->fd);
		return -1;
	}
	state->header = mmap(NULL, layout.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, state->fd, 0);
	if (state->header == MAP_FAILED) {
		error_set(error, "cannot map the server's state memory: %s", strerror(errno));
		close(state->fd);
		return -1;
	}
	/* only what is used: most readers' bitmaps never are */
	if (mlock2(state->header, layout.bytes, MLOCK_ONFAULT))
		log_warn(
			"the server's records may be swapped out, and its workers stop for as long; run "
			"`ulimit -l unlimited` before, or start the server as root: mlock2");
	*state->header = layout;
	state->qps = (struct qp_state *)(void *)((char *)state->header + layout.qps_offset);
	return 0;
}

void state_close(struct state *state)
{
	munmap(state->header, state->header->bytes);
	close(state->fd);
}
