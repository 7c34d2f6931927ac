/* fork.c - a child of fork() is cut off from its parent's clients before it runs a line of its own
 */
#include "client-lib/client_private.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

/* All clients of this process. The lock is held across a fork, so that the child's copy is whole.
 */
static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct ixy_client *registry;
static pthread_once_t handlers_once = PTHREAD_ONCE_INIT;
static int handlers_error;

/* What an orphan's fast path finds in place of the header's alive word: not the value it wants. */
static const uint32_t dead_word;

/*
 * The kernel left a hole where the parent has the server's memory (MADV_DONTFORK). Zeros take its
 * place, so that a pointer into a packet that the child still has does not kill it. Should someone
 * else's fork handler have mapped something there already, that stays.
 */
static void replace_by_zeros(struct mapping *mapping, int prot)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
	void *base;

	if (!mapping->base)
		return;
	base = mmap(mapping->base, mapping->bytes, prot, flags, -1, 0);
	if (base != MAP_FAILED && base != mapping->base)
		munmap(base, mapping->bytes); /* a kernel before 4.17 took it for a hint */
	if (base != mapping->base)
		mapping->base = NULL;
}

static void orphan_queue_pair(struct queue_pair *pair)
{
	/* ixy_qp_is_open() looks here first, and the batch functions look at nothing before it */
	pair->qp.alive = &dead_word;
	pair->qp.alive_value = 1;
	replace_by_zeros(&pair->down, PROT_READ);
	replace_by_zeros(&pair->up, PROT_READ | PROT_WRITE);
	pair->counters = NULL;
	close_fd(&pair->qp.wait_fd);
	close_fd(&pair->qp.doorbell_fd);
}

static void orphan_client(struct ixy_client *client)
{
	client->orphan = true;
	pthread_mutex_init(&client->reason_lock, NULL); /* another thread may have had it */
	for (unsigned int i = 0; i < client->num_qps; i++)
		orphan_queue_pair(&client->qps[i]);
	for (unsigned int i = 0; i < IXY_MAX_REGIONS; i++)
		replace_by_zeros(&client->regions[i], PROT_READ | PROT_WRITE);
	replace_by_zeros(&client->header, PROT_READ);
	close_fd(&client->control);
}

static void before_fork(void)
{
	pthread_mutex_lock(&registry_lock);
}

static void after_fork_in_parent(void)
{
	pthread_mutex_unlock(&registry_lock);
}

static void after_fork_in_child(void)
{
	for (struct ixy_client *client = registry; client; client = client->next)
		if (!client->orphan)
			orphan_client(client);
	pthread_mutex_unlock(&registry_lock);
}

static void install_handlers(void)
{
	handlers_error = -pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

int registry_add(struct ixy_client *client)
{
	pthread_once(&handlers_once, install_handlers);
	if (handlers_error < 0)
		return handlers_error;
	pthread_mutex_lock(&registry_lock);
	client->next = registry;
	registry = client;
	pthread_mutex_unlock(&registry_lock);
	return 0;
}

void registry_remove(struct ixy_client *client)
{
	pthread_mutex_lock(&registry_lock);
	for (struct ixy_client **link = &registry; *link; link = &(*link)->next) {
		if (*link == client) {
			*link = client->next;
			break;
		}
	}
	pthread_mutex_unlock(&registry_lock);
}
