/* privileges.h - from root to a user of the server's own, once the ports are open */
#ifndef SERVER_PRIVILEGES_H
#define SERVER_PRIVILEGES_H

#include <stdbool.h>
#include <sys/types.h>

#include "server/error.h"

struct identity {
	bool change; /* there is somebody to become */
	uid_t uid;
	gid_t gid;
	bool has_group; /* socket_gid was asked for */
	gid_t socket_gid;
};

/*
 * identity_find - whom to become: @user, or "ixy" if that exists; @group for the socket, or NULL
 *
 * Refuses "nobody", which other programs' processes may be. Somebody who is not root stays who he is.
 */
int identity_find(struct identity *identity, const char *user, const char *group,
                  struct error *error);

/*
 * privileges_drop - becomes @identity for good; of the capabilities that there are, keeps CAP_IPC_LOCK
 * (lanes are locked) and, with @may_kill, CAP_KILL (--on-violation kill), also if nobody else is become
 *
 * In any case: not dumpable, so that no client with the same uid can read or trace the server, and
 * no new privileges. Before other threads are started.
 */
int privileges_drop(const struct identity *identity, bool may_kill, struct error *error);

#endif
