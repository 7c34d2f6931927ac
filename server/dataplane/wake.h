/* wake.h - waking clients and other workers, and the worker's own sleep */
#ifndef DATAPLANE_WAKE_H
#define DATAPLANE_WAKE_H

#include "server/dataplane/worker.h"

/*
 * wake_all - wakes those to whom something was published and who sleep for it
 *
 * Fences at most once per microsecond while there is work (@busy). At most one wake-up per client in
 * 20 us, all by the wakers; what is due later stays on the list. Returns when the next is due, in ns of CLOCK_MONOTONIC, or NEVER_NS.
 */
uint64_t wake_all(struct worker *w, bool busy);

/* wake_send - wakes the client of @qp; a system call, whose cost is the client's to choose: no worker's */
void wake_send(const struct qp *qp);

/*
 * wake_promise - an adaptive worker with traffic all the time: clients need no fence from now on
 *
 * wake_take_back - ends that, before the worker may sleep; false if nothing was promised
 *
 * A client that read AWAKE just before wake_take_back may have published what is visible only a little
 * later. So the worker looks for a while yet, and until nap_until_ns it sleeps no longer than to then.
 */
void wake_promise(struct worker *w);
bool wake_take_back(struct worker *w);

/*
 * worker_sleep - sleeps until a doorbell, a device, a command or @until_ns, whichever is first
 *
 * Returns at once when there is something to do. @tables must not be used afterwards.
 */
void worker_sleep(struct worker *w, const struct tables *tables, uint64_t until_ns);

/* worker_watch_device - a sleeping worker is to be woken by what the queue's driver waits for */
int worker_watch_device(struct worker *w, struct port_queue *queue);

#endif
