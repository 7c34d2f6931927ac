/* pcap_files.c - options; IN -> a reader of a checked file; OUT -> a claimed descriptor */
#include "server/driver/pcap_files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_LOOPS    1000000000000u
#define MAX_RATE_PPS 1000000000u

/* -- configuration ----------------------------------------------------------------------------- */

static int parse_rate(const struct port_config *config, struct pcap_options *options,
                      struct error *error)
{
	const char *rate = port_config_string(config, "rate", NULL);

	options->pace = REPLAY_FREE;
	if (!rate)
		return 0;
	options->pace = REPLAY_CAPTURE;
	if (strcmp(rate, "capture") == 0)
		return 0;
	options->pace = REPLAY_RATE;
	return port_config_number(config, "rate", 1, MAX_RATE_PPS, 1, &options->rate_pps, error);
}

/* One of two words, or an error that names both. */
static int parse_choice(const struct port_config *config, const char *key, const char *preset,
                        const char *other, bool *is_other, struct error *error)
{
	const char *value = port_config_string(config, key, preset);

	*is_other = strcmp(value, other) == 0;
	if (*is_other || strcmp(value, preset) == 0)
		return 0;
	return error_set(error, "port %s: %s=%s is not known; it is %s or %s", config->name, key,
	                 value, preset, other);
}

static int parse_format(const struct port_config *config, struct pcap_options *options,
                        struct error *error)
{
	size_t len = options->out ? strlen(options->out) : 0;
	bool pcapng = len > 7 && strcmp(options->out + len - 7, ".pcapng") == 0;

	if (port_config_string(config, "format", NULL) &&
	    parse_choice(config, "format", "pcap", "pcapng", &pcapng, error) < 0)
		return -1;
	options->format = pcapng ? CAPTURE_FORMAT_PCAPNG : CAPTURE_FORMAT_PCAP_NS;
	return 0;
}

int pcap_options_parse(const struct port_config *config, struct pcap_options *options,
                       struct error *error)
{
	static const char *const keys[] = {"out", "loop", "rate", "start", "format", NULL};

	memset(options, 0, sizeof(*options));
	if (port_config_only(config, keys, error) < 0)
		return -1;
	options->in = strcmp(config->arg, "none") == 0 ? NULL : config->arg;
	options->out = port_config_string(config, "out", NULL);
	if (options->out && *options->out == 0)
		return error_set(error, "port %s: out= names no file", config->name);
	if (port_config_number(config, "loop", 0, MAX_LOOPS, 1, &options->passes, error) < 0)
		return -1;
	if (parse_rate(config, options, error) < 0 || parse_format(config, options, error) < 0)
		return -1;
	return parse_choice(config, "start", "attach", "now", &options->start_now, error);
}

/* -- IN ---------------------------------------------------------------------------------------- */

/* O_NONBLOCK: a named pipe is refused, not waited for. Returns the descriptor or -1. */
static int open_regular(const struct port_config *config, const char *path, struct error *error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return error_set(error, "port %s: cannot read %s: %s", config->name, path,
		                 strerror(errno));
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	close(fd);
	return error_set(error,
	                 "port %s: %s is not a regular file; pcap:none,... is a port that receives "
	                 "nothing",
	                 config->name, path);
}

/* Reads all of the file; on success the reader is before the first frame again. */
static int walk(struct capture_reader *reader, uint32_t max_rx_bytes, struct survey *survey,
                struct error *error)
{
	struct capture_frame frame;
	int result;

	memset(survey, 0, sizeof(*survey));
	while ((result = capture_reader_next(reader, &frame, error)) > 0) {
		survey->num_frames++;
		survey->num_empty += frame.caplen == 0;
		survey->num_too_long += frame.caplen > max_rx_bytes;
	}
	return result < 0 ? -1 : capture_reader_rewind(reader, error);
}

int pcap_open_in(const struct port_config *config, const char *path, uint32_t max_rx_bytes,
                 struct capture_reader **reader, int *fd, struct survey *survey,
                 struct error *error)
{
	struct error why;

	*reader = NULL;
	*fd = open_regular(config, path, error);
	if (*fd < 0)
		return -1;
	if (capture_reader_open(reader, *fd, path, &why) == 0 &&
	    walk(*reader, max_rx_bytes, survey, &why) == 0)
		return 0;
	capture_reader_close(*reader);
	close(*fd);
	*reader = NULL;
	*fd = -1;
	return error_set(error, "port %s: %s", config->name, why.text);
}

/* -- OUT --------------------------------------------------------------------------------------- */

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static int refuse_same(const struct port_config *config, const char *out, struct error *error)
{
	return error_set(error, "port %s: out=%s is the file that is replayed", config->name, out);
}

