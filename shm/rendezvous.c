/* rendezvous.c - where the sockets of servers lie */
#include "shm/rendezvous.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include <ixy/abi.h>

bool rendezvous_name_ok(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len >= IXY_NAME_BYTES || name[0] == '.')
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("-_.", name[i]))
			return false;
	return true;
}

static int user_dir(char *dir, size_t dir_bytes)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	int len;

	if (!runtime || !*runtime)
		return -ENOENT;
	len = snprintf(dir, dir_bytes, "%s/ixy", runtime);
	return len < 0 || (size_t)len >= dir_bytes ? -ENAMETOOLONG : 0;
}

int rendezvous_server_dir(char *dir, size_t dir_bytes)
{
	if (geteuid() != 0)
		return user_dir(dir, dir_bytes);
	snprintf(dir, dir_bytes, "%s", RENDEZVOUS_SYSTEM_DIR);
	return 0;
}

bool rendezvous_client_dir(unsigned int index, char *dir, size_t dir_bytes)
{
	const char *only = getenv("IXY_SOCKET_DIR");

	if (only && *only) {
		snprintf(dir, dir_bytes, "%s", only);
		return index == 0;
	}
	if (user_dir(dir, dir_bytes) == 0 && index-- == 0)
		return true;
	snprintf(dir, dir_bytes, "%s", RENDEZVOUS_SYSTEM_DIR);
	return index == 0;
}

int rendezvous_path(const char *dir, const char *name, char *path, size_t path_bytes)
{
	struct sockaddr_un address;
	int len = snprintf(path, path_bytes, "%s/%s.sock", dir, name);

	if (len < 0 || (size_t)len >= path_bytes || (size_t)len >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	return 0;
}
