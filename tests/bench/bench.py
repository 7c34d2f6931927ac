#!/usr/bin/env python3
"""bench.py - takes alternating samples of the ring, the service and the peer; table and JSON

Started by run.sh, which builds the programs. README.md says what each figure means.
"""
import argparse
import json
import os
import re
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time

MIN_GOOD_SAMPLES = 3
START_TIMEOUT_S = 20
MAX_WAITED = 0.02  # of the time without the CPU: more, and the sample was disturbed
MAX_BUSY = 0.05  # of the machine, before a sample

# What the task asks for: (what, where in the result, comparison, limit, unit)
TARGETS = [
    ("ours / memif, 64 bytes written", "ratios.untouched_to_memif", ">=", 3.0, "x"),
    ("ours / memif, written, MACs swapped", "ratios.swapped_to_memif", ">=", 3.0, "x"),
    ("ours / memif, null ports write nothing", "ratios.keep_to_memif", ">=", 3.0, "x"),
    ("server's memory outside the pool", "memory.resident_mib", "<=", 16.0, "MiB"),
    ("lanes of a default client", "memory.lane_kib", "<=", 256.0, "KiB"),
    ("private bookkeeping per buffer", "memory.bytes_per_buffer", "<=", 16.0, "bytes"),
]


def busy_share():
    """The share of all CPUs' time that anybody used in the next third of a second."""
    def sample():
        with open("/proc/stat", encoding="utf-8") as stat:
            times = [int(word) for word in stat.readline().split()[1:]]
        return sum(times[:8]), times[3] + times[4]

    total, idle = sample()
    time.sleep(0.33)
    total_after, idle_after = sample()
    return 1 - (idle_after - idle) / max(1, total_after - total)


def waited_s(process):
    """How long a process's threads have been runnable without a CPU, seconds."""
    total = 0
    task_dir = f"/proc/{process.pid}/task"
    for task in os.listdir(task_dir):
        with open(f"{task_dir}/{task}/schedstat", encoding="utf-8") as schedstat:
            total += int(schedstat.read().split()[1])
    return total / 1e9


class Failure(Exception):
    """A sample that could not be taken; the text says why."""


