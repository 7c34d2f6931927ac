/*
 * replay.h - which frame of a capture is to be received, and when: passes and pace
 *
 * Belongs to the worker that polls the port. Reads the file through its reader's buffer: a system
 * call for half a MiB of capture, none at all while the file fits there. Does not allocate or log.
 */
#ifndef CAPTURE_REPLAY_H
#define CAPTURE_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "server/capture/capture_reader.h"

#define REPLAY_NEVER_NS UINT64_MAX

enum replay_pace {
	REPLAY_FREE,    /* each frame at once */
	REPLAY_RATE,    /* so many a second */
	REPLAY_CAPTURE, /* with the distances in time that the capture tells */
};

struct replay {
	/* set by the owner before replay_begin() */
	struct capture_reader *reader; /* before its first frame; NULL: nothing to replay */
	uint64_t passes;               /* still to go through the file; 0: for ever */
	enum replay_pace pace;
	uint64_t rate_pps; /* REPLAY_RATE: 1 to 10^9 */

	bool begun;
	bool ended;
	bool loaded; /* frame is there */
	bool any;    /* this pass had a frame */
	struct capture_frame frame;
	uint64_t due_ns;      /* when the next frame is; on the caller's clock */
	uint64_t due_rest;    /* and so many (1 / rate_pps) ns */
	uint64_t previous_ns; /* REPLAY_CAPTURE: the capture's time of the frame before */
	bool failed;          /* ended before the end of the file: */
	struct error error;   /* why */
};

/* replay_begin - the first frame is due at @now_ns; a second call has no effect */
void replay_begin(struct replay *replay, uint64_t now_ns);

/* replay_peek - the frame that is due at @now_ns, valid until replay_pop(), or NULL */
const struct capture_frame *replay_peek(struct replay *replay, uint64_t now_ns);

/* replay_pop - done with the frame that replay_peek() returned */
void replay_pop(struct replay *replay);

/* replay_due_ns - when there will be a frame: maybe in the past; REPLAY_NEVER_NS: not by itself */
uint64_t replay_due_ns(struct replay *replay);

#endif