/* Whether a file can be created: "/." makes what is no directory an error. */
static int check_directory(const struct port_config *config, const char *out, struct error *error)
{
	const char *slash = strrchr(out, '/');
	char directory[PORT_CONFIG_MAX_TEXT + 2];

	snprintf(directory, sizeof(directory), "%.*s.", slash ? (int)(slash + 1 - out) : 0, out);
	if (faccessat(AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS) == 0)
		return 0;
	return error_set(error, "port %s: cannot create %s: %s", config->name, out,
	                 strerror(errno));
}

int pcap_check_out(const struct port_config *config, const char *out, int in_fd,
                   struct error *error)
{
	struct stat st, in;

	if (stat(out, &st) < 0)
		return check_directory(config, out, error);
	if (in_fd >= 0 && fstat(in_fd, &in) == 0 && same_file(&st, &in))
		return refuse_same(config, out, error);
	if (S_ISDIR(st.st_mode))
		return error_set(error, "port %s: out=%s is a directory", config->name, out);
	if (faccessat(AT_FDCWD, out, W_OK, AT_EACCESS) == 0)
		return 0;
	return error_set(error, "port %s: cannot write %s: %s", config->name, out, strerror(errno));
}

/*
 * Empties OUT only once it is known to be neither IN nor the output of another port: two writers
 * would make a file that nobody can read.
 */
static int claim_out(const struct port_config *config, const char *out, int fd, int in_fd,
                     struct error *error)
{
	struct stat st, in;

	if (fstat(fd, &st) < 0)
		return error_set(error, "port %s: %s: %s", config->name, out, strerror(errno));
	if (in_fd >= 0 && fstat(in_fd, &in) == 0 && same_file(&st, &in))
		return refuse_same(config, out, error);
	if (!S_ISREG(st.st_mode))
		return 0;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		return error_set(error, "port %s: %s is being written by another port",
		                 config->name, out);
	if (ftruncate(fd, 0) < 0)
		return error_set(error, "port %s: cannot empty %s: %s", config->name, out,
		                 strerror(errno));
	return 0;
}

/* O_NONBLOCK: the worker never waits for the reader of a named pipe; on a file it means nothing. */
int pcap_open_out(const struct port_config *config, const char *out, int in_fd, struct error *error)
{
	int fd = open(out, O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);

	if (fd < 0)
		return error_set(error, "port %s: cannot write %s: %s%s", config->name, out,
		                 strerror(errno), errno == ENXIO ? " (nobody reads it)" : "");
	if (claim_out(config, out, fd, in_fd, error) == 0)
		return fd;
	close(fd);
	return -1;
}

/* -- for --check ------------------------------------------------------------------------------- */

static void describe_pace(const struct pcap_options *options, char *text, size_t bytes)
{
	if (options->pace == REPLAY_FREE)
		snprintf(text, bytes, "as fast as clients take them");
	else if (options->pace == REPLAY_RATE)
		snprintf(text, bytes, "%" PRIu64 " a second", options->rate_pps);
	else
		snprintf(text, bytes, "at the pace of the capture");
}

static void describe_passes(const struct pcap_options *options, char *text, size_t bytes)
{
	if (options->passes == 0)
		snprintf(text, bytes, "over and over");
	else if (options->passes == 1)
		snprintf(text, bytes, "once");
	else
		snprintf(text, bytes, "%" PRIu64 " times", options->passes);
}

void pcap_options_describe(const struct pcap_options *options, const struct survey *survey,
                           char *plan, size_t bytes)
{
	static const char *const format_name[] = {
		[CAPTURE_FORMAT_PCAP_US] = "microsecond pcap",
		[CAPTURE_FORMAT_PCAP_NS] = "nanosecond pcap",
		[CAPTURE_FORMAT_PCAPNG] = "pcapng",
	};
	char pace[64], passes[64], in[512] = "receives nothing", out[512] = "discards what is sent";

	describe_pace(options, pace, sizeof(pace));
	describe_passes(options, passes, sizeof(passes));
	if (options->in)
		snprintf(in, sizeof(in),
		         "replays the %" PRIu64 " frames of %.250s (without %" PRIu64
		         " empty and %" PRIu64 " too long for a buffer) %s, %s, from %s on",
		         survey->num_frames, options->in, survey->num_empty, survey->num_too_long,
		         passes, pace, options->start_now ? "the start" : "the first attach");
	if (options->out)
		snprintf(out, sizeof(out), "writes what is sent to %.250s as %s", options->out,
		         format_name[options->format]);
	snprintf(plan, bytes, "%s; %s", in, out);
}
