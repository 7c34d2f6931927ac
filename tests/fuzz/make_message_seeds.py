#!/usr/bin/env python3
"""make_message_seeds.py DIR - one well-formed message of each type, after a byte that says how many
descriptors travel along (none) and that the server's way of receiving is used (1)"""
import os
import struct
import sys


def name(text):
    return text.encode().ljust(32, b"\0")


def text(sentence):
    return sentence.encode().ljust(256, b"\0")


HELLO_MAGIC = 0x43595849  # "IXYC"
COUNTERS = bytes(24 * 8)
MESSAGES = {  # name: (type, content after the header), as shm/README.md has them
    "hello": (1, struct.pack("<IHHHHI", HELLO_MAGIC, 1, 0, 1, 0, 0) + name("seed")),
    "welcome": (2, struct.pack("<IHHHHI", HELLO_MAGIC, 1, 0, 1, 0, 4711) + name("main") + name("0.1")),
    "refused": (3, struct.pack("<IHH", 16, 1, 0) + text("no")),
    "attach": (4, struct.pack("<12I", 0, 0, 0, 1, 64, 64, 0, 0, 0, 0, 2, 0) + name("seed")
               + name("wan") + name("lan") + bytes(14 * 32)),
    "attached": (5, struct.pack("<Q6I", 1, 77, 16384, 1, 0, 256, 1)
                 + struct.pack("<IIQQII", 0, 1, 2 << 20, 4096, 2048, 1024) + bytes(32 + 7 * 64)),
    "qp": (6, struct.pack("<II", 0, 0) + bytes(64)),
    "mapped": (7, b""),
    "ready": (8, b""),
    "closed": (9, struct.pack("<II", 3, 0) + text("because")),
    "detach": (10, b""),
    "query": (11, struct.pack("<II", 1, 0)),
    "row-server": (12, name("main") + name("0.1") + bytes(16 + 16) + struct.pack("<II", 15, 0)
                   + COUNTERS),
    "row-port": (13, name("wan") + name("null") + bytes(64) + struct.pack("<IIII", 0, 1, 0, 11)
                 + bytes(8) + COUNTERS),
    "row-client": (14, bytes(8) + name("seed") + bytes(44) + struct.pack("<I", 12) + bytes(8)
                   + COUNTERS),
    "row-pool": (15, bytes(72)),
    "end": (16, b""),
    "kick": (17, struct.pack("<Q", 1)),
}

os.makedirs(sys.argv[1], exist_ok=True)
for seed, (kind, content) in MESSAGES.items():
    with open(os.path.join(sys.argv[1], seed), "wb") as f:
        f.write(b"\1" + struct.pack("<II", kind, 8 + len(content)) + content)
