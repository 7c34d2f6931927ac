/* vfio_user_message.c - messages of vfio-user from and to the socket */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/models/vfio_user.h"

void vfio_user_close_fds(struct vfio_user_message *message)
{
	for (unsigned int i = 0; i < message->num_fds; i++)
		if (message->fds[i] >= 0)
			close(message->fds[i]);
	message->num_fds = 0;
}

static void take_fds(struct vfio_user_message *message, struct msghdr *head)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(head); c; c = CMSG_NXTHDR(head, c)) {
		size_t bytes = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < bytes / sizeof(int); i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (message->num_fds < VFIO_USER_MAX_FDS)
				message->fds[message->num_fds++] = fd;
			else
				close(fd);
		}
	}
}

bool vfio_user_receive(int fd, struct vfio_user_message *message)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(VFIO_USER_MAX_FDS * sizeof(int))];
	} control;
	struct iovec part = {&message->header, sizeof(message->header)};
	struct msghdr head = {.msg_iov = &part,
	                      .msg_iovlen = 1,
	                      .msg_control = &control,
	                      .msg_controllen = sizeof(control)};
	struct vfio_user_header *header = &message->header;
	ssize_t got;

	vfio_user_close_fds(message);
	do {
		got = recvmsg(fd, &head, MSG_WAITALL | MSG_CMSG_CLOEXEC);
	} while (got < 0 && errno == EINTR);
	if (got <= 0)
		return false;
	take_fds(message, &head);
	if (got != sizeof(*header) || head.msg_flags & MSG_CTRUNC ||
	    header->size_bytes < sizeof(*header) ||
	    header->size_bytes - sizeof(*header) > VFIO_USER_MAX_BODY)
		return false;
	message->body_bytes = header->size_bytes - (uint32_t)sizeof(*header);
	if (!message->body_bytes)
		return true;
	return recv(fd, message->body, message->body_bytes, MSG_WAITALL) ==
	       (ssize_t)message->body_bytes;
}

bool vfio_user_reply(int fd, const struct vfio_user_header *to, const void *body,
                     uint32_t body_bytes, int error)
{
	struct vfio_user_header header = {.id = to->id,
	                                  .command = to->command,
	                                  .size_bytes = (uint32_t)sizeof(header) + body_bytes,
	                                  .flags = VFIO_USER_REPLY | (error ? VFIO_USER_ERROR : 0),
	                                  .error = (uint32_t)error};
	/* sendmsg does not write to it */
	struct iovec parts[] = {{&header, sizeof(header)}, {(void *)(uintptr_t)body, body_bytes}};
	struct msghdr head = {.msg_iov = parts, .msg_iovlen = body_bytes ? 2 : 1};
	size_t left = sizeof(header) + body_bytes;

	while (left) {
		ssize_t sent = sendmsg(fd, &head, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return false;
		left -= (size_t)sent;
		for (unsigned int i = 0; i < 2 && sent; i++) {
			size_t part =
				(size_t)sent < parts[i].iov_len ? (size_t)sent : parts[i].iov_len;

			parts[i].iov_base = (char *)parts[i].iov_base + part;
			parts[i].iov_len -= part;
			sent -= (ssize_t)part;
		}
	}
	return true;
}
