/* ctl.h - ixyctl's commands; each returns the program's exit status */
#ifndef TOOLS_CTL_H
#define TOOLS_CTL_H

#include <stdbool.h>
#include <stdint.h>

#include "client-lib/tools/query.h"

struct ctl_options {
	const char *dir;    /* NULL: wherever clients look */
	const char *server; /* NULL: the only one */
	bool json, verify, has_interval;
	double interval_s; /* between the two samples of stats */
};

/* show.c */
int ctl_list(const struct ctl_options *options);
int ctl_show_ports(const struct ctl_options *options);
int ctl_show_clients(const struct ctl_options *options);

/* pool.c */
int ctl_show_pool(const struct ctl_options *options);
int ctl_verify_pool(const struct ctl_options *options);

/* stats.c */
int ctl_stats(const struct ctl_options *options);

/* doctor.c */
int ctl_doctor(const struct ctl_options *options);

/* ctl_fail - prints @failure as "ixyctl: ..." and returns the exit status of failed commands */
int ctl_fail(const struct failure *failure);

/* pool_sum - where the buffers of a row are, added up: its total, unless some are lost */
uint64_t pool_sum(const struct message_row_pool *row);

struct json;

/* pool_json - the fields of a row, into the object that is open */
void pool_json(struct json *json, const struct message_row_pool *row);

/* mode_name, role_name - of a client, as its options call them */
const char *mode_name(uint32_t mode);
const char *role_name(uint32_t role);

#endif
