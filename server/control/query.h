/* query.h - answers to QUERY: rows about the server, its ports, clients and buffers */
#ifndef CONTROL_QUERY_H
#define CONTROL_QUERY_H

#include "server/control/server.h"

/* query_start - handles QUERY */
void query_start(struct session *session, uint32_t what);

/* query_continue - sends the rows that did not fit before; the socket has room again */
void query_continue(struct session *session);

#endif
