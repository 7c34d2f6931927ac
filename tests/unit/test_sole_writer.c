/*
 * test_sole_writer.c - law 1: a buffer can be written only while it has one holder
 *
 * Three actors, each with a short script, run in every order in which their steps can be mixed: the
 * worker, a member that uses its frames in place, and a monitor that looks at each frame in two
 * glances. Whatever the order, the monitor must see the bytes that came in or went out, and the
 * device those that were sent until it is done. The same scripts beside a plain shared mirror, which
 * lends the writer's buffer as well, show that the monitor notices when they are not.
 */
#include "tests/unit/rig.h"

#define FRAME 64u
#define SPLIT (IXY_DEFAULT_HEADROOM + FRAME / 2) /* between the two halves of a frame */
#define END   (IXY_DEFAULT_HEADROOM + FRAME)
#define HAND  16

static struct rig rig;

/* What a client, or the device, has in its hands, and what the frames' bytes have to be. */
struct hand {
	unsigned int num;
	struct ixy_desc descs[HAND];
	unsigned char bytes[HAND];
};

static struct rig_client *member, *monitor;
static struct hand members, monitors, devices;
static unsigned int arrived, made, seen_in, seen_out;
static unsigned int wrong; /* glances that did not show what they had to, in this run */
static bool mirrored;      /* the control: frames come by the mirror */

static void keep(struct hand *hand, const struct ixy_desc *desc, unsigned int byte)
{
	if (hand->num == HAND)
		abort();
	hand->descs[hand->num] = *desc;
	hand->bytes[hand->num++] = (unsigned char)byte;
}

/* All frames in a hand, from @begin to @end of their buffers. */
static void glance(const struct hand *hand, unsigned int begin, unsigned int end)
{
	for (unsigned int i = 0; i < hand->num; i++) {
		const unsigned char *buf = pool_buf(&rig.pool, hand->descs[i].buf);

		for (unsigned int at = begin; at < end; at++) {
			if (buf[at] != hand->bytes[i]) {
				wrong++;
				break;
			}
		}
	}
}

static void rewrite(const struct hand *hand, unsigned int begin, unsigned int end)
{
	for (unsigned int i = 0; i < hand->num; i++)
		memset(pool_buf(&rig.pool, hand->descs[i].buf) + begin, hand->bytes[i],
		       end - begin);
}

/* -- the worker, and a device that takes its time ----------------------------------------------- */

static void device_tx(struct port_queue *queue, const struct ixy_desc *descs, unsigned int n)
{
	(void)queue;
	for (unsigned int i = 0; i < n; i++)
		keep(&devices, &descs[i], pool_data(&rig.pool, &descs[i])[0]);
}

static unsigned int device_room(struct port_queue *queue, unsigned int n)
{
	(void)queue;
	return n;
}

static const struct driver device = {.name = "slow", .tx_room = device_room, .tx_burst = device_tx};

static void work_done(void)
{
	glance(&devices, IXY_DEFAULT_HEADROOM, END);
	for (unsigned int i = 0; i < devices.num; i++)
		record_device_done(&rig.w->record, devices.descs[i].buf);
	devices.num = 0;
}

static void work_collect(void)
{
	rig_collect(&rig, member);
	rig_collect(&rig, monitor);
}

/* The mirror that must not be: the monitor gets the descriptor that the writer got. */
static void mirror(void)
{
	const struct qp *from = &member->server;
	struct qp *to = &monitor->server;

	rig_publish(&rig, 0, (struct rig_client *[]){member, NULL}, NULL);
	rig_receive(&rig, 0, 1, FRAME, (int)arrived);
	rig_publish(&rig, 0, (struct rig_client *[]){member, NULL},
	            (struct rig_client *[]){monitor, NULL});
	to->rx_ring[to->state->rx_tail++ % to->rx_slots] =
		from->rx_ring[(from->state->rx_tail - 1) % from->rx_slots];
	__atomic_store_n(&to->down->rx_tail, to->state->rx_tail, __ATOMIC_RELEASE);
}

