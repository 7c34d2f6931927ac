/* dump_options.c - ixy-dump's command line */
#include "client-lib/tools/dump_options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ixy/version.h>

static const char usage[] =
	"usage: ixy-dump [-n NAME] [-p PORT]... [-w FILE] [options]\n"
	"\n"
	"Shows or saves what the ports of an ixy-server receive and send. Only looks: it maps the\n"
	"packets read-only, and being slow costs nobody but itself. Ends with Ctrl-C.\n"
	"\n"
	"  -n NAME      the server (default: the only one that runs)\n"
	"  -p PORT      capture this port; may be repeated (default: all)\n"
	"  -w FILE      write a capture file, \"-\" to standard output (default: a line each)\n"
	"      --pcapng   as pcapng, which names port and direction (default for *.pcapng)\n"
	"      --micro    as pcap with microseconds (default: pcap with nanoseconds)\n"
	"  -s BYTES     save at most this much of each frame\n"
	"  -c PACKETS   stop after that many frames\n"
	"  -C BYTES     stop after that many bytes of frames; k, M and G are powers of 1000\n"
	"  -d DIR       where the server's socket lies\n"
	"  -q           do not print the counts at the end\n"
	"      --version, --help\n"
	"\n"
	"example: ixy-dump -n main -p p0 -w - | tcpdump -nr -\n";

enum long_option { OPTION_PCAPNG = 256, OPTION_MICRO, OPTION_VERSION, OPTION_HELP };

static const struct option long_options[] = {
	{"pcapng", no_argument, NULL, OPTION_PCAPNG},
	{"micro", no_argument, NULL, OPTION_MICRO},
	{"version", no_argument, NULL, OPTION_VERSION},
	{"help", no_argument, NULL, OPTION_HELP},
	{NULL, 0, NULL, 0},
};

/* A positive number with an optional suffix; 0 and a message if it is none. */
static uint64_t number(const char *text, char option, uint64_t max)
{
	static const char suffixes[] = "kMG";
	unsigned long long value;
	uint64_t factor = 1;
	const char *suffix;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	suffix = *end ? strchr(suffixes, *end) : NULL;
	for (const char *s = suffixes; suffix && s <= suffix; s++)
		factor *= 1000;
	if (errno || end == text || text[0] == '-' || (*end && (!suffix || end[1])) || value == 0 ||
	    value > max / factor) {
		fprintf(stderr, "ixy-dump: -%c %s: not a number from 1 to %llu\n", option, text,
		        (unsigned long long)max);
		return 0;
	}
	return value * factor;
}

static int add_port(struct dump_options *options, const char *name)
{
	if (options->num_ports == ATTACH_MAX_PORTS) {
		fprintf(stderr, "ixy-dump: more than %d times -p; without -p it takes all ports\n",
		        ATTACH_MAX_PORTS);
		return 2;
	}
	options->ports[options->num_ports++] = name;
	return -1;
}

static int parse_limit(struct dump_options *options, int option, const char *text)
{
	uint64_t value = number(text, (char)option, option == 's' ? 65535 : INT64_MAX);

	if (option == 's')
		options->snap_len = (unsigned int)value;
	else if (option == 'c')
		options->max_packets = value;
	else
		options->max_bytes = value;
	return value ? -1 : 2;
}

static int show(FILE *stream, const char *text, int status)
{
	fputs(text, stream);
	return status;
}

/* One option; -1 to go on. */
static int parse_option(struct dump_options *options, int option)
{
	switch (option) {
	case 'n':
		options->server = optarg;
		return -1;
	case 'd':
		options->dir = optarg;
		return -1;
	case 'p':
		return add_port(options, optarg);
	case 'w':
		options->file = optarg;
		return -1;
	case 's':
	case 'c':
	case 'C':
		return parse_limit(options, option, optarg);
	case 'q':
		options->quiet = true;
		return -1;
	case OPTION_PCAPNG:
		options->format = CAPTURE_FORMAT_PCAPNG;
		return -1;
	case OPTION_MICRO:
		options->format = CAPTURE_FORMAT_PCAP_US;
		return -1;
	case OPTION_VERSION:
		return show(stdout, "ixy-dump " IXY_VERSION_STRING "\n", 0);
	case OPTION_HELP:
		return show(stdout, usage, 0);
	default:
		return show(stderr, "try: ixy-dump --help\n", 2);
	}
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

int dump_options_parse(struct dump_options *options, int argc, char **argv)
{
	bool format_given = false;
	int option;

	memset(options, 0, sizeof(*options));
	options->format = CAPTURE_FORMAT_PCAP_NS;
	while ((option = getopt_long(argc, argv, "n:d:p:w:s:c:C:q", long_options, NULL)) != -1) {
		int status = parse_option(options, option);

		if (status >= 0)
			return status;
		format_given |= option == OPTION_PCAPNG || option == OPTION_MICRO;
	}
	if (optind < argc) {
		fprintf(stderr, "ixy-dump: what is \"%s\" for? try: ixy-dump --help\n",
		        argv[optind]);
		return 2;
	}
	if (!format_given && options->file && ends_with(options->file, ".pcapng"))
		options->format = CAPTURE_FORMAT_PCAPNG;
	return -1;
}
