/* seccomp.h - the system calls that a running server may still make */
#ifndef SERVER_SECCOMP_H
#define SERVER_SECCOMP_H

#include <stdbool.h>

#include "server/error.h"

/*
 * seccomp_install - from here on no thread can make a system call that seccomp.c does not list
 *
 * Any other ends the process with SIGSYS. @may_kill: also SIGKILL for clients (--on-violation kill).
 * Holds for the threads that run and for those that they start. After privileges_drop, which sets
 * no_new_privs. A sanitizer build gets no filter, and says so. -1 with @error.
 */
int seccomp_install(bool may_kill, struct error *error);

#endif
