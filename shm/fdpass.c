/* fdpass.c - sends and receives control messages with descriptors beside them */
#include "shm/fdpass.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

/* Room for more than we accept: what the kernel has installed must be seen to be closed. */
#define RECEIVE_FDS 32

union control {
	struct cmsghdr align;
	unsigned char bytes[CMSG_SPACE(RECEIVE_FDS * sizeof(int))];
};

ssize_t fdpass_recv_plain(int socket, union message *message)
{
	struct iovec iov = {message->bytes, sizeof(message->bytes)};
	/* without a control buffer the kernel says MSG_CTRUNC where there are descriptors */
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t got;

	if (recvmsg(socket, &msg, MSG_PEEK | MSG_DONTWAIT) < 0)
		return -errno;
	if (msg.msg_flags & (MSG_CTRUNC | MSG_TRUNC))
		return -EPROTO;
	got = recv(socket, message->bytes, sizeof(message->bytes), MSG_DONTWAIT);
	return got < 0 ? -errno : got;
}

/* Since Linux 6.16, and inherited from the listening socket before anybody could send on this one. */
static bool is_refusing(int socket)
{
	int on = 1;
	socklen_t bytes = sizeof(on);

	return getsockopt(socket, SOL_SOCKET, SO_PASSRIGHTS, &on, &bytes) == 0 && !on;
}

bool fdpass_drain(int socket)
{
	union {
		struct cmsghdr align;
		unsigned char bytes[CMSG_SPACE(sizeof(struct ucred))];
	} credentials;
	unsigned char byte;
	int on = 1;

	/* hundreds of messages for each connection of a flood, which close() drops much faster */
	if (is_refusing(socket))
		return true;
	/*
	 * Credentials come with every message, also with an empty one, and not at the end; there is
	 * no room for more than them, so that descriptors make it MSG_CTRUNC.
	 */
	setsockopt(socket, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
	shutdown(socket, SHUT_RD);
	for (;;) {
		struct iovec iov = {&byte, sizeof(byte)};
		struct msghdr msg = {.msg_iov = &iov,
		                     .msg_iovlen = 1,
		                     .msg_control = credentials.bytes,
		                     .msg_controllen = sizeof(credentials.bytes)};
		ssize_t got = recvmsg(socket, &msg, MSG_PEEK | MSG_DONTWAIT);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 || msg.msg_controllen == 0)
			return true;
		if (msg.msg_flags & MSG_CTRUNC)
			return false;
		recv(socket, &byte, sizeof(byte), MSG_DONTWAIT);
	}
}

bool fdpass_refuse(int socket)
{
	int off = 0;

	return setsockopt(socket, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off)) == 0;
}

void fdpass_close(const int *fds, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		close(fds[i]);
}

int fdpass_send(int socket, const union message *message, const int *fds, int flags)
{
	unsigned int num_fds = message_num_fds(message->header.type);
	struct iovec iov = {(void *)message->bytes, message->header.size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	union control control;
	ssize_t sent;

	if (num_fds) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(num_fds * sizeof(int));
		struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(num_fds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, num_fds * sizeof(int));
	}
	do
		sent = sendmsg(socket, &msg, flags | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

/* Moves the descriptors of one control message into @fds; closes what does not fit. */
static void take_fds(struct cmsghdr *cmsg, int *fds, unsigned int *num_fds, int *surplus)
{
	size_t n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (size_t i = 0; i < n; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(int));
		if (*num_fds < MESSAGE_MAX_FDS) {
			fds[(*num_fds)++] = fd;
		} else {
			close(fd);
			*surplus = 1;
		}
	}
}

ssize_t fdpass_recv(int socket, union message *message, int *fds, unsigned int *num_fds, int flags)
{
	union control control;
	struct iovec iov = {message->bytes, sizeof(message->bytes)};
	struct msghdr msg = {.msg_iov = &iov,
	                     .msg_iovlen = 1,
	                     .msg_control = control.bytes,
	                     .msg_controllen = sizeof(control.bytes)};
	int surplus = 0;
	ssize_t got;

	*num_fds = 0;
	do
		got = recvmsg(socket, &msg, flags | MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg); cmsg; cmsg = CMSG_NXTHDR(&msg, cmsg))
		if (cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS)
			take_fds(cmsg, fds, num_fds, &surplus);
	/* an empty message with descriptors would pass for the end of the connection, and leak them */
	if (surplus || (got == 0 && *num_fds) || (msg.msg_flags & (MSG_CTRUNC | MSG_TRUNC))) {
		fdpass_close(fds, *num_fds);
		*num_fds = 0;
		return -EPROTO;
	}
	return got;
}
