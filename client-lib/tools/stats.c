/* stats.c - ixyctl stats: two samples of all counters -> totals, rates, and what was dropped, why */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client-lib/tools/ctl.h"
#include "client-lib/tools/json.h"
#include "shm/counters.h"

/* All that a server counts, at one time. */
struct sample {
	struct rows server, ports, clients, pool;
};

/* One owner's counters now, and earlier if there is anything to compare them with. */
struct counted {
	const struct counter_name *names;
	const bool *is_drop;
	unsigned int count;
	const uint64_t *now;
	const uint64_t *before; /* NULL: attached since, or no rates wanted */
	double seconds;
};

static const bool port_drops[PORT_NUM_COUNTERS] = {
	[PORT_RX_NO_TAKER] = true,   [PORT_RX_NO_BUFFER] = true, [PORT_RX_TOO_LONG] = true,
	[PORT_RX_BAD] = true,        [PORT_TX_DROPPED] = true,   [PORT_TX_BAD] = true,
	[PORT_RX_CROSS_FULL] = true,
};

static const bool client_drops[CLIENT_NUM_COUNTERS] = {
	[CLIENT_RX_DROP_RING] = true,
	[CLIENT_RX_DROP_HELD] = true,
	[CLIENT_RX_DROP_POOL] = true,
	[CLIENT_TX_DROPPED] = true,
};

/* those about clients that broke a rule */
static const bool server_drops[SERVER_NUM_COUNTERS] = {
	[SERVER_BAD_MESSAGE... SERVER_TAINTED] = true,
};

/* -- samples ------------------------------------------------------------------------------------- */

static void sample_free(struct sample *s)
{
	rows_free(&s->server);
	rows_free(&s->ports);
	rows_free(&s->clients);
	rows_free(&s->pool);
}

static int sample_take(const struct server *server, struct sample *s, struct failure *failure)
{
	int error;

	memset(s, 0, sizeof(*s));
	error = query(server, QUERY_SERVER, &s->server, failure);
	if (error == 0)
		error = query(server, QUERY_PORTS, &s->ports, failure);
	if (error == 0)
		error = query(server, QUERY_CLIENTS, &s->clients, failure);
	if (error == 0)
		error = query(server, QUERY_POOL, &s->pool, failure);
	if (error == 0 && s->server.count != 1)
		error = fail(failure, EPROTO, "the server did not describe itself");
	if (error < 0)
		sample_free(s);
	return error;
}

