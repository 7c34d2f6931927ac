/*
 * policy.c - what an ATTACH comes to: defaults, limits, and what is left of everything; control thread
 *
 * Nothing is taken here: attach.c does that, at once, with the plan that comes out.
 */
#include "server/control/policy.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "server/control/session.h"
#include "shm/lane.h"

#define DEFAULT_SLOTS  1024
#define DEFAULT_MIN    64 /* one burst of the server's */
#define DEFAULT_MAX    4096
#define MAX_LANE_BYTES (512u << 20) /* of all clients together */
#define MAX_ALLOC      8192

static bool is_power_of_two(uint32_t n)
{
	return n && (n & (n - 1)) == 0;
}

static uint32_t next_power_of_two(uint32_t n)
{
	uint32_t power = IXY_MIN_RING_SLOTS;

	while (power < n)
		power *= 2;
	return power;
}

/* What the clients of one user, and of all, have. */
struct usage {
	uint64_t clients, promised_bufs, lane_bytes, readers, all_lane_bytes;
};

static struct usage usage_of(const struct session *s)
{
	struct usage used = {0};

	for (const struct session *o = s->server->sessions; o; o = o->next) {
		uint64_t lanes = 0;

		for (unsigned int i = 0; i < o->num_qps; i++)
			lanes += (uint64_t)o->qps[i]->geometry.down_bytes +
			         o->qps[i]->geometry.up_bytes;
		used.all_lane_bytes += lanes;
		if (o->uid != s->uid || !o->id)
			continue;
		used.clients++;
		used.promised_bufs += o->min_bufs_total;
		used.lane_bytes += lanes;
		used.readers += o->mode == ATTACH_READONLY ? o->num_qps : 0;
	}
	return used;
}

/* One user gets at most three quarters of anything, so that others find some. Root may have all. */
static bool within_share(const struct session *s, uint64_t wanted, uint64_t all)
{
	return s->uid == 0 || wanted <= all - all / 4;
}

/* Every refusal below has been sent when these return false. */

static bool plan_ports(struct session *s, const struct message_attach *request,
                       struct attach_plan *plan)
{
	const struct server *server = s->server;

	if (request->flags & ATTACH_ALL_PORTS) {
		plan->port_mask =
			server->num_ports == 64 ? UINT64_MAX : (1ull << server->num_ports) - 1;
		return true;
	}
	for (uint32_t i = 0; i < request->num_ports; i++) {
		unsigned int port = 0;

		while (port < server->num_ports &&
		       strcmp(server->options.ports[port].name, request->ports[i]))
			port++;
		if (port == server->num_ports) {
			session_refuse(
				s, ENODEV,
				"server '%s' has no port '%s'; ixyctl -n %s show ports lists "
				"them",
				server->options.name, request->ports[i], server->options.name);
			return false;
		}
		plan->port_mask |= 1ull << port;
	}
	return true;
}

static bool plan_rings(struct session *s, const struct message_attach *request,
                       struct attach_plan *plan)
{
	plan->rx_slots = request->rx_slots ? request->rx_slots : DEFAULT_SLOTS;
	plan->tx_slots = request->tx_slots ? request->tx_slots : DEFAULT_SLOTS;
	if (!is_power_of_two(plan->rx_slots) || !is_power_of_two(plan->tx_slots) ||
	    plan->rx_slots < IXY_MIN_RING_SLOTS || plan->tx_slots < IXY_MIN_RING_SLOTS ||
	    plan->rx_slots > IXY_MAX_RING_SLOTS || plan->tx_slots > IXY_MAX_RING_SLOTS) {
		session_refuse(
			s, EINVAL, "ring sizes are powers of two from %d to %d, not %u and %u",
			IXY_MIN_RING_SLOTS, IXY_MAX_RING_SLOTS, plan->rx_slots, plan->tx_slots);
		return false;
	}
	plan->num_qps =
		request->num_queue_pairs ? request->num_queue_pairs : s->server->num_workers;
	if (plan->num_qps > IXY_MAX_QUEUE_PAIRS) {
		session_refuse(s, EINVAL, "a client has 1 to %d queue pairs, not %u",
		               IXY_MAX_QUEUE_PAIRS, plan->num_qps);
		return false;
	}
	return true;
}

static bool plan_bufs(struct session *s, const struct message_attach *request,
                      const struct usage *used, struct attach_plan *plan)
{
	const struct server *server = s->server;
	uint64_t needed;

	if (request->alloc_bufs > MAX_ALLOC || request->max_bufs > IXY_MAX_RING_SLOTS ||
	    request->min_bufs > IXY_MAX_RING_SLOTS) {
		session_refuse(s, EINVAL,
		               "a queue pair holds at most %d buffers, of which %d are kept ready "
		               "for allocation",
		               IXY_MAX_RING_SLOTS, MAX_ALLOC);
		return false;
	}
	plan->alloc_bufs = request->alloc_bufs;
	plan->grant_slots = plan->alloc_bufs ? next_power_of_two(plan->alloc_bufs) : 0;
	plan->min_bufs = request->min_bufs ? request->min_bufs : DEFAULT_MIN + plan->alloc_bufs;
	plan->max_bufs = request->max_bufs ? request->max_bufs : DEFAULT_MAX;
	if (plan->max_bufs < plan->min_bufs)
		plan->max_bufs = plan->min_bufs;
	/* a slot for every buffer that it may hold: giving back never fails */
	plan->free_slots = next_power_of_two(plan->max_bufs);
	plan->max_bufs = plan->free_slots;

	needed = (uint64_t)plan->min_bufs * plan->num_qps;
	if (needed > server->capacity_bufs - server->promised_bufs ||
	    !within_share(s, used->promised_bufs + needed, server->capacity_bufs)) {
		session_refuse(
			s, ENOBUFS,
			"%" PRIu64 " buffers cannot be guaranteed: of %" PRIu64
			" that can be promised, %" PRIu64 " are, %" PRIu64
			" of them to user %u; ask for fewer, or start the server with more --bufs",
			needed, server->capacity_bufs, server->promised_bufs, used->promised_bufs,
			s->uid);
		return false;
	}
	return true;
}

