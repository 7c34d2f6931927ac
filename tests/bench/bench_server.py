"""bench_server.py - a server for one sample: started, asked, compared with its clients, ended"""
import os
import re
import signal
import struct
import subprocess
import time

from bench_system import (START_TIMEOUT_S, Directory, Disagreement, Failure, read, run_json, start,
                          stop)

STATE_MAGIC, STATE_VERSION = 0x53595849, 2


class Server:
    """An ixy-server, pinned to the first CPU, in a socket directory of its own."""

    def __init__(self, bench, *ports, poll="busy", extra=(), prefix=(), cpus=None):
        self.bench = bench
        self.prefix = list(prefix)
        self.directory = Directory()
        self.dir = self.directory.__enter__()
        self.log_path = os.path.join(self.dir, "server.log")
        command = [*bench.plain(prefix), *prefix, bench.program("server/ixy-server"), "--name", "bench", "--poll", poll,
                   "--cpus", cpus or str(bench.cpus[0]), "--socket-dir", self.dir, *map(str, extra)]
        for port in ports:
            command += ["--port", port]
        self.process = start(command, self.log_path)
        self.pid = None

    def __enter__(self):
        end = time.monotonic() + START_TIMEOUT_S
        while not self.pid:
            ready = re.search(r"ready: .*, pid (\d+)", read(self.log_path))
            self.pid = int(ready.group(1)) if ready else None
            if self.process.poll() is not None or time.monotonic() > end:
                text = read(self.log_path).strip()
                self.__exit__()
                raise Failure(f"ixy-server did not start: {text[-400:]}")
            time.sleep(0.002)
        return self

    def __exit__(self, *_):
        stop(self.process)
        self.directory.__exit__()

    def command(self, program, *options, cpu=None):
        """A command line of one of the benchmark's programs for this server."""
        return [*self.bench.plain(self.prefix), self.bench.program(program), "-d", self.dir, "-n", "bench", "--cpu",
                str(self.bench.cpus[1] if cpu is None else cpu), *map(str, options)]

    def run(self, program, *options):
        return run_json(self.command(program, *options))

    def start(self, program, *options):
        """One of the programs that say something and then wait for their input's end."""
        return subprocess.Popen(self.command(program, *options), stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def stats(self):
        return run_json([self.bench.program("client-lib/tools/ixyctl"), "-d", self.dir, "-n",
                         "bench", "stats", "--json", "--interval", "0"])

    def compare(self, result, out_ports):
        """What the client sent in its life has to be what the ports were given, to the frame."""
        ports = self.stats()["ports"]
        taken = sum(port["counters"][name] for port in ports if port["name"] in out_ports
                    for name in ("tx_packets", "tx_dropped", "tx_bad"))
        if taken != result["sent"]:
            raise Disagreement(f"the client sent {result['sent']} frames, the ports were given "
                               f"{taken}")
        arrived = sum(port["counters"]["rx_packets"] for port in ports)
        if arrived < result["received"]:
            raise Disagreement(f"the client received {result['received']} frames, the ports only "
                               f"{arrived}")

    def outside_pool_kib(self, field="Rss"):
        """Memory of the server in pages of 4 KiB that are not the pool's."""
        mappings = []
        for line in read(f"/proc/{self.pid}/smaps").splitlines():
            head = re.match(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+\s*(.*)", line)
            if head:
                mappings.append({"name": head.group(1)})
                continue
            number = re.match(r"(\w+):\s+(\d+) kB", line)
            if number:
                mappings[-1][number.group(1)] = int(number.group(2))
        return sum(m[field] for m in mappings
                   if m["KernelPageSize"] == 4 and "pool" not in m["name"])

    def record_bytes(self):
        """Bookkeeping per buffer, from the offsets in the server's private state memfd.

        The layout is that of server/memory/state.h. The bitmap of a reader (a monitor) is there
        only while one is attached, so it stands apart.
        """
        fds = f"/proc/{self.pid}/fd"
        for fd in os.listdir(fds):
            path = os.path.join(fds, fd)
            if os.readlink(path).startswith("/memfd:ixy-state"):
                with open(path, "rb") as state:
                    head = struct.unpack("<IHHQ4I8Q", state.read(96))
                break
        else:
            raise Failure("the server has no memfd called ixy-state")
        if head[:2] != (STATE_MAGIC, STATE_VERSION):
            raise Failure("the layout of the server's state has changed: see record_bytes()")
        num_bufs, begin, end, per_reader = head[4], head[8], head[12], head[14]
        return {"bytes_per_buffer": round((end - begin) / num_bufs, 2),
                "bytes_per_buffer_and_reader": round(per_reader / num_bufs, 3)}


def leave(process):
    """Ends a program that waits for the end of its input; returns what else it had printed."""
    try:
        out, err = process.communicate(timeout=START_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        stop(process, signal.SIGKILL)
        out, err = process.communicate()
    if process.returncode != 0:
        raise Failure(f"{os.path.basename(process.args[0])}: {err.strip()[-400:]}")
    return out
