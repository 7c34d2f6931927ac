/* workers.h - the workers of a server: made, bound to queues and pool, started, stopped */
#ifndef CONTROL_WORKERS_H
#define CONTROL_WORKERS_H

#include "server/control/server.h"

/* workers_make - allocates them and the mesh between them; what they need else comes later. -1: memory */
int workers_make(struct server *server);
void workers_free(struct server *server);

/* workers_bind - gives each its part of the pool and its word in the header */
int workers_bind(struct server *server, struct error *error);

/*
 * workers_take_queues - shares the queues of @port among the workers
 *
 * With a queue for every worker, worker w has queue w, and w + n, and so on. With fewer, they go to the
 * workers after those that the last such port had; those of a file always to the first (driver.h).
 */
int workers_take_queues(struct server *server, struct port *port, struct error *error);

/* workers_plan_capacity - settles how many buffers can be promised to clients; after ports are open */
int workers_plan_capacity(struct server *server, struct error *error);

/*
 * workers_keep - after promises changed: what may still be promised is not to be lent as shares
 *
 * workers_can_keep - is everything that is promised there? Buffers that were lent as shares before may
 * still be with those who keep them.
 */
void workers_keep(struct server *server);
bool workers_can_keep(const struct server *server);

/* workers_open - makes what they sleep on, and lets the control loop watch them; -1 with errno */
int workers_open(struct server *server);
void workers_close(struct server *server);

/* workers_start - starts the threads; the tables have to be published. workers_stop: ends and joins them */
int workers_start(struct server *server, struct error *error);
void workers_stop(struct server *server);

/* workers_choose - the worker for the @index-th of @num queue pairs of a new client */
unsigned int workers_choose(const struct server *server, unsigned int index, unsigned int num);

#endif
