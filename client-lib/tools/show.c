/* show.c - ixyctl list, show ports, show clients: rows of a server -> a table */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client-lib/tools/ctl.h"
#include "client-lib/tools/servers.h"

const char *mode_name(uint32_t mode)
{
	static const char *const names[] = {
		[ATTACH_SHARED] = "shared",
		[ATTACH_READONLY] = "readonly",
		[ATTACH_ISOLATED] = "isolated",
	};

	return mode <= ATTACH_ISOLATED ? names[mode] : "?";
}

const char *role_name(uint32_t role)
{
	return role == ATTACH_MEMBER ? "member" : role == ATTACH_MONITOR ? "monitor" : "?";
}

/* "3d04h", "4h05m", "5m06s", "7s" */
static void format_uptime(uint64_t uptime_ns, char *text, size_t bytes)
{
	unsigned long long s = uptime_ns / 1000000000u;

	if (s >= 86400)
		snprintf(text, bytes, "%llud%02lluh", s / 86400, s / 3600 % 24);
	else if (s >= 3600)
		snprintf(text, bytes, "%lluh%02llum", s / 3600, s / 60 % 60);
	else if (s >= 60)
		snprintf(text, bytes, "%llum%02llus", s / 60, s % 60);
	else
		snprintf(text, bytes, "%llus", s);
}

/* Opens the server that was asked for, and asks it. */
static int ask(const struct ctl_options *options, uint32_t what, struct rows *rows,
               struct failure *failure)
{
	struct server server;
	int error = server_open(&server, options->dir, options->server, failure);

	if (error < 0)
		return error;
	error = query(&server, what, rows, failure);
	server_close(&server);
	return error;
}

/* -- list ---------------------------------------------------------------------------------------- */

/* Why a socket has no live server behind it, in a word. */
static const char *state_name(int error)
{
	switch (error) {
	case -ECONNREFUSED:
		return "stale";
	case -EACCES:
		return "no-access";
	case -ETIMEDOUT:
		return "hangs";
	case -EPROTO:
		return "other-version";
	default:
		return "unusable";
	}
}

static void list_one(const struct server_socket *s)
{
	struct server server;
	struct failure failure;
	struct rows rows = {0};
	char up[32];
	int error = server_open_path(&server, s->path, &failure);

	if (error == 0) {
		error = query(&server, QUERY_SERVER, &rows, &failure);
		server_close(&server);
	}
	if (error < 0 || rows.count == 0) {
		printf("%-16s %-13s %8s %8s %8s %8s %-10s %s\n", s->name, state_name(error), "-",
		       "-", "-", "-", "-", s->path);
		rows_free(&rows);
		return;
	}
	const struct message_row_server *row = &rows.rows[0].row_server;

	format_uptime(row->uptime_ns, up, sizeof(up));
	printf("%-16s %-13s %8u %8s %8u %8u %-10s %s\n", row->name, "live", row->pid, up,
	       row->num_ports, row->num_clients, row->version, s->path);
	rows_free(&rows);
}

int ctl_list(const struct ctl_options *options)
{
	struct server_sockets found;
	struct failure failure;

	if (servers_find(options->dir, &found, &failure) < 0)
		return ctl_fail(&failure);
	if (found.count == 0)
		fprintf(stderr, "ixyctl: no server runs; \"ixyctl doctor\" says what one would "
		                "need, \"ixy-server --help\" how to start it\n");
	else
		printf("%-16s %-13s %8s %8s %8s %8s %-10s %s\n", "NAME", "STATE", "PID", "UP",
		       "PORTS", "CLIENTS", "VERSION", "SOCKET");
	for (unsigned int i = 0; i < found.count; i++)
		list_one(&found.sockets[i]);
	servers_free(&found);
	return EXIT_SUCCESS;
}

/* -- show ports ---------------------------------------------------------------------------------- */

static void format_speed(uint64_t mbps, char *text, size_t bytes)
{
	if (mbps == 0)
		snprintf(text, bytes, "-");
	else if (mbps % 1000 == 0)
		snprintf(text, bytes, "%" PRIu64 "G", mbps / 1000);
	else
		snprintf(text, bytes, "%" PRIu64 "M", mbps);
}

static void show_port(const struct message_row_port *row)
{
	const uint8_t *m = row->port.mac;
	char speed[32];

	format_speed(row->port.speed_mbps, speed, sizeof(speed));
	printf("%5u %-16s %-8s %-5s %6s %02x:%02x:%02x:%02x:%02x:%02x %6u %9u %7u %8u\n",
	       row->index, row->port.name, row->port.driver,
	       row->port.flags & IXY_PORT_LINK_UP ? "up" : "down", speed, m[0], m[1], m[2], m[3],
	       m[4], m[5], row->port.num_queues, row->port.max_frame_bytes, row->num_members,
	       row->num_monitors);
}

