/* pool.c - ixyctl show pool: who holds how many buffers; fails unless every one is accounted for */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client-lib/tools/ctl.h"
#include "client-lib/tools/json.h"

#define HOLDERS_SINCE_MINOR 1 /* of the control protocol */

/* One answer: a ROW_POOL for each worker, and from a server that knows them, ROW_HOLDERs. */
struct account {
	struct rows rows;
	bool has_holders;
};

static const char *const kind_names[ROW_HOLDER_KINDS] = {
	[ROW_HOLDER_FREE] = "free",      [ROW_HOLDER_WORKER] = "worker",
	[ROW_HOLDER_DEVICE] = "device",  [ROW_HOLDER_CLIENT] = "client",
	[ROW_HOLDER_LENT] = "lent",      [ROW_HOLDER_UNKNOWN] = "unknown",
	[ROW_HOLDER_READER] = "on-loan",
};

uint64_t pool_sum(const struct message_row_pool *row)
{
	return row->free + row->in_devices + row->in_clients + row->lent + row->in_worker;
}

static const struct message_row_holder *holder_at(const struct account *a, unsigned int i)
{
	return a->rows.rows[i].header.type == MESSAGE_ROW_HOLDER ? &a->rows.rows[i].row_holder
	                                                         : NULL;
}

static const struct message_row_pool *pool_at(const struct account *a, unsigned int i)
{
	return a->rows.rows[i].header.type == MESSAGE_ROW_POOL ? &a->rows.rows[i].row_pool : NULL;
}

/* What the holders of a worker's part have together. */
static uint64_t holders_sum(const struct account *a, uint32_t worker)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < a->rows.count; i++) {
		const struct message_row_holder *row = holder_at(a, i);

		if (row && row->worker == worker && row->kind != ROW_HOLDER_READER)
			sum += row->bufs;
	}
	return sum;
}

static uint64_t num_unknown(const struct account *a, uint32_t worker)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < a->rows.count; i++) {
		const struct message_row_holder *row = holder_at(a, i);

		if (row && row->worker == worker && row->kind == ROW_HOLDER_UNKNOWN)
			sum += row->bufs;
	}
	return sum;
}

static bool is_right(const struct account *a, const struct message_row_pool *row)
{
	return pool_sum(row) == row->total &&
	       (!a->has_holders ||
	        (holders_sum(a, row->worker) == row->total && num_unknown(a, row->worker) == 0));
}

/* Says what is wrong with a worker's part; true if nothing is. */
static bool judge(const struct account *a, const struct message_row_pool *row)
{
	uint64_t sum = a->has_holders ? holders_sum(a, row->worker) : pool_sum(row);
	uint64_t unknown = num_unknown(a, row->worker);

	if (is_right(a, row))
		return true;
	if (unknown)
		fprintf(stderr,
		        "ixyctl: worker %u: %" PRIu64 " buffers are held by nobody that "
		        "there is",
		        row->worker, unknown);
	else
		fprintf(stderr,
		        "ixyctl: worker %u accounts for %" PRIu64 " of its %" PRIu64
		        " buffers: %" PRIu64 " are %s",
		        row->worker, sum, row->total,
		        sum < row->total ? row->total - sum : sum - row->total,
		        sum < row->total ? "lost" : "counted twice");
	fprintf(stderr, "; this is a bug of the server: report it\n");
	return false;
}

/* -- text ---------------------------------------------------------------------------------------- */

static void print_pool(const struct account *a, const struct message_row_pool *row)
{
	printf("%6u %9" PRIu64 " %9" PRIu64 " %9" PRIu64 " %9" PRIu64 " %9" PRIu64 " %9" PRIu64
	       " %9" PRIu64 " %6u %8" PRIu64 "  %s\n",
	       row->worker, row->total, row->free, row->in_devices, row->in_clients, row->lent,
	       row->in_worker, row->reserved_bufs, row->buf_bytes, row->page_bytes / 1024,
	       is_right(a, row) ? "sum is right" : "SUM IS WRONG");
}

static void format_holder(const struct message_row_holder *row, char *text, size_t bytes)
{
	const char *closing = row->flags & ROW_HOLDER_CLOSING ? ", which has ended" : "";

	switch (row->kind) {
	case ROW_HOLDER_FREE:
		snprintf(text, bytes, "free");
		break;
	case ROW_HOLDER_WORKER:
		snprintf(text, bytes, "being handled");
		break;
	case ROW_HOLDER_DEVICE:
		snprintf(text, bytes, "port %s, queue %u", row->name, row->queue);
		break;
	case ROW_HOLDER_CLIENT:
		snprintf(text, bytes, "client %s, session %" PRIu64 "%s", row->name, row->session,
		         closing);
		break;
	case ROW_HOLDER_LENT:
		snprintf(text, bytes, "lent to %u", row->holders);
		break;
	case ROW_HOLDER_READER:
		snprintf(text, bytes, "of these on loan to %s, session %" PRIu64 "%s", row->name,
		         row->session, closing);
		break;
	default:
		snprintf(text, bytes, "NOBODY THAT THERE IS");
		break;
	}
}

