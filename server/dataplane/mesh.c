/* mesh.c - the rings between two workers: made before the workers run, freed after they ended */
#include "server/dataplane/mesh.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static uint32_t power_of_two(uint32_t n)
{
	uint32_t power = 1;

	while (power < n)
		power *= 2;
	return power;
}

static void *lines(size_t bytes)
{
	return aligned_alloc(IXY_CACHE_LINE, (bytes + IXY_CACHE_LINE - 1) & ~(size_t)63);
}

static void link_free(struct mesh_link *link)
{
	free(link->deliver);
	free(link->send);
	free(link->pass);
	free(link->freed);
	free(link->back);
	free(link);
}

static struct mesh_link *link_new(uint32_t back_slots)
{
	struct mesh_link *link = lines(sizeof(*link));

	if (!link)
		return NULL;
	memset(link, 0, sizeof(*link));
	link->slots[MESH_DELIVER] = MESH_DELIVER_SLOTS;
	link->slots[MESH_SEND] = MESH_SEND_SLOTS;
	link->slots[MESH_PASS] = MESH_PASS_SLOTS;
	link->slots[MESH_BACK] = back_slots;
	link->slots[MESH_FREE] = MESH_FREE_SLOTS;
	link->deliver = lines(MESH_DELIVER_SLOTS * sizeof(*link->deliver));
	link->send = lines(MESH_SEND_SLOTS * sizeof(*link->send));
	link->pass = lines(MESH_PASS_SLOTS * sizeof(*link->pass));
	link->freed = lines(MESH_FREE_SLOTS * sizeof(*link->freed));
	link->back = lines((size_t)back_slots * sizeof(*link->back));
	if (link->deliver && link->send && link->pass && link->freed && link->back)
		return link;
	link_free(link);
	return NULL;
}

int mesh_connect(struct mesh *from_mesh, unsigned int from, struct mesh *to_mesh, unsigned int to,
                 uint32_t to_bufs)
{
	struct mesh_link *link = link_new(power_of_two(to_bufs + MESH_MAX_LOANS));

	if (!link)
		return -1;
	from_mesh->to[to] = to_mesh->from[from] = link;
	return 0;
}

void mesh_free(struct mesh *mesh)
{
	for (unsigned int i = 0; i < IXY_MAX_WORKERS; i++)
		if (mesh->to[i])
			link_free(mesh->to[i]);
}

void mesh_back(struct mesh *mesh, unsigned int to, uint32_t buf)
{
	struct mesh_link *link = mesh->to[to];

	assert(mesh_room(link, MESH_BACK, 1));
	link->back[mesh_put(mesh, to, MESH_BACK)] = buf;
}
