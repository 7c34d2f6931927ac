/* ixgbe_offload.c - what a packet's context descriptor asks for: checksums, a VLAN tag (7.2.5, 7.4.3) */
#include <string.h>

#include "tests/models/ixgbe_device.h"

static void put(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void insert_l4(struct ixgbe_model *m, const struct ixgbe_tx_queue *q,
                      const struct ixgbe_tx_context *c)
{
	uint8_t *l3 = m->tx_packet + c->l2_len, *l4 = l3 + c->l3_len;
	uint32_t bytes = q->len_bytes - c->l2_len - c->l3_len;
	unsigned int place = c->l4 == 1 ? 16 : 6;
	uint16_t sum;

	if (c->l4 > 1 || bytes < place + 2u || c->l3_len < (c->ipv4 ? 20 : 40))
		return;
	/* the driver has put the sum of the pseudo header there */
	sum = ixgbe_checksum(0, l4, bytes);
	put(l4 + place, c->l4 == 0 && sum == 0 ? 0xFFFF : sum);
}

static void insert_tag(struct ixgbe_model *m, struct ixgbe_tx_queue *q, uint16_t tag)
{
	memmove(m->tx_packet + 16, m->tx_packet + 12, q->len_bytes - 12);
	put(m->tx_packet + 12, (uint16_t)(*reg(m, R_DMATXCTL) >> 16));
	put(m->tx_packet + 14, tag);
	q->len_bytes += 4;
}

void ixgbe_tx_offload(struct ixgbe_model *m, struct ixgbe_tx_queue *q)
{
	const struct ixgbe_tx_context *c = &q->contexts[q->olinfo >> 4 & 1];
	uint8_t *l3 = m->tx_packet + c->l2_len;

	if (!(q->olinfo & (TXD_IXSM | TXD_TXSM)) && !(q->command & TXD_VLE))
		return;
	if (c->valid && (uint32_t)c->l2_len + c->l3_len <= q->len_bytes) {
		if (q->olinfo & TXD_IXSM && c->l3_len >= 20) {
			put(l3 + 10, 0);
			put(l3 + 10, ixgbe_checksum(0, l3, c->l3_len));
		}
		if (q->olinfo & TXD_TXSM)
			insert_l4(m, q, c);
	}
	/* last: the lengths of the context are those without it */
	if (q->command & TXD_VLE && q->len_bytes >= 14)
		insert_tag(m, q, c->vlan);
}
