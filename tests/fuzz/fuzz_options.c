/*
 * fuzz_options.c - any command line for the server, and any text for --port
 *
 * The input is the arguments, one per line. What is accepted has to be within what the rest of the
 * server relies on; what is refused has to come with a sentence. A null port's own options are read,
 * too; drivers that would look at the machine are not asked.
 */
#include <fcntl.h>
#include <getopt.h>
#include <unistd.h>

#include "server/driver/driver.h"
#include "server/options.h"
#include "tests/fuzz/input.h"

#define MAX_ARGUMENTS 40

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void check_error(const struct error *error)
{
	must(error->text[0] && strnlen(error->text, sizeof(error->text)) < sizeof(error->text));
}

static void check_null_port(const struct port_config *config, uint32_t buf_bytes)
{
	const struct pool_view pool = {.buf_bytes = buf_bytes, .num_bufs = 1024};
	unsigned int num_queues = 0;
	struct error error = {""};
	char plan[512] = "";

	if (null_driver.check(config, &pool, &num_queues, plan, sizeof(plan), &error)) {
		check_error(&error);
		return;
	}
	must(num_queues >= 1 && num_queues <= PORT_MAX_QUEUES && plan[0]);
}

/* Everything that it points to lies in its own text. */
static void check_port(const struct port_config *config)
{
	const char *end = config->text + sizeof(config->text);
	static const char *const no_keys[] = {NULL};
	struct error error = {""};
	uint64_t value = 0;

	must(config->name[0] && strnlen(config->name, IXY_NAME_BYTES) < IXY_NAME_BYTES);
	must(driver_find(config->driver) && config->num_options <= PORT_CONFIG_MAX_OPTIONS);
	must(config->arg[0] || !driver_find(config->driver)->takes_arg);
	for (unsigned int i = 0; i < config->num_options; i++) {
		const struct port_config_option *o = &config->options[i];

		must(o->key >= config->text && o->key < end && *o->key);
		must(o->value > o->key && o->value < end &&
		     strlen(o->value) < sizeof(config->text));
		if (port_config_number(config, o->key, 3, 70000, 5, &value, &error) == 0)
			must(value >= 3 && value <= 70000);
		else
			check_error(&error);
	}
	must((port_config_only(config, no_keys, &error) == 0) == (config->num_options == 0));
	must(port_config_string(config, "=", "preset")[0] == 'p');
	if (driver_find(config->driver) == &null_driver)
		check_null_port(config, 2048);
}

static void check_options(const struct options *o)
{
	must(o->name[0] && strnlen(o->name, IXY_NAME_BYTES) < IXY_NAME_BYTES);
	must(!strchr(o->name, '/') && o->name[0] != '.');
	must(o->num_ports >= 1 && o->num_ports <= IXY_MAX_PORTS);
	must(o->max_clients >= 1 && o->max_clients <= 4096);
	must((o->socket_mode & ~07777u) == 0 && strnlen(o->socket_dir, 108) < 108);
	for (unsigned int i = 0; i < o->num_ports; i++) {
		check_port(&o->ports[i]);
		for (unsigned int k = 0; k < i; k++)
			must(strcmp(o->ports[i].name, o->ports[k].name) != 0);
	}
}

/* --help and --version are written to standard output, thousands of times. */
static void be_silent(void)
{
	static bool silent;
	int fd;

	if (silent)
		return;
	fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	must(fd >= 0 && dup2(fd, STDOUT_FILENO) >= 0);
	close(fd);
	silent = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	char *text = malloc(n + 1), *rest = text, *argv[MAX_ARGUMENTS + 2] = {(char[]){"x"}};
	struct options options;
	struct error error = {""};
	int argc = 1;

	must(text);
	if (n)
		memcpy(text, bytes, n);
	text[n] = 0;
	while (rest && argc <= MAX_ARGUMENTS)
		argv[argc++] = strsep(&rest, "\n");
	be_silent();
	optind = 0; /* glibc: as if for the first time */
	switch (options_parse(&options, argc, argv, &error)) {
	case OPTIONS_RUN:
		check_options(&options);
		break;
	case OPTIONS_ERROR:
		check_error(&error);
		break;
	default:
		break;
	}
	options_free(&options);
	free(text);
	return 0;
}