static void work_receive(void)
{
	arrived++;
	if (mirrored)
		mirror();
	else
		rig_receive(&rig, 0, 1, FRAME, (int)arrived);
}

/* -- a member that answers in place --------------------------------------------------------------- */

static void member_take(void)
{
	struct ixy_desc descs[HAND];
	int n = ixy_rx_batch(&member->client, descs, HAND);

	for (int i = 0; i < n; i++)
		keep(&members, &descs[i], 0x80u | pool_data(&rig.pool, &descs[i])[0]);
}

/* From the buffer's first byte: what the monitor finds in the metadata is not the writer's to change. */
static void member_rewrite_first(void)
{
	rewrite(&members, 0, SPLIT);
}

static void member_rewrite_rest(void)
{
	rewrite(&members, SPLIT, rig.pool.buf_bytes);
}

static void member_send(void)
{
	CHECK_EQ(ixy_tx_batch(&member->client, members.descs, members.num), members.num);
	members.num = 0;
}

/* -- a member that makes frames, and one that only looks ------------------------------------------ */

static void member_alloc(void)
{
	struct ixy_desc descs[2];
	int n = ixy_alloc_batch(&member->client, descs, 2);

	for (int i = 0; i < n; i++) {
		descs[i].len = FRAME;
		keep(&members, &descs[i], 0x80u | ++made);
	}
}

static void member_take_unchanged(void)
{
	struct ixy_desc descs[HAND];
	int n = ixy_rx_batch(&member->client, descs, HAND);

	for (int i = 0; i < n; i++)
		keep(&members, &descs[i], pool_data(&rig.pool, &descs[i])[0]);
}

static void member_look_first(void)
{
	glance(&members, IXY_DEFAULT_HEADROOM, SPLIT);
}

static void member_look_rest(void)
{
	glance(&members, SPLIT, END);
}

/* -- the monitor ---------------------------------------------------------------------------------- */

static unsigned int out_mark; /* of frames that leave: 0x80 where a writer has marked them */

static void monitor_take(void)
{
	struct ixy_desc descs[HAND];
	int n = ixy_rx_batch(&monitor->client, descs, HAND);

	for (int i = 0; i < n; i++) {
		bool out = descs[i].flags & IXY_DESC_OUT;

		keep(&monitors, &descs[i], out ? out_mark | ++seen_out : ++seen_in);
		wrong += descs[i].len != FRAME || descs[i].offset != IXY_DEFAULT_HEADROOM;
	}
}

static void monitor_look_first(void)
{
	glance(&monitors, IXY_DEFAULT_HEADROOM, SPLIT);
	for (unsigned int i = 0; i < monitors.num && !mirrored; i++)
		wrong += ixy_metadata(&monitor->client, &monitors.descs[i])->rx_wire_len != FRAME;
}

static void monitor_look_rest(void)
{
	glance(&monitors, SPLIT, END);
}

static void monitor_free(void)
{
	for (unsigned int i = 0; i < monitors.num; i++)
		/* what came by the mirror is not the monitor's to free */
		if (!mirrored || monitors.descs[i].flags & IXY_DESC_OUT)
			ixy_free_batch(&monitor->client, &monitors.descs[i], 1);
	monitors.num = 0;
}

/* -- every order ---------------------------------------------------------------------------------- */

#define MAX_STEPS 16

struct script {
	unsigned int num;
	void (*steps[5])(void);
};

static const struct script monitor_script = {
	4, {monitor_take, monitor_look_first, monitor_look_rest, monitor_free}};
static const struct script receiving_worker = {
	5, {work_receive, work_collect, work_done, work_receive, work_collect}};
static const struct script granting_worker = {
	5, {work_collect, work_done, work_collect, work_done, work_collect}};

static void run_all(const struct script *script)
{
	for (unsigned int i = 0; i < script->num; i++)
		script->steps[i]();
}

