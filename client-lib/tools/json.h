/* json.h - writes JSON to standard output; commas and escapes are its job */
#ifndef TOOLS_JSON_H
#define TOOLS_JSON_H

#include <stdbool.h>
#include <stdint.h>

/* Where in the document the writer is. Starts zeroed. */
struct json {
	unsigned int depth;
	bool has_items; /* the innermost object or array needs a comma before the next item */
};

/* @key is NULL in an array. */
void json_object(struct json *json, const char *key);
void json_object_end(struct json *json);
void json_array(struct json *json, const char *key);
void json_array_end(struct json *json);

void json_string(struct json *json, const char *key, const char *value);
void json_number(struct json *json, const char *key, uint64_t value);
void json_real(struct json *json, const char *key, double value);
void json_bool(struct json *json, const char *key, bool value);

#endif
