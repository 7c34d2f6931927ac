/*
 * confine_memory.c - an unprivileged client attacks every piece of memory that it is given
 *
 *	confine_memory SOCKET readonly|shared	attaches, and attacks before and after MAPPED; shows what
 *	                                     	it holds, and sleeps until its standard input ends
 *	confine_memory SOCKET seals          	puts every combination of seals on the up lane first
 *	confine_memory self                   makes the same attacks on memory of its own, where nothing
 *	                                     	forbids them: one that fails there proves nothing
 *	confine_memory give PATH SOCKET      	attaches, and sends header, down lane, up lane and a
 *	                                     	read-only pool to another process at the socket PATH
 *	confine_memory take PATH             	is that process, of another user, and attacks them
 *
 * Prints a line for each attack that had to be refused and was not, or that changed anything, and
 * what a writable descriptor is good for; exits with 1 if anything had to be refused and was not.
 */
#include <sys/statfs.h>

#include "confine_change.h"

/*
 * What has to become of an attack. Of an object for which the descriptor is writable, the attacks
 * WITH_A_WRITABLE_ONE may succeed: law 3 says which objects these are.
 */
enum outcome { REFUSED, WITH_A_WRITABLE_ONE, WITHOUT_EFFECT };

struct attack {
	const char *name;
	bool (*run)(const struct target *t);
	enum outcome outcome;
	bool never; /* not even on memory of one's own: without privilege, or for this kind of memory */
};

static const struct attack attacks[] = {
	{"mmap(PROT_WRITE, MAP_SHARED)", map_shared, WITH_A_WRITABLE_ONE, false},
	{"mmap(PROT_WRITE, MAP_SHARED_VALIDATE)", map_shared_validate, WITH_A_WRITABLE_ONE, false},
	{"mmap(PROT_WRITE, MAP_SHARED|MAP_FIXED)", map_fixed, WITH_A_WRITABLE_ONE, false},
	{"mmap(PROT_WRITE, MAP_PRIVATE)", map_private, WITHOUT_EFFECT, false},
	{"mmap(PROT_WRITE|PROT_EXEC, MAP_SHARED)", map_executable, WITH_A_WRITABLE_ONE, false},
	{"mprotect(PROT_WRITE)", protect, WITH_A_WRITABLE_ONE, false},
	{"mremap, then mprotect(PROT_WRITE)", remap, WITH_A_WRITABLE_ONE, false},
	{"open(/proc/self/fd, O_RDWR)", reopen_rw, REFUSED, false},
	{"open(/proc/thread-self/fd, O_WRONLY)", reopen_wo, REFUSED, false},
	{"open(/proc/self/fd, O_TRUNC)", reopen_trunc, REFUSED, false},
	{"openat(fd, \"\")", reopen_empty_path, REFUSED, true},
	{"open(/proc/self/map_files)", reopen_map_files, REFUSED, true},
	{"open_by_handle_at", open_handle, REFUSED, true},
	{"F_SETFL O_RDWR, then write", raise_flags, WITH_A_WRITABLE_ONE, false},
	{"write, pwrite", write_file, WITH_A_WRITABLE_ONE, false},
	{"write to /proc/self/mem", write_proc_mem, WITH_A_WRITABLE_ONE, false},
	{"process_vm_writev into the mapping", write_process_vm, WITH_A_WRITABLE_ONE, false},
	{"PTRACE_POKEDATA into the mapping", poke, WITH_A_WRITABLE_ONE, false},
	{"read into the mapping", read_into, WITH_A_WRITABLE_ONE, false},
	{"splice from a pipe", splice_into, WITH_A_WRITABLE_ONE, false},
	{"vmsplice into the mapping", vmsplice_into, WITH_A_WRITABLE_ONE, false},
	{"splice to a pipe, then write there", dirty_pipe, WITHOUT_EFFECT, false},
	{"sendfile", send_file, WITH_A_WRITABLE_ONE, false},
	{"copy_file_range", copy_range, WITH_A_WRITABLE_ONE, false},
	{"set_tid_address at exit", clear_tid, WITH_A_WRITABLE_ONE, true},
	{"userfaultfd", userfault, WITH_A_WRITABLE_ONE, false},
	{"io_uring: registered buffer", ring_register, WITH_A_WRITABLE_ONE, false},
	{"io_uring: write", ring_write, WITH_A_WRITABLE_ONE, false},
	{"io_uring: read into the mapping", ring_read_into, WITH_A_WRITABLE_ONE, false},
	{"io_uring: punch a hole", ring_punch, WITH_A_WRITABLE_ONE, false},
	{"ftruncate to 0", shrink, REFUSED, false},
	{"ftruncate by a page", shrink_a_page, REFUSED, false},
	{"ftruncate, fallocate beyond the end", grow, REFUSED, false},
	{"fallocate(PUNCH_HOLE)", punch, WITH_A_WRITABLE_ONE, false},
	{"fallocate(ZERO_RANGE)", zero_range, REFUSED, true},
	{"fallocate(COLLAPSE_RANGE, INSERT_RANGE)", collapse_range, REFUSED, true},
	{"MADV_REMOVE", advise_remove, WITH_A_WRITABLE_ONE, false},
	{"MADV_DONTNEED", advise_dontneed, WITHOUT_EFFECT, false},
	{"MADV_COLD, MADV_PAGEOUT", advise_pageout, WITHOUT_EFFECT, false},
	{"MADV_FREE", advise_free, REFUSED, true},
	{"MADV_HWPOISON, MADV_SOFT_OFFLINE", advise_poison, REFUSED, true},
	{"MADV_POPULATE_WRITE", advise_populate, REFUSED, false},
	{"MADV_COLLAPSE", advise_collapse, WITHOUT_EFFECT, false},
	{"fchmod", change_mode, REFUSED, false},
	{"fchown", change_owner, REFUSED, false},
	{"futimens", change_times, REFUSED, false},
	{"fsetxattr, FS_IOC_SETFLAGS", change_attributes, REFUSED, false},
	{"F_SETLEASE", take_lease, REFUSED, false},
	{"flock, F_OFD_SETLK", take_locks, WITHOUT_EFFECT, false},
	{"inotify, fanotify", watch, REFUSED, false},
	{"linkat", give_name, REFUSED, true},
	{"bind mount, open_tree", bind_mount, REFUSED, true},
};
static const struct attack sealing = {"F_ADD_SEALS", add_seals, REFUSED, false};

