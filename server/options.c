/* options.c - the command line -> struct options */
#include "server/options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ixy/version.h>

#include "server/driver/driver.h"
#include "shm/rendezvous.h"

#define DEFAULT_BUFS 16384u /* for each worker */

enum {
	OPT_NAME = 1,
	OPT_PORT,
	OPT_BUFS,
	OPT_BUF_SIZE,
	OPT_HUGEPAGES,
	OPT_WORKERS,
	OPT_CPUS,
	OPT_POLL,
	OPT_SOCKET_DIR,
	OPT_SOCKET_MODE,
	OPT_SOCKET_GROUP,
	OPT_USER,
	OPT_MAX_CLIENTS,
	OPT_ON_VIOLATION,
	OPT_NO_SECCOMP,
	OPT_CHECK,
	OPT_VERSION,
	OPT_HELP,
};

static const struct option long_options[] = {
	{"name", required_argument, NULL, OPT_NAME},
	{"port", required_argument, NULL, OPT_PORT},
	{"bufs", required_argument, NULL, OPT_BUFS},
	{"buf-size", required_argument, NULL, OPT_BUF_SIZE},
	{"hugepages", required_argument, NULL, OPT_HUGEPAGES},
	{"workers", required_argument, NULL, OPT_WORKERS},
	{"cpus", required_argument, NULL, OPT_CPUS},
	{"poll", required_argument, NULL, OPT_POLL},
	{"socket-dir", required_argument, NULL, OPT_SOCKET_DIR},
	{"socket-mode", required_argument, NULL, OPT_SOCKET_MODE},
	{"socket-group", required_argument, NULL, OPT_SOCKET_GROUP},
	{"user", required_argument, NULL, OPT_USER},
	{"max-clients", required_argument, NULL, OPT_MAX_CLIENTS},
	{"on-violation", required_argument, NULL, OPT_ON_VIOLATION},
	{"no-seccomp", no_argument, NULL, OPT_NO_SECCOMP},
	{"check", no_argument, NULL, OPT_CHECK},
	{"version", no_argument, NULL, OPT_VERSION},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

static void print_help(void)
{
	const struct driver *driver;

	puts("usage: ixy-server --name NAME --port PNAME=DRIVER:ARG[,key=value...] ...\n"
	     "Owns ports and a pool of packet buffers; unprivileged clients attach by name.\n"
	     "  --bufs N           buffers in the pool, 1024 to 16777216 (16384 for each worker)\n"
	     "  --buf-size BYTES   a power of two from 2048 to 32768; xdp ports take 2048 or 4096 (2048)\n"
	     "  --hugepages KIND   2M, 1G, none, or auto: 2M if enough are free (auto)\n"
	     "  --workers N        poll threads, up to 32 (1, or one for each of --cpus)\n"
	     "  --cpus LIST        the workers' CPUs, as in 2,4-6 (not pinned)\n"
	     "  --poll MODE        busy, or adaptive: sleeps when idle (adaptive)\n"
	     "  --socket-dir DIR   where clients look (/run/ixy, or $XDG_RUNTIME_DIR/ixy)\n"
	     "  --socket-mode M    who may connect, octal (0666)  --socket-group G  its group\n"
	     "  --user USER        runs as USER once its ports are open (ixy, if that exists)\n"
	     "  --max-clients N    attached at the same time, up to 4096 (1024)\n"
	     "  --on-violation DO  close the session of who breaks a rule, or kill it if shared (close)\n"
	     "  --check            says what would happen, and touches nothing\n"
	     "  --no-seccomp       does not confine its own system calls: for debugging\n"
	     "  --version  --help\n"
	     "drivers:");
	for (unsigned int i = 0; (driver = driver_at(i)); i++)
		printf("  %s\n", driver->usage);
	puts("example: ixy-server --name main --port wan=xdp:eth1 --cpus 2");
}

static int parse_number(const char *option, const char *text, uint64_t min, uint64_t max,
                        uint64_t *value, struct error *error)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)*text) || *end || errno)
		return error_set(error, "--%s %s: not a number", option, text);
	if (*value < min || *value > max)
		return error_set(error, "--%s %s: out of range; it goes from %llu to %llu", option,
		                 text, (unsigned long long)min, (unsigned long long)max);
	return 0;
}

static int parse_name(struct options *o, const char *text, struct error *error)
{
	if (!rendezvous_name_ok(text))
		return error_set(error,
		                 "--name %s: a name has 1 to %d letters, digits, '-', '_' or '.'",
		                 text, IXY_NAME_BYTES - 1);
	strcpy(o->name, text);
	return 0;
}

