/*
 * migrate.c - asks the kernel to move all pages of a process to another NUMA node; migrate_pages(2)
 *
 *	migrate PID FROM TO
 *
 * Prints how many pages the kernel could not move.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	unsigned long from, to;
	long left;

	if (argc != 4)
		return EXIT_FAILURE;
	from = 1ul << strtoul(argv[2], NULL, 10);
	to = 1ul << strtoul(argv[3], NULL, 10);
	left = syscall(SYS_migrate_pages, atoi(argv[1]), 64ul, &from, &to);
	if (left < 0) {
		perror("migrate: migrate_pages");
		return EXIT_FAILURE;
	}
	printf("%ld pages stay where they are\n", left);
	return EXIT_SUCCESS;
}
