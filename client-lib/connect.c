/* connect.c - from a server's name to a greeted control socket; every step has its own sentence */
#include "client-lib/connect.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "shm/fdpass.h"
#include "shm/rendezvous.h"

uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* What is left until @deadline_ns, rounded up to milliseconds so that a wait never ends early. */
static int remaining_ms(uint64_t deadline_ns)
{
	uint64_t now = clock_ns();
	uint64_t ms = deadline_ns <= now ? 0 : (deadline_ns - now + 999999) / 1000000;

	return ms > INT_MAX ? INT_MAX : (int)ms;
}

/* The kernel refused: says what the socket's owner can do about it, or the user. */
static int fail_permission(const struct connection *connection, struct failure *failure)
{
	struct stat st;

	if (stat(connection->path, &st) < 0)
		return fail(failure, EACCES,
		            "user %u may not search the directory of %s; as its owner: chmod a+x, "
		            "or start the server with another --socket-dir",
		            (unsigned int)geteuid(), connection->path);
	return fail(failure, EACCES,
	            "user %u may not connect to %s (mode %04o, owner %u, group %u); join that "
	            "group, or start the server with --socket-group or --socket-mode 0666",
	            (unsigned int)geteuid(), connection->path, (unsigned int)st.st_mode & 07777,
	            (unsigned int)st.st_uid, (unsigned int)st.st_gid);
}

static int fail_connect(const struct connection *connection, int error, struct failure *failure)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		return fail(failure, ENOENT,
		            "there is no %s; \"ixyctl list\" shows the servers that run",
		            connection->path);
	case ECONNREFUSED:
		return fail(failure, ECONNREFUSED,
		            "%s is left over from a server that runs no more; start it again under "
		            "the same name, which replaces the file",
		            connection->path);
	case EACCES:
	case EPERM:
		return fail_permission(connection, failure);
	case ENOTSOCK:
	case EPROTOTYPE:
		return fail(failure, EPROTO, "%s is not the socket of an ixy-server",
		            connection->path);
	case EAGAIN:
		return fail(failure, ETIMEDOUT,
		            "the server behind %s accepts no connections: it hangs, or is flooded "
		            "with them",
		            connection->path);
	default:
		return fail(failure, error, "cannot connect to %s: %s", connection->path,
		            strerror(error));
	}
}

/*
 * A Unix socket whose backlog is full makes connect() wait, as long as the send timeout allows.
 * After a signal the socket is unconnected as before, so that it can be tried again.
 */
static int connect_socket(int fd, const char *path, uint64_t deadline_ns)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	memcpy(address.sun_path, path, strnlen(path, sizeof(address.sun_path) - 1));
	for (;;) {
		int ms = remaining_ms(deadline_ns);
		struct timeval timeout = {ms / 1000, ms % 1000 * 1000};

		if (ms == 0)
			return -EAGAIN;
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
		if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
			return 0;
		if (errno != EINTR)
			return -errno;
	}
}

int connect_send(int socket, const struct connection *connection, const union message *message,
                 struct failure *failure)
{
	int error = fdpass_send(socket, message, NULL, 0);

	if (error == -EAGAIN)
		return fail(failure, ETIMEDOUT, "the server behind %s does not read: it hangs",
		            connection->path);
	/* whatever it has to say about why it closed the connection can still be received */
	if (error < 0 && error != -EPIPE && error != -ECONNRESET)
		return fail(failure, -error, "cannot send to the server behind %s: %s",
		            connection->path, strerror(-error));
	return 0;
}

/*
 * A message that was cut because no descriptor could be installed looks like a broken one; only
 * trying tells which.
 */
static bool out_of_descriptors(int fd)
{
	int copies[MESSAGE_MAX_FDS];
	unsigned int n = 0;

	while (n < MESSAGE_MAX_FDS && (copies[n] = fcntl(fd, F_DUPFD_CLOEXEC, 0)) >= 0)
		n++;
	fdpass_close(copies, n);
	return n < MESSAGE_MAX_FDS;
}

static int fail_receive(int socket, const struct connection *connection, int error,
                        struct failure *failure)
{
	if (error == EPROTO && out_of_descriptors(socket))
		return fail(failure, EMFILE,
		            "no file descriptors are left for what the server sends (5 for each "
		            "queue pair); raise the limit: ulimit -n");
	if (error == EPROTO)
		return fail(failure, EPROTO,
		            "what answers behind %s does not speak this protocol: a message is too "
		            "long, or carries too many descriptors",
		            connection->path);
	if (error == ECONNRESET || error == 0)
		return fail(failure, ECONNREFUSED,
		            "the server behind %s went away before it had answered; its log says "
		            "why, \"ixyctl list\" shows whether it runs again",
		            connection->path);
	return fail(failure, error, "cannot receive from %s: %s", connection->path,
	            strerror(error));
}

