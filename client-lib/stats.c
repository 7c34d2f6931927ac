/* stats.c - what a client can know without asking: counters, ports, why its session ended */
#include "client-lib/client_private.h"

#include <stdio.h>
#include <sys/socket.h>

#include "shm/fdpass.h"

/* The structs as they were in the first release; callers of any release have these. */
#define STATS_FIRST_BYTES (offsetof(struct ixy_stats, tx_dropped) + sizeof(uint64_t))
#define INFO_FIRST_BYTES  (offsetof(struct ixy_port_info, speed_mbps) + sizeof(uint64_t))

unsigned int ixy_num_queue_pairs(const struct ixy_client *client)
{
	return client->num_qps;
}

struct ixy_qp *ixy_queue_pair(struct ixy_client *client, unsigned int index)
{
	return index < client->num_qps ? &client->qps[index].qp : NULL;
}

bool client_is_open(const struct ixy_client *client)
{
	for (unsigned int i = 0; i < client->num_qps; i++)
		if (!ixy_qp_is_open(&client->qps[i].qp))
			return false;
	return true;
}

/* Hands @from out into a caller's struct of @to_bytes, of which it may know less or more. */
static void copy_out(void *to, size_t to_bytes, const void *from, size_t from_bytes)
{
	size_t known = to_bytes < from_bytes ? to_bytes : from_bytes;

	memcpy(to, from, known);
	memset((unsigned char *)to + known, 0, to_bytes - known);
}

static void read_counters(struct ixy_stats *stats, const struct ixy_down_counters *c)
{
	stats->rx_dropped_ring = __atomic_load_n(&c->rx_dropped_ring, __ATOMIC_RELAXED);
	stats->rx_dropped_held = __atomic_load_n(&c->rx_dropped_held, __ATOMIC_RELAXED);
	stats->rx_dropped_pool = __atomic_load_n(&c->rx_dropped_pool, __ATOMIC_RELAXED);
	stats->tx_dropped = __atomic_load_n(&c->tx_dropped, __ATOMIC_RELAXED);
}

int ixy_stats(const struct ixy_qp *qp, struct ixy_stats *stats)
{
	const struct ixy_down_counters *counters = qp->client->qps[qp->index].counters;
	struct ixy_stats now = {.size = stats->size,
	                        .rx_packets = qp->rx_packets,
	                        .tx_packets = qp->tx_packets,
	                        .alloc_bufs = qp->alloc_bufs,
	                        .free_bufs = qp->free_bufs};

	if (stats->size < STATS_FIRST_BYTES)
		return -EINVAL;
	if (counters)
		read_counters(&now, counters);
	copy_out(stats, stats->size, &now, sizeof(now));
	return 0;
}

/* Entry @index of the header's port table, or NULL. */
static const struct ixy_port *port_entry(const struct ixy_client *client, unsigned int index)
{
	const unsigned char *header = client->header.base;

	if (client->orphan || index >= client->port_count)
		return NULL;
	return (const void *)(header + client->port_offset +
	                      (size_t)index * client->port_entry_bytes);
}

int ixy_port_index(const struct ixy_client *client, const char *name)
{
	char entry_name[IXY_NAME_BYTES];

	for (unsigned int i = 0; port_entry(client, i); i++) {
		copy_text(entry_name, sizeof(entry_name), port_entry(client, i)->name,
		          IXY_NAME_BYTES);
		if (strcmp(entry_name, name) == 0)
			return (int)i;
	}
	return -ENODEV;
}

static uint32_t alive_word(const struct ixy_client *client)
{
	const struct ixy_header *header = client->header.base;

	return __atomic_load_n(&header->alive, __ATOMIC_RELAXED);
}

static bool server_lives(const struct ixy_client *client)
{
	return !client->orphan && alive_word(client) == client->alive_value;
}

int ixy_port_info(const struct ixy_client *client, unsigned int index, struct ixy_port_info *info)
{
	const struct ixy_port *port = port_entry(client, index);
	struct ixy_port_info now = {.size = info->size};

	if (info->size < INFO_FIRST_BYTES)
		return -EINVAL;
	if (!server_lives(client))
		return -ENOTCONN;
	if (!port)
		return -ENODEV;
	copy_text(now.name, sizeof(now.name), port->name, IXY_NAME_BYTES);
	copy_text(now.driver, sizeof(now.driver), port->driver, IXY_NAME_BYTES);
	memcpy(now.mac, port->mac, sizeof(now.mac));
	now.link_up = __atomic_load_n(&port->flags, __ATOMIC_RELAXED) & IXY_PORT_LINK_UP ? 1 : 0;
	now.num_queues = port->num_queues;
	now.max_frame_bytes = port->max_frame_bytes;
	now.speed_mbps = port->speed_mbps;
	copy_out(info, info->size, &now, sizeof(now));
	return 0;
}

/* Once it is known it stays: what the server said last, or that it said nothing. */
static void learn_reason(struct ixy_client *client)
{
	unsigned int num_fds;
	int fds[MESSAGE_MAX_FDS];
	union message message;
	ssize_t got = fdpass_recv(client->control, &message, fds, &num_fds, MSG_DONTWAIT);

	if (got == -EAGAIN)
		return;
	client->reason_known = true;
	if (got > 0 && num_fds == 0 && !message_check(&message, (size_t)got) &&
	    message.header.type == MESSAGE_CLOSED) {
		copy_text(client->reason, sizeof(client->reason), message.closed.text,
		          MESSAGE_TEXT_BYTES);
		return;
	}
	if (got > 0)
		fdpass_close(fds, num_fds);
	snprintf(client->reason, sizeof(client->reason), "the server \"%s\" (pid %u) is gone",
	         client->server.name, client->server.pid);
}

/* What is known while the control socket has nothing to say yet. */
static const char *likely_reason(const struct ixy_client *client)
{
	if (server_lives(client))
		return "closed the session";
	return alive_word(client) == 0 ? "stopped" : "is gone";
}

static int session_reason(struct ixy_client *client, char *text, size_t text_bytes)
{
	int error = 0;

	pthread_mutex_lock(&client->reason_lock);
	if (!client->reason_known)
		learn_reason(client);
	if (client->reason_known)
		snprintf(text, text_bytes, "%s", client->reason);
	else if (!client_is_open(client))
		snprintf(text, text_bytes, "the server \"%s\" (pid %u) %s", client->server.name,
		         client->server.pid, likely_reason(client));
	else
		error = -EAGAIN;
	pthread_mutex_unlock(&client->reason_lock);
	return error;
}

int ixy_close_reason(struct ixy_client *client, char *text, size_t text_bytes)
{
	if (!client->orphan)
		return session_reason(client, text, text_bytes);
	snprintf(text, text_bytes,
	         "the client belongs to process %ld, of which this is a fork; attach here as well",
	         (long)client->pid);
	return 0;
}
