/* doctor_pci.c - sysfs -> struct card; reads only, and needs no privilege */
#include "client-lib/tools/doctor_pci.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "server/driver/nic_ids.h"

#define PATH_BYTES     512
#define CLASS_NETWORK  2
#define COMMAND        4
#define COMMAND_MASTER 0x04

const char *card_name(uint16_t vendor, uint16_t device, const char **warning)
{
	static const struct {
		uint16_t vendor, device;
		const char *name, *warning;
	} cards[] = {
#define ID(vendor, device, name, warning) {vendor, device, name, warning},
		NIC_IDS(ID)
#undef ID
	};

	for (size_t i = 0; i < sizeof(cards) / sizeof(cards[0]); i++)
		if (cards[i].vendor == vendor && cards[i].device == device) {
			*warning = cards[i].warning;
			return cards[i].name;
		}
	*warning = NULL;
	return NULL;
}

bool machine_read(const char *path, char *line, size_t bytes)
{
	FILE *stream = fopen(path, "re");
	bool ok = stream && fgets(line, (int)bytes, stream);

	if (stream)
		fclose(stream);
	if (ok)
		line[strcspn(line, "\n")] = 0;
	return ok;
}

/* The device's directory, or a file in it. */
static void path_of(const struct machine *m, const char *address, const char *file,
                    char path[PATH_BYTES])
{
	snprintf(path, PATH_BYTES, "%s/bus/pci/devices/%s/%s", m->sys, address, file);
}

static long number(const struct machine *m, const char *address, const char *file, long preset)
{
	char path[PATH_BYTES], line[64], *end;
	long value;

	path_of(m, address, file, path);
	if (!machine_read(path, line, sizeof(line)))
		return preset;
	value = strtol(line, &end, 0);
	return end == line ? preset : value;
}

/* As much of @from as there is room for. */
static void copy(char *to, size_t bytes, const char *from)
{
	size_t n = strnlen(from, bytes - 1);

	memcpy(to, from, n);
	to[n] = 0;
}

/* The last part of a link; "" where there is none. */
static void link_of(const struct machine *m, const char *address, const char *file, char *text,
                    size_t bytes)
{
	char path[PATH_BYTES], target[PATH_BYTES];
	const char *last;
	ssize_t len;

	text[0] = 0;
	path_of(m, address, file, path);
	len = readlink(path, target, sizeof(target) - 1);
	if (len <= 0)
		return;
	target[len] = 0;
	last = strrchr(target, '/');
	copy(text, bytes, last ? last + 1 : target);
}

/* -- the interface ----------------------------------------------------------------------------------- */

/* What the server takes for use: an address, unless it is link-local, which everything has that is up. */
static void find_ip(const struct ifaddrs *all, const char *name, char *ip, size_t bytes)
{
	ip[0] = 0;
	for (const struct ifaddrs *a = all; a; a = a->ifa_next) {
		const void *raw;

		if (!a->ifa_addr || strcmp(a->ifa_name, name) || !(a->ifa_flags & IFF_UP))
			continue;
		if (a->ifa_addr->sa_family == AF_INET)
			raw = &((const struct sockaddr_in *)(const void *)a->ifa_addr)->sin_addr;
		else if (a->ifa_addr->sa_family == AF_INET6)
			raw = &((const struct sockaddr_in6 *)(const void *)a->ifa_addr)->sin6_addr;
		else
			continue;
		inet_ntop(a->ifa_addr->sa_family, raw, ip, (socklen_t)bytes);
		if (strncmp(ip, "fe80:", 5) != 0)
			return;
		ip[0] = 0;
	}
}

/* Those listed in @dir, until one is in use. */
static void look_for_interfaces(struct card *card, const char *dir, const struct ifaddrs *all)
{
	DIR *stream = opendir(dir);
	struct dirent *entry;

	while (stream && !card->ip[0] && (entry = readdir(stream)))
		if (entry->d_name[0] != '.') {
			copy(card->interface, sizeof(card->interface), entry->d_name);
			find_ip(all, card->interface, card->ip, sizeof(card->ip));
		}
	if (stream)
		closedir(stream);
}

/* In net/ of the device, or of the virtio device that is its child. */
static void read_interface(const struct machine *m, struct card *card)
{
	struct ifaddrs *all = NULL;
	char path[PATH_BYTES], dir[PATH_BYTES + 300];
	struct dirent *entry;
	DIR *stream;

	if (getifaddrs(&all))
		all = NULL;
	path_of(m, card->address, "", path);
	stream = opendir(path);
	while (stream && !card->ip[0] && (entry = readdir(stream))) {
		bool child = strncmp(entry->d_name, "virtio", 6) == 0;

		if (!child && strcmp(entry->d_name, "net"))
			continue;
		snprintf(dir, sizeof(dir), "%s%s%s", path, entry->d_name, child ? "/net" : "");
		look_for_interfaces(card, dir, all);
	}
	if (stream)
		closedir(stream);
	if (all)
		freeifaddrs(all);
}

