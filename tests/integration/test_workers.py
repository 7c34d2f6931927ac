#!/usr/bin/env python3
"""test_workers.py - two and three workers; clients with a thread for each queue pair that pass buffers

Of a file whose member has one pair, somewhere, or pairs at all workers, every frame is sent back exactly
once and whole, while other clients with one, three and as many queue pairs as there are workers receive
from null ports with fewer, as many and more queues than workers, and are killed and started anew. In
the end the pool is full.

IXY_LONG=1: some minutes, with more frames and more kills.
"""
import collections
import json
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time

BUILD = os.environ["IXY_BUILD_DIR"]
LONG = os.environ.get("IXY_LONG") == "1"
FRAMES = 400000 if LONG else 30000
MIN_KILLS = 200 if LONG else 10
processes = []


def fail(why):
    print("FAILED:", why)
    sys.exit(1)


def start(*command, **options):
    process = subprocess.Popen(command, **options)
    processes.append(process)
    return process


def client(port, pairs):
    process = start(f"{BUILD}/tests/integration/worker_client", "main", port, port, str(pairs),
                    stdout=subprocess.PIPE, text=True)
    if "attached" not in process.stdout.readline():
        fail(f"a client of {port} with {pairs} queue pairs did not attach")
    return process


def make_frame(number):
    return (bytes.fromhex("020000000001020000000002" "88b5") + struct.pack(">I", number) +
            bytes([number & 0xff]) * (42 + number % 200))


def write_capture(path):
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        for number in range(FRAMES):
            frame = make_frame(number)
            file.write(struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame)


def read_capture(path):
    data = open(path, "rb").read()
    at = 24
    while at < len(data):
        length = struct.unpack_from("<I", data, at + 8)[0]
        yield data[at + 16:at + 16 + length]
        at += 16 + length


def stats():
    return json.loads(subprocess.run(
        [f"{BUILD}/client-lib/tools/ixyctl", "-n", "main", "stats", "--json", "--interval", "0"],
        stdout=subprocess.PIPE, check=True).stdout)


def port_counters(name):
    return next(p for p in stats()["ports"] if p["name"] == name)["counters"]


def verify(when):
    done = subprocess.run([f"{BUILD}/client-lib/tools/ixyctl", "-n", "main", "show", "pool",
                           "--verify"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        fail(f"{when}: {done.stdout}")


def pool_is_whole():
    return all(p["sum_is_total"] and not p["in_clients"] and not p["lent"] and
               p["free"] + p["in_devices"] + p["in_worker"] == p["total"] for p in stats()["pool"])


def wait_until(seconds, what, condition):
    end = time.time() + seconds
    while not condition():
        if time.time() > end:
            fail(f"{what}: {json.dumps(stats())}")
        time.sleep(0.05)


class Crowd:
    """Clients of the null ports, of which one is killed and another started now and then."""

    def __init__(self, workers):
        self.kinds = [(port, pairs) for port in ("few", "same", "more") for pairs in (1, 3, 0)]
        self.random = random.Random(workers)
        self.clients = [client(*kind) for kind in self.random.sample(self.kinds, 4)]
        self.kills = 0

    def churn(self):
        victim = self.clients.pop(self.random.randrange(len(self.clients)))
        if victim.poll() is not None:
            fail(f"a client ended by itself, with status {victim.returncode}")
        victim.send_signal(self.random.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)))
        victim.wait()
        self.kills += 1
        self.clients.append(client(*self.random.choice(self.kinds)))

    def end(self):
        for process in self.clients:
            if process.poll() is not None:
                fail(f"a client ended by itself, with status {process.returncode}")
            process.kill()
            process.wait()


def run(workers, pairs, directory):
    log = open(f"{directory}/log", "w")
    out = f"{directory}/out.pcap"
    server = start(f"{BUILD}/server/ixy-server", "--name", "main", "--socket-dir", directory,
                   "--hugepages", "none", "--workers", str(workers), "--bufs", str(8192 * workers),
                   "--port", f"f=pcap:{directory}/in.pcap,out={out}",
                   "--port", "few=null:rate=20k,flows=64",
                   "--port", f"same=null:rate=20k,flows=64,queues={workers}",
                   "--port", f"more=null:rate=20k,flows=64,queues={workers + 2}",
                   stderr=log)
    while "ready" not in open(log.name).read():
        if server.poll() is not None:
            fail(open(log.name).read())
        time.sleep(0.05)
    crowd = Crowd(workers)
    member = client("f", pairs)
    while port_counters("f")["tx_packets"] < FRAMES or crowd.kills < MIN_KILLS:
        crowd.churn()
        counters = port_counters("f")
        lost = counters["rx_cross_full"] + counters["tx_dropped"]
        if lost or counters["rx_packets"] == FRAMES and member.poll() is not None:
            fail(f"of the file {lost} frames were dropped, and {counters['rx_packets']} read")
        verify("while all runs")
    time.sleep(0.1)
    if member.poll() is not None:
        fail(f"the file's member ended by itself, with status {member.returncode}")
    member.kill()
    member.wait()
    crowd.end()
    wait_until(20, "buffers are missing", pool_is_whole)
    verify("in the end")
    server.terminate()
    if server.wait(20):
        fail("the server failed")
    wanted = collections.Counter(make_frame(number) for number in range(FRAMES))
    got = collections.Counter(read_capture(out))
    if got != wanted:
        fail(f"{sum((wanted - got).values())} frames are missing or damaged, "
             f"{sum((got - wanted).values())} are twice or damaged")
    print(f"ok   {workers} workers, a member with {pairs or workers} queue pairs: {FRAMES} frames there "
          f"and back once each, beside {crowd.kills} clients that were killed", flush=True)


def main():
    for workers, pairs in ((2, 1), (2, 0), (3, 3)):
        with tempfile.TemporaryDirectory() as directory:
            os.environ["IXY_SOCKET_DIR"] = directory
            write_capture(f"{directory}/in.pcap")
            run(workers, pairs, directory)


try:
    main()
finally:
    for process in processes:
        if process.poll() is None:
            process.kill()
