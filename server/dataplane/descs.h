/*
 * descs.h - bursts of descriptors: into rings and out of them, and checked several at a time
 *
 * A burst of 32 has to cost little more than one of its descriptors, so nothing here branches for each.
 */
#ifndef DATAPLANE_DESCS_H
#define DATAPLANE_DESCS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <ixy/abi.h>
#include <ixy/ring.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/*
 * UNROLLED - before a loop over a burst, whose body is a few instructions: the counting would be a third
 * of it. clang does it by itself.
 */
#if defined(__GNUC__) && !defined(__clang__)
#define UNROLLED _Pragma("GCC unroll 8")
#else
#define UNROLLED
#endif

/*
 * WIDE - before a function: it is compiled for processors with AVX2 as well, whose instructions have a place
 * of their own for the result; which of the two is called is decided when the program starts. Not for
 * sanitizers, which are not ready yet at that time.
 */
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) &&                 \
	!defined(__SANITIZE_THREAD__) && !defined(__clang__)
#define WIDE __attribute__((target_clones("avx2", "default")))
#else
#define WIDE
#endif

/*
 * 16 bytes at a time: what was written like that just before cannot be forwarded to the wider loads of
 * memcpy(), which then wait until it is in the cache. And gcc (12) may make `rep movs` of memcpy(), which
 * takes as long to begin as ten descriptors take to copy.
 */
static inline void descs_copy(struct ixy_desc *to, const struct ixy_desc *from, uint32_t n)
{
	typedef uint64_t words __attribute__((vector_size(16), aligned(4), may_alias));
	const words *f = (const words *)(const void *)from;
	words *t = (words *)(void *)to;

	for (const words *end = f + n / 4 * 4; f != end; f += 4, t += 4) {
		const words a = f[0], b = f[1], c = f[2], d = f[3];

		__asm__ __volatile__("" ::: "memory");
		t[0] = a;
		t[1] = b;
		t[2] = c;
		t[3] = d;
	}
	for (const words *end = f + n % 4; f != end; f++, t++) {
		*t = *f;
		__asm__ __volatile__("" ::: "memory");
	}
}

/* descs_put - writes @n descriptors into a ring of @slots, from index @at on; they have to fit */
static inline void descs_put(struct ixy_desc *ring, uint32_t slots, uint32_t at,
                             const struct ixy_desc *descs, uint32_t n)
{
	uint32_t begin = at & (slots - 1), run = slots - begin < n ? slots - begin : n;

	descs_copy(ring + begin, descs, run);
	descs_copy(ring, descs + run, n - run);
}

/*
 * descs_ask - asks for the lines of the next @n descriptors, which are about to be written; a hint
 *
 * The slots have to be free, and those of the line in which @at lies are left alone: whoever was given what
 * lies in the rest of it is about to read it.
 */
static inline void descs_ask(struct ixy_desc *ring, uint32_t slots, uint32_t at, uint32_t n)
{
	const uint32_t per_line = IXY_CACHE_LINE / sizeof(*ring);
	const uint32_t skip = -at % per_line;
	uint32_t begin = (at + skip) & (slots - 1), run;

	n = n > skip ? (n - skip) / per_line * per_line : 0;
	run = slots - begin < n ? slots - begin : n;
	for (struct ixy_desc *line = ring + begin; line != ring + begin + run; line += per_line)
		ixy_will_write(line);
	for (struct ixy_desc *line = ring; line != ring + n - run; line += per_line)
		ixy_will_write(line);
}

/*
 * Asks for the line at @p, to be read; a hint. __builtin_prefetch() is no side effect to gcc (12): it leaves
 * out a function that does nothing else.
 */
static inline void will_read(const void *p)
{
#if defined(__x86_64__)
	__asm__ __volatile__("prefetcht0 %0" ::"m"(*(const char *)p));
#else
	__builtin_prefetch(p);
#endif
}

/*
 * descs_fetch - asks for the lines in which the @n descriptors from index @at on lie, to be read; a hint
 *
 * Where @at is not at the beginning of a line, the last line may be left out.
 */
static inline void descs_fetch(const struct ixy_desc *ring, uint32_t slots, uint32_t at, uint32_t n)
{
	const uint32_t per_line = IXY_CACHE_LINE / sizeof(*ring);
	const uint32_t begin = at & (slots - 1);
	uint32_t run;

	n = n < slots ? n : slots; /* a client may claim more */
	run = slots - begin < n ? slots - begin : n;
	for (const struct ixy_desc *p = ring + begin; p < ring + begin + run; p += per_line)
		will_read(p);
	for (const struct ixy_desc *p = ring; p < ring + n - run; p += per_line)
		will_read(p);
}

/*
 * descs_get - a private copy of @n descriptors of a ring of @slots, from index @at on
 *
 * The ring is a client's, which may write into it at this moment: what it holds is not looked at again,
 * not even by a compiler that would rather load than keep.
 */
static inline void descs_get(struct ixy_desc *descs, const struct ixy_desc *ring, uint32_t slots,
                             uint32_t at, uint32_t n)
{
	uint32_t begin = at & (slots - 1), run = slots - begin < n ? slots - begin : n;

	descs_copy(descs, ring + begin, run);
	descs_copy(descs + run, ring, n - run);
}

/* descs_bytes - the sum of the lengths */
static inline uint64_t descs_bytes(const struct ixy_desc *descs, uint32_t n)
{
	uint64_t bytes = 0;

	UNROLLED
	for (uint32_t i = 0; i < n; i++)
		bytes += descs[i].len;
	return bytes;
}

/* What may be sent by a port out of a pool. */
struct desc_limits {
	uint32_t num_bufs, buf_bytes;
	uint32_t min_bytes, max_bytes; /* of a frame */
};

