/* test_client_attach.c - ixy_attach with a server that is right, wrong options, or no server */
#include "tests/unit/test_client_fake.h"

#include <sys/stat.h>
#include <sys/wait.h>

/* -- a server that is right ---------------------------------------------------------------------- */

static void attach_to_a_good_server_gives_what_was_asked_for(void)
{
	int fds = count_entries("/proc/self/fd"), mappings = count_mappings();
	struct ixy_attach_opts opts;
	struct ixy_client *client;

	fake_start(&fake, NULL);
	opts = fake_opts();
	opts.num_queue_pairs = 2;
	opts.alloc_bufs = 8;
	CHECK_EQ(ixy_attach("fake", &opts, &client), 0);
	CHECK(ixy_queue_pair(client, 0) && ixy_queue_pair(client, 1));
	CHECK(ixy_queue_pair(client, 2) == NULL);
	CHECK_EQ((uintptr_t)ixy_queue_pair(client, 1) % 64, 0);
	CHECK_EQ(fake.session.attach.mode, ATTACH_SHARED);
	CHECK_EQ(fake.session.attach.flags, ATTACH_ALL_PORTS);
	CHECK_EQ(fake.session.attach.alloc_bufs, 8);
	CHECK(strcmp(fake.session.attach.client_name, program_invocation_short_name) == 0);
	ixy_detach(client);
	CHECK(fake_wait_served(&fake, 1));
	CHECK(fake.got_detach);
	fake_stop(&fake);
	CHECK_EQ(count_entries("/proc/self/fd"), fds);
	CHECK_EQ(count_mappings(), mappings);
}

static void attach_by_path_or_environment_finds_the_server(void)
{
	struct ixy_attach_opts opts;
	struct ixy_client *client;

	fake_start(&fake, NULL);
	opts = fake_opts();
	opts.socket_dir = NULL;
	CHECK_EQ(ixy_attach(fake.path, &opts, &client), 0);
	ixy_detach(client);
	setenv("IXY_SOCKET_DIR", fake.dir, 1);
	CHECK_EQ(ixy_attach("fake", NULL, &client), 0);
	ixy_detach(client);
	unsetenv("IXY_SOCKET_DIR");
	fake_stop(&fake);
}

static void attach_options_reach_the_server(void)
{
	static const char *const ports[] = {"p1", "p0"};
	struct ixy_attach_opts opts;
	struct ixy_client *client;
	const struct message_attach *asked = &fake.session.attach;

	fake_start(&fake, NULL);
	opts = fake_opts();
	opts.client_name = "tester";
	opts.mode = IXY_MODE_READONLY;
	opts.role = IXY_ROLE_MONITOR;
	opts.ports = ports;
	opts.num_ports = 2;
	opts.rx_slots = 16;
	opts.tx_slots = 32;
	opts.min_bufs = 5;
	opts.max_bufs = 6;
	opts.snap_len = 96;
	opts.timestamps = 1;
	CHECK_EQ(ixy_attach("fake", &opts, &client), 0);
	CHECK(strcmp(asked->client_name, "tester") == 0);
	CHECK_EQ(asked->mode, ATTACH_READONLY);
	CHECK_EQ(asked->role, ATTACH_MONITOR);
	CHECK_EQ(asked->flags, ATTACH_TIMESTAMPS);
	CHECK_EQ(asked->num_ports, 2);
	CHECK(strcmp(asked->ports[0], "p1") == 0 && strcmp(asked->ports[1], "p0") == 0);
	CHECK_EQ(asked->rx_slots * 1000 + asked->tx_slots, 16032);
	CHECK_EQ(asked->min_bufs * 10 + asked->max_bufs, 56);
	CHECK_EQ(asked->snap_len, 96);
	ixy_detach(client);
	fake_stop(&fake);
}

static void attach_to_no_ports_is_not_attach_to_all(void)
{
	static const char *const none[1];
	struct ixy_attach_opts opts;
	struct ixy_client *client;

	fake_start(&fake, NULL);
	opts = fake_opts();
	opts.ports = none;
	CHECK_EQ(ixy_attach("fake", &opts, &client), 0);
	CHECK_EQ(fake.session.attach.flags, 0);
	CHECK_EQ(fake.session.attach.num_ports, 0);
	ixy_detach(client);
	fake_stop(&fake);
}

/* How /proc/self/maps shows the mapping at @address: "rw-s" and so on. */
static void permissions_of(const void *address, char text[5])
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long begin, end;
	char line[512];

	strcpy(text, "none");
	while (maps && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx", &begin, &end) == 2 &&
		    (unsigned long)(uintptr_t)address >= begin &&
		    (unsigned long)(uintptr_t)address < end)
			sscanf(line, "%*s %4s", text);
	fclose(maps);
}

