/* loans.h - who has a place in a loan, by the record: in a loan of one buffer or in one of a whole burst */
#ifndef UNIT_LOANS_H
#define UNIT_LOANS_H

#include "server/dataplane/record_bulk.h"

/* The bulk in which @buf lies, or NULL. */
static inline const struct bulk *loan_bulk(const struct record *r, uint32_t buf)
{
	const unsigned int lent = r->lent[buf];

	if (r->holder[buf] != HOLDER_LENT || (lent & 0xff) < LENT_BULK)
		return NULL;
	return &r->bulks[lent >> 8][(lent & 0xff) - LENT_BULK];
}

/* Has @reader @buf on loan, and not returned it yet? */
static inline bool loan_has(const struct record *r, unsigned int reader, uint32_t buf)
{
	const struct bulk *b = loan_bulk(r, buf);
	const struct reader_bulks *has = &r->reader_bulks[reader];
	uint32_t at = 0;

	if (!b)
		return record_reader_has(r, reader, buf);
	if (!(b->readers[reader / 64] >> (reader % 64) & 1))
		return false;
	while (b->bufs[at] != buf)
		at++;
	return b != &r->bulks[r->lent[buf] >> 8][has->bulks[0]] || at >= has->done;
}

/* Places in the loan of @buf, those of devices and of what is on the way included. */
static inline unsigned int loan_places(const struct record *r, uint32_t buf)
{
	unsigned int places = 0;

	if (!loan_bulk(r, buf))
		return r->lent[buf] & 0xff;
	for (unsigned int i = 0; i < RECORD_MAX_READERS; i++)
		places += loan_has(r, i, buf);
	return places;
}

#endif
