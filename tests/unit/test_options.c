/* test_options.c - command lines, good and bad; what is refused is named, option and value */
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "server/driver/driver.h"
#include "server/options.h"
#include "shm/rendezvous.h"
#include "tests/unit/test.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* -- the command line -------------------------------------------------------------------------- */

static struct options options;
static struct error error;

/* @args ends with NULL, and does not begin with the program's name */
static enum options_result parse(const char *const *args)
{
	static const char *argv[256];
	int argc = 1;

	options_free(&options);
	argv[0] = "ixy-server";
	for (; *args; args++)
		argv[argc++] = *args;
	argv[argc] = NULL;
	memset(&error, 0, sizeof(error));
	optind = 0; /* glibc: begin anew, getopt(3) */
	return options_parse(&options, argc, (char **)argv, &error);
}
#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})
/* with all that a server needs */
#define PARSE_WITH(...)                                                                            \
	parse((const char *const[]){"--name", "main", "--port", "p=null:", __VA_ARGS__, NULL})

static bool says(const char *what)
{
	if (!strstr(error.text, what))
		printf("    \"%s\" does not say: %s\n", error.text, what);
	return strstr(error.text, what) != NULL;
}

static void options_few_are_completed(void)
{
	setenv("XDG_RUNTIME_DIR", "/run/user/77", 1);
	CHECK_EQ(PARSE("--name", "main", "--port", "wan=null:"), OPTIONS_RUN);
	CHECK(strcmp(options.name, "main") == 0);
	CHECK_EQ(options.num_ports, 1);
	CHECK(strcmp(options.ports[0].name, "wan") == 0);
	CHECK_EQ(options.num_bufs, 16384);
	CHECK_EQ(options.buf_bytes, 2048);
	CHECK_EQ(options.hugepages, HUGEPAGES_AUTO);
	CHECK_EQ(options.num_workers, 1);
	CHECK_EQ(options.cpus[0], -1);
	CHECK(options.adaptive && options.default_dir && !options.check);
	CHECK(!options.kill_offenders);
	CHECK_EQ(options.socket_mode, 0666);
	CHECK_EQ(options.max_clients, 1024);
	CHECK(options.user == NULL && options.socket_group == NULL);
	CHECK(strcmp(options.socket_dir,
	             geteuid() == 0 ? RENDEZVOUS_SYSTEM_DIR : "/run/user/77/ixy") == 0);
}

static void options_all_are_taken(void)
{
	CHECK_EQ(PARSE("--name=a.B-c_9", "--port", "p=null:size=64,flows=4", "--bufs", "4096",
	               "--buf-size", "4096", "--hugepages", "2M", "--cpus", "0", "--poll", "busy",
	               "--socket-dir", "/tmp/x", "--socket-mode", "0660", "--socket-group", "wheel",
	               "--user", "ixy", "--max-clients", "7", "--on-violation", "kill", "--check",
	               "--port=q=null"),
	         OPTIONS_RUN);
	CHECK(strcmp(options.name, "a.B-c_9") == 0);
	CHECK_EQ(options.num_ports, 2);
	CHECK(strcmp(options.ports[1].name, "q") == 0);
	CHECK_EQ(options.num_bufs, 4096);
	CHECK_EQ(options.buf_bytes, 4096);
	CHECK_EQ(options.hugepages, HUGEPAGES_2M);
	CHECK_EQ(options.num_workers, 1);
	CHECK_EQ(options.cpus[0], 0);
	CHECK(!options.adaptive && options.check && !options.default_dir);
	CHECK_EQ(options.socket_mode, 0660);
	CHECK_EQ(options.max_clients, 7);
	CHECK(options.kill_offenders);
	CHECK(strcmp(options.socket_dir, "/tmp/x") == 0);
	CHECK(strcmp(options.socket_group, "wheel") == 0 && strcmp(options.user, "ixy") == 0);
}

