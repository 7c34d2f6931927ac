/* sysfs.c - what the kernel says of PCI devices; Documentation/PCI/sysfs-pci.rst */
#include "server/pci/sysfs.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define IORESOURCE_IO  0x00000100 /* linux/ioport.h: flags in the resource file */
#define IORESOURCE_MEM 0x00000200

bool sysfs_read(const char *root, const char *address, const char *file, char *text, size_t bytes)
{
	char path[512];
	FILE *stream;
	bool ok;

	snprintf(path, sizeof(path), "%s/devices/%s/%s", root, address, file);
	stream = fopen(path, "re");
	if (!stream)
		return false;
	ok = fgets(text, (int)bytes, stream) != NULL;
	fclose(stream);
	if (ok)
		text[strcspn(text, "\n")] = 0;
	return ok;
}

long long sysfs_number(const char *root, const char *address, const char *file, long long preset)
{
	char text[64], *end;
	long long value;

	if (!sysfs_read(root, address, file, text, sizeof(text)))
		return preset;
	value = strtoll(text, &end, 0);
	return end == text ? preset : value;
}

void sysfs_link(const char *root, const char *address, const char *file, char *text, size_t bytes)
{
	char path[512], target[512];
	ssize_t len;

	text[0] = 0;
	snprintf(path, sizeof(path), "%s/devices/%s/%s", root, address, file);
	len = readlink(path, target, sizeof(target) - 1);
	if (len <= 0)
		return;
	target[len] = 0;
	snprintf(text, bytes, "%s", strrchr(target, '/') ? strrchr(target, '/') + 1 : target);
}

int sysfs_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), failed = 0;
	size_t len = strlen(text);

	if (fd < 0)
		return -errno;
	if (write(fd, text, len) != (ssize_t)len)
		failed = -errno;
	close(fd);
	return failed;
}

static bool is_hex(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!isxdigit((unsigned char)text[i]))
			return false;
	return true;
}

/* The text becomes part of a path: nothing but an address may pass. */
bool pci_parse_address(const char *text, char address[PCI_ADDRESS_BYTES])
{
	char full[PCI_ADDRESS_BYTES];

	if (strlen(text) == 7)
		snprintf(full, sizeof(full), "0000:%s", text);
	else if (strlen(text) == 12)
		memcpy(full, text, 13);
	else
		return false;
	if (!is_hex(full, 4) || full[4] != ':' || !is_hex(full + 5, 2) || full[7] != ':' ||
	    !is_hex(full + 8, 2) || full[10] != '.' || full[11] < '0' || full[11] > '7')
		return false;
	for (unsigned int i = 0; i < 13; i++)
		address[i] = (char)tolower((unsigned char)full[i]);
	return true;
}

bool pci_read_info(const char *root, struct pci_info *info)
{
	const char *at = info->address;
	char group[32];

	if (sysfs_number(root, at, "vendor", -1) < 0)
		return false;
	info->vendor = (uint16_t)sysfs_number(root, at, "vendor", 0);
	info->device = (uint16_t)sysfs_number(root, at, "device", 0);
	info->subsystem_vendor = (uint16_t)sysfs_number(root, at, "subsystem_vendor", 0);
	info->subsystem_device = (uint16_t)sysfs_number(root, at, "subsystem_device", 0);
	info->class_code = (uint32_t)sysfs_number(root, at, "class", 0);
	info->revision = (uint8_t)sysfs_number(root, at, "revision", 0);
	info->numa_node = (int)sysfs_number(root, at, "numa_node", -1);
	sysfs_link(root, at, "iommu_group", group, sizeof(group));
	info->iommu_group = group[0] ? atoi(group) : -1;
	sysfs_link(root, at, "driver", info->driver, sizeof(info->driver));
	return true;
}

void pci_list_nics(const char *root, char *text, size_t bytes)
{
	char path[512];
	struct dirent *entry;
	size_t used = 0;
	DIR *dir;

	text[0] = 0;
	snprintf(path, sizeof(path), "%s/devices", root);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)) && used < bytes) {
		struct pci_info info = {0};

		if (!pci_parse_address(entry->d_name, info.address) ||
		    !pci_read_info(root, &info) || info.class_code >> 16 != 2)
			continue;
		used += (size_t)snprintf(text + used, bytes - used, "%s%s (%04x:%04x, %s)",
		                         used ? ", " : "", info.address, info.vendor, info.device,
		                         info.driver[0] ? info.driver : "no driver");
	}
	if (dir)
		closedir(dir);
}

/* -- who uses its interfaces ------------------------------------------------------------------------- */

/* The first address of interface @name that says it is used; false if this namespace has no such interface. */
static bool find_address(const struct ifaddrs *all, const char *name, char *address, size_t bytes)
{
	bool here = false;

	for (const struct ifaddrs *a = all; a; a = a->ifa_next) {
		const void *raw;

		if (strcmp(a->ifa_name, name))
			continue;
		here = true; /* each has an entry, with an address or not */
		if (!a->ifa_addr || !(a->ifa_flags & IFF_UP))
			continue;
		if (a->ifa_addr->sa_family == AF_INET)
			raw = &((const struct sockaddr_in *)(const void *)a->ifa_addr)->sin_addr;
		else if (a->ifa_addr->sa_family == AF_INET6)
			raw = &((const struct sockaddr_in6 *)(const void *)a->ifa_addr)->sin6_addr;
		else
			continue;
		inet_ntop(a->ifa_addr->sa_family, raw, address, (socklen_t)bytes);
		/* every interface that is up has a link-local one: that alone is no use of it */
		if (strncmp(address, "fe80:", 5) != 0)
			return true;
		address[0] = 0;
	}
	return here;
}

