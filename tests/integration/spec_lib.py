"""spec_lib.py - an ixy client in Python, written from shm/README.md alone

No line of this comes from the C sources: numbers, offsets and steps are those of the specification,
whose sections are named (s. 4). What does not hold raises.

Python has neither atomic accesses nor fences. On x86-64 it needs none for the rings: an element of
a memoryview of type "I" is moved by one aligned 32-bit load or store, and those are ordered as s. 9
asks. For W2 in s. 11 fence() makes a system call that takes a lock. K3 is left out as s. 11 allows:
the doorbell is rung after every burst unless the worker polls for ever.
"""
import array
import fcntl
import mmap
import os
import select
import socket
import stat
import struct
import time

# -- s. 3: messages ----
HELLO, WELCOME, REFUSED, ATTACH, ATTACHED, QP, MAPPED, READY, CLOSED, DETACH, QUERY = range(1, 12)
ROW_SERVER, ROW_PORT, ROW_CLIENT, ROW_POOL, END, KICK, ROW_VERIFIED, ROW_HOLDER = range(12, 20)
SIZES = {WELCOME: 88, REFUSED: 272, ATTACHED: 552, QP: 80, READY: 8, CLOSED: 272, ROW_SERVER: 304,
         ROW_PORT: 352, ROW_CLIENT: 296, ROW_POOL: 80, END: 8, ROW_HOLDER: 80}
NUM_FDS = {ATTACHED: 2, QP: 4}
SHARED, READONLY, ISOLATED = range(3)
MEMBER, MONITOR = range(2)
ALL_PORTS, TIMESTAMPS = 1, 2
CAUSE_SHUTDOWN, CAUSE_KICKED, CAUSE_VIOLATION, CAUSE_PROTOCOL = range(1, 5)
CONTROL_MAGIC, HEADER_MAGIC, LANE_MAGIC = 0x43595849, 0x48595849, 0x4C595849

# -- s. 5 to 8: memory ----
POLLS, MAY_SLEEP, ASLEEP, AWAKE = 0, 1, 2, 4
OPEN, SESSION_CLOSED = 1, 2
HASH, TIMESTAMP, SNAPPED, OUT, MORE = 1, 2, 4, 8, 0x8000
WAKE_RX, WAKE_TX, WAKE_ALLOC = 1, 2, 4
META_BYTES = 64
BURST = 32

# -- s. 18: counters ----
VIOLATIONS = ["ring_index", "buffer", "holder", "bounds", "flags", "port", "verdict"]
SERVER_COUNTERS = ["loops", "sleeps", "longest_loop_ns", "sessions", "reclaimed_bufs",
                   "bad_messages"] + ["violation_" + name for name in VIOLATIONS]
PORT_COUNTERS = ["rx_packets", "rx_bytes", "rx_no_taker", "rx_no_buffer", "rx_too_long", "rx_bad",
                 "rx_copies", "tx_packets", "tx_bytes", "tx_dropped", "tx_bad"]
CLIENT_COUNTERS = ["rx_packets", "rx_bytes", "rx_dropped_ring", "rx_dropped_held",
                   "rx_dropped_pool", "tx_packets", "tx_bytes", "tx_dropped", "alloc_bufs",
                   "free_bufs", "wakeups", "doorbells"]
U32 = 0xFFFFFFFF
# fcntl(2)
F_ADD_SEALS, F_GET_SEALS = 1033, 1034
SEAL_SEAL, SEAL_SHRINK, SEAL_GROW, SEAL_WRITE, SEAL_FUTURE_WRITE = 1, 2, 4, 8, 16


