/* attach.c - ixy_attach: options -> handshake on the control socket -> mapped queue pairs */
#include "client-lib/client_private.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "shm/fdpass.h"

#define DEFAULT_TIMEOUT_MS 5000

/* The struct as it was in the first release; what a caller of any release has. */
#define OPTS_FIRST_BYTES (offsetof(struct ixy_attach_opts, error_bytes) + sizeof(size_t))

/* One attach on its way: what it needs beyond the client that it makes. */
struct attach {
	struct ixy_attach_opts opts;
	uint64_t deadline_ns;
	struct failure failure;
	union message message;
	int fds[MESSAGE_MAX_FDS];
};

/*
 * Copies the caller's options, as many as both sides know. A caller that was built with a later
 * release may have more of them, as long as it does not use them.
 */
static int copy_opts(struct ixy_attach_opts *opts, const struct ixy_attach_opts *from,
                     struct failure *failure)
{
	const unsigned char *bytes = (const unsigned char *)from;

	memset(opts, 0, sizeof(*opts));
	if (!from)
		return 0;
	if (from->size < OPTS_FIRST_BYTES)
		return fail(failure, EINVAL,
		            "opts->size is %zu, at least %zu is expected; initialise the options "
		            "with IXY_ATTACH_OPTS_INIT",
		            from->size, OPTS_FIRST_BYTES);
	memcpy(opts, from, from->size < sizeof(*opts) ? from->size : sizeof(*opts));
	for (size_t i = sizeof(*opts); i < from->size; i++)
		if (bytes[i])
			return fail(failure, EINVAL,
			            "the program uses an option at byte %zu of its options that "
			            "libixy-client " IXY_VERSION_STRING " does not know; install "
			            "the release that the program was built with",
			            i);
	return 0;
}

/* Only what the server cannot judge, or could not explain in the caller's words. */
static int check_opts(struct ixy_attach_opts *opts, struct failure *failure)
{
	if (opts->mode != IXY_MODE_SHARED && opts->mode != IXY_MODE_READONLY)
		return fail(failure, EINVAL, "opts->mode %d is unknown", (int)opts->mode);
	if (opts->role != IXY_ROLE_MEMBER && opts->role != IXY_ROLE_MONITOR)
		return fail(failure, EINVAL, "opts->role %d is unknown", (int)opts->role);
	if (opts->role == IXY_ROLE_MONITOR && opts->mode != IXY_MODE_READONLY)
		return fail(failure, EINVAL,
		            "a monitor shares its packets with others and must not change them; "
		            "set opts->mode to IXY_MODE_READONLY");
	if (opts->num_queue_pairs > IXY_MAX_QUEUE_PAIRS && opts->num_queue_pairs != IXY_PER_WORKER)
		return fail(failure, EINVAL, "opts->num_queue_pairs is %u, at most %d are possible",
		            opts->num_queue_pairs, IXY_MAX_QUEUE_PAIRS);
	if (opts->ports && opts->num_ports > ATTACH_MAX_PORTS)
		return fail(failure, EINVAL,
		            "opts->num_ports is %u, at most %d can be named; NULL means all ports",
		            opts->num_ports, ATTACH_MAX_PORTS);
	if (!opts->ports && opts->num_ports)
		return fail(failure, EINVAL, "opts->num_ports is %u, but opts->ports is NULL",
		            opts->num_ports);
	if (opts->num_queue_pairs == 0)
		opts->num_queue_pairs = 1;
	if (opts->timeout_ms == 0)
		opts->timeout_ms = DEFAULT_TIMEOUT_MS;
	return 0;
}

/* Copies a name that is to be shown on terminals; false if it cannot be one. */
static bool copy_name(char *to, const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len >= IXY_NAME_BYTES)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isgraph((unsigned char)name[i]) || (unsigned char)name[i] > '~' ||
		    name[i] == '/')
			return false;
	memcpy(to, name, len + 1);
	return true;
}

