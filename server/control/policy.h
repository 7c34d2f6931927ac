/* policy.h - may this client attach, and what does it get? */
#ifndef CONTROL_POLICY_H
#define CONTROL_POLICY_H

#include "server/control/server.h"

/* What an ATTACH comes to, per queue pair, once defaults are filled in. */
struct attach_plan {
	uint32_t num_qps;
	uint32_t rx_slots, tx_slots, grant_slots, free_slots;
	uint32_t min_bufs, max_bufs, alloc_bufs;
	uint64_t port_mask;
	uint32_t flags; /* QP_* */
};

/*
 * policy_plan - checks @request against the limits of all and of its user, and fills @plan
 *
 * Returns false when it is refused; the client has been told why, and the session is closed.
 */
bool policy_plan(struct session *session, const struct message_attach *request,
                 struct attach_plan *plan);

#endif
