/* test_pci.c - what is read of cards, in a tree of our own: addresses, options, plans, what was left running */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "server/pci/pci.h"
#include "server/pci/pci_state.h"
#include "server/pci/sysfs.h"
#include "tests/unit/fake_pci.h"
#include "tests/unit/open_fds.h"
#include "tests/unit/test.h"

#define NIC          "0000:03:00.0"
#define OTHER_NIC    "0000:04:00.1"
#define DISK         "0000:05:00.0"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define COMMAND_MEMORY 0x0002
#define COMMAND_MASTER 0x0004

/* Good until the next one. */
static struct port_config *config_of(const char *text)
{
	static struct port_config config;
	struct error error = {""};

	if (port_config_parse(&config, text, &error))
		printf("%s: %s\n", text, error.text);
	return &config;
}

/* -- addresses -------------------------------------------------------------------------------------- */

static void address_is_read_in_both_forms(void)
{
	char address[PCI_ADDRESS_BYTES];

	memset(address, 'u', sizeof(address));
	CHECK(pci_parse_address("0000:03:00.0", address) && strcmp(address, "0000:03:00.0") == 0);
	CHECK(pci_parse_address("03:00.0", address) && strcmp(address, "0000:03:00.0") == 0);
	CHECK(pci_parse_address("AbCd:Ef:1F.7", address) && strcmp(address, "abcd:ef:1f.7") == 0);
	CHECK(pci_parse_address("FF:1f.7", address) && strcmp(address, "0000:ff:1f.7") == 0);
}

