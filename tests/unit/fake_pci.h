/* fake_pci.h - a tree like /sys/bus/pci in a directory of its own, for what reads sysfs */
#ifndef UNIT_FAKE_PCI_H
#define UNIT_FAKE_PCI_H

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FAKE_CONFIG_BYTES 64

struct fake_pci {
	char dir[64]; /* DIR/bus/pci is the root; groups are below DIR/kernel/iommu_groups */
	char root[96];
};

__attribute__((format(printf, 1, 2))) static inline char *fake_path(const char *format, ...)
{
	static char paths[4][512]; /* of the last calls */
	static unsigned int next;
	char *path = paths[next++ % 4];
	va_list args;

	va_start(args, format);
	vsnprintf(path, sizeof(paths[0]), format, args);
	va_end(args);
	return path;
}

/* With all the directories that it is in. */
static inline void fake_mkdir(const char *path)
{
	char part[512];

	for (size_t i = 1; path[i - 1]; i++)
		if (path[i] == '/' || path[i] == 0) {
			snprintf(part, sizeof(part), "%.*s", (int)i, path);
			mkdir(part, 0700);
		}
}

static inline void fake_write(const char *path, const void *bytes, size_t n)
{
	char dir[512];
	FILE *file;

	snprintf(dir, sizeof(dir), "%s", path);
	*strrchr(dir, '/') = 0;
	fake_mkdir(dir);
	file = fopen(path, "w");
	if (!file || fwrite(bytes, 1, n, file) != n || fclose(file))
		abort();
}

static inline void fake_open(struct fake_pci *fake)
{
	snprintf(fake->dir, sizeof(fake->dir), "/tmp/ixy-fake-pci-XXXXXX");
	if (!mkdtemp(fake->dir))
		abort();
	snprintf(fake->root, sizeof(fake->root), "%s/bus/pci", fake->dir);
	fake_mkdir(fake_path("%s/devices", fake->root));
	fake_mkdir(fake_path("%s/drivers", fake->root));
}

static inline void fake_close(struct fake_pci *fake)
{
	if (system(fake_path("rm -rf %s", fake->dir)))
		abort();
}

/* A file of the device, as a line. */
static inline void fake_set(const struct fake_pci *fake, const char *address, const char *file,
                            const char *text)
{
	fake_write(fake_path("%s/devices/%s/%s", fake->root, address, file),
	           fake_path("%s\n", text), strlen(text) + 1);
}

static inline void fake_link(const struct fake_pci *fake, const char *address, const char *file,
                             const char *target)
{
	const char *path = fake_path("%s/devices/%s/%s", fake->root, address, file);

	unlink(path);
	if (symlink(target, path))
		abort();
}

static inline void fake_driver(const struct fake_pci *fake, const char *address, const char *driver)
{
	fake_mkdir(fake_path("%s/drivers/%s", fake->root, driver));
	fake_link(fake, address, "driver", fake_path("../../drivers/%s", driver));
}

static inline void fake_group(const struct fake_pci *fake, const char *address, int group)
{
	const char *dir = fake_path("%s/kernel/iommu_groups/%d/devices", fake->dir, group);

	fake_mkdir(dir);
	if (symlink(fake_path("%s/devices/%s", fake->root, address),
	            fake_path("%s/%s", dir, address)))
		abort();
	fake_link(fake, address, "iommu_group", fake_path("../../kernel/iommu_groups/%d", group));
}

static inline void fake_config(const struct fake_pci *fake, const char *address, uint16_t command)
{
	unsigned char config[FAKE_CONFIG_BYTES] = {0};

	memset(config, 0xa5, sizeof(config));
	memcpy(config + 4, &command, sizeof(command));
	fake_write(fake_path("%s/devices/%s/config", fake->root, address), config, sizeof(config));
}

static inline uint16_t fake_command(const struct fake_pci *fake, const char *address)
{
	int fd = open(fake_path("%s/devices/%s/config", fake->root, address), O_RDONLY | O_CLOEXEC);
	uint16_t command = 0;

	if (fd < 0 || pread(fd, &command, sizeof(command), 4) != sizeof(command))
		abort();
	close(fd);
	return command;
}

/* A device with all that is read of one; class 0x020000 is an Ethernet controller. */
static inline void fake_device(const struct fake_pci *fake, const char *address, const char *vendor,
                               const char *device, const char *class_code)
{
	fake_set(fake, address, "vendor", vendor);
	fake_set(fake, address, "device", device);
	fake_set(fake, address, "subsystem_vendor", "0x1af4");
	fake_set(fake, address, "subsystem_device", "0x0001");
	fake_set(fake, address, "class", class_code);
	fake_set(fake, address, "revision", "0x01");
	fake_set(fake, address, "numa_node", "-1");
	fake_set(fake, address, "rescan", "");
	fake_set(fake, address, "reset", "");
	fake_config(fake, address, 0);
}

#endif