static void options_workers_have_pools_and_perhaps_cpus(void)
{
	CHECK_EQ(PARSE_WITH("--workers", "3"), OPTIONS_RUN);
	CHECK_EQ(options.num_workers, 3);
	CHECK_EQ(options.num_bufs, 3 * 16384);
	CHECK(options.cpus[0] == -1 && options.cpus[2] == -1);
	CHECK_EQ(PARSE_WITH("--workers", "1", "--cpus", "0"), OPTIONS_RUN);
	CHECK_EQ(PARSE_WITH("--workers", "2", "--cpus", "0"), OPTIONS_ERROR);
	CHECK(says("--workers 2, but --cpus names 1"));
	if (sysconf(_SC_NPROCESSORS_CONF) < 2)
		return;
	CHECK_EQ(PARSE_WITH("--cpus", "1,0"), OPTIONS_RUN);
	CHECK_EQ(options.num_workers, 2);
	CHECK(options.cpus[0] == 1 && options.cpus[1] == 0);
	CHECK_EQ(PARSE_WITH("--cpus", "0-1"), OPTIONS_RUN);
	CHECK(options.cpus[0] == 0 && options.cpus[1] == 1);
}

static void options_borders_of_ranges_are_taken(void)
{
	CHECK_EQ(PARSE_WITH("--bufs", "1024", "--max-clients", "1", "--socket-mode", "0"),
	         OPTIONS_RUN);
	CHECK_EQ(options.socket_mode, 0);
	CHECK_EQ(PARSE_WITH("--bufs", "16777216", "--max-clients", "4096", "--socket-mode", "777"),
	         OPTIONS_RUN);
	CHECK_EQ(options.num_bufs, 16777216);
	CHECK_EQ(options.socket_mode, 0777);
	CHECK_EQ(PARSE_WITH("--poll", "adaptive", "--hugepages", "none"), OPTIONS_RUN);
	CHECK(options.adaptive);
	CHECK_EQ(options.hugepages, HUGEPAGES_NONE);
	CHECK_EQ(PARSE_WITH("--hugepages", "1G"), OPTIONS_RUN);
	CHECK_EQ(options.hugepages, HUGEPAGES_1G);
	CHECK_EQ(PARSE_WITH("--poll", "busy", "--hugepages", "auto", "--poll", "adaptive",
	                    "--on-violation", "close"),
	         OPTIONS_RUN);
	CHECK(options.adaptive && !options.kill_offenders);
}