/* Readers come last, and in brackets: what they have on loan is counted above. */
static void print_holders(const struct account *a)
{
	char text[128];

	printf("\n%6s %11s  %s\n", "WORKER", "BUFFERS", "HELD BY");
	for (unsigned int i = 0; i < a->rows.count; i++) {
		const struct message_row_holder *row = holder_at(a, i);
		char bufs[32];

		if (!row)
			continue;
		format_holder(row, text, sizeof(text));
		snprintf(bufs, sizeof(bufs),
		         row->kind == ROW_HOLDER_READER ? "(%" PRIu64 ")" : "%" PRIu64, row->bufs);
		if (row->kind == ROW_HOLDER_READER)
			printf("%6s %11s  %s\n", "", bufs, text);
		else
			printf("%6u %11s  %s\n", row->worker, bufs, text);
	}
}

static void print_text(const struct account *a)
{
	printf("%6s %9s %9s %9s %9s %9s %9s %9s %6s %8s\n", "WORKER", "BUFFERS", "FREE", "DEVICES",
	       "CLIENTS", "LENT", "HANDLING", "PROMISED", "BYTES", "PAGE-KB");
	for (unsigned int i = 0; i < a->rows.count; i++)
		if (pool_at(a, i))
			print_pool(a, pool_at(a, i));
	if (a->has_holders)
		print_holders(a);
}

/* -- JSON ---------------------------------------------------------------------------------------- */

void pool_json(struct json *json, const struct message_row_pool *row)
{
	json_number(json, "worker", row->worker);
	json_number(json, "buf_bytes", row->buf_bytes);
	json_number(json, "page_bytes", row->page_bytes);
	json_number(json, "total", row->total);
	json_number(json, "free", row->free);
	json_number(json, "in_devices", row->in_devices);
	json_number(json, "in_clients", row->in_clients);
	json_number(json, "lent", row->lent);
	json_number(json, "in_worker", row->in_worker);
	json_number(json, "reserved", row->reserved_bufs);
	json_bool(json, "sum_is_total", pool_sum(row) == row->total);
}

static void holder_json(struct json *json, const struct message_row_holder *row)
{
	json_object(json, NULL);
	json_string(json, "kind", kind_names[row->kind]);
	if (row->kind != ROW_HOLDER_READER)
		json_number(json, "worker", row->worker);
	if (row->name[0])
		json_string(json, "name", row->name);
	if (row->kind == ROW_HOLDER_DEVICE) {
		json_number(json, "port", row->port);
		json_number(json, "queue", row->queue);
	}
	if (row->session) {
		json_number(json, "session", row->session);
		json_bool(json, "closing", row->flags & ROW_HOLDER_CLOSING);
	}
	if (row->kind == ROW_HOLDER_LENT)
		json_number(json, "holders", row->holders);
	json_number(json, "bufs", row->bufs);
	json_object_end(json);
}

static void print_json(const struct account *a)
{
	struct json json = {0};

	json_object(&json, NULL);
	json_array(&json, "pool");
	for (unsigned int i = 0; i < a->rows.count; i++) {
		if (!pool_at(a, i))
			continue;
		json_object(&json, NULL);
		pool_json(&json, pool_at(a, i));
		json_object_end(&json);
	}
	json_array_end(&json);
	if (a->has_holders) {
		json_array(&json, "holders");
		for (unsigned int i = 0; i < a->rows.count; i++)
			if (holder_at(a, i))
				holder_json(&json, holder_at(a, i));
		json_array_end(&json);
	}
	json_object_end(&json);
}

/* -- the command --------------------------------------------------------------------------------- */

static int account_take(const struct ctl_options *options, struct account *a,
                        struct failure *failure)
{
	struct server server;
	int error = server_open(&server, options->dir, options->server, failure);

	if (error < 0)
		return error;
	a->has_holders = server.connection.control_minor >= HOLDERS_SINCE_MINOR;
	error = query(&server, a->has_holders ? QUERY_HOLDERS : QUERY_POOL, &a->rows, failure);
	server_close(&server);
	return error;
}

int ctl_show_pool(const struct ctl_options *options)
{
	struct failure failure;
	struct account account;
	bool right = true;

	if (account_take(options, &account, &failure) < 0)
		return ctl_fail(&failure);
	if (options->json)
		print_json(&account);
	else
		print_text(&account);
	for (unsigned int i = 0; i < account.rows.count; i++)
		if (pool_at(&account, i))
			right &= judge(&account, pool_at(&account, i));
	rows_free(&account.rows);
	return right ? EXIT_SUCCESS : EXIT_FAILURE;
}
