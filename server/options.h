/* options.h - the command line */
#ifndef SERVER_OPTIONS_H
#define SERVER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <ixy/abi.h>

#include "server/error.h"
#include "server/memory/segment.h"
#include "server/port_config.h"

struct options {
	char name[IXY_NAME_BYTES];
	unsigned int num_ports;
	struct port_config *ports; /* [IXY_MAX_PORTS] */
	uint64_t num_bufs, buf_bytes;
	enum hugepages hugepages;
	unsigned int num_workers;
	unsigned int num_cpus;     /* of them that were named: all or none */
	int cpus[IXY_MAX_WORKERS]; /* by worker; -1: wherever the scheduler likes */
	bool adaptive;
	char socket_dir[108];
	bool default_dir; /* socket_dir was not given */
	mode_t socket_mode;
	const char *socket_group; /* NULL: the server's own */
	const char *user;         /* NULL: the user "ixy" where there is one */
	unsigned int max_clients;
	bool kill_offenders; /* shared clients that break a rule, instead of closing their session */
	bool no_seccomp;     /* any system call, for debugging */
	bool check;
};

enum options_result {
	OPTIONS_RUN,
	OPTIONS_EXIT,  /* --help or --version was printed */
	OPTIONS_ERROR, /* @error says why */
};

/* options_parse - fills @options from the command line; options_free frees what it allocated */
enum options_result options_parse(struct options *options, int argc, char **argv,
                                  struct error *error);
void options_free(struct options *options);

#endif