/* Each message begins with the option and its value, and says what would be right. */
static void options_bad_value_is_refused_and_named(void)
{
	static const char *const cases[][3] = {
		{"--bufs", "1023", "it goes from 1024 to 16777216"},
		{"--bufs", "16777217", "it goes from 1024 to 16777216"},
		{"--bufs", "", "not a number"},
		{"--bufs", "-1", "not a number"},
		{"--bufs", "+4096", "not a number"},
		{"--bufs", " 4096", "not a number"},
		{"--bufs", "4096 ", "not a number"},
		{"--bufs", "0x1000", "not a number"},
		{"--bufs", "4096k", "not a number"},
		{"--bufs", "4e3", "not a number"},
		{"--bufs", "18446744073709551616", "not a number"},
		{"--bufs", "18446744073709555712", "not a number"},
		{"--buf-size", "0", "it goes from 1 to"},
		{"--buf-size", "4294967296", "it goes from 1 to"},
		{"--buf-size", "big", "not a number"},
		{"--max-clients", "0", "it goes from 1 to 4096"},
		{"--max-clients", "4097", "it goes from 1 to 4096"},
		{"--max-clients", "4294967297", "it goes from 1 to 4096"},
		{"--max-clients", "many", "not a number"},
		{"--hugepages", "1g", "use 2M, 1G, none or auto"},
		{"--hugepages", "2m", "use 2M, 1G, none or auto"},
		{"--hugepages", "", "use 2M, 1G, none or auto"},
		{"--poll", "Busy", "use busy or adaptive"},
		{"--poll", "", "use busy or adaptive"},
		{"--on-violation", "", "use close or kill"},
		{"--on-violation", "Kill", "use close or kill"},
		{"--cpus", "0,0", "CPU 0 is named twice"},
		{"--cpus", "0-", "not a list of CPUs"},
		{"--cpus", "1-0", "not a list of CPUs"},
		{"--cpus", "0,", "not a list of CPUs"},
		{"--cpus", "0;1", "not a list of CPUs"},
		{"--cpus", "two", "not a list of CPUs"},
		{"--cpus", "-1", "not a list of CPUs"},
		{"--workers", "0", "it goes from 1 to 32"},
		{"--workers", "33", "it goes from 1 to 32"},
		{"--socket-dir", "", "no name"},
		{"--cpus", "", "not a list of CPUs"},
		{"--cpus", "1000000", "they go from 0 to"},
		{"--socket-mode", "", "such as 0660"},
		{"--socket-mode", "0668", "such as 0660"},
		{"--socket-mode", "1777", "such as 0660"},
		{"--socket-mode", "-1", "such as 0660"},
		{"--socket-mode", "rw-rw----", "such as 0660"},
		{"--socket-mode", "7777777777777777777777777", "such as 0660"},
		{"--name", "", "letters, digits"},
		{"--name", ".hidden", "letters, digits"},
		{"--name", "..", "letters, digits"},
		{"--name", "a/b", "letters, digits"},
		{"--name", "a b", "letters, digits"},
		{"--name", "caf\xc3\xa9", "letters, digits"},
		{"--name", "a%n", "letters, digits"},
		{"--name", "12345678901234567890123456789012", "1 to 31"},
	};

	for (unsigned int i = 0; i < COUNT(cases); i++) {
		char begins[128];

		snprintf(begins, sizeof(begins), "%s%s%s", cases[i][0], *cases[i][1] ? " " : "",
		         cases[i][1]);
		CHECK_EQ(PARSE_WITH(cases[i][0], cases[i][1]), OPTIONS_ERROR);
		CHECK(says(begins) && says(cases[i][2]));
	}
}

static void options_longest_name_and_dir_fit(void)
{
	char dir[200];

	CHECK_EQ(PARSE_WITH("--name", "1234567890123456789012345678901"), OPTIONS_RUN);
	CHECK_EQ(strlen(options.name), 31);
	memset(dir, 'd', sizeof(dir));
	dir[0] = '/';
	dir[107] = 0;
	CHECK_EQ(PARSE_WITH("--socket-dir", dir), OPTIONS_RUN);
	CHECK(strcmp(options.socket_dir, dir) == 0);
	dir[107] = 'd';
	dir[108] = 0;
	CHECK_EQ(PARSE_WITH("--socket-dir", dir), OPTIONS_ERROR);
	CHECK(says("--socket-dir /ddd") && says("too long"));
}

static void options_unknown_or_incomplete_is_refused_and_named(void)
{
	static const char *const unknown[] = {"--frobnicate", "--frobnicate=1", "--check=yes", "-v",
	                                      "--b" /* of --bufs and --buf-size */};

	for (unsigned int i = 0; i < COUNT(unknown); i++) {
		CHECK_EQ(PARSE_WITH(unknown[i]), OPTIONS_ERROR);
		CHECK(says(unknown[i]) && says("--help"));
	}
	CHECK_EQ(PARSE_WITH("-xy"), OPTIONS_ERROR);
	CHECK(says("-x: unknown option"));
	CHECK_EQ(PARSE_WITH("--bufs"), OPTIONS_ERROR);
	CHECK(says("--bufs") && says("value is missing"));
	CHECK_EQ(PARSE_WITH("extra"), OPTIONS_ERROR);
	CHECK(says("extra") && says("not an option"));
	CHECK_EQ(PARSE_WITH("--", "--check"), OPTIONS_ERROR);
	CHECK(says("--check") && says("not an option"));
}

