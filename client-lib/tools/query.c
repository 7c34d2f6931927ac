/* query.c - ixyctl's side of the control protocol */
#include "client-lib/tools/query.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client-lib/tools/servers.h"
#include "shm/fdpass.h"

#define TIMEOUT_NS 2000000000u
#define MAX_ROWS   65536 /* more than any server has of anything; ends a row stream gone wild */

int server_open(struct server *server, const char *dir, const char *name, struct failure *failure)
{
	char only[IXY_NAME_BYTES];
	int error = name ? 0 : servers_only(dir, only, failure);

	if (error < 0)
		return error;
	server->socket = connect_name(name ? name : only, dir, "ixyctl", clock_ns() + TIMEOUT_NS,
	                              &server->connection, failure);
	return server->socket < 0 ? server->socket : 0;
}

int server_open_path(struct server *server, const char *path, struct failure *failure)
{
	return server_open(server, NULL, path, failure);
}

void server_close(struct server *server)
{
	close(server->socket);
}

static int add_row(struct rows *rows, const union message *message, struct failure *failure)
{
	union message *more;

	/* doubles at each power of two */
	if ((rows->count & (rows->count - 1)) == 0) {
		size_t room = rows->count ? 2 * (size_t)rows->count : 1;

		if (rows->count >= MAX_ROWS)
			return fail(failure, EPROTO, "the server sends rows without end");
		more = realloc(rows->rows, room * sizeof(*more));
		if (!more)
			return fail(failure, ENOMEM, "out of memory for %zu rows", room);
		rows->rows = more;
	}
	rows->rows[rows->count++] = *message;
	return 0;
}

/* Whether a row of this type answers the question. */
static bool answers(uint32_t type, uint32_t what)
{
	static const uint32_t types[] = {
		[QUERY_SERVER] = MESSAGE_ROW_SERVER,   [QUERY_PORTS] = MESSAGE_ROW_PORT,
		[QUERY_CLIENTS] = MESSAGE_ROW_CLIENT,  [QUERY_POOL] = MESSAGE_ROW_POOL,
		[QUERY_VERIFY] = MESSAGE_ROW_VERIFIED, [QUERY_HOLDERS] = MESSAGE_ROW_HOLDER,
	};

	return type == types[what] || (what == QUERY_HOLDERS && type == MESSAGE_ROW_POOL);
}

/* Receives rows until END. */
static int receive_rows(const struct server *server, uint32_t what, struct rows *rows,
                        struct failure *failure)
{
	uint64_t deadline_ns = clock_ns() + TIMEOUT_NS;
	int fds[MESSAGE_MAX_FDS];
	union message message;

	for (;;) {
		int error = connect_receive(server->socket, &server->connection, deadline_ns,
		                            &message, fds, failure);

		if (error < 0)
			return error;
		if (message.header.type == MESSAGE_END)
			return 0;
		if (answers(message.header.type, what)) {
			error = add_row(rows, &message, failure);
		} else {
			fdpass_close(fds, message_num_fds(message.header.type));
			error = fail(failure, EPROTO, "the server answered question %u with %s",
			             what, message_name(message.header.type));
		}
		if (error < 0)
			return error;
	}
}

int query(const struct server *server, uint32_t what, struct rows *rows, struct failure *failure)
{
	union message message;
	int error;

	rows->rows = NULL;
	rows->count = 0;
	message_init(&message, MESSAGE_QUERY);
	message.query.what = what;
	error = connect_send(server->socket, &server->connection, &message, failure);
	if (error == 0)
		error = receive_rows(server, what, rows, failure);
	if (error < 0)
		rows_free(rows);
	return error;
}

void rows_free(struct rows *rows)
{
	free(rows->rows);
	rows->rows = NULL;
	rows->count = 0;
}

int kick(const struct server *server, uint64_t session, struct failure *failure)
{
	int fds[MESSAGE_MAX_FDS];
	union message message;
	int error;

	message_init(&message, MESSAGE_KICK);
	message.kick.session = session;
	error = connect_send(server->socket, &server->connection, &message, failure);
	return error < 0 ? error
	                 : connect_expect(server->socket, &server->connection,
	                                  clock_ns() + TIMEOUT_NS, MESSAGE_END, &message, fds,
	                                  failure);
}