/* Sleeps until there is something to receive. */
static int wait_readable(int socket, const struct connection *connection, uint64_t deadline_ns,
                         struct failure *failure)
{
	struct pollfd p = {.fd = socket, .events = POLLIN};

	for (;;) {
		int n = poll(&p, 1, remaining_ms(deadline_ns));

		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return fail(failure, errno, "poll: %s", strerror(errno));
		if (n == 0 && remaining_ms(deadline_ns) == 0)
			return fail(failure, ETIMEDOUT,
			            "the server behind %s accepted the connection, but did not "
			            "answer in time: it hangs, or is stopped",
			            connection->path);
	}
}

/* Messages that can come in place of any other. */
static int fail_ended(const union message *message, struct failure *failure)
{
	char text[MESSAGE_TEXT_BYTES];
	int error = ECONNREFUSED;

	if (message->header.type == MESSAGE_REFUSED) {
		copy_text(text, sizeof(text), message->refused.text, MESSAGE_TEXT_BYTES);
		return fail(failure, (int)message->refused.error, "%s", text);
	}
	if (message->closed.cause == CLOSE_KICKED)
		error = EACCES;
	else if (message->closed.cause != CLOSE_SHUTDOWN)
		error = EPROTO;
	copy_text(text, sizeof(text), message->closed.text, MESSAGE_TEXT_BYTES);
	return fail(failure, error, "the server closed the session: %s", text);
}

int connect_receive(int socket, const struct connection *connection, uint64_t deadline_ns,
                    union message *message, int *fds, struct failure *failure)
{
	unsigned int num_fds;
	const char *wrong;
	ssize_t got;
	int error;

	do {
		error = wait_readable(socket, connection, deadline_ns, failure);
		if (error < 0)
			return error;
		got = fdpass_recv(socket, message, fds, &num_fds, MSG_DONTWAIT);
	} while (got == -EAGAIN);
	if (got <= 0)
		return fail_receive(socket, connection, (int)-got, failure);

	wrong = message_check(message, (size_t)got);
	if (!wrong && num_fds != message_num_fds(message->header.type))
		wrong = "wrong number of descriptors";
	if (wrong) {
		fdpass_close(fds, num_fds);
		return fail(failure, EPROTO,
		            "what answers behind %s does not speak this protocol: %s",
		            connection->path, wrong);
	}
	if (message->header.type == MESSAGE_REFUSED || message->header.type == MESSAGE_CLOSED)
		return fail_ended(message, failure);
	return 0;
}

int connect_expect(int socket, const struct connection *connection, uint64_t deadline_ns,
                   uint32_t type, union message *message, int *fds, struct failure *failure)
{
	int error = connect_receive(socket, connection, deadline_ns, message, fds, failure);

	if (error < 0)
		return error;
	if (message->header.type == type)
		return 0;
	fdpass_close(fds, message_num_fds(message->header.type));
	return fail(failure, EPROTO,
	            "what answers behind %s does not speak this protocol: %s in place of %s",
	            connection->path, message_name(message->header.type), message_name(type));
}

static void fill_hello(union message *message, const char *program)
{
	message_init(message, MESSAGE_HELLO);
	message->hello.magic = MESSAGE_MAGIC;
	message->hello.control_major = CONTROL_MAJOR;
	message->hello.control_minor = CONTROL_MINOR;
	message->hello.abi_major = IXY_ABI_MAJOR;
	message->hello.abi_minor = IXY_ABI_MINOR;
	snprintf(message->hello.program, sizeof(message->hello.program), "%s", program);
}

