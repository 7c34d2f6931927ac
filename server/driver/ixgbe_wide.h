/* ixgbe_wide.h - four descriptors of an 82599 at once */
#ifndef DRIVER_IXGBE_WIDE_H
#define DRIVER_IXGBE_WIDE_H

#include "server/driver/ixgbe.h"

/* ixgbe_is_wide - can this machine do what follows? Otherwise the other two must not be called. */
bool ixgbe_is_wide(void);

/*
 * ixgbe_receive_wide - the plain frames at the head of @n slots from @at on, four at a time
 *
 * The slots follow each other (no wrap), and there are @n spare buffers, of which the first go into the slots
 * that were taken. Returns how many: stops before four of which one has not come, or is not a whole sound
 * frame without a VLAN tag. Their descriptors are written to @descs.
 */
unsigned int ixgbe_receive_wide(struct port_queue *queue, struct ixgbe_rx *rx, unsigned int at,
                                const uint32_t *spare, struct ixy_desc *descs, unsigned int n);

/* ixgbe_send_wide - the first of @n frames into slots from @at on, four at a time; returns how many */
unsigned int ixgbe_send_wide(struct ixgbe_tx *tx, unsigned int at, const struct ixy_desc *descs,
                             unsigned int n);

#endif