/* An interface that stands on that of @dir is linked as upper_NAME; one that this is a port of as master, too. */
static bool find_upper(const char *dir, struct pci_use *use)
{
	struct dirent *entry;
	DIR *stream = opendir(dir);
	char path[1024];

	use->by[0] = 0;
	while (stream && !use->by[0] && (entry = readdir(stream)))
		if (strncmp(entry->d_name, "upper_", 6) == 0)
			snprintf(use->by, sizeof(use->by), "%.*s", (int)sizeof(use->by) - 1,
			         entry->d_name + 6);
	if (stream)
		closedir(stream);
	snprintf(path, sizeof(path), "%s/master", dir);
	use->kind = access(path, F_OK) == 0 ? PCI_USE_PORT : PCI_USE_BELOW;
	return use->by[0];
}

static void look_at_interface(const char *net, const char *name, const struct ifaddrs *all,
                              struct pci_use *use)
{
	char path[800];

	snprintf(use->interface, sizeof(use->interface), "%.*s", (int)sizeof(use->interface) - 1,
	         name);
	snprintf(path, sizeof(path), "%s/%s", net, name);
	if (find_upper(path, use))
		return;
	if (!all)
		use->kind = PCI_USE_UNKNOWN;
	else if (!find_address(all, name, use->by, sizeof(use->by)))
		use->kind = PCI_USE_ELSEWHERE;
	else
		use->kind = use->by[0] ? PCI_USE_ADDRESS : PCI_USE_NONE;
}

/* One directory of interfaces. What it shows depends on the namespace; that it is there does not. */
static void look_at_net(const char *net, const struct ifaddrs *all, struct pci_use *use)
{
	DIR *stream = opendir(net);
	struct dirent *entry;
	bool empty = true;

	/* one that is used is the one to be told of */
	while (stream && use->kind == PCI_USE_NONE && (entry = readdir(stream)))
		if (entry->d_name[0] != '.') {
			look_at_interface(net, entry->d_name, all, use);
			empty = false;
		}
	if (stream && empty && use->kind == PCI_USE_NONE) {
		use->kind = PCI_USE_ELSEWHERE;
		use->interface[0] = 0;
	}
	if (stream)
		closedir(stream);
}

/* Where the interfaces of a device are: net/ of its own, or of a child (virtio0/net). */
static bool holds_interfaces(const char *entry, const char **below)
{
	*below = strncmp(entry, "virtio", 6) == 0 ? "/net" : "";
	return **below || strcmp(entry, "net") == 0;
}

void pci_find_use(const char *root, const struct pci_info *info, struct pci_use *use)
{
	char path[512], net[512];
	struct ifaddrs *all = NULL;
	struct dirent *entry;
	const char *below;
	DIR *dir;

	*use = (struct pci_use){.kind = PCI_USE_NONE};
	snprintf(path, sizeof(path), "%s/devices/%s", root, info->address);
	dir = opendir(path);
	if (getifaddrs(&all))
		all = NULL;
	while (dir && use->kind == PCI_USE_NONE && (entry = readdir(dir)))
		if (holds_interfaces(entry->d_name, &below) &&
		    (size_t)snprintf(net, sizeof(net), "%s/%s%s", path, entry->d_name, below) <
		            sizeof(net))
			look_at_net(net, all, use);
	if (dir)
		closedir(dir);
	if (all)
		freeifaddrs(all);
}

bool pci_read_resource(const char *root, const char *address, unsigned int index, uint64_t *bytes,
                       bool *io)
{
	uint64_t first = 0, last = 0, flags = 0;
	char path[512], line[128];
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "%s/devices/%s/resource", root, address);
	file = fopen(path, "re");
	if (!file)
		return false;
	for (unsigned int i = 0; i <= index; i++)
		if (!fgets(line, sizeof(line), file))
			line[0] = 0;
	fclose(file);
	found = sscanf(line, "%" SCNx64 " %" SCNx64 " %" SCNx64, &first, &last, &flags) == 3;
	/* a BAR that is not there is three zeros */
	if (!found || last <= first || last - first == UINT64_MAX ||
	    !(flags & (IORESOURCE_IO | IORESOURCE_MEM)))
		return false;
	*bytes = last - first + 1;
	*io = flags & IORESOURCE_IO;
	return true;
}

/* The guardian of a server that has just ended may have it still, for a moment. */
#define GUARDIAN_MS 1000

/*
 * A lock on a file that root alone can open, and that has no meaning until it is written to: whoever can
 * only read must not be able to keep us from a card. Virtual functions have none, but all have config.
 */
int pci_claim(const char *root, const char *address)
{
	char path[512];
	int fd, err;

	snprintf(path, sizeof(path), "%s/devices/%s/rescan", root, address);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		snprintf(path, sizeof(path), "%s/devices/%s/config", root, address);
		fd = open(path, O_RDWR | O_CLOEXEC);
	}
	if (fd < 0)
		return -errno;
	for (unsigned int ms = 0;; ms += 10) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return fd;
		err = errno == EWOULDBLOCK ? -EBUSY : -errno;
		if (err != -EBUSY || ms >= GUARDIAN_MS)
			break;
		nanosleep(&(const struct timespec){0, 10000000}, NULL);
	}
	close(fd);
	return err;
}
