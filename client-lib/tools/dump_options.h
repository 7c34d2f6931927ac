/* dump_options.h - what ixy-dump was asked for */
#ifndef TOOLS_DUMP_OPTIONS_H
#define TOOLS_DUMP_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "server/capture/capture_writer.h"
#include "shm/message.h"

struct dump_options {
	const char *dir;    /* NULL: wherever clients look */
	const char *server; /* NULL: the only one */
	const char *ports[ATTACH_MAX_PORTS];
	unsigned int num_ports; /* 0: all */
	const char *file;       /* NULL: lines of text; "-": standard output */
	enum capture_format format;
	unsigned int snap_len; /* 0: everything */
	uint64_t max_packets;  /* 0: no limit */
	uint64_t max_bytes;    /* of frames; 0: no limit */
	bool quiet;
};

/* dump_options_parse - returns -1 to go on, or the exit status: help was asked for, or is needed */
int dump_options_parse(struct dump_options *options, int argc, char **argv);

#endif
