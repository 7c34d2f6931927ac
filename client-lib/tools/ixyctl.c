/* ixyctl.c - looks at servers and manages them, by their control sockets */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ixy/version.h>

#include "client-lib/tools/ctl.h"

static const char usage[] =
	"usage: ixyctl [-n NAME] [-d DIR] COMMAND\n"
	"\n"
	"Looks at the ixy-servers of this machine, and manages them.\n"
	"\n"
	"  list             the servers, live and left over\n"
	"  show ports       what the server owns\n"
	"  show clients     who is attached, how, and what they hold\n"
	"  show pool        who holds how many buffers; fails unless the sum is right\n"
	"      --json         the same for programs\n"
	"      --verify       recounts them from scratch while traffic runs, and fails unless\n"
	"                     everything agrees; for root and the server's user\n"
	"  stats            totals, rates, and drops by reason, of each port and client\n"
	"      --json         everything, for programs\n"
	"      --interval S   seconds over which rates are taken (1); 0: no rates\n"
	"  kick SESSION     ends a client's session (the number is in \"show clients\")\n"
	"  doctor           what a server on this machine would lack, and the command for it\n"
	"\n"
	"  -n NAME          the server (default: the only one that runs)\n"
	"  -d DIR           where sockets lie (default: $IXY_SOCKET_DIR, or\n"
	"                   $XDG_RUNTIME_DIR/ixy and /run/ixy)\n"
	"      --version, --help\n"
	"\n"
	"example: ixyctl -n main stats --interval 5\n";

static const struct option long_options[] = {
	{"json", no_argument, NULL, 'j'},           {"verify", no_argument, NULL, 'v'},
	{"interval", required_argument, NULL, 'i'}, {"version", no_argument, NULL, 'V'},
	{"help", no_argument, NULL, 'h'},           {NULL, 0, NULL, 0},
};

int ctl_fail(const struct failure *failure)
{
	fprintf(stderr, "ixyctl: %s\n", failure->text);
	return EXIT_FAILURE;
}

static int complain(const char *what)
{
	fprintf(stderr, "ixyctl: %s; try: ixyctl --help\n", what);
	return 2;
}

static int run_kick(const struct ctl_options *options, const char *number)
{
	struct failure failure;
	struct server server;
	uint64_t session;
	char *end;
	int error;

	errno = 0;
	session = strtoull(number, &end, 10);
	if (errno || end == number || *end || number[0] == '-')
		return complain("kick wants the number of a session, as \"show clients\" has it");
	if (server_open(&server, options->dir, options->server, &failure) < 0)
		return ctl_fail(&failure);
	error = kick(&server, session, &failure);
	server_close(&server);
	return error < 0 ? ctl_fail(&failure) : EXIT_SUCCESS;
}

static int run_show(const struct ctl_options *options, const char *what)
{
	if (what && strcmp(what, "ports") == 0)
		return ctl_show_ports(options);
	if (what && strcmp(what, "clients") == 0)
		return ctl_show_clients(options);
	if (what && strcmp(what, "pool") == 0)
		return options->verify ? ctl_verify_pool(options) : ctl_show_pool(options);
	return complain("show wants one of ports, clients and pool");
}

/* Why an option that was given would be ignored, or NULL: who gives it expects it to do something. */
static const char *misplaced_option(const struct ctl_options *options, char *const *words,
                                    int num_words)
{
	bool is_stats = num_words == 1 && strcmp(words[0], "stats") == 0;
	bool is_pool =
		num_words == 2 && strcmp(words[0], "show") == 0 && strcmp(words[1], "pool") == 0;

	if (options->verify && !is_pool)
		return "--verify is for \"show pool\" alone";
	if (options->json && !is_pool && !is_stats)
		return "--json is for \"stats\" and \"show pool\" alone";
	if (options->json && options->verify)
		return "--verify has no --json: its exit status says whether all agrees";
	if (options->has_interval && !is_stats)
		return "--interval is for \"stats\" alone";
	return NULL;
}

/* @words: the command and what follows it, NULL-terminated. */
static int run_command(const struct ctl_options *options, char *const *words, int num_words)
{
	static const struct {
		const char *name;
		int (*run)(const struct ctl_options *options);
	} plain[] = {{"list", ctl_list}, {"stats", ctl_stats}, {"doctor", ctl_doctor}};

	const char *wrong;

	if (num_words == 0)
		return complain("no command");
	wrong = misplaced_option(options, words, num_words);
	if (wrong)
		return complain(wrong);
	if (num_words == 2 && strcmp(words[0], "kick") == 0)
		return run_kick(options, words[1]);
	if (num_words <= 2 && strcmp(words[0], "show") == 0)
		return run_show(options, words[1]);
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]) && num_words == 1; i++)
		if (strcmp(words[0], plain[i].name) == 0)
			return plain[i].run(options);
	return complain("no such command, or a word too few or too many");
}

static int parse_interval(struct ctl_options *options, const char *text)
{
	char *end;

	options->has_interval = true;
	options->interval_s = strtod(text, &end);
	if (end == text || *end || !(options->interval_s >= 0 && options->interval_s <= 86400))
		return complain("--interval wants a number of seconds");
	return -1;
}

/* One option; -1 to go on, else the exit status. */
static int parse_option(struct ctl_options *options, int option)
{
	switch (option) {
	case 'n':
		options->server = optarg;
		return -1;
	case 'd':
		options->dir = optarg;
		return -1;
	case 'j':
		options->json = true;
		return -1;
	case 'v':
		options->verify = true;
		return -1;
	case 'i':
		return parse_interval(options, optarg);
	case 'V':
		puts("ixyctl " IXY_VERSION_STRING);
		return EXIT_SUCCESS;
	case 'h':
		fputs(usage, stdout);
		return EXIT_SUCCESS;
	default:
		fputs("try: ixyctl --help\n", stderr);
		return 2;
	}
}

int main(int argc, char **argv)
{
	struct ctl_options options = {.interval_s = 1};
	int option, status;

	while ((option = getopt_long(argc, argv, "n:d:", long_options, NULL)) != -1) {
		status = parse_option(&options, option);
		if (status >= 0)
			return status;
	}
	status = run_command(&options, argv + optind, argc - optind);
	/* a full disk, or a reader that left, must not look like success */
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "ixyctl: cannot write to standard output: %s\n", strerror(errno));
		return EXIT_FAILURE;
	}
	return status;
}
