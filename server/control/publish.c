/* publish.c - sessions -> tables; runs on the control thread, read by the worker through RCU */
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

static void fill_port(struct server *server, unsigned int port, struct port_table *table,
                      struct qp **members)
{
	for (struct session *s = server->sessions; s; s = s->next) {
		if (s->state != SESSION_OPEN || !(s->port_mask >> port & 1))
			continue;
		for (unsigned int i = 0; i < s->num_qps; i++) {
			struct qp *qp = s->qps[i];

			if (qp->state->flags & QP_TIMESTAMP)
				table->timestamp = true;
			if (qp->state->flags & QP_MONITOR)
				add_monitor(table, qp);
			else
				members[table->num_members++] = qp;
		}
	}
	indirection_update(server->indirection[port], members, table->num_members);
	memcpy(table->slots, server->indirection[port], sizeof(table->slots));
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

static struct tables *build(struct server *server)
{
	unsigned int num_qps = count_qps(server), n = 0;
	struct tables *tables =
		calloc(1, sizeof(*tables) + server->num_ports * sizeof(struct port_table));
	struct qp **members = calloc(num_qps + 1, sizeof(*members));

	if (!tables || !members)
		goto failed;
	tables->qps = calloc(num_qps + 1, sizeof(*tables->qps));
	if (!tables->qps)
		goto failed;
	tables->num_ports = server->num_ports;
	for (struct session *s = server->sessions; s; s = s->next)
		for (unsigned int i = 0; s->state == SESSION_OPEN && i < s->num_qps; i++)
			tables->qps[n++] = s->qps[i];
	tables->num_qps = n;
	for (unsigned int port = 0; port < server->num_ports; port++)
		fill_port(server, port, &tables->ports[port], members);
	free(members);
	return tables;
failed:
	free(members);
	free(tables);
	return NULL;
}

int publish_tables(struct server *server)
{
	struct tables *old = server->tables, *new = build(server);

	if (!new)
		return -1;
	new->generation = old ? old->generation + 1 : 1;
	server->tables = new;
	rcu_publish(server->worker, new);
	/* a sleeping worker polls nobody: it has to see that there are new pairs */
	worker_poke(server->worker);
	if (old) {
		rcu_wait(server->worker);
		free(old->qps);
		free(old);
	}
	return 0;
}
