/*
 * attach.c - ATTACH: what policy.c has planned is taken, made and sent
 *
 * Law 3, in this order: both lanes are made and sealed against resizing; the client maps the up lane
 * and says MAPPED; only then is the up lane sealed against any further writable mapping, mapped here
 * read-only, and polled. The down lane leaves this process as a read-only descriptor.
 */
#include "server/control/attach.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/control/policy.h"
#include "server/control/session.h"
#include "server/control/workers.h"
#include "server/memory/memfd.h"
#include "shm/lane.h"

/* -- one queue pair ---------------------------------------------------------------------------- */

static void qp_free(struct server *server, struct qp *qp)
{
	struct qp_state *st = qp->state;

	if (qp->down_map)
		munmap(qp->down_map, qp->geometry.down_bytes);
	if (qp->up_map)
		munmap((void *)(uintptr_t)qp->up_map, qp->geometry.up_bytes);
	const int fds[] = {qp->down_fd, qp->up_fd, qp->wake_fd, qp->doorbell_fd};
	for (unsigned int i = 0; i < 4; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (st) {
		if (st->flags & QP_READONLY)
			server->reader_used[st->reader] = false;
		server->qp_used[st->holder - HOLDER_QP_FIRST] = false;
		/* another worker may just be asking whether a buffer was passed by this session */
		__atomic_store_n(&st->session, 0, __ATOMIC_RELAXED);
	}
	free(qp);
}

/* An entry in the state, and for a reader a bitmap. The bitmap is clear: its last user's were. */
static int take_state(struct server *server, struct qp *qp, const struct attach_plan *plan)
{
	unsigned int slot = 0, reader = 0;

	while (slot < MAX_QUEUE_PAIRS && server->qp_used[slot])
		slot++;
	while (reader < RECORD_MAX_READERS && server->reader_used[reader])
		reader++;
	if (slot == MAX_QUEUE_PAIRS || (plan->flags & QP_READONLY && reader == RECORD_MAX_READERS))
		return -EUSERS;
	server->qp_used[slot] = true;
	server->qp_worker[slot] = (uint8_t)qp->worker;
	if (plan->flags & QP_READONLY)
		server->reader_used[reader] = true;
	qp->state = &server->state.qps[slot];
	memset(qp->state, 0, sizeof(*qp->state));
	qp->state->holder = (uint16_t)(HOLDER_QP_FIRST + slot);
	qp->state->reader = (uint16_t)reader;
	qp->state->flags = plan->flags;
	return (int)slot;
}

static int make_down(struct qp *qp)
{
	const struct ixy_geometry *g = &qp->geometry;
	char *base;

	qp->down_fd = memfd_make("ixy-down", g->down_bytes, 0);
	if (qp->down_fd < 0)
		return qp->down_fd;
	base = mmap(NULL, g->down_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
	            qp->down_fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	qp->down_map = base;
	/* locked where that is allowed: a lane that is swapped out would stall the worker */
	if (mlock(base, g->down_bytes))
		errno = 0;
	memcpy(base, g, sizeof(*g));
	qp->down = (struct ixy_down_index *)(void *)(base + g->down_index_offset);
	qp->drops = (struct ixy_down_counters *)(void *)(base + g->counters_offset);
	qp->rx_ring = (struct ixy_desc *)(void *)(base + g->rx_offset);
	qp->grant_ring = (uint32_t *)(void *)(base + g->grant_offset);
	qp_show_state(qp, IXY_QP_OPEN);
	return 0;
}

static int make_lanes(struct qp *qp, const struct attach_plan *plan, uint32_t stagger)
{
	int error = lane_layout(&qp->geometry, plan->rx_slots, plan->grant_slots, plan->tx_slots,
	                        plan->free_slots, stagger);

	if (error)
		return error;
	qp->rx_slots = plan->rx_slots;
	qp->tx_slots = plan->tx_slots;
	qp->grant_slots = plan->grant_slots;
	qp->free_slots = plan->free_slots;
	qp->up_fd = memfd_make("ixy-up", qp->geometry.up_bytes, 0);
	return qp->up_fd < 0 ? qp->up_fd : make_down(qp);
}

/*
 * A socket and no pipe: whoever has an end of a pipe can make the other wait for its mutex, O_NONBLOCK
 * or not (splice(2) of it into something full). Nothing can be sent to us through it, descriptors least
 * of all, and few bytes fit.
 */
static int make_wake(struct qp *qp, int *client_fd)
{
	const int smallest = 0;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends))
		return -errno;
	qp->wake_fd = ends[0];
	*client_fd = ends[1];
	if (shutdown(ends[0], SHUT_RD) ||
	    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &smallest, sizeof(smallest)))
		return -errno;
	return 0;
}

/* An eventfd that is watched and never read: nothing that the client does to it concerns us. */
static int make_doorbell(struct qp *qp, int *client_fd)
{
	qp->doorbell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (qp->doorbell_fd < 0)
		return -errno;
	*client_fd = fcntl(qp->doorbell_fd, F_DUPFD_CLOEXEC, 0);
	return *client_fd < 0 ? -errno : 0;
}

