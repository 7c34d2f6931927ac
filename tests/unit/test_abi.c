/*
 * test_abi.c - the bytes that two builds have to agree on are those of tests/abi/
 *
 * offsets.txt has every field of every structure that crosses a process boundary, or that programs
 * built against an older library use, and symbols.txt what libixy-client.so exports. A difference
 * is either a mistake, or a change of the ABI, which needs a new version in include/ixy/abi.h (or
 * a new soname) and then new files: tests/abi/update.sh writes them.
 *
 *	unit_abi			compares
 *	unit_abi --print-offsets	prints what offsets.txt should be
 *	unit_abi --print-symbols	prints what symbols.txt should be
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <ixy/abi.h>
#include <ixy/client.h>
#include <ixy/ring.h>

#include "shm/message.h"
#include "tests/unit/test.h"

#define MAX_TEXT 65536

/* A structure begins an entry of its own; the fields follow in order. */
struct entry {
	const char *name;
	size_t offset, size;
	enum { SHARED, LOCAL, FIELD, CONSTANT } kind;
};

/* clang-format off */
/* SHARED_ lies in shared memory or in a message: no hidden padding. LOCAL_ is in one process. */
#define SHARED_(type)       {#type, 0, sizeof(struct type), SHARED}
#define LOCAL_(type)        {#type, 0, sizeof(struct type), LOCAL}
#define F(type, field)      {#field, offsetof(struct type, field), SIZE(type, field), FIELD}
#define SIZE(type, field)   sizeof(((struct type *)0)->field)
#define CONSTANT_(constant) {#constant, (size_t)(constant), 0, CONSTANT}

