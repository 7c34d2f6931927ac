#!/usr/bin/env python3
"""test_reclaim.py - a client that holds 32,768 buffers is killed under traffic: exact, and in slices

Also prints the longest round of the poll loop before and after, which says little on a busy machine: it
is a maximum over the server's life, and whatever else the machine does makes it longer.

    IXY_RECLAIM_RUNS=N   default: 2; 20 with IXY_LONG=1
"""
import os
import subprocess
import tempfile

import chaos_lib as lib

HELD = 32768
RUNS = int(os.environ.get("IXY_RECLAIM_RUNS") or (20 if lib.LONG else 2))


def longest_us(stats):
    return lib.counter(stats, "longest_loop_ns") / 1000


def one(directory):
    """Returns the longest round before and after the kill, in microseconds"""
    server = lib.Server(*lib.ports(directory), "--bufs", "65536")
    try:
        witnesses = lib.Witnesses(server)
        hoarder = server.start(f"{lib.HELPERS}/reclaim_client", "main", str(HELD),
                               stdout=subprocess.PIPE, text=True)
        if hoarder.stdout.readline() != f"holding {HELD}\n":
            raise lib.Failure(f"it does not hold {HELD} buffers: {server.said()}")

        def held():
            return [c["held_bufs"] for c in server.stats()["clients"]
                    if c["name"] == "reclaim_client"]

        lib.wait_until(lambda: held() == [HELD], lambda: f"it holds {held()}")
        before = server.stats()
        hoarder.kill()
        hoarder.wait()
        hoarder.stdout.close()
        witnesses.ask("quiet")
        after = server.wait_for_pool(lib.WITNESSES)
        witnesses.ask("go")
        witnesses.wait_for_progress()
        lib.check_ports(after)
        got = lib.counter(after, "reclaimed_bufs") - lib.counter(before, "reclaimed_bufs")
        if got != HELD:
            raise lib.Failure(f"{got} buffers were reclaimed, not {HELD}")
        witnesses.stop()
        server.wait_for_pool(set())
        server.stop()
        return longest_us(before), longest_us(after)
    finally:
        server.kill()


def run():
    with tempfile.TemporaryDirectory() as directory:
        runs = [one(directory) for _ in range(RUNS)]
    print(f"ok   {HELD} buffers of a killed client came back under traffic, {RUNS} times")
    runs.sort(key=lambda run: run[1])
    print("     longest round of each server in us, before and after: "
          + ", ".join(f"{before:.1f} {after:.1f}" for before, after in runs))


lib.main(run)