static void options_missing_name_or_port_gives_an_example(void)
{
	CHECK_EQ(PARSE("--port", "p=null:"), OPTIONS_ERROR);
	CHECK(says("--name") && says("for example: ixy-server --name main --port wan=xdp:eth1"));
	CHECK_EQ(PARSE("--name", "blue"), OPTIONS_ERROR);
	CHECK(says("--port") && says("for example: ixy-server --name blue --port wan=xdp:eth1"));
	CHECK_EQ(parse((const char *const[]){NULL}), OPTIONS_ERROR);
	CHECK(says("--name"));
}

/* root has a place of its own; others have to be told one, or to log in properly */
static void options_without_runtime_dir_ask_for_one(void)
{
	bool root = geteuid() == 0;

	if (root)
		CHECK_EQ(seteuid(65534), 0);
	setenv("XDG_RUNTIME_DIR", "/run/user/77", 1);
	CHECK_EQ(PARSE_WITH("--check"), OPTIONS_RUN);
	CHECK(strcmp(options.socket_dir, "/run/user/77/ixy") == 0);
	unsetenv("XDG_RUNTIME_DIR");
	CHECK_EQ(PARSE_WITH("--check"), OPTIONS_ERROR);
	CHECK(says("XDG_RUNTIME_DIR") && says("--socket-dir"));
	setenv("XDG_RUNTIME_DIR", "", 1);
	CHECK_EQ(PARSE_WITH("--check"), OPTIONS_ERROR);
	CHECK_EQ(PARSE_WITH("--socket-dir", "/tmp/x"), OPTIONS_RUN);
	setenv("XDG_RUNTIME_DIR", "/run/user/77", 1);
	if (root)
		CHECK_EQ(seteuid(0), 0);
}

static void options_same_port_twice_is_refused(void)
{
	CHECK_EQ(PARSE_WITH("--port", "p=null:size=100"), OPTIONS_ERROR);
	CHECK(says("--port p=null:size=100") && says("two ports called 'p'"));
	CHECK_EQ(PARSE_WITH("--port", "P=null:"), OPTIONS_RUN); /* a different name */
}

static void options_ports_up_to_the_limit_are_taken(void)
{
	static char texts[IXY_MAX_PORTS + 1][32];
	const char *args[2 * (IXY_MAX_PORTS + 1) + 3] = {"--name", "main"};

	for (unsigned int i = 0; i <= IXY_MAX_PORTS; i++) {
		snprintf(texts[i], sizeof(texts[i]), "port%u=null:size=%u", i, 100 + i);
		args[2 + 2 * i] = "--port";
		args[3 + 2 * i] = texts[i];
	}
	CHECK_EQ(parse(args), OPTIONS_ERROR);
	CHECK(says("--port port64=null:size=164") && says("at most 64 ports"));
	args[2 + 2 * IXY_MAX_PORTS] = NULL;
	CHECK_EQ(parse(args), OPTIONS_RUN);
	CHECK_EQ(options.num_ports, 64);
	for (unsigned int i = 0; i < options.num_ports; i++) {
		char name[16], size[16];

		snprintf(name, sizeof(name), "port%u", i);
		snprintf(size, sizeof(size), "%u", 100 + i);
		CHECK(strcmp(options.ports[i].name, name) == 0);
		CHECK(strcmp(port_config_string(&options.ports[i], "size", ""), size) == 0);
	}
}

/* What @option prints to standard output; it must end the program. */
static void printed(const char *option, char *text, size_t bytes)
{
	int fd = memfd_create("stdout", 0), saved;
	ssize_t got;

	fflush(stdout);
	saved = dup(STDOUT_FILENO);
	dup2(fd, STDOUT_FILENO);
	CHECK_EQ(PARSE(option, "--bufs", "nonsense"), OPTIONS_EXIT);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	got = pread(fd, text, bytes - 1, 0);
	text[got > 0 ? got : 0] = 0;
	close(saved);
	close(fd);
}

