/*
 * nic_ids.h - the network cards that this build has a driver for
 *
 * The drivers make their tables of this, and so does `ixyctl doctor`, which cannot link them: ID(vendor,
 * device, name, warning). A new driver adds its list here and to NIC_IDS.
 */
#ifndef DRIVER_NIC_IDS_H
#define DRIVER_NIC_IDS_H

/* VIRTIO 1.2, 4.1.2: 0x1000 is the transitional network card, 0x1040 + 1 the modern one */
#define NIC_IDS_VIRTIO(ID)                                                                         \
	ID(0x1af4, 0x1000, "virtio network card, transitional", NULL)                              \
	ID(0x1af4, 0x1041, "virtio network card", NULL)

#define NIC_UNTESTED "nobody has tried this driver on it; it is treated as an 82599"

/* Linux, drivers/net/ethernet/intel/ixgbe/ixgbe_type.h; no virtual functions */
#define NIC_IDS_IXGBE(ID)                                                                          \
	ID(0x8086, 0x10fb, "Intel 82599 SFP+", NULL)                                               \
	ID(0x8086, 0x10f7, "Intel 82599 KX4", NULL)                                                \
	ID(0x8086, 0x10f8, "Intel 82599 combined backplane", NULL)                                 \
	ID(0x8086, 0x10f9, "Intel 82599 CX4", NULL)                                                \
	ID(0x8086, 0x10fc, "Intel 82599 XAUI", NULL)                                               \
	ID(0x8086, 0x1507, "Intel 82599 SFP+ EM", NULL)                                            \
	ID(0x8086, 0x1514, "Intel 82599 KX4 mezzanine", NULL)                                      \
	ID(0x8086, 0x1517, "Intel 82599 KR", NULL)                                                 \
	ID(0x8086, 0x151c, "Intel 82599 T3", NULL)                                                 \
	ID(0x8086, 0x154d, "Intel 82599 SFP+ SF2", NULL)                                           \
	ID(0x8086, 0x1557, "Intel 82599EN SFP+", NULL)                                             \
	ID(0x8086, 0x1528, "Intel X540-T2", NIC_UNTESTED)                                          \
	ID(0x8086, 0x1560, "Intel X540-T1", NIC_UNTESTED)                                          \
	ID(0x8086, 0x1563, "Intel X550-T2", NIC_UNTESTED)                                          \
	ID(0x8086, 0x15d1, "Intel X550-T1", NIC_UNTESTED)

#define NIC_IDS(ID) NIC_IDS_VIRTIO(ID) NIC_IDS_IXGBE(ID)

#endif
