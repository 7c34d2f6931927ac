/* detach.c - ixy_detach: last frames out, goodbye to the server, then everything is given back */
#include "client-lib/client_private.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "shm/fdpass.h"

#define PATIENCE_NS 1000000000u /* for the server to take the last frames, and to say goodbye */
#define NAP_NS      100000

void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static bool has_unsent(const struct ixy_client *client)
{
	for (unsigned int i = 0; i < client->num_qps; i++) {
		const struct ixy_qp *qp = &client->qps[i].qp;

		if (ixy_qp_is_open(qp) &&
		    __atomic_load_n(&qp->down->tx_head, __ATOMIC_ACQUIRE) != qp->tx_tail)
			return true;
	}
	return false;
}

/* The workers have been told by ixy_tx_batch already; they need only be given the time. */
static void drain(const struct ixy_client *client)
{
	const struct timespec nap = {0, NAP_NS};
	uint64_t deadline_ns = clock_ns() + PATIENCE_NS;

	while (has_unsent(client) && clock_ns() < deadline_ns)
		nanosleep(&nap, NULL);
}

/*
 * The server ends the connection when it has every buffer back. Waiting for that makes the buffers
 * of this client available to the next attach of the same program.
 */
static void say_goodbye(struct ixy_client *client)
{
	struct pollfd p = {.fd = client->control, .events = POLLIN};
	uint64_t deadline_ns = clock_ns() + PATIENCE_NS;
	int fds[MESSAGE_MAX_FDS];
	unsigned int num_fds;
	union message message;
	ssize_t got = 1;

	message_init(&message, MESSAGE_DETACH);
	if (fdpass_send(client->control, &message, NULL, MSG_DONTWAIT) < 0)
		return;
	while ((got > 0 || got == -EAGAIN) && clock_ns() < deadline_ns) {
		if (poll(&p, 1, 10) == 0)
			continue;
		got = fdpass_recv(client->control, &message, fds, &num_fds, MSG_DONTWAIT);
		fdpass_close(fds, num_fds);
	}
}

void client_free(struct ixy_client *client)
{
	registry_remove(client);
	for (unsigned int i = 0; i < client->num_qps; i++) {
		close_fd(&client->qps[i].qp.wait_fd);
		close_fd(&client->qps[i].qp.doorbell_fd);
	}
	close_fd(&client->control);
	/*
	 * A process made by a bare clone() has holes where its parent has mappings, and may have
	 * put something of its own there; the fork handlers put zeros there, which are ours to
	 * unmap.
	 */
	if (client->orphan || client->pid == getpid())
		unmap_all(client);
	free(client->qps);
	pthread_mutex_destroy(&client->reason_lock);
	free(client);
}

void ixy_detach(struct ixy_client *client)
{
	if (!client)
		return;
	if (!client->orphan && client->pid == getpid()) {
		drain(client);
		say_goodbye(client);
	}
	client_free(client);
}
