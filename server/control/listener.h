/* listener.h - the server's name: a lock that says who has it, and the socket that clients find */
#ifndef CONTROL_LISTENER_H
#define CONTROL_LISTENER_H

#include <stdbool.h>
#include <sys/types.h>

#include "server/error.h"
#include "server/privileges.h"

struct listener {
	int lock_fd; /* flock(2) is held as long as the process lives */
	int fd;      /* listening socket */
	char lock_path[128];
	char socket_path[128];
};

/*
 * listener_check - is the name free? Touches nothing. 0, or -1 with @error (which has the pid)
 */
int listener_check(const char *dir, const char *name, struct error *error);

/*
 * listener_lock - makes the directory where it is missing, and takes the name
 *
 * A lock that a dead server left is taken over: the kernel released it. The file is readable by its
 * owner only, since whoever can open it could hold the lock.
 */
int listener_lock(struct listener *listener, const char *dir, bool default_dir, const char *name,
                  const struct identity *identity, struct error *error);

/*
 * listener_open - the socket itself, in place of a stale one; the lock is held
 *
 * It gets its mode and group before anybody can connect.
 */
int listener_open(struct listener *listener, mode_t mode, const struct identity *identity,
                  struct error *error);

/* listener_close - removes socket and lock */
void listener_close(struct listener *listener);

#endif
