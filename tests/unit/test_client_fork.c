/* test_client_fork.c - how a session ends: server gone, kicked, detached, forked */
#include "tests/unit/test_client_fake.h"

#include <signal.h>
#include <sys/wait.h>

/* -- the end of a session ------------------------------------------------------------------------ */

static void close_reason_of_a_dead_server_names_it(void)
{
	struct ixy_client *client;
	struct ixy_desc desc;
	char why[256];

	fake_start(&fake, NULL);
	CHECK_EQ(attach(&client), 0);
	CHECK_EQ(ixy_close_reason(client, why, sizeof(why)), -EAGAIN);
	fake_hang_up(&fake);
	CHECK_EQ(ixy_rx_batch(ixy_queue_pair(client, 0), &desc, 1), -ENOTCONN);
	CHECK_EQ(ixy_wait(ixy_queue_pair(client, 0), IXY_WAKE_RX, -1), -ENOTCONN);
	CHECK_EQ(ixy_close_reason(client, why, sizeof(why)), 0);
	CHECK(strstr(why, "fake") && strstr(why, "4711") && strstr(why, "gone"));
	ixy_detach(client);
	/* and a new server can be attached to */
	CHECK(fake_wait_served(&fake, 1));
	CHECK_EQ(attach(&client), 0);
	ixy_detach(client);
	fake_stop(&fake);
}

/* The alive word is seen first; the control socket may have nothing to say yet. */
static void close_reason_before_the_socket_ends_follows_the_alive_word(void)
{
	struct ixy_client *client;
	char why[256];

	fake_start(&fake, NULL);
	CHECK_EQ(attach(&client), 0);
	fake.session.header->alive |= 1u << 30;
	CHECK_EQ(ixy_close_reason(client, why, sizeof(why)), 0);
	CHECK(strstr(why, "is gone") != NULL);
	fake.session.header->alive = 0;
	CHECK_EQ(ixy_close_reason(client, why, sizeof(why)), 0);
	CHECK(strstr(why, "stopped") != NULL);
	fake.session.header->alive = FAKE_ALIVE;
	fake.session.qps[0].state->state = IXY_QP_CLOSED;
	CHECK_EQ(ixy_close_reason(client, why, sizeof(why)), 0);
	CHECK(strstr(why, "closed the session") != NULL);
	ixy_detach(client);
	fake_stop(&fake);
}

static void close_reason_after_a_kick_has_the_server_s_words(void)
{
	struct ixy_client *client;
	union message message;
	char why[256];

	fake_start(&fake, NULL);
	CHECK_EQ(attach(&client), 0);
	message_init(&message, MESSAGE_CLOSED);
	message.closed.cause = CLOSE_KICKED;
	strcpy(message.closed.text, "kicked by root\n");
	fdpass_send(fake.session.socket, &message, NULL, 0);
	fake.session.qps[0].state->state = IXY_QP_CLOSED;
	CHECK_EQ(ixy_close_reason(client, why, sizeof(why)), 0);
	CHECK(strcmp(why, "kicked by root?") == 0);
	fake_hang_up(&fake);
	CHECK_EQ(ixy_close_reason(client, why, sizeof(why)), 0);
	CHECK(strcmp(why, "kicked by root?") == 0);
	ixy_detach(client);
	fake_stop(&fake);
}

static void *take_frames_later(void *arg)
{
	nap_ms(100);
	__atomic_store_n(&fake.session.qps[0].down->tx_head, 2, __ATOMIC_RELEASE);
	return arg;
}

static void detach_waits_for_frames_that_are_on_their_way(void)
{
	struct ixy_desc descs[2] = {{1, 256, 60, 0, 0, 0}, {2, 256, 60, 0, 0, 0}};
	struct ixy_client *client;
	pthread_t thread;
	long begin;

	fake_start(&fake, NULL);
	CHECK_EQ(attach(&client), 0);
	CHECK_EQ(ixy_tx_batch(ixy_queue_pair(client, 0), descs, 2), 2);
	begin = now_ms();
	pthread_create(&thread, NULL, take_frames_later, NULL);
	ixy_detach(client);
	CHECK(now_ms() - begin >= 100 && now_ms() - begin < 900);
	pthread_join(thread, NULL);
	CHECK_EQ(attach(&client), 0);
	CHECK_EQ(ixy_tx_batch(ixy_queue_pair(client, 0), descs, 2), 2);
	begin = now_ms();
	ixy_detach(client); /* nobody takes them */
	CHECK(now_ms() - begin >= 1000 && now_ms() - begin < 2000);
	fake_stop(&fake);
}

static void detach_of_null_does_nothing(void)
{
	ixy_detach(NULL);
}

/* -- fork ---------------------------------------------------------------------------------------- */

#define EXPECT(condition)                                                                          \
	do {                                                                                       \
		if (!(condition))                                                                  \
			_exit(__LINE__ % 250 + 1);                                                 \
	} while (0)