static const struct entry entries[] = {
	/* include/ixy/abi.h */
	CONSTANT_(IXY_HEADER_MAGIC), CONSTANT_(IXY_LANE_MAGIC),
	CONSTANT_(IXY_ABI_MAJOR), CONSTANT_(IXY_ABI_MINOR),
	CONSTANT_(IXY_BUF_REGION_SHIFT), CONSTANT_(IXY_BUF_INDEX_MASK), CONSTANT_(IXY_BUF_NONE),
	CONSTANT_(IXY_META_BYTES), CONSTANT_(IXY_NAME_BYTES),
	CONSTANT_(IXY_DESC_HASH), CONSTANT_(IXY_DESC_TIMESTAMP), CONSTANT_(IXY_DESC_SNAPPED),
	CONSTANT_(IXY_DESC_OUT), CONSTANT_(IXY_DESC_VLAN), CONSTANT_(IXY_DESC_L4_OK),
	CONSTANT_(IXY_DESC_IP_OK), CONSTANT_(IXY_DESC_MORE), CONSTANT_(IXY_DESC_TX_ALLOWED),
	CONSTANT_(IXY_REGION_POOL), CONSTANT_(IXY_PORT_LINK_UP),
	CONSTANT_(IXY_WORKER_POLLS), CONSTANT_(IXY_WORKER_MAY_SLEEP), CONSTANT_(IXY_WORKER_ASLEEP),
	CONSTANT_(IXY_WORKER_AWAKE),
	CONSTANT_(IXY_QP_OPEN), CONSTANT_(IXY_QP_CLOSED),
	CONSTANT_(IXY_WAKE_RX), CONSTANT_(IXY_WAKE_TX), CONSTANT_(IXY_WAKE_ALLOC),
	SHARED_(ixy_desc), F(ixy_desc, buf), F(ixy_desc, offset), F(ixy_desc, len),
	F(ixy_desc, port), F(ixy_desc, flags), F(ixy_desc, meta),
	SHARED_(ixy_meta), F(ixy_meta, rx_timestamp_ns), F(ixy_meta, rx_wire_len),
	F(ixy_meta, rx_vlan), F(ixy_meta, rx_reserved), F(ixy_meta, tx_reserved),
	SHARED_(ixy_region), F(ixy_region, id), F(ixy_region, kind), F(ixy_region, size_bytes),
	F(ixy_region, page_bytes), F(ixy_region, buf_bytes), F(ixy_region, num_bufs),
	F(ixy_region, reserved),
	SHARED_(ixy_port), F(ixy_port, name), F(ixy_port, driver), F(ixy_port, mac),
	F(ixy_port, flags), F(ixy_port, num_queues), F(ixy_port, max_frame_bytes),
	F(ixy_port, reserved0), F(ixy_port, speed_mbps), F(ixy_port, reserved),
	SHARED_(ixy_worker_word), F(ixy_worker_word, state), F(ixy_worker_word, reserved),
	SHARED_(ixy_header), F(ixy_header, magic), F(ixy_header, abi_major), F(ixy_header, abi_minor),
	F(ixy_header, header_bytes), F(ixy_header, region_offset), F(ixy_header, region_count),
	F(ixy_header, region_entry_bytes), F(ixy_header, port_offset), F(ixy_header, port_count),
	F(ixy_header, port_entry_bytes), F(ixy_header, worker_offset), F(ixy_header, worker_count),
	F(ixy_header, worker_entry_bytes), F(ixy_header, instance), F(ixy_header, server_pid),
	F(ixy_header, reserved0), F(ixy_header, name), F(ixy_header, reserved1),
	F(ixy_header, alive), F(ixy_header, reserved2), F(ixy_header, workers),
	F(ixy_header, regions), F(ixy_header, ports),
	SHARED_(ixy_geometry), F(ixy_geometry, magic), F(ixy_geometry, abi_major),
	F(ixy_geometry, abi_minor), F(ixy_geometry, down_bytes), F(ixy_geometry, up_bytes),
	F(ixy_geometry, down_index_offset), F(ixy_geometry, up_index_offset),
	F(ixy_geometry, rx_offset), F(ixy_geometry, rx_slots), F(ixy_geometry, grant_offset),
	F(ixy_geometry, grant_slots), F(ixy_geometry, tx_offset), F(ixy_geometry, tx_slots),
	F(ixy_geometry, free_offset), F(ixy_geometry, free_slots),
	F(ixy_geometry, counters_offset), F(ixy_geometry, state_offset),
	SHARED_(ixy_down_state), F(ixy_down_state, state), F(ixy_down_state, reserved),
	SHARED_(ixy_down_index), F(ixy_down_index, rx_tail), F(ixy_down_index, grant_tail),
	F(ixy_down_index, tx_head), F(ixy_down_index, free_head), F(ixy_down_index, state),
	F(ixy_down_index, doorbell), F(ixy_down_index, reserved),
	SHARED_(ixy_up_index), F(ixy_up_index, rx_head), F(ixy_up_index, grant_head),
	F(ixy_up_index, tx_tail), F(ixy_up_index, free_tail), F(ixy_up_index, wake),
	F(ixy_up_index, reserved),
	SHARED_(ixy_down_counters), F(ixy_down_counters, rx_dropped_ring),
	F(ixy_down_counters, rx_dropped_held), F(ixy_down_counters, rx_dropped_pool),
	F(ixy_down_counters, tx_dropped), F(ixy_down_counters, reserved),

	/* shm/message.h */
	CONSTANT_(MESSAGE_MAGIC), CONSTANT_(CONTROL_MAJOR), CONSTANT_(CONTROL_MINOR),
	CONSTANT_(MESSAGE_HELLO), CONSTANT_(MESSAGE_WELCOME), CONSTANT_(MESSAGE_REFUSED),
	CONSTANT_(MESSAGE_ATTACH), CONSTANT_(MESSAGE_ATTACHED), CONSTANT_(MESSAGE_QP),
	CONSTANT_(MESSAGE_MAPPED), CONSTANT_(MESSAGE_READY), CONSTANT_(MESSAGE_CLOSED),
	CONSTANT_(MESSAGE_DETACH), CONSTANT_(MESSAGE_QUERY), CONSTANT_(MESSAGE_ROW_SERVER),
	CONSTANT_(MESSAGE_ROW_PORT), CONSTANT_(MESSAGE_ROW_CLIENT), CONSTANT_(MESSAGE_ROW_POOL),
	CONSTANT_(MESSAGE_END), CONSTANT_(MESSAGE_KICK), CONSTANT_(MESSAGE_ROW_VERIFIED), CONSTANT_(MESSAGE_ROW_HOLDER),
	CONSTANT_(ATTACH_SHARED), CONSTANT_(ATTACH_READONLY), CONSTANT_(ATTACH_ISOLATED),
	CONSTANT_(ATTACH_MEMBER), CONSTANT_(ATTACH_MONITOR),
	CONSTANT_(ATTACH_ALL_PORTS), CONSTANT_(ATTACH_TIMESTAMPS),
	CONSTANT_(CLOSE_SHUTDOWN), CONSTANT_(CLOSE_KICKED), CONSTANT_(CLOSE_VIOLATION),
	CONSTANT_(CLOSE_PROTOCOL),
	CONSTANT_(QUERY_SERVER), CONSTANT_(QUERY_PORTS), CONSTANT_(QUERY_CLIENTS),
	CONSTANT_(QUERY_POOL), CONSTANT_(QUERY_VERIFY), CONSTANT_(QUERY_HOLDERS),
	CONSTANT_(ROW_CLIENT_UNCONFINED),
	CONSTANT_(ROW_HOLDER_FREE), CONSTANT_(ROW_HOLDER_WORKER), CONSTANT_(ROW_HOLDER_DEVICE),
	CONSTANT_(ROW_HOLDER_CLIENT), CONSTANT_(ROW_HOLDER_LENT), CONSTANT_(ROW_HOLDER_UNKNOWN),
	CONSTANT_(ROW_HOLDER_READER), CONSTANT_(ROW_HOLDER_CLOSING),
	SHARED_(message_header), F(message_header, type), F(message_header, size),
	SHARED_(message_hello), F(message_hello, header), F(message_hello, magic),
	F(message_hello, control_major), F(message_hello, control_minor),
	F(message_hello, abi_major), F(message_hello, abi_minor), F(message_hello, reserved),
	F(message_hello, program),
	SHARED_(message_welcome), F(message_welcome, header), F(message_welcome, magic),
	F(message_welcome, control_major), F(message_welcome, control_minor),
	F(message_welcome, abi_major), F(message_welcome, abi_minor), F(message_welcome, server_pid),
	F(message_welcome, server_name), F(message_welcome, server_version),
	SHARED_(message_refused), F(message_refused, header), F(message_refused, error),
	F(message_refused, abi_major), F(message_refused, abi_minor), F(message_refused, text),
	SHARED_(message_attach), F(message_attach, header), F(message_attach, mode),
	F(message_attach, role), F(message_attach, flags), F(message_attach, num_queue_pairs),
	F(message_attach, rx_slots), F(message_attach, tx_slots), F(message_attach, min_bufs),
	F(message_attach, max_bufs), F(message_attach, alloc_bufs), F(message_attach, snap_len),
	F(message_attach, num_ports), F(message_attach, reserved), F(message_attach, client_name),
	F(message_attach, ports),
	SHARED_(message_attached), F(message_attached, header), F(message_attached, session),
	F(message_attached, alive), F(message_attached, header_bytes),
	F(message_attached, num_queue_pairs), F(message_attached, mode),
	F(message_attached, headroom), F(message_attached, num_regions),
	F(message_attached, regions),
	SHARED_(message_qp), F(message_qp, header), F(message_qp, index), F(message_qp, worker),
	F(message_qp, geometry),
	SHARED_(message_plain), F(message_plain, header),
	SHARED_(message_closed), F(message_closed, header), F(message_closed, cause),
	F(message_closed, reserved), F(message_closed, text),
	SHARED_(message_query), F(message_query, header), F(message_query, what),
	F(message_query, reserved),
	SHARED_(message_kick), F(message_kick, header), F(message_kick, session),
	SHARED_(message_row_server), F(message_row_server, header), F(message_row_server, name),
	F(message_row_server, version), F(message_row_server, pid),
	F(message_row_server, num_workers), F(message_row_server, num_ports),
	F(message_row_server, num_clients), F(message_row_server, uptime_ns),
	F(message_row_server, now_ns), F(message_row_server, num_counters),
	F(message_row_server, reserved), F(message_row_server, counters),
	SHARED_(message_row_port), F(message_row_port, header), F(message_row_port, port),
	F(message_row_port, index), F(message_row_port, num_members),
	F(message_row_port, num_monitors), F(message_row_port, num_counters),
	F(message_row_port, now_ns), F(message_row_port, counters),
	SHARED_(message_row_client), F(message_row_client, header), F(message_row_client, session),
	F(message_row_client, name), F(message_row_client, pid), F(message_row_client, uid),
	F(message_row_client, mode), F(message_row_client, role),
	F(message_row_client, num_queue_pairs), F(message_row_client, flags),
	F(message_row_client, port_mask), F(message_row_client, held_bufs),
	F(message_row_client, min_bufs), F(message_row_client, max_bufs),
	F(message_row_client, num_counters), F(message_row_client, now_ns),
	F(message_row_client, counters),
	SHARED_(message_row_pool), F(message_row_pool, header), F(message_row_pool, worker),
	F(message_row_pool, buf_bytes), F(message_row_pool, total), F(message_row_pool, free),
	F(message_row_pool, in_devices), F(message_row_pool, in_clients), F(message_row_pool, lent),
	F(message_row_pool, in_worker), F(message_row_pool, page_bytes),
	F(message_row_pool, reserved_bufs),
	SHARED_(message_row_verified), F(message_row_verified, header),
	F(message_row_verified, total), F(message_row_verified, free),
	F(message_row_verified, in_devices), F(message_row_verified, in_clients),
	F(message_row_verified, lent), F(message_row_verified, underway),
	F(message_row_verified, stall_ns), F(message_row_verified, num_errors),
	F(message_row_verified, error),
	SHARED_(message_row_holder), F(message_row_holder, header), F(message_row_holder, worker),
	F(message_row_holder, kind), F(message_row_holder, session), F(message_row_holder, port),
	F(message_row_holder, queue), F(message_row_holder, holders), F(message_row_holder, flags),
	F(message_row_holder, bufs), F(message_row_holder, name),

#if defined(__LP64__)
	/* include/ixy/client.h and ring.h: compiled into programs, so their offsets cannot move */
	LOCAL_(ixy_attach_opts), F(ixy_attach_opts, size), F(ixy_attach_opts, client_name),
	F(ixy_attach_opts, mode), F(ixy_attach_opts, role), F(ixy_attach_opts, ports),
	F(ixy_attach_opts, num_ports), F(ixy_attach_opts, num_queue_pairs),
	F(ixy_attach_opts, rx_slots), F(ixy_attach_opts, tx_slots), F(ixy_attach_opts, min_bufs),
	F(ixy_attach_opts, max_bufs), F(ixy_attach_opts, alloc_bufs), F(ixy_attach_opts, snap_len),
	F(ixy_attach_opts, timestamps), F(ixy_attach_opts, socket_dir),
	F(ixy_attach_opts, timeout_ms), F(ixy_attach_opts, error), F(ixy_attach_opts, error_bytes),
	LOCAL_(ixy_port_info), F(ixy_port_info, size), F(ixy_port_info, name),
	F(ixy_port_info, driver), F(ixy_port_info, mac), F(ixy_port_info, link_up),
	F(ixy_port_info, num_queues), F(ixy_port_info, max_frame_bytes),
	F(ixy_port_info, speed_mbps),
	LOCAL_(ixy_stats), F(ixy_stats, size), F(ixy_stats, rx_packets), F(ixy_stats, tx_packets),
	F(ixy_stats, alloc_bufs), F(ixy_stats, free_bufs), F(ixy_stats, rx_dropped_ring),
	F(ixy_stats, rx_dropped_held), F(ixy_stats, rx_dropped_pool), F(ixy_stats, tx_dropped),
	LOCAL_(ixy_qp), F(ixy_qp, down), F(ixy_qp, up), F(ixy_qp, rx_ring), F(ixy_qp, tx_ring),
	F(ixy_qp, grant_ring), F(ixy_qp, free_ring), F(ixy_qp, alive), F(ixy_qp, worker),
	F(ixy_qp, rx_slots), F(ixy_qp, tx_slots), F(ixy_qp, grant_slots), F(ixy_qp, free_slots),
	F(ixy_qp, alive_value), F(ixy_qp, buf_shift), F(ixy_qp, buf_bytes), F(ixy_qp, headroom),
	F(ixy_qp, meta_bytes), F(ixy_qp, rx_head), F(ixy_qp, rx_tail_seen), F(ixy_qp, tx_tail),
	F(ixy_qp, tx_head_seen), F(ixy_qp, grant_head), F(ixy_qp, grant_tail_seen),
	F(ixy_qp, free_tail), F(ixy_qp, free_head_seen), F(ixy_qp, rx_packets),
	F(ixy_qp, tx_packets), F(ixy_qp, alloc_bufs), F(ixy_qp, free_bufs), F(ixy_qp, regions),
	F(ixy_qp, client), F(ixy_qp, index), F(ixy_qp, wait_fd), F(ixy_qp, doorbell_fd),
	F(ixy_qp, armed), F(ixy_qp, waited_packets), F(ixy_qp, waited_ns), F(ixy_qp, state),
#endif
};
/* clang-format on */

