/* reclaim.h - takes back what a client held that is gone */
#ifndef DATAPLANE_RECLAIM_H
#define DATAPLANE_RECLAIM_H

#include "server/dataplane/worker.h"

/* reclaim_slice - looks at the next few thousand buffers for those of clients that left */
void reclaim_slice(struct worker *w);

#endif
