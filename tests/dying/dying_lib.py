"""dying_lib.py - servers, clients and checks for tests in which somebody dies at a given point

A test prints "ok   ..." for what was shown and ends with Failed, which shows the logs. Every process is
started here and ended here, by its id.
"""
import contextlib
import glob
import mmap
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

SOURCE = os.environ.get("IXY_SOURCE_DIR", os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ["IXY_BUILD_DIR"]
sys.path.insert(0, os.path.join(SOURCE, "tests", "integration"))
import spec_lib  # noqa: E402  (a client in Python, written from the specification)

LONG = bool(os.environ.get("IXY_LONG"))
SEED = int(os.environ.get("IXY_SEED", random.randrange(1 << 32)))
ENDED, REFUSED = 10, 11  # exit statuses of dying_life and dying_mourner
PATIENCE_S = 60  # beyond this something hangs; nothing is said about what is fast

chance = random.Random(SEED)
with open(f"{BUILD}/CMakeCache.txt") as cache:
    SANITIZED = any(line.startswith("CMAKE_BUILD_TYPE:") and line.strip().endswith(("=ASan", "=TSan"))
                    for line in cache)


WORKERS = int(os.environ.get("IXY_TEST_WORKERS", 1))


class Failed(Exception):
    pass


def check(condition, what):
    if not condition:
        raise Failed(what)


def ok(what):
    print("ok  ", what, flush=True)


def skip(why):
    print("skipped:", why)
    sys.exit(77)


def need_root():
    if os.getuid():
        skip("needs root")


def need_hugepages(number):
    with open("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages") as file:
        free = int(file.read())
    if free < number:
        skip(f"needs {number} free hugepages of 2 MiB, there are {free}")
    return free


def program(name):
    return os.path.join(BUILD, "tests", "dying", "dying_" + name)


def sample(most, number):
    """All of 1 to @most in the long form; else @number of them, spread evenly, at random."""
    if LONG or most <= number:
        return list(range(1, most + 1))
    edges = [1 + most * i // number for i in range(number + 1)]
    return [chance.randrange(edges[i], edges[i + 1]) for i in range(number)]


def points(died):
    """1, 2, ... up to where three lives in a row were over before; @died(n) tells whether one was not.

    A sanitized server is slow: in the short form it sees one in three, at random.
    """
    n = over = deaths = 0
    while over < 3:
        n += chance.randrange(1, 6) if SANITIZED and not LONG else 1
        over = 0 if died(n) else over + 1
        deaths += over == 0
    return deaths


class Hook:
    """The file that store_hook.c shares with us; the layout is that of store_hook.h."""
    ARMED, AT, AFTER, COUNT, DIED = range(0, 20, 4)

    def __init__(self, path):
        self.path = path
        with open(path, "wb") as file:
            file.truncate(4096)
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 4096)

    def set(self, field, value):
        struct.pack_into("<I", self.map, field, value)

    def get(self, field):
        return struct.unpack_from("<I", self.map, field)[0]

    def reset(self, at, after, armed=True):
        self.map[:96] = bytes(96)
        self.set(self.AT, at)
        self.set(self.AFTER, after)
        self.set(self.ARMED, armed)

    def place(self):
        """(memory, offset, phase) of the store at which it died."""
        offset = struct.unpack_from("<Q", self.map, 24)[0]
        memory, phase = (spec_lib.text_of(self.map[at:at + 32]) for at in (32, 64))
        return memory, offset, phase


class Stage:
    """A directory, a server, and everybody who was started on it. Use as a context."""

    def __init__(self, options, executable=None, prefix=(), environment=None):
        self.name = f"dying-{os.getpid()}"
        self.dir = tempfile.mkdtemp(prefix="ixy-dying.")
        self.run_dir = os.path.join(self.dir, "run")
        os.mkdir(self.run_dir)
        self.path = f"{self.run_dir}/{self.name}.sock"
        self.options, self.prefix = options, list(prefix)
        self.executable = executable or f"{BUILD}/server/ixy-server"
        self.environment = {**os.environ, "IXY_SOCKET_DIR": self.run_dir, **(environment or {})}
        self.processes, self.server, self.starts = [], None, 0

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        if kind:
            self.show_logs()
        shutil.rmtree(self.dir)

    def show_logs(self):
        for path in sorted(glob.glob(f"{self.dir}/*.log")):
            with open(path, errors="replace") as file:
                text = file.read()
            print(f"---- {os.path.basename(path)}\n{text[-3000:]}")

    def start(self, *command, log):
        """@log names the file in which its output is found."""
        with open(f"{self.dir}/{log}.log", "w") as file:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file,
                                       stderr=file, env=self.environment, close_fds=False)
        process.log = f"{self.dir}/{log}.log"
        self.processes = [p for p in self.processes if p.returncode is None] + [process]
        return process

    def wait_for(self, process, text):
        """Until @process has said @text."""
        end = time.monotonic() + PATIENCE_S
        while True:
            with open(process.log, errors="replace") as file:
                said = file.read()
            if text in said:
                return said
            check(process.poll() is None, f"{process.args[0]} ended with {process.returncode}: {said}")
            check(time.monotonic() < end, f"{process.args[0]} never said {text!r}: {said}")
            time.sleep(0.002)

    def start_server(self):
        self.server = self.start(*self.prefix, self.executable, "--name", self.name, "--socket-dir",
                                 self.run_dir, "--workers", str(WORKERS), *self.options,
                                 log="server")
        self.starts += 1
        self.wait_for(self.server, "ready: ")
        return self.server

    def run_client(self, *command, log="client"):
        """Runs it to its end, within bounds; returns its exit status and what it said."""
        process = self.start(*command, log=log)
        return self.wait(process), self.said(process)

    def wait(self, process):
        try:
            return process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            with open(f"/proc/{process.pid}/wchan") as file:
                where = file.read()
            raise Failed(f"{' '.join(process.args)} hangs in {where}") from None

    @staticmethod
    def said(process):
        with open(process.log, errors="replace") as file:
            return file.read().strip()

    def said_last(self, log):
        with open(f"{self.dir}/{log}.log", errors="replace") as file:
            return file.read().strip()

    def stop_server(self):
        """In order: it has to end well, and to leave no file behind."""
        if self.server.returncode is None:
            self.server.terminate()
        check(self.wait(self.server) == 0, f"the server ended with {self.server.returncode}")
        check(not os.listdir(self.run_dir), f"left behind: {os.listdir(self.run_dir)}")

    def query(self):
        control = spec_lib.Control(self.path)
        control.greet()
        return control

    def lives(self):
        check(self.server.poll() is None, f"the server died: {self.server.returncode}")

    def mappers_of_pool(self):
        """Processes that map or hold open memory of a server of this name."""
        wanted = f"/memfd:ixy-pool-{self.name} ".encode()
        found = []
        for proc in glob.glob("/proc/[0-9]*"):
            with contextlib.suppress(OSError):
                with open(proc + "/maps", "rb") as file:
                    if wanted in file.read():
                        found.append(int(proc[6:]))
                        continue
                if any(wanted in os.readlink(os.fsencode(fd)) + b" "
                       for fd in glob.glob(proc + "/fd/*")):
                    found.append(int(proc[6:]))
        return found


def killed_at(stage, n, *arguments):
    """What dying_syscall says of its @n-th stop; @arguments as it has them behind N."""
    status, said = stage.run_client(program("syscall"), str(n), *arguments, log="syscall")
    check(status == 0 and "stops=" in said, f"dying_syscall {n}: {status}: {said}")
    fields = dict(item.split("=") for item in said.splitlines()[-1].split())
    fields["calls"] = {int(call) for call in fields["calls"].split(",") if call}
    return {key: value if key in ("at", "calls") else int(value) for key, value in fields.items()}


def main(*tests):
    """Runs them in order; the seed is printed so that a sample can be had again (IXY_SEED)."""
    print(f"seed {SEED}" + ("" if not LONG else ", every point"), flush=True)
    for test in tests:
        began = time.monotonic()
        try:
            ok(f"{test()} ({time.monotonic() - began:.0f} s)")
        except (Failed, AssertionError, spec_lib.Ended, OSError) as error:
            print(f"FAILED: {test.__name__}: {error!r} (IXY_SEED={SEED})")
            sys.exit(1)