static bool plan_mode(struct session *s, const struct message_attach *request,
                      struct attach_plan *plan)
{
	if (request->mode == ATTACH_ISOLATED) {
		session_refuse(
			s, EOPNOTSUPP,
			"this version has no isolated clients; attach as shared or readonly");
		return false;
	}
	if (request->role == ATTACH_MONITOR && request->mode != ATTACH_READONLY) {
		session_refuse(s, EINVAL, "a monitor attaches readonly");
		return false;
	}
	if (request->mode == ATTACH_READONLY && request->alloc_bufs) {
		session_refuse(s, EINVAL,
		               "a readonly client cannot fill buffers: alloc_bufs has to be 0");
		return false;
	}
	if (request->snap_len && request->role != ATTACH_MONITOR) {
		session_refuse(s, EINVAL, "a snap length is for monitors");
		return false;
	}
	if (request->mode == ATTACH_READONLY)
		plan->flags |= QP_READONLY;
	if (request->role == ATTACH_MONITOR)
		plan->flags |= QP_MONITOR;
	if (request->flags & ATTACH_TIMESTAMPS)
		plan->flags |= QP_TIMESTAMP;
	return true;
}

/* Monitors of a port stand in a table of fixed size, and share the flow of nobody. */
static bool plan_monitor(struct session *s, const struct message_attach *request,
                         const struct attach_plan *plan)
{
	const struct server *server = s->server;

	if (request->role != ATTACH_MONITOR)
		return true;
	if (plan->num_qps != 1) {
		session_refuse(s, EINVAL,
		               "a monitor has one queue pair, not %u: each would get "
		               "everything",
		               plan->num_qps);
		return false;
	}
	for (unsigned int port = 0; port < server->num_ports; port++) {
		unsigned int n = 0;

		if (!(plan->port_mask >> port & 1))
			continue;
		for (const struct session *other = server->sessions; other; other = other->next)
			n += other->id && other->role == ATTACH_MONITOR &&
			     (other->port_mask >> port & 1);
		if (n >= MAX_MONITORS) {
			session_refuse(s, EUSERS,
			               "port '%s' has %d monitors already, the most that "
			               "there can be",
			               server->options.ports[port].name, MAX_MONITORS);
			return false;
		}
	}
	return true;
}

/* Places among the clients. */
static bool plan_place(struct session *s, const struct usage *used)
{
	const struct server *server = s->server;
	uint64_t max = server->options.max_clients;

	if (server->num_attached < max && within_share(s, used->clients + 1, max))
		return true;
	session_refuse(s, EUSERS,
	               "server '%s' has %u clients already, %" PRIu64
	               " of them of user %u; start it with a larger --max-clients",
	               server->options.name, server->num_attached, used->clients, s->uid);
	return false;
}

/* The lanes are ordinary memory of the server's. */
static bool plan_lanes(struct session *s, const struct usage *used, const struct attach_plan *plan)
{
	struct ixy_geometry g;
	uint64_t needed;

	if (lane_layout(&g, plan->rx_slots, plan->grant_slots, plan->tx_slots, plan->free_slots,
	                0)) {
		session_refuse(s, EINVAL, "impossible ring sizes");
		return false;
	}
	needed = (uint64_t)(g.down_bytes + g.up_bytes) * plan->num_qps;
	if (used->all_lane_bytes + needed <= MAX_LANE_BYTES &&
	    within_share(s, used->lane_bytes + needed, MAX_LANE_BYTES))
		return true;
	session_refuse(s, ENOBUFS,
	               "the rings need %" PRIu64
	               " KiB; of the %u MiB for all clients' rings %" PRIu64
	               " KiB are used, %" PRIu64 " KiB by user %u; ask for smaller rings",
	               needed >> 10, MAX_LANE_BYTES >> 20, used->all_lane_bytes >> 10,
	               used->lane_bytes >> 10, s->uid);
	return false;
}

static bool plan_readers(struct session *s, const struct usage *used,
                         const struct attach_plan *plan)
{
	if (!(plan->flags & QP_READONLY) ||
	    within_share(s, used->readers + plan->num_qps, RECORD_MAX_READERS))
		return true;
	session_refuse(s, EUSERS, "user %u has %" PRIu64 " of the %d places for read-only clients",
	               s->uid, used->readers, RECORD_MAX_READERS);
	return false;
}

bool policy_plan(struct session *s, const struct message_attach *request, struct attach_plan *plan)
{
	const struct usage used = usage_of(s);

	memset(plan, 0, sizeof(*plan));
	return plan_place(s, &used) && plan_mode(s, request, plan) &&
	       plan_rings(s, request, plan) && plan_ports(s, request, plan) &&
	       plan_bufs(s, request, &used, plan) && plan_monitor(s, request, plan) &&
	       plan_lanes(s, &used, plan) && plan_readers(s, &used, plan);
}
