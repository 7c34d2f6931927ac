/* test_client_hostile.c - ixy_attach to a server that hangs, dies, lies, or is of another version */
#include "tests/unit/test_client_fake.h"

#include <sys/resource.h>

/* Attaches to a server that does something wrong: the error must be @wanted, name @word, leak nothing. */
static inline void check_fails(fake_tamper *tamper, int wanted, const char *word)
{
	struct ixy_attach_opts opts;
	struct ixy_client *client = (void *)&fake;
	int fds = count_entries("/proc/self/fd"), mappings = count_mappings();
	int error;

	fake_start(&fake, tamper);
	opts = fake_opts();
	opts.num_queue_pairs = 2;
	opts.timeout_ms = wanted == -ETIMEDOUT ? 100 : 5000;
	error = ixy_attach("fake", &opts, &client);
	CHECK_EQ(error, wanted);
	CHECK(client == NULL);
	CHECK(strstr(error_text, word) != NULL);
	if (error != wanted || !strstr(error_text, word))
		printf("  it said: %s\n", error_text);
	fake_wait_served(&fake, 1);
	fake_stop(&fake);
	CHECK_EQ(count_entries("/proc/self/fd"), fds);
	CHECK_EQ(count_mappings(), mappings);
}

/* -- a server that does not go on ---------------------------------------------------------------- */

static uint32_t stage; /* the message type at which it happens */
static enum fake_act act;

static enum fake_act act_at_stage(struct fake_session *s, union message *message, int *fds)
{
	(void)s;
	(void)fds;
	return message->header.type == stage ? act : FAKE_SEND;
}

static const uint32_t stages[] = {MESSAGE_WELCOME, MESSAGE_ATTACHED, MESSAGE_QP, MESSAGE_READY};

static void check_at_each_stage(enum fake_act what, int wanted, const char *word)
{
	act = what;
	for (size_t i = 0; i < sizeof(stages) / sizeof(stages[0]); i++) {
		stage = stages[i];
		check_fails(act_at_stage, wanted, word);
	}
}

static void attach_to_a_server_that_never_answers_times_out(void)
{
	long begin = now_ms();

	check_at_each_stage(FAKE_HANG, -ETIMEDOUT, "in time");
	CHECK(now_ms() - begin >= 400 && now_ms() - begin < 6000);
}

static void attach_to_a_server_that_dies_midway_returns_econnrefused(void)
{
	check_at_each_stage(FAKE_DIE, -ECONNREFUSED, "went away");
}

static void attach_to_a_server_that_cuts_messages_returns_eproto(void)
{
	check_at_each_stage(FAKE_CUT, -EPROTO, "does not speak this protocol");
}

static void attach_without_the_announced_descriptors_returns_eproto(void)
{
	act = FAKE_NO_FDS;
	stage = MESSAGE_ATTACHED;
	check_fails(act_at_stage, -EPROTO, "wrong number of descriptors");
	stage = MESSAGE_QP;
	check_fails(act_at_stage, -EPROTO, "wrong number of descriptors");
}

static enum fake_act refuse(struct fake_session *s, union message *message, int *fds)
{
	(void)s;
	(void)fds;
	if (message->header.type != stage)
		return FAKE_SEND;
	message_init(message, MESSAGE_REFUSED);
	message->refused.error = ENOBUFS;
	strcpy(message->refused.text, "only 3 buffers\033[2J are left");
	return FAKE_SEND;
}

static void attach_refused_returns_the_server_s_errno_and_words(void)
{
	for (size_t i = 0; i < 2; i++) {
		stage = i ? MESSAGE_READY : MESSAGE_ATTACHED;
		/* and without what a terminal would obey */
		check_fails(refuse, -ENOBUFS, "only 3 buffers?[2J are left");
	}
}