def run_json(command, **kwargs):
    """Runs a program that prints one JSON document, and returns it."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          check=False, timeout=120, **kwargs)
    if done.returncode != 0:
        raise Failure(f"{os.path.basename(command[0])}: {done.stderr.strip() or done.returncode}")
    return json.loads(done.stdout)


def stop(process, number=signal.SIGTERM):
    """Ends a process that this program started, and waits for it."""
    if process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Server:
    """An ixy-server with one null port called p0, pinned, in a socket directory of its own."""

    def __init__(self, bench, port_options, extra=()):
        self.bench = bench
        self.dir = tempfile.mkdtemp(prefix="ixy-bench.")
        self.log_path = os.path.join(self.dir, "server.log")
        command = [bench.program("server/ixy-server"), "--name", "bench", "--port",
                   f"p0=null:{port_options}", "--poll", "busy", "--cpus", str(bench.cpus[0]),
                   "--socket-dir", self.dir, *extra]
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log)

    def __enter__(self):
        end = time.monotonic() + START_TIMEOUT_S
        while "ready" not in self.log():
            if self.process.poll() is not None or time.monotonic() > end:
                text = self.log().strip()
                self.__exit__()
                raise Failure(f"ixy-server did not start: {text}")
            time.sleep(0.01)
        return self

    def __exit__(self, *_):
        stop(self.process)
        shutil.rmtree(self.dir, ignore_errors=True)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def client(self, *options):
        return run_json([self.bench.program("bench_client"), "-d", self.dir, "-n", "bench", "-p",
                         "p0", "--cpu", str(self.bench.cpus[1]), *options])

    def port_counters(self):
        stats = run_json([self.bench.program("client-lib/tools/ixyctl"), "-d", self.dir, "-n",
                          "bench", "stats", "--json"])
        return find_port(stats, "p0")

    def mappings(self):
        """Name, size, resident part and page size of each mapping, in KiB."""
        mappings = []
        with open(f"/proc/{self.process.pid}/smaps", encoding="utf-8") as smaps:
            for line in smaps:
                head = re.match(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+\s*(.*)", line)
                if head:
                    mappings.append({"name": head.group(1)})
                    continue
                field = re.match(r"(\w+):\s+(\d+) kB", line)
                if field:
                    mappings[-1][field.group(1)] = int(field.group(2))
        return mappings

    def record_bytes(self):
        """Bookkeeping per buffer, from the offsets in the server's private state memfd.

        The layout is that of server/memory/state.h. The bitmap of a reader (a monitor) is there
        only while one is attached, so it stands apart.
        """
        fds = f"/proc/{self.process.pid}/fd"
        for fd in os.listdir(fds):
            path = os.path.join(fds, fd)
            if os.readlink(path).startswith("/memfd:ixy-state"):
                with open(path, "rb") as state:
                    head = struct.unpack("<IHHQ4I8Q", state.read(96))
                break
        else:
            raise Failure("the server has no memfd called ixy-state")
        if head[:2] != (0x53595849, 1):
            raise Failure("the layout of the server's state has changed: see record_bytes()")
        num_bufs, begin, end, per_reader = head[4], head[8], head[12], head[14]
        return {"bytes_per_buffer": round((end - begin) / num_bufs, 2),
                "bytes_per_buffer_and_reader": round(per_reader / num_bufs, 3)}

    def outside_pool(self, field):
        return sum(m[field] for m in self.mappings()
                   if m["KernelPageSize"] == 4 and "pool" not in m["name"])


def find_port(document, name):
    """The object that describes port @name, wherever in the statistics it stands."""
    if isinstance(document, dict):
        if document.get("name") == name and ("counters" in document or "tx_packets" in document):
            return document.get("counters", document)
        document = list(document.values())
    if isinstance(document, list):
        for part in document:
            found = find_port(part, name)
            if found:
                return found
    return None


class Bench:
    """The run's settings, and how each contender takes one sample."""

    def __init__(self, args):
        self.args = args
        self.cpus = [int(cpu) for cpu in args.cpus.split(",")]
        self.first = []  # attach and first packet of each sample of ours

    def program(self, name):
        """A program of this build: the benchmark's own, or one of the tree's (below ixy/)."""
        path = os.path.join(self.args.build_dir, name)
        return path if os.path.exists(path) else os.path.join(self.args.build_dir, "ixy", name)

    def cpu_option(self):
        return ["--cpus", f"{self.cpus[0]},{self.cpus[1]}"]

    def pingpong(self):
        return run_json([self.program("bench_ring"), "--pingpong", *self.cpu_option()])[
            "pingpong_ns"]

    def ring(self):
        return run_json([self.program("bench_ring"), *self.cpu_option(), "--seconds",
                         str(self.args.seconds)])

    def ours(self, port_options, *client_options):
        with Server(self, port_options) as server:
            waited, begin = waited_s(server.process), time.monotonic()
            result = server.client("--seconds", str(self.args.seconds), *client_options)
            waited = (waited_s(server.process) - waited) / (time.monotonic() - begin)
            result["waited"] = max(result["waited"], waited)
            counters = server.port_counters()
        if counters is None:
            raise Failure("ixyctl stats --json does not show port p0")
        # The client has detached: everything that it sent has to be accounted for by the port.
        taken = counters["tx_packets"] + counters["tx_dropped"] + counters["tx_bad"]
        if taken != result["sent"]:
            raise Failure(f"the client sent {result['sent']} frames, the port was given {taken}")
        self.first.append(result)
        return result

    def memif(self, mode):
        """testpmd on both sides of a memif: null port, server, memif, client, and back."""
        directory = tempfile.mkdtemp(prefix="ixy-bench.")
        socket = os.path.join(directory, "memif.sock")
        eal = ["--in-memory", "--no-pci", "--no-telemetry", "--single-file-segments", "-m", "64"]
        common = ["--total-num-mbufs=16384", "--burst=32", "--stats-period=1",
                  "--disable-link-check"]
        # Forwarding lcores on the two CPUs; each main lcore sleeps, on the other side's CPU.
        here, there = self.cpus
        server = ["dpdk-testpmd", f"--lcores=1@{there},2@{here}", "--main-lcore=1", *eal,
                  f"--vdev=net_memif0,role=server,socket={socket},socket-abstract=no",
                  "--vdev=net_null0", "--", *common, "--forward-mode=io"]
        client = ["dpdk-testpmd", f"--lcores=3@{here},4@{there}", "--main-lcore=3", *eal,
                  f"--vdev=net_memif0,role=client,socket={socket},socket-abstract=no,"
                  "zero-copy=yes",
                  "--", *common, f"--forward-mode={mode}", "--port-topology=loop"]
        processes = []
        log_path = os.path.join(directory, "server.log")
        try:
            with open(log_path, "wb") as log:
                processes.append(subprocess.Popen(server, stdin=subprocess.DEVNULL, stdout=log,
                                                  stderr=log))
            wait_for(lambda: os.path.exists(socket), processes, log_path)
            with open(os.path.join(directory, "client.log"), "wb") as log:
                processes.append(subprocess.Popen(client, stdin=subprocess.DEVNULL, stdout=log,
                                                  stderr=log))
            # the first second with packets is not a whole one; the second one warms up
            wait_for(lambda: len(memif_rates(log_path)) >= 2, processes, log_path)
            wanted = 2 + max(2, round(self.args.seconds))
            waited, begin = sum(map(waited_s, processes)), time.monotonic()
            wait_for(lambda: len(memif_rates(log_path)) >= wanted, processes, log_path)
            waited = (sum(map(waited_s, processes)) - waited) / (time.monotonic() - begin)
            rates = memif_rates(log_path)[2:wanted]
        finally:
            for process in reversed(processes):
                stop(process, signal.SIGINT)
            shutil.rmtree(directory, ignore_errors=True)
        return {"mpps": statistics.median(rates) / 1e6, "waited": waited}

    def memory(self):
        """What the server needs beside the pool, and what one client adds."""
        with Server(self, "rate=1000") as server:
            idle = server.outside_pool("Rss")
            client = server.client("--seconds", "0.2")
            after = server.outside_pool("Rss")
            record = server.record_bytes()
        return {"resident_mib": round(max(idle, after) / 1024, 2),
                "resident_idle_mib": round(idle / 1024, 2),
                "lane_kib": client["lane_bytes"] / 1024, **record}


