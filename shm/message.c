/* message.c - control messages: sizes, well-formedness, order; pure functions, no input or output */
#include "shm/message.h"

#include <string.h>

static const struct {
	size_t size;
	unsigned int num_fds;
	const char *name;
} types[MESSAGE_TYPES] = {
	[MESSAGE_HELLO] = {sizeof(struct message_hello), 0, "HELLO"},
	[MESSAGE_WELCOME] = {sizeof(struct message_welcome), 0, "WELCOME"},
	[MESSAGE_REFUSED] = {sizeof(struct message_refused), 0, "REFUSED"},
	[MESSAGE_ATTACH] = {sizeof(struct message_attach), 0, "ATTACH"},
	[MESSAGE_ATTACHED] = {sizeof(struct message_attached), 2, "ATTACHED"},
	[MESSAGE_QP] = {sizeof(struct message_qp), 4, "QP"},
	[MESSAGE_MAPPED] = {sizeof(struct message_plain), 0, "MAPPED"},
	[MESSAGE_READY] = {sizeof(struct message_plain), 0, "READY"},
	[MESSAGE_CLOSED] = {sizeof(struct message_closed), 0, "CLOSED"},
	[MESSAGE_DETACH] = {sizeof(struct message_plain), 0, "DETACH"},
	[MESSAGE_QUERY] = {sizeof(struct message_query), 0, "QUERY"},
	[MESSAGE_ROW_SERVER] = {sizeof(struct message_row_server), 0, "ROW_SERVER"},
	[MESSAGE_ROW_PORT] = {sizeof(struct message_row_port), 0, "ROW_PORT"},
	[MESSAGE_ROW_CLIENT] = {sizeof(struct message_row_client), 0, "ROW_CLIENT"},
	[MESSAGE_ROW_POOL] = {sizeof(struct message_row_pool), 0, "ROW_POOL"},
	[MESSAGE_END] = {sizeof(struct message_plain), 0, "END"},
	[MESSAGE_KICK] = {sizeof(struct message_kick), 0, "KICK"},
	[MESSAGE_ROW_VERIFIED] = {sizeof(struct message_row_verified), 0, "ROW_VERIFIED"},
	[MESSAGE_ROW_HOLDER] = {sizeof(struct message_row_holder), 0, "ROW_HOLDER"},
};

_Static_assert(sizeof(union message) == MESSAGE_MAX_BYTES, "no message exceeds the buffer");
_Static_assert(sizeof(struct message_hello) == 56, "fixed for all versions");

size_t message_size(uint32_t type)
{
	return type < MESSAGE_TYPES ? types[type].size : 0;
}

const char *message_name(uint32_t type)
{
	return type < MESSAGE_TYPES && types[type].name ? types[type].name : "?";
}

unsigned int message_num_fds(uint32_t type)
{
	return type < MESSAGE_TYPES ? types[type].num_fds : 0;
}

void message_init(union message *message, uint32_t type)
{
	memset(message, 0, sizeof(*message));
	message->header.type = type;
	message->header.size = (uint32_t)message_size(type);
}

static bool terminated(const char *text, size_t bytes)
{
	return memchr(text, 0, bytes) != NULL;
}

/* Names are shown on terminals and stand in paths: printable ASCII without slash or space. */
static bool is_name(const char *text, bool may_be_empty)
{
	size_t len = strnlen(text, IXY_NAME_BYTES);

	if (len == IXY_NAME_BYTES || (len == 0 && !may_be_empty))
		return false;
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] > '~' || text[i] == '/')
			return false;
	return true;
}

static const char *check_attach(const struct message_attach *attach)
{
	if (attach->mode > ATTACH_ISOLATED)
		return "ATTACH: unknown mode";
	if (attach->role > ATTACH_MONITOR)
		return "ATTACH: unknown role";
	if (attach->flags & ~ATTACH_FLAGS)
		return "ATTACH: undefined flag";
	if (attach->num_ports > ATTACH_MAX_PORTS)
		return "ATTACH: too many port names";
	if (attach->reserved)
		return "ATTACH: reserved field is not zero";
	if (!is_name(attach->client_name, false))
		return "ATTACH: bad client name";
	for (uint32_t i = 0; i < attach->num_ports; i++)
		if (!is_name(attach->ports[i], false))
			return "ATTACH: bad port name";
	return NULL;
}

