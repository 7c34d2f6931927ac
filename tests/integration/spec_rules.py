#!/usr/bin/env python3
"""spec_rules.py - breaks each rule of shm/README.md once, each in a session of its own

usage: spec_rules.py DIR/NAME.sock

Sections of the specification: 3 says what a bad message is and what an attach is refused with, 13
what a violation is, and under which name it is counted.
"""
import errno
import fcntl
import struct
import sys

from spec_lib import (
    ALL_PORTS, CAUSE_KICKED, CAUSE_PROTOCOL, CAUSE_VIOLATION, CONTROL_MAGIC, DETACH, END,
    F_ADD_SEALS, HELLO, ISOLATED, KICK, MAPPED, MONITOR, MORE, QUERY, READONLY, READY, SEAL_SEAL,
    SESSION_CLOSED, U32, VIOLATIONS, Client, Control, Desc, Ended, check, until)


def granted(client, n=1, length=60):
    descs = []
    pair = client.pairs[0]
    until(lambda: descs.extend(pair.allocate(n - len(descs))) or len(descs) == n, "grant ring")
    for desc in descs:
        desc.len = length
    return descs


def send_with(**fields):
    def act(client):
        desc = granted(client)[0]
        for name, value in fields.items():
            setattr(desc, name, value(client) if callable(value) else value)
        client.pairs[0].send([desc])
    return act


def jump(field, amount):
    def act(client):
        pair = client.pairs[0]
        pair.publish(field, pair.seen(field) + amount)
        pair.kick()
    return act


def jump_grants(client):
    # before the first ones come, a head of 1 is ahead of the tail for a moment only
    until(lambda: client.pairs[0].seen(1) > 0, "grants")
    jump(1, 1)(client)


def run_backwards(client):
    pair = client.pairs[0]
    pair.send(granted(client, 2))
    until(lambda: pair.seen(2) == 2, "tx")
    jump(2, -1)(client)


def free_id(number):
    return lambda client: client.pairs[0].free([Desc(number(client))])


def free_twice(client):
    client.pairs[0].free(granted(client) * 2)


def use_after_free(client):
    descs = granted(client)
    client.pairs[0].free(descs)
    client.pairs[0].send(descs)


def free_through_both_pairs(client):
    descs = granted(client)
    client.pairs[0].free(descs)
    client.pairs[1].free(descs)


def received(client):
    descs = []
    until(lambda: descs.extend(client.pairs[0].receive(1)) or descs, "a frame")
    return descs


def change_verdict(client):
    descs = received(client)
    descs[0].len -= 1
    client.pairs[0].send(descs)


def free_after_verdict(client):
    """The buffer is still lent to a monitor, but not to this client any more."""
    client.watcher = Client(client.path, READONLY, MONITOR)
    until(lambda: client.watcher.pairs[0].receive(1), "a frame for the monitor")
    pair = client.pairs[0]
    pair.free(pair.receive(1024))
    descs = received(client)
    pair.send(descs)
    until(lambda: pair.seen(2) == 1, "tx")
    pair.free(descs)


def send_as_monitor(client):
    client.pairs[0].send(received(client))


READER = {"mode": READONLY, "alloc_bufs": 0, "flags": ALL_PORTS}
RULES = [
    ("ring_index", "tx tail beyond the ring", jump(2, 1025), {}),
    ("ring_index", "tx tail backwards", run_backwards, {}),
    ("ring_index", "free tail beyond the ring", jump(3, 65537), {}),
    ("ring_index", "grant head ahead of the tail", jump_grants, {}),
    ("ring_index", "rx head ahead of the tail", jump(0, 9), {"flags": ALL_PORTS, "rx_slots": 8}),
    ("buffer", "sent an id beyond the pool", send_with(buf=lambda c: c.num_bufs), {}),
    ("buffer", "sent an id of region 1", send_with(buf=1 << 24), {}),
    ("buffer", "freed no buffer", free_id(lambda c: U32), {}),
    ("holder", "freed a buffer of the pool", free_id(lambda c: c.num_bufs - 1), {}),
    ("holder", "double free", free_twice, {}),
    ("holder", "sent after free", use_after_free, {}),
    ("holder", "freed through two queue pairs", free_through_both_pairs, {"pairs": 2}),
    ("holder", "freed what it had sent, while a monitor reads it", free_after_verdict, READER),
    ("bounds", "frame in the metadata", send_with(offset=63), {}),
    ("bounds", "empty frame", send_with(len=0), {}),
    ("bounds", "frame beyond the buffer", send_with(offset=lambda c: c.buf_bytes - 59), {}),
    ("bounds", "16 bits overflow", send_with(offset=0xFFFF, len=0xFFFF), {}),
    ("flags", "MORE", send_with(flags=MORE), {}),
    ("flags", "undefined flag", send_with(flags=0x80), {}),
    ("port", "no such port", send_with(port=lambda c: c.port_count), {}),
    ("port", "port comes before flags and buffer",
     send_with(port=0xFFFF, flags=MORE, buf=U32), {}),
    ("verdict", "readonly, another length", change_verdict, READER),
    ("verdict", "a monitor sends", send_as_monitor, {**READER, "role": MONITOR}),
]


def break_rule(path, counted, act, options):
    control = Control(path)
    control.greet()
    before = control.query(1)[0]
    client = Client(path, **{"flags": 0, "alloc_bufs": 16, **options})
    act(client)
    try:
        client.control.receive()
    except Ended as end:
        check((end.what, end.code) == ("closed", CAUSE_VIOLATION), end)
    until(lambda: all(pair.state() == SESSION_CLOSED for pair in client.pairs), "state")
    client.close()
    after = control.query(1)[0]
    for name in VIOLATIONS:
        got = after["violation_" + name] - before["violation_" + name]
        check(got == (name == counted), f"violation_{name} went up by {got}")