static void options_help_names_every_option_and_driver(void)
{
	static const char *const names[] = {
		"--name",         "--port",        "--bufs", "--buf-size",
		"--hugepages",    "--cpus",        "--poll", "--socket-dir",
		"--check",        "--socket-mode", "--user", "--max-clients",
		"--socket-group", "--version",     "--help", "--on-violation",
	};
	static const char *const pci_keys[] = {
		"queues=", "desc=", "access=", "force=", "promisc=", "mac="};
	char text[8192];

	printed("--help", text, sizeof(text));
	for (unsigned int i = 0; i < COUNT(names); i++)
		CHECK(strstr(text, names[i]));
	for (unsigned int i = 0; driver_at(i); i++)
		CHECK(strstr(text, driver_at(i)->usage));
	/* what the drivers behind "pci" read; the others' is compared by test_start_stop.sh */
	for (unsigned int i = 0; i < COUNT(pci_keys); i++)
		CHECK(strstr(driver_find("pci")->usage, pci_keys[i]));
	printed("--version", text, sizeof(text));
	CHECK(strncmp(text, "ixy-server ", 11) == 0 && strchr(text, '.'));
}

/* -- one port ---------------------------------------------------------------------------------- */

static struct port_config config;

static int parse_port(const char *text)
{
	memset(&error, 0, sizeof(error));
	memset(&config, 0xff, sizeof(config));
	return port_config_parse(&config, text, &error);
}

static void port_without_argument_has_options_behind_the_colon(void)
{
	CHECK_EQ(parse_port("p=null:size=64,flows=4"), 0);
	CHECK(strcmp(config.name, "p") == 0 && strcmp(config.driver, "null") == 0);
	CHECK(strcmp(config.arg, "") == 0);
	CHECK_EQ(config.num_options, 2);
	CHECK(strcmp(port_config_string(&config, "size", "none"), "64") == 0);
	CHECK(strcmp(port_config_string(&config, "flows", "none"), "4") == 0);
	CHECK(strcmp(port_config_string(&config, "rate", "none"), "none") == 0);
	CHECK(port_config_string(&config, "siz", NULL) == NULL);
	CHECK(port_config_string(&config, "sizes", NULL) == NULL);
	CHECK_EQ(parse_port("p=null:"), 0);
	CHECK_EQ(config.num_options, 0);
	CHECK_EQ(parse_port("p=null"), 0);
	CHECK_EQ(config.num_options, 0);
	CHECK_EQ(parse_port("p=null:,size=64,,"), 0);
	CHECK_EQ(config.num_options, 1);
}

static void port_argument_ends_at_the_first_comma(void)
{
	CHECK_EQ(parse_port("in-1.x=pcap:/a/b:c=d.pcap,loop=yes,x=,y=1=2:3"), 0);
	CHECK(strcmp(config.name, "in-1.x") == 0 && strcmp(config.driver, "pcap") == 0);
	CHECK(strcmp(config.arg, "/a/b:c=d.pcap") == 0);
	CHECK_EQ(config.num_options, 3);
	CHECK(strcmp(port_config_string(&config, "loop", ""), "yes") == 0);
	CHECK(strcmp(port_config_string(&config, "x", "none"), "") == 0);
	CHECK(strcmp(port_config_string(&config, "y", ""), "1=2:3") == 0);
	CHECK_EQ(parse_port("wan=xdp:eth1"), 0);
	CHECK(strcmp(config.arg, "eth1") == 0);
	CHECK_EQ(config.num_options, 0);
}