static int parse_port(struct options *o, const char *text, struct error *error)
{
	struct port_config *config = &o->ports[o->num_ports];

	if (o->num_ports == IXY_MAX_PORTS)
		return error_set(error, "--port %s: a server has at most %d ports", text,
		                 IXY_MAX_PORTS);
	if (port_config_parse(config, text, error))
		return -1;
	for (unsigned int i = 0; i < o->num_ports; i++)
		if (strcmp(o->ports[i].name, config->name) == 0)
			return error_set(error, "--port %s: there are two ports called '%s'", text,
			                 config->name);
	o->num_ports++;
	return 0;
}

static int parse_hugepages(struct options *o, const char *text, struct error *error)
{
	if (strcmp(text, "auto") == 0)
		o->hugepages = HUGEPAGES_AUTO;
	else if (strcmp(text, "2M") == 0)
		o->hugepages = HUGEPAGES_2M;
	else if (strcmp(text, "1G") == 0)
		o->hugepages = HUGEPAGES_1G;
	else if (strcmp(text, "none") == 0)
		o->hugepages = HUGEPAGES_NONE;
	else
		return error_set(error, "--hugepages %s: use 2M, 1G, none or auto", text);
	return 0;
}

/* "7" or "4-6" at *@text: its first and last CPU. Moves *@text behind it. */
static int parse_cpu_range(const char **text, unsigned long *first, unsigned long *last)
{
	char *end;

	if (!isdigit((unsigned char)**text))
		return -1;
	*first = *last = strtoul(*text, &end, 10);
	if (*end == '-') {
		if (!isdigit((unsigned char)end[1]))
			return -1;
		*last = strtoul(end + 1, &end, 10);
	}
	*text = end;
	return *first <= *last ? 0 : -1;
}

static int add_cpu(struct options *o, const char *list, unsigned long cpu, struct error *error)
{
	long online = sysconf(_SC_NPROCESSORS_CONF);

	if (cpu >= (unsigned long)online)
		return error_set(error, "--cpus %s: there is no CPU %lu; they go from 0 to %ld",
		                 list, cpu, online - 1);
	if (o->num_cpus == IXY_MAX_WORKERS)
		return error_set(error, "--cpus %s: there are at most %d workers", list,
		                 IXY_MAX_WORKERS);
	for (unsigned int i = 0; i < o->num_cpus; i++)
		if (o->cpus[i] == (int)cpu)
			return error_set(error, "--cpus %s: CPU %lu is named twice", list, cpu);
	o->cpus[o->num_cpus++] = (int)cpu;
	return 0;
}

static int parse_cpus(struct options *o, const char *list, struct error *error)
{
	const char *text = list;
	unsigned long first, last;

	o->num_cpus = 0;
	do {
		if (parse_cpu_range(&text, &first, &last) || (*text && *text != ','))
			return error_set(error, "--cpus %s: not a list of CPUs such as 2 or 2,4-6",
			                 list);
		for (unsigned long cpu = first; cpu <= last; cpu++)
			if (add_cpu(o, list, cpu, error))
				return -1;
	} while (*text++ == ',');
	return 0;
}

static int parse_poll(struct options *o, const char *text, struct error *error)
{
	if (strcmp(text, "busy") && strcmp(text, "adaptive"))
		return error_set(error, "--poll %s: use busy or adaptive", text);
	o->adaptive = strcmp(text, "adaptive") == 0;
	return 0;
}

static int parse_violation(struct options *o, const char *text, struct error *error)
{
	if (strcmp(text, "close") && strcmp(text, "kill"))
		return error_set(error, "--on-violation %s: use close or kill", text);
	o->kill_offenders = strcmp(text, "kill") == 0;
	return 0;
}

static int parse_mode(struct options *o, const char *text, struct error *error)
{
	char *end;
	unsigned long mode = strtoul(text, &end, 8);

	if (!isdigit((unsigned char)*text) || *end || mode > 0777)
		return error_set(error, "--socket-mode %s: not an octal mode such as 0660", text);
	o->socket_mode = (mode_t)mode;
	return 0;
}

static int parse_dir(struct options *o, const char *text, struct error *error)
{
	if (*text == 0)
		return error_set(error, "--socket-dir: the directory has no name");
	if (strlen(text) >= sizeof(o->socket_dir))
		return error_set(error, "--socket-dir %s: too long for a socket address", text);
	strcpy(o->socket_dir, text);
	o->default_dir = false;
	return 0;
}

