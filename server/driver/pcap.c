/*
 * pcap.c - the capture file port: frames of one file are received, what is sent goes to another
 *
 *   IN --> reader --> replay (passes, pace) --> rx_burst --> a pool buffer, after the headroom
 *   OUT <-- writer (buffered) <-- tx_burst, flushed by poll
 *
 * The whole of IN is read and checked before the port opens, so that a file that is cut or
 * malformed is refused with the place, and not found out in the middle of a replay. Without a rate
 * the worker reads no more than clients have room for (can_wait): nothing is lost.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "server/driver/driver.h"
#include "server/driver/pcap_files.h"
#include "server/log.h"

#define FLUSH_NS 10000000u /* so old does a sent frame get before a reader of OUT can see it */

struct pcap_port {
	struct pcap_options options;
	bool attached;
	bool told_stop;        /* the log knows that the replay failed */
	bool told_write;       /* the log knows that writing failed */
	bool unflushed;        /* the writer has frames */
	uint32_t max_rx_bytes; /* what fits a buffer after the headroom */
	struct replay replay;
	int in_fd;                     /* -1: none */
	int out_fd;                    /* -1: none */
	uint64_t flushed_ns;           /* when OUT was written last */
	struct capture_writer *writer; /* NULL: none */
};

/* -- operations of the main thread ------------------------------------------------------------- */

static uint32_t max_rx_bytes(const struct pool_view *pool)
{
	return pool->buf_bytes - IXY_DEFAULT_HEADROOM;
}

/* Writes the file header at once: OUT is a capture from now on, and a full disk shows early. */
static int open_writer(struct pcap_port *state, const struct port_config *config,
                       struct error *error)
{
	const char *out = state->options.out, *names[] = {config->name};
	int result;

	state->out_fd = pcap_open_out(config, out, state->in_fd, error);
	if (state->out_fd < 0)
		return -1;
	result =
		capture_writer_open(&state->writer, state->out_fd, state->options.format, names, 1);
	if (result == 0)
		result = capture_writer_flush(state->writer);
	if (result == 0)
		return 0;
	return error_set(error, "port %s: cannot write %s: %s", config->name, out,
	                 strerror(-result));
}

static int pcap_check(const struct port_config *config, const struct pool_view *pool,
                      unsigned int *num_queues, char *plan, size_t plan_bytes, struct error *error)
{
	struct capture_reader *reader = NULL;
	struct survey survey = {0};
	struct pcap_options options;
	int fd = -1, result = 0;

	*num_queues = 1;
	if (pcap_options_parse(config, &options, error) < 0)
		return -1;
	if (options.in &&
	    pcap_open_in(config, options.in, max_rx_bytes(pool), &reader, &fd, &survey, error) < 0)
		return -1;
	if (options.out)
		result = pcap_check_out(config, options.out, fd, error);
	capture_reader_close(reader);
	if (fd >= 0)
		close(fd);
	if (result == 0)
		pcap_options_describe(&options, &survey, plan, plan_bytes);
	return result;
}

/* What was sent before the stop is in OUT, or is counted as lost and said to be. */
static void close_writer(struct port *port, struct pcap_port *state)
{
	struct capture_written written = {0};
	int result = capture_writer_close(state->writer, &written);

	if (state->out_fd >= 0 && close(state->out_fd) < 0 && result == 0)
		result = -errno;
	if (result == 0)
		return;
	counter_add(&port->queues[0].counters[PORT_TX_DROPPED], written.lost);
	log_warnx("port %s: %s lacks %" PRIu64 " frames that were sent: %s", port->config->name,
	          state->options.out, written.lost, strerror(-result));
}

static void pcap_close(struct port *port)
{
	struct pcap_port *state = port->state;

	close_writer(port, state);
	capture_reader_close(state->replay.reader);
	if (state->in_fd >= 0)
		close(state->in_fd);
	free(state);
	port->state = NULL;
}

/* Everything that can fail; leaves closing to the caller. */
static int open_files(struct pcap_port *state, const struct port *port, struct error *error)
{
	const struct pcap_options *options = &state->options;
	struct survey survey;

	if (options->in && pcap_open_in(port->config, options->in, state->max_rx_bytes,
	                                &state->replay.reader, &state->in_fd, &survey, error) < 0)
		return -1;
	state->replay.passes = options->passes;
	/* over and over through a file of which nothing can be received would be a busy loop */
	if (options->in && survey.num_frames == survey.num_empty + survey.num_too_long)
		state->replay.passes = 1;
	return options->out ? open_writer(state, port->config, error) : 0;
}

static void announce(struct port *port)
{
	uint32_t max = port->queues[0].pool->buf_bytes - IXY_META_BYTES;

	port->min_frame_bytes = 1;
	port->max_frame_bytes = max < UINT16_MAX ? max : UINT16_MAX;
	port->shared->max_frame_bytes = port->max_frame_bytes;
	port->shared->flags |= IXY_PORT_LINK_UP;
}

static int pcap_open(struct port *port, struct error *error)
{
	struct pcap_port *state = calloc(1, sizeof(*state));

	if (!state)
		return error_set(error, "port %s: no memory", port->config->name);
	state->in_fd = state->out_fd = -1;
	state->max_rx_bytes = max_rx_bytes(port->queues[0].pool);
	if (pcap_options_parse(port->config, &state->options, error) < 0 ||
	    open_files(state, port, error) < 0) {
		capture_writer_close(state->writer, NULL);
		capture_reader_close(state->replay.reader);
		if (state->in_fd >= 0)
			close(state->in_fd);
		if (state->out_fd >= 0)
			close(state->out_fd);
		free(state);
		return -1;
	}
	state->replay.pace = state->options.pace;
	state->replay.rate_pps = state->options.rate_pps;
	state->attached = state->options.start_now;
	port->state = state;
	port->queues[0].state = state;
	port->can_wait = state->options.pace == REPLAY_FREE;
	announce(port);
	return 0;
}

