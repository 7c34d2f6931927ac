#!/usr/bin/env python3
"""test_members.py - clients that come and go share a port by flow; each queue pair has its thread

Every flow has exactly one queue pair at any time, all flows have one, the spread is even, and when a
client comes or goes only the flows that must move do.
"""
import os
import subprocess
import sys
import tempfile
import time

BUILD = os.environ["IXY_BUILD_DIR"]
FLOWS = 1024
processes = []


def fail(why):
    print("FAILED:", why)
    sys.exit(1)


def start(*command, **options):
    process = subprocess.Popen(command, **options)
    processes.append(process)
    return process


class Client:
    def __init__(self, queue_pairs):
        self.process = start(f"{BUILD}/tests/integration/flow_client", "main", str(queue_pairs),
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def flows(self):
        """{flow: (client, queue pair)} of what it saw since the last call"""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            fail("a client ended")
        pairs = [item.split(":") for item in line.split()]
        flows = {int(flow): (self, int(qp)) for flow, qp in pairs}
        if len(flows) != len(pairs):
            fail("a flow went to two queue pairs of one client")
        return flows


def assignment(clients):
    """Who has which flow, once all is quiet; no flow may be seen twice."""
    time.sleep(0.3)
    for client in clients:
        client.flows()  # what was under way before
    deadline = time.time() + 20
    owners = {}
    while len(owners) < FLOWS and time.time() < deadline:
        time.sleep(0.1)
        for client in clients:
            for flow, owner in client.flows().items():
                if owners.setdefault(flow, owner) != owner:
                    fail(f"flow {flow} went to two queue pairs")
    if len(owners) != FLOWS:
        fail(f"{len(owners)} of {FLOWS} flows were seen")
    return owners


def shares(owners):
    counts = {}
    for owner in owners.values():
        counts[owner] = counts.get(owner, 0) + 1
    return counts


def moved(before, after):
    return {flow for flow in before if before[flow] != after[flow]}


def check_even(owners, pairs):
    counts = shares(owners)
    if len(counts) != pairs:
        fail(f"{len(counts)} of {pairs} queue pairs get frames")
    # 1024 flows hash into 256 entries: a share of 256 varies by some 8 percent (one sigma)
    wanted = FLOWS / pairs
    for count in counts.values():
        if not 0.6 * wanted < count < 1.5 * wanted:
            fail(f"uneven: {sorted(counts.values())}")


def main():
    with tempfile.TemporaryDirectory() as socket_dir:
        os.environ["IXY_SOCKET_DIR"] = socket_dir
        log = open(f"{socket_dir}/log", "w+")
        server = start(f"{BUILD}/server/ixy-server", "--name", "main", "--socket-dir", socket_dir,
                       "--hugepages", "none", "--port", f"p0=null:rate=100k,flows={FLOWS}",
                       stderr=log)
        while "ready" not in open(log.name).read():
            if server.poll() is not None:
                fail(open(log.name).read())
            time.sleep(0.05)

        first = Client(3)
        alone = assignment([first])
        check_even(alone, 3)
        print("ok   three threads share all flows")

        second = Client(1)
        both = assignment([first, second])
        check_even(both, 4)
        if any(both[flow][0] is not second for flow in moved(alone, both)):
            fail("a flow moved that did not have to when a client came")
        print("ok   a client comes: only its share moves")

        second.process.kill()
        second.process.wait()
        again = assignment([first])
        check_even(again, 3)
        if any(both[flow][0] is not second for flow in moved(both, again)):
            fail("a flow moved that did not have to when a client was killed")
        print("ok   a client is killed: only its flows move")
        server.terminate()
        if server.wait(10):
            fail("the server failed")


try:
    main()
finally:
    for process in processes:
        if process.poll() is None:
            process.kill()
