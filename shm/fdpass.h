/* fdpass.h - one control message, and the descriptors beside it, over a SOCK_SEQPACKET socket */
#ifndef SHM_FDPASS_H
#define SHM_FDPASS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "shm/message.h"

/*
 * fdpass_send - sends @message (its header says how long) with message_num_fds() of @fds
 *
 * The descriptors stay the caller's. Never raises SIGPIPE. @flags as for sendmsg(2).
 * Returns 0 or a negative errno (-EAGAIN: the peer does not read).
 */
int fdpass_send(int socket, const union message *message, const int *fds, int flags);

/*
 * fdpass_recv - receives one message, of at most MESSAGE_MAX_BYTES, and its descriptors
 *
 * @fds has room for MESSAGE_MAX_FDS; *@num_fds says how many came, all close-on-exec and the
 * caller's. More than fit, or a cut message, is -EPROTO, and none are kept. Does not check the
 * content. Returns the message's size in bytes, 0 at the end of the connection, or a negative errno.
 */
ssize_t fdpass_recv(int socket, union message *message, int *fds, unsigned int *num_fds, int flags);

/*
 * fdpass_recv_plain - receives one message from a peer that has no descriptors to send
 *
 * Looks at the message before it takes it: one with descriptors stays in the queue and is -EPROTO,
 * since the descriptors in it may be such that dropping them takes for ever (fdpass_refuse). Never
 * blocks. Otherwise as fdpass_recv.
 */
ssize_t fdpass_recv_plain(int socket, union message *message);

/*
 * fdpass_drain - may @socket be closed by somebody who cannot wait?
 *
 * Yes at once, if it refused descriptors (fdpass_refuse) before anybody could send. Otherwise ends
 * reception, so that nothing can follow, and takes what is queued. False: there are descriptors in the
 * queue, and a thread that may block has to close the socket.
 */
bool fdpass_drain(int socket);

/* fdpass_close - closes @n descriptors */
void fdpass_close(const int *fds, unsigned int n);

/*
 * fdpass_refuse - from now on nobody can send descriptors to @socket (accepted ones inherit it)
 *
 * Whoever drops the last reference to a file does its last work: a TCP socket with SO_LINGER makes
 * recv() or close() wait for hours. Linux 6.16; returns false before that.
 */
bool fdpass_refuse(int socket);

#endif