#define NUM_ATTACKS (sizeof(attacks) / sizeof(*attacks))
#define HUGE_PAGE   (2u << 20)
#define OWN_BYTES   HUGE_PAGE

/* -- judging ----------------------------------------------------------------------------------- */

/* What must not change about an object. */
struct state {
	struct stat st;
	int seals;
	char *content; /* NULL for what others may write to */
};

static void remember(const struct target *t, struct state *state)
{
	if (fstat(t->fd, &state->st))
		_exit(101);
	state->seals = fcntl(t->fd, F_GET_SEALS);
	state->content = NULL;
	if (t->writable)
		return;
	state->content = malloc(t->bytes);
	memcpy(state->content, t->map, t->bytes);
	/* workers go to sleep and wake up, and say so here */
	if (t->is_header)
		memset(state->content + offsetof(struct ixy_header, workers), 0,
		       sizeof(((struct ixy_header *)0)->workers));
}

/* NULL, or what is different. Of a hole that was punched, st_blocks tells. */
static const char *difference(const struct target *t, const struct state *before)
{
	struct state now;
	const char *what = NULL;

	remember(t, &now);
	if (now.st.st_size != before->st.st_size)
		what = "size";
	else if (now.st.st_mode != before->st.st_mode || now.st.st_uid != before->st.st_uid)
		what = "mode or owner";
	else if (now.seals != before->seals)
		what = "seals";
	else if (!t->writable && now.st.st_blocks != before->st.st_blocks)
		what = "pages";
	else if (!t->writable && memcmp(now.content, before->content, t->bytes))
		what = "bytes";
	free(now.content);
	return what;
}