#define NUM_ENTRIES (sizeof(entries) / sizeof(entries[0]))

static int print_entry(const struct entry *e, char *text, size_t bytes)
{
	switch (e->kind) {
	case CONSTANT:
		return snprintf(text, bytes, "%s = %zu\n", e->name, e->offset);
	case FIELD:
		return snprintf(text, bytes, "\t%s at %zu, %zu bytes\n", e->name, e->offset,
		                e->size);
	default:
		return snprintf(text, bytes, "struct %s: %zu bytes\n", e->name, e->size);
	}
}

static size_t print_offsets(char *text, size_t bytes)
{
	size_t used = 0;

	for (size_t i = 0; i < NUM_ENTRIES && used < bytes; i++)
		used += (size_t)print_entry(&entries[i], text + used, bytes - used);
	return used;
}

/* The exported names of the shared library, sorted by the environment's plainest rule. */
static size_t print_symbols(char *text, size_t bytes)
{
	const char *dir = getenv("IXY_BUILD_DIR");
	char command[4096];
	size_t used = 0;
	FILE *pipe;

	snprintf(command, sizeof(command),
	         "nm -D --defined-only '%s/client-lib/libixy-client.so' | "
	         "awk '$2 != \"A\" { print $3 }' | LC_ALL=C sort",
	         dir ? dir : ".");
	pipe = popen(command, "r");
	if (!pipe)
		return 0;
	used = fread(text, 1, bytes - 1, pipe);
	text[used] = 0;
	return pclose(pipe) == 0 ? used : 0;
}

