/*
 * ixgbe_wide.c - four descriptors of an 82599 at once, with AVX2
 *
 * A frame costs the driver some fifty instructions when it is taken by itself, and another fifty when it is sent:
 * moving fields of descriptors about is most of that. Four at a time it is 24 and 9 (tests/bench/README.md).
 * Only what is plain is done here; ixgbe.c does the rest, and everything on other machines.
 */
#include "server/driver/ixgbe_wide.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))

#define PLAIN_MASK (IXGBE_RXD_DD | IXGBE_RXD_EOP | IXGBE_RXD_VP | IXGBE_RXD_BAD)
#define PLAIN      (IXGBE_RXD_DD | IXGBE_RXD_EOP)

_Static_assert(IXGBE_RXD_L4CS == IXY_DESC_L4_OK && IXGBE_RXD_L4E >> 25 == IXY_DESC_L4_OK &&
                       IXGBE_RXD_IPCS == IXY_DESC_IP_OK && IXGBE_RXD_IPE >> 25 == IXY_DESC_IP_OK,
               "the bits' places");

bool ixgbe_is_wide(void)
{
	return __builtin_cpu_supports("avx2");
}

static AVX2 inline __m128i load(const void *from)
{
	return _mm_loadu_si128(from);
}

/* What a device says for the beginning of each buffer; as dma_pool_address() */
static AVX2 inline __m256i addresses_of(const struct dma_pool *pool, __m128i bufs)
{
	const int shift = (int)(pool->page_shift - pool->buf_shift);
	const __m128i page = _mm_srl_epi32(bufs, _mm_cvtsi32_si128(shift));
	const __m128i place = _mm_and_si128(bufs, _mm_set1_epi32((1 << shift) - 1));

	return _mm256_add_epi64(
		_mm256_i32gather_epi64((const long long *)(const void *)pool->pages, page, 8),
		_mm256_sll_epi64(_mm256_cvtepu32_epi64(place),
	                         _mm_cvtsi32_si128((int)pool->buf_shift)));
}

/* Descriptors of two words: the first ones in @a, the second ones in @b. */
static AVX2 inline void store_pairs(void *to, __m256i a, __m256i b)
{
	const __m256i even = _mm256_unpacklo_epi64(a, b), odd = _mm256_unpackhi_epi64(a, b);

	_mm256_storeu_si256(to, _mm256_permute2x128_si256(even, odd, 0x20));
	_mm256_storeu_si256((__m256i *)to + 1, _mm256_permute2x128_si256(even, odd, 0x31));
}

/*
 * Describes four frames in @descs, if all of them are whole and sound, and without a VLAN tag; otherwise
 * nothing is done.
 *
 * The device writes in order, so that the last one is looked at before the others are loaded. Each is loaded
 * once: what is checked is what is used, whatever the device writes meanwhile.
 */
static AVX2 inline bool describe(const union ixgbe_rx_desc *ring, __m128i bufs, __m128i begins,
                                 uint32_t room, uint16_t port, struct ixy_desc *descs)
{
	const __m128i zero = _mm_setzero_si128();

	if (!(__atomic_load_n(&ring[3].back.status, __ATOMIC_ACQUIRE) & IXGBE_RXD_DD))
		return false;
	const __m128i d0 = load(ring), d1 = load(ring + 1), d2 = load(ring + 2),
		      d3 = load(ring + 3);
	/* from one frame in each, to one field in each */
	const __m128i low01 = _mm_unpacklo_epi32(d0, d1), low23 = _mm_unpacklo_epi32(d2, d3);
	const __m128i high01 = _mm_unpackhi_epi32(d0, d1), high23 = _mm_unpackhi_epi32(d2, d3);
	const __m128i info = _mm_unpacklo_epi64(low01, low23);
	const __m128i hash = _mm_unpackhi_epi64(low01, low23);
	const __m128i status = _mm_unpacklo_epi64(high01, high23);
	const __m128i len =
		_mm_and_si128(_mm_unpackhi_epi64(high01, high23), _mm_set1_epi32(0xffff));
	const __m128i plain = _mm_cmpeq_epi32(_mm_and_si128(status, _mm_set1_epi32(PLAIN_MASK)),
	                                      _mm_set1_epi32(PLAIN));
	const __m128i bad = _mm_or_si128(_mm_cmpgt_epi32(len, _mm_set1_epi32((int)room)),
	                                 _mm_cmpeq_epi32(len, zero));

	if (_mm_movemask_epi8(_mm_andnot_si128(bad, plain)) != 0xffff)
		return false;
	/* L4CS without L4E, IPCS without IPE: in the places of IXY_DESC_L4_OK, IXY_DESC_IP_OK */
	const __m128i sums = _mm_and_si128(_mm_andnot_si128(_mm_srli_epi32(status, 25), status),
	                                   _mm_set1_epi32(IXY_DESC_L4_OK | IXY_DESC_IP_OK));
	const __m128i hashed = _mm_andnot_si128(
		_mm_cmpeq_epi32(_mm_and_si128(info, _mm_set1_epi32(IXGBE_RXD_HASH)), zero),
		_mm_set1_epi32(IXY_DESC_HASH));
	const __m128i where = _mm_or_si128(_mm_slli_epi32(len, 16), begins);
	const __m128i what =
		_mm_or_si128(_mm_slli_epi32(_mm_or_si128(sums, hashed), 16), _mm_set1_epi32(port));
	/* and back */
	store_pairs(
		descs,
		_mm256_set_m128i(_mm_unpackhi_epi32(bufs, where), _mm_unpacklo_epi32(bufs, where)),
		_mm256_set_m128i(_mm_unpackhi_epi32(what, hash), _mm_unpacklo_epi32(what, hash)));
	return true;
}