/* The program's own name may be anything: it is cut and made fit rather than refused. */
static void default_name(char *to)
{
	const char *name = program_invocation_short_name;
	size_t n = 0;

	for (; name[n] && n < IXY_NAME_BYTES - 1; n++)
		to[n] = name[n] > ' ' && name[n] <= '~' && name[n] != '/' ? name[n] : '_';
	to[n] = 0;
	if (n == 0)
		memcpy(to, "client", sizeof("client"));
}

static int fill_ports(struct message_attach *attach, const struct ixy_attach_opts *opts,
                      struct failure *failure)
{
	if (!opts->ports)
		attach->flags |= ATTACH_ALL_PORTS;
	attach->num_ports = opts->num_ports;
	for (unsigned int i = 0; i < opts->num_ports; i++)
		if (!opts->ports[i] || !copy_name(attach->ports[i], opts->ports[i]))
			return fail(failure, ENODEV,
			            "there is no port \"%s\": a port's name has 1 to %d printable "
			            "characters; see: ixyctl show ports",
			            opts->ports[i] ? opts->ports[i] : "(null)", IXY_NAME_BYTES - 1);
	return 0;
}

static int fill_attach(union message *message, const struct ixy_attach_opts *opts,
                       struct failure *failure)
{
	struct message_attach *attach = &message->attach;

	message_init(message, MESSAGE_ATTACH);
	attach->mode = opts->mode == IXY_MODE_SHARED ? ATTACH_SHARED : ATTACH_READONLY;
	attach->role = opts->role == IXY_ROLE_MEMBER ? ATTACH_MEMBER : ATTACH_MONITOR;
	attach->flags = opts->timestamps ? ATTACH_TIMESTAMPS : 0;
	/* on the wire 0 stands for one for each worker */
	attach->num_queue_pairs =
		opts->num_queue_pairs == IXY_PER_WORKER ? 0 : opts->num_queue_pairs;
	attach->rx_slots = opts->rx_slots;
	attach->tx_slots = opts->tx_slots;
	attach->min_bufs = opts->min_bufs;
	attach->max_bufs = opts->max_bufs;
	attach->alloc_bufs = opts->alloc_bufs;
	attach->snap_len = opts->snap_len;
	if (!opts->client_name)
		default_name(attach->client_name);
	else if (!copy_name(attach->client_name, opts->client_name))
		return fail(failure, EINVAL,
		            "opts->client_name \"%s\" cannot be shown: use 1 to %d printable "
		            "characters without '/' and space",
		            opts->client_name, IXY_NAME_BYTES - 1);
	return fill_ports(attach, opts, failure);
}

/* Waits for a message of @type and its descriptors. */
static int expect(struct ixy_client *client, struct attach *a, uint32_t type)
{
	return connect_expect(client->control, &client->server, a->deadline_ns, type, &a->message,
	                      a->fds, &a->failure);
}

static int request(struct ixy_client *client, struct attach *a)
{
	int error = connect_send(client->control, &client->server, &a->message, &a->failure);

	return error < 0 ? error : expect(client, a, MESSAGE_ATTACHED);
}

/* Zeroed, and with no descriptors yet, so that client_free() can run at any time. */
static int alloc_queue_pairs(struct ixy_client *client, struct attach *a, unsigned int n)
{
	size_t bytes = n * sizeof(struct queue_pair);
	struct queue_pair *pairs = aligned_alloc(_Alignof(struct queue_pair), bytes);

	if (!pairs)
		return fail(&a->failure, ENOMEM, "out of memory for %u queue pairs", n);
	memset(pairs, 0, bytes);
	for (unsigned int i = 0; i < n; i++)
		pairs[i].qp.wait_fd = pairs[i].qp.doorbell_fd = -1;
	client->qps = pairs;
	/* in this order also for a child that another thread forks right now (fork.c) */
	__atomic_store_n(&client->num_qps, n, __ATOMIC_RELEASE);
	return 0;
}

static bool as_many_as_asked(const struct attach *a, uint32_t num_queue_pairs)
{
	if (a->opts.num_queue_pairs == IXY_PER_WORKER)
		return num_queue_pairs >= 1 && num_queue_pairs <= IXY_MAX_QUEUE_PAIRS;
	return num_queue_pairs == a->opts.num_queue_pairs;
}

