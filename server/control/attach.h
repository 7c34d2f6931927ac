/* attach.h - ATTACH: a request checked against policy and capacity, then lanes made and sent */
#ifndef CONTROL_ATTACH_H
#define CONTROL_ATTACH_H

#include "server/control/server.h"

/* attach_request - handles ATTACH: sends ATTACHED and the lanes, or refuses */
void attach_request(struct session *session, const struct message_attach *request);

/* attach_sealed - after MAPPED (seal.h): the up lanes are ours, or @error; has the pairs published */
void attach_sealed(struct session *session, int error);

/* attach_undo - frees the session's queue pairs and gives their promises back */
void attach_undo(struct session *session);

#endif
