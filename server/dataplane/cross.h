/* cross.h - what a worker sends to the others, and what it does with what they send (mesh.h) */
#ifndef DATAPLANE_CROSS_H
#define DATAPLANE_CROSS_H

#include "server/dataplane/worker.h"

/*
 * cross_give - frames that are WORKER's for a queue pair of another worker; what cannot cross is freed
 *
 * Drops are counted at @queue, from which the frames came.
 */
void cross_give(struct worker *w, struct port_queue *queue, struct qp *qp,
                const struct ixy_desc *descs, uint32_t n);

/*
 * cross_lendable - how many of @n frames a monitor of another worker can take, as far as can be seen
 *
 * A guess, rather too high than too low: what is on the way to it is left out, and what makes no sense is let
 * through. Its worker decides.
 */
uint32_t cross_lendable(const struct worker *w, const struct qp *qp, uint32_t n);

/*
 * cross_lend - places in the loans of @descs for a reader of another worker, as many as can cross
 *
 * Counts the others at @queue, from which the frames came.
 */
void cross_lend(struct worker *w, struct port_queue *queue, struct qp *qp,
                const struct ixy_desc *descs, uint32_t n);

/*
 * cross_miss - @n frames are not lent to a monitor, for want of cross_lendable: its worker is to count
 * them, by reason; they are counted at @queue if not even that can cross
 */
void cross_miss(struct worker *w, struct port_queue *queue, struct qp *qp, uint32_t n);

/*
 * cross_room - how many frames of a port a pair of another worker could take now, at most @n
 *
 * A careful guess: there may be more room. The port's monitors may need places on the way as well.
 */
uint32_t cross_room(struct worker *w, const struct qp *qp, unsigned int num_monitors, uint32_t n);

/* cross_send - checked frames, the queue's already, for a queue of another worker that has room */
void cross_send(struct worker *w, const struct port_queue *queue, const struct ixy_desc *descs,
                unsigned int n);

/* cross_send_room - how many frames can be sent on their way to @queue now, at most @n */
unsigned int cross_send_room(struct worker *w, const struct port_queue *queue, unsigned int n);

/*
 * cross_pass - what a client freed or sent through a pair of ours is held by @owner, a pair of another
 * worker, which is to check and execute it; false: not now, there is no room
 */
bool cross_pass(struct worker *w, const struct qp *owner, const struct ixy_desc *desc, bool free);

/* cross_receive - takes deliveries, and what comes back, which wait for nothing; returns how much */
unsigned int cross_receive(struct worker *w);

/*
 * cross_send_on - frees all that was passed to be freed; sends what the others' clients send by this
 * worker's ports, and what was passed to be sent, as far as there is room; returns how much that was
 *
 * Where a port has little room, nobody gets all of it: each other worker is first in turn, with what it
 * sent, then each with what it passed, and stays so until some of that was taken.
 */
unsigned int cross_send_on(struct worker *w, const struct tables *tables);

/* cross_flush - the end of a round: what was sent, and what is free, becomes visible to the others */
void cross_flush(struct worker *w);

/* cross_pending - is there anything that the two above would have to look at? */
bool cross_pending(const struct worker *w);

/*
 * cross_due_ns - until when the worker may sleep, as far as the others are concerned
 *
 * One of its queues may be closed to them. They drop for it and do not say so: nothing else would
 * ever have it looked at again.
 */
uint64_t cross_due_ns(const struct worker *w);

/*
 * cross_ask_back - wakes the workers that sleep, at most once a millisecond: this one needs buffers
 *
 * Their clients may have given some back just when they fell asleep, and nobody rings for that
 * (ixy_free_batch).
 */
void cross_ask_back(struct worker *w);

/*
 * cross_wake - after a full fence: wakes the workers that sleep and were sent something
 *
 * One that was woken less than @interval_ns ago is left for later; returns when, or NEVER_NS.
 */
uint64_t cross_wake(struct worker *w, uint64_t interval_ns);

#endif