static void attach_maps_only_what_the_mode_allows_to_write(void)
{
	struct ixy_attach_opts opts;
	struct ixy_client *client;
	struct ixy_qp *qp;
	char text[5];

	fake_start(&fake, NULL);
	for (int readonly = 0; readonly < 2; readonly++) {
		opts = fake_opts();
		opts.mode = readonly ? IXY_MODE_READONLY : IXY_MODE_SHARED;
		CHECK_EQ(ixy_attach("fake", &opts, &client), 0);
		qp = ixy_queue_pair(client, 0);
		permissions_of(qp->regions[0], text);
		CHECK(strcmp(text, readonly ? "r--s" : "rw-s") == 0);
		permissions_of(qp->down, text);
		CHECK(strcmp(text, "r--s") == 0);
		permissions_of(qp->up, text);
		CHECK(strcmp(text, "rw-s") == 0);
		permissions_of(qp->alive, text);
		CHECK(strcmp(text, "r--s") == 0);
		ixy_detach(client);
	}
	fake_stop(&fake);
}

static void attached_client_and_server_exchange_frames(void)
{
	struct ixy_client *client;
	struct ixy_desc desc = {7, 300, 4, 1, 0, 0}, got;
	struct fake_qp *server;
	struct ixy_desc *rx;
	struct ixy_qp *qp;

	fake_start(&fake, NULL);
	CHECK_EQ(attach(&client), 0);
	qp = ixy_queue_pair(client, 0);
	server = &fake.session.qps[0];
	rx = (void *)(server->down_map + server->geometry.rx_offset);
	memcpy(fake.session.pool + 7 * 2048 + 300, "ping", 4);
	rx[0] = desc;
	__atomic_store_n(&server->down->rx_tail, 1, __ATOMIC_RELEASE);
	CHECK_EQ(ixy_rx_batch(qp, &got, 1), 1);
	CHECK(memcmp(ixy_data(qp, &got), "ping", 4) == 0);
	memcpy(ixy_data(qp, &got), "pong", 4);
	CHECK_EQ(ixy_tx_batch(qp, &got, 1), 1);
	CHECK_EQ(__atomic_load_n(&server->up->tx_tail, __ATOMIC_ACQUIRE), 1);
	CHECK(memcmp(fake.session.pool + 7 * 2048 + 300, "pong", 4) == 0);
	server->down->tx_head = 1;
	ixy_detach(client);
	fake_stop(&fake);
}

/* The server need not have made its descriptors O_NONBLOCK. */
static void attached_client_never_blocks_in_doorbell_or_disarm(void)
{
	struct ixy_client *client;
	struct ixy_qp *qp;

	fake_start(&fake, NULL);
	CHECK_EQ(attach(&client), 0);
	qp = ixy_queue_pair(client, 0);
	CHECK_EQ(ixy_wait_arm(qp, IXY_WAKE_RX), 0);
	ixy_wait_disarm(qp);
	for (int i = 0; i < 100000; i++)
		ixy_doorbell(qp);
	ixy_detach(client);
	fake_stop(&fake);
}

static void ports_are_found_by_name_and_described(void)
{
	struct ixy_port_info info = {.size = sizeof(info)};
	struct {
		struct ixy_port_info info;
		uint64_t later;
	} grown = {.info.size = sizeof(grown), .later = 5};
	struct ixy_client *client;

	fake_start(&fake, NULL);
	CHECK_EQ(attach(&client), 0);
	CHECK_EQ(ixy_port_index(client, "p1"), 1);
	CHECK_EQ(ixy_port_index(client, "p2"), -ENODEV);
	CHECK_EQ(ixy_port_info(client, 1, &info), 0);
	CHECK(strcmp(info.name, "p1") == 0 && strcmp(info.driver, "tap") == 0);
	CHECK_EQ(info.mac[5], 9);
	CHECK_EQ(info.link_up, 1);
	CHECK_EQ(info.num_queues, 3);
	CHECK_EQ(info.max_frame_bytes, 9014);
	CHECK_EQ(info.speed_mbps, 25000);
	CHECK_EQ(ixy_port_info(client, 2, &info), -ENODEV);
	info.size = sizeof(info) - 1;
	CHECK_EQ(ixy_port_info(client, 0, &info), -EINVAL);
	/* a caller of a later release, whose struct has grown */
	CHECK_EQ(ixy_port_info(client, 0, &grown.info), 0);
	CHECK_EQ(grown.info.size, sizeof(grown));
	CHECK_EQ(grown.later, 0);
	memset(fake.session.header->ports[0].name, 'x', IXY_NAME_BYTES); /* not terminated */
	CHECK_EQ(ixy_port_index(client, "p0"), -ENODEV);
	fake_hang_up(&fake);
	info.size = sizeof(info);
	CHECK_EQ(ixy_port_info(client, 0, &info), -ENOTCONN);
	ixy_detach(client);
	fake_stop(&fake);
}

