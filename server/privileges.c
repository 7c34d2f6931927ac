/* privileges.c - drops what the server does not need any more */
#include "server/privileges.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "server/log.h"

#define DEFAULT_USER "ixy"

static int find_group(struct identity *identity, const char *name, struct error *error)
{
	const struct group *group = getgrnam(name);

	if (!group)
		return error_set(
			error,
			"--socket-group %s: no such group; make it with: groupadd --system %s",
			name, name);
	identity->has_group = true;
	identity->socket_gid = group->gr_gid;
	return 0;
}

int identity_find(struct identity *identity, const char *user, const char *group,
                  struct error *error)
{
	const char *wanted = user ? user : DEFAULT_USER;
	const struct passwd *entry;

	memset(identity, 0, sizeof(*identity));
	if (group && find_group(identity, group, error))
		return -1;
	if (strcmp(wanted, "nobody") == 0)
		return error_set(error,
		                 "--user nobody: processes of others run as nobody and could "
		                 "interfere; make a user: useradd --system ixy");
	if (geteuid() != 0)
		return user ? error_set(error, "--user %s: only root can change the user", user)
		            : 0;
	entry = getpwnam(wanted);
	if (!entry && user)
		return error_set(error,
		                 "--user %s: no such user; make it with: useradd --system %s", user,
		                 user);
	if (!entry) {
		log_warnx(
			"stays root, since there is no user '%s'; make it with: useradd --system %s",
			DEFAULT_USER, DEFAULT_USER);
		return 0;
	}
	identity->change = entry->pw_uid != 0;
	identity->uid = entry->pw_uid;
	identity->gid = entry->pw_gid;
	return 0;
}

/*
 * Keeps those that are used later, if they are there. Also for who stays: root needs no others from here
 * on, and a program file with capabilities (setcap) gives them to its user's server until it ends.
 */
static int keep_capabilities(bool may_kill)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct has[_LINUX_CAPABILITY_U32S_3] = {{0}};
	struct __user_cap_data_struct keeps[_LINUX_CAPABILITY_U32S_3] = {{0}};
	uint32_t used = CAP_TO_MASK(CAP_IPC_LOCK) | (may_kill ? CAP_TO_MASK(CAP_KILL) : 0);

	if (syscall(SYS_capget, &header, has))
		return -1;
	keeps[0].permitted = keeps[0].effective = has[0].permitted & used;
	return (int)syscall(SYS_capset, &header, keeps);
}

static int change_user(const struct identity *identity)
{
	return prctl(PR_SET_KEEPCAPS, 1) || setgroups(0, NULL) ||
	                       setresgid(identity->gid, identity->gid, identity->gid) ||
	                       setresuid(identity->uid, identity->uid, identity->uid) ||
	                       prctl(PR_SET_KEEPCAPS, 0)
	               ? -1
	               : 0;
}

int privileges_drop(const struct identity *identity, bool may_kill, struct error *error)
{
	if (identity->change && change_user(identity))
		return error_set(error, "cannot become user %u: %s", (unsigned int)identity->uid,
		                 strerror(errno));
	if (keep_capabilities(may_kill))
		return error_set(error, "cannot give up capabilities: %s", strerror(errno));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return error_set(error, "prctl(PR_SET_NO_NEW_PRIVS): %s", strerror(errno));
#if !defined(__SANITIZE_ADDRESS__) /* its leak checker attaches to the process */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return error_set(error, "prctl(PR_SET_DUMPABLE): %s", strerror(errno));
#endif
	return 0;
}
