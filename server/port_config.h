/* port_config.h - the text of a --port option, taken apart: PNAME=DRIVER:ARG[,key=value...] */
#ifndef SERVER_PORT_CONFIG_H
#define SERVER_PORT_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include <ixy/abi.h>

#include "server/error.h"

#define PORT_CONFIG_MAX_OPTIONS 16
#define PORT_CONFIG_MAX_TEXT    4096

struct port_config_option {
	const char *key;
	const char *value;
};

struct port_config {
	char name[IXY_NAME_BYTES];
	char driver[IXY_NAME_BYTES];
	const char *arg; /* "" where there is none */
	unsigned int num_options;
	struct port_config_option options[PORT_CONFIG_MAX_OPTIONS];
	char text[PORT_CONFIG_MAX_TEXT]; /* what arg and options point into */
};

/*
 * port_config_parse - takes @text apart; returns 0, or -1 with @error
 *
 * ARG ends at the first comma; it may hold ':' and '='. For a driver that takes no argument
 * (struct driver) the options follow the colon directly: "p=null:size=64,flows=4". An unknown driver
 * is refused with the list of those that there are.
 */
int port_config_parse(struct port_config *config, const char *text, struct error *error);

/*
 * port_config_number - the value of option @key, between @min and @max, or @preset without it
 *
 * Accepts a decimal number with an optional suffix k, M or G (powers of 1000).
 */
int port_config_number(const struct port_config *config, const char *key, uint64_t min,
                       uint64_t max, uint64_t preset, uint64_t *value, struct error *error);

/* port_config_string - the value of option @key, or @preset (may be NULL) without it */
const char *port_config_string(const struct port_config *config, const char *key,
                               const char *preset);

/*
 * port_config_only - refuses an option that is not among @keys (NULL-terminated), by name, and one
 * that is given twice
 */
int port_config_only(const struct port_config *config, const char *const *keys,
                     struct error *error);

#endif