/* Makes everything of a pair; fills @client_fds with what the client is sent (to be closed after). */
static int qp_make(struct session *s, const struct attach_plan *plan, uint32_t index,
                   uint32_t snap_len, struct qp **made, int client_fds[4])
{
	struct qp *qp = aligned_alloc(IXY_CACHE_LINE, (sizeof(*qp) + 63) / 64 * 64);
	int slot, error;

	for (int i = 0; i < 4; i++)
		client_fds[i] = -1;
	if (!qp)
		return -ENOMEM;
	memset(qp, 0, sizeof(*qp));
	qp->down_fd = qp->up_fd = qp->wake_fd = qp->doorbell_fd = -1;
	qp->session = s;
	qp->worker = workers_choose(s->server, index, plan->num_qps);
	qp->uid = s->uid;
	qp->slow = slow_users_has(&s->server->slow_users, s->uid);
	qp->siblings = s->qps;
	qp->num_siblings = plan->num_qps;
	*made = qp;

	slot = take_state(s->server, qp, plan);
	if (slot < 0)
		return slot;
	__atomic_store_n(&qp->state->session, s->id, __ATOMIC_RELAXED);
	qp->state->index = index;
	qp->state->min_bufs = plan->min_bufs;
	qp->state->max_bufs = plan->max_bufs;
	qp->state->alloc_bufs = plan->alloc_bufs;
	qp->state->snap_len = snap_len;
	error = make_lanes(qp, plan, (uint32_t)slot % 16);
	if (error)
		return error;
	client_fds[0] = memfd_readonly(qp->down_fd);
	if (client_fds[0] < 0)
		return client_fds[0];
	client_fds[1] = fcntl(qp->up_fd, F_DUPFD_CLOEXEC, 0);
	if (client_fds[1] < 0)
		return -errno;
	error = make_wake(qp, &client_fds[2]);
	return error ? error : make_doorbell(qp, &client_fds[3]);
}

static int send_qp(struct session *s, const struct qp *qp, const int *client_fds)
{
	union message message;

	message_init(&message, MESSAGE_QP);
	message.qp.index = qp->state->index;
	message.qp.worker = qp->worker;
	message.qp.geometry = qp->geometry;
	return session_send(s, &message, client_fds);
}

/* Makes and sends the pairs. Returns 0, -1 when the session is closed, or a negative errno. */
static int make_pairs(struct session *s, const struct message_attach *request,
                      const struct attach_plan *plan)
{
	for (uint32_t i = 0; i < plan->num_qps; i++) {
		struct qp *qp = NULL;
		int client_fds[4];
		int error = qp_make(s, plan, i, request->snap_len, &qp, client_fds);
		bool sent = false;

		if (qp)
			s->qps[s->num_qps++] = qp;
		if (!error)
			sent = send_qp(s, qp, client_fds) == 0;
		for (int k = 0; k < 4; k++)
			if (client_fds[k] >= 0)
				close(client_fds[k]);
		if (error)
			return error;
		if (!sent)
			return -1;
	}
	return 0;
}

static int send_attached(struct session *s, const struct message_attach *request,
                         const struct attach_plan *plan)
{
	const struct segment *segment = &s->server->segment;
	union message message;
	int fds[2] = {segment->header_readonly_fd, request->mode == ATTACH_SHARED
	                                                   ? segment->pool.fd
	                                                   : segment->pool_readonly_fd};

	message_init(&message, MESSAGE_ATTACHED);
	message.attached.session = s->id;
	message.attached.alive = segment->alive;
	message.attached.header_bytes = segment->header_bytes;
	message.attached.num_queue_pairs = plan->num_qps;
	message.attached.mode = request->mode;
	message.attached.headroom = IXY_DEFAULT_HEADROOM;
	message.attached.num_regions = 1;
	message.attached.regions[0] = segment->header->regions[0];
	return session_send(s, &message, fds);
}

void attach_request(struct session *s, const struct message_attach *request)
{
	struct server *server = s->server;
	struct attach_plan plan;
	int error;

	if (!policy_plan(s, request, &plan))
		return;

	s->id = server->state.header->next_session++;
	memcpy(s->name, request->client_name, sizeof(s->name));
	s->mode = request->mode;
	s->role = request->role;
	s->port_mask = plan.port_mask;
	s->min_bufs_total = (uint64_t)plan.min_bufs * plan.num_qps;
	server->promised_bufs += s->min_bufs_total;
	workers_keep(server);
	server->num_attached++;
	server->num_sessions_ever++;
	s->state = SESSION_ATTACHING;
	if (send_attached(s, request, &plan))
		return;
	error = make_pairs(s, request, &plan);
	if (error < -1 || (error == -1 && s->state == SESSION_ATTACHING))
		session_refuse(s, -error, "cannot make the lanes: %s%s", strerror(-error),
		               error == -EMFILE ? "; raise the server's limit of open files "
		                                  "(ulimit -n)"
		                                : "");
}

void attach_sealed(struct session *s, int error)
{
	if (error) {
		session_refuse(s, -error, "cannot seal and map the up lane: %s", strerror(-error));
		return;
	}
	/* from here on the workers may be using the pairs: they are freed by way of them */
	s->published = true;
	s->state = SESSION_OPEN;
	s->ready_due = true;
	s->server->tables_stale = true;
	for (unsigned int i = 0; i < s->num_qps; i++) {
		error = worker_watch(s->server->workers[s->qps[i]->worker], s->qps[i]);

		if (error) {
			session_refuse(s, -error, "cannot watch the doorbell: %s",
			               strerror(-error));
			return;
		}
	}
}

void attach_undo(struct session *s)
{
	for (unsigned int i = 0; i < s->num_qps; i++)
		qp_free(s->server, s->qps[i]);
	s->num_qps = 0;
	if (s->id) {
		s->server->promised_bufs -= s->min_bufs_total;
		workers_keep(s->server);
		s->server->num_attached--;
		s->id = 0;
	}
}
