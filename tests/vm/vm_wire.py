"""vm_wire.py - the outside of a guest's network cards: frames go in, and what comes out is compared

A wire is QEMU's "-netdev dgram" over unix sockets, one raw Ethernet frame a datagram (no privilege needed),
or a packet socket on a TAP device, where a card is to have several queues. Each frame carries its flow, its number
in the flow, random bytes and a CRC, so everything that can go wrong with it has a name.
"""
import os
import queue
import random
import select
import socket
import struct
import threading
import zlib

ETHERTYPE = 0x88B5  # IEEE 802: local experimental
MAGIC = b"ixyvm"
HEAD = 14 + len(MAGIC) + 8  # flow and number
TAIL = 4  # the CRC of all before
SIZES = [60, 61, 64, 127, 128, 129, 255, 256, 576, 1024, 1500, 1513, 1514]
WINDOW = 32  # frames under way
PATIENCE_S = 20  # without any progress; nothing is said about what is fast


class Wrong(Exception):
    pass


class Wire:
    """Receives all the time, in a thread: a unix socket holds ten datagrams, then QEMU has to wait."""

    def __init__(self, name, mac):
        self.name = name
        self.mac = bytes.fromhex(mac.replace(":", ""))
        self.arrived = queue.Queue()
        self.closing = False
        self.thread = None

    def listen(self):
        self.thread = threading.Thread(target=self.receive_all, daemon=True)
        self.thread.start()

    def receive_all(self):
        while not self.closing:
            if select.select([self.socket], [], [], 0.2)[0]:
                frame = self.receive()
                if frame is not None and self.is_test_frame(frame):
                    self.arrived.put(frame)

    def close(self):
        self.closing = True
        self.thread.join()
        self.socket.close()

    @staticmethod
    def is_test_frame(frame):
        """What the guest's kernel says by itself (IPv6, IGMP) is of no interest."""
        return (MAGIC in frame[14:14 + 28 + len(MAGIC)] or frame[12:14] == b"\x08\x06"
                or frame[12:14] == b"\x08\x00" and not frame[0] & 1)

    def next(self, timeout):
        try:
            return self.arrived.get(timeout=timeout)
        except queue.Empty:
            return None

    def drain(self):
        while self.next(0.3) is not None:
            pass


class DgramWire(Wire):
    def __init__(self, name, mac, directory):
        super().__init__(name, mac)
        self.here, self.there = f"{directory}/{name}.out", f"{directory}/{name}.qemu"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", PATIENCE_S, 0))
        self.socket.bind(self.here)
        self.listen()

    def netdev(self):
        return (f"dgram,id={self.name},local.type=unix,local.path={self.there},"
                f"remote.type=unix,remote.path={self.here}")

    def send(self, frame):
        try:
            self.socket.sendto(frame, self.there)
        except BlockingIOError:
            raise Wrong(f"{self.name}: the card takes no frame for {PATIENCE_S} s") from None

    def receive(self):
        return self.socket.recv(65536)


class TapWire(Wire):
    """A TAP device with several queues, in the network namespace in which we and QEMU are."""

    def __init__(self, name, mac, interface, queues):
        super().__init__(name, mac)
        self.interface, self.queues = interface, queues

    def netdev(self):
        return (f"tap,id={self.name},ifname={self.interface},script=no,downscript=no,vhost=off,"
                f"queues={self.queues}")

    def open(self):
        """Once the device is there."""
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind((self.interface, 3))
        self.listen()

    def send(self, frame):
        self.socket.send(frame)

    def receive(self):
        frame, address = self.socket.recvfrom(65536)
        return None if address[2] == socket.PACKET_OUTGOING else frame


# -- frames -----------------------------------------------------------------------------------------------
def make_frame(chance, to, flow, number, size, ip):
    """@ip: as UDP, each flow with an address and ports of its own, for cards and kernels that spread flows."""
    head = to + struct.pack("!BBI", 2, 0xA5, flow)
    if ip:
        head += struct.pack("!HBBHHHBBH4s4s4H", 0x0800, 0x45, 0, size - 14, 0, 0, 64, 17, 0, bytes([198, 18, 0, 1 + flow % 250]),
                            b"\xc6\x13\0\1", 1024 + 7 * flow, 2048 + flow, size - 34, 0)
    else:
        head += struct.pack("!H", ETHERTYPE)
    head += MAGIC + struct.pack("!II", flow, number)
    frame = head + chance.randbytes(size - len(head) - TAIL)
    return frame + struct.pack("!I", zlib.crc32(frame))


def read_frame(frame):
    """(flow, number) of a frame; Wrong if it is not what was made."""
    at = frame.find(MAGIC, 14) + len(MAGIC)
    if at < len(MAGIC) or len(frame) < at + 12:
        raise Wrong(f"a frame of {len(frame)} bytes that nobody sent: {frame[:32].hex()}")
    flow, number = struct.unpack_from("!II", frame, at)
    if struct.unpack("!I", frame[-TAIL:])[0] != zlib.crc32(frame[:-TAIL]):
        raise Wrong(f"frame {number} of flow {flow} came back with other bytes: {frame[:48].hex()}...")
    return flow, number


