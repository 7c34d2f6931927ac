/* session.h - a connected process: from accept to the last buffer taken back */
#ifndef CONTROL_SESSION_H
#define CONTROL_SESSION_H

#include "server/control/server.h"

/*
 * session_accept - takes a connection from the listening socket, within the limits per user
 *
 * Returns false when none is waiting, or none can be taken now.
 */
bool session_accept(struct server *server);

/*
 * session_close - ends a session: tells the client @text (NULL: it is gone), stops serving it
 *
 * What it held is taken back by the worker after the next publication; then it is freed.
 */
void session_close(struct session *session, enum close_cause cause, const char *text);

/* session_refuse - answers REFUSED with @error (positive errno) and a formatted sentence */
void session_refuse(struct session *session, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* session_send - sends a message; a client that does not read is closed. -1 if it was */
int session_send(struct session *session, const union message *message, const int *fds);

/* sessions_sweep - frees closed sessions of which the worker never knew */
void sessions_sweep(struct server *server);

/* sessions_published - tables without closed sessions and with new ones are out: goes on with both */
void sessions_published(struct server *server);

/* sessions_look - the worker reported something: violations, finished reclaims */
void sessions_look(struct server *server);

/* sessions_tick - closes those that connected and never said what they want */
void sessions_tick(struct server *server);

/* sessions_end - closes all, because the server stops */
void sessions_end(struct server *server);

/*
 * session_free - frees a session of which the worker knows nothing any more
 *
 * If closing its socket may take long, it stays on the list, closed, until that is done.
 */
void session_free(struct session *session);

#endif
