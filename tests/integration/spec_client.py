#!/usr/bin/env python3
"""spec_client.py - what a client does, with spec_lib.py, to prove that shm/README.md suffices

The sections named here are those of the specification. What does not hold raises, and
test_spec_client.sh sees it, as it sees the lines that are printed.
"""
import argparse
import fcntl
import os
import platform
import select
import signal
import struct
import sys
import time

from spec_lib import (
    ALL_PORTS, BURST, F_GET_SEALS, HASH, META_BYTES, MONITOR, OUT, POLLS, READONLY,
    SEAL_FUTURE_WRITE, SEAL_GROW, SEAL_SEAL, SEAL_SHRINK, SNAPPED, TIMESTAMP, TIMESTAMPS, Client,
    Control, Ended, check, check_unwritable, row_of, until)

MAC_A, MAC_B, MAC_OURS = b"\2\0\0\0\0\1", b"\2\0\0\0\0\2", b"\2\0\0\0\0\x63"
EXPERIMENTAL = b"\x88\xb5"  # IEEE 802, local experimental EtherType 1


def machine(_):
    """Ends with 77 where Python's accesses to memory are not ordered as s. 9 asks."""
    if platform.machine() != "x86_64":
        print("Python has no fences, and its accesses are ordered well enough on x86-64 only")
        sys.exit(77)


def check_frame(frame):
    """What the null port makes: IPv4 and UDP port 9, from 198.18.0.0/16 to 198.19.0.1."""
    check(frame[12:14] == b"\x08\0" and frame[14] == 0x45 and frame[23] == 17, "not IPv4 and UDP")
    check(frame[26:28] == b"\xc6\x12" and frame[30:34] == b"\xc6\x13\0\1", "addresses")
    total = sum(struct.unpack("!10H", frame[14:34]))
    check((total + (total >> 16)) & 0xFFFF == 0xFFFF, "IPv4 checksum")


def member(args):
    client = Client(args.path, alloc_bufs=64, pairs=args.pairs, flags=0, ports=[args.port])
    busy = client.header[client.pairs[0].worker_word] == POLLS
    port = [name for name, _ in client.ports()].index(args.port)
    check_sealed(client)
    received, hashed = [0] * args.pairs, 0
    end = time.monotonic() + 30
    while sum(received) < args.frames:
        check(time.monotonic() < end, f"only {received} frames")
        for i, pair in enumerate(client.pairs):
            descs = pair.receive(min(BURST, args.frames - sum(received)))
            received[i] += len(descs)
            hashed += sum(desc.flags & HASH for desc in descs)
            answer(client, pair, descs, port)
        time.sleep(0.0005)
    print("received", *received, "hashed", hashed)
    allocated = build_and_free(client, client.pairs[0], port)
    for pair in client.pairs:
        until(lambda p=pair: p.seen(2) == p.tx_tail and p.seen(3) == p.free_tail, "tx and free")
    row = row_of(args.path, client.session)
    check(row["tx_packets"] == args.frames + allocated and row["free_bufs"] == allocated, row)
    check(row["tx_dropped"] == 0 and row["rx_packets"] >= args.frames, row)
    check(row["pid"] == os.getpid() and row["held_bufs"] <= row["max_bufs"], row)
    rings = sum(pair.rings for pair in client.pairs)
    # a busy worker polls for ever; an adaptive one may promise to while there is traffic all the time
    check((rings == 0) == busy and row["doorbells"] <= rings, "doorbells")
    print("sent", row["tx_packets"], "freed", row["free_bufs"], "rings", rings)
    client.detach()
    check(row_of(args.path, client.session) is None, "still there after DETACH")
    print("detached")


def answer(client, pair, descs, port):
    """Checks received frames, swaps their addresses in place, and sends them back as they are."""
    for desc in descs:
        frame = client.frame(desc)
        check_frame(frame)
        check(frame[:12] == MAC_A + MAC_B and len(frame) == 64, "frame")
        check(desc.port == port and desc.flags & ~HASH == 0, "descriptor")
        client.write(desc, MAC_B + MAC_A)
    # s. 10: every fourth goes back through another pair, where there is one
    other = client.pairs[(client.pairs.index(pair) + 1) % len(client.pairs)]
    while descs:
        descs = (other if descs[0].buf % 4 == 0 else pair).send(descs[:1]) + descs[1:]


def build_and_free(client, pair, port, number=40):
    """Takes twice as many empty buffers as @number: half become frames, half go back."""
    descs = []
    until(lambda: descs.extend(pair.allocate(2 * number - len(descs))) or len(descs) == 2 * number,
          "grant ring")
    for desc in descs[:number]:
        frame = b"\xff" * 6 + MAC_OURS + EXPERIMENTAL + b"built in an allocated buffer".ljust(46)
        desc.offset, desc.len, desc.port = META_BYTES, len(frame), port
        client.write(desc, frame)
    check(pair.send(descs[:number]) == [], "room in tx")
    pair.free(descs[number:])
    return number


def check_sealed(client):
    """s. 4: after READY nobody maps the up lane writable once more, or takes pages away."""
    for pair in client.pairs:
        seals = SEAL_SEAL | SEAL_SHRINK | SEAL_GROW | SEAL_FUTURE_WRITE
        check(fcntl.fcntl(pair.up_fd, F_GET_SEALS) == seals, "seals of the up lane")
        check_unwritable(pair.up_fd, pair.g.up_bytes, "the up lane, once more,")
        for attempt in (lambda fd: os.ftruncate(fd, 0), lambda fd: os.pwrite(fd, b"x", 0)):
            try:
                attempt(pair.up_fd)
            except PermissionError:
                continue
            raise AssertionError("the sealed up lane can be changed")


