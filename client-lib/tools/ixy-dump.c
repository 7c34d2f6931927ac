/* ixy-dump.c - a read-only monitor: rx ring -> capture file, pipe or lines of text */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <ixy/client.h>

#include "client-lib/tools/dump_options.h"
#include "client-lib/tools/servers.h"
#include "client-lib/tools/summary.h"
#include "server/capture/capture_writer.h"

#define BURST       64
#define RX_SLOTS    4096       /* a disk can keep a writer waiting for milliseconds */
#define FLUSH_NS    100000000u /* the longest that a frame stays in the buffer */
#define SLEEP_MS    250        /* the latest that a signal between two looks is noticed */
#define EMPTY_LOOKS 200        /* before writing out and sleeping: a burst is rarely one frame */

struct dump {
	struct dump_options options;
	struct ixy_client *client;
	struct ixy_qp *qp;
	char ports[IXY_MAX_PORTS][IXY_NAME_BYTES];
	unsigned int num_ports;
	int fd;                        /* of the capture file */
	struct capture_writer *writer; /* NULL: lines of text */
	uint64_t packets, bytes, cut;
	uint64_t flush_due_ns;
	int error; /* of the output; negative errno */
};

/* A signal handler has nothing else to reach. */
static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

/* The second signal kills as usual: the reader of our pipe may have hung. */
static void catch_signals(void)
{
	struct sigaction action = {.sa_handler = stop, .sa_flags = (int)SA_RESETHAND};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static void learn_ports(struct dump *d)
{
	struct ixy_port_info info = {.size = sizeof(info)};

	while (d->num_ports < IXY_MAX_PORTS && ixy_port_info(d->client, d->num_ports, &info) == 0)
		memcpy(d->ports[d->num_ports++], info.name, IXY_NAME_BYTES);
}

static int attach(struct dump *d)
{
	struct ixy_attach_opts opts = IXY_ATTACH_OPTS_INIT;
	char only[IXY_NAME_BYTES];
	struct failure failure;

	opts.client_name = "ixy-dump";
	opts.mode = IXY_MODE_READONLY;
	opts.role = IXY_ROLE_MONITOR;
	opts.ports = d->options.num_ports ? d->options.ports : NULL;
	opts.num_ports = d->options.num_ports;
	opts.rx_slots = RX_SLOTS;
	opts.snap_len = d->options.snap_len;
	opts.socket_dir = d->options.dir;
	opts.error = failure.text;
	opts.error_bytes = sizeof(failure.text);
	if ((!d->options.server && servers_only(d->options.dir, only, &failure) < 0) ||
	    ixy_attach(d->options.server ? d->options.server : only, &opts, &d->client) < 0) {
		fprintf(stderr, "ixy-dump: %s\n", failure.text);
		return -1;
	}
	d->qp = ixy_queue_pair(d->client, 0);
	learn_ports(d);
	return 0;
}

static int open_file(struct dump *d)
{
	const char *names[IXY_MAX_PORTS];
	int error;

	if (!d->options.file)
		return 0;
	d->fd = STDOUT_FILENO;
	if (strcmp(d->options.file, "-") != 0)
		d->fd = open(d->options.file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (d->fd < 0) {
		fprintf(stderr, "ixy-dump: cannot write %s: %s\n", d->options.file,
		        strerror(errno));
		return -1;
	}
	if (isatty(d->fd)) {
		fprintf(stderr, "ixy-dump: standard output is a terminal, not for capture files; "
		                "add: | tcpdump -nr -\n");
		return -1;
	}
	for (unsigned int i = 0; i < d->num_ports; i++)
		names[i] = d->ports[i];
	error = capture_writer_open(&d->writer, d->fd, d->options.format, names, d->num_ports);
	if (error < 0)
		fprintf(stderr, "ixy-dump: %s\n", strerror(-error));
	return error;
}

static uint64_t now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The frame as capture files know it; a zero-copy delivery comes whole and is cut here. */
static void make_frame(const struct dump *d, const struct ixy_desc *desc,
                       struct capture_frame *frame)
{
	const struct ixy_meta *meta = ixy_metadata(d->qp, desc);
	bool timed = desc->flags & IXY_DESC_TIMESTAMP, snapped = desc->flags & IXY_DESC_SNAPPED;

	frame->data = ixy_data(d->qp, desc);
	frame->caplen = desc->len;
	frame->wire_len = snapped ? meta->rx_wire_len : desc->len;
	if (d->options.snap_len && frame->caplen > d->options.snap_len)
		frame->caplen = d->options.snap_len;
	frame->timestamp_ns = timed ? meta->rx_timestamp_ns : now_ns(CLOCK_REALTIME);
	frame->interface = desc->port;
	frame->direction =
		desc->flags & IXY_DESC_OUT ? CAPTURE_DIRECTION_OUT : CAPTURE_DIRECTION_IN;
}

static int print(const struct dump *d, const struct capture_frame *frame)
{
	char text[200];

	summary_format(frame, frame->interface < d->num_ports ? d->ports[frame->interface] : "?",
	               text, sizeof(text));
	return puts(text) < 0 ? -errno : 0;
}

static int flush(const struct dump *d)
{
	if (d->writer)
		return capture_writer_flush(d->writer);
	return fflush(stdout) == 0 ? 0 : -errno;
}

static bool is_enough(const struct dump *d)
{
	const struct dump_options *o = &d->options;

	return d->error < 0 || (o->max_packets && d->packets >= o->max_packets) ||
	       (o->max_bytes && d->bytes >= o->max_bytes);
}

/* Saves or prints frames until one of the limits is reached. */
static void take(struct dump *d, const struct ixy_desc *descs, unsigned int n)
{
	struct capture_frame frame;

	for (unsigned int i = 0; i < n && !is_enough(d); i++) {
		make_frame(d, &descs[i], &frame);
		d->error = d->writer ? capture_writer_write(d->writer, &frame) : print(d, &frame);
		if (d->error < 0)
			break;
		d->packets++;
		d->bytes += frame.caplen;
		d->cut += frame.wire_len > frame.caplen;
	}
}

/* Writes out what is buffered, for at most FLUSH_NS when packets never pause. */
static void flush_in_time(struct dump *d)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);

	if (now < d->flush_due_ns)
		return;
	d->flush_due_ns = now + FLUSH_NS;
	d->error = flush(d);
}

