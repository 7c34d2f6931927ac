"""survivors.py - a server under traffic on which clients die, and what has to hold after each death"""
import errno
import os
import struct
import time

from dying_lib import PATIENCE_S, SANITIZED, WORKERS, check, program, spec_lib

NUM_FRAMES, FRAME_BYTES = 4096, 124  # as in witness.c


def totals(control):
    """The rows of the pool, one for each worker, added up."""
    rows = control.query(4)
    return {key: sum(row[key] for row in rows) for key in rows[0]}


class Survivors:
    """A server under traffic with a witness on it, and what has to hold after each death."""
    OPTIONS = ["--bufs", str(32768 * WORKERS), "--hugepages", "none", "--port",
               "p0=null:rate=20000,flows=16"]
    # what the rings between workers hold has to last while the machine is busy elsewhere
    RATE = 500 if SANITIZED or WORKERS > 1 else 2000

    def __init__(self, stage):
        self.stage = stage
        self.frames, self.out = f"{stage.dir}/numbered.pcap", f"{stage.dir}/out.pcap"
        write_frames(self.frames)
        stage.options = [*self.OPTIONS, "--port", f"p1=pcap:{self.frames},loop=0,rate={self.RATE}",
                         "--port", f"p2=pcap:none,out={self.out}"]
        stage.start_server()
        self.control = stage.query()
        self.witness = stage.start(program("witness"), stage.name, "p1", "p2", log="witness")
        stage.wait_for(self.witness, "attached")
        rows = self.control.query(3)
        check(len(rows) == 1, "only the witness is attached")
        self.session, self.reserved = rows[0]["session"], rows[0]["min_bufs"]
        # ports of files keep none; at this very moment some may be on their way
        self.free = totals(self.control)["total"]
        self.promise, self.belongings = self.largest_promise(), self.server_has()

    def is_clean(self):
        """Nobody but the witness, and a moment in which even that one holds nothing."""
        rows, self.pool = self.control.query(3), totals(self.control)
        return ([row["session"] for row in rows] == [self.session] and
                self.pool["free"] == self.free and self.pool["in_clients"] == 0 and
                self.pool["lent"] == 0 and self.pool["reserved_bufs"] == self.reserved)

    def check(self, what):
        end = time.monotonic() + PATIENCE_S
        self.stage.lives()
        while not self.is_clean():
            check(time.monotonic() < end, f"{what}: not everything came back: {self.pool}, "
                                          f"{self.control.query(3)}; {self.free} should be free")
        check(self.witness.poll() is None, f"{what}: {self.stage.said(self.witness)}")

    def check_attach(self, what):
        client = spec_lib.Client(self.stage.path, flags=0, ports=["p0"])
        check(client.pairs[0].is_open(), f"{what}: a new session is not open")
        client.detach()

    def largest_promise(self):
        """The largest minimum that an attach is still granted: what dead clients were promised counts."""
        least, most = 1, 65537
        while most - least > 1:
            middle = (least + most) // 2
            try:
                spec_lib.Client(self.stage.path, flags=0, min_bufs=middle, max_bufs=65536).detach()
                least = middle
            except spec_lib.Ended as end:
                check(end.code == errno.ENOBUFS, str(end))
                most = middle
        return least

    def server_has(self):
        """How many descriptors and lanes it has."""
        proc = f"/proc/{self.stage.server.pid}"
        with open(proc + "/maps") as file:
            return len(os.listdir(proc + "/fd")), file.read().count("/memfd:ixy-")

    def check_nothing_piled_up(self):
        """What one death may leave unnoticed, many do not."""
        promise, end = self.largest_promise(), time.monotonic() + PATIENCE_S
        check(promise == self.promise, f"{promise} buffers can be promised, not {self.promise} as before")
        while any(now > before for now, before in zip(self.server_has(), self.belongings)):
            check(time.monotonic() < end, f"the server has {self.server_has()} descriptors and "
                                          f"mappings, and had {self.belongings}")

    def finish(self):
        """The witness leaves: all that it passed on has to be in the file, once, in order."""
        self.check_nothing_piled_up()
        row = self.control.query(3)[0]
        self.witness.terminate()
        check(self.stage.wait(self.witness) == 0, self.stage.said(self.witness))
        for reason in "ring", "held", "pool":
            check(row["rx_dropped_" + reason] == 0, f"the witness lost frames: {row}")
        for violation in spec_lib.VIOLATIONS:
            count = self.control.query(1)[0]["violation_" + violation]
            check(count == 0, f"{count} violations: {violation}")
        passed = int(self.stage.said(self.witness).split("passed ")[1].split()[0])
        self.control.socket.close()
        self.stage.stop_server()
        check_frames(self.out, passed)
        return passed


def write_frames(path):
    """Frames that witness.c knows: each has its number, and bytes that follow from it."""
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for number in range(NUM_FRAMES):
            file.write(struct.pack("<IIII", 0, 0, FRAME_BYTES, FRAME_BYTES) + frame_of(number))


def frame_of(number):
    head = bytes([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xB5]) + struct.pack("<I", number)
    return head + bytes((number * 7 + i) & 0xFF for i in range(len(head), FRAME_BYTES))


def check_frames(path, number):
    with open(path, "rb") as file:
        data = file.read()
    size = 16 + FRAME_BYTES
    check(len(data) == 24 + number * size, f"{len(data)} bytes were sent for {number} frames")
    for i in range(number):
        at = 24 + i * size + 16
        check(data[at:at + FRAME_BYTES] == frame_of(i % NUM_FRAMES), f"sent frame {i} is another")