/* The attack in a process of its own. Returns whether it got through; a crash is a refusal. */
static bool got_through(const struct target *t, const struct attack *attack, bool in_namespace)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (in_namespace && unshare(CLONE_NEWUSER | CLONE_NEWNS))
			_exit(2);
		_exit(attack->run(t) ? 1 : 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid ||
	    (WIFEXITED(status) && WEXITSTATUS(status) >= 100)) {
		printf("FAILED: the attack %s could not be made\n", attack->name);
		exit(2);
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 2) {
		printf("FAILED: no user namespace can be made here, so nothing is known\n");
		exit(2);
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

static bool may(const struct target *t, const struct attack *attack)
{
	return attack->outcome == WITHOUT_EFFECT ||
	       (attack->outcome == WITH_A_WRITABLE_ONE && t->writable);
}

/* Returns 1 if the attack did what it must not. */
static int judge(const struct target *t, const struct attack *attack, bool in_namespace)
{
	struct state before;
	const char *changed;
	bool through;

	remember(t, &before);
	through = got_through(t, attack, in_namespace);
	changed = difference(t, &before);
	free(before.content);
	if (changed)
		printf("FAILED: %s%s: %s changed the %s\n", t->name,
		       in_namespace ? " in a user namespace" : "", attack->name, changed);
	else if (through && !may(t, attack))
		printf("FAILED: %s%s: %s was not refused\n", t->name,
		       in_namespace ? " in a user namespace" : "", attack->name);
	else if (through && t->writable && attack->outcome == WITH_A_WRITABLE_ONE && !in_namespace)
		printf("known: %s: %s\n", t->name, attack->name);
	return changed || (through && !may(t, attack));
}

static int attack_all(const struct target *t, bool with_seals)
{
	int failed = 0, made = 0;

	for (int namespace = 0; namespace < 2; namespace ++) {
		for (size_t i = 0; i < NUM_ATTACKS; i++, made++)
			failed += judge(t, &attacks[i], namespace);
		if (with_seals)
			failed += judge(t, &sealing, namespace);
	}
	printf("%s %s: %d attacks\n", failed ? "broken" : "held", t->name, made);
	return failed;
}

/* -- what is attacked -------------------------------------------------------------------------- */

static struct target make_target(const char *name, int fd, size_t bytes, bool writable)
{
	struct target t = {.name = name, .fd = fd, .bytes = bytes, .writable = writable};
	struct statfs fs;
	char *reserved;

	t.page_bytes = fstatfs(fd, &fs) == 0 && fs.f_bsize > ATTACK_PAGE ? (size_t)fs.f_bsize
	                                                                 : ATTACK_PAGE;
	/* on a boundary of 2 MiB, where small pages could be made into a huge one */
	reserved = mmap(NULL, bytes + HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	reserved += -(uintptr_t)reserved % HUGE_PAGE;
	t.map = mmap(reserved, bytes, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
	if (t.map == MAP_FAILED) {
		printf("FAILED: %s cannot be mapped: %s\n", name, strerror(errno));
		exit(2);
	}
	return t;
}

static int attack_object(const struct peer *p, const char *name, enum object object, bool writable)
{
	struct target t = make_target(name, p->fds[object], peer_bytes(p, object), writable);
	/* the seals of the up lane are the client's before MAPPED: the mode "seals" has these */
	int failed;

	t.is_header = object == HEADER;
	failed = attack_all(&t, object != UP || !writable);

	munmap(t.map, t.bytes);
	return failed;
}

static int attach_and_attack(const char *path, uint32_t mode)
{
	bool shared = mode == ATTACH_SHARED;
	struct peer p;
	char *own;
	int failed = 0;

	if (!peer_attach(&p, path, mode, 0))
		return 2;
	failed += attack_object(&p, "header before MAPPED", HEADER, false);
	failed += attack_object(&p, "down lane before MAPPED", DOWN, false);
	failed += attack_object(&p, "up lane before MAPPED", UP, true);
	failed += attack_object(
		&p, shared ? "pool of a shared client" : "pool of a readonly client", POOL, shared);
	own = mmap(NULL, p.geometry.up_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, p.fds[UP], 0);
	/* what the attacks have left there would be a violation, and the end of the session */
	memset(own, 0, p.geometry.up_bytes);
	if (!peer_mapped(&p)) {
		printf("FAILED: not attached: %s\n", p.refusal);
		return 2;
	}
	failed += attack_object(&p, "header after MAPPED", HEADER, false);
	failed += attack_object(&p, "down lane after MAPPED", DOWN, false);
	failed += attack_object(&p, "up lane after MAPPED", UP, false);
	/* its own mapping is the client's one way to write, and no way to take pages away */
	struct target mapping =
		make_target("up lane through its mapping", p.fds[UP], p.geometry.up_bytes, false);
	mapping.map = own;
	for (size_t i = 0; i < NUM_ATTACKS; i++)
		if (attacks[i].run == advise_remove || attacks[i].run == advise_poison ||
		    attacks[i].run == advise_dontneed || attacks[i].run == advise_pageout ||
		    attacks[i].run == map_fixed)
			failed += judge(&mapping, &attacks[i], false);
	/* so that whoever looks for marks can be seen to find them */
	if (shared) {
		struct target pool = make_target("pool", p.fds[POOL], p.pool.size_bytes, true);

		failed += !map_shared(&pool);
	}
	printf("attacked\n");
	while (getchar() != EOF)
		;
	peer_close(&p);
	return failed ? 1 : 0;
}

/* Memory that nobody protects: every attack has to succeed that could succeed elsewhere. */
static int attack_own(void)
{
	int failed = 0;

	for (size_t i = 0; i <= NUM_ATTACKS; i++) {
		const struct attack *attack = i < NUM_ATTACKS ? &attacks[i] : &sealing;
		int fd = memfd_create("own", MFD_ALLOW_SEALING);
		struct target t;

		if (fd < 0 || ftruncate(fd, OWN_BYTES) || fallocate(fd, 0, 0, OWN_BYTES))
			return 2;
		t = make_target("own", fd, OWN_BYTES, true);
		mprotect(t.map, t.bytes, PROT_READ | PROT_WRITE);
		if (got_through(&t, attack, false) == attack->never) {
			printf("FAILED: %s %s\n", attack->name,
			       attack->never ? "succeeds with memory of one's own, and is not "
			                       "marked so"
			                     : "fails even with memory of one's own");
			failed++;
		}
		munmap(t.map, t.bytes);
		close(fd);
	}
	printf("%s: %zu attacks do what they are meant to\n", failed ? "broken" : "held",
	       NUM_ATTACKS + 1);
	return failed ? 1 : 0;
}

/* -- seals before the server's ------------------------------------------------------------------ */

static int try_seals(const char *path, int seals, bool mapped)
{
	const int needed = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
	struct peer p;
	bool added, ready;
	int now, wrong;

	if (!peer_attach(&p, path, ATTACH_READONLY, 0))
		return 1;
	if (mapped && mmap(NULL, p.geometry.up_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, p.fds[UP],
	                   0) == MAP_FAILED)
		return 1;
	added = fcntl(p.fds[UP], F_ADD_SEALS, seals) == 0;
	ready = peer_mapped(&p);
	now = fcntl(p.fds[UP], F_GET_SEALS);
	/* either refused, or sealed as it has to be */
	wrong = ready ? (now & needed) != needed : !added || !(seals & F_SEAL_SEAL);
	if (wrong)
		printf("FAILED: client's seals %#x (%s): %s, and the lane has %#x\n", seals,
		       added ? "added" : "refused", ready ? "READY" : p.refusal, now);
	peer_close(&p);
	return wrong;
}

static int every_seal(const char *path)
{
	static const int seals[] = {F_SEAL_SEAL, F_SEAL_WRITE, F_SEAL_FUTURE_WRITE, F_SEAL_EXEC};
	int failed = 0;

	for (int set = 1; set < 16; set++) {
		int all = 0;

		for (int i = 0; i < 4; i++)
			all |= set & 1 << i ? seals[i] : 0;
		failed += try_seals(path, all, false) + try_seals(path, all, true);
	}
	printf("%s: 30 sets of seals before MAPPED\n", failed ? "broken" : "held");
	return failed ? 1 : 0;
}

/* -- descriptors in the hands of another user --------------------------------------------------- */

/* A message that brings four descriptors will do as the envelope. */
static int give(const char *to, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	union message message;
	struct peer p;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", to);
	if (!peer_attach(&p, path, ATTACH_READONLY, 0) ||
	    mmap(NULL, p.geometry.up_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, p.fds[UP], 0) ==
	            MAP_FAILED ||
	    !peer_mapped(&p) || connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return 2;
	message_init(&message, MESSAGE_QP);
	message.qp.geometry = p.geometry;
	if (fdpass_send(fd, &message, p.fds, 0))
		return 2;
	return read(fd, &message, 1) == 0 ? 0 : 1; /* until the other is done */
}

static int take(const char *path)
{
	static const char *const names[] = {"header of another user", "pool of another user",
	                                    "down lane of another user", "up lane of another user"};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_SEQPACKET, 0), fds[MESSAGE_MAX_FDS], failed = 0, fd;
	union message message;
	unsigned int n;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || chmod(path, 0666) ||
	    listen(listener, 1))
		return 2;
	printf("listening\n");
	fd = accept(listener, NULL, NULL);
	if (fdpass_recv(fd, &message, fds, &n, 0) <= 0 || n != MESSAGE_MAX_FDS)
		return 2;
	for (unsigned int i = 0; i < n; i++) {
		struct stat st;

		if (fstat(fds[i], &st))
			return 2;
		struct target t = make_target(names[i], fds[i], (size_t)st.st_size, false);
		t.is_header = i == HEADER;
		failed += attack_all(&t, true);
	}
	return failed ? 1 : 0;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 4 && !strcmp(argv[1], "give"))
		return give(argv[2], argv[3]);
	if (argc == 2 && !strcmp(argv[1], "self"))
		return attack_own();
	if (argc == 3 && !strcmp(argv[1], "take"))
		return take(argv[2]);
	if (argc == 3 && !strcmp(argv[2], "seals"))
		return every_seal(argv[1]);
	if (argc == 3 && !strcmp(argv[2], "readonly"))
		return attach_and_attack(argv[1], ATTACH_READONLY);
	if (argc == 3 && !strcmp(argv[2], "shared"))
		return attach_and_attack(argv[1], ATTACH_SHARED);
	return 2;
}