static int check_welcome(const struct message_welcome *welcome, struct connection *connection,
                         struct failure *failure)
{
	connection->pid = welcome->server_pid;
	connection->control_minor = welcome->control_minor;
	copy_text(connection->name, IXY_NAME_BYTES, welcome->server_name, IXY_NAME_BYTES);
	copy_text(connection->version, IXY_NAME_BYTES, welcome->server_version, IXY_NAME_BYTES);
	if (welcome->control_major == CONTROL_MAJOR && welcome->abi_major == IXY_ABI_MAJOR)
		return 0;
	return fail(failure, EPROTO,
	            "the server \"%s\" speaks protocol %u.%u over memory %u.%u, this library %u.%u "
	            "over %u.%u; install the same release on both sides",
	            connection->name, welcome->control_major, welcome->control_minor,
	            welcome->abi_major, welcome->abi_minor, CONTROL_MAJOR, CONTROL_MINOR,
	            IXY_ABI_MAJOR, IXY_ABI_MINOR);
}

static int greet(int socket, const char *program, uint64_t deadline_ns,
                 struct connection *connection, struct failure *failure)
{
	union message message;
	int fds[MESSAGE_MAX_FDS];
	int error;

	fill_hello(&message, program);
	error = connect_send(socket, connection, &message, failure);
	if (error < 0)
		return error;
	error = connect_expect(socket, connection, deadline_ns, MESSAGE_WELCOME, &message, fds,
	                       failure);
	return error < 0 ? error : check_welcome(&message.welcome, connection, failure);
}

int connect_path(const char *program, uint64_t deadline_ns, struct connection *connection,
                 struct failure *failure)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int error;

	if (fd < 0)
		return fail(failure, errno, "cannot make a socket: %s", strerror(errno));
	error = connect_socket(fd, connection->path, deadline_ns);
	if (error < 0)
		error = fail_connect(connection, -error, failure);
	else
		error = greet(fd, program, deadline_ns, connection, failure);
	if (error < 0) {
		close(fd);
		return error;
	}
	return fd;
}

static int set_path(struct connection *connection, const char *dir, const char *name,
                    struct failure *failure)
{
	if (rendezvous_path(dir, name, connection->path, sizeof(connection->path)) == 0)
		return 0;
	return fail(
		failure, EINVAL,
		"%s/%s.sock is longer than a socket's address can be (%zu bytes); use a shorter "
		"--socket-dir",
		dir, name, sizeof(connection->path) - 1);
}

/* The one of two failures that says more: a socket that is there over one that is not. */
static bool is_better(int error, int than)
{
	return than == 0 || than == -ENOENT || (than == -ECONNREFUSED && error != -ENOENT);
}

/* Tries each directory in which servers put their sockets. */
static int connect_search(const char *name, const char *program, uint64_t deadline_ns,
                          struct connection *connection, struct failure *failure)
{
	struct failure this_failure;
	char dir[sizeof(connection->path)];
	char looked[2 * sizeof(dir)] = "";
	int best = 0;

	for (unsigned int i = 0; rendezvous_client_dir(i, dir, sizeof(dir)); i++) {
		size_t len = strlen(looked);
		int fd = set_path(connection, dir, name, &this_failure);

		snprintf(looked + len, sizeof(looked) - len, "%s%s", i ? " or " : "", dir);
		if (fd == 0)
			fd = connect_path(program, deadline_ns, connection, &this_failure);
		if (fd >= 0)
			return fd;
		if (is_better(fd, best)) {
			best = fd;
			*failure = this_failure;
		}
	}
	if (best == -ENOENT)
		return fail(failure, ENOENT,
		            "no server called \"%s\" in %s; \"ixyctl list\" shows those that run, "
		            "\"ixy-server --name %s --port ...\" starts it",
		            name, looked, name);
	return best;
}

int connect_name(const char *name, const char *socket_dir, const char *program,
                 uint64_t deadline_ns, struct connection *connection, struct failure *failure)
{
	int error;

	memset(connection, 0, sizeof(*connection));
	if (strchr(name, '/')) {
		if (strlen(name) >= sizeof(connection->path))
			return fail(failure, EINVAL,
			            "%s is longer than a socket's address can be (%zu bytes)", name,
			            sizeof(connection->path) - 1);
		memcpy(connection->path, name, strlen(name) + 1);
		return connect_path(program, deadline_ns, connection, failure);
	}
	if (!rendezvous_name_ok(name))
		return fail(failure, EINVAL,
		            "\"%s\" cannot be a server's name: 1 to %d letters, digits, '-', '_' "
		            "and '.', not beginning with '.'",
		            name, IXY_NAME_BYTES - 1);
	if (!socket_dir)
		return connect_search(name, program, deadline_ns, connection, failure);
	error = set_path(connection, socket_dir, name, failure);
	return error < 0 ? error : connect_path(program, deadline_ns, connection, failure);
}