static void stats_show_what_both_sides_counted(void)
{
	struct ixy_stats stats = {.size = sizeof(stats)};
	struct ixy_down_counters *counters;
	struct ixy_client *client;
	struct fake_qp *server;

	fake_start(&fake, NULL);
	CHECK_EQ(attach(&client), 0);
	server = &fake.session.qps[0];
	counters = (void *)(server->down_map + server->geometry.counters_offset);
	*counters = (struct ixy_down_counters){11, 12, 13, 14, {0}};
	ixy_queue_pair(client, 0)->rx_packets = 5;
	CHECK_EQ(ixy_stats(ixy_queue_pair(client, 0), &stats), 0);
	CHECK_EQ(stats.rx_packets, 5);
	CHECK_EQ(stats.rx_dropped_ring, 11);
	CHECK_EQ(stats.rx_dropped_held, 12);
	CHECK_EQ(stats.rx_dropped_pool, 13);
	CHECK_EQ(stats.tx_dropped, 14);
	stats.size = 8;
	CHECK_EQ(ixy_stats(ixy_queue_pair(client, 0), &stats), -EINVAL);
	ixy_detach(client);
	fake_stop(&fake);
}

/* -- options that are wrong ---------------------------------------------------------------------- */

/* Needs no server: it must be refused before one is looked for. */
static void check_refused(const struct ixy_attach_opts *opts, int wanted, const char *word)
{
	struct ixy_client *client;

	error_text[0] = 0;
	CHECK_EQ(ixy_attach("fake", opts, &client), wanted);
	CHECK(strstr(error_text, word) != NULL);
	CHECK(client == NULL);
}

static void attach_with_bad_options_says_which(void)
{
	static const char *const bad_port[] = {"p 0"};
	struct ixy_attach_opts opts = fake_opts();

	opts.mode = (enum ixy_mode)7;
	check_refused(&opts, -EINVAL, "mode");
	opts = fake_opts();
	opts.role = IXY_ROLE_MONITOR;
	check_refused(&opts, -EINVAL, "IXY_MODE_READONLY");
	opts = fake_opts();
	opts.num_queue_pairs = IXY_MAX_QUEUE_PAIRS + 1;
	check_refused(&opts, -EINVAL, "num_queue_pairs");
	opts = fake_opts();
	opts.num_ports = 1;
	check_refused(&opts, -EINVAL, "num_ports");
	opts = fake_opts();
	opts.ports = bad_port;
	opts.num_ports = 17;
	check_refused(&opts, -EINVAL, "16");
	opts.num_ports = 1;
	check_refused(&opts, -ENODEV, "p 0");
	opts = fake_opts();
	opts.client_name = "a name with spaces";
	check_refused(&opts, -EINVAL, "client_name");
	opts.client_name = "a-name-that-is-longer-than-31-bytes";
	check_refused(&opts, -EINVAL, "client_name");
}

static void attach_with_a_bad_server_name_returns_einval(void)
{
	struct ixy_attach_opts opts = fake_opts();
	char path[300];
	struct ixy_client *client;

	CHECK_EQ(ixy_attach("..", &opts, &client), -EINVAL);
	CHECK_EQ(ixy_attach("", &opts, &client), -EINVAL);
	CHECK_EQ(ixy_attach("a b", &opts, &client), -EINVAL);
	memset(path, '/', sizeof(path));
	path[sizeof(path) - 1] = 0;
	CHECK_EQ(ixy_attach(path, &opts, &client), -EINVAL);
	opts.socket_dir = path;
	CHECK_EQ(ixy_attach("fake", &opts, &client), -EINVAL);
}

static void attach_options_of_another_release_work_unless_used(void)
{
	struct {
		struct ixy_attach_opts opts;
		uint64_t later;
	} grown = {.opts = IXY_ATTACH_OPTS_INIT};
	struct ixy_client *client;

	fake_start(&fake, NULL);
	grown.opts = fake_opts();
	grown.opts.size = sizeof(grown);
	CHECK_EQ(ixy_attach("fake", &grown.opts, &client), 0);
	ixy_detach(client);
	grown.later = 1;
	check_refused(&grown.opts, -EINVAL, "does not know");
	grown.opts.size = sizeof(grown.opts) - 1;
	error_text[0] = 0;
	CHECK_EQ(ixy_attach("fake", &grown.opts, &client), -EINVAL);
	CHECK_EQ(error_text[0], 0); /* where the text was to go is not known */
	fake_stop(&fake);
}

