/* replay.c - capture reader -> the frame that is due now; runs on a worker */
#include "server/capture/replay.h"

#include <stddef.h>

#define SECOND_NS 1000000000u

/* A paced port that was not polled for longer than this does not catch up on it in one burst. */
#define CATCH_UP_NS 10000000u

static uint64_t later(uint64_t at_ns, uint64_t by_ns)
{
	return by_ns > REPLAY_NEVER_NS - at_ns ? REPLAY_NEVER_NS : at_ns + by_ns;
}

void replay_begin(struct replay *replay, uint64_t now_ns)
{
	if (replay->begun)
		return;
	replay->begun = true;
	replay->ended = !replay->reader;
	replay->due_ns = now_ns;
}

/* The distance to the frame before; the first of a pass follows at once, and so does a frame that
 * is older than the one before it. */
static void pace_by_capture(struct replay *replay)
{
	uint64_t at_ns = replay->frame.timestamp_ns;

	if (replay->any && at_ns > replay->previous_ns)
		replay->due_ns = later(replay->due_ns, at_ns - replay->previous_ns);
	replay->previous_ns = at_ns;
}

static void pace_by_rate(struct replay *replay)
{
	replay->due_ns = later(replay->due_ns, SECOND_NS / replay->rate_pps);
	replay->due_rest += SECOND_NS % replay->rate_pps;
	if (replay->due_rest >= replay->rate_pps) {
		replay->due_rest -= replay->rate_pps;
		replay->due_ns = later(replay->due_ns, 1);
	}
}

/* The next pass, if there is one. A file without frames has none: it would be read for ever. */
static bool next_pass(struct replay *replay)
{
	bool last = replay->passes && --replay->passes == 0;

	replay->ended = last || !replay->any;
	replay->any = false;
	if (!replay->ended && capture_reader_rewind(replay->reader, &replay->error) < 0)
		replay->failed = replay->ended = true;
	return !replay->ended;
}

static bool load(struct replay *replay)
{
	int result = 1;

	if (replay->loaded)
		return true;
	if (!replay->begun || replay->ended)
		return false;
	do
		result = capture_reader_next(replay->reader, &replay->frame, &replay->error);
	while (result == 0 && next_pass(replay));
	if (result < 0)
		replay->failed = replay->ended = true;
	if (result <= 0)
		return false;
	if (replay->pace == REPLAY_CAPTURE)
		pace_by_capture(replay);
	replay->any = true;
	replay->loaded = true;
	return true;
}

const struct capture_frame *replay_peek(struct replay *replay, uint64_t now_ns)
{
	if (!load(replay))
		return NULL;
	if (replay->pace == REPLAY_FREE)
		return &replay->frame;
	if (replay->due_ns > now_ns)
		return NULL;
	if (replay->pace == REPLAY_RATE && now_ns - replay->due_ns > CATCH_UP_NS)
		replay->due_ns = now_ns - CATCH_UP_NS;
	return &replay->frame;
}

void replay_pop(struct replay *replay)
{
	replay->loaded = false;
	if (replay->pace == REPLAY_RATE)
		pace_by_rate(replay);
}

uint64_t replay_due_ns(struct replay *replay)
{
	return load(replay) ? replay->due_ns : REPLAY_NEVER_NS;
}