/* descs_sound_one - is @desc for @port, with a buffer and a frame within @limits, and flags that are known? */
static inline bool descs_sound_one(const struct ixy_desc *desc, uint16_t port,
                                   const struct desc_limits *limits)
{
	/* in 32 bits, where two of 16 cannot wrap */
	return !(desc->flags & ~IXY_DESC_TX_ALLOWED) && desc->port == port &&
	       desc->buf < limits->num_bufs && desc->offset >= IXY_META_BYTES && desc->len != 0 &&
	       desc->len >= limits->min_bytes && desc->len <= limits->max_bytes &&
	       (uint32_t)desc->offset + desc->len <= limits->buf_bytes;
}

/* descs_sound_plain - descs_sound, on any machine; and for what descs_sound leaves over */
static inline bool descs_sound_plain(const struct ixy_desc *descs, uint32_t n, uint16_t port,
                                     const struct desc_limits *limits)
{
	bool sound = true;

	for (uint32_t i = 0; i < n; i++)
		sound &= descs_sound_one(&descs[i], port, limits);
	return sound;
}

#if defined(__SSE2__)
/* Two fields of 16 bits, as they lie in a descriptor, four times. */
static inline __m128i desc_pairs(uint32_t low, uint32_t high)
{
	return _mm_set1_epi32((int)(high << 16 | (low & 0xffff)));
}

/* Words 0 and 2, or 1 and 3, of @a, and then of @b. */
#define DESC_WORDS(a, b, odd)                                                                      \
	_mm_castps_si128(_mm_shuffle_ps(_mm_castsi128_ps(a), _mm_castsi128_ps(b),                  \
	                                odd ? _MM_SHUFFLE(3, 1, 3, 1) : _MM_SHUFFLE(2, 0, 2, 0)))
#endif

/*
 * descs_sound - descs_sound_one for all of @descs; when it says no, one has to look which is not, and why
 *
 * With SSE2, which each x86-64 has, four at a time: their first words beside each other in one register,
 * their second ones in the next, and so on. The smallest and largest values tell about all of them; a
 * number without a sign that is too large for one with a sign is negative, and so too small. Other machines
 * go one by one; the test compares the two ways. *@bytes is the sum of the lengths, if it says yes.
 */
static inline bool descs_sound(const struct ixy_desc *descs, uint32_t n, uint16_t port,
                               const struct desc_limits *limits, uint64_t *bytes)
{
	uint64_t sum = 0;

#if defined(__SSE2__)
	if (limits->buf_bytes < INT16_MAX && limits->min_bytes <= INT16_MAX &&
	    limits->num_bufs <= INT32_MAX) {
		const uint32_t least = limits->min_bytes ? limits->min_bytes : 1;
		const uint32_t most = limits->max_bytes < INT16_MAX ? limits->max_bytes : INT16_MAX;
		const __m128i last_buf = _mm_set1_epi32((int)limits->num_bufs - 1);
		const __m128i port_flags = desc_pairs(port, 0);
		__m128i bufs_or = _mm_setzero_si128(), differ = bufs_or, sum4 = bufs_or;
		__m128i smallest = _mm_set1_epi16(INT16_MAX), largest = bufs_or;

		for (; n >= 4; n -= 4, descs += 4) {
			const __m128i *d = (const __m128i *)(const void *)descs;
			__m128i a = _mm_loadu_si128(d), b = _mm_loadu_si128(d + 1);
			__m128i c = _mm_loadu_si128(d + 2), e = _mm_loadu_si128(d + 3);
			__m128i ab = _mm_unpacklo_epi64(a, b), ce = _mm_unpacklo_epi64(c, e);
			__m128i buf = DESC_WORDS(ab, ce, 0);
			__m128i place = DESC_WORDS(ab, ce, 1); /* offset, len */
			__m128i to = DESC_WORDS(_mm_unpackhi_epi64(a, b), _mm_unpackhi_epi64(c, e),
			                        0); /* port, flags */
			__m128i len = _mm_srli_epi32(place, 16);

			bufs_or = _mm_or_si128(bufs_or, buf);
			bufs_or = _mm_or_si128(bufs_or, _mm_cmpgt_epi32(buf, last_buf));
			differ = _mm_or_si128(differ, _mm_xor_si128(to, port_flags));
			smallest = _mm_min_epi16(smallest, place);
			/* offset + len, len; cut to INT16_MAX */
			largest = _mm_max_epi16(largest, _mm_adds_epi16(place, len));
			sum4 = _mm_add_epi32(sum4, len);
		}
		differ = _mm_and_si128(differ, desc_pairs(0xffff, (uint16_t)~IXY_DESC_TX_ALLOWED));
		differ = _mm_or_si128(differ, _mm_srai_epi32(bufs_or, 31));
		differ = _mm_or_si128(differ,
		                      _mm_cmpgt_epi16(desc_pairs(IXY_META_BYTES, least), smallest));
		differ = _mm_or_si128(
			differ, _mm_cmpgt_epi16(largest, desc_pairs(limits->buf_bytes, most)));
		differ = _mm_cmpeq_epi8(differ, _mm_setzero_si128());
		if (_mm_movemask_epi8(differ) != 0xffff)
			return false;
		sum4 = _mm_add_epi32(sum4, _mm_shuffle_epi32(sum4, _MM_SHUFFLE(1, 0, 3, 2)));
		sum4 = _mm_add_epi32(sum4, _mm_shuffle_epi32(sum4, _MM_SHUFFLE(2, 3, 0, 1)));
		sum = (uint32_t)_mm_cvtsi128_si32(sum4);
	}
#endif
	*bytes = sum + descs_bytes(descs, n);
	return descs_sound_plain(descs, n, port, limits);
}

#endif
