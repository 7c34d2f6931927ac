/* test_fdpass.c - receiving and closing beside a peer that sends descriptors where none belong */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shm/fdpass.h"
#include "tests/unit/test.h"

/* [0] is ours, [1] the peer's */
static int ends[2];

static void setup(void)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		abort();
}

static void teardown(void)
{
	close(ends[0]);
	close(ends[1]);
}

/* The peer sends @bytes bytes, and @fd beside them unless it is negative. */
static void peer_sends(size_t bytes, int fd)
{
	unsigned char content[64] = {0};
	struct iovec iov = {content, bytes};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	union {
		struct cmsghdr align;
		unsigned char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};

	if (fd >= 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	}
	CHECK_EQ(sendmsg(ends[1], &msg, MSG_NOSIGNAL), bytes);
}

/* Sends the read end of a pipe and closes it: the write end shows when nobody has it any more. */
static int peer_sends_pipe(size_t bytes)
{
	int fds[2];

	if (pipe2(fds, O_NONBLOCK | O_CLOEXEC))
		abort();
	peer_sends(bytes, fds[0]);
	close(fds[0]);
	return fds[1];
}

static bool somebody_has(int write_end)
{
	return write(write_end, "", 1) == 1;
}

static void plain_message_is_received(void)
{
	union message message;

	setup();
	peer_sends(12, -1);
	CHECK_EQ(fdpass_recv_plain(ends[0], &message), 12);
	CHECK_EQ(fdpass_recv_plain(ends[0], &message), -EAGAIN);
	teardown();
}

static void plain_message_with_descriptor_is_refused_and_not_taken(void)
{
	union message message;
	int write_end;

	signal(SIGPIPE, SIG_IGN);
	setup();
	write_end = peer_sends_pipe(12);
	CHECK_EQ(fdpass_recv_plain(ends[0], &message), -EPROTO);
	CHECK_EQ(fdpass_recv_plain(ends[0], &message), -EPROTO);
	CHECK(somebody_has(write_end));
	close(ends[0]);
	CHECK(!somebody_has(write_end));
	close(write_end);
	close(ends[1]);
}

static void drain_of_plain_messages_allows_closing(void)
{
	setup();
	for (int i = 0; i < 20; i++)
		peer_sends((size_t)i % 3, -1);
	CHECK(fdpass_drain(ends[0]));
	CHECK_EQ(send(ends[1], "x", 1, MSG_NOSIGNAL), -1);
	teardown();
}

static void drain_after_the_peer_left_allows_closing(void)
{
	setup();
	peer_sends(5, -1);
	shutdown(ends[1], SHUT_RDWR);
	CHECK(fdpass_drain(ends[0]));
	teardown();
}

static void drain_with_descriptor_behind_empty_packets_forbids_closing(void)
{
	for (size_t bytes = 0; bytes < 2; bytes++) {
		int write_end;

		setup();
		peer_sends(0, -1);
		peer_sends(0, -1);
		write_end = peer_sends_pipe(bytes);
		CHECK(!fdpass_drain(ends[0]));
		CHECK(somebody_has(write_end));
		close(write_end);
		teardown();
	}
}

/* What is queued is left for close(): a flood must not make the server take it message by message. */
static void drain_where_the_kernel_refuses_takes_nothing(void)
{
	char byte;

	setup();
	if (fdpass_refuse(ends[0])) {
		peer_sends(3, -1);
		CHECK(fdpass_drain(ends[0]));
		CHECK_EQ(recv(ends[0], &byte, 1, MSG_DONTWAIT), 1);
	} else {
		printf("     (this kernel cannot refuse descriptors)\n");
	}
	teardown();
}

static void refuse_where_the_kernel_can_stops_the_sender(void)
{
	int sent;

	setup();
	if (!fdpass_refuse(ends[0])) {
		printf("     (this kernel cannot refuse descriptors)\n");
		teardown();
		return;
	}
	peer_sends(3, -1);
	char byte = 0;
	struct iovec iov = {&byte, 1};
	union {
		struct cmsghdr align;
		unsigned char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.align = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	struct msghdr msg = {.msg_iov = &iov,
	                     .msg_iovlen = 1,
	                     .msg_control = control.bytes,
	                     .msg_controllen = sizeof(control.bytes)};
	memcpy(CMSG_DATA(&control.align), &ends[1], sizeof(int));
	sent = (int)sendmsg(ends[1], &msg, MSG_NOSIGNAL);
	CHECK(sent == -1 && errno == EPERM);
	teardown();
}

int main(void)
{
	RUN(plain_message_is_received);
	RUN(plain_message_with_descriptor_is_refused_and_not_taken);
	RUN(drain_of_plain_messages_allows_closing);
	RUN(drain_after_the_peer_left_allows_closing);
	RUN(drain_with_descriptor_behind_empty_packets_forbids_closing);
	RUN(drain_where_the_kernel_refuses_takes_nothing);
	RUN(refuse_where_the_kernel_can_stops_the_sender);
	return DONE();
}