def seal_it_first(path):
    client = Client(path, mapped=False)
    fcntl.fcntl(client.pairs[0].up_fd, F_ADD_SEALS, SEAL_SEAL)
    client.control.send(MAPPED)
    client.control.receive(READY)


REFUSALS = [
    (errno.EOPNOTSUPP, {"mode": ISOLATED}),
    (errno.EINVAL, {"role": MONITOR}),
    (errno.EINVAL, {"mode": READONLY, "role": MONITOR, "pairs": 2}),
    (errno.EINVAL, {"mode": READONLY, "alloc_bufs": 1}),
    (errno.EINVAL, {"snap_len": 100}),
    (errno.EINVAL, {"rx_slots": 100}),
    (errno.EINVAL, {"tx_slots": 4}),
    (errno.EINVAL, {"rx_slots": 131072}),
    (errno.EINVAL, {"pairs": 33}),
    (errno.EINVAL, {"alloc_bufs": 8193}),
    (errno.EINVAL, {"min_bufs": 65537}),
    (errno.EINVAL, {"max_bufs": 65537}),
    (errno.ENODEV, {"flags": 0, "ports": ["p0", "nosuch"]}),
    (errno.ENOBUFS, {"min_bufs": 65536, "pairs": 16}),
]
MALFORMED = [
    ("mode 3", {"mode": 3}),
    ("role 2", {"role": 2}),
    ("flag 4", {"flags": 4}),
    ("reserved", {"reserved": 1}),
    ("no name", {"name": b""}),
    ("a name with a slash", {"name": b"a/b"}),
    ("a name without an end", {"name": b"x" * 32}),
]


def packets(magic=CONTROL_MAGIC):
    """Messages that are wrong, or wrong in the state GREETED."""
    yield "unknown type", struct.pack("<II", 99, 8)
    yield "type 0", struct.pack("<II", 0, 8)
    yield "server's message", struct.pack("<II", READY, 8)
    yield "wrong size", struct.pack("<III", MAPPED, 12, 0)
    yield "size field", struct.pack("<IIII", QUERY, 8, 1, 0)
    yield "short", b"\1\0"
    yield "too long", bytes(2000)
    yield "MAPPED in GREETED", struct.pack("<II", MAPPED, 8)
    yield "DETACH in GREETED", struct.pack("<II", DETACH, 8)
    yield "a second HELLO", struct.pack("<IIIHHHHI32s", HELLO, 56, magic, 1, 0, 1, 0, 0, b"")
    yield "QUERY of 7", struct.pack("<IIII", QUERY, 16, 7, 0)
    yield "QUERY, reserved", struct.pack("<IIII", QUERY, 16, 1, 1)


def send_descriptor(path):
    """Returns how many bad messages that was: none where the kernel does not even send it."""
    control = Control(path)
    control.greet()
    try:
        control.send_raw(struct.pack("<IIII", QUERY, 16, 1, 0), [0])
    except PermissionError:
        return 0
    expect_end("closed", CAUSE_PROTOCOL, control.receive, "a descriptor")
    return 1


def expect_end(what, code, act, label):
    try:
        act()
    except Ended as end:
        check((end.what, end.code) == (what, code), f"{label}: {end}, not {what} {code}")
        return
    raise AssertionError(f"{label}: nothing happened")


def break_protocol(path):
    for code, options in REFUSALS:
        expect_end("refused", code, lambda o=options: Client(path, **o), options)
    expect_end("refused", errno.EPERM, lambda: seal_it_first(path), "a seal of the client's")
    for versions in ({"control_major": 2}, {"abi_major": 0}):
        expect_end("refused", errno.EPROTO, lambda v=versions: Control(path).greet(**v), versions)
    print("refusals", len(REFUSALS) + 3)
    counter = Control(path)
    counter.greet()
    before, number = counter.query(1)[0]["bad_messages"], 0
    for label, options in MALFORMED:
        expect_end("closed", CAUSE_PROTOCOL, lambda o=options: Client(path, **o), label)
        number += 1
    expect_end("closed", CAUSE_PROTOCOL, lambda: Control(path).greet(magic=1), "magic")
    for label, packet in packets():
        control = Control(path)
        control.greet()
        control.send_raw(packet)
        expect_end("closed", CAUSE_PROTOCOL, control.receive, label)
        expect_end("end", 0, control.receive, label)
        number += 1
    number += send_descriptor(path)
    check(counter.query(1)[0]["bad_messages"] - before == number + 1, "bad_messages")
    control = Control(path)
    control.greet()
    control.send_raw(b"")
    expect_end("end", 0, control.receive, "an empty packet")
    print("bad messages", number + 2)


def kick(path):
    """s. 3; the server runs as the user who runs this, or this is root."""
    client, control = Client(path), Control(path)
    control.greet()
    control.send(KICK, struct.pack("<Q", client.session))
    control.receive(END)
    expect_end("closed", CAUSE_KICKED, client.control.receive, "KICK")
    control.send(KICK, struct.pack("<Q", client.session))
    expect_end("refused", errno.ESRCH, control.receive, "KICK of nobody")
    print("kicked")


def main():
    path = sys.argv[1]
    for counted, label, act, options in RULES:
        try:
            break_rule(path, counted, act, options)
        except (AssertionError, Ended) as error:
            raise AssertionError(f"{label}: {error}") from error
    print("violations", len(RULES))
    break_protocol(path)
    kick(path)


if __name__ == "__main__":
    main()
