/* query.h - questions to a server: QUERY -> rows -> END; and orders: KICK */
#ifndef TOOLS_QUERY_H
#define TOOLS_QUERY_H

#include <stdint.h>

#include "client-lib/connect.h"

/* A server that answered the greeting. */
struct server {
	int socket;
	struct connection connection;
};

/* The rows of one answer. */
struct rows {
	union message *rows;
	unsigned int count;
};

/*
 * server_open - greets the server @name in @dir (NULL: wherever clients look)
 *
 * @name NULL means the only one there is. Returns 0, or a negative errno with @failure.
 */
int server_open(struct server *server, const char *dir, const char *name, struct failure *failure);

/* server_open_path - the same for a socket's path */
int server_open_path(struct server *server, const char *path, struct failure *failure);

void server_close(struct server *server);

/* query - asks for @what (enum query_what); on success @rows is to be given to rows_free */
int query(const struct server *server, uint32_t what, struct rows *rows, struct failure *failure);

void rows_free(struct rows *rows);

/* kick - closes the session of that number; returns 0 or a negative errno with @failure */
int kick(const struct server *server, uint64_t session, struct failure *failure);

#endif