/* It becomes part of a path that root writes to. */
static void address_that_is_none_is_refused(void)
{
	static const char *const bad[] = {
		"",
		".",
		"../..",
		"../../..",
		"../../../etc",
		"../../../../",
		"0000:03:00",
		"0000:03:00.",
		"0000:03:00.8",
		"0000:03:00.9",
		"0000:03:00.a",
		"0000:03:00./",
		"0000:03:00.-",
		"0000:03:00/0",
		"0000/03:00.0",
		"0000:03/00.0",
		"/000:03:00.0",
		"0000:0../0.0",
		"0000:03:00.0 ",
		"0000:03:00.0\n",
		" 0000:03:00.0",
		"0000:03:00.00",
		"00000:03:00.0",
		"000:03:00.0",
		"0000:g3:00.0",
		"0000:03:0g.0",
		"gggg:03:00.0",
		"0x00:03:00.0",
		"-000:03:00.0",
		"03:00.8",
		"03:00:0",
		"03.00.0",
		"3:00.0",
		"\xff\xff\xff\xff:03:00.0",
		"%s%s%n:00.0",
	};
	char address[PCI_ADDRESS_BYTES], text[8192];

	for (unsigned int i = 0; i < COUNT(bad); i++) {
		memset(address, 'u', sizeof(address));
		if (pci_parse_address(bad[i], address)) {
			printf("'%s' is taken for an address\n", bad[i]);
			CHECK(!"refused");
		}
		CHECK_EQ(address[0], 'u'); /* and nothing is written */
	}
	memset(text, '0', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	CHECK(!pci_parse_address(text, address));
}

/* -- what sysfs says -------------------------------------------------------------------------------- */

static void info_of_a_device_is_what_its_files_say(void)
{
	struct pci_info info = {.address = NIC};
	struct fake_pci fake;

	fake_open(&fake);
	fake_device(&fake, NIC, "0x8086", "0x10fb", "0x020000");
	fake_set(&fake, NIC, "subsystem_vendor", "0x8087");
	fake_set(&fake, NIC, "subsystem_device", "0x0003");
	fake_set(&fake, NIC, "revision", "0x1f");
	fake_set(&fake, NIC, "numa_node", "1");
	fake_driver(&fake, NIC, "ixgbe");
	fake_group(&fake, NIC, 17);
	CHECK(pci_read_info(fake.root, &info));
	CHECK_EQ(info.vendor, 0x8086);
	CHECK_EQ(info.device, 0x10fb);
	CHECK_EQ(info.subsystem_vendor, 0x8087);
	CHECK_EQ(info.subsystem_device, 3);
	CHECK_EQ(info.class_code, 0x020000);
	CHECK_EQ(info.revision, 0x1f);
	CHECK_EQ(info.numa_node, 1);
	CHECK_EQ(info.iommu_group, 17);
	CHECK(strcmp(info.driver, "ixgbe") == 0);
	fake_close(&fake);
}

static void info_of_a_lonely_device_says_so(void)
{
	struct pci_info info = {.address = NIC, .driver = "stale", .iommu_group = 9};
	struct fake_pci fake;

	fake_open(&fake);
	CHECK(!pci_read_info(fake.root, &info));
	fake_device(&fake, NIC, "0x1af4", "0x1000", "0x020000");
	CHECK(pci_read_info(fake.root, &info));
	CHECK_EQ(info.numa_node, -1);
	CHECK_EQ(info.iommu_group, -1);
	CHECK_EQ(info.driver[0], 0);
	/* a file that is empty or says nothing is no device */
	fake_set(&fake, NIC, "vendor", "");
	CHECK(!pci_read_info(fake.root, &info));
	fake_set(&fake, NIC, "vendor", "none");
	CHECK(!pci_read_info(fake.root, &info));
	fake_close(&fake);
}

static void link_is_cut_to_its_last_part(void)
{
	char text[16], tiny[4];
	struct fake_pci fake;

	fake_open(&fake);
	fake_device(&fake, NIC, "0x8086", "0x10fb", "0x020000");
	fake_link(&fake, NIC, "driver", "../../../bus/pci/drivers/ixgbe");
	sysfs_link(fake.root, NIC, "driver", text, sizeof(text));
	CHECK(strcmp(text, "ixgbe") == 0);
	sysfs_link(fake.root, NIC, "driver", tiny, sizeof(tiny));
	CHECK(strcmp(tiny, "ixg") == 0);
	fake_link(&fake, NIC, "driver", "bare");
	sysfs_link(fake.root, NIC, "driver", text, sizeof(text));
	CHECK(strcmp(text, "bare") == 0);
	sysfs_link(fake.root, NIC, "vendor", text, sizeof(text)); /* a file */
	CHECK_EQ(text[0], 0);
	sysfs_link(fake.root, NIC, "missing", text, sizeof(text));
	CHECK_EQ(text[0], 0);
	fake_close(&fake);
}

static void list_has_network_cards_only(void)
{
	char text[1024], tiny[20];
	struct fake_pci fake;

	fake_open(&fake);
	pci_list_nics(fake.root, text, sizeof(text));
	CHECK_EQ(text[0], 0);
	fake_device(&fake, NIC, "0x8086", "0x10fb", "0x020000");
	fake_driver(&fake, NIC, "ixgbe");
	fake_device(&fake, OTHER_NIC, "0x1af4", "0x1041", "0x020000");
	fake_device(&fake, DISK, "0x1af4", "0x1042", "0x018000");
	fake_device(&fake, "not:an:ad.dr", "0x8086", "0x10fb", "0x020000");
	pci_list_nics(fake.root, text, sizeof(text));
	CHECK(strstr(text, NIC " (8086:10fb, ixgbe)"));
	CHECK(strstr(text, OTHER_NIC " (1af4:1041, no driver)"));
	CHECK(strstr(text, "), "));
	CHECK(!strstr(text, DISK) && !strstr(text, "not:an"));
	pci_list_nics(fake.root, tiny, sizeof(tiny));
	CHECK_EQ(strlen(tiny), sizeof(tiny) - 1);
	pci_list_nics("/nonexistent", text, sizeof(text));
	CHECK_EQ(text[0], 0);
	fake_close(&fake);
}

/*
 * The interfaces of the machine, as the kernel tells them: one that is up, one that is down, one with a link's
 * own address only. This function takes the C library's place.
 */
static bool addresses_fail;

int getifaddrs(struct ifaddrs **all)
{
	static struct sockaddr_in in = {.sin_family = AF_INET};
	static struct sockaddr_in6 link_local = {.sin6_family = AF_INET6};
	static struct sockaddr link = {.sa_family = AF_PACKET};
	static struct ifaddrs list[] = {
		{.ifa_name = (char *)"up0", .ifa_flags = IFF_UP, .ifa_addr = &link},
		{.ifa_name = (char *)"up0", .ifa_flags = IFF_UP, .ifa_addr = (void *)&in},
		{.ifa_name = (char *)"down0", .ifa_addr = (void *)&in},
		{.ifa_name = (char *)"quiet0",
	         .ifa_flags = IFF_UP,
	         .ifa_addr = (void *)&link_local},
		{.ifa_name = (char *)"quiet1", .ifa_flags = IFF_UP},
	};

	if (addresses_fail)
		return -1;
	in.sin_addr.s_addr = htonl(0x0a010203);
	inet_pton(AF_INET6, "fe80::1", &link_local.sin6_addr);
	for (unsigned int i = 0; i + 1 < COUNT(list); i++)
		list[i].ifa_next = &list[i + 1];
	*all = list;
	return 0;
}

void freeifaddrs(struct ifaddrs *all)
{
	(void)all;
}

static struct pci_use use_of(const struct fake_pci *fake)
{
	struct pci_info info = {.address = NIC};
	struct pci_use use;

	memset(&use, 'u', sizeof(use));
	pci_find_use(fake->root, &info, &use);
	return use;
}

static void use_is_found_below_the_device_or_its_child(void)
{
	unsigned int before = open_fds();
	struct fake_pci fake;
	struct pci_use use;

	fake_open(&fake);
	fake_device(&fake, NIC, "0x1af4", "0x1041", "0x020000");
	use = use_of(&fake);
	CHECK(use.kind == PCI_USE_NONE && use.interface[0] == 0);
	fake_mkdir(fake_path("%s/devices/%s/net/down0", fake.root, NIC));
	use = use_of(&fake);
	CHECK(use.kind == PCI_USE_NONE && strcmp(use.interface, "down0") == 0);
	/* of several, the one in use, wherever it is, and in whatever order they are listed */
	fake_mkdir(fake_path("%s/devices/%s/virtio977/net/quiet0", fake.root, NIC));
	fake_mkdir(fake_path("%s/devices/%s/virtio977/net/up0", fake.root, NIC));
	fake_mkdir(fake_path("%s/devices/%s/virtio977/net/quiet1", fake.root, NIC));
	fake_mkdir(fake_path("%s/devices/%s/virtio4/net/quiet1", fake.root, NIC));
	use = use_of(&fake);
	CHECK(use.kind == PCI_USE_ADDRESS && strcmp(use.interface, "up0") == 0);
	CHECK(strcmp(use.by, "10.1.2.3") == 0);
	fake_close(&fake);
	CHECK_EQ(open_fds(), before);
}

static void bar_is_what_its_line_says(void)
{
	struct fake_pci fake;
	uint64_t bytes = 0;
	bool io = false;

	fake_open(&fake);
	fake_device(&fake, NIC, "0x8086", "0x10fb", "0x020000");
	CHECK(!pci_read_resource(fake.root, NIC, 0, &bytes, &io)); /* no such file */
	fake_set(&fake, NIC, "resource",
	         "0x00000000fe400000 0x00000000fe47ffff 0x000000000014220c\n"
	         "0x000000000000c000 0x000000000000c01f 0x0000000000040101\n"
	         "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
	         "0x0000380000000000 0x00003800ffffffff 0x000000000014220c");
	CHECK(pci_read_resource(fake.root, NIC, 0, &bytes, &io));
	CHECK(bytes == 0x80000 && !io);
	CHECK(pci_read_resource(fake.root, NIC, 1, &bytes, &io));
	CHECK(bytes == 32 && io);
	CHECK(!pci_read_resource(fake.root, NIC, 2, &bytes, &io));
	CHECK(pci_read_resource(fake.root, NIC, 3, &bytes, &io));
	CHECK(bytes == 1ull << 32 && !io);
	CHECK(!pci_read_resource(fake.root, NIC, 4, &bytes, &io)); /* the file ends */
	fake_close(&fake);
}

static void bar_whose_line_makes_no_sense_is_none(void)
{
	static const char *const bad[] = {
		"",
		"0x1000",
		"0x1000 0x1fff",
		"garbage",
		"0x1000 0x1fff flags",
		"0x2000 0x1fff 0x200", /* ends before it begins */
		"0x1000 0x1000 0x200",
		"0x0 0xffffffffffffffff 0x200", /* its size is no 64-bit number */
		"0x1000 0x1fff 0x0",            /* neither memory nor ports */
		"0x1000 0x1fff 0x2000",         /* prefetchable, of what? */
	};
	struct fake_pci fake;
	uint64_t bytes;
	bool io;

	fake_open(&fake);
	fake_device(&fake, NIC, "0x8086", "0x10fb", "0x020000");
	for (unsigned int i = 0; i < COUNT(bad); i++) {
		fake_set(&fake, NIC, "resource", fake_path("%s\n0x4000 0x4fff 0x200", bad[i]));
		if (pci_read_resource(fake.root, NIC, 0, &bytes, &io)) {
			printf("'%s' is taken for a BAR\n", bad[i]);
			CHECK(!"refused");
		}
		/* and does not shift the next one */
		CHECK(pci_read_resource(fake.root, NIC, 1, &bytes, &io) && bytes == 4096);
	}
	fake_close(&fake);
}

/* -- a port's text ---------------------------------------------------------------------------------- */

static void options_are_read_and_checked(void)
{
	struct pci_options options;
	struct error error = {""};

	CHECK_EQ(pci_read_options(config_of("p0=pci:" NIC), &options, &error), 0);
	CHECK(options.access == -1 && !options.force);
	CHECK_EQ(pci_read_options(config_of("p0=pci:" NIC ",access=auto"), &options, &error), 0);
	CHECK_EQ(options.access, -1);
	CHECK_EQ(
		pci_read_options(config_of("p0=pci:" NIC ",access=vfio,force=1"), &options, &error),
		0);
	CHECK(options.access == PCI_VFIO && options.force);
	CHECK_EQ(pci_read_options(config_of("p0=pci:" NIC ",access=sysfs,force=0"), &options,
	                          &error),
	         0);
	CHECK(options.access == PCI_SYSFS && !options.force);
}

static void option_that_makes_no_sense_names_the_port_and_what_is_allowed(void)
{
	struct pci_options options;
	struct error error = {""};

	CHECK_EQ(pci_read_options(config_of("p7=pci:" NIC ",access=uio"), &options, &error), -1);
	CHECK(strstr(error.text, "p7") && strstr(error.text, "access=uio"));
	CHECK(strstr(error.text, "auto, vfio or sysfs"));
	CHECK_EQ(pci_read_options(config_of("p7=pci:" NIC ",access=VFIO"), &options, &error), -1);
	CHECK_EQ(pci_read_options(config_of("p7=pci:" NIC ",access="), &options, &error), -1);
	CHECK_EQ(pci_read_options(config_of("p7=pci:" NIC ",force=2"), &options, &error), -1);
	CHECK(strstr(error.text, "p7") && strstr(error.text, "force"));
	CHECK_EQ(pci_read_options(config_of("p7=pci:" NIC ",force=yes"), &options, &error), -1);
}

static void look_at_what_is_no_card_says_what_there_is(void)
{
	struct error error = {""};
	struct pci_info info;
	struct fake_pci fake;

	fake_open(&fake);
	CHECK_EQ(pci_look_below(fake.root, config_of("p0=pci:" NIC), &info, &error), -1);
	CHECK(strstr(error.text, NIC) && strstr(error.text, "network cards: none"));
	fake_device(&fake, OTHER_NIC, "0x1af4", "0x1041", "0x020000");
	fake_device(&fake, DISK, "0x1af4", "0x1042", "0x018000");
	CHECK_EQ(pci_look_below(fake.root, config_of("p0=pci:" NIC), &info, &error), -1);
	CHECK(strstr(error.text, "network cards: " OTHER_NIC " (1af4:1041, no driver)"));
	CHECK_EQ(pci_look_below(fake.root, config_of("p0=pci:" DISK), &info, &error), -1);
	CHECK(strstr(error.text, DISK) && strstr(error.text, "no network card"));
	CHECK(strstr(error.text, "018000") && strstr(error.text, "ixyctl doctor"));
	CHECK_EQ(pci_look_below(fake.root, config_of("p0=pci:../../../etc"), &info, &error), -1);
	CHECK(strstr(error.text, "'../../../etc' is not the address"));
	CHECK_EQ(pci_look_below(fake.root, config_of("p0=pci:04:00.1"), &info, &error), 0);
	CHECK(strcmp(info.address, OTHER_NIC) == 0);
	fake_close(&fake);
}

/* -- whether it can be taken ---------------------------------------------------------------------- */

static int plan(const struct fake_pci *fake, const char *text, enum pci_access *access,
                struct error *error, char said[256])
{
	const struct port_config *c = config_of(text);
	struct pci_options options;
	struct pci_info info;

	said[0] = error->text[0] = 0;
	if (pci_read_options(c, &options, error) || pci_look_below(fake->root, c, &info, error))
		return -2;
	return pci_plan_below(fake->root, c, &info, &options, access, said, 256, error);
}

static void plan_of_a_free_card_says_from_whom_and_how(void)
{
	enum pci_access access = PCI_VFIO;
	struct error error = {""};
	struct fake_pci fake;
	char said[256];

	fake_open(&fake);
	fake_device(&fake, NIC, "0x8086", "0x10fb", "0x020000");
	CHECK_EQ(plan(&fake, "p0=pci:" NIC, &access, &error, said), 0);
	CHECK_EQ(access, PCI_SYSFS);
	CHECK(strstr(said, "takes " NIC " (8086:10fb) from nobody, through sysfs"));
	fake_driver(&fake, NIC, "ixgbe");
	CHECK_EQ(plan(&fake, "p0=pci:" NIC, &access, &error, said), 0);
	CHECK(strstr(said, "from ixgbe"));
	fake_close(&fake);
}

static void plan_without_vfio_says_what_is_missing(void)
{
	enum pci_access access = PCI_SYSFS;
	struct error error = {""};
	struct fake_pci fake;
	char said[256];

	fake_open(&fake);
	fake_device(&fake, NIC, "0x8086", "0x10fb", "0x020000");
	CHECK_EQ(plan(&fake, "p0=pci:" NIC ",access=vfio", &access, &error, said), -1);
	CHECK(strstr(error.text, "not behind an IOMMU") && strstr(error.text, "intel_iommu=on"));
	CHECK(strstr(error.text, "access=sysfs"));
	/* behind one: VFIO by itself, and its module is not there */
	fake_group(&fake, NIC, 3);
	CHECK_EQ(plan(&fake, "p0=pci:" NIC, &access, &error, said), -1);
	CHECK_EQ(access, PCI_VFIO);
	CHECK(strstr(error.text, "modprobe vfio-pci"));
	CHECK_EQ(plan(&fake, "p0=pci:" NIC ",access=sysfs", &access, &error, said), 0);
	CHECK_EQ(access, PCI_SYSFS);
	fake_close(&fake);
}

static void check_refusal(const struct fake_pci *fake, const char *why, const char *mend)
{
	enum pci_access access;
	struct error error = {""};
	char said[256];

	CHECK_EQ(plan(fake, "p0=pci:" NIC, &access, &error, said), -1);
	if (!strstr(error.text, why) || !strstr(error.text, mend)) {
		printf("no '%s' and '%s' in: %s\n", why, mend, error.text);
		CHECK(!"refused with its reason");
	}
	CHECK(strstr(error.text, "p0") && strstr(error.text, NIC) && strstr(error.text, "force=1"));
	CHECK_EQ(plan(fake, "p0=pci:" NIC ",force=1", &access, &error, said), 0);
}

static void plan_refuses_a_card_in_use_unless_forced(void)
{
	struct fake_pci fake;

	fake_open(&fake);
	fake_device(&fake, NIC, "0x8086", "0x10fb", "0x020000");
	fake_mkdir(fake_path("%s/devices/%s/net/up0", fake.root, NIC));
	check_refusal(&fake, "interface up0 is up and has the address 10.1.2.3",
	              "ip addr flush dev up0");
	fake_close(&fake);
}

/* It has no address then, and the bridge has: the network of the host, or of all its virtual machines. */
static void plan_refuses_a_part_of_a_bridge_unless_forced(void)
{
	struct fake_pci fake;

	fake_open(&fake);
	fake_device(&fake, NIC, "0x8086", "0x10fb", "0x020000");
	fake_mkdir(fake_path("%s/devices/%s/net/quiet0", fake.root, NIC));
	fake_link(&fake, NIC, "net/quiet0/upper_br0", ".");
	fake_link(&fake, NIC, "net/quiet0/master", ".");
	check_refusal(&fake, "interface quiet0 is a part of br0",
	              "ip link set dev quiet0 nomaster");
	fake_close(&fake);
}

static void plan_refuses_a_card_below_a_vlan_unless_forced(void)
{
	struct fake_pci fake;

	fake_open(&fake);
	fake_device(&fake, NIC, "0x1af4", "0x1041", "0x020000");
	fake_mkdir(fake_path("%s/devices/%s/virtio3/net/quiet1", fake.root, NIC));
	fake_link(&fake, NIC, "virtio3/net/quiet1/upper_quiet1.7", ".");
	check_refusal(&fake, "interface quiet1.7 stands on its interface quiet1",
	              "ip link del dev quiet1.7");
	fake_close(&fake);
}

/* sysfs shows an empty directory; or it is that of another namespace, and shows what we do not have. */
static void plan_refuses_a_card_of_another_namespace_unless_forced(void)
{
	enum pci_access access;
	struct error error = {""};
	struct fake_pci fake;
	char said[256];

	fake_open(&fake);
	fake_device(&fake, NIC, "0x8086", "0x10fb", "0x020000");
	CHECK_EQ(plan(&fake, "p0=pci:" NIC, &access, &error, said), 0);
	fake_mkdir(fake_path("%s/devices/%s/net", fake.root, NIC));
	check_refusal(&fake, "its interface is in another network namespace", "netns");
	fake_mkdir(fake_path("%s/devices/%s/net/foreign0", fake.root, NIC));
	check_refusal(&fake, "its interface foreign0 is in another network namespace", "netns");
	fake_close(&fake);
}

static void plan_refuses_a_card_whose_addresses_are_not_known(void)
{
	enum pci_access access;
	struct error error = {""};
	struct fake_pci fake;
	char said[256];

	fake_open(&fake);
	fake_device(&fake, NIC, "0x8086", "0x10fb", "0x020000");
	fake_mkdir(fake_path("%s/devices/%s/net/quiet0", fake.root, NIC));
	CHECK_EQ(plan(&fake, "p0=pci:" NIC, &access, &error, said), 0);
	addresses_fail = true;
	check_refusal(&fake, "does not tell the addresses of its interface quiet0",
	              "ip link set dev quiet0 down");
	addresses_fail = false;
	fake_close(&fake);
}

/* Between processes, as it is meant: a child has the card, and loses it when it is killed. */
static void plan_refuses_a_card_that_another_server_has(void)
{
	enum pci_access access;
	struct error error = {""};
	int pipe_fds[2], node = -1;
	struct fake_pci fake;
	char said[256], byte;
	pid_t child;

	fake_open(&fake);
	fake_device(&fake, NIC, "0x8086", "0x10fb", "0x020000");
	fake_device(&fake, OTHER_NIC, "0x8086", "0x10fb", "0x020000");
	CHECK_EQ(pipe(pipe_fds), 0);
	child = fork();
	if (child == 0) {
		byte = pci_claim(fake.root, NIC) >= 0;
		if (write(pipe_fds[1], &byte, 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	CHECK(read(pipe_fds[0], &byte, 1) == 1 && byte == 1);
	CHECK_EQ(pci_claim(fake.root, NIC), -EBUSY);
	CHECK_EQ(plan(&fake, "p0=pci:" NIC ",force=1", &access, &error, said), -1);
	CHECK(strstr(error.text, "another server") && strstr(error.text, "fuser"));
	CHECK_EQ(plan(&fake, "p0=pci:" OTHER_NIC, &access, &error, said), 0);
	/* its card runs without a kernel driver, as it should, and is not stopped */
	fake_config(&fake, NIC, COMMAND_MEMORY | COMMAND_MASTER);
	CHECK_EQ(pci_prepare_below(fake.root, config_of("p0=pci:" NIC), &node, &error), -1);
	CHECK_EQ(fake_command(&fake, NIC), COMMAND_MEMORY | COMMAND_MASTER);
	kill(child, SIGKILL);
	CHECK_EQ(waitpid(child, NULL, 0), child);
	CHECK_EQ(plan(&fake, "p0=pci:" NIC, &access, &error, said), 0);
	CHECK_EQ(pci_prepare_below(fake.root, config_of("p0=pci:" NIC), &node, &error), 0);
	CHECK_EQ(fake_command(&fake, NIC), COMMAND_MEMORY);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	fake_close(&fake);
}

/* A virtual function cannot be removed or searched for again: its configuration is locked. */
static void claim_of_a_virtual_function_works_as_well(void)
{
	unsigned int before = open_fds();
	struct fake_pci fake;
	int fd;

	fake_open(&fake);
	CHECK_EQ(pci_claim(fake.root, NIC), -ENOENT);
	fake_device(&fake, NIC, "0x8086", "0x10ed", "0x020000");
	unlink(fake_path("%s/devices/%s/rescan", fake.root, NIC));
	fd = pci_claim(fake.root, NIC);
	CHECK(fd >= 0);
	CHECK_EQ(pci_claim(fake.root, NIC), -EBUSY);
	close(fd);
	fd = pci_claim(fake.root, NIC);
	CHECK(fd >= 0);
	close(fd);
	fake_close(&fake);
	CHECK_EQ(open_fds(), before);
}

/* -- what a killed server left --------------------------------------------------------------------- */

static void read_reset(const struct fake_pci *fake, char text[8])
{
	memset(text, 0, 8);
	sysfs_read(fake->root, NIC, "reset", text, 8);
}

static void card_that_still_runs_is_stopped_and_reset(void)
{
	unsigned int before = open_fds();
	struct error error = {""};
	struct fake_pci fake;
	unsigned char config[FAKE_CONFIG_BYTES];
	int node = -1, fd;
	char text[8];

	fake_open(&fake);
	fake_device(&fake, NIC, "0x8086", "0x10fb", "0x020000");
	fake_set(&fake, NIC, "numa_node", "1");
	fake_config(&fake, NIC, 0x0407);
	CHECK_EQ(pci_prepare_below(fake.root, config_of("p0=pci:" NIC), &node, &error), 0);
	CHECK_EQ(fake_command(&fake, NIC), 0x0403);
	read_reset(&fake, text);
	CHECK_EQ(text[0], '1');
	CHECK_EQ(node, 1);
	/* two bytes were written and no others */
	fd = open(fake_path("%s/devices/%s/config", fake.root, NIC), O_RDONLY | O_CLOEXEC);
	CHECK_EQ(read(fd, config, sizeof(config)), (ssize_t)sizeof(config));
	for (unsigned int i = 0; i < sizeof(config); i++)
		CHECK(i == 4 || i == 5 || config[i] == 0xa5);
	close(fd);
	fake_close(&fake);
	CHECK_EQ(open_fds(), before);
}

/* Its server ends while we wait for the claim, and the kernel's driver has it again, and it runs. */
static void card_that_was_just_given_back_is_not_stopped(void)
{
	struct error error = {""};
	int pipe_fds[2], node = -1;
	struct fake_pci fake;
	char byte, text[8];
	pid_t child;

	fake_open(&fake);
	fake_device(&fake, NIC, "0x8086", "0x10fb", "0x020000");
	fake_config(&fake, NIC, COMMAND_MEMORY | COMMAND_MASTER);
	CHECK_EQ(pipe(pipe_fds), 0);
	child = fork();
	if (child == 0) {
		int fd = pci_claim(fake.root, NIC);

		if (fd < 0 || write(pipe_fds[1], "", 1) != 1)
			_exit(1);
		nanosleep(&(const struct timespec){0, 200000000}, NULL);
		fake_driver(&fake, NIC, "ixgbe");
		_exit(0); /* and the claim is free */
	}
	CHECK_EQ(read(pipe_fds[0], &byte, 1), 1);
	CHECK_EQ(pci_prepare_below(fake.root, config_of("p0=pci:" NIC), &node, &error), 0);
	CHECK_EQ(waitpid(child, NULL, 0), child);
	CHECK_EQ(fake_command(&fake, NIC), COMMAND_MEMORY | COMMAND_MASTER);
	read_reset(&fake, text);
	CHECK_EQ(text[0], 0);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	fake_close(&fake);
}

/* Nobody starts it in the middle: a reset that takes long, seen from another process. */
static void card_is_claimed_while_it_is_stopped(void)
{
	struct error error = {""};
	struct fake_pci fake;
	const char *reset;
	int node = -1, status;
	pid_t child;

	fake_open(&fake);
	fake_device(&fake, NIC, "0x8086", "0x10fb", "0x020000");
	fake_config(&fake, NIC, COMMAND_MEMORY | COMMAND_MASTER);
	reset = fake_path("%s/devices/%s/reset", fake.root, NIC);
	CHECK(unlink(reset) == 0 && mkfifo(reset, 0600) == 0);
	child = fork();
	if (child == 0) {
		int fd, claim;
		char byte;

		alarm(60); /* if it is never stopped */
		while (fake_command(&fake, NIC) & COMMAND_MASTER)
			nanosleep(&(const struct timespec){0, 1000000}, NULL);
		claim = pci_claim(fake.root, NIC);
		fd = open(fake_path("%s/devices/%s/reset", fake.root, NIC), O_RDONLY | O_CLOEXEC);
		_exit(read(fd, &byte, 1) != 1 || claim != -EBUSY);
	}
	CHECK_EQ(pci_prepare_below(fake.root, config_of("p0=pci:" NIC), &node, &error), 0);
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	fake_close(&fake);
}

static void card_that_is_quiet_or_gone_or_the_kernels_is_left_alone(void)
{
	struct error error = {""};
	struct fake_pci fake;
	int node = 0;
	char text[8];

	fake_open(&fake);
	fake_device(&fake, NIC, "0x8086", "0x10fb", "0x020000");
	fake_set(&fake, NIC, "numa_node", "1");
	fake_config(&fake, NIC, COMMAND_MEMORY);
	CHECK_EQ(pci_prepare_below(fake.root, config_of("p0=pci:" NIC), &node, &error), 0);
	CHECK_EQ(fake_command(&fake, NIC), COMMAND_MEMORY);
	CHECK_EQ(node, 0);               /* the first port's node counts */
	fake_config(&fake, NIC, 0xffff); /* all ones: there is no card any more */
	CHECK_EQ(pci_prepare_below(fake.root, config_of("p0=pci:" NIC), &node, &error), 0);
	CHECK_EQ(fake_command(&fake, NIC), 0xffff);
	fake_config(&fake, NIC, COMMAND_MEMORY | COMMAND_MASTER);
	fake_driver(&fake, NIC, "ixgbe");
	CHECK_EQ(pci_prepare_below(fake.root, config_of("p0=pci:" NIC), &node, &error), 0);
	CHECK_EQ(fake_command(&fake, NIC), COMMAND_MEMORY | COMMAND_MASTER);
	read_reset(&fake, text);
	CHECK_EQ(text[0], 0);
	fake_close(&fake);
}

static void card_without_a_reset_is_stopped_all_the_same(void)
{
	struct error error = {""};
	struct fake_pci fake;
	int node = -1;

	fake_open(&fake);
	fake_device(&fake, NIC, "0x1af4", "0x1000", "0x020000");
	fake_config(&fake, NIC, COMMAND_MASTER);
	unlink(fake_path("%s/devices/%s/reset", fake.root, NIC));
	CHECK_EQ(pci_prepare_below(fake.root, config_of("p0=pci:" NIC), &node, &error), 0);
	CHECK_EQ(fake_command(&fake, NIC), 0);
	CHECK_EQ(node, -1);
	CHECK(access(fake_path("%s/devices/%s/reset", fake.root, NIC), F_OK));
	fake_close(&fake);
}

static void card_that_is_none_is_not_prepared(void)
{
	struct error error = {""};
	struct fake_pci fake;
	int node = -1;

	fake_open(&fake);
	fake_device(&fake, DISK, "0x1af4", "0x1042", "0x018000");
	fake_config(&fake, DISK, COMMAND_MASTER);
	CHECK_EQ(pci_prepare_below(fake.root, config_of("p0=pci:" DISK), &node, &error), -1);
	CHECK_EQ(fake_command(&fake, DISK), COMMAND_MASTER);
	CHECK_EQ(pci_prepare_below(fake.root, config_of("p0=pci:" NIC), &node, &error), -1);
	fake_close(&fake);
}

/* -- the end ------------------------------------------------------------------------------------------ */

static int memory_file(const void *bytes, size_t n)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	if (fd < 0 || (n && pwrite(fd, bytes, n, 0) != (ssize_t)n))
		abort();
	return fd;
}

/* Closes a card that was ixgbe's, and was somebody's wish for igb; what was written where ends in the texts. */
static void close_card(uint16_t vendor, bool removed, bool wanted, char override[64], char bind[64])
{
	unsigned char config[FAKE_CONFIG_BYTES] = {(unsigned char)vendor,
	                                           (unsigned char)(vendor >> 8), 0, 0,
	                                           COMMAND_MEMORY | COMMAND_MASTER};
	struct pci_device device = {.info = {.address = NIC, .vendor = 0x8086, .driver = "ixgbe"},
	                            .access = PCI_SYSFS,
	                            .removed = removed,
	                            .removal_wanted = wanted};
	int override_fd = memory_file(NULL, 0), bind_fd = memory_file(NULL, 0),
	    config_fd = memory_file(config, sizeof(config));

	device.state = malloc(sizeof(*device.state));
	if (!device.state)
		abort();
	*device.state = pci_state_none();
	strcpy(device.state->port, "p0");
	strcpy(device.state->override, "igb");
	device.state->config_fd = dup(config_fd);
	device.state->override_fd = dup(override_fd);
	device.state->bind_fd = dup(bind_fd);
	device.state->overridden = device.state->taken = true;
	pci_close(&device);
	CHECK(device.state == NULL);
	memset(override, 0, 64);
	memset(bind, 0, 64);
	if (pread(override_fd, override, 63, 0) < 0 || pread(bind_fd, bind, 63, 0) < 0 ||
	    pread(config_fd, config, 5, 0) != 5)
		abort();
	CHECK_EQ(config[4] & COMMAND_MASTER, 0);
	close(override_fd);
	close(bind_fd);
	close(config_fd);
}

static void card_without_interrupts_says_how_many_queues_it_can_have(void)
{
	struct pci_state state = {.port = "p3", .device_fd = -1};
	struct pci_device device = {.info = {.address = NIC}, .state = &state};
	struct error error = {""};
	const int fds[4] = {-1, -1, -1, -1};

	CHECK_EQ(pci_enable_vectors(&device, fds, 4, &error), -1);
	CHECK(strstr(error.text, "p3") && strstr(error.text, "0 MSI-X interrupts"));
	CHECK(strstr(error.text, "4 queues (use queues=1)"));
}

static void card_is_given_back_to_its_driver(void)
{
	unsigned int before = open_fds();
	char override[64], bind[64];

	close_card(0x8086, false, false, override, bind);
	CHECK(strcmp(bind, NIC) == 0);
	CHECK(strcmp(override, "igb") == 0); /* written last */
	/* gone for a moment, as when the bus recovers from an error */
	close_card(0x8086, true, false, override, bind);
	CHECK(strcmp(bind, NIC) == 0);
	CHECK_EQ(open_fds(), before);
}

static void card_that_is_gone_is_not_given_back(void)
{
	char override[64], bind[64];

	close_card(0, true, false, override, bind);
	CHECK(bind[0] == 0 && override[0] == 0);
	close_card(0x8086, true, true, override, bind); /* the kernel wants it out */
	CHECK(bind[0] == 0 && override[0] == 0);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0); /* there are forks */
	RUN(address_is_read_in_both_forms);
	RUN(address_that_is_none_is_refused);
	RUN(info_of_a_device_is_what_its_files_say);
	RUN(info_of_a_lonely_device_says_so);
	RUN(link_is_cut_to_its_last_part);
	RUN(list_has_network_cards_only);
	RUN(bar_is_what_its_line_says);
	RUN(bar_whose_line_makes_no_sense_is_none);
	RUN(options_are_read_and_checked);
	RUN(option_that_makes_no_sense_names_the_port_and_what_is_allowed);
	RUN(look_at_what_is_no_card_says_what_there_is);
	RUN(plan_of_a_free_card_says_from_whom_and_how);
	RUN(plan_without_vfio_says_what_is_missing);
	RUN(plan_refuses_a_card_that_another_server_has);
	RUN(claim_of_a_virtual_function_works_as_well);
	RUN(card_that_still_runs_is_stopped_and_reset);
	RUN(card_that_was_just_given_back_is_not_stopped);
	RUN(card_is_claimed_while_it_is_stopped);
	RUN(card_that_is_quiet_or_gone_or_the_kernels_is_left_alone);
	RUN(card_without_a_reset_is_stopped_all_the_same);
	RUN(card_that_is_none_is_not_prepared);
	RUN(use_is_found_below_the_device_or_its_child);
	RUN(plan_refuses_a_card_in_use_unless_forced);
	RUN(plan_refuses_a_part_of_a_bridge_unless_forced);
	RUN(plan_refuses_a_card_below_a_vlan_unless_forced);
	RUN(plan_refuses_a_card_of_another_namespace_unless_forced);
	RUN(plan_refuses_a_card_whose_addresses_are_not_known);
	RUN(card_without_interrupts_says_how_many_queues_it_can_have);
	RUN(card_is_given_back_to_its_driver);
	RUN(card_that_is_gone_is_not_given_back);
	return DONE();
}
