/* listener.c - takes a server name: lock file first, then the socket under its final mode */
#include "server/control/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "server/log.h"
#include "shm/fdpass.h"
#include "shm/rendezvous.h"

#define BACKLOG 128

static int make_paths(struct listener *l, const char *dir, const char *name, struct error *error)
{
	int len = snprintf(l->lock_path, sizeof(l->lock_path), "%s/%s.lock", dir, name);

	if (len < 0 || (size_t)len >= sizeof(l->lock_path) ||
	    rendezvous_path(dir, name, l->socket_path, sizeof(l->socket_path)))
		return error_set(error, "--socket-dir %s: too long for a socket address", dir);
	return 0;
}

static int refuse_second(int lock_fd, const char *name, struct error *error)
{
	char pid[16] = "";
	ssize_t len = pread(lock_fd, pid, sizeof(pid) - 1, 0);

	if (len > 0)
		pid[strcspn(pid, "\n")] = 0;
	return error_set(
		error,
		"a server called '%s' runs already, with pid %s; use another --name, or stop it "
		"with: kill %s",
		name, pid, pid);
}

int listener_check(const char *dir, const char *name, struct error *error)
{
	struct listener l;
	int fd, result = 0;

	if (make_paths(&l, dir, name, error))
		return -1;
	fd = open(l.lock_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0
		                       : error_set(error, "%s: %s", l.lock_path, strerror(errno));
	if (flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK)
		result = refuse_second(fd, name, error);
	close(fd);
	return result;
}

static int make_dir(const char *dir, bool default_dir, const struct identity *identity,
                    struct error *error)
{
	uid_t uid = identity->change ? identity->uid : geteuid();
	bool made = mkdir(dir, 0755) == 0;
	struct stat there;

	if (!made && errno != EEXIST)
		return error_set(error,
		                 "cannot make the directory %s: %s; make it, or use another "
		                 "with --socket-dir DIR",
		                 dir, strerror(errno));
	/* so that the socket can be removed once root is given up */
	if (identity->change && (made || default_dir) && chown(dir, identity->uid, identity->gid))
		log_warn("%s cannot be given to the server's user", dir);
	if (geteuid() == 0 && stat(dir, &there) == 0 && there.st_uid != uid)
		log_info(
			"%s belongs to user %u: the socket will stay there when the server stops, and "
			"the next start takes it over",
			dir, (unsigned int)there.st_uid);
	return 0;
}

/* Locks the file that is at the path now: another server may have removed the one we opened. */
static int lock_file(struct listener *l, const char *name, struct error *error)
{
	struct stat opened, there;

	for (;;) {
		l->lock_fd = open(l->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (l->lock_fd < 0)
			return error_set(error,
			                 "cannot open %s: %s; use another directory with "
			                 "--socket-dir DIR, or become root",
			                 l->lock_path, strerror(errno));
		if (flock(l->lock_fd, LOCK_EX | LOCK_NB)) {
			refuse_second(l->lock_fd, name, error);
			close(l->lock_fd);
			return -1;
		}
		if (fstat(l->lock_fd, &opened) == 0 && stat(l->lock_path, &there) == 0 &&
		    opened.st_ino == there.st_ino && opened.st_dev == there.st_dev)
			return 0;
		close(l->lock_fd);
	}
}

int listener_lock(struct listener *l, const char *dir, bool default_dir, const char *name,
                  const struct identity *identity, struct error *error)
{
	char pid[16];
	int len = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());

	l->fd = -1;
	if (make_paths(l, dir, name, error) || make_dir(dir, default_dir, identity, error) ||
	    lock_file(l, name, error))
		return -1;
	if (ftruncate(l->lock_fd, 0) || pwrite(l->lock_fd, pid, (size_t)len, 0) != len) {
		error_set(error, "cannot write %s: %s", l->lock_path, strerror(errno));
		unlink(l->lock_path);
		close(l->lock_fd);
		return -1;
	}
	if (identity->change && fchown(l->lock_fd, identity->uid, identity->gid))
		log_warn("%s cannot be given to the server's user", l->lock_path);
	return 0;
}

int listener_open(struct listener *l, mode_t mode, const struct identity *identity,
                  struct error *error)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	uid_t uid = identity->change ? identity->uid : (uid_t)-1;
	gid_t gid = identity->has_group ? identity->socket_gid
	            : identity->change  ? identity->gid
	                                : (gid_t)-1;
	mode_t mask;
	int bound;

	memcpy(address.sun_path, l->socket_path, strlen(l->socket_path) + 1);
	l->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0)
		return error_set(error, "socket: %s", strerror(errno));
	if (!fdpass_refuse(l->fd))
		log_warnx(
			"this kernel (before 6.16) cannot refuse descriptors that clients send: one "
			"of them can make the server wait for as long as it likes");
	/* we hold the lock, so a socket that is there belongs to nobody */
	if (unlink(l->socket_path) && errno != ENOENT)
		return error_set(error, "cannot remove the stale socket %s: %s", l->socket_path,
		                 strerror(errno));
	/* the file gets the socket's mode; lchown, since the directory may be another user's */
	mask = umask(0);
	bound = fchmod(l->fd, mode) || bind(l->fd, (struct sockaddr *)&address, sizeof(address));
	umask(mask);
	if (bound || lchown(l->socket_path, uid, gid) || listen(l->fd, BACKLOG))
		return error_set(error, "cannot listen at %s: %s", l->socket_path, strerror(errno));
	return 0;
}

void listener_close(struct listener *l)
{
	if (l->fd >= 0) {
		unlink(l->socket_path);
		close(l->fd);
	}
	unlink(l->lock_path);
	close(l->lock_fd);
}