def wait_for(condition, processes, log_path):
    end = time.monotonic() + START_TIMEOUT_S
    while not condition():
        if any(p.poll() is not None for p in processes) or time.monotonic() > end:
            with open(log_path, encoding="utf-8", errors="replace") as log:
                tail = log.read()[-400:]
            raise Failure(f"dpdk-testpmd did not run: {tail}")
        time.sleep(0.1)


def memif_rates(log_path):
    """Packets per second that came back from the client (port 0 is the memif), where not 0."""
    with open(log_path, encoding="utf-8", errors="replace") as log:
        text = log.read()
    rates = re.findall(r"NIC statistics for port 0 .*?Rx-pps:\s+(\d+)", text, re.S)
    return [int(rate) for rate in rates if int(rate) > 0]


def contenders(bench):
    rows = [("ring", "bare 16-byte ring, one way", bench.ring)]
    for payload in ("write", "keep"):
        for swap in (False, True):
            key = f"ours_{payload}_{'swapped' if swap else 'untouched'}"
            text = f"ours, payload={payload}, {'MACs swapped' if swap else 'untouched'}"
            options = ["--swap-macs"] if swap else []
            rows.append((key, text, lambda p=payload, o=options: bench.ours(
                f"size=64,payload={p}", *o)))
    if bench.args.peer and shutil.which("dpdk-testpmd"):
        rows.append(("memif_io", "testpmd memif zero-copy, untouched",
                     lambda: bench.memif("io")))
        rows.append(("memif_macswap", "testpmd memif zero-copy, MACs swapped",
                     lambda: bench.memif("macswap")))
    return [row for row in rows if not bench.args.only or re.search(bench.args.only, row[0])]