static const char *check_regions(const struct message_attached *attached)
{
	if (attached->num_regions > IXY_MAX_REGIONS)
		return "ATTACHED: too many regions";
	if (attached->num_queue_pairs > IXY_MAX_QUEUE_PAIRS)
		return "ATTACHED: too many queue pairs";
	return NULL;
}

static const char *check_port_row(const struct message_row_port *row)
{
	if (!is_name(row->port.name, false) || !is_name(row->port.driver, true))
		return "ROW_PORT: bad name";
	return row->num_counters > MESSAGE_COUNTERS ? "ROW_PORT: too many counters" : NULL;
}

const char *message_check(const union message *message, size_t bytes)
{
	if (bytes < sizeof(struct message_header))
		return "shorter than a message header";
	if (message_size(message->header.type) == 0)
		return "unknown message type";
	if (bytes != message_size(message->header.type) || message->header.size != bytes)
		return "wrong size for its type";

	switch (message->header.type) {
	case MESSAGE_HELLO:
		return message->hello.magic == MESSAGE_MAGIC ? NULL : "HELLO: wrong magic";
	case MESSAGE_WELCOME:
		if (message->welcome.magic != MESSAGE_MAGIC)
			return "WELCOME: wrong magic";
		if (!is_name(message->welcome.server_name, false) ||
		    !is_name(message->welcome.server_version, false))
			return "WELCOME: bad name";
		return NULL;
	case MESSAGE_REFUSED:
		if (!terminated(message->refused.text, MESSAGE_TEXT_BYTES))
			return "REFUSED: text is not terminated";
		/* a caller negates it and returns it as an errno value */
		if (message->refused.error == 0 || message->refused.error > 4095)
			return "REFUSED: no errno value";
		return NULL;
	case MESSAGE_ATTACH:
		return check_attach(&message->attach);
	case MESSAGE_ATTACHED:
		return check_regions(&message->attached);
	case MESSAGE_QP:
		if (message->qp.index >= IXY_MAX_QUEUE_PAIRS ||
		    message->qp.worker >= IXY_MAX_WORKERS)
			return "QP: index out of range";
		return NULL;
	case MESSAGE_CLOSED:
		return terminated(message->closed.text, MESSAGE_TEXT_BYTES)
		               ? NULL
		               : "CLOSED: text is not terminated";
	case MESSAGE_QUERY:
		if (message->query.what < QUERY_SERVER || message->query.what > QUERY_LAST)
			return "QUERY: unknown subject";
		return message->query.reserved ? "QUERY: reserved field is not zero" : NULL;
	case MESSAGE_ROW_SERVER:
		if (!is_name(message->row_server.name, false) ||
		    !is_name(message->row_server.version, false))
			return "ROW_SERVER: bad name";
		return message->row_server.num_counters > MESSAGE_COUNTERS
		               ? "ROW_SERVER: too many counters"
		               : NULL;
	case MESSAGE_ROW_PORT:
		return check_port_row(&message->row_port);
	case MESSAGE_ROW_CLIENT:
		if (!is_name(message->row_client.name, false))
			return "ROW_CLIENT: bad name";
		return message->row_client.num_counters > MESSAGE_COUNTERS
		               ? "ROW_CLIENT: too many counters"
		               : NULL;
	case MESSAGE_ROW_VERIFIED:
		return terminated(message->row_verified.error, MESSAGE_TEXT_BYTES)
		               ? NULL
		               : "ROW_VERIFIED: text is not terminated";
	case MESSAGE_ROW_HOLDER:
		if (!is_name(message->row_holder.name, true))
			return "ROW_HOLDER: bad name";
		return message->row_holder.kind < ROW_HOLDER_FREE ||
		                       message->row_holder.kind >= ROW_HOLDER_KINDS
		               ? "ROW_HOLDER: unknown kind"
		               : NULL;
	default:
		return NULL;
	}
}

bool message_allowed(enum session_state state, uint32_t type)
{
	/* one bit per message type that a client may send in a state */
	static const uint32_t allowed[SESSION_STATES] = {
		[SESSION_NEW] = 1u << MESSAGE_HELLO,
		[SESSION_GREETED] = 1u << MESSAGE_ATTACH | 1u << MESSAGE_QUERY | 1u << MESSAGE_KICK,
		[SESSION_ATTACHING] = 1u << MESSAGE_MAPPED | 1u << MESSAGE_DETACH,
		[SESSION_OPEN] = 1u << MESSAGE_DETACH,
		[SESSION_CLOSING] = 0,
	};

	return state < SESSION_STATES && type < MESSAGE_TYPES && (allowed[state] >> type & 1);
}
