/* counters.h - what is counted, and under which names ixyctl shows it */
#ifndef SHM_COUNTERS_H
#define SHM_COUNTERS_H

/* X(symbol, name, meaning): the order is part of the control protocol, append only */
#define PORT_COUNTERS(X)                                                                           \
	X(RX_PACKETS, "rx_packets", "frames received from the port")                               \
	X(RX_BYTES, "rx_bytes", "their bytes")                                                     \
	X(RX_NO_TAKER, "rx_no_taker", "received, but no client takes this port's frames")          \
	X(RX_NO_BUFFER, "rx_no_buffer", "lost because no buffer was free")                         \
	X(RX_TOO_LONG, "rx_too_long", "skipped: longer than a buffer")                             \
	X(RX_BAD, "rx_bad", "skipped: empty, or reported bad by the device")                       \
	X(RX_COPIES, "rx_copies", "copies made so that a reader and a writer do not share")        \
	X(TX_PACKETS, "tx_packets", "frames given to the port")                                    \
	X(TX_BYTES, "tx_bytes", "their bytes")                                                     \
	X(TX_DROPPED, "tx_dropped", "not sent: the port was down or stalled")                      \
	X(TX_BAD, "tx_bad", "not sent: a length that the port cannot send")                        \
	X(RX_CROSS_FULL, "rx_cross_full", "lost on the way to another worker, which was behind")

#define CLIENT_COUNTERS(X)                                                                         \
	X(RX_PACKETS, "rx_packets", "frames delivered to the client")                              \
	X(RX_BYTES, "rx_bytes", "their bytes")                                                     \
	X(RX_DROP_RING, "rx_dropped_ring", "its rx ring was full")                                 \
	X(RX_DROP_HELD, "rx_dropped_held", "it held its share of the buffers already")             \
	X(RX_DROP_POOL, "rx_dropped_pool", "no buffer was free for a copy")                        \
	X(TX_PACKETS, "tx_packets", "frames taken from the client and sent")                       \
	X(TX_BYTES, "tx_bytes", "their bytes")                                                     \
	X(TX_DROPPED, "tx_dropped", "taken, but the port did not send it")                         \
	X(ALLOC_BUFS, "alloc_bufs", "empty buffers granted")                                       \
	X(FREE_BUFS, "free_bufs", "buffers given back unsent")                                     \
	X(WAKEUPS, "wakeups", "times the server woke the client")                                  \
	X(DOORBELLS, "doorbells", "times the client rang")

/* violations: what a client did to have its session closed */
#define SERVER_COUNTERS(X)                                                                         \
	X(LOOPS, "loops", "rounds of the poll loops")                                              \
	X(SLEEPS, "sleeps", "times a worker slept")                                                \
	X(LONGEST_LOOP_NS, "longest_loop_ns", "longest round that did not sleep")                  \
	X(SESSIONS, "sessions", "clients attached since the start")                                \
	X(RECLAIMED_BUFS, "reclaimed_bufs", "buffers taken back from clients that left")           \
	X(BAD_MESSAGE, "bad_messages", "sessions closed for a malformed or misplaced message")     \
	X(BAD_INDEX, "violation_ring_index", "a ring index jumped or ran backwards")               \
	X(BAD_BUFFER, "violation_buffer", "a buffer id out of range")                              \
	X(BAD_HOLDER, "violation_holder", "a buffer that the client does not hold (double free)")  \
	X(BAD_BOUNDS, "violation_bounds", "an offset or length outside the buffer")                \
	X(BAD_FLAGS, "violation_flags", "an undefined descriptor flag")                            \
	X(BAD_PORT, "violation_port", "a port that does not exist")                                \
	X(BAD_VERDICT, "violation_verdict", "a read-only client changed offset or length")         \
	X(KILLED, "killed", "shared clients killed for a violation (--on-violation kill)")         \
	X(TAINTED, "tainted", "shared clients thrown out that may still have the pool mapped")     \
	X(CROSSED, "crossed", "frames and buffers that went from one worker to another")           \
	X(BUSY_NS, "busy_ns", "time of the rounds that found something to do, of all workers")     \
	X(LONGEST_RECLAIM_NS, "longest_reclaim_ns",                                                \
	  "longest that taking buffers back held up a round")

#define X_PORT(symbol, name, meaning)   PORT_##symbol,
#define X_CLIENT(symbol, name, meaning) CLIENT_##symbol,
#define X_SERVER(symbol, name, meaning) SERVER_##symbol,

enum port_counter { PORT_COUNTERS(X_PORT) PORT_NUM_COUNTERS };
enum client_counter { CLIENT_COUNTERS(X_CLIENT) CLIENT_NUM_COUNTERS };
enum server_counter { SERVER_COUNTERS(X_SERVER) SERVER_NUM_COUNTERS };

#undef X_PORT
#undef X_CLIENT
#undef X_SERVER

struct counter_name {
	const char *name;
	const char *meaning;
};

extern const struct counter_name port_counter_names[PORT_NUM_COUNTERS];
extern const struct counter_name client_counter_names[CLIENT_NUM_COUNTERS];
extern const struct counter_name server_counter_names[SERVER_NUM_COUNTERS];

#endif
