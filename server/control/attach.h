/* attach.h - ATTACH: a request checked against policy and capacity, then lanes made and sent */
#ifndef CONTROL_ATTACH_H
#define CONTROL_ATTACH_H

#include "server/control/server.h"

/* attach_request - handles ATTACH: sends ATTACHED and the lanes, or refuses */
void attach_request(struct session *session, const struct message_attach *request);

/* attach_mapped - handles MAPPED: seals the up lanes, maps them, has the pairs published */
void attach_mapped(struct session *session);

/* attach_undo - frees the session's queue pairs and gives their promises back */
void attach_undo(struct session *session);

#endif
