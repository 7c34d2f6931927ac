/* port_config.c - takes the text of a --port option apart and reads its values */
#include "server/port_config.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/driver/driver.h"

#define EXAMPLE "an example: --port wan=xdp:eth1,queues=1"

static int set_name(char *to, const char *from, size_t len, const char *what, const char *text,
                    struct error *error)
{
	if (len == 0)
		return error_set(error, "--port %s: no %s; %s", text, what, EXAMPLE);
	if (len >= IXY_NAME_BYTES)
		return error_set(error, "--port %s: the %s has more than %d characters", text, what,
		                 IXY_NAME_BYTES - 1);
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)from[i]) && !strchr("-_.", from[i]))
			return error_set(error,
			                 "--port %s: the %s has a '%c'; letters, digits, '-', '_' "
			                 "and '.' are allowed",
			                 text, what, from[i]);
	memcpy(to, from, len);
	to[len] = 0;
	return 0;
}

static int unknown_driver(const char *text, const char *name, struct error *error)
{
	char known[256] = "";
	const struct driver *driver;

	for (unsigned int i = 0; (driver = driver_at(i)); i++) {
		size_t used = strlen(known);

		snprintf(known + used, sizeof(known) - used, "%s%s", i ? ", " : "", driver->name);
	}
	return error_set(error, "--port %s: there is no driver '%s'; there are %s", text, name,
	                 known);
}

static int add_option(struct port_config *config, char *item, const char *text, struct error *error)
{
	char *equals = strchr(item, '=');

	if (*item == 0)
		return 0;
	if (!equals || equals == item)
		return error_set(error, "--port %s: '%s' is not of the form key=value", text, item);
	if (config->num_options == PORT_CONFIG_MAX_OPTIONS)
		return error_set(error, "--port %s: more than %d options", text,
		                 PORT_CONFIG_MAX_OPTIONS);
	*equals = 0;
	config->options[config->num_options].key = item;
	config->options[config->num_options].value = equals + 1;
	config->num_options++;
	return 0;
}

int port_config_parse(struct port_config *config, const char *text, struct error *error)
{
	const char *equals = strchr(text, '=');
	const char *colon = equals ? strchr(equals, ':') : NULL;
	const struct driver *driver;
	size_t driver_len;
	char *item;

	memset(config, 0, sizeof(*config));
	config->arg = "";
	if (!equals)
		return error_set(error, "--port %s: expected NAME=DRIVER:ARG; %s", text, EXAMPLE);
	if (set_name(config->name, text, (size_t)(equals - text), "port name", text, error))
		return -1;
	driver_len = colon ? (size_t)(colon - equals - 1) : strlen(equals + 1);
	if (set_name(config->driver, equals + 1, driver_len, "driver name", text, error))
		return -1;
	driver = driver_find(config->driver);
	if (!driver)
		return unknown_driver(text, config->driver, error);

	if (!colon)
		colon = equals + driver_len;
	if (strlen(colon + 1) >= sizeof(config->text))
		return error_set(error, "--port %s: longer than %d characters", config->name,
		                 PORT_CONFIG_MAX_TEXT - 1);
	strcpy(config->text, colon + 1);
	item = config->text;
	if (driver->takes_arg) {
		config->arg = strsep(&item, ",");
		if (*config->arg == 0)
			return error_set(error, "--port %s: driver %s needs an argument: %s", text,
			                 driver->name, driver->usage);
	}
	while (item)
		if (add_option(config, strsep(&item, ","), text, error))
			return -1;
	return 0;
}

const char *port_config_string(const struct port_config *config, const char *key,
                               const char *preset)
{
	for (unsigned int i = 0; i < config->num_options; i++)
		if (strcmp(config->options[i].key, key) == 0)
			return config->options[i].value;
	return preset;
}

int port_config_number(const struct port_config *config, const char *key, uint64_t min,
                       uint64_t max, uint64_t preset, uint64_t *value, struct error *error)
{
	const char *text = port_config_string(config, key, NULL);
	uint64_t unit = 1;
	char *end;

	*value = preset;
	if (!text)
		return 0;
	errno = 0;
	unsigned long long n = strtoull(text, &end, 10);
	if (*end == 'k' || *end == 'M' || *end == 'G') {
		unit = *end == 'k' ? 1000 : *end == 'M' ? 1000000 : 1000000000;
		end++;
	}
	if (!isdigit((unsigned char)*text) || *end || errno || n > UINT64_MAX / unit)
		return error_set(error, "port %s: %s=%s is not a number", config->name, key, text);
	if (n * unit < min || n * unit > max)
		return error_set(error,
		                 "port %s: %s=%s is out of range; it goes from %" PRIu64
		                 " to %" PRIu64,
		                 config->name, key, text, min, max);
	*value = n * unit;
	return 0;
}

int port_config_only(const struct port_config *config, const char *const *keys, struct error *error)
{
	for (unsigned int i = 0; i < config->num_options; i++) {
		const char *key = config->options[i].key;
		const char *const *known = keys;

		while (*known && strcmp(*known, key))
			known++;
		if (!*known)
			return error_set(error, "port %s: driver %s has no option '%s'; usage: %s",
			                 config->name, config->driver, key,
			                 driver_find(config->driver)->usage);
		if (port_config_string(config, key, NULL) != config->options[i].value)
			return error_set(error, "port %s: option '%s' is given twice", config->name,
			                 key);
	}
	return 0;
}