/* -- receive ----------------------------------------------------------------------------------- */

static void pcap_attached(struct port_queue *queue)
{
	struct pcap_port *state = queue->state;

	state->attached = true;
}

/* The file was sound at the start: somebody has changed it since. */
static void tell_stop(struct port_queue *queue, struct pcap_port *state)
{
	if (!state->replay.failed || state->told_stop)
		return;
	state->told_stop = true;
	log_warnx("port %s: the replay has stopped: %s", queue->port->config->name,
	          state->replay.error.text);
}

static void fill(struct port_queue *queue, const struct capture_frame *frame, uint32_t buf,
                 struct ixy_desc *desc)
{
	desc_received(desc, buf, IXY_DEFAULT_HEADROOM, frame->caplen, queue->port->index);
	memcpy(pool_data(queue->pool, desc), frame->data, frame->caplen);
}

/* Why a frame cannot be received, as the counter for it; PORT_NUM_COUNTERS: it can. */
static enum port_counter unfit(const struct pcap_port *state, const struct capture_frame *frame)
{
	if (frame->caplen == 0)
		return PORT_RX_BAD;
	return frame->caplen > state->max_rx_bytes ? PORT_RX_TOO_LONG : PORT_NUM_COUNTERS;
}

static unsigned int pcap_rx_burst(struct port_queue *queue, struct ixy_desc *descs, unsigned int n,
                                  uint64_t now_ns)
{
	struct pcap_port *state = queue->state;
	const struct capture_frame *frame;
	unsigned int got = 0;

	if (!state->attached)
		return 0;
	replay_begin(&state->replay, now_ns);
	/* @n frames looked at, whether or not they are any good: a bound on this call's time */
	for (unsigned int i = 0; i < n && (frame = replay_peek(&state->replay, now_ns)); i++) {
		enum port_counter reason = unfit(state, frame);
		uint32_t buf;

		if (reason == PORT_NUM_COUNTERS) {
			if (record_take(queue->record, HOLDER_WORKER, &buf, 1) == 1)
				fill(queue, frame, buf, &descs[got++]);
			else if (queue->port->can_wait)
				break; /* the frame stays where it is until a buffer comes free */
			else
				reason = PORT_RX_NO_BUFFER;
		}
		if (reason != PORT_NUM_COUNTERS)
			counter_add(&queue->counters[reason], 1);
		replay_pop(&state->replay);
	}
	tell_stop(queue, state);
	return got;
}

/* -- transmit ---------------------------------------------------------------------------------- */

static unsigned int pcap_tx_room(struct port_queue *queue, unsigned int n)
{
	(void)queue;
	return n;
}

static void tell_write(struct port_queue *queue, struct pcap_port *state, int result)
{
	if (result == 0 || result == -EAGAIN || state->told_write)
		return;
	state->told_write = true;
	log_warnx("port %s: cannot write %s: %s; frames that do not fit its buffer are dropped and "
	          "counted",
	          queue->port->config->name, state->options.out, strerror(-result));
}

static uint64_t realtime_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void write_frame(struct port_queue *queue, struct pcap_port *state,
                        const struct ixy_desc *desc, uint64_t realtime)
{
	const struct capture_frame frame = {
		.data = pool_data(queue->pool, desc),
		.caplen = desc->len,
		.wire_len = desc->len,
		.timestamp_ns = realtime,
		.direction = CAPTURE_DIRECTION_OUT,
	};
	int result = capture_writer_write(state->writer, &frame);

	state->unflushed = true;
	if (result == 0)
		return;
	counter_add(&queue->counters[PORT_TX_DROPPED], 1);
	tell_write(queue, state, result);
}

static void pcap_tx_burst(struct port_queue *queue, const struct ixy_desc *descs, unsigned int n)
{
	struct pcap_port *state = queue->state;
	uint64_t realtime = state->writer ? realtime_ns() : 0;

	for (unsigned int i = 0; i < n; i++) {
		if (state->writer)
			write_frame(queue, state, &descs[i], realtime);
		record_device_done(queue->record, descs[i].buf);
	}
}

static void pcap_poll(struct port_queue *queue, uint64_t now_ns)
{
	struct pcap_port *state = queue->state;
	int result;

	if (!state->unflushed || now_ns - state->flushed_ns < FLUSH_NS)
		return;
	result = capture_writer_flush(state->writer);
	state->unflushed = result != 0;
	state->flushed_ns = now_ns;
	tell_write(queue, state, result);
}

static uint64_t pcap_due_ns(const struct port_queue *queue, uint64_t now_ns)
{
	struct pcap_port *state = queue->state;
	uint64_t due = NEVER_NS;

	if (state->attached) {
		replay_begin(&state->replay, now_ns);
		due = replay_due_ns(&state->replay);
	}
	if (state->unflushed && state->flushed_ns + FLUSH_NS < due)
		due = state->flushed_ns + FLUSH_NS;
	return due;
}

const struct driver pcap_driver = {
	.name = "pcap",
	.usage = "pcap:IN|none[,out=OUT,loop=N,rate=PPS|capture,start=attach|now,"
		 "format=pcap|pcapng]",
	.takes_arg = true,
	.first_worker = true,
	.check = pcap_check,
	.open = pcap_open,
	.close = pcap_close,
	.rx_burst = pcap_rx_burst,
	.tx_room = pcap_tx_room,
	.tx_burst = pcap_tx_burst,
	.poll = pcap_poll,
	.due_ns = pcap_due_ns,
	.attached = pcap_attached,
};
