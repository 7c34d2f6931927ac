/* rendezvous.h - where the sockets of servers lie, so that a name is enough to find one */
#ifndef SHM_RENDEZVOUS_H
#define SHM_RENDEZVOUS_H

#include <stdbool.h>
#include <stddef.h>

#define RENDEZVOUS_SYSTEM_DIR "/run/ixy"

/* rendezvous_name_ok - letters, digits, '-', '_' and '.', 1 to 31 of them, not beginning with '.' */
bool rendezvous_name_ok(const char *name);

/*
 * rendezvous_server_dir - the directory in which a server of this user puts its socket by default
 *
 * /run/ixy for root, $XDG_RUNTIME_DIR/ixy for others. Returns 0, -ENOENT without XDG_RUNTIME_DIR,
 * -ENAMETOOLONG.
 */
int rendezvous_server_dir(char *dir, size_t dir_bytes);

/*
 * rendezvous_client_dirs - the @index-th directory in which a client looks
 *
 * $IXY_SOCKET_DIR alone where it is set; else $XDG_RUNTIME_DIR/ixy, then /run/ixy. Returns false
 * after the last.
 */
bool rendezvous_client_dir(unsigned int index, char *dir, size_t dir_bytes);

/* rendezvous_path - DIR/NAME.sock; returns 0, or -ENAMETOOLONG when no socket address has room */
int rendezvous_path(const char *dir, const char *name, char *path, size_t path_bytes);

#endif