/* In the child: every call works, says that there is no server, and touches nothing. */
static void be_child(struct ixy_client *client, const struct ixy_desc *held)
{
	struct ixy_qp *qp = ixy_queue_pair(client, 0);
	struct ixy_port_info info = {.size = sizeof(info)};
	struct ixy_stats stats = {.size = sizeof(stats)};
	struct ixy_desc desc = *held;
	char why[256];

	EXPECT(ixy_rx_batch(qp, &desc, 1) == -ENOTCONN);
	EXPECT(ixy_tx_batch(qp, &desc, 1) == -ENOTCONN);
	EXPECT(ixy_alloc_batch(qp, &desc, 1) == -ENOTCONN);
	EXPECT(ixy_free_batch(qp, &desc, 1) == -ENOTCONN);
	EXPECT(ixy_wait(qp, IXY_WAKE_RX, -1) == -ENOTCONN);
	EXPECT(ixy_wait_arm(qp, IXY_WAKE_RX) == -ENOTCONN);
	ixy_wait_disarm(qp);
	ixy_doorbell(qp);
	EXPECT(ixy_wait_fd(qp) == -1);
	EXPECT(ixy_port_index(client, "p0") == -ENODEV);
	EXPECT(ixy_port_info(client, 0, &info) == -ENOTCONN);
	EXPECT(ixy_stats(qp, &stats) == 0 && stats.rx_packets == 1);
	EXPECT(ixy_close_reason(client, why, sizeof(why)) == 0 && strstr(why, "fork"));
	/* a frame that the parent holds: zeros, and writing them reaches nobody */
	EXPECT(*(const char *)ixy_data(qp, &desc) == 0);
	*(char *)ixy_data(qp, &desc) = 'c';
	*(char *)ixy_data(qp, &desc) = 0; /* for the child's child */
}

static void fork_child_finds_no_server_and_parent_notices_nothing(void)
{
	int mappings = count_mappings(), status = -1;
	struct ixy_desc desc = {7, 300, 4, 1, 0, 0}, got;
	struct ixy_client *client;
	struct ixy_desc *rx;
	pid_t pid;

	fake_start(&fake, NULL);
	CHECK_EQ(attach(&client), 0);
	fake.session.pool[7 * 2048 + 300] = 'p';
	rx = (void *)(fake.session.qps[0].down_map + fake.session.qps[0].geometry.rx_offset);
	rx[0] = rx[1] = desc;
	__atomic_store_n(&fake.session.qps[0].down->rx_tail, 1, __ATOMIC_RELEASE);
	CHECK_EQ(ixy_rx_batch(ixy_queue_pair(client, 0), &got, 1), 1);
	pid = fork();
	if (pid == 0) {
		be_child(client, &got);
		pid = fork(); /* a grandchild as well */
		be_child(client, &got);
		if (pid && (waitpid(pid, &status, 0) != pid || status))
			_exit(251);
		ixy_detach(client);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	CHECK_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
	CHECK(__atomic_load_n(&fake.open, __ATOMIC_ACQUIRE));
	CHECK_EQ(fake.session.pool[7 * 2048 + 300], 'p');
	__atomic_store_n(&fake.session.qps[0].down->rx_tail, 2, __ATOMIC_RELEASE);
	CHECK_EQ(ixy_rx_batch(ixy_queue_pair(client, 0), &got, 1), 1);
	ixy_detach(client);
	CHECK(fake_wait_served(&fake, 1));
	CHECK(fake.got_detach);
	fake_stop(&fake);
	CHECK_EQ(count_mappings(), mappings);
}

static void fork_child_keeps_no_session_of_a_dead_parent(void)
{
	struct ixy_client *client;
	int to_parent[2], status;
	pid_t pid, grandchild = 0;

	fake_start(&fake, NULL);
	if (pipe2(to_parent, O_CLOEXEC) < 0)
		abort();
	pid = fork();
	if (pid == 0) {
		if (attach(&client) < 0)
			_exit(1);
		grandchild = fork();
		if (grandchild == 0) {
			pause();
			_exit(0);
		}
		(void)!write(to_parent[1], &grandchild, sizeof(grandchild));
		_exit(0); /* without a goodbye */
	}
	waitpid(pid, &status, 0);
	CHECK_EQ(status, 0);
	CHECK_EQ(read(to_parent[0], &grandchild, sizeof(grandchild)), sizeof(grandchild));
	CHECK(fake_wait_served(&fake, 1));
	CHECK(!fake.got_detach);
	if (grandchild > 0)
		kill(grandchild, SIGKILL);
	close(to_parent[0]);
	close(to_parent[1]);
	fake_stop(&fake);
}

static void fork_child_attaches_on_its_own(void)
{
	struct ixy_client *client, *own;
	int status;
	pid_t pid;

	fake_start(&fake, NULL);
	CHECK_EQ(attach(&client), 0);
	pid = fork();
	if (pid == 0) {
		ixy_detach(client);
		/* the server takes one at a time: it answers once the parent has left */
		EXPECT(attach(&own) == 0);
		EXPECT(ixy_wait(ixy_queue_pair(own, 0), IXY_WAKE_RX, 0) == 0);
		ixy_detach(own);
		_exit(0);
	}
	nap_ms(50);
	ixy_detach(client);
	waitpid(pid, &status, 0);
	CHECK_EQ(status, 0);
	CHECK(fake_wait_served(&fake, 2));
	fake_stop(&fake);
}

int main(void)
{
	alarm(100); /* nothing here may hang */
	RUN(close_reason_of_a_dead_server_names_it);
	RUN(close_reason_before_the_socket_ends_follows_the_alive_word);
	RUN(close_reason_after_a_kick_has_the_server_s_words);
	RUN(detach_waits_for_frames_that_are_on_their_way);
	RUN(detach_of_null_does_nothing);
	RUN(fork_child_finds_no_server_and_parent_notices_nothing);
	RUN(fork_child_keeps_no_session_of_a_dead_parent);
	RUN(fork_child_attaches_on_its_own);
	return DONE();
}
