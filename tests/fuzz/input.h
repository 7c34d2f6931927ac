/* input.h - a fuzz input read as a program: numbers from its front, zeros once it has ended */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* must - what has to hold for every input; says what did not, and ends as a crash that is found */
#define must(truth)                                                                                \
	do {                                                                                       \
		if (!(truth)) {                                                                    \
			fprintf(stderr, "%s:%d: must(%s)\n", __FILE__, __LINE__, #truth);          \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

struct input {
	const uint8_t *at;
	size_t left;
};

static inline void input_bytes(struct input *in, void *to, size_t n)
{
	size_t got = n < in->left ? n : in->left;

	/* to may be all there is of an empty buffer, at may be NULL */
	if (got)
		memcpy(to, in->at, got);
	if (n > got)
		memset((uint8_t *)to + got, 0, n - got);
	in->at += got;
	in->left -= got;
}

static inline uint8_t input_u8(struct input *in)
{
	uint8_t v;

	input_bytes(in, &v, sizeof(v));
	return v;
}

static inline uint16_t input_u16(struct input *in)
{
	uint16_t v;

	input_bytes(in, &v, sizeof(v));
	return v;
}

static inline uint32_t input_u32(struct input *in)
{
	uint32_t v;

	input_bytes(in, &v, sizeof(v));
	return v;
}

/* input_pick - a number below @n (at most 256) */
static inline unsigned int input_pick(struct input *in, unsigned int n)
{
	return input_u8(in) % n;
}

#endif
