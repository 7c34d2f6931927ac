/* reader_state.h - what capture_reader.c (open, classic pcap) and pcapng_reader.c (blocks) share */
#ifndef CAPTURE_READER_STATE_H
#define CAPTURE_READER_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "server/capture/capture_input.h"
#include "server/capture/capture_reader.h"

/* An interface costs a hostile file 20 bytes; real files have a few. */
#define READER_MAX_INTERFACES 256

struct reader_interface {
	uint32_t snap_len; /* 0: none */
	uint8_t tsresol;   /* as in the file: bit 7 set: a power of 2, else of 10 */
	int64_t tsoffset_s;
};

struct capture_reader {
	char name[256];
	bool pcapng;
	bool big;                    /* byte order of the file, or of the present section */
	uint32_t fraction_ns;        /* pcap: 1 or 1000 */
	uint64_t num_frames;         /* so far, for messages */
	uint64_t last_ns;            /* time of the last frame that had one */
	unsigned int num_interfaces; /* of the present section */
	struct reader_interface interfaces[READER_MAX_INTERFACES];
	bool failed; /* and why: */
	struct error failure;
	struct capture_input in;
};

/*
 * reader_fail - "NAME: byte OFFSET: reason", for this and all further calls; returns -1
 *
 * Where the file ended early because it could not be read, says that instead.
 */
int reader_fail(struct capture_reader *reader, uint64_t offset, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* pcapng_open - the section header and what follows, up to the first interface; 0 or -1 */
int pcapng_open(struct capture_reader *reader);

/* pcapng_next - as capture_reader_next; the reason is in reader->failure */
int pcapng_next(struct capture_reader *reader, struct capture_frame *frame);

#endif