/* -- no server ----------------------------------------------------------------------------------- */

static void attach_without_a_server_returns_enoent(void)
{
	struct ixy_attach_opts opts = fake_opts();
	struct ixy_client *client;

	opts.socket_dir = "/nonexistent";
	CHECK_EQ(ixy_attach("fake", &opts, &client), -ENOENT);
	CHECK(strstr(error_text, "/nonexistent/fake.sock") != NULL);
	CHECK(strstr(error_text, "ixyctl list") != NULL);
	opts.socket_dir = NULL;
	CHECK_EQ(ixy_attach("no-such-server", &opts, &client), -ENOENT);
	CHECK(strstr(error_text, "ixy-server --name no-such-server") != NULL);
}

static void attach_to_a_stale_socket_returns_econnrefused(void)
{
	struct ixy_client *client;

	make_listener(&fake, 1);
	close_if_open(&fake.listener);
	CHECK_EQ(attach(&client), -ECONNREFUSED);
	CHECK(strstr(error_text, fake.path) != NULL);
	remove_dir(&fake);
}

static void attach_to_another_kind_of_socket_returns_eproto(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct ixy_client *client;

	make_listener(&fake, 1);
	close_if_open(&fake.listener);
	unlink(fake.path);
	fake.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	strcpy(address.sun_path, fake.path);
	CHECK(bind(fake.listener, (struct sockaddr *)&address, sizeof(address)) == 0);
	CHECK(listen(fake.listener, 1) == 0);
	CHECK_EQ(attach(&client), -EPROTO);
	remove_dir(&fake);
}

static void attach_without_permission_returns_eacces(void)
{
	struct ixy_client *client;
	int status;
	pid_t pid;

	make_listener(&fake, 1);
	chmod(fake.dir, 0755);
	chmod(fake.path, 0600);
	pid = fork();
	if (pid == 0) {
		int error;

		/* root may connect to everything, so it becomes someone else */
		if (geteuid() == 0 && setuid(12345) < 0)
			_exit(2);
		chmod(fake.path, 0);
		error = attach(&client);
		_exit(error == -EACCES && strstr(error_text, "mode 0") &&
		                      strstr(error_text, "--socket-group")
		              ? 0
		              : 1);
	}
	waitpid(pid, &status, 0);
	CHECK_EQ(status, 0);
	remove_dir(&fake);
}

static void attach_to_a_server_that_accepts_nobody_times_out(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct ixy_attach_opts opts;
	struct ixy_client *client;
	long begin = now_ms();
	int others[8];

	make_listener(&fake, 0);
	strcpy(address.sun_path, fake.path);
	for (int i = 0; i < 8; i++) { /* until the backlog is full */
		others[i] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		(void)!connect(others[i], (struct sockaddr *)&address, sizeof(address));
	}
	opts = fake_opts();
	opts.timeout_ms = 100;
	CHECK_EQ(ixy_attach("fake", &opts, &client), -ETIMEDOUT);
	CHECK(now_ms() - begin >= 100 && now_ms() - begin < 4000);
	fdpass_close(others, 8);
	remove_dir(&fake);
}

int main(void)
{
	alarm(100); /* nothing here may hang */
	RUN(attach_to_a_good_server_gives_what_was_asked_for);
	RUN(attach_by_path_or_environment_finds_the_server);
	RUN(attach_options_reach_the_server);
	RUN(attach_to_no_ports_is_not_attach_to_all);
	RUN(attach_maps_only_what_the_mode_allows_to_write);
	RUN(attached_client_and_server_exchange_frames);
	RUN(attached_client_never_blocks_in_doorbell_or_disarm);
	RUN(ports_are_found_by_name_and_described);
	RUN(stats_show_what_both_sides_counted);
	RUN(attach_with_bad_options_says_which);
	RUN(attach_with_a_bad_server_name_returns_einval);
	RUN(attach_options_of_another_release_work_unless_used);
	RUN(attach_without_a_server_returns_enoent);
	RUN(attach_to_a_stale_socket_returns_econnrefused);
	RUN(attach_to_another_kind_of_socket_returns_eproto);
	RUN(attach_without_permission_returns_eacces);
	RUN(attach_to_a_server_that_accepts_nobody_times_out);
	return DONE();
}