static unsigned int smaller(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

static double seconds_between(uint64_t before_ns, uint64_t now_ns)
{
	return now_ns > before_ns ? (double)(now_ns - before_ns) / 1e9 : 0;
}

/* A counter's increase per second; 0 where nothing is known about before. */
static double rate(const struct counted *c, unsigned int i)
{
	if (!c->before || c->seconds <= 0 || c->now[i] < c->before[i])
		return 0;
	return (double)(c->now[i] - c->before[i]) / c->seconds;
}

static struct counted count_server(const struct sample *now, const struct sample *before)
{
	const struct message_row_server *row = &now->server.rows[0].row_server;
	struct counted c = {
		server_counter_names, server_drops, smaller(row->num_counters, SERVER_NUM_COUNTERS),
		row->counters,        NULL,         0};

	if (before) {
		c.before = before->server.rows[0].row_server.counters;
		c.seconds = seconds_between(before->server.rows[0].row_server.now_ns, row->now_ns);
	}
	return c;
}

static struct counted count_port(const struct message_row_port *row, const struct sample *before)
{
	struct counted c = {
		port_counter_names, port_drops, smaller(row->num_counters, PORT_NUM_COUNTERS),
		row->counters,      NULL,       0};

	for (unsigned int i = 0; before && i < before->ports.count; i++) {
		const struct message_row_port *old = &before->ports.rows[i].row_port;

		if (old->index == row->index) {
			c.before = old->counters;
			c.seconds = seconds_between(old->now_ns, row->now_ns);
		}
	}
	return c;
}

static struct counted count_client(const struct message_row_client *row,
                                   const struct sample *before)
{
	struct counted c = {
		client_counter_names, client_drops, smaller(row->num_counters, CLIENT_NUM_COUNTERS),
		row->counters,        NULL,         0};

	for (unsigned int i = 0; before && i < before->clients.count; i++) {
		const struct message_row_client *old = &before->clients.rows[i].row_client;

		if (old->session == row->session) {
			c.before = old->counters;
			c.seconds = seconds_between(old->now_ns, row->now_ns);
		}
	}
	return c;
}

/* -- text ---------------------------------------------------------------------------------------- */

static void print_drops(const struct counted *c)
{
	for (unsigned int i = 0; i < c->count; i++) {
		if (!c->is_drop[i] || c->now[i] == 0)
			continue;
		printf("  %-20s %14" PRIu64, c->names[i].name, c->now[i]);
		if (c->before)
			printf(" %11.0f/s", rate(c, i));
		printf("  %s\n", c->names[i].meaning);
	}
}

/* "rx 123 packets, 1.234 Mpps, 0.789 Gbit/s" */
static void print_way(const char *way, const struct counted *c, unsigned int packets,
                      unsigned int bytes)
{
	if (packets >= c->count || bytes >= c->count)
		return;
	printf("  %s %14" PRIu64 " packets %17" PRIu64 " bytes", way, c->now[packets],
	       c->now[bytes]);
	if (c->before)
		printf(" %9.4f Mpps %9.4f Gbit/s", rate(c, packets) / 1e6,
		       rate(c, bytes) * 8 / 1e9);
	putchar('\n');
}

static void print_server(const struct sample *now, const struct sample *before)
{
	const struct message_row_server *row = &now->server.rows[0].row_server;
	struct counted c = count_server(now, before);

	printf("server %s, pid %u, ixy-server %s: %u workers, %u ports, %u clients\n", row->name,
	       row->pid, row->version, row->num_workers, row->num_ports, row->num_clients);
	if (c.count > SERVER_SLEEPS && c.before)
		printf("  %.0f loops/s, %.0f sleeps/s, longest loop %.1f us\n",
		       rate(&c, SERVER_LOOPS), rate(&c, SERVER_SLEEPS),
		       (double)c.now[SERVER_LONGEST_LOOP_NS] / 1e3);
	if (c.count > SERVER_BUSY_NS && c.before)
		printf("  %.1f %% of the workers' time busy\n",
		       rate(&c, SERVER_BUSY_NS) / 1e7 / row->num_workers);
	print_drops(&c);
}

static void print_text(const struct sample *now, const struct sample *before)
{
	struct counted c;

	print_server(now, before);
	for (unsigned int i = 0; i < now->ports.count; i++) {
		const struct message_row_port *row = &now->ports.rows[i].row_port;

		c = count_port(row, before);
		printf("port %s (%s)\n", row->port.name, row->port.driver);
		print_way("rx", &c, PORT_RX_PACKETS, PORT_RX_BYTES);
		print_way("tx", &c, PORT_TX_PACKETS, PORT_TX_BYTES);
		print_drops(&c);
	}
	for (unsigned int i = 0; i < now->clients.count; i++) {
		const struct message_row_client *row = &now->clients.rows[i].row_client;

		c = count_client(row, before);
		printf("client %s (session %" PRIu64 ", pid %u, %s %s)\n", row->name, row->session,
		       row->pid, mode_name(row->mode), role_name(row->role));
		print_way("rx", &c, CLIENT_RX_PACKETS, CLIENT_RX_BYTES);
		print_way("tx", &c, CLIENT_TX_PACKETS, CLIENT_TX_BYTES);
		print_drops(&c);
	}
}

/* -- JSON ---------------------------------------------------------------------------------------- */

static void json_counters(struct json *json, const struct counted *c)
{
	json_object(json, "counters");
	for (unsigned int i = 0; i < c->count; i++)
		json_number(json, c->names[i].name, c->now[i]);
	json_object_end(json);
	if (!c->before)
		return;
	json_object(json, "rates");
	for (unsigned int i = 0; i < c->count; i++)
		json_real(json, c->names[i].name, rate(c, i));
	json_object_end(json);
}

static void json_server(struct json *json, const struct sample *now, const struct sample *before)
{
	const struct message_row_server *row = &now->server.rows[0].row_server;
	struct counted c = count_server(now, before);

	json_object(json, "server");
	json_string(json, "name", row->name);
	json_string(json, "version", row->version);
	json_number(json, "pid", row->pid);
	json_number(json, "workers", row->num_workers);
	json_number(json, "ports", row->num_ports);
	json_number(json, "clients", row->num_clients);
	json_number(json, "uptime_ns", row->uptime_ns);
	json_counters(json, &c);
	json_object_end(json);
}

static void json_port(struct json *json, const struct message_row_port *row,
                      const struct sample *before)
{
	struct counted c = count_port(row, before);
	const uint8_t *m = row->port.mac;
	char mac[18];

	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4],
	         m[5]);
	json_object(json, NULL);
	json_number(json, "index", row->index);
	json_string(json, "name", row->port.name);
	json_string(json, "driver", row->port.driver);
	json_string(json, "mac", mac);
	json_bool(json, "link_up", row->port.flags & IXY_PORT_LINK_UP);
	json_number(json, "speed_mbps", row->port.speed_mbps);
	json_number(json, "queues", row->port.num_queues);
	json_number(json, "max_frame_bytes", row->port.max_frame_bytes);
	json_number(json, "members", row->num_members);
	json_number(json, "monitors", row->num_monitors);
	json_counters(json, &c);
	json_object_end(json);
}

