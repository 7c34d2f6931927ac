/* doctor.c - ixyctl doctor: memory, limits, privileges and places that a server needs */
#include "client-lib/tools/doctor.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client-lib/tools/ctl.h"
#include "client-lib/tools/doctor_pci.h"
#include "shm/rendezvous.h"

#define HUGEPAGES_DIR "/sys/kernel/mm/hugepages"
#define POOL_KB       32768 /* of a server without --bufs: 16384 buffers of 2048 bytes */

void found(struct diagnosis *diagnosis, enum finding finding, const char *what, const char *format,
           ...)
{
	static const char *const names[] = {"ok", "warn", "FAIL"};
	va_list args;

	diagnosis->warnings += finding == FINDING_WARN;
	diagnosis->failures += finding == FINDING_FAIL;
	printf("%-4s  %s: ", names[finding], what);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

static void examine_cpus(struct diagnosis *d)
{
	cpu_set_t set;
	int n;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return;
	n = CPU_COUNT(&set);
	if (n > 1)
		found(d, FINDING_OK, "cpus", "%d can be used", n);
	else
		found(d, FINDING_WARN, "cpus",
		      "only one can be used: server and clients take turns; let the server sleep when "
		      "idle: --poll adaptive");
}

/* -- memory -------------------------------------------------------------------------------------- */

static bool read_number(const char *dir, const char *file, uint64_t *value)
{
	char path[512];
	FILE *stream;
	bool ok;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	stream = fopen(path, "re");
	if (!stream)
		return false;
	ok = fscanf(stream, "%" SCNu64, value) == 1;
	fclose(stream);
	return ok;
}

static void examine_hugepages_of(struct diagnosis *d, uint64_t page_kb)
{
	char dir[128], what[64];
	uint64_t total, unused, needed = (POOL_KB + page_kb - 1) / page_kb;

	snprintf(dir, sizeof(dir), HUGEPAGES_DIR "/hugepages-%" PRIu64 "kB", page_kb);
	if (!read_number(dir, "nr_hugepages", &total) ||
	    !read_number(dir, "free_hugepages", &unused))
		return;
	snprintf(what, sizeof(what), "hugepages of %" PRIu64 " KiB", page_kb);
	if (page_kb == 1048576) /* not by default; for a pool with --bufs to match */
		found(d, FINDING_OK, what,
		      "%" PRIu64 " of %" PRIu64 " are free; for pools with --hugepages 1G", unused,
		      total);
	else if (page_kb != 2048) /* others are shown for their owner */
		found(d, FINDING_OK, what, "%" PRIu64 " of %" PRIu64 " are free; not used", unused,
		      total);
	else if (unused >= needed)
		found(d, FINDING_OK, what, "%" PRIu64 " of %" PRIu64 " are free", unused, total);
	else
		found(d, FINDING_WARN, what,
		      "%" PRIu64 " of %" PRIu64 " are free, a server's default pool takes %" PRIu64
		      ", and is slower on ordinary pages; sysctl vm.nr_hugepages=%" PRIu64,
		      unused, total, needed, total + needed - unused);
}

static void examine_hugepages(struct diagnosis *d)
{
	DIR *stream = opendir(HUGEPAGES_DIR);
	struct dirent *entry;
	uint64_t page_kb;

	if (!stream) {
		found(d, FINDING_WARN, "hugepages",
		      "this kernel has none; start the server with --hugepages none");
		return;
	}
	while ((entry = readdir(stream)))
		if (sscanf(entry->d_name, "hugepages-%" SCNu64 "kB", &page_kb) == 1)
			examine_hugepages_of(d, page_kb);
	closedir(stream);
}

/* -- privileges ---------------------------------------------------------------------------------- */

/* The effective capabilities of this process, which a server that is started from it would have. */
static uint64_t capabilities(void)
{
	FILE *stream = fopen("/proc/self/status", "re");
	uint64_t set = 0;
	char line[256];

	while (stream && fgets(line, sizeof(line), stream))
		if (sscanf(line, "CapEff: %" SCNx64, &set) == 1)
			break;
	if (stream)
		fclose(stream);
	return set;
}

static void examine_memlock(struct diagnosis *d, uint64_t caps)
{
	struct rlimit limit;

	if (caps >> CAP_IPC_LOCK & 1) {
		found(d, FINDING_OK, "locked memory", "not limited (CAP_IPC_LOCK)");
		return;
	}
	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (limit.rlim_cur == RLIM_INFINITY)
		found(d, FINDING_OK, "locked memory", "not limited");
	else if (limit.rlim_cur >= POOL_KB * UINT64_C(1024))
		found(d, FINDING_OK, "locked memory", "%llu KiB may be locked",
		      (unsigned long long)limit.rlim_cur / 1024);
	else
		found(d, FINDING_WARN, "locked memory",
		      "at most %llu KiB, too little for a pool under an xdp or pci port (%d KiB); ulimit -l "
		      "unlimited, or in a service: LimitMEMLOCK=infinity",
		      (unsigned long long)limit.rlim_cur / 1024, POOL_KB);
}

static void examine_capabilities(struct diagnosis *d, uint64_t caps)
{
	static const struct {
		int number;
		const char *name;
	} wanted[] = {
		{CAP_NET_ADMIN, " CAP_NET_ADMIN"}, {CAP_NET_RAW, " CAP_NET_RAW"}, {39, " CAP_BPF"}};
	char missing[64] = "";

	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (!(caps >> wanted[i].number & 1))
			strcat(missing, wanted[i].name);
	if (!*missing)
		found(d, FINDING_OK, "capabilities", "those for xdp and tap ports are there");
	else
		found(d, FINDING_WARN, "capabilities",
		      "missing for xdp ports, and to make tap interfaces:%s; start the server as root, "
		      "it gives up what it does not need: sudo ixy-server --user ixy ...",
		      missing);
}

static void examine_user(struct diagnosis *d)
{
	if (geteuid() != 0)
		found(d, FINDING_OK, "user", "a server would run as user %u, like you",
		      (unsigned int)geteuid());
	else if (getpwnam("ixy"))
		found(d, FINDING_OK, "user", "ixy is there for servers to drop to");
	else
		found(d, FINDING_WARN, "user",
		      "there is no user ixy for servers to drop to, they would stay root; useradd "
		      "--system --no-create-home --shell /usr/sbin/nologin ixy");
}

/* -- places -------------------------------------------------------------------------------------- */

static void examine_new_dir(struct diagnosis *d, const char *dir)
{
	char parent[512];
	char *slash;

	snprintf(parent, sizeof(parent), "%s", dir);
	slash = strrchr(parent, '/');
	if (slash)
		slash[slash == parent] = 0;
	if (slash && access(parent, W_OK | X_OK) == 0)
		found(d, FINDING_OK, "socket directory", "%s will be made", dir);
	else
		found(d, FINDING_FAIL, "socket directory",
		      "%s does not exist, and user %u may not make it; mkdir -p %s, or start the "
		      "server with another --socket-dir",
		      dir, (unsigned int)geteuid(), dir);
}

static void examine_socket_dir(struct diagnosis *d, const char *wanted)
{
	char dir[512];
	struct stat st;

	if (wanted)
		snprintf(dir, sizeof(dir), "%s", wanted);
	else if (rendezvous_server_dir(dir, sizeof(dir)) < 0) {
		found(d, FINDING_FAIL, "socket directory",
		      "XDG_RUNTIME_DIR is not set, so that there is none for user %u; export "
		      "XDG_RUNTIME_DIR=/run/user/%u, or start the server with --socket-dir",
		      (unsigned int)geteuid(), (unsigned int)geteuid());
		return;
	}
	if (stat(dir, &st) < 0)
		examine_new_dir(d, dir);
	else if (!S_ISDIR(st.st_mode))
		found(d, FINDING_FAIL, "socket directory", "%s is no directory; rm %s", dir, dir);
	else if (access(dir, W_OK | X_OK) < 0)
		found(d, FINDING_FAIL, "socket directory",
		      "user %u may not write to %s; chown %u %s, or start the server with another "
		      "--socket-dir",
		      (unsigned int)geteuid(), dir, (unsigned int)geteuid(), dir);
	else if ((st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX))
		found(d, FINDING_WARN, "socket directory",
		      "everybody may replace sockets in %s; chmod o-w %s", dir, dir);
	else
		found(d, FINDING_OK, "socket directory", "%s can be used", dir);
}

int ctl_doctor(const struct ctl_options *options)
{
	static const struct machine here = {.sys = "/sys", .proc = "/proc", .dev = "/dev"};
	struct diagnosis d = {0};
	uint64_t caps = capabilities();

	examine_cpus(&d);
	examine_kernel(&d);
	examine_hugepages(&d);
	examine_memlock(&d, caps);
	examine_capabilities(&d, caps);
	examine_user(&d);
	examine_socket_dir(&d, options->dir);
	examine_devices(&d, &here);
	if (d.failures)
		printf("%u of these keep a server from starting\n", d.failures);
	return d.failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
