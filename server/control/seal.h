/* seal.h - MAPPED: the client's up lanes sealed and mapped, on a thread of its own */
#ifndef CONTROL_SEAL_H
#define CONTROL_SEAL_H

#include "server/control/server.h"

/*
 * seal_start - seals the session's up lanes against further writable mappings, and maps them
 *
 * Sealing takes the inode's lock, and a client can hold that for as long as it likes (a write(2) to the
 * lane from memory whose pages never come), so a thread does it; seal_finished() tells how it ended.
 * Until then the session must not be freed. Refuses, and closes the session, when the user has too many
 * of these hanging.
 */
void seal_start(struct session *session);

/* seal_open - makes what the threads report to; the control loop then calls attach_sealed. -1: errno */
int seal_open(struct server *server);

#endif
