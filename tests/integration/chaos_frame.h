/*
 * chaos_frame.h - frames that say whose they are, which one, and whether a byte of them was changed
 *
 * A frame of ours belongs to a stream (one sender's queue pair) and has a sequence number in it. All
 * other bytes, and the length, follow from these two, so a receiver checks every byte. The frames
 * that a null port makes are checked against what it is known to make.
 */
#ifndef CHAOS_FRAME_H
#define CHAOS_FRAME_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define CHAOS_MAGIC      0x1c4a05f2u
#define CHAOS_MIN_BYTES  64u
#define CHAOS_MAX_BYTES  512u
#define NULL_FRAME_BYTES 64u

/* Streams of the witnesses; those of victims begin at 16, sixteen queue pairs for each victim. */
enum stream { STREAM_FILE = 1, STREAM_GENERATOR, STREAM_FORWARDER, FIRST_VICTIM_STREAM = 16 };

struct chaos_tag {
	unsigned char macs[12];
	unsigned char ethertype[2]; /* 0x88b5: IEEE 802, local experiments */
	unsigned char zero[2];
	uint32_t magic;
	uint32_t stream;
	uint64_t sequence;
	unsigned char payload[];
};
_Static_assert(sizeof(struct chaos_tag) == 32, "no hidden padding");

/* splitmix64: each word of the payload depends on stream, sequence and place */
static inline uint64_t chaos_mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static inline uint64_t chaos_key(uint32_t stream, uint64_t sequence)
{
	return chaos_mix((uint64_t)stream << 40 ^ sequence);
}

/* A multiple of 8, so that the payload is whole words. */
static inline uint16_t chaos_frame_bytes(uint32_t stream, uint64_t sequence)
{
	uint64_t span = (CHAOS_MAX_BYTES - CHAOS_MIN_BYTES) / 8 + 1;

	return (uint16_t)(CHAOS_MIN_BYTES + chaos_key(stream, sequence) % span * 8);
}

/* chaos_frame_make - writes the frame, at most CHAOS_MAX_BYTES; returns its length */
static inline uint16_t chaos_frame_make(void *frame, uint32_t stream, uint64_t sequence)
{
	struct chaos_tag *tag = frame;
	uint16_t bytes = chaos_frame_bytes(stream, sequence);
	uint64_t key = chaos_key(stream, sequence);

	memset(tag, 0, sizeof(*tag));
	memcpy(tag->macs, (unsigned char[]){2, 0, 0, 0, 2, 2, 2, 0, 0, 0, 2, 1}, 12);
	memcpy(tag->ethertype, (unsigned char[]){0x88, 0xb5}, 2);
	tag->magic = CHAOS_MAGIC;
	tag->stream = stream;
	tag->sequence = sequence;
	for (unsigned int i = 0; i < (bytes - sizeof(*tag)) / 8; i++) {
		uint64_t word = chaos_mix(key + i);

		memcpy(tag->payload + i * 8, &word, 8);
	}
	return bytes;
}

/* chaos_frame_is_sound - whether it is, in every byte, the frame that its own tag says it is */
static inline bool chaos_frame_is_sound(const void *frame, unsigned int len)
{
	const struct chaos_tag *tag = frame;
	uint64_t whole[CHAOS_MAX_BYTES / 8];

	return len >= CHAOS_MIN_BYTES && tag->magic == CHAOS_MAGIC &&
	       len == chaos_frame_make(whole, tag->stream, tag->sequence) &&
	       memcmp(whole, frame, len) == 0;
}

/*
 * null_frame_flow - the flow number, 0 and up, of a frame of 64 bytes as server/driver/null.c makes
 * it; -1 if it is none
 */
static inline int null_frame_flow(const unsigned char *frame, unsigned int len)
{
	static const unsigned char macs[] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0};
	static const unsigned char zeros[NULL_FRAME_BYTES - 42];
	int flow, source;

	if (len != NULL_FRAME_BYTES || memcmp(frame, macs, sizeof(macs)) != 0 ||
	    memcmp(frame + 42, zeros, sizeof(zeros)) != 0 || frame[26] != 198 || frame[27] != 18)
		return -1;
	source = frame[28] << 8 | frame[29];
	flow = (frame[34] << 8 | frame[35]) - 1024;
	return flow >= 0 && source == flow + 1 ? flow : -1;
}

#endif