static size_t read_file(const char *name, char *text, size_t bytes)
{
	const char *dir = getenv("IXY_SOURCE_DIR");
	char path[4096];
	size_t used = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/tests/abi/%s", dir ? dir : ".", name);
	file = fopen(path, "r");
	if (!file) {
		printf("%s: %s\n", path, strerror(errno));
		return 0;
	}
	used = fread(text, 1, bytes - 1, file);
	text[used] = 0;
	fclose(file);
	return used;
}

/* Shows the first line in which two texts differ. */
static bool same_text(const char *name, const char *now, const char *committed)
{
	const char *line = now;
	size_t i = 0, number = 1;

	while (now[i] && now[i] == committed[i]) {
		if (now[i++] == '\n') {
			line = now + i;
			number++;
		}
	}
	if (now[i] == committed[i])
		return true;
	committed += line - now;
	printf("tests/abi/%s, line %zu, says \"%.*s\"; this build has \"%.*s\".\n"
	       "If that is meant: change the version in include/ixy/abi.h as its comment says,\n"
	       "run tests/abi/update.sh, and commit what it changed.\n",
	       name, number, (int)strcspn(committed, "\n"), committed, (int)strcspn(line, "\n"),
	       line);
	return false;
}

static char now_text[MAX_TEXT], committed_text[MAX_TEXT];

