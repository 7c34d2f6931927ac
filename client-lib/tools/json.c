/* json.c - RFC 8259, as much of it as ixyctl needs */
#include "client-lib/tools/json.h"

#include <inttypes.h>
#include <stdio.h>

static void quote(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		/* bytes above ASCII might not be UTF-8: they are shown as what Latin-1 says */
		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < ' ' || c >= 0x7f)
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

static void begin_item(struct json *json, const char *key)
{
	if (json->has_items)
		putchar(',');
	if (json->depth)
		printf("\n%*s", (int)json->depth * 2, "");
	if (key) {
		quote(key);
		fputs(": ", stdout);
	}
	json->has_items = true;
}

static void begin_group(struct json *json, const char *key, char bracket)
{
	begin_item(json, key);
	putchar(bracket);
	json->depth++;
	json->has_items = false;
}

static void end_group(struct json *json, char bracket)
{
	json->depth--;
	if (json->has_items)
		printf("\n%*s", (int)json->depth * 2, "");
	putchar(bracket);
	json->has_items = true;
	if (json->depth == 0)
		putchar('\n');
}

void json_object(struct json *json, const char *key)
{
	begin_group(json, key, '{');
}

void json_object_end(struct json *json)
{
	end_group(json, '}');
}

void json_array(struct json *json, const char *key)
{
	begin_group(json, key, '[');
}

void json_array_end(struct json *json)
{
	end_group(json, ']');
}

void json_string(struct json *json, const char *key, const char *value)
{
	begin_item(json, key);
	quote(value);
}

void json_number(struct json *json, const char *key, uint64_t value)
{
	begin_item(json, key);
	printf("%" PRIu64, value);
}

void json_real(struct json *json, const char *key, double value)
{
	begin_item(json, key);
	printf("%.1f", value);
}

void json_bool(struct json *json, const char *key, bool value)
{
	begin_item(json, key);
	fputs(value ? "true" : "false", stdout);
}
