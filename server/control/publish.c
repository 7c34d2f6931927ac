/* publish.c - sessions -> tables; runs on the control thread, read by the workers through RCU */
#include "server/control/publish.h"

#include <stdlib.h>
#include <string.h>

#include "server/dataplane/rcu.h"

static int find(struct qp *const *members, unsigned int num, const struct qp *qp)
{
	for (unsigned int i = 0; i < num; i++)
		if (members[i] == qp)
			return (int)i;
	return -1;
}

static unsigned int least(const unsigned int *count, unsigned int num)
{
	unsigned int best = 0;

	for (unsigned int i = 1; i < num; i++)
		if (count[i] < count[best])
			best = i;
	return best;
}

static unsigned int most(const unsigned int *count, unsigned int num)
{
	unsigned int best = 0;

	for (unsigned int i = 1; i < num; i++)
		if (count[i] > count[best])
			best = i;
	return best;
}

void indirection_update(struct qp **slots, struct qp *const *members, unsigned int num)
{
	unsigned int count[INDIRECTION_SLOTS] = {0};

	/* more members than entries: the last ones get nothing */
	if (num > INDIRECTION_SLOTS)
		num = INDIRECTION_SLOTS;
	for (unsigned int i = 0; i < INDIRECTION_SLOTS; i++) {
		int owner = find(members, num, slots[i]);

		if (owner < 0)
			slots[i] = NULL;
		else
			count[owner]++;
	}
	if (num == 0)
		return;
	for (unsigned int i = 0; i < INDIRECTION_SLOTS; i++) {
		if (!slots[i]) {
			unsigned int to = least(count, num);

			slots[i] = members[to];
			count[to]++;
		}
	}
	for (unsigned int i = 0; i < INDIRECTION_SLOTS; i++) {
		unsigned int from = most(count, num), to = least(count, num);

		if (count[from] - count[to] <= 1)
			break;
		/* an entry of the fullest one, wherever it is */
		for (unsigned int k = 0; k < INDIRECTION_SLOTS; k++) {
			if (slots[k] == members[from]) {
				slots[k] = members[to];
				break;
			}
		}
		count[from]--;
		count[to]++;
	}
}

static void add_monitor(struct port_table *table, struct qp *qp)
{
	uint32_t snap = qp->state->snap_len ? qp->state->snap_len : UINT32_MAX;

	/* attach has checked that there is room */
	table->monitors[table->num_monitors++] = qp;
	if (snap > table->max_snap)
		table->max_snap = snap;
}

/*
 * Is @qp one of those who share the port's frames, in the view of @worker? Where every worker has a queue
 * of the port, the device has spread the flows over them already: a client with a pair for each worker
 * gets what a worker receives from that worker.
 */
static bool is_member(const struct server *server, const struct port *port, unsigned int worker,
                      const struct session *s, const struct qp *qp)
{
	bool everywhere = port->num_queues >= server->num_workers;

	return qp->worker == worker || !everywhere || s->num_qps < server->num_workers;
}

static void fill_port(struct server *server, unsigned int worker, unsigned int port,
                      struct port_table *table, struct qp **members)
{
	struct qp **indirection = server->indirection[worker * server->num_ports + port];

	for (struct session *s = server->sessions; s; s = s->next) {
		if (s->state != SESSION_OPEN || !(s->port_mask >> port & 1))
			continue;
		for (unsigned int i = 0; i < s->num_qps; i++) {
			struct qp *qp = s->qps[i];

			if (qp->state->flags & QP_TIMESTAMP)
				table->timestamp = true;
			if (qp->state->flags & QP_MONITOR)
				add_monitor(table, qp);
			else if (is_member(server, &server->ports[port], worker, s, qp))
				members[table->num_members++] = qp;
		}
	}
	indirection_update(indirection, members, table->num_members);
	memcpy(table->slots, indirection, sizeof(table->slots));
	if (table->num_members == 1)
		table->single = members[0];
}

static unsigned int count_qps(const struct server *server)
{
	unsigned int n = 0;

	for (const struct session *s = server->sessions; s; s = s->next)
		if (s->state == SESSION_OPEN)
			n += s->num_qps;
	return n;
}

void tables_free(struct tables *tables)
{
	for (unsigned int i = 0; tables && i < tables->num_workers; i++) {
		free(tables->workers[i].qps);
		free(tables->workers[i].ports);
	}
	free(tables);
}

static void add_qp(struct tables *tables, struct qp *qp)
{
	struct worker_table *view = &tables->workers[qp->worker];

	view->qps[view->num_qps++] = qp;
	tables->by_holder[qp->state->holder - HOLDER_QP_FIRST] = qp;
}

static int build_worker(struct server *server, struct tables *tables, unsigned int worker,
                        unsigned int num_qps)
{
	struct worker_table *view = &tables->workers[worker];

	view->qps = calloc(num_qps + 1, sizeof(*view->qps));
	view->ports = calloc(server->num_ports, sizeof(*view->ports));
	return view->qps && view->ports ? 0 : -1;
}

static struct tables *build(struct server *server)
{
	unsigned int num_qps = count_qps(server);
	struct tables *tables =
		calloc(1, sizeof(*tables) + server->num_workers * sizeof(struct worker_table));
	struct qp **members = calloc(num_qps + 1, sizeof(*members));

	if (!tables || !members)
		goto failed;
	tables->num_workers = server->num_workers;
	tables->num_ports = server->num_ports;
	for (unsigned int w = 0; w < server->num_workers; w++)
		if (build_worker(server, tables, w, num_qps))
			goto failed;
	for (struct session *s = server->sessions; s; s = s->next)
		for (unsigned int i = 0; s->state == SESSION_OPEN && i < s->num_qps; i++)
			add_qp(tables, s->qps[i]);
	for (unsigned int w = 0; w < server->num_workers; w++)
		for (unsigned int port = 0; port < server->num_ports; port++)
			fill_port(server, w, port, &tables->workers[w].ports[port], members);
	free(members);
	return tables;
failed:
	free(members);
	tables_free(tables);
	return NULL;
}

int publish_tables(struct server *server)
{
	struct tables *old = server->tables, *new = build(server);

	if (!new)
		return -1;
	new->generation = old ? old->generation + 1 : 1;
	server->tables = new;
	for (unsigned int i = 0; i < server->num_workers; i++) {
		rcu_publish(server->workers[i], new);
		/* a sleeping worker polls nobody: it has to see that there are new pairs */
		worker_poke(server->workers[i]);
	}
	if (old) {
		rcu_wait(server->workers, server->num_workers);
		tables_free(old);
	}
	return 0;
}
