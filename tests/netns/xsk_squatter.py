#!/usr/bin/env python3
"""xsk_squatter.py - occupies a queue of an interface with an AF_XDP socket, and no XDP program

Prints "ready" when it has the queue and holds it until it is killed. By plain system calls: Python
knows neither the address family nor the address.
"""
import ctypes
import mmap
import signal
import socket
import struct
import sys

AF_XDP, SOL_XDP = 44, 283
XDP_RX_RING, XDP_UMEM_REG, XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING = 2, 4, 5, 6
XDP_COPY = 1 << 1


def main():
    interface, queue = sys.argv[1], int(sys.argv[2])
    memory = mmap.mmap(-1, 64 * 2048)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    s = socket.socket(AF_XDP, socket.SOCK_RAW, 0)
    s.setsockopt(SOL_XDP, XDP_UMEM_REG, struct.pack("QQIII4x", address, len(memory), 2048, 0, 0))
    for ring in (XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_RX_RING):
        s.setsockopt(SOL_XDP, ring, struct.pack("i", 64))
    name = struct.pack("HHIII", AF_XDP, XDP_COPY, socket.if_nametoindex(interface), queue, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.bind(s.fileno(), name, len(name)):
        raise OSError(ctypes.get_errno(), "bind")
    print("ready", flush=True)
    signal.pause()


main()