/* Steps in the order @who; then all go on until nothing is left to do. */
static void run_once(const struct script *const *scripts, const unsigned char *who, unsigned int n)
{
	unsigned int next[3] = {0};

	arrived = made = seen_in = seen_out = wrong = 0;
	for (unsigned int i = 0; i < n; i++)
		scripts[who[i]]->steps[next[who[i]]++]();
	for (int i = 0; i < 3; i++) {
		monitor_look_first();
		monitor_look_rest();
		monitor_free();
		run_all(scripts[1]);
		work_collect();
		work_done();
		run_all(&monitor_script);
		work_collect();
	}
}

/* The next order in lexicographic order; false after the last. */
static bool next_order(unsigned char *who, unsigned int n)
{
	unsigned int i = n - 1, k = n - 1;

	while (i > 0 && who[i - 1] >= who[i])
		i--;
	if (i == 0)
		return false;
	while (who[k] <= who[i - 1])
		k--;
	unsigned char swapped = who[i - 1];

	who[i - 1] = who[k];
	who[k] = swapped;
	for (k = n - 1; i < k; i++, k--) {
		swapped = who[i];
		who[i] = who[k];
		who[k] = swapped;
	}
	return true;
}

/* Opens a rig with a member and a monitor of port 0, and a slow device in it. */
static void stage(uint32_t member_flags, uint32_t alloc)
{
	rig_open(&rig);
	member = rig_attach(&rig, member_flags, 64, alloc);
	monitor = rig_attach(&rig, QP_READONLY | QP_MONITOR, 64, 0);
	rig_publish(&rig, 0, (struct rig_client *[]){member, NULL},
	            (struct rig_client *[]){monitor, NULL});
	rig.ports[0].driver = &device;
	members.num = monitors.num = devices.num = 0;
	out_mark = member_flags & QP_READONLY ? 0 : 0x80;
	mirrored = false;
}

static uint64_t copies(unsigned int port)
{
	return rig.w->port_counters[port][PORT_RX_COPIES];
}

struct outcome {
	unsigned int orders, bad_orders;
	uint64_t in, out;
};

/* @quiet is how many buffers are free when nobody does anything. */
static struct outcome run_every_order(const struct script *worker, const struct script *client,
                                      unsigned int quiet)
{
	const struct script *scripts[] = {worker, client, &monitor_script};
	struct outcome outcome = {0};
	unsigned char who[MAX_STEPS];
	unsigned int n = 0;

	for (unsigned char actor = 0; actor < 3; actor++)
		for (unsigned int i = 0; i < scripts[actor]->num; i++)
			who[n++] = actor;
	do {
		run_once(scripts, who, n);
		outcome.orders++;
		outcome.bad_orders += wrong != 0;
		outcome.in += seen_in;
		outcome.out += seen_out;
		if (seen_in != arrived || rig.w->record.num_free != quiet) {
			CHECK_EQ(seen_in, arrived);
			CHECK_EQ(rig.w->record.num_free, quiet);
			break;
		}
	} while (next_order(who, n));
	CHECK_EQ(member->server.violation, VIOLATION_NONE);
	CHECK_EQ(monitor->server.violation, VIOLATION_NONE);
	printf("    %u orders, %u of them showed other bytes\n", outcome.orders,
	       outcome.bad_orders);
	return outcome;
}

static const struct script answering = {
	4, {member_take, member_rewrite_first, member_rewrite_rest, member_send}};

static void writer_in_place_beside_a_monitor_every_order_is_exact(void)
{
	stage(0, 0);
	struct outcome o = run_every_order(&receiving_worker, &answering, RIG_BUFS);

	CHECK_EQ(o.orders, 90090); /* 13! / (5! 4! 4!) */
	CHECK_EQ(o.bad_orders, 0);
	/* one copy of each on its way in; on its way out it is lent */
	CHECK_EQ(copies(0), o.in);
	CHECK_EQ(o.in, 2 * o.orders);
	CHECK_EQ(o.out, 2 * o.orders);
	rig_verify(&rig);
	rig_close(&rig);
}