AVX2 unsigned int ixgbe_receive_wide(struct port_queue *queue, struct ixgbe_rx *rx, unsigned int at,
                                     const uint32_t *spare, struct ixy_desc *descs, unsigned int n)
{
	union ixgbe_rx_desc *ring = (union ixgbe_rx_desc *)(uintptr_t)&rx->ring[at];
	const struct dma_pool pool = *rx->pool;
	/* @at may be odd */
	const int first = (int)frame_begin(at), second = (int)frame_begin(at + 1);
	const __m128i begins = _mm_setr_epi32(first, second, first, second);
	const __m256i headroom = _mm256_cvtepu32_epi64(begins);
	const struct ixy_desc *begin = descs, *end = descs + n / 4 * 4;
	uint16_t *holders = queue->record->holder;
	uint32_t *bufs = &rx->bufs[at];
	const uint32_t room = rx->room;
	const uint16_t port = queue->port->index;

	for (; descs != end; descs += 4, ring += 4, bufs += 4, spare += 4) {
		const __m128i fresh = load(spare);

		if (!describe(ring, load(bufs), begins, room, port, descs))
			break;
		UNROLLED
		for (unsigned int i = 0; i < 4; i++)
			__atomic_store_n(&holders[bufs[i]], HOLDER_WORKER, __ATOMIC_RELAXED);
		_mm_storeu_si128((__m128i *)(void *)bufs, fresh);
		store_pairs(ring, _mm256_add_epi64(addresses_of(&pool, fresh), headroom),
		            _mm256_setzero_si256());
	}
	return (unsigned int)(descs - begin);
}

AVX2 unsigned int ixgbe_send_wide(struct ixgbe_tx *tx, unsigned int at,
                                  const struct ixy_desc *descs, unsigned int n)
{
	struct ixgbe_tx_desc *ring = (struct ixgbe_tx_desc *)(uintptr_t)&tx->ring[at];
	const struct dma_pool pool = *tx->pool;
	const struct ixy_desc *begin = descs, *end = descs + n / 4 * 4;
	uint32_t *to = &tx->bufs[at];

	for (; descs != end; descs += 4, ring += 4, to += 4) {
		const __m128i low01 = _mm_unpacklo_epi32(load(descs), load(descs + 1));
		const __m128i low23 = _mm_unpacklo_epi32(load(descs + 2), load(descs + 3));
		const __m128i bufs = _mm_unpacklo_epi64(low01, low23);
		const __m128i where = _mm_unpackhi_epi64(low01, low23);
		const __m128i len = _mm_srli_epi32(where, 16);
		const __m128i offset = _mm_and_si128(where, _mm_set1_epi32(0xffff));
		const __m128i command = _mm_or_si128(len, _mm_set1_epi32(IXGBE_TXD_COMMAND));
		const __m128i status = _mm_slli_epi32(len, 14); /* IXGBE_TXD_PAYLEN */

		_mm_storeu_si128((__m128i *)(void *)to, bufs);
		store_pairs(
			ring,
			_mm256_add_epi64(addresses_of(&pool, bufs), _mm256_cvtepu32_epi64(offset)),
			_mm256_set_m128i(_mm_unpackhi_epi32(command, status),
		                         _mm_unpacklo_epi32(command, status)));
	}
	return (unsigned int)(descs - begin);
}

#else

bool ixgbe_is_wide(void)
{
	return false;
}

unsigned int ixgbe_receive_wide(struct port_queue *queue, struct ixgbe_rx *rx, unsigned int at,
                                const uint32_t *spare, struct ixy_desc *descs, unsigned int n)
{
	(void)queue, (void)rx, (void)at, (void)spare, (void)descs, (void)n;
	return 0;
}

unsigned int ixgbe_send_wide(struct ixgbe_tx *tx, unsigned int at, const struct ixy_desc *descs,
                             unsigned int n)
{
	(void)tx, (void)at, (void)descs, (void)n;
	return 0;
}
#endif