static void port_bad_text_is_refused_and_named(void)
{
	static const char *const cases[][2] = {
		{"", "NAME=DRIVER:ARG"},
		{"wan", "NAME=DRIVER:ARG"},
		{"null:size=64", "port name has a ':'"},
		{"=null:", "no port name"},
		{"p=", "no driver name"},
		{"p=:x", "no driver name"},
		{"a b=null:", "port name has a ' '"},
		{"a/b=null:", "port name has a '/'"},
		{"a%s=null:", "port name has a '%'"},
		{"a,b=null:", "port name has a ','"},
		{"p=nu ll:", "driver name has a ' '"},
		{"p=null,size=64", "driver name has a ','"},
		{"12345678901234567890123456789012=null:", "more than 31 characters"},
		{"p=12345678901234567890123456789012:", "more than 31 characters"},
		{"p=null:size", "'size' is not of the form key=value"},
		{"p=null:=64", "'=64' is not of the form key=value"},
		{"p=null:size=64,flows", "'flows' is not of the form key=value"},
		{"p=xdp:", "needs an argument"},
		{"p=xdp", "needs an argument"},
		{"p=xdp:,queues=1", "needs an argument"},
		{"p=null:a=1,b=1,c=1,d=1,e=1,f=1,g=1,h=1,i=1,j=1,k=1,l=1,m=1,n=1,o=1,p=1,q=1",
	         "more than 16 options"},
	};

	for (unsigned int i = 0; i < COUNT(cases); i++) {
		char begins[128];

		snprintf(begins, sizeof(begins), "--port %s: ", cases[i][0]);
		CHECK_EQ(parse_port(cases[i][0]), -1);
		CHECK(says(begins) && says(cases[i][1]));
	}
	CHECK_EQ(parse_port("1234567890123456789012345678901=null:"), 0);
	CHECK_EQ(strlen(config.name), 31);
	CHECK_EQ(parse_port(
			 "p=null:a=1,b=1,c=1,d=1,e=1,f=1,g=1,h=1,i=1,j=1,k=1,l=1,m=1,n=1,o=1,p=1"),
	         0);
	CHECK_EQ(config.num_options, 16);
}

static void port_unknown_driver_lists_all(void)
{
	static const char *const names[] = {"ixgbe", "nul", "nulls", "NULL", "null.", "1"};

	for (unsigned int i = 0; i < COUNT(names); i++) {
		char text[64], quoted[64];

		snprintf(text, sizeof(text), "p=%s:eth1", names[i]);
		snprintf(quoted, sizeof(quoted), "no driver '%s'", names[i]);
		CHECK_EQ(parse_port(text), -1);
		CHECK(says(text) && says(quoted));
		for (unsigned int k = 0; driver_at(k); k++)
			CHECK(says(driver_at(k)->name));
	}
	CHECK(driver_at(0) && driver_find("null") == &null_driver && !driver_find(""));
}

static void port_text_up_to_its_limit_is_taken(void)
{
	static char text[PORT_CONFIG_MAX_TEXT + 16];
	const size_t longest = strlen("p=pcap:") + PORT_CONFIG_MAX_TEXT - 1;

	memset(text, 'x', sizeof(text));
	memcpy(text, "p=pcap:", 7);
	text[longest] = 0;
	CHECK_EQ(parse_port(text), 0);
	CHECK_EQ(strlen(config.arg), PORT_CONFIG_MAX_TEXT - 1);
	text[longest] = 'x';
	text[longest + 1] = 0;
	CHECK_EQ(parse_port(text), -1);
	CHECK(says("--port p") && says("4095"));
}

static void port_numbers_have_suffixes(void)
{
	static const struct {
		const char *text;
		uint64_t value;
	} good[] = {
		{"0", 0},
		{"1", 1},
		{"007", 7},
		{"5k", 5000},
		{"0k", 0},
		{"2M", 2000000},
		{"3G", 3000000000},
		{"18446744073G", 18446744073000000000u},
		{"18446744073709551k", 18446744073709551000u},
		{"18446744073709551615", UINT64_MAX},
	};
	static const char *const bad[] = {
		"",
		"k",
		"-1",
		"+1",
		" 1",
		"1 ",
		"0x10",
		"1.5",
		"1e3",
		"1K",
		"1m",
		"1g",
		"1kk",
		"1k1",
		"1_000",
		"ten",
		"M1",
		"1T",
		"½",
		"1;reboot",
		"18446744073709551616",
		"18446744073709552k",
		"18446744074G",
		"99999999999999999999999999999999",
	};
	uint64_t value;
	char text[64], named[64];

	for (unsigned int i = 0; i < COUNT(good); i++) {
		snprintf(text, sizeof(text), "p=null:n=%s", good[i].text);
		CHECK_EQ(parse_port(text), 0);
		CHECK_EQ(port_config_number(&config, "n", 0, UINT64_MAX, 1, &value, &error), 0);
		CHECK(value == good[i].value);
	}
	for (unsigned int i = 0; i < COUNT(bad); i++) {
		snprintf(text, sizeof(text), "p=null:n=%s", bad[i]);
		snprintf(named, sizeof(named), "port p: n=%s is not a number", bad[i]);
		CHECK_EQ(parse_port(text), 0);
		CHECK_EQ(port_config_number(&config, "n", 0, UINT64_MAX, 1, &value, &error), -1);
		CHECK(says(named));
	}
}

