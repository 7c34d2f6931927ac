#!/usr/bin/env python3
"""captures_compare.py - compares captures frame for frame and byte for byte, with scapy's reader

usage: captures_compare.py MAX_BYTES IN OUT [IN OUT]...

Each OUT has to hold the frames of its IN in their order, without those that are empty or longer
than MAX_BYTES. Reads with scapy, so that no code of this project judges itself.
"""
import sys

from scapy.utils import RawPcapReader


def frames(path):
    try:
        reader = RawPcapReader(path)
    except EOFError:
        return []
    try:
        return [bytes(data) for data, _ in reader]
    finally:
        reader.close()


def first_difference(wanted, got):
    for number, (a, b) in enumerate(zip(wanted, got), 1):
        if a != b:
            at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
            return f"frame {number} differs at byte {at} ({len(a)} and {len(b)} bytes)"
    if len(wanted) != len(got):
        return f"{len(got)} frames instead of {len(wanted)}"
    return None


def main():
    if len(sys.argv) < 4 or len(sys.argv) % 2:
        sys.exit(__doc__)
    max_bytes = int(sys.argv[1])
    bad = files = total = skipped = 0
    for path_in, path_out in zip(sys.argv[2::2], sys.argv[3::2]):
        everything = frames(path_in)
        wanted = [f for f in everything if 0 < len(f) <= max_bytes]
        difference = first_difference(wanted, frames(path_out))
        if difference:
            print(f"{path_in}: {difference}")
            bad += 1
        files += 1
        total += len(wanted)
        skipped += len(everything) - len(wanted)
    print(f"{files} captures, {total} frames compared, {skipped} empty or too long, {bad} differ")
    sys.exit(bool(bad))


main()
