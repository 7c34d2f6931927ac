/* ixgbe_mistakes.h - drivers that do one thing wrong each, and the examiner's rule that must catch it */
#ifndef IXGBE_MISTAKES_H
#define IXGBE_MISTAKES_H

#include "tests/models/ixgbe_rig.h"

struct mistake {
	const char *rule, *name;
	void (*make)(struct rig *r); /* after, or instead of a part of, rig_start() */
};

#define MISTAKE(rule, make)                                                                        \
	{                                                                                          \
		rule, #make, make                                                                  \
	}

/* In registers: reset, set-up, queues, interrupts */
extern const struct mistake mistakes_setup[];
extern const unsigned int num_mistakes_setup;
/* In what is handed over and sent: tails, descriptors, buffers */
extern const struct mistake mistakes_traffic[];
extern const unsigned int num_mistakes_traffic;

#endif