static void port_number_out_of_range_names_the_range(void)
{
	uint64_t value = 0;

	CHECK_EQ(parse_port("wan=null:low=59,high=2k,fits=60,top=1999"), 0);
	CHECK_EQ(port_config_number(&config, "low", 60, 1999, 64, &value, &error), -1);
	CHECK(says("port wan: low=59 is out of range; it goes from 60 to 1999"));
	CHECK_EQ(port_config_number(&config, "high", 60, 1999, 64, &value, &error), -1);
	CHECK(says("port wan: high=2k is out of range; it goes from 60 to 1999"));
	CHECK_EQ(port_config_number(&config, "fits", 60, 1999, 64, &value, &error), 0);
	CHECK_EQ(value, 60);
	CHECK_EQ(port_config_number(&config, "top", 60, 1999, 64, &value, &error), 0);
	CHECK_EQ(value, 1999);
	/* a preset may say what no number can: "none" */
	CHECK_EQ(port_config_number(&config, "absent", 60, 1999, 0, &value, &error), 0);
	CHECK_EQ(value, 0);
}

static void port_unknown_or_repeated_option_is_refused(void)
{
	static const char *const keys[] = {"size", "rate", NULL};

	CHECK_EQ(parse_port("p=null:rate=1,size=2"), 0);
	CHECK_EQ(port_config_only(&config, keys, &error), 0);
	CHECK_EQ(parse_port("p=null:size=2,speed=1"), 0);
	CHECK_EQ(port_config_only(&config, keys, &error), -1);
	CHECK(says("port p: driver null has no option 'speed'") && says(null_driver.usage));
	CHECK_EQ(parse_port("p=null:size=2,rate=1,size=2"), 0);
	CHECK_EQ(port_config_only(&config, keys, &error), -1);
	CHECK(says("port p: option 'size' is given twice"));
	CHECK_EQ(parse_port("p=null:"), 0);
	CHECK_EQ(port_config_only(&config, keys, &error), 0);
}

int main(void)
{
	RUN(options_few_are_completed);
	RUN(options_all_are_taken);
	RUN(options_workers_have_pools_and_perhaps_cpus);
	RUN(options_borders_of_ranges_are_taken);
	RUN(options_bad_value_is_refused_and_named);
	RUN(options_longest_name_and_dir_fit);
	RUN(options_unknown_or_incomplete_is_refused_and_named);
	RUN(options_missing_name_or_port_gives_an_example);
	RUN(options_without_runtime_dir_ask_for_one);
	RUN(options_same_port_twice_is_refused);
	RUN(options_ports_up_to_the_limit_are_taken);
	RUN(options_help_names_every_option_and_driver);
	RUN(port_without_argument_has_options_behind_the_colon);
	RUN(port_argument_ends_at_the_first_comma);
	RUN(port_bad_text_is_refused_and_named);
	RUN(port_unknown_driver_lists_all);
	RUN(port_text_up_to_its_limit_is_taken);
	RUN(port_numbers_have_suffixes);
	RUN(port_number_out_of_range_names_the_range);
	RUN(port_unknown_or_repeated_option_is_refused);
	options_free(&options);
	return DONE();
}
