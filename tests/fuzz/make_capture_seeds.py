#!/usr/bin/env python3
"""make_capture_seeds.py - writes the seeds of fuzz_capture, one of each format, into a directory"""
import pathlib
import struct
import sys

FRAME = bytes.fromhex("ffffffffffff0200000000010806") + bytes(range(46))


def pcap(order, magic, frames=(FRAME, FRAME[:14], b"")):
    out = struct.pack(order + "IHHIIII", magic, 2, 4, 0, 0, 65535, 1)
    for i, frame in enumerate(frames):
        out += struct.pack(order + "IIII", 1700000000 + i, 5, len(frame), len(frame) + i) + frame
    return out


def block(order, kind, body):
    body += bytes(-len(body) % 4)
    return struct.pack(order + "II", kind, len(body) + 12) + body + struct.pack(order + "I", len(body) + 12)


def option(order, code, value):
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def section(order):
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))


def interface(order, options=b"", snap=0):
    return block(order, 1, struct.pack(order + "HHI", 1, 0, snap) + options)


def enhanced(order, number, frame):
    head = struct.pack(order + "IIIII", number, 0x5E5E, 77, len(frame), len(frame) + 4)
    return block(order, 6, head + frame + bytes(-len(frame) % 4) + option(order, 2, b"\1\0\0\0") + bytes(4))


def obsolete(order, frame):
    return block(order, 2, struct.pack(order + "HHIIII", 0, 9, 0x5E5E, 1, len(frame), len(frame)) + frame)


def simple(order, frame):
    return block(order, 3, struct.pack(order + "I", len(frame)) + frame)


def pcapng(order):
    end = bytes(4)
    fine = option(order, 9, b"\x09") + option(order, 14, struct.pack(order + "q", -3)) + end
    return (section(order) + interface(order) + interface(order, fine) + enhanced(order, 1, FRAME)
            + block(order, 0xBAD, b"skip me") + obsolete(order, FRAME[:15]) + simple(order, FRAME[:14]))


def main():
    where = pathlib.Path(sys.argv[1])
    where.mkdir(parents=True, exist_ok=True)
    seeds = {}
    for name, order in (("le", "<"), ("be", ">")):
        seeds[f"pcap-us-{name}"] = pcap(order, 0xA1B2C3D4)
        seeds[f"pcap-ns-{name}"] = pcap(order, 0xA1B23C4D)
        seeds[f"pcapng-{name}"] = pcapng(order)
    seeds["pcapng-two-sections"] = pcapng("<") + pcapng(">")
    seeds["pcapng-binary-time"] = section("<") + interface("<", option("<", 9, b"\x9e"), 32) + simple("<", FRAME[:32])
    seeds["pcap-cut"] = pcap("<", 0xA1B2C3D4)[:70]
    for name, seed in seeds.items():
        (where / name).write_bytes(seed)


if __name__ == "__main__":
    main()
