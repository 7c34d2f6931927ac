#!/usr/bin/env python3
"""test_loans.py - two workers: a monitor that keeps all it gets takes nothing from other monitors

A lender lets at most MESH_MAX_LOANS (16,384) places in loans out of its column, for all monitors of the
others together. One that keeps what it is lent gets half of them, and the others find the rest.
"""
import subprocess

import chaos_lib as lib


def monitor(server, what):
    client = server.start(f"{lib.HELPERS}/loans_client", "main", "p", what,
                          stdout=subprocess.PIPE, text=True)
    if client.stdout.readline() != "attached\n":
        raise lib.Failure(f"{what} did not attach: {server.said()}")


def counts(server, name, counter):
    return [c["counters"][counter] for c in server.stats()["clients"] if c["name"] == name]


def check_text(server):
    """What a lender dropped is shown among the port's drops; that frames crossed is no violation"""
    stats = server.stats()
    if not (stats["ports"][0]["counters"]["rx_cross_full"] and lib.counter(stats, "crossed")):
        raise lib.Failure(f"nothing was dropped, so this shows nothing: {stats}")
    text = subprocess.run([f"{lib.BUILD}/client-lib/tools/ixyctl", "-n", "main", "stats", "--interval", "0"],
                          stdout=subprocess.PIPE, text=True, check=True, timeout=lib.WAIT_S).stdout
    shown = [line.split()[0] for line in text.splitlines() if line.startswith("  ")]
    if "rx_cross_full" not in shown or "crossed" in shown:
        raise lib.Failure(f"drops are missing, or what is none is shown: {text}")


def run():
    server = lib.Server("--bufs", "131072", "--port", "p=null:rate=20000", workers=2)
    try:
        for _ in range(2):  # one of each kind on each worker
            monitor(server, "keep")
        lib.wait_until(lambda: min(counts(server, "keep", "rx_packets")) >= 8000,
                       lambda: f"they keep {counts(server, 'keep', 'rx_packets')} only")
        kept = counts(server, "keep", "rx_packets")
        for _ in range(2):
            monitor(server, "watch")
        lib.wait_until(lambda: min(counts(server, "watch", "rx_packets")) >= 1000,
                       lambda: f"they get {counts(server, 'watch', 'rx_packets')} frames; "
                       f"{server.stats()['pool']}")
        server.check_alive()
        if min(counts(server, "keep", "rx_packets")) > 9000:
            raise lib.Failure(f"who keeps everything got more and more: {kept}")
        check_text(server)
    finally:
        server.kill()
    print("ok   monitors that keep everything take nothing from others, on either worker; "
          "ixyctl stats shows what those lost")


lib.main(run)