static int accept_segment(struct ixy_client *client, struct attach *a)
{
	struct message_attached attached = a->message.attached;
	uint32_t mode = a->opts.mode == IXY_MODE_SHARED ? ATTACH_SHARED : ATTACH_READONLY;
	int error;

	if (!as_many_as_asked(a, attached.num_queue_pairs) || attached.mode != mode)
		error = fail(&a->failure, EPROTO,
		             "the server \"%s\" attached something else than was asked for",
		             client->server.name);
	else
		error = map_segment(client, &attached, a->fds, &a->failure);
	/* the mappings keep the memory; the descriptors would only be left to leak */
	fdpass_close(a->fds, message_num_fds(MESSAGE_ATTACHED));
	return error < 0 ? error : alloc_queue_pairs(client, a, attached.num_queue_pairs);
}

static int accept_queue_pair(struct ixy_client *client, struct attach *a, unsigned int index)
{
	int error = expect(client, a, MESSAGE_QP);

	if (error < 0)
		return error;
	error = map_queue_pair(client, index, &a->message.qp, a->fds, &a->failure);
	for (unsigned int i = 0; i < message_num_fds(MESSAGE_QP); i++)
		close_fd(&a->fds[i]);
	return error;
}

/* The handshake, in the order of shm/message.h. */
static int handshake(struct ixy_client *client, struct attach *a)
{
	int error = request(client, a);

	if (error == 0)
		error = accept_segment(client, a);
	for (unsigned int i = 0; error == 0 && i < client->num_qps; i++)
		error = accept_queue_pair(client, a, i);
	if (error < 0)
		return error;
	/* the server seals the up lanes now, and polls them only after that */
	message_init(&a->message, MESSAGE_MAPPED);
	error = connect_send(client->control, &client->server, &a->message, &a->failure);
	return error < 0 ? error : expect(client, a, MESSAGE_READY);
}

static int run_attach(struct ixy_client *client, const char *name, struct attach *a)
{
	union message request_message;
	int fd, error;

	error = fill_attach(&request_message, &a->opts, &a->failure);
	if (error < 0)
		return error;
	fd = connect_name(name, a->opts.socket_dir, request_message.attach.client_name,
	                  a->deadline_ns, &client->server, &a->failure);
	if (fd < 0)
		return fd;
	client->control = fd;
	a->message = request_message;
	return handshake(client, a);
}

static struct ixy_client *client_new(struct failure *failure)
{
	struct ixy_client *client = calloc(1, sizeof(*client));

	if (!client)
		goto no_memory;
	client->pid = getpid();
	client->control = -1;
	pthread_mutex_init(&client->reason_lock, NULL);
	/* from here on, a fork that another thread makes finds what it has to cut off */
	if (registry_add(client) < 0)
		goto no_registry;
	return client;

no_registry:
	free(client);
no_memory:
	fail(failure, ENOMEM, "out of memory for a client");
	return NULL;
}

/* Tells the caller why; opts->error is within what every release knows. */
static int explain(const struct ixy_attach_opts *opts, const struct failure *failure, int error)
{
	if (opts && opts->size >= OPTS_FIRST_BYTES && opts->error && opts->error_bytes)
		snprintf(opts->error, opts->error_bytes, "%s", failure->text);
	return error;
}

int ixy_attach(const char *name, const struct ixy_attach_opts *opts, struct ixy_client **client)
{
	struct attach a = {.failure.text = ""};
	struct ixy_client *made;
	int error;

	*client = NULL;
	error = copy_opts(&a.opts, opts, &a.failure);
	if (error == 0)
		error = check_opts(&a.opts, &a.failure);
	if (error < 0)
		return explain(opts, &a.failure, error);
	a.deadline_ns = clock_ns() + (uint64_t)a.opts.timeout_ms * 1000000u;
	made = client_new(&a.failure);
	if (!made)
		return explain(opts, &a.failure, -ENOMEM);
	error = run_attach(made, name, &a);
	if (error < 0) {
		client_free(made);
		return explain(opts, &a.failure, error);
	}
	*client = made;
	return 0;
}
