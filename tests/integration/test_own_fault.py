#!/usr/bin/env python3
"""test_own_fault.py - who is stopped, deaf, greedy, or has a full disk, pays for it alone: law 5

The witnesses (chaos_witness.c) have to miss nothing meanwhile, with most of their guaranteed buffers in
use, and whose fault it was has to have it in its own counters.
"""
import os
import signal
import subprocess
import sys
import tempfile
import time

import chaos_lib as lib

STOPPED_S = 30 if lib.LONG else 1
NO_SPACE = "No space left"


class Client:
    last_id = 0

    def __init__(self, server, kind):
        Client.last_id += 1
        self.server, self.kind = server, kind
        self.process = server.start(f"{lib.HELPERS}/chaos_victim", "main", kind,
                                    str(Client.last_id), str(Client.last_id),
                                    stdout=subprocess.PIPE)
        if os.read(self.process.stdout.fileno(), 1) != b"a":
            raise lib.Failure(f"{kind} did not attach: {server.said()}")

    def stats(self):
        for client in self.server.stats()["clients"]:
            if client["pid"] == self.process.pid:
                return client
        raise lib.Failure(f"{self.kind} has lost its session")

    def count(self, name):
        return self.stats()["counters"][name]

    def wait_for_more(self, name):
        before = self.count(name)
        lib.wait_until(lambda: self.count(name) > before,
                       lambda: f"{self.kind}: {name} stays at {before}")

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def kill_all(server, clients):
    for client in clients:
        client.process.send_signal(signal.SIGKILL)
    for client in clients:
        client.kill()
    server.wait_for_pool(lib.WITNESSES)


def stopped_and_deaf(server, witnesses):
    """Their rings fill, what comes then is dropped and counted for them; and they can go on"""
    clients = [Client(server, kind) for kind in ("member", "threads", "monitor", "readonly")]
    deaf = Client(server, "deaf")
    for client in clients:
        client.process.send_signal(signal.SIGSTOP)
    deaf.wait_for_more("rx_dropped_ring")
    for client in clients:
        client.wait_for_more("rx_dropped_ring")
    time.sleep(STOPPED_S)
    witnesses.wait_for_progress()
    for client in clients:
        client.process.send_signal(signal.SIGCONT)
    for client in clients:
        client.wait_for_more("rx_packets")
    kill_all(server, clients + [deaf])
    print(f"ok   stopped for {STOPPED_S} s, or deaf: a full ring drops for its owner alone")


def exhausted_pool(server, witnesses):
    """Greedy clients take all that is promised to nobody; what is promised, the witnesses get"""
    greedy = [Client(server, "greedy") for _ in range(6)]

    def unpromised():
        pool = server.stats()["pool"][0]
        return pool["free"] - pool["reserved"]

    # twelve queue pairs leave each other a thirteenth of what is not promised; an eighth is not lent at all
    lib.wait_until(lambda: unpromised() < 2500 + 16384 // 8, lambda: f"{unpromised()} buffers are still free")
    free = unpromised()
    witnesses.ask("keep")
    lib.wait_until(
        lambda: any(c["name"] == "receiver" and c["held_bufs"] >= 3000
                    for c in server.stats()["clients"]),
        "the receiver does not get the buffers that it was promised")
    witnesses.wait_for_progress()
    stats = server.stats()
    lib.check_ports(stats)
    if not any(client.count("rx_dropped_held") for client in greedy):
        raise lib.Failure("nothing was refused to those who kept everything: this proves nothing")
    witnesses.ask("quiet")
    kill_all(server, greedy)
    witnesses.ask("go")
    print(f"ok   an exhausted pool ({free} buffers not promised): the witnesses had what they were "
          "promised, who kept everything was refused more")


def full_disk_of_dump(server, witnesses, directory):
    """ixy-dump says so and ends; its place is free again"""
    dump = subprocess.run(
        [*lib.small_disk(directory), f"{lib.BUILD}/client-lib/tools/ixy-dump", "-n", "main", "-p",
         "cable", "-w", f"{directory}/cable.pcap"], stderr=subprocess.PIPE, text=True,
        timeout=lib.WAIT_S)
    if dump.returncode <= 0 or NO_SPACE not in dump.stderr:
        raise lib.Failure(f"ixy-dump ended with {dump.returncode} and said: {dump.stderr}")
    witnesses.wait_for_progress()
    witnesses.ask("quiet")
    server.wait_for_pool(lib.WITNESSES)
    witnesses.ask("go")
    print("ok   a full disk under ixy-dump ends ixy-dump")


def full_disk_of_port(server, witnesses):
    """What is sent to the port whose file cannot grow is dropped and counted, for its sender"""
    sender = Client(server, "member")
    sink = lib.wait_until(
        lambda: [p for p in server.stats()["ports"]
                 if p["name"] == "sink" and p["counters"]["tx_dropped"]],
        "the disk under port sink does not fill")[0]
    if NO_SPACE not in server.text():
        raise lib.Failure(f"the server does not say that its disk is full: {server.text()}")
    sender.wait_for_more("tx_packets")  # and it still takes what is sent, at full speed
    witnesses.wait_for_progress()
    witnesses.ask("quiet")
    kill_all(server, [sender])
    witnesses.ask("go")
    print(f"ok   a full disk under port sink: {sink['counters']['tx_dropped']} frames dropped there, "
          "other ports go on")


def run():
    if os.geteuid() != 0:
        print("skipped: needs root for a mount namespace")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as directory, tempfile.TemporaryDirectory() as disk:
        os.chmod(disk, 0o777)
        server = lib.Server(*lib.ports(directory, sink=f"pcap:none,out={disk}/sink.pcap"),
                            "--bufs", "32768", prefix=lib.small_disk(disk))
        try:
            witnesses = lib.Witnesses(server)
            num_fds = server.num_fds_at_rest()
            stopped_and_deaf(server, witnesses)
            exhausted_pool(server, witnesses)
            full_disk_of_dump(server, witnesses, disk)
            full_disk_of_port(server, witnesses)
            server.wait_for_fds(num_fds)
            seen = witnesses.stop()
            server.wait_for_pool(set())
            for port in ("cable", "file", "steady"):
                if seen[f"{port}_lost"]:
                    print(f"     {port}: {seen[f'{port}_lost']} frames lost, all in its "
                          "receiver's counters: the machine left it without a CPU")
            server.stop()
        finally:
            server.kill()


lib.main(run)
