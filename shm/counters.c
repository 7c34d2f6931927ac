/* counters.c - names and meanings of the counters, for ixyctl */
#include "shm/counters.h"

#include "shm/message.h"

#define NAME(symbol, name, meaning) {name, meaning},

const struct counter_name port_counter_names[PORT_NUM_COUNTERS] = {PORT_COUNTERS(NAME)};
const struct counter_name client_counter_names[CLIENT_NUM_COUNTERS] = {CLIENT_COUNTERS(NAME)};
const struct counter_name server_counter_names[SERVER_NUM_COUNTERS] = {SERVER_COUNTERS(NAME)};

_Static_assert((int)PORT_NUM_COUNTERS <= MESSAGE_COUNTERS, "fits a row");
_Static_assert((int)CLIENT_NUM_COUNTERS <= MESSAGE_COUNTERS, "fits a row");
_Static_assert((int)SERVER_NUM_COUNTERS <= MESSAGE_COUNTERS, "fits a row");