static void json_client(struct json *json, const struct message_row_client *row,
                        const struct sample *before)
{
	struct counted c = count_client(row, before);

	json_object(json, NULL);
	json_number(json, "session", row->session);
	json_string(json, "name", row->name);
	json_number(json, "pid", row->pid);
	json_number(json, "uid", row->uid);
	json_string(json, "mode", mode_name(row->mode));
	json_string(json, "role", role_name(row->role));
	json_bool(json, "unconfined", row->flags & ROW_CLIENT_UNCONFINED);
	json_number(json, "queue_pairs", row->num_queue_pairs);
	json_array(json, "ports");
	for (unsigned int i = 0; i < 64; i++)
		if (row->port_mask >> i & 1)
			json_number(json, NULL, i);
	json_array_end(json);
	json_number(json, "held_bufs", row->held_bufs);
	json_number(json, "min_bufs", row->min_bufs);
	json_number(json, "max_bufs", row->max_bufs);
	json_counters(json, &c);
	json_object_end(json);
}

static void json_pool(struct json *json, const struct message_row_pool *row)
{
	json_object(json, NULL);
	pool_json(json, row);
	json_object_end(json);
}

static void print_json(const struct sample *now, const struct sample *before)
{
	struct json json = {0};

	json_object(&json, NULL);
	json_server(&json, now, before);
	json_array(&json, "ports");
	for (unsigned int i = 0; i < now->ports.count; i++)
		json_port(&json, &now->ports.rows[i].row_port, before);
	json_array_end(&json);
	json_array(&json, "clients");
	for (unsigned int i = 0; i < now->clients.count; i++)
		json_client(&json, &now->clients.rows[i].row_client, before);
	json_array_end(&json);
	json_array(&json, "pool");
	for (unsigned int i = 0; i < now->pool.count; i++)
		json_pool(&json, &now->pool.rows[i].row_pool);
	json_array_end(&json);
	json_object_end(&json);
}

/* -- the command --------------------------------------------------------------------------------- */

static void sleep_seconds(double seconds)
{
	struct timespec left = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

/* With an interval there is a sample before it, for rates. */
static int take_and_print(const struct server *server, const struct ctl_options *options,
                          struct failure *failure)
{
	bool rates = options->interval_s > 0;
	struct sample before = {0}, now;
	int error = rates ? sample_take(server, &before, failure) : 0;

	if (error < 0)
		return error;
	sleep_seconds(options->interval_s);
	error = sample_take(server, &now, failure);
	if (error == 0) {
		if (options->json)
			print_json(&now, rates ? &before : NULL);
		else
			print_text(&now, rates ? &before : NULL);
		sample_free(&now);
	}
	sample_free(&before);
	return error;
}

int ctl_stats(const struct ctl_options *options)
{
	struct failure failure;
	struct server server;
	int error;

	if (server_open(&server, options->dir, options->server, &failure) < 0)
		return ctl_fail(&failure);
	error = take_and_print(&server, options, &failure);
	server_close(&server);
	return error < 0 ? ctl_fail(&failure) : EXIT_SUCCESS;
}