static enum fake_act close_it(struct fake_session *s, union message *message, int *fds)
{
	(void)s;
	(void)fds;
	if (message->header.type != MESSAGE_READY)
		return FAKE_SEND;
	message_init(message, MESSAGE_CLOSED);
	message->closed.cause = CLOSE_KICKED;
	strcpy(message->closed.text, "kicked by root");
	return FAKE_SEND;
}

static void attach_closed_midway_says_why(void)
{
	check_fails(close_it, -EACCES, "kicked by root");
}

static enum fake_act other_message(struct fake_session *s, union message *message, int *fds)
{
	(void)s;
	(void)fds;
	if (message->header.type == MESSAGE_READY)
		message_init(message, MESSAGE_END);
	return FAKE_SEND;
}

static void attach_answered_out_of_order_returns_eproto(void)
{
	check_fails(other_message, -EPROTO, "END in place of READY");
}

static struct rlimit limit_before;

/* From here on this process, client and server, gets no more descriptors. */
static enum fake_act take_descriptors_away(struct fake_session *s, union message *message, int *fds)
{
	struct rlimit none;

	(void)s;
	(void)fds;
	if (message->header.type != MESSAGE_ATTACHED)
		return FAKE_SEND;
	getrlimit(RLIMIT_NOFILE, &limit_before);
	none = limit_before;
	none.rlim_cur = 1;
	setrlimit(RLIMIT_NOFILE, &none);
	return FAKE_LAST; /* the server has none to go on with */
}

static void attach_without_free_descriptors_returns_emfile(void)
{
	struct ixy_client *client;

	fake_start(&fake, take_descriptors_away);
	CHECK_EQ(attach(&client), -EMFILE);
	setrlimit(RLIMIT_NOFILE, &limit_before);
	CHECK(strstr(error_text, "ulimit -n") != NULL);
	fake_wait_served(&fake, 1);
	fake_stop(&fake);
}

/* -- versions ------------------------------------------------------------------------------------ */

static enum fake_act other_control(struct fake_session *s, union message *message, int *fds)
{
	(void)s;
	(void)fds;
	if (message->header.type == MESSAGE_WELCOME) {
		message->welcome.control_major = 9;
		message->welcome.control_minor = 4;
	}
	return FAKE_SEND;
}

static enum fake_act other_abi(struct fake_session *s, union message *message, int *fds)
{
	(void)s;
	(void)fds;
	if (message->header.type == MESSAGE_WELCOME)
		message->welcome.abi_major = 8;
	return FAKE_SEND;
}

static enum fake_act other_header(struct fake_session *s, union message *message, int *fds)
{
	(void)fds;
	if (message->header.type == MESSAGE_ATTACHED)
		s->header->abi_major = 6;
	return FAKE_SEND;
}

static void attach_to_another_version_names_both(void)
{
	char control[16], abi[16];

	snprintf(control, sizeof(control), "%d.%d", CONTROL_MAJOR, CONTROL_MINOR);
	snprintf(abi, sizeof(abi), "%d.%d", IXY_ABI_MAJOR, IXY_ABI_MINOR);
	check_fails(other_control, -EPROTO, "9.4");
	CHECK(strstr(error_text, control) != NULL);
	check_fails(other_abi, -EPROTO, "8.");
	CHECK(strstr(error_text, abi) != NULL);
	check_fails(other_header, -EPROTO, "6.");
	CHECK(strstr(error_text, abi) != NULL);
}

/* -- a server that shares the wrong memory ------------------------------------------------------- */

static unsigned int wrong; /* which of the cases below */

static enum fake_act spoil_attached(struct fake_session *s, union message *message, int *fds)
{
	struct message_attached *m = &message->attached;

