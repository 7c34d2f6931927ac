/* servers.h - the sockets that lie where servers put them, whether someone listens or not */
#ifndef TOOLS_SERVERS_H
#define TOOLS_SERVERS_H

#include <ixy/abi.h>

#include "client-lib/connect.h"

/* A file NAME.sock. */
struct server_socket {
	char name[IXY_NAME_BYTES];
	char path[sizeof(((struct connection *)0)->path)];
};

struct server_sockets {
	struct server_socket *sockets;
	unsigned int count;
};

/*
 * servers_find - all sockets in @dir, or (NULL) in all directories in which clients look, by name
 *
 * A directory that does not exist has none. Returns 0 or a negative errno with @failure.
 */
int servers_find(const char *dir, struct server_sockets *found, struct failure *failure);

void servers_free(struct server_sockets *found);

/*
 * servers_only - the name of the only live server, where the user did not give one
 *
 * Returns -ENOENT when there is none, -EINVAL when there are several; @failure then names them.
 */
int servers_only(const char *dir, char name[IXY_NAME_BYTES], struct failure *failure);

#endif
