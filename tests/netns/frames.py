#!/usr/bin/env python3
"""frames.py - sends frames into an interface and compares what comes back, byte by byte

Used by the netns tests, with a port in echo, swap or forward mode at the other end. Needs nothing
but AF_PACKET. Prints one line of counts. Exit status: 0 if every frame came back unchanged, or none
with --want none; 1 otherwise.
"""
import argparse
import random
import select
import socket
import struct
import sys

ETHERTYPE = 0x88B5  # IEEE 802: local experimental
IPV4 = 0x0800
WINDOW = 32  # frames under way; the rings of the smallest port in the tests have 64 slots


def parse():
    p = argparse.ArgumentParser()
    p.add_argument("interface")
    p.add_argument("--receive-on", help="where the frames come back; default: where they were sent")
    p.add_argument("--sizes", default="14,15,60,61,64,127,128,576,1500,1513,1514")
    p.add_argument("--count", type=int, default=8, help="frames of each size")
    p.add_argument("--swap", action="store_true", help="expect the MAC addresses exchanged")
    p.add_argument("--flows", type=int, help="IPv4/UDP frames of so many flows instead")
    p.add_argument("--want", choices=["all", "none"], default="all")
    p.add_argument("--timeout", type=float, default=3.0)
    return p.parse_args()


def build(options):
    """The frames, all different: those that have room carry a number, the rest differ in source."""
    rng = random.Random(42)
    frames = []
    for size in [int(s) for s in options.sizes.split(",")]:
        for _ in range(options.count):
            n = len(frames)
            macs = b"\xff" * 6 + struct.pack("!BBI", 2, 0xA5, n)
            if options.flows:
                n %= options.flows
                ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, size - 14, 0, 0, 64, 17, 0,
                                 b"\x0a\0\0\1", b"\x0a\0\0\2")
                head = macs + struct.pack("!H", IPV4) + ip + struct.pack(
                    "!HHHH", 1024 + n, 2048 + 7 * n, size - 34, 0)
            else:
                head = macs + struct.pack("!H", ETHERTYPE)
            frames.append(head + rng.randbytes(size - len(head)))
    return frames


def raw_socket(interface, ethertype):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    s.bind((interface, ethertype))
    return s


class Receiver:
    def __init__(self, interface, ethertype, expected):
        self.socket = raw_socket(interface, ethertype)
        self.expected = expected  # frame -> how many of it are still to come
        self.back = self.wrong = 0

    def receive(self, timeout):
        """One frame; returns whether there was one."""
        if not select.select([self.socket], [], [], timeout)[0]:
            return False
        frame, address = self.socket.recvfrom(65536)
        if address[2] == socket.PACKET_OUTGOING:
            return True
        if self.expected.get(frame, 0):
            self.expected[frame] -= 1
            self.back += 1
        else:
            self.wrong += 1
        return True

    def receive_until(self, total, timeout):
        """Until so many frames have come; returns False if they do not."""
        while self.back + self.wrong < total:
            if not self.receive(timeout):
                return False
        return True


def main():
    options = parse()
    ethertype = IPV4 if options.flows else ETHERTYPE
    tx = raw_socket(options.interface, 0)
    frames = build(options)
    expected = {}
    for frame in frames:
        back = frame[6:12] + frame[:6] + frame[12:] if options.swap else frame
        expected[back] = expected.get(back, 0) + 1
    rx = Receiver(options.receive_on or options.interface, ethertype, expected)
    wanted = len(frames) if options.want == "all" else 0
    for sent, frame in enumerate(frames, 1):
        tx.send(frame)
        if wanted and not rx.receive_until(sent - WINDOW, options.timeout):
            break  # a whole window was lost: the rest would only take long
    rx.receive_until(wanted or 1, options.timeout)
    while rx.receive(0.05):  # frames that should not be there
        pass
    print(f"sent={sent} back={rx.back} wrong={rx.wrong}")
    return 0 if rx.back == wanted and rx.wrong == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
