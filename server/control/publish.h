/* publish.h - who gets which port's frames: tables for the workers, by RCU */
#ifndef CONTROL_PUBLISH_H
#define CONTROL_PUBLISH_H

#include "server/control/server.h"

/*
 * publish_tables - builds tables of all open sessions, publishes them, and frees the old ones after a
 * grace period: afterwards no worker uses a closed session any more. -1: out of memory.
 */
int publish_tables(struct server *server);

/* tables_free - frees tables that no worker uses; NULL is allowed */
void tables_free(struct tables *tables);

/*
 * indirection_update - spreads INDIRECTION_SLOTS evenly over @num members, moving as few as possible
 *
 * @slots holds the old assignment: entries of members that left are reassigned, and newcomers take
 * just their share from those that have most. With no members all entries become NULL.
 */
void indirection_update(struct qp **slots, struct qp *const *members, unsigned int num);

#endif
