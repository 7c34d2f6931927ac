/* connect.h - finds a server by its name and exchanges greetings; for ixy_attach and for ixyctl */
#ifndef CLIENT_CONNECT_H
#define CLIENT_CONNECT_H

#include <stdint.h>
#include <sys/un.h>

#include <ixy/abi.h>

#include "client-lib/failure.h"
#include "shm/message.h"

/* Who answered, and where. */
struct connection {
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	uint32_t pid;
	uint16_t control_minor; /* what else it understands */
	char name[IXY_NAME_BYTES];
	char version[IXY_NAME_BYTES];
};

/* clock_ns - CLOCK_MONOTONIC, in which all deadlines are given */
uint64_t clock_ns(void);

/*
 * connect_name - connects to the server called @name, or to the socket @name if it has a '/'
 *
 * Looks in @socket_dir alone unless that is NULL, else in each directory of shm/rendezvous.h; the
 * first that has a live server wins. Sends HELLO as @program and checks WELCOME. Returns the
 * socket, or a negative errno (ixy_attach's) with @failure.
 */
int connect_name(const char *name, const char *socket_dir, const char *program,
                 uint64_t deadline_ns, struct connection *connection, struct failure *failure);

/* connect_path - the same for the socket @connection->path, which the caller has set */
int connect_path(const char *program, uint64_t deadline_ns, struct connection *connection,
                 struct failure *failure);

/* connect_send - sends @message; returns 0 or a negative errno with @failure */
int connect_send(int socket, const struct connection *connection, const union message *message,
                 struct failure *failure);

/*
 * connect_receive - waits for the next message, whatever its type, well-formed
 *
 * REFUSED and CLOSED are turned into a negative errno and their text. @fds has room for
 * MESSAGE_MAX_FDS, and gets as many as message_num_fds() says, which are the caller's then.
 */
int connect_receive(int socket, const struct connection *connection, uint64_t deadline_ns,
                    union message *message, int *fds, struct failure *failure);

/* connect_expect - the same for a message that has to be of @type */
int connect_expect(int socket, const struct connection *connection, uint64_t deadline_ns,
                   uint32_t type, union message *message, int *fds, struct failure *failure);

#endif
