"""bench_peers.py - the limits (bare ring, bare pipe) and the neighbours (DPDK, memif, libxdp)"""
import os
import re
import shutil
import signal
import subprocess
import time

from bench_system import (Cable, Directory, Failure, Skip, read, run_json, run_watched, start, stop,
                          threads_ns, wait_for)


def cpu_option(bench):
    return ["--cpus", f"{bench.cpus[0]},{bench.cpus[1]}"]


def ring(bench, burst=32):
    """16-byte descriptors in one direction between two processes, nothing checked."""
    return run_json([bench.program("bench_ring"), *cpu_option(bench), "--burst", str(burst),
                     "--seconds", str(bench.seconds)])


def ring_trip(bench):
    return run_json([bench.program("bench_ring"), "--round-trip", *cpu_option(bench), "--seconds",
                     str(bench.latency_seconds(False))])


def pipe(bench, trip=False):
    return run_json([bench.program("bench_pipe"), *(["--trip"] if trip else []),
                     *cpu_option(bench), "--seconds", str(bench.latency_seconds(True))])


# -- DPDK's multi-process mode ----------------------------------------------------------------------------
def dpdk(bench, burst=32, size=64, touch=False, trip=False):
    """A primary that receives from net_null, and a secondary that transmits to net_null."""
    bench.need("dpdk_pair", "the DPDK primary and secondary")
    if os.geteuid() != 0:
        raise Skip("the DPDK primary and secondary: needs root, to mount hugetlbfs for itself")
    seconds = bench.latency_seconds(False) if trip else bench.seconds
    return run_json([bench.program("dpdk_pair"), *cpu_option(bench), "--burst", str(burst),
                     "--seconds", str(seconds), "--size", str(size),
                     *(["--touch"] if touch else []), *(["--round-trip"] if trip else [])])


# -- memif, between two dpdk-testpmd ----------------------------------------------------------------------
class Testpmd:
    """An interactive dpdk-testpmd: one forwarding core, asked for its counters between commands."""

    def __init__(self, directory, name, arguments):
        self.log_path = os.path.join(directory, f"{name}.log")
        # its counters are printed with stdio, which keeps them back where they go to a file
        self.process = start(["stdbuf", "-oL", "dpdk-testpmd", *arguments], self.log_path,
                             stdin=subprocess.PIPE)

    def say(self, text):
        try:
            self.process.stdin.write(text.encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError as broken:
            raise Failure(f"dpdk-testpmd: {read(self.log_path)[-400:].strip()}") from broken

    def received(self):
        """RX-packets of port 0, each time it was asked."""
        return [int(n) for n in re.findall(r"NIC statistics for port 0 .*?RX-packets:\s+(\d+)",
                                           read(self.log_path), re.S)]

    def ask(self):
        """Packets received so far, and when that was so, seconds."""
        before = len(self.received())
        begin = time.monotonic()
        self.say("show port stats 0")
        wait_for(lambda: len(self.received()) > before, [self.process], self.log_path,
                 "dpdk-testpmd")
        return self.received()[-1], (begin + time.monotonic()) / 2


def memif(bench, zero_copy=True, mode="io", burst=32, size=64):
    """testpmd on both sides of a memif: null port, server, memif, client, and back."""
    if not shutil.which("dpdk-testpmd"):
        raise Skip("dpdk-testpmd is not installed (Debian: dpdk-dev and librte-net-memif23)")
    with Directory() as directory:
        socket = os.path.join(directory, "memif.sock")
        eal = ["--in-memory", "--no-pci", "--no-telemetry", "--single-file-segments", "-m", "64"]
        common = ["--total-num-mbufs=16384", f"--burst={burst}", "--disable-link-check", "-i",
                  "--auto-start"]
        # Forwarding lcores on the two CPUs; each main lcore sleeps, on the other side's CPU.
        here, there = bench.cpus[:2]
        server = [f"--lcores=1@{there},2@{here}", "--main-lcore=1", *eal,
                  f"--vdev=net_memif0,role=server,socket={socket},socket-abstract=no",
                  f"--vdev=net_null0,size={size}", "--", *common, "--forward-mode=io"]
        client = [f"--lcores=3@{here},4@{there}", "--main-lcore=3", *eal,
                  f"--vdev=net_memif0,role=client,socket={socket},socket-abstract=no,"
                  f"zero-copy={'yes' if zero_copy else 'no'}",
                  "--", *common, f"--forward-mode={mode}", "--port-topology=loop"]
        processes = []
        try:
            ours = Testpmd(directory, "server", server)
            processes.append(ours.process)
            wait_for(lambda: os.path.exists(socket), processes, ours.log_path, "dpdk-testpmd")
            theirs = Testpmd(directory, "client", client)
            processes.append(theirs.process)
            wait_for(lambda: ours.ask()[0] > 0, processes, theirs.log_path, "dpdk-testpmd")
            time.sleep(0.1)  # warms up, as the others do
            waited = sum(threads_ns(p.pid, 1) for p in processes)
            before, begin = ours.ask()
            time.sleep(bench.seconds)
            after, end = ours.ask()
            waited = (sum(threads_ns(p.pid, 1) for p in processes) - waited) / 1e9
        finally:
            for process in reversed(processes):
                stop(process, signal.SIGINT)
    return {"mpps": (after - before) / (end - begin) / 1e6, "waited": waited / (end - begin)}


# -- AF_XDP in one process --------------------------------------------------------------------------------
class Blast:
    """Frames from the far end of a cable, for longer than a sample takes."""

    def __init__(self, bench, cable, size, rate=None):
        self.command = [*bench.plain(), *cable.inside(cable.far), bench.program("packet_blast"), "--if", "vb",
                        "--cpu", str(bench.cpus[1]), "--size", str(size), "--seconds", "60",
                        *(["--rate", str(rate)] if rate else [])]

    def __enter__(self):
        self.directory = Directory()
        self.log_path = os.path.join(self.directory.__enter__(), "blast.log")
        self.process = start(self.command, self.log_path)
        time.sleep(0.2)
        if self.process.poll() is not None:
            text = read(self.log_path)
            self.directory.__exit__()
            raise Failure(f"packet_blast: {text[-300:].strip()}")
        return self

    def __exit__(self, *_):
        stop(self.process, signal.SIGTERM)
        self.directory.__exit__()


def xdp_forward(bench, size=64):
    """One process that forwards in place on the same cable."""
    bench.need("xdp_forward", "the forwarder on libxdp")
    bench.need("packet_blast", "the sender at the far end of the cable")
    with Cable() as cable:
        with bench.blast(cable, size):
            return run_watched([*bench.plain(), *cable.inside(cable.near),
                                bench.program("xdp_forward"), "--in", "va", "--out", "va", "--cpu",
                                str(bench.cpus[0]), "--seconds", str(bench.seconds)],
                               bench.seconds)