class Exchange:
    """Frames that go in at one wire and have to come out at another, unchanged, once, in order."""

    def __init__(self, source, sink, chance, flows=4, ip=False, size=None):
        self.source, self.sink, self.chance, self.flows, self.ip = source, sink, chance, flows, ip
        self.size = size  # of all frames; None: all kinds
        self.base = chance.randrange(1 << 20) << 8  # so that frames of an earlier exchange are known
        self.sent = {flow: 0 for flow in range(flows)}
        self.back = {flow: 0 for flow in range(flows)}  # the number that may come next
        self.under_way = {}
        self.num_sent = self.num_back = 0
        self.lossy = False

    def send_one(self, size=None):
        flow = self.num_sent % self.flows
        number = self.base + self.sent[flow]
        size = size or self.size or self.chance.choice(SIZES + [self.chance.randrange(70, 1515) for _ in range(6)])
        frame = make_frame(self.chance, self.source.mac, flow, number, max(size, 80 if self.ip else 60),
                           self.ip)
        self.under_way[flow, number] = frame
        self.sent[flow] += 1
        self.num_sent += 1
        self.source.send(frame)

    def take(self, frame):
        flow, number = read_frame(frame)
        expected = self.under_way.pop((flow, number), None)
        if expected is None:
            raise Wrong(f"frame {number} of flow {flow} came out twice, or of an earlier exchange")
        if frame != expected:
            raise Wrong(f"frame {number} of flow {flow} came out with {len(frame)} bytes, "
                        f"not the {len(expected)} that were sent")
        if number - self.base != self.back[flow] and not self.lossy or number - self.base < self.back[flow]:
            raise Wrong(f"flow {flow}: frame {number - self.base} came out where "
                        f"{self.back[flow]} was next")
        self.back[flow] = number - self.base + 1
        self.num_back += 1

    def run(self, count):
        """All of @count frames; returns what to say about it."""
        while self.num_back < count:
            while self.num_sent < count and len(self.under_way) < WINDOW:
                self.send_one()
            frame = self.sink.next(PATIENCE_S)
            if frame is None:
                raise Wrong(f"{len(self.under_way)} of {self.num_sent} frames into {self.source.name} "
                            f"never came out of {self.sink.name}")
            self.take(frame)
        extra = self.sink.next(0.3)
        if extra is not None:
            raise Wrong(f"one frame too many came out of {self.sink.name}: {extra[:48].hex()}")
        return f"{count} frames came out of {self.sink.name} exact"


class Traffic(threading.Thread):
    """An exchange in the background while clients and servers die: frames may be lost, but not change,
    come twice, or overtake one another."""

    def __init__(self, exchange, gap_s=0.001):
        super().__init__(daemon=True)
        self.exchange, self.gap_s = exchange, gap_s
        exchange.lossy = True
        self.wrong, self.ending = None, False
        self.start()

    def run(self):
        try:
            while not self.ending:
                self.exchange.send_one()
                while (frame := self.exchange.sink.next(self.gap_s)) is not None:
                    self.exchange.take(frame)
            while (frame := self.exchange.sink.next(0.5)) is not None:
                self.exchange.take(frame)
        except (Wrong, OSError) as error:
            self.wrong = error

    def stop(self):
        self.ending = True
        self.join()
        if self.wrong:
            raise Wrong(f"under traffic: {self.wrong}")
        return f"{self.exchange.num_back} of {self.exchange.num_sent} frames came out"


# -- pings ------------------------------------------------------------------------------------------------
def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ping(wire, chance, address, count):
    """ARP, then @count ICMP echo requests with random bytes, to a client that answers as @address."""
    ours, mac = bytes([192, 0, 2, 1]), b"\x02\xa5\0\0\0\1"
    theirs = socket.inet_aton(address)
    request = (b"\xff" * 6 + mac + struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1) + mac + ours + bytes(6)
               + theirs)
    wire.send(request + bytes(60 - len(request)))
    reply = wire.next(PATIENCE_S)
    if reply is None or reply[12:14] != b"\x08\x06" or reply[20:22] != b"\0\2" or reply[28:32] != theirs:
        raise Wrong(f"no ARP reply but {reply and reply[:42].hex()}")
    peer = reply[22:28]
    if peer != wire.mac:
        raise Wrong(f"{address} answers as {peer.hex(':')}, the card's address is {wire.mac.hex(':')}")
    for number in range(count):
        data = chance.randbytes(chance.randrange(18, 1472))
        icmp = struct.pack("!BBHHH", 8, 0, 0, 77, number) + data
        icmp = icmp[:2] + struct.pack("!H", checksum(icmp)) + icmp[4:]
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(icmp), number, 0, 64, 1, 0, ours, theirs)
        ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
        wire.send(peer + mac + b"\x08\0" + ip + icmp)
        reply = wire.next(PATIENCE_S)
        if reply is None:
            raise Wrong(f"no answer to ping {number}")
        if reply[:6] != mac or reply[26:34] != theirs + ours or checksum(reply[34:34 + len(icmp)]) or \
                reply[34] != 0 or reply[38:34 + len(icmp)] != icmp[4:]:
            raise Wrong(f"a wrong answer to ping {number}: {reply[:64].hex()}")
    return f"{count} pings answered"


def seed_of():
    return int(os.environ.get("IXY_SEED", random.randrange(1 << 32)))