/* Nothing to do: whoever reads our output gets all of it before we sleep. */
static int idle(struct dump *d)
{
	int events;

	d->error = flush(d);
	if (d->error < 0)
		return 0;
	events = ixy_wait(d->qp, IXY_WAKE_RX, SLEEP_MS);
	return events == -EINTR ? 0 : events;
}

/* Returns when a limit is reached, on a signal, on an error, and with -ENOTCONN without a server.
 */
static int run(struct dump *d)
{
	struct ixy_desc descs[BURST];
	unsigned int empty = 0;
	int n = 0;

	while (n >= 0 && !stopped && !is_enough(d)) {
		n = ixy_rx_batch(d->qp, descs, BURST);
		if (n > 0) {
			take(d, descs, (unsigned int)n);
			ixy_free_batch(d->qp, descs, (unsigned int)n);
			if (d->error == 0)
				flush_in_time(d);
			empty = 0;
		} else if (n == 0 && ++empty > EMPTY_LOOKS) {
			n = idle(d);
			empty = 0;
		}
	}
	return n;
}

/* Closes the output and says what went wrong with it; a reader that left is none of our business.
 */
static int finish_output(struct dump *d)
{
	const char *file = d->options.file ? d->options.file : "-";
	struct capture_written written = {0};
	int error = d->writer ? capture_writer_close(d->writer, &written) : flush(d);

	if (error == 0 && d->writer && d->fd != STDOUT_FILENO && close(d->fd) < 0)
		error = -errno;
	if (d->error == 0)
		d->error = error;
	d->packets -= written.lost;
	if (d->error == 0 || d->error == -EPIPE)
		return 0;
	fprintf(stderr, "ixy-dump: cannot write to %s any more: %s\n",
	        strcmp(file, "-") ? file : "standard output", strerror(-d->error));
	return -1;
}

static void report(const struct dump *d)
{
	struct ixy_stats s = {.size = sizeof(s)};

	ixy_stats(d->qp, &s);
	fprintf(stderr,
	        "ixy-dump: %llu packets captured, %llu missed (ring full %llu, too many held %llu, "
	        "no free buffer %llu), %llu cut\n",
	        (unsigned long long)d->packets,
	        (unsigned long long)(s.rx_dropped_ring + s.rx_dropped_held + s.rx_dropped_pool),
	        (unsigned long long)s.rx_dropped_ring, (unsigned long long)s.rx_dropped_held,
	        (unsigned long long)s.rx_dropped_pool, (unsigned long long)d->cut);
}

/* The exit status: 0 only if the capture ended as it was meant to. */
static int finish(struct dump *d, int ended)
{
	int status = finish_output(d) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	char why[512];

	if (!d->options.quiet)
		report(d);
	if (ended == -ENOTCONN) {
		ixy_close_reason(d->client, why, sizeof(why));
		fprintf(stderr, "ixy-dump: %s\n", why);
		status = EXIT_FAILURE;
	}
	ixy_detach(d->client);
	return status;
}

int main(int argc, char **argv)
{
	static struct dump d;
	int status = dump_options_parse(&d.options, argc, argv);

	if (status >= 0)
		return status;
	catch_signals();
	if (attach(&d) < 0)
		return EXIT_FAILURE;
	if (open_file(&d) < 0) {
		ixy_detach(d.client);
		return EXIT_FAILURE;
	}
	return finish(&d, run(&d));
}
