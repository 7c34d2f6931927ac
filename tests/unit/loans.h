/* loans.h - who has a place in a loan, by the record: in a loan of one buffer or in one of a whole burst */
#ifndef UNIT_LOANS_H
#define UNIT_LOANS_H

#include "server/dataplane/record_bulk.h"

/* The bulk in which @buf lies, or NULL. */
static inline const struct bulk *loan_bulk(const struct record *r, uint32_t buf)
{
	return r->holder[buf] == HOLDER_LENT ? lent_bulk(r, r->lent[buf]) : NULL;
}

/* Has @reader @buf on loan, and not returned it yet? */
static inline bool loan_has(const struct record *r, unsigned int reader, uint32_t buf)
{
	const struct bulk *b = loan_bulk(r, buf);
	const struct reader_bulks *has = &r->reader_bulks[reader];
	uint32_t at = 0;

	if (!b)
		return record_reader_has(r, reader, buf);
	if (!bulk_has_reader(b, reader))
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
