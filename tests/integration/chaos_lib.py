"""chaos_lib.py - a server, its witnesses, and processes to be killed; for test_chaos.py and its kin"""
import json
import os
import subprocess
import sys
import tempfile
import time

BUILD = os.environ["IXY_BUILD_DIR"]
HELPERS = f"{BUILD}/tests/integration"
LONG = os.environ.get("IXY_LONG") == "1"
WAIT_S = 60  # for what happens at once on a machine that has the time; never a limit that is tested
WITNESSES = {"generator", "forwarder", "monitor", "receiver", "auditor"}
VIOLATIONS = ["ring_index", "buffer", "holder", "bounds", "flags", "port", "verdict"]


class Failure(Exception):
    pass


def wait_until(condition, what):
    """Until condition() is true, and returns that; fails after WAIT_S with the words what()"""
    deadline = time.monotonic() + WAIT_S
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise Failure(what() if callable(what) else what)
        time.sleep(0.01)


class Server:
    """ixy-server in a directory of its own, called main"""

    def __init__(self, *options, workers=1, prefix=()):
        self.workers = workers
        self.dir = tempfile.mkdtemp(prefix="ixy-chaos.")
        os.environ["IXY_SOCKET_DIR"] = self.dir
        self.log = open(f"{self.dir}/server.log", "w+")
        self.errors = open(f"{self.dir}/clients.log", "w+")  # of all clients
        if workers > 1:
            options += ("--workers", str(workers))
        self.process = subprocess.Popen(
            [*prefix, f"{BUILD}/server/ixy-server", "--name", "main", "--socket-dir", self.dir,
             "--hugepages", "none", *options], stderr=self.log, stdout=self.log)
        self.clients = []
        try:
            wait_until(lambda: self.process.poll() is not None or "ready" in self.text(),
                       "the server does not start")
            if self.process.poll() is not None:
                raise Failure(f"the server did not start: {self.text()}")
        except Failure:
            self.kill()
            raise

    def text(self):
        with open(self.log.name, errors="replace") as log:
            return log.read()

    def start(self, *command, **options):
        process = subprocess.Popen(command, stderr=self.errors, **options)
        self.clients.append(process)
        return process

    def forget(self, process):
        self.clients.remove(process)

    def ctl(self):
        return subprocess.run(
            [f"{BUILD}/client-lib/tools/ixyctl", "-n", "main", "stats", "--json", "--interval",
             "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=WAIT_S)

    def stats(self):
        """ixyctl gives up after 5 s; a machine was seen to leave ixyctl itself without a CPU for longer"""
        deadline = time.monotonic() + WAIT_S
        out = self.ctl()
        while out.returncode and time.monotonic() < deadline:
            self.check_alive()
            out = self.ctl()
        if out.returncode:
            raise Failure(f"the server does not answer ixyctl: {out.stderr}\n{self.text()}")
        return json.loads(out.stdout)

    def num_fds(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def num_fds_at_rest(self):
        """The connection of the last ixyctl may still be there: the fewest in a fifth of a second"""
        fewest = self.num_fds()
        for _ in range(20):
            time.sleep(0.01)
            fewest = min(fewest, self.num_fds())
        return fewest

    def check_alive(self):
        if self.process.poll() is not None:
            raise Failure(f"the server ended with status {self.process.returncode}")

    def said(self):
        """What all clients wrote on standard error"""
        with open(self.errors.name, errors="replace") as log:
            return log.read()

    def check_errors(self):
        bad = [line for line in self.said().splitlines(True)
               if "WRONG" in line or "Sanitizer" in line]
        if bad or "Sanitizer" in self.text():
            raise Failure("".join(bad) or self.text())

    def wait_for_pool(self, names):
        """Until only @names are attached, each buffer in a client's hands is one of theirs, and
        every buffer is accounted for; returns the snapshot"""
        last = {}

        def accounted():
            self.check_alive()
            self.check_errors()
            last.update(self.stats())
            here = {client["name"] for client in last["clients"]}
            held = sum(client["held_bufs"] for client in last["clients"])
            out = sum(pool["in_clients"] + pool["lent"] for pool in last["pool"])
            if not all(pool["sum_is_total"] for pool in last["pool"]):
                raise Failure(f"the sum is not the total: {last['pool']}")
            return here == names and held == out and (names or self.is_full(last))

        wait_until(accounted, lambda: f"buffers are missing, or clients not gone: {last['pool']}, "
                   f"{[(c['name'], c['held_bufs']) for c in last['clients']]}")
        return last

    @staticmethod
    def is_full(stats):
        """All free, but for what the devices' queues have; nothing promised any more"""
        return all(pool["free"] + pool["in_devices"] == pool["total"] and pool["reserved"] == 0
                   for pool in stats["pool"])

    def wait_for_fds(self, wanted):
        wait_until(lambda: self.num_fds() == wanted,
                   lambda: f"the server has {self.num_fds()} descriptors, not {wanted}")

    def stop(self):
        """Ends it in order; a sanitizer that found something makes this fail"""
        self.process.terminate()
        status = self.process.wait(WAIT_S)
        self.check_errors()
        if status:
            raise Failure(f"the server ended with status {status}: {self.text()}")

    def kill(self):
        for process in self.clients + [self.process]:
            if process.poll() is None:
                process.kill()
                process.wait()
        subprocess.run(["rm", "-rf", self.dir], check=False)


class Witnesses:
    """chaos_witness: clients that must not notice anything"""

    def __init__(self, server):
        self.server = server
        self.process = server.start(f"{HELPERS}/chaos_witness", "main", stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, text=True)
        self.last = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.server.check_errors()
            raise Failure("the witnesses have ended; clients said: " + self.server.said())
        return json.loads(line)

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        self.last = self.answer()
        if self.last["wrong"]:
            self.server.check_errors()
            raise Failure(f"the witnesses have seen what must not be: {self.last}")
        return self.last

    def wait_for_progress(self):
        """Until each of them has got further than it is now"""
        keys = ("generated", "forwarded", "received", "seen")
        before = dict(self.last)
        wait_until(lambda: all(self.ask("report")[key] > before[key] for key in keys),
                   lambda: f"a witness does not get on: {before}, {self.last}")

    def stop(self):
        """Each frame that was sent was seen, or is in a counter that says why not"""
        result = self.ask("stop")
        if self.process.wait(WAIT_S):
            self.server.check_errors()
            raise Failure(f"the witnesses failed: {result}")
        result["crossing"] = 0
        for port in self.server.stats()["ports"]:
            if port["name"] == "noise":
                continue
            # only with several workers, when the machine leaves one of them without a CPU
            crossing = port["counters"]["rx_cross_full"] + port["counters"]["tx_dropped"]
            lost, dropped = result[port["name"] + "_lost"], result[port["name"] + "_dropped"]
            if lost > dropped + crossing:
                raise Failure(f"{port['name']}: {lost} frames are lost, {dropped} and {crossing} "
                              "of them accounted for")
            result["crossing"] += crossing if port["name"] != "sink" else 0
        if result["crossing"] and self.server.workers == 1:
            raise Failure("a frame was lost between workers, but there is one only")
        return result


def ports(directory, noise="rate=50k,flows=256", sink="pcap:none"):
    """The ports of the picture in chaos_witness.c"""
    capture = f"{directory}/file.pcap"
    subprocess.run([f"{HELPERS}/chaos_witness", "capture", capture], check=True)
    return ["--port", f"noise=null:{noise}", "--port", f"sink={sink}",
            "--port", f"file=pcap:{capture},loop=0,rate=2000", "--port", "cable=pcap:none",
            "--port", "steady=null:rate=5k,flows=4096"]


def small_disk(directory, size="512k"):
    """Prefix of a command that finds a small file system there, which nobody else sees"""
    return ("unshare", "-m", "sh", "-c",
            f'mount -t tmpfs -o size={size} none "$0" && exec "$@"', directory)


def counter(stats, name):
    return stats["server"]["counters"][name]


def check_ports(stats):
    """What the pool's emptiness may not cost: frames of the witnesses' ports"""
    for port in stats["ports"]:
        counters = port["counters"]
        if port["name"] in ("file", "steady", "cable") and (
                counters["rx_no_buffer"] or counters["tx_bad"]):
            raise Failure(f"port {port['name']} lost frames: {counters}")


def main(run):
    """Runs a test; says on which line it went wrong, and leaves no process behind"""
    sys.stdout.reconfigure(line_buffering=True)
    try:
        run()
    except Failure as failure:
        print("FAILED:", failure)
        sys.exit(1)
