/* pcap_files.h - the pcap port's options, and the files IN and OUT: checked, opened, claimed */
#ifndef DRIVER_PCAP_FILES_H
#define DRIVER_PCAP_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/capture/capture_reader.h"
#include "server/capture/capture_writer.h"
#include "server/capture/replay.h"
#include "server/error.h"
#include "server/port_config.h"

/* The strings are the port_config's. */
struct pcap_options {
	const char *in;  /* NULL: "none" */
	const char *out; /* NULL: what is sent is discarded */
	enum capture_format format;
	uint64_t passes;
	enum replay_pace pace;
	uint64_t rate_pps;
	bool start_now;
};

/* What a walk through the whole file found. */
struct survey {
	uint64_t num_frames;
	uint64_t num_empty;
	uint64_t num_too_long;
};

/* pcap_options_parse - reads and checks all options; returns 0, or -1 with @error */
int pcap_options_parse(const struct port_config *config, struct pcap_options *options,
                       struct error *error);

/* pcap_options_describe - what a port with these options does, as a sentence */
void pcap_options_describe(const struct pcap_options *options, const struct survey *survey,
                           char *plan, size_t bytes);

/*
 * pcap_open_in - opens IN and reads it through once; the reader is before the first frame then
 *
 * Returns 0, the caller closes *@reader and *@fd; or -1 with @error, a NULL reader, and fd -1.
 */
int pcap_open_in(const struct port_config *config, const char *path, uint32_t max_rx_bytes,
                 struct capture_reader **reader, int *fd, struct survey *survey,
                 struct error *error);

/* pcap_check_out - whether pcap_open_out() would succeed, without trying; returns 0 or -1 */
int pcap_check_out(const struct port_config *config, const char *out, int in_fd,
                   struct error *error);

/*
 * pcap_open_out - creates or empties OUT; returns its descriptor, or -1 with @error
 *
 * Refuses the file behind @in_fd (-1: none), and one that another port writes. What is no regular
 * file (a named pipe, /dev/null) is taken as it is; the descriptor is O_NONBLOCK.
 */
int pcap_open_out(const struct port_config *config, const char *out, int in_fd,
                  struct error *error);

#endif
