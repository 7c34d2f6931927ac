/*
 * checks.h - what the checks of clients' input cost: a build without them, to be measured and nothing else
 *
 * cmake -DIXY_UNCHECKED=ON leaves out what law 2 asks for on the data path: a client of such a server can
 * make it write anywhere. It says so when it starts, and cannot be installed. The record of holders is
 * kept, since reclaim needs it. tests/bench/README.md has the figures.
 */
#ifndef DATAPLANE_CHECKS_H
#define DATAPLANE_CHECKS_H

#ifdef IXY_UNCHECKED
#define CHECKED 0
#else
#define CHECKED 1
#endif

/* breaks_rule - is the condition, which says that a client broke a rule, true? */
#define breaks_rule(condition) (CHECKED && (condition))

#endif