def take(bench, row, samples):
    """One sample of one contender, between two ping-pongs."""
    key, text, function = row
    end = time.monotonic() + bench.args.patience
    while busy_share() > MAX_BUSY and time.monotonic() < end:
        pass
    before = bench.pingpong()
    while before > bench.args.near_ns and time.monotonic() < end:
        time.sleep(0.5)
        before = bench.pingpong()
    result = function()
    after = bench.pingpong()
    sample = {"mpps": round(result["mpps"], 2), "pingpong_ns": [before, after],
              "waited": round(result["waited"], 4),
              "near": max(before, after) <= bench.args.near_ns,
              "quiet": result["waited"] <= MAX_WAITED}
    if "mean_burst" in result:
        sample["mean_burst"] = result["mean_burst"]
    samples[key].append(sample)
    print(f"  {text:<40} {result['mpps']:8.2f} Mpps   ping-pong {before:.0f}, {after:.0f} ns"
          f"   waited {result['waited']:.1%}", file=sys.stderr, flush=True)


def counts(sample):
    """Like is compared with like: near cores that nobody else used."""
    return sample["near"] and sample["quiet"]


def run_rounds(bench, rows):
    samples = {row[0]: [] for row in rows}
    for number in range(bench.args.rounds):
        print(f"round {number + 1} of {bench.args.rounds}", file=sys.stderr, flush=True)
        turn = number % len(rows)
        for row in rows[turn:] + rows[:turn]:
            take(bench, row, samples)
    # Far and disturbed samples do not count; take as many again at most.
    for _ in range(bench.args.rounds):
        wanted = min(MIN_GOOD_SAMPLES, bench.args.rounds)
        short = [row for row in rows if sum(map(counts, samples[row[0]])) < wanted]
        if not short:
            break
        print("too few near and undisturbed samples, once more", file=sys.stderr, flush=True)
        for row in short:
            take(bench, row, samples)
    return samples


def summary(samples):
    rows = {}
    for key, list_ in samples.items():
        good = [s["mpps"] for s in list_ if counts(s)]
        used = good or [s["mpps"] for s in list_]
        rows[key] = {"median_mpps": statistics.median(used), "min_mpps": min(used),
                     "max_mpps": max(used), "good_samples": len(good), "samples": list_}
    return rows


def ratio(rows, over, under):
    if over not in rows or under not in rows:
        return None
    if bool(rows[over]["good_samples"]) != bool(rows[under]["good_samples"]):
        return None
    return round(rows[over]["median_mpps"] / rows[under]["median_mpps"], 3)


def look_up(result, path):
    for part in path.split("."):
        result = result.get(part) if isinstance(result, dict) else None
    return result


def targets(result):
    verdicts = []
    for what, path, comparison, limit, unit in TARGETS:
        value = look_up(result, path)
        met = None
        if value is not None:
            met = value >= limit if comparison == ">=" else value <= limit
        verdicts.append({"what": what, "value": value, "comparison": comparison, "limit": limit,
                         "unit": unit, "met": met})
    return verdicts


def machine():
    model = "?"
    with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
        found = re.search(r"model name\s*: (.*)", cpuinfo.read())
        if found:
            model = found.group(1)
    return {"cpu": model, "cores": os.cpu_count(), "kernel": os.uname().release,
            "load_before": os.getloadavg()[0]}