/* The control: were the writer's buffer lent as well, the same glances would show it. */
static void writer_in_place_beside_a_plain_mirror_is_noticed(void)
{
	stage(0, 0);
	mirrored = true;
	struct outcome o = run_every_order(&receiving_worker, &answering, RIG_BUFS);

	CHECK_EQ(o.orders, 90090);
	/* most of them: the monitor is early enough in few */
	CHECK(o.bad_orders > o.orders / 2 && o.bad_orders < o.orders);
	CHECK_EQ(copies(0), 0);
	rig_close(&rig);
}

/* Buffers go from the device and the monitor back to the writer, which fills them at once. */
static void writer_of_new_frames_beside_a_monitor_every_order_is_exact(void)
{
	static const struct script making = {
		4, {member_alloc, member_rewrite_first, member_rewrite_rest, member_send}};

	stage(0, 8);
	work_collect();
	struct outcome o = run_every_order(&granting_worker, &making, rig.w->record.num_free);

	CHECK_EQ(o.bad_orders, 0);
	CHECK(o.out >= 2 * o.orders);
	CHECK_EQ(copies(0), 0);
	rig_verify(&rig);
	rig_close(&rig);
}

/* Nobody can write; but a buffer that came back too early would be filled by the next arrival. */
static void reader_beside_a_monitor_every_order_is_exact(void)
{
	static const struct script passing = {
		4, {member_take_unchanged, member_look_first, member_look_rest, member_send}};

	stage(QP_READONLY, 0);
	struct outcome o = run_every_order(&receiving_worker, &passing, RIG_BUFS);

	CHECK_EQ(o.bad_orders, 0);
	CHECK_EQ(o.out, 2 * o.orders);
	/* where the monitor still has what came in, it is shown a copy of what goes out */
	CHECK(copies(0) > 0 && copies(0) <= o.out);
	rig_verify(&rig);
	rig_close(&rig);
}

/* -- copies: when needed, and counted ------------------------------------------------------------- */

static struct ixy_desc take_one(struct rig_client *c)
{
	struct ixy_desc desc = {0};

	CHECK_EQ(ixy_rx_batch(&c->client, &desc, 1), 1);
	return desc;
}

static void copy_for_many_monitors_is_one(void)
{
	struct rig_client *watching[5] = {NULL};
	struct ixy_desc first, own;

	rig_open(&rig);
	member = rig_attach(&rig, 0, 64, 0);
	for (int i = 0; i < 4; i++)
		watching[i] = rig_attach(&rig, QP_READONLY | QP_MONITOR, 64, 0);
	rig_publish(&rig, 0, (struct rig_client *[]){member, NULL}, watching);
	rig_receive(&rig, 0, 1, 100, 1);
	CHECK_EQ(copies(0), 1);
	CHECK_EQ(rig.w->record.num_free, RIG_BUFS - 2);
	own = take_one(member);
	first = take_one(watching[0]);
	CHECK(first.buf != own.buf);
	for (int i = 1; i < 4; i++)
		CHECK_EQ(take_one(watching[i]).buf, first.buf);
	rig_close(&rig);
}

static void copy_for_readers_only_is_none(void)
{
	struct rig_client *watching[3] = {NULL};

	rig_open(&rig);
	member = rig_attach(&rig, QP_READONLY, 64, 0);
	for (int i = 0; i < 2; i++)
		watching[i] = rig_attach(&rig, QP_READONLY | QP_MONITOR, 64, 0);
	rig_publish(&rig, 0, (struct rig_client *[]){member, NULL}, watching);
	rig_publish(&rig, 1, NULL, watching);
	rig_receive(&rig, 0, 4, 100, 1); /* a reader as member */
	rig_receive(&rig, 1, 4, 100, 2); /* no member at all */
	CHECK_EQ(copies(0) + copies(1), 0);
	CHECK_EQ(rig.w->record.num_free, RIG_BUFS - 8);
	CHECK_EQ(record_num_holders(&rig.w->record, take_one(watching[0]).buf), 3);
	rig_close(&rig);
}

