/* servers.c - looks for NAME.sock in the directories of shm/rendezvous.h */
#include "client-lib/tools/servers.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shm/rendezvous.h"

#define GREETING_NS 1000000000u

/* NAME of NAME.sock; false for any other file. */
static bool server_name(const char *file, char name[IXY_NAME_BYTES])
{
	size_t len = strlen(file);

	if (len < 6 || len - 5 >= IXY_NAME_BYTES || strcmp(file + len - 5, ".sock") != 0)
		return false;
	memcpy(name, file, len - 5);
	name[len - 5] = 0;
	return rendezvous_name_ok(name);
}

static int add_socket(struct server_sockets *found, const char *dir, const char *name,
                      struct failure *failure)
{
	size_t bytes = (found->count + 1) * sizeof(*found->sockets);
	struct server_socket *sockets = realloc(found->sockets, bytes);
	struct server_socket *added;

	if (!sockets)
		return fail(failure, ENOMEM, "out of memory for %u sockets", found->count + 1);
	found->sockets = sockets;
	added = &sockets[found->count];
	if (rendezvous_path(dir, name, added->path, sizeof(added->path)) < 0)
		return 0; /* nobody can listen there either */
	snprintf(added->name, sizeof(added->name), "%s", name);
	found->count++;
	return 0;
}

static int scan(const char *dir, struct server_sockets *found, struct failure *failure)
{
	char name[IXY_NAME_BYTES];
	struct dirent *entry;
	DIR *stream = opendir(dir);
	int error = 0;

	if (!stream && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (!stream)
		return fail(failure, errno, "cannot read %s: %s; give the server's name with -n",
		            dir, strerror(errno));
	while (error == 0 && (entry = readdir(stream)))
		if (server_name(entry->d_name, name))
			error = add_socket(found, dir, name, failure);
	closedir(stream);
	return error;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct server_socket *)a)->name,
	              ((const struct server_socket *)b)->name);
}

int servers_find(const char *dir, struct server_sockets *found, struct failure *failure)
{
	char next[sizeof(found->sockets->path)];
	int error = 0;

	found->sockets = NULL;
	found->count = 0;
	if (dir)
		error = scan(dir, found, failure);
	for (unsigned int i = 0; !dir && error == 0; i++) {
		if (!rendezvous_client_dir(i, next, sizeof(next)))
			break;
		error = scan(next, found, failure);
	}
	if (error < 0)
		servers_free(found);
	else if (found->count)
		qsort(found->sockets, found->count, sizeof(*found->sockets), by_name);
	return error;
}

void servers_free(struct server_sockets *found)
{
	free(found->sockets);
	found->sockets = NULL;
	found->count = 0;
}

static bool is_live(const struct server_socket *s)
{
	struct connection connection;
	struct failure ignored;
	int fd = connect_name(s->path, NULL, "ixyctl", clock_ns() + GREETING_NS, &connection,
	                      &ignored);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

int servers_only(const char *dir, char name[IXY_NAME_BYTES], struct failure *failure)
{
	struct server_sockets found;
	char names[512] = "";
	unsigned int live = 0;
	int error = servers_find(dir, &found, failure);

	if (error < 0)
		return error;
	for (unsigned int i = 0; i < found.count; i++) {
		size_t len = strlen(names);

		if (!is_live(&found.sockets[i]))
			continue;
		snprintf(names + len, sizeof(names) - len, "%s%s", live ? ", " : "",
		         found.sockets[i].name);
		memcpy(name, found.sockets[i].name, IXY_NAME_BYTES);
		live++;
	}
	servers_free(&found);
	if (live == 1)
		return 0;
	if (live)
		return fail(failure, EINVAL, "several servers run (%s): choose one with -n NAME",
		            names);
	return fail(failure, ENOENT,
	            "no server runs%s%s that user %u may connect to; \"ixyctl list\" shows what is "
	            "there, \"ixyctl doctor\" what a new one would need",
	            dir ? " in " : "", dir ? dir : "", (unsigned int)geteuid());
}