def monitor(args):
    """Counts what it sees of the member's work, asleep in between."""
    client = Client(args.path, READONLY, MONITOR, snap_len=60, rx_slots=4096, min_bufs=1024,
                    name=b"spec-monitor")
    pair = client.pairs[0]
    print("attached", flush=True)
    seen = {"received": 0, "swapped": 0, "built": 0}
    waits = {"ready": 0, "woken": 0, "timeout": 0}
    last, end = 0, time.monotonic() + 30
    while seen["received"] < args.frames or seen["swapped"] < args.frames or seen["built"] < 40:
        check(time.monotonic() < end, f"not all was seen: {seen}")
        descs = pair.receive()
        for desc in descs:
            last = look_at(client, desc, seen, last)
        pair.free(descs)
        if not descs:
            waits[pair.wait(2)] += 1
    check(waits["woken"] and not waits["timeout"], f"a wake-up was lost: {waits}")
    check(row_of(args.path, client.session)["wakeups"] >= waits["woken"], "wakeups")
    print("received", seen["received"], "swapped", seen["swapped"], "built", seen["built"])
    client.detach()


def look_at(client, desc, seen, last):
    frame, (stamp, wire_len) = client.frame(desc), client.meta(desc)
    check(desc.flags & TIMESTAMP and abs(stamp - time.time_ns()) < 20e9, "timestamp")
    check(stamp >= last - 1000000000, "timestamps run backwards")
    check(len(frame) == 60, "snap length")
    if frame[12:14] == EXPERIMENTAL:
        check(desc.flags & OUT and not desc.flags & SNAPPED, "a built frame of 60 bytes")
        seen["built"] += 1
        return stamp
    check_frame(frame)
    check(desc.flags & SNAPPED and wire_len == 64, "length on the wire")
    swapped = frame[:12] == MAC_B + MAC_A
    check(swapped == bool(desc.flags & OUT), "who was it?")
    seen["swapped" if swapped else "received"] += 1
    return stamp


def filter_frames(args):
    """A readonly member sends every second frame on as it is, and frees the others: s. 12."""
    client = Client(args.path, READONLY, flags=ALL_PORTS | TIMESTAMPS)
    watcher = Client(args.path, READONLY, MONITOR, rx_slots=4096, min_bufs=1024)
    pair, passed, freed, out = client.pairs[0], 0, 0, 0
    end = time.monotonic() + 30
    while passed + freed < args.frames or out < passed:
        check(time.monotonic() < end, f"{passed} passed, {freed} freed, {out} seen on the way out")
        for desc in pair.receive(min(BURST, args.frames - passed - freed)):
            check_frame(client.frame(desc))
            check(desc.flags & TIMESTAMP and client.meta(desc)[0], "timestamp")
            if passed == freed:
                check(pair.send([desc]) == [], "room in tx")
                passed += 1
            else:
                pair.free([desc])
                freed += 1
        shown = watcher.pairs[0].receive()
        out += sum(1 for desc in shown if desc.flags & OUT)
        watcher.pairs[0].free(shown)
        time.sleep(0.0005)
    check(pair.is_open() and watcher.pairs[0].is_open(), "a verdict was a violation")
    print("passed", passed, "freed", freed, "out", out)
    client.detach()
    watcher.detach()


def query(args):
    control = Control(args.path)
    print("server", control.greet())
    for what, name in (1, "server"), (2, "port"), (3, "client"), (4, "pool"):
        for row in control.query(what):
            print(name, *(f"{key}={value}" for key, value in row.items()))
            if what == 4:
                check(sum(list(row.values())[1:6]) == row["total"], "the buffers do not add up")
    check(control.minor >= 1, "the server does not know QUERY 6")
    rows = control.query(6)
    pools = [row for row in rows if "total" in row]
    check(rows[:len(pools)] == pools, "ROW_POOL comes before ROW_HOLDER")
    for worker, pool in enumerate(pools):
        held = [row for row in rows if row.get("worker") == worker and row["kind"] in range(1, 7)]
        check(sum(row["bufs"] for row in held) == pool["total"], "the holders do not add up")
        check(not any(row["kind"] == 6 for row in held), "buffers of nobody")


def watch(args):
    """Waits for the server's end and prints what a client sees of it, s. 14."""
    client = Client(args.path)
    pair = client.pairs[0]
    print("attached", flush=True)
    poll = select.poll()
    poll.register(pair.wake_fd, 0)  # POLLHUP is always reported
    check(poll.poll(20000), "no hang-up of the wake pipe")
    try:
        client.control.receive()
    except Ended as end:
        print(end.what, end.code)
    until(lambda: not client.is_alive(), "alive word")
    print("alive", hex(client.header[128 // 4]), "state", pair.state())


def abandon(args):
    """Dies, while a child that has all of its descriptors lives on: s. 2 and 15."""
    client = Client(args.path)
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    print("child", child, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


def main():
    modes = {"machine": machine, "member": member, "monitor": monitor, "filter": filter_frames,
             "query": query, "watch": watch, "abandon": abandon}
    parser = argparse.ArgumentParser(description="a client made from shm/README.md alone")
    parser.add_argument("mode", choices=modes)
    parser.add_argument("path", help="the server's socket, DIR/NAME.sock")
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--port", default="p0")
    args = parser.parse_args()
    machine(args)
    modes[args.mode](args)


if __name__ == "__main__":
    main()