static void offsets_compared_with_committed_equal(void)
{
	CHECK(print_offsets(now_text, sizeof(now_text)) < sizeof(now_text));
	CHECK(read_file("offsets.txt", committed_text, sizeof(committed_text)) > 0);
	CHECK(same_text("offsets.txt", now_text, committed_text));
}

static void symbols_compared_with_committed_equal(void)
{
	CHECK(print_symbols(now_text, sizeof(now_text)) > 0);
	CHECK(read_file("symbols.txt", committed_text, sizeof(committed_text)) > 0);
	CHECK(same_text("symbols.txt", now_text, committed_text));
}

/*
 * Each field begins where the one before ended: there is no padding that nobody named, and no field
 * that is missing in the list above.
 */
static void shared_structs_have_no_hidden_bytes(void)
{
	const struct entry *owner = NULL;
	size_t end = 0;

	for (size_t i = 0; i <= NUM_ENTRIES; i++) {
		const struct entry *e = i < NUM_ENTRIES ? &entries[i] : NULL;

		if (e && e->kind == FIELD) {
			if (owner->kind == SHARED && e->offset != end) {
				printf("struct %s: %zu bytes before %s are not in the list of "
				       "tests/unit/test_abi.c\n",
				       owner->name, e->offset - end, e->name);
				CHECK(e->offset == end);
			}
			/* padding of local structs is less than the next field's alignment */
			CHECK(e->offset >= end && e->offset - end < sizeof(void *));
			end = e->offset + e->size;
			continue;
		}
		if (owner) {
			if (owner->kind == SHARED && owner->size != end)
				printf("struct %s ends with %zu bytes that are not in the list of "
				       "tests/unit/test_abi.c\n",
				       owner->name, owner->size - end);
			CHECK(owner->size >= end && owner->size - end < sizeof(void *));
			CHECK(owner->kind != SHARED || owner->size == end);
		}
		owner = e && e->kind <= LOCAL ? e : NULL;
		end = 0;
	}
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--print-offsets") == 0) {
		print_offsets(now_text, sizeof(now_text));
		fputs(now_text, stdout);
		return EXIT_SUCCESS;
	}
	if (argc == 2 && strcmp(argv[1], "--print-symbols") == 0) {
		size_t used = print_symbols(now_text, sizeof(now_text));

		fputs(now_text, stdout);
		return used ? EXIT_SUCCESS : EXIT_FAILURE;
	}
	RUN(offsets_compared_with_committed_equal);
	RUN(symbols_compared_with_committed_equal);
	RUN(shared_structs_have_no_hidden_bytes);
	return DONE();
}