/* -- who has it -------------------------------------------------------------------------------------- */

/* Devices of the group that a kernel driver has keep all of it from VFIO; bridges do not. */
static void read_obstacles(const struct machine *m, struct card *card)
{
	char path[PATH_BYTES], driver[32];
	struct dirent *entry;
	size_t used = 0;
	DIR *stream;

	snprintf(path, sizeof(path), "%s/kernel/iommu_groups/%d/devices", m->sys, card->group);
	stream = opendir(path);
	while (stream && (entry = readdir(stream)) && used < sizeof(card->obstacles)) {
		if (entry->d_name[0] == '.' || strcmp(entry->d_name, card->address) == 0)
			continue;
		link_of(m, entry->d_name, "driver", driver, sizeof(driver));
		if (driver[0] && strcmp(driver, "vfio-pci") && strcmp(driver, "pcieport"))
			used += (size_t)snprintf(card->obstacles + used,
			                         sizeof(card->obstacles) - used, " %s (%s)",
			                         entry->d_name, driver);
	}
	if (stream)
		closedir(stream);
}

/*
 * A server holds a lock on the file by which it claims a card (server/pci/sysfs.c). It is looked up, not
 * tried: a server that starts just then would take us for another one.
 */
static pid_t find_user(const struct machine *m, const char *address)
{
	char path[PATH_BYTES], line[256];
	unsigned int major, minor;
	struct stat st;
	uint64_t inode;
	pid_t pid, user = 0;
	FILE *stream;

	path_of(m, address, "rescan", path);
	if (stat(path, &st) < 0) {
		path_of(m, address, "config", path);
		if (stat(path, &st) < 0)
			return 0;
	}
	snprintf(path, sizeof(path), "%s/locks", m->proc);
	stream = fopen(path, "re");
	while (stream && !user && fgets(line, sizeof(line), stream))
		if (sscanf(line, "%*u: FLOCK %*s WRITE %d %x:%x:%" SCNu64, &pid, &major, &minor,
		           &inode) == 4 &&
		    inode == st.st_ino && makedev(major, minor) == st.st_dev)
			user = pid;
	if (stream)
		fclose(stream);
	return user;
}

static bool is_master(const struct machine *m, const char *address)
{
	unsigned char command[2] = {0xff, 0xff};
	char path[PATH_BYTES];
	int fd;

	path_of(m, address, "config", path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (pread(fd, command, sizeof(command), COMMAND) != sizeof(command))
		command[0] = 0;
	close(fd);
	/* all ones: it is not there any more */
	return (command[0] & COMMAND_MASTER) && !(command[0] == 0xff && command[1] == 0xff);
}

/* -- all of them ------------------------------------------------------------------------------------- */

static bool read_card(const struct machine *m, const char *address, struct card *card)
{
	char group[16];

	memset(card, 0, sizeof(*card));
	if (strlen(address) != 12 || number(m, address, "class", 0) >> 16 != CLASS_NETWORK)
		return false;
	memcpy(card->address, address, 13);
	card->vendor = (uint16_t)number(m, address, "vendor", 0);
	card->device = (uint16_t)number(m, address, "device", 0);
	card->name = card_name(card->vendor, card->device, &card->warning);
	card->numa_node = (int)number(m, address, "numa_node", -1);
	link_of(m, address, "driver", card->driver, sizeof(card->driver));
	link_of(m, address, "iommu_group", group, sizeof(group));
	card->group = group[0] ? atoi(group) : -1;
	if (card->group >= 0)
		read_obstacles(m, card);
	read_interface(m, card);
	card->master = is_master(m, address);
	card->user = find_user(m, address);
	return true;
}

static int compare_cards(const void *a, const void *b)
{
	return strcmp(((const struct card *)a)->address, ((const struct card *)b)->address);
}

unsigned int card_list(const struct machine *m, struct card *cards, unsigned int max)
{
	char path[PATH_BYTES];
	struct dirent *entry;
	unsigned int n = 0;
	DIR *stream;

	snprintf(path, sizeof(path), "%s/bus/pci/devices", m->sys);
	stream = opendir(path);
	while (stream && n < max && (entry = readdir(stream)))
		n += read_card(m, entry->d_name, &cards[n]);
	if (stream)
		closedir(stream);
	qsort(cards, n, sizeof(cards[0]), compare_cards);
	return n;
}
