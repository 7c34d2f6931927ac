/* main.c - ixy-server: options, then either a look (--check) or the service until it is told to stop */
#include <inttypes.h>
#include <stdio.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "server/control/pool_account.h"
#include "server/control/server.h"
#include "server/dataplane/checks.h"
#include "server/log.h"
#include "server/seccomp.h"

/* The service is so large because of its ports' and clients' tables; not for a stack. */
static struct server *make_server(void)
{
	return calloc(1, sizeof(struct server));
}

static int fail(const struct error *error)
{
	fprintf(stderr, "ixy-server: error: %s\n", error->text);
	return EXIT_FAILURE;
}

/* Validates everything that can be validated without touching anything, and prints the plan. */
static int check(const struct options *o, struct error *error)
{
	struct pool_view pool = {.fd = -1};
	struct identity identity;

	if (listener_check(o->socket_dir, o->name, error) ||
	    identity_find(&identity, o->user, o->socket_group, error) ||
	    segment_plan(&pool, o->num_bufs, o->buf_bytes, o->hugepages, error))
		return -1;
	printf("server %s: socket %s/%s.sock, mode %04o\n", o->name, o->socket_dir, o->name,
	       (unsigned int)o->socket_mode);
	printf("pool: %u buffers of %u bytes, %" PRIu64 " MiB in pages of %" PRIu64 " KiB\n",
	       pool.num_bufs, pool.buf_bytes, pool.bytes >> 20, pool.page_bytes >> 10);
	for (unsigned int i = 0; i < o->num_ports; i++) {
		const struct port_config *config = &o->ports[i];
		const struct driver *driver = driver_resolve(config, error);
		unsigned int num_queues;
		char plan[512] = "";

		if (!driver || driver->check(config, &pool, &num_queues, plan, sizeof(plan), error))
			return -1;
		printf("port %s: %u queue%s; %s\n", config->name, num_queues,
		       num_queues == 1 ? "" : "s", plan);
	}
	if (identity.change)
		printf("user: changes to uid %u once its ports are open\n",
		       (unsigned int)identity.uid);
	else
		printf("user: stays uid %u\n", (unsigned int)geteuid());
	puts("nothing was touched; without --check this would start");
	return 0;
}

/* For a service manager that waits for it: sd_notify(3), "Notes". A socket, or -1 if nobody does. */
static int notify_open(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof(address.sun_path))
		return -1;
	memcpy(address.sun_path, path, strlen(path));
	if (path[0] == '@')
		address.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&address,
	            (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path))) == 0)
		return fd;
	log_warn("NOTIFY_SOCKET=%s", path);
	close(fd);
	return -1;
}

static void notify_ready(int fd)
{
	if (fd < 0)
		return;
	if (send(fd, "READY=1", 7, MSG_NOSIGNAL) < 0)
		log_warn("NOTIFY_SOCKET");
	close(fd);
}

static int confine(const struct options *o, struct error *error)
{
	if (!o->no_seccomp)
		return seccomp_install(o->kill_offenders, error);
	log_warnx("--no-seccomp: system calls are not confined; for debugging only");
	return 0;
}

static int serve(struct server *server, struct error *error)
{
	int notify, failed;

	if (server_open(server, error))
		return -1;
	notify = notify_open();
	failed = confine(&server->options, error);
	if (!failed) {
		if (!CHECKED)
			log_warnx(
				"built with IXY_UNCHECKED: NOTHING that clients write is checked; for "
				"measuring only");
		log_info("ready: '%s' with %u port%s, %u buffers of %u bytes, pid %d",
		         server->options.name, server->num_ports, server->num_ports == 1 ? "" : "s",
		         server->segment.pool.num_bufs, server->segment.pool.buf_bytes,
		         (int)getpid());
		notify_ready(notify);
		server_run(server);
	}
	server_close(server);
	pool_account_end(server);
	return failed;
}

int main(int argc, char **argv)
{
	struct error error = {""};
	struct server *server = make_server();
	enum options_result result;
	int failed;

	if (!server) {
		error_set(&error, "out of memory");
		return fail(&error);
	}
	result = options_parse(&server->options, argc, argv, &error);
	if (result == OPTIONS_RUN) {
		failed = server->options.check ? check(&server->options, &error)
		                               : serve(server, &error);
	} else {
		failed = result == OPTIONS_ERROR;
	}
	options_free(&server->options);
	free(server);
	return failed ? fail(&error) : EXIT_SUCCESS;
}
