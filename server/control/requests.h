/* requests.h - what clients ask for */
#ifndef CONTROL_REQUESTS_H
#define CONTROL_REQUESTS_H

#include "server/control/server.h"

/*
 * requests_ready - a session's socket is readable (or, with an answer pending, writable)
 *
 * Takes a few messages, each of which is checked for its form and its place before anything is done
 * with it; a bad one ends the session.
 */
void requests_ready(struct source *source, uint32_t events);

#endif