int ctl_show_ports(const struct ctl_options *options)
{
	struct failure failure;
	struct rows rows;

	if (ask(options, QUERY_PORTS, &rows, &failure) < 0)
		return ctl_fail(&failure);
	printf("%5s %-16s %-8s %-5s %6s %-17s %6s %9s %7s %8s\n", "PORT", "NAME", "DRIVER", "LINK",
	       "SPEED", "ADDRESS", "QUEUES", "MAX-FRAME", "MEMBERS", "MONITORS");
	for (unsigned int i = 0; i < rows.count; i++)
		show_port(&rows.rows[i].row_port);
	rows_free(&rows);
	return EXIT_SUCCESS;
}

/* -- show clients -------------------------------------------------------------------------------- */

/* The names of the ports in @mask. */
static void format_ports(uint64_t mask, const struct rows *ports, char *text, size_t bytes)
{
	size_t len = 0;

	snprintf(text, bytes, "-");
	for (unsigned int i = 0; i < ports->count; i++) {
		const struct message_row_port *row = &ports->rows[i].row_port;

		if (row->index >= 64 || !(mask >> row->index & 1) || len >= bytes)
			continue;
		len += (size_t)snprintf(text + len, bytes - len, "%s%s", len ? "," : "",
		                        row->port.name);
	}
}

static void show_client(const struct message_row_client *row, const struct rows *ports)
{
	char names[256];

	format_ports(row->port_mask, ports, names, sizeof(names));
	printf("%8" PRIu64 " %-16s %8u %6u %-8s %-7s %3u %6u %6u %6u %s%s\n", row->session,
	       row->name, row->pid, row->uid, mode_name(row->mode), role_name(row->role),
	       row->num_queue_pairs, row->held_bufs, row->min_bufs, row->max_bufs, names,
	       row->flags & ROW_CLIENT_UNCONFINED ? " (unconfined)" : "");
}

int ctl_show_clients(const struct ctl_options *options)
{
	struct rows clients, ports;
	struct failure failure;

	if (ask(options, QUERY_PORTS, &ports, &failure) < 0)
		return ctl_fail(&failure);
	if (ask(options, QUERY_CLIENTS, &clients, &failure) < 0) {
		rows_free(&ports);
		return ctl_fail(&failure);
	}
	printf("%8s %-16s %8s %6s %-8s %-7s %3s %6s %6s %6s %s\n", "SESSION", "NAME", "PID", "UID",
	       "MODE", "ROLE", "QPS", "HOLDS", "MIN", "MAX", "PORTS");
	for (unsigned int i = 0; i < clients.count; i++)
		show_client(&clients.rows[i].row_client, &ports);
	rows_free(&clients);
	rows_free(&ports);
	return EXIT_SUCCESS;
}

/* -- show pool --verify -------------------------------------------------------------------------- */

int ctl_verify_pool(const struct ctl_options *options)
{
	const struct message_row_verified *row;
	struct failure failure;
	struct rows rows;
	bool right;

	if (ask(options, QUERY_VERIFY, &rows, &failure) < 0)
		return ctl_fail(&failure);
	if (rows.count != 1) {
		rows_free(&rows);
		fail(&failure, EPROTO, "the server answered with %u rows in place of one",
		     rows.count);
		return ctl_fail(&failure);
	}
	row = &rows.rows[0].row_verified;
	right = row->num_errors == 0 && row->total == row->free + row->in_devices +
	                                                      row->in_clients + row->lent +
	                                                      row->underway;
	printf("%" PRIu64 " buffers recounted: %" PRIu64 " free, %" PRIu64
	       " in port queues, %" PRIu64 " held by clients, %" PRIu64 " lent, %" PRIu64
	       " between workers; the workers stood still for %" PRIu64 " us\n",
	       row->total, row->free, row->in_devices, row->in_clients, row->lent, row->underway,
	       (row->stall_ns + 999) / 1000);
	if (right)
		puts("holders, free stacks, loans, counts and promises agree");
	else
		fprintf(stderr,
		        "ixyctl: %" PRIu64 " disagreements, the first: %s; this is a bug of the "
		        "server: report it\n",
		        row->num_errors, row->num_errors ? row->error : "the sum is wrong");
	rows_free(&rows);
	return right ? EXIT_SUCCESS : EXIT_FAILURE;
}