static void copy_for_a_writer_without_monitors_is_none(void)
{
	rig_open(&rig);
	member = rig_attach(&rig, 0, 64, 0);
	rig_publish(&rig, 0, (struct rig_client *[]){member, NULL}, NULL);
	rig_receive(&rig, 0, 4, 100, 1);
	CHECK_EQ(copies(0), 0);
	rig_close(&rig);
}

/* Port 1 is watched, port 0 is not: what the member forwards is only ever on its way out. */
static void copy_of_an_outgoing_frame_is_none(void)
{
	struct ixy_desc own, shown;

	rig_open(&rig);
	member = rig_attach(&rig, 0, 64, 0);
	monitor = rig_attach(&rig, QP_READONLY | QP_MONITOR, 64, 0);
	rig_publish(&rig, 0, (struct rig_client *[]){member, NULL}, NULL);
	rig_publish(&rig, 1, NULL, (struct rig_client *[]){monitor, NULL});
	rig_receive(&rig, 0, 1, 100, 1);
	own = take_one(member);
	own.port = 1;
	ixy_tx_batch(&member->client, &own, 1);
	rig_collect(&rig, member);
	shown = take_one(monitor);
	CHECK_EQ(shown.buf, own.buf);
	CHECK_EQ(copies(0) + copies(1), 0);
	CHECK_EQ(rig.num_sent, 1);
	rig_verify(&rig);
	rig_close(&rig);
}

static void copy_of_an_outgoing_frame_that_is_lent_is_one(void)
{
	struct ixy_desc own;

	rig_open(&rig);
	member = rig_attach(&rig, QP_READONLY, 64, 0);
	monitor = rig_attach(&rig, QP_READONLY | QP_MONITOR, 64, 0);
	for (unsigned int port = 0; port < 2; port++)
		rig_publish(&rig, port, (struct rig_client *[]){member, NULL},
		            (struct rig_client *[]){monitor, NULL});
	rig_receive(&rig, 0, 1, 100, 1);
	own = take_one(member);
	CHECK_EQ(take_one(monitor).buf, own.buf); /* and keeps it */
	own.port = 1;
	ixy_tx_batch(&member->client, &own, 1);
	rig_collect(&rig, member);
	CHECK_EQ(copies(0), 0);
	CHECK_EQ(copies(1), 1);
	CHECK(take_one(monitor).buf != own.buf);
	rig_verify(&rig);
	rig_close(&rig);
}

/* Monitors that want @first and @second bytes of 1,000; how long the copy is. */
static unsigned int copied_bytes(uint32_t first, uint32_t second)
{
	const uint32_t snaps[] = {first, second};
	struct rig_client *watching[3] = {NULL};
	const unsigned char *data = NULL;
	unsigned int n = 0;

	rig_open(&rig);
	member = rig_attach(&rig, 0, 64, 0);
	for (int i = 0; i < 2; i++) {
		watching[i] = rig_attach(&rig, QP_READONLY | QP_MONITOR, 64, 0);
		watching[i]->server.state->snap_len = snaps[i];
	}
	rig_publish(&rig, 0, (struct rig_client *[]){member, NULL}, watching);
	rig_receive(&rig, 0, 1, 1000, 0x55);
	for (int i = 0; i < 2; i++) {
		struct ixy_desc desc = take_one(watching[i]);
		uint32_t wanted = snaps[i] && snaps[i] < 1000 ? snaps[i] : 1000;

		CHECK_EQ(desc.len, wanted);
		CHECK_EQ(!!(desc.flags & IXY_DESC_SNAPPED), wanted < 1000);
		CHECK_EQ(ixy_metadata(&watching[i]->client, &desc)->rx_wire_len, 1000);
		data = pool_data(&rig.pool, &desc);
	}
	while (data && data[n] == 0x55) /* the rest of a fresh pool is zero */
		n++;
	CHECK_EQ(copies(0), 1);
	rig_close(&rig);
	return n;
}

static void copy_is_not_longer_than_the_longest_snap(void)
{
	CHECK_EQ(copied_bytes(60, 100), 100);
	CHECK_EQ(copied_bytes(100, 60), 100);
	CHECK_EQ(copied_bytes(60, 0), 1000);
	CHECK_EQ(copied_bytes(60, 4000), 1000);
}