	if (message->header.type != MESSAGE_ATTACHED)
		return FAKE_SEND;
	switch (wrong) {
	case 0:
		m->header_bytes = 4096;
		break;
	case 1:
		/* and the server goes on as if one had been asked for */
		m->num_queue_pairs = s->attach.num_queue_pairs = 1;
		break;
	case 2:
		m->mode = ATTACH_READONLY;
		break;
	case 3:
		m->headroom = 2048;
		break;
	case 4:
		m->headroom = 63;
		break;
	case 5:
		m->num_regions = 2;
		break;
	case 6:
		m->regions[0].num_bufs = FAKE_BUFS + 1;
		break;
	case 7:
		m->regions[0].buf_bytes = 3000;
		break;
	case 8:
		m->regions[0].id = 200;
		break;
	case 9:
		m->regions[0].size_bytes *= 2;
		break;
	case 10:
		fds[1] = s->socket;
		break;
	case 11:
		fds[0] = s->pool_fd;
		break;
	case 12:
		s->header->magic = 0;
		break;
	case 13:
		s->header->port_offset = 12000;
		break;
	default:
		return FAKE_DIE;
	}
	return FAKE_SEND;
}

static void attach_to_a_spoilt_segment_returns_eproto(void)
{
	for (wrong = 0; wrong <= 13; wrong++)
		check_fails(spoil_attached, -EPROTO, "");
}

static enum fake_act spoil_qp(struct fake_session *s, union message *message, int *fds)
{
	struct message_qp *m = &message->qp;

	if (message->header.type != MESSAGE_QP || m->index != 1)
		return FAKE_SEND;
	switch (wrong) {
	case 0:
		m->index = 0;
		break;
	case 1:
		m->worker = 1;
		break;
	case 2:
		m->geometry.rx_slots *= 2;
		break;
	case 3:
		m->geometry.tx_offset += 4;
		break;
	case 4:
		m->geometry.free_offset = 0xffffffc0u;
		break;
	case 5:
		m->geometry.up_bytes += 4096;
		break;
	case 6:
		fds[0] = fds[2];
		break;
	case 7:
		fds[1] = fds[3];
		break;
	case 8:
		fds[2] = fds[3];
		break;
	case 9:
		fds[3] = fds[2];
		break;
	case 10:
		/* sound, but not what the lane itself says */
		m->geometry.rx_slots /= 2;
		break;
	case 11:
		s->qps[1].down_map[0] ^= 1;
		break;
	default:
		return FAKE_DIE;
	}
	return FAKE_SEND;
}

static void attach_to_a_spoilt_queue_pair_returns_eproto(void)
{
	for (wrong = 0; wrong <= 11; wrong++)
		check_fails(spoil_qp, -EPROTO, "");
}

static int unsealed_fd;

static enum fake_act unseal(struct fake_session *s, union message *message, int *fds)
{
	if (message->header.type == stage)
		fds[stage == MESSAGE_ATTACHED ? 1 : 0] = unsealed_fd;
	(void)s;
	return FAKE_SEND;
}

static void attach_to_memory_that_can_shrink_returns_eproto(void)
{
	unsealed_fd = fake_memfd(FAKE_BUFS * 2048, false);
	stage = MESSAGE_ATTACHED;
	check_fails(unseal, -EPROTO, "not sealed");
	stage = MESSAGE_QP;
	check_fails(unseal, -EPROTO, "not sealed");
	close(unsealed_fd);
}

int main(void)
{
	alarm(100); /* nothing here may hang */
	RUN(attach_to_a_server_that_never_answers_times_out);
	RUN(attach_to_a_server_that_dies_midway_returns_econnrefused);
	RUN(attach_to_a_server_that_cuts_messages_returns_eproto);
	RUN(attach_without_the_announced_descriptors_returns_eproto);
	RUN(attach_refused_returns_the_server_s_errno_and_words);
	RUN(attach_closed_midway_says_why);
	RUN(attach_answered_out_of_order_returns_eproto);
	RUN(attach_without_free_descriptors_returns_emfile);
	RUN(attach_to_another_version_names_both);
	RUN(attach_to_a_spoilt_segment_returns_eproto);
	RUN(attach_to_a_spoilt_queue_pair_returns_eproto);
	RUN(attach_to_memory_that_can_shrink_returns_eproto);
	return DONE();
}