class Ended(Exception):
    """The server said REFUSED (an errno value) or CLOSED (a cause), or nothing at all (code 0)."""

    def __init__(self, what, code, text):
        super().__init__(f"{what} {code}: {text}")
        self.what, self.code, self.text = what, code, text


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def until(condition, what, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        check(time.monotonic() < end, f"{what}: not within {seconds} s")
        time.sleep(0.001)


def text_of(field):
    return field.split(b"\0", 1)[0].decode()


class Control:
    """The control socket, s. 2 and 3."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(5)
        self.socket.connect(path)

    def send(self, kind, body=b"", fds=()):
        self.send_raw(struct.pack("<II", kind, 8 + len(body)) + body, fds)

    def send_raw(self, packet, fds=()):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self.socket.sendmsg([packet], rights)
        except BrokenPipeError:
            pass  # why is still to be received

    def receive_packet(self):
        try:
            packet, ancillary = self.receive_once()
        except ConnectionResetError:  # once, before what it has to say
            packet, ancillary = self.receive_once()
        fds = array.array("i")
        for _, kind, data in ancillary:
            check(kind == socket.SCM_RIGHTS, "only descriptors travel beside a message")
            fds.frombytes(data)
        return packet, list(fds)

    def receive_once(self):
        try:
            return self.socket.recvmsg(1024, socket.CMSG_SPACE(8 * 4), socket.MSG_CMSG_CLOEXEC)[:2]
        except socket.timeout as error:
            raise AssertionError("the server says nothing") from error

    def receive(self, *expected):
        packet, fds = self.receive_packet()
        if not packet:
            raise Ended("end", 0, "the connection ended")
        kind, size = struct.unpack_from("<II", packet)
        check(size == len(packet) == SIZES[kind], f"size of message {kind}")
        check(len(fds) == NUM_FDS.get(kind, 0), f"descriptors of message {kind}")
        if kind == REFUSED:
            raise Ended("refused", struct.unpack_from("<I", packet, 8)[0], text_of(packet[16:]))
        if kind == CLOSED:
            raise Ended("closed", struct.unpack_from("<I", packet, 8)[0], text_of(packet[16:]))
        check(kind in expected, f"message {kind} instead of {expected}")
        return kind, packet, fds

    def greet(self, control_major=1, abi_major=1, magic=CONTROL_MAGIC):
        self.send(HELLO, struct.pack("<I4HI32s", magic, control_major, 1, abi_major, 0, 0, b"spec"))
        _, welcome, _ = self.receive(WELCOME)
        magic, major, self.minor, abi = struct.unpack_from("<IHHH", welcome, 8)
        check((magic, major, abi) == (CONTROL_MAGIC, 1, 1), "WELCOME")
        return text_of(welcome[24:56])

    def query(self, what):
        rows = []
        self.send(QUERY, struct.pack("<II", what, 0))
        while True:
            kind, row, _ = self.receive(ROW_SERVER, ROW_PORT, ROW_CLIENT, ROW_POOL, ROW_HOLDER, END)
            if kind == END:
                return rows
            rows.append(ROWS[kind](row))


def counters_of(row, offset, number_offset, names):
    number = struct.unpack_from("<I", row, number_offset)[0]
    check(len(names) <= number <= 24, "number of counters")
    return dict(zip(names, struct.unpack_from(f"<{len(names)}Q", row, offset)))


def server_row(row):
    return counters_of(row, 112, 104, SERVER_COUNTERS)


def port_row(row):
    return {"name": text_of(row[8:40]), "index": struct.unpack_from("<I", row, 136)[0],
            **counters_of(row, 160, 148, PORT_COUNTERS)}


def client_row(row):
    held, min_bufs, max_bufs = struct.unpack_from("<III", row, 80)
    return {"session": struct.unpack_from("<Q", row, 8)[0], "name": text_of(row[16:48]),
            "pid": struct.unpack_from("<I", row, 48)[0], "held_bufs": held,
            "min_bufs": min_bufs, "max_bufs": max_bufs,
            **counters_of(row, 104, 92, CLIENT_COUNTERS)}


def pool_row(row):
    names = ["total", "free", "in_devices", "in_clients", "lent", "in_worker", "page_bytes",
             "reserved_bufs"]
    return dict(zip(names, struct.unpack_from("<8Q", row, 16)))


def holder_row(row):
    names = ["worker", "kind", "session", "port", "queue", "holders", "flags", "bufs"]
    return {**dict(zip(names, struct.unpack_from("<IIQIIIIQ", row, 8))), "name": text_of(row[48:80])}


ROWS = {ROW_SERVER: server_row, ROW_PORT: port_row, ROW_CLIENT: client_row, ROW_POOL: pool_row,
        ROW_HOLDER: holder_row}


def row_of(path, session):
    control = Control(path)
    control.greet()
    rows = [row for row in control.query(3) if row["session"] == session]
    control.socket.close()
    return rows[0] if rows else None


PIPE = os.pipe()


def fence():
    """Two system calls that take the pipe's lock: on x86-64 a locked instruction, a full fence."""
    os.write(PIPE[1], b"x")
    os.read(PIPE[0], 1)


def map_memfd(fd, size, prot, seals=SEAL_SHRINK | SEAL_GROW):
    """Checks as s. 1, then maps. (Python keeps a descriptor of its own for each mapping.)"""
    check(os.fstat(fd).st_size == size, "size of a memfd")
    check(fcntl.fcntl(fd, F_GET_SEALS) & seals == seals, "seals of a memfd")
    check(stat.S_IMODE(os.fstat(fd).st_mode) == 0o600, "mode of a memfd")
    mapping = mmap.mmap(fd, size, mmap.MAP_SHARED, prot)
    mapping.madvise(mmap.MADV_DONTFORK)
    mapping.madvise(mmap.MADV_DONTDUMP)
    return mapping


def check_unwritable(fd, size, what):
    try:
        mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    except PermissionError:
        return
    raise AssertionError(f"{what} can be mapped writable")


class Desc:
    """s. 8"""

    def __init__(self, buf, offset=0, length=0, port=0, flags=0, meta=0):
        self.buf, self.offset, self.len = buf, offset, length
        self.port, self.flags, self.meta = port, flags, meta


class Geometry:
    """s. 7"""

    def __init__(self, data):
        (magic, major, _, self.down_bytes, self.up_bytes, self.down_index, self.up_index, self.rx,
         self.rx_slots, self.grant, self.grant_slots, self.tx, self.tx_slots, self.free,
         self.free_slots, self.counters, self.state) = struct.unpack("<IHH14I", data)
        check(magic == LANE_MAGIC and major == 1, "magic and version of a lane")
        for slots in self.rx_slots, self.tx_slots, self.free_slots, self.grant_slots or 8:
            check(8 <= slots <= 65536 and slots & (slots - 1) == 0, "slots")
        self.check_parts(self.down_bytes, [
            (0, 64), (self.state, 64), (self.down_index, 64), (self.counters, 64), (self.rx, 16 * self.rx_slots),
            (self.grant, 4 * self.grant_slots)])
        self.check_parts(self.up_bytes, [
            (self.up_index, 64), (self.tx, 16 * self.tx_slots), (self.free, 4 * self.free_slots)])

    @staticmethod
    def check_parts(lane_bytes, parts):
        end = 0
        for offset, size in sorted(parts):
            check(offset % 64 == 0 and offset >= end, "parts of a lane overlap")
            end = offset + size
        check(end <= lane_bytes, "a part outside of its lane")


class Pair:
    """A queue pair: s. 7, 9, 10 and 11. Offsets of words are divided by 4."""

    def __init__(self, client, index, packet, fds):
        self.client = client
        number, worker = struct.unpack_from("<II", packet, 8)
        check(number == index and worker < client.worker_count, "QP")
        self.worker_word = (client.worker_offset + worker * client.worker_bytes) // 4
        g = self.g = Geometry(packet[16:80])
        down = map_memfd(fds[0], g.down_bytes, mmap.PROT_READ)
        check_unwritable(fds[0], g.down_bytes, "the down lane")
        up = map_memfd(fds[1], g.up_bytes, mmap.PROT_READ | mmap.PROT_WRITE)
        check(down[:64] == packet[16:80], "geometry in the lane and in QP")
        self.down, self.up = memoryview(down).cast("I"), memoryview(up).cast("I")
        self.down_fd, self.up_fd, self.wake_fd, self.doorbell_fd = fds
        check(stat.S_ISSOCK(os.fstat(self.wake_fd).st_mode), "a socket")
        self.rx_head = self.grant_head = self.tx_tail = self.free_tail = 0
        self.rings = 0

    def seen(self, field):
        """A word of the down index: 0 rx_tail, 1 grant_tail, 2 tx_head, 3 free_head."""
        return self.down[self.g.down_index // 4 + field]

    def publish(self, field, value):
        """A word of the up index: 0 rx_head, 1 grant_head, 2 tx_tail, 3 free_tail, 4 wake."""
        self.up[self.g.up_index // 4 + field] = value & U32

    def state(self):
        return self.down[self.g.state // 4]

    def is_open(self):
        return self.client.is_alive() and self.state() == OPEN

    def kick(self):
        if self.client.header[self.worker_word] in (POLLS, AWAKE):
            return
        self.rings += 1
        try:
            os.write(self.doorbell_fd, struct.pack("<Q", 1))
        except BlockingIOError:
            pass  # told already

    def receive(self, limit=BURST):
        n = min((self.seen(0) - self.rx_head) & U32, limit)
        descs = []
        for i in range(n):
            at = self.g.rx // 4 + 4 * ((self.rx_head + i) % self.g.rx_slots)
            a, b, c, d = self.down[at:at + 4]
            descs.append(Desc(a, b & 0xFFFF, b >> 16, c & 0xFFFF, c >> 16, d))
        self.rx_head = (self.rx_head + n) & U32
        if n:
            self.publish(0, self.rx_head)
        return descs

    def allocate(self, limit):
        n = min((self.seen(1) - self.grant_head) & U32, limit)
        slots = [(self.grant_head + i) % self.g.grant_slots for i in range(n)]
        descs = [Desc(self.down[self.g.grant // 4 + slot], self.client.headroom) for slot in slots]
        self.grant_head = (self.grant_head + n) & U32
        if n:
            self.publish(1, self.grant_head)
            self.kick()
        return descs

    def send(self, descs):
        """Returns those for which there was no room."""
        room = self.g.tx_slots - ((self.tx_tail - self.seen(2)) & U32)
        for i, desc in enumerate(descs[:room]):
            at = self.g.tx // 4 + 4 * ((self.tx_tail + i) % self.g.tx_slots)
            self.up[at] = desc.buf
            self.up[at + 1] = desc.offset | desc.len << 16
            self.up[at + 2] = desc.port | desc.flags << 16
            self.up[at + 3] = desc.meta
        n = len(descs[:room])
        self.tx_tail = (self.tx_tail + n) & U32
        if n:
            self.publish(2, self.tx_tail)
            self.kick()
        return descs[n:]

    def free(self, descs):
        room = self.g.free_slots - ((self.free_tail - self.seen(3)) & U32)
        check(len(descs) <= room, "there is always room to free what is held")
        for i, desc in enumerate(descs):
            self.up[self.g.free // 4 + (self.free_tail + i) % self.g.free_slots] = desc.buf
        self.free_tail = (self.free_tail + len(descs)) & U32
        if descs:
            self.publish(3, self.free_tail)
            self.kick()

    def wait(self, timeout_s):
        """W1 to W5 for RX. Returns "ready" (without sleeping), "woken" or "timeout"."""
        self.publish(4, WAKE_RX)
        fence()
        result = "ready"
        if self.is_open() and self.seen(0) == self.rx_head:
            events = select.select([self.wake_fd], [], [], timeout_s)[0]
            result = "woken" if events else "timeout"
        self.publish(4, 0)
        try:
            while len(os.read(self.wake_fd, 512)) == 512:
                pass
        except BlockingIOError:
            pass
        return result

    def close(self):
        for view in self.down, self.up:
            mapping = view.obj
            view.release()
            mapping.close()
        for fd in self.down_fd, self.up_fd, self.wake_fd, self.doorbell_fd:
            os.close(fd)


class Client:
    """s. 4 to 6: attaches; `mapped` False stops before MAPPED, for tests of what follows it."""

    def __init__(self, path, mode=SHARED, role=MEMBER, flags=ALL_PORTS, pairs=1, rx_slots=0,
                 tx_slots=0, min_bufs=0, max_bufs=0, alloc_bufs=0, snap_len=0, ports=(),
                 name=b"spec", reserved=0, mapped=True):
        self.path, self.control = path, Control(path)
        self.server = self.control.greet()
        ports = [port.encode() for port in ports]
        names = b"".join(struct.pack("32s", port) for port in ports)
        self.control.send(ATTACH, struct.pack(
            "<12I32s512s", mode, role, flags, pairs, rx_slots, tx_slots, min_bufs, max_bufs,
            alloc_bufs, snap_len, len(ports), reserved, name, names))
        _, attached, fds = self.control.receive(ATTACHED)
        (self.session, self.alive, header_bytes, num_pairs, got_mode, self.headroom,
         num_regions) = struct.unpack_from("<QIIIIII", attached, 8)
        check((num_pairs, got_mode, num_regions) == (pairs, mode, 1), "ATTACHED")
        self.map_header(fds[0], header_bytes)
        self.map_pool(fds[1], attached[40:104], mode)
        self.pairs = [Pair(self, i, *self.control.receive(QP)[1:]) for i in range(pairs)]
        if mapped:
            self.control.send(MAPPED)
            self.control.receive(READY)

    def map_header(self, fd, size):
        check_unwritable(fd, size, "the header")
        header = map_memfd(fd, size, mmap.PROT_READ)
        os.close(fd)
        (magic, major, _, header_bytes, self.region_offset, regions, region_bytes, self.port_offset,
         self.port_count, self.port_bytes, self.worker_offset, self.worker_count,
         self.worker_bytes) = struct.unpack_from("<IHH10I", header)
        check(magic == HEADER_MAGIC and major == 1, "magic and version of the header")
        check(header_bytes <= size and text_of(header[64:96]) == self.server, "header")
        for offset, count, entry, known in (
                (self.region_offset, regions, region_bytes, 64),
                (self.port_offset, self.port_count, self.port_bytes, 128),
                (self.worker_offset, self.worker_count, self.worker_bytes, 64)):
            check(entry >= known and offset + count * entry <= header_bytes, "a table's place")
        self.header_map, self.header = header, memoryview(header).cast("I")
        check(self.is_alive(), "alive word")

    def map_pool(self, fd, region, mode):
        (number, kind, size, page, self.buf_bytes,
         self.num_bufs) = struct.unpack_from("<IIQQII", region)
        check(self.header_map[self.region_offset:self.region_offset + 64] == region, "region entry")
        check((number, kind) == (0, 1) and size % page == 0, "region")
        check(self.buf_bytes * self.num_bufs <= size and page % self.buf_bytes == 0, "buffers")
        prot = mmap.PROT_READ
        if mode == SHARED:
            prot |= mmap.PROT_WRITE
        else:
            check_unwritable(fd, size, "a readonly client's pool")
        self.pool = map_memfd(fd, size, prot, SEAL_SEAL | SEAL_SHRINK | SEAL_GROW)
        os.close(fd)

    def is_alive(self):
        return self.header[128 // 4] == self.alive

    def ports(self):
        for i in range(self.port_count):
            at = self.port_offset + i * self.port_bytes
            yield text_of(self.header_map[at:at + 32]), self.header_map[at + 64:at + 70]

    def place(self, desc):
        """Where the frame begins in the pool, or the buffer if it is about metadata."""
        check(desc.buf < self.num_bufs, "buffer id")
        check(META_BYTES <= desc.offset <= desc.offset + desc.len <= self.buf_bytes, "bounds")
        return desc.buf * self.buf_bytes + desc.offset

    def frame(self, desc):
        at = self.place(desc)
        return self.pool[at:at + desc.len]

    def meta(self, desc):
        return struct.unpack_from("<QI", self.pool, desc.buf * self.buf_bytes)

    def write(self, desc, data):
        at = self.place(desc)
        self.pool[at:at + len(data)] = data

    def detach(self):
        """s. 14. Returns once the server has every buffer back."""
        self.control.send(DETACH)
        try:
            self.control.receive()
        except Ended as end:
            check(end.what == "end", "DETACH is not answered")
        self.close()

    def close(self):
        self.control.socket.close()
        for pair in self.pairs:
            pair.close()
        self.header.release()
        self.header_map.close()
        self.pool.close()