/* What others were promised is not taken for copies: the monitor misses frames, and is told. */
static void copy_without_a_free_buffer_is_counted_as_missed(void)
{
	rig_open(&rig);
	member = rig_attach(&rig, 0, 8, 0);
	monitor = rig_attach(&rig, QP_READONLY | QP_MONITOR, 0, 0);
	rig_attach(&rig, 0, RIG_BUFS - 8, 0); /* has been promised all others, and has none yet */
	rig_publish(&rig, 0, (struct rig_client *[]){member, NULL},
	            (struct rig_client *[]){monitor, NULL});
	rig_receive(&rig, 0, 3, 100, 1);
	CHECK_EQ(member->server.counters[CLIENT_RX_PACKETS], 3);
	CHECK_EQ(monitor->server.counters[CLIENT_RX_DROP_HELD], 3);
	CHECK_EQ(monitor->server.drops->rx_dropped_held, 3);
	CHECK_EQ(copies(0), 0);
	rig_verify(&rig);
	rig_close(&rig);
}

/* What a monitor itself was promised is there for its copies, and not more than that. */
static void copy_within_a_monitors_minimum_is_made(void)
{
	rig_open(&rig);
	member = rig_attach(&rig, 0, 8, 0);
	monitor = rig_attach(&rig, QP_READONLY | QP_MONITOR, 2, 0);
	rig_attach(&rig, 0, RIG_BUFS - 10, 0);
	rig_publish(&rig, 0, (struct rig_client *[]){member, NULL},
	            (struct rig_client *[]){monitor, NULL});
	rig_receive(&rig, 0, 3, 100, 1);
	CHECK_EQ(member->server.counters[CLIENT_RX_PACKETS], 3);
	CHECK_EQ(monitor->server.counters[CLIENT_RX_PACKETS], 2);
	CHECK_EQ(monitor->server.counters[CLIENT_RX_DROP_HELD], 1);
	CHECK_EQ(copies(0), 2);
	rig_verify(&rig);
	rig_close(&rig);
}

/* A monitor that reads nothing costs no copies. */
static void copy_that_nobody_can_take_is_not_made(void)
{
	struct ixy_desc descs[8];

	rig_open(&rig);
	member = rig_attach(&rig, 0, 8, 0);
	monitor = rig_attach(&rig, QP_READONLY | QP_MONITOR, 0, 0);
	rig_publish(&rig, 0, (struct rig_client *[]){member, NULL},
	            (struct rig_client *[]){monitor, NULL});
	for (unsigned int i = 0; i < 40; i++) {
		rig_receive(&rig, 0, 4, 100, 1);
		CHECK_EQ(ixy_rx_batch(&member->client, descs, 8), 4);
		CHECK_EQ(ixy_free_batch(&member->client, descs, 4), 4);
		rig_collect(&rig, member);
	}
	CHECK_EQ(copies(0), 64);
	CHECK_EQ(monitor->server.counters[CLIENT_RX_DROP_RING], 160 - 64);
	rig_verify(&rig);
	rig_close(&rig);
}

int main(void)
{
	RUN(writer_in_place_beside_a_monitor_every_order_is_exact);
	RUN(writer_in_place_beside_a_plain_mirror_is_noticed);
	RUN(writer_of_new_frames_beside_a_monitor_every_order_is_exact);
	RUN(reader_beside_a_monitor_every_order_is_exact);
	RUN(copy_for_many_monitors_is_one);
	RUN(copy_for_readers_only_is_none);
	RUN(copy_for_a_writer_without_monitors_is_none);
	RUN(copy_of_an_outgoing_frame_is_none);
	RUN(copy_of_an_outgoing_frame_that_is_lent_is_one);
	RUN(copy_is_not_longer_than_the_longest_snap);
	RUN(copy_without_a_free_buffer_is_counted_as_missed);
	RUN(copy_within_a_monitors_minimum_is_made);
	RUN(copy_that_nobody_can_take_is_not_made);
	return DONE();
}