def print_table(result, texts):
    bare = result["rows"].get("ring", {}).get("median_mpps")
    print(f"{'packets through a client and back':<42}{'median':>8}{'min':>8}{'max':>8}"
          f"{'good':>6}{'of ring':>9}   (Mpps)")
    for key, row in result["rows"].items():
        share = f"{row['median_mpps'] / bare:9.2f}" if bare else f"{'-':>9}"
        good = f"{row['good_samples']}/{len(row['samples'])}"
        print(f"{texts[key]:<42}{row['median_mpps']:8.2f}{row['min_mpps']:8.2f}"
              f"{row['max_mpps']:8.2f}{good:>6}{share}")
    if "memif_io" not in result["rows"]:
        print("testpmd with memif: not measured")
    print(f"\nround trip of one descriptor: {result['pingpong_ns']:.0f} ns")
    if "attach" in result:
        print(f"attach: {result['attach']['attach_ms']:.2f} ms; attach to first packet: "
              f"{result['attach']['first_packet_ms']:.2f} ms")
    print()
    for verdict in result["targets"]:
        value = "not measured" if verdict["value"] is None else f"{verdict['value']:.2f}"
        word = {True: "met", False: "MISSED", None: ""}[verdict["met"]]
        print(f"{verdict['what']:<42}{value:>12} {verdict['unit']:<6}"
              f"(wanted {verdict['comparison']} {verdict['limit']:g})  {word}")


def parse_args():
    parser = argparse.ArgumentParser(
        prog="tests/bench/run.sh", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Measures the service beside the bare ring and testpmd with memif.",
        epilog="example: tests/bench/run.sh --rounds 9 --json result.json")
    parser.add_argument("--rounds", type=int, default=7, help="samples of each kind (7)")
    parser.add_argument("--seconds", type=float, default=1, help="length of a sample (1)")
    parser.add_argument("--cpus", default="0,1", help="server's and client's CPU (0,1)")
    parser.add_argument("--near-ns", type=float, default=250,
                        help="cores are near when a round trip takes no longer (250)")
    parser.add_argument("--patience", type=float, default=15, metavar="S",
                        help="seconds to wait for near cores and a quiet machine (15)")
    parser.add_argument("--json", metavar="FILE", help="write the result there too")
    parser.add_argument("--only", metavar="REGEX", help="only these kinds of samples")
    parser.add_argument("--no-peer", dest="peer", action="store_false", help="without testpmd")
    parser.add_argument("--no-memory", dest="memory", action="store_false",
                        help="without the server's memory")
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    parser.add_argument("--build-dir", help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    args = parse_args()
    bench = Bench(args)
    rows = contenders(bench)
    if not rows:
        sys.exit("bench.py: nothing is called so")
    result = {"machine": machine(),
              "settings": {"rounds": args.rounds, "seconds": args.seconds, "cpus": bench.cpus,
                           "near_ns": args.near_ns, "burst": 32, "frame_bytes": 64}}
    try:
        samples = run_rounds(bench, rows)
        if args.memory:
            result["memory"] = bench.memory()
    except Failure as failure:
        sys.exit(f"bench.py: {failure}")

    result["rows"] = summary(samples)
    result["pingpong_ns"] = statistics.median(
        ns for row in samples.values() for s in row for ns in s["pingpong_ns"])
    if bench.first:
        result["attach"] = {key: statistics.median(r[key] for r in bench.first)
                            for key in ("attach_ms", "first_packet_ms")}
    result["ratios"] = {
        "untouched_to_memif": ratio(result["rows"], "ours_write_untouched", "memif_io"),
        "swapped_to_memif": ratio(result["rows"], "ours_write_swapped", "memif_macswap"),
        "keep_to_memif": ratio(result["rows"], "ours_keep_untouched", "memif_io"),
        "untouched_to_ring": ratio(result["rows"], "ours_write_untouched", "ring"),
    }
    result["targets"] = targets(result)

    print_table(result, {row[0]: row[1] for row in rows})
    text = json.dumps(result, indent=1)
    print("\n" + text)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as out:
            out.write(text + "\n")
    if args.check and any(verdict["met"] is False for verdict in result["targets"]):
        sys.exit(1)


if __name__ == "__main__":
    main()