static int parse_one(struct options *o, int option, const char *text, struct error *error)
{
	uint64_t number;

	switch (option) {
	case OPT_NAME:
		return parse_name(o, text, error);
	case OPT_PORT:
		return parse_port(o, text, error);
	case OPT_BUFS:
		return parse_number("bufs", text, 1024, IXY_MAX_REGION_BUFS, &o->num_bufs, error);
	case OPT_BUF_SIZE:
		return parse_number("buf-size", text, 1, UINT32_MAX, &o->buf_bytes, error);
	case OPT_HUGEPAGES:
		return parse_hugepages(o, text, error);
	case OPT_WORKERS:
		if (parse_number("workers", text, 1, IXY_MAX_WORKERS, &number, error))
			return -1;
		o->num_workers = (unsigned int)number;
		return 0;
	case OPT_CPUS:
		return parse_cpus(o, text, error);
	case OPT_POLL:
		return parse_poll(o, text, error);
	case OPT_SOCKET_DIR:
		return parse_dir(o, text, error);
	case OPT_SOCKET_MODE:
		return parse_mode(o, text, error);
	case OPT_SOCKET_GROUP:
		o->socket_group = text;
		return 0;
	case OPT_USER:
		o->user = text;
		return 0;
	case OPT_MAX_CLIENTS:
		if (parse_number("max-clients", text, 1, 4096, &number, error))
			return -1;
		o->max_clients = (unsigned int)number;
		return 0;
	case OPT_ON_VIOLATION:
		return parse_violation(o, text, error);
	case OPT_NO_SECCOMP:
		o->no_seccomp = true;
		return 0;
	case OPT_CHECK:
		o->check = true;
		return 0;
	default:
		return error_set(error, "unknown option; ixy-server --help lists them");
	}
}

static int complete(struct options *o, struct error *error)
{
	if (!o->name[0])
		return error_set(error, "no --name; for example: ixy-server --name main "
		                        "--port wan=xdp:eth1");
	if (o->num_ports == 0)
		return error_set(error,
		                 "no --port; for example: ixy-server --name %s "
		                 "--port wan=xdp:eth1",
		                 o->name);
	if (o->num_workers && o->num_cpus && o->num_workers != o->num_cpus)
		return error_set(error,
		                 "--workers %u, but --cpus names %u: leave --workers out, or name "
		                 "one CPU for each",
		                 o->num_workers, o->num_cpus);
	if (o->num_workers == 0)
		o->num_workers = o->num_cpus ? o->num_cpus : 1;
	for (unsigned int i = o->num_cpus; i < IXY_MAX_WORKERS; i++)
		o->cpus[i] = -1;
	if (o->num_bufs == 0)
		o->num_bufs = DEFAULT_BUFS * o->num_workers;
	if (o->default_dir && rendezvous_server_dir(o->socket_dir, sizeof(o->socket_dir)))
		return error_set(error, "XDG_RUNTIME_DIR is not set, so there is no default place "
		                        "for the socket; give one with --socket-dir DIR");
	return 0;
}

enum options_result options_parse(struct options *o, int argc, char **argv, struct error *error)
{
	int option;

	*o = (struct options){
		.buf_bytes = 2048,
		.adaptive = true,
		.default_dir = true,
		.socket_mode = 0666,
		.max_clients = 1024,
	};
	o->ports = calloc(IXY_MAX_PORTS, sizeof(*o->ports));
	if (!o->ports) {
		error_set(error, "out of memory");
		return OPTIONS_ERROR;
	}
	opterr = 0;
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (option == OPT_HELP) {
			print_help();
			return OPTIONS_EXIT;
		}
		if (option == OPT_VERSION) {
			puts("ixy-server " IXY_VERSION_STRING);
			return OPTIONS_EXIT;
		}
		if (option == '?' && optopt > ' ') {
			/* one of several letters: optind still points to the word */
			error_set(error, "-%c: unknown option; ixy-server --help lists them",
			          optopt);
			return OPTIONS_ERROR;
		}
		if (option == '?') {
			error_set(error,
			          "%s: unknown option, or its value is missing; "
			          "ixy-server --help lists them",
			          argv[optind - 1]);
			return OPTIONS_ERROR;
		}
		if (parse_one(o, option, optarg, error))
			return OPTIONS_ERROR;
	}
	if (optind < argc) {
		error_set(error, "%s: not an option; ixy-server --help lists them", argv[optind]);
		return OPTIONS_ERROR;
	}
	return complete(o, error) ? OPTIONS_ERROR : OPTIONS_RUN;
}

void options_free(struct options *o)
{
	free(o->ports);
}
