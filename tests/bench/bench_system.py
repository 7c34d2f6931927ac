"""bench_system.py - the machine and other programs: how busy it is, what runs, who is started and ended"""
import atexit
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

START_TIMEOUT_S = 20


class Failure(Exception):
    """A sample that could not be taken although it should; the text says why."""


class Disagreement(Failure):
    """Two counts of the same frames differ: no figure of this run can be believed."""


class Skip(Exception):
    """Something that this machine cannot measure; the text says why."""


def read(path, default=""):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return default


def busy_share(seconds):
    """The share of all CPUs' time that anybody used in the next so many seconds."""
    def sample():
        times = [int(word) for word in read("/proc/stat").split("\n")[0].split()[1:]]
        return sum(times[:8]), times[3] + times[4]

    total, idle = sample()
    time.sleep(seconds)
    total_after, idle_after = sample()
    return 1 - (idle_after - idle) / max(1, total_after - total)


def threads_ns(pid, column):
    """A column of schedstat over all threads of a process: 0 ran, 1 waited for a CPU; ns."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        words = read(f"/proc/{pid}/task/{task}/schedstat").split()
        total += int(words[column]) if words else 0
    return total


def prefer(niceness):
    """Gives this process and what it starts a priority; until it ends, its session as well.

    Where the kernel groups processes by session (sched(7), autogroup), a nice value counts among those
    of one session only, and that of the session decides about the others.
    """
    os.setpriority(os.PRIO_PROCESS, 0, niceness)
    before = re.search(r"nice (-?\d+)", read("/proc/self/autogroup"))
    if before and read("/proc/sys/kernel/sched_autogroup_enabled").strip() == "1":
        atexit.register(set_autogroup, before.group(1))
        set_autogroup(niceness)


def set_autogroup(niceness):
    try:
        with open("/proc/self/autogroup", "w", encoding="ascii") as file:
            file.write(f"{niceness}\n")
    except OSError:
        pass  # then it stays as it is; what others took of the CPUs is measured


def machine(source_dir):
    """What the figures depend on, beside the code."""
    cpu = re.search(r"model name\s*: (.*)", read("/proc/cpuinfo"))
    git = ["git", "-C", source_dir]
    commit = run_text(git + ["rev-parse", "HEAD"], default="unknown").strip()
    changed = run_text(git + ["status", "--porcelain", "--untracked-files=no"], default="")
    hypervisor = "hypervisor" in read("/proc/cpuinfo")
    return {"cpu": cpu.group(1) if cpu else "?", "cores": os.cpu_count(),
            "virtual": hypervisor, "kernel": os.uname().release,
            "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
            "governor": read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
                             "none").strip(),
            "commit": commit, "uncommitted_changes": bool(changed.strip()),
            "load_before": os.getloadavg()[0]}


def run_text(command, default=None):
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              check=False, timeout=60)
    except OSError:
        done = None
    if done is None or done.returncode != 0:
        if default is not None:
            return default
        raise Failure(f"{' '.join(command)}: {done.stderr.strip() if done else 'is not there'}")
    return done.stdout


def run_json(command, **kwargs):
    """Runs a program that prints one JSON document, and returns it."""
    name = os.path.basename(command[0])
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              check=False, timeout=60, **kwargs)
    except subprocess.TimeoutExpired as expired:
        raise Failure(f"{name} does not end: {' '.join(command)}") from expired
    if done.returncode != 0:
        raise Failure(f"{name}: {done.stderr.strip()[-400:] or done.returncode}")
    try:
        return json.loads(done.stdout)
    except ValueError as error:
        raise Failure(f"{name} printed no JSON: {done.stdout[:200]!r}") from error


def family(pid):
    """A process and its children, theirs included."""
    pids = [pid]
    for parent in pids:
        for task in (os.listdir(f"/proc/{parent}/task")
                     if os.path.exists(f"/proc/{parent}/task") else []):
            pids += map(int, read(f"/proc/{parent}/task/{task}/children").split())
    return pids


def run_watched(command, seconds):
    """run_json of a program that does not say itself how long it waited for a CPU.

    Looks ten times a second, and adds "waited" for the last so many seconds of its life.
    """
    name = os.path.basename(command[0])
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as process:
        looks, end = [], time.monotonic() + 60
        while process.poll() is None and time.monotonic() < end:
            try:
                waited = sum(threads_ns(pid, 1) for pid in family(process.pid))
                looks.append((time.monotonic(), waited / 1e9))
            except (OSError, ValueError):
                pass  # it has just ended
            time.sleep(0.1)
        if process.poll() is None:
            process.kill()
            raise Failure(f"{name} does not end: {' '.join(command)}")
        out, err = process.communicate()
    if process.returncode != 0:
        raise Failure(f"{name}: {err.strip()[-400:] or process.returncode}")
    try:
        result = json.loads(out)
    except ValueError as error:
        raise Failure(f"{name} printed no JSON: {out[:200]!r}") from error
    last = [look for look in looks if look[0] >= looks[-1][0] - seconds] if looks else []
    time_seen = last[-1][0] - last[0][0] if last else 0
    waited = max(0, last[-1][1] - last[0][1]) / time_seen if time_seen else 0
    return {"waited": waited, **result}


def start(command, log_path, **kwargs):
    """Starts a program that is to be ended by stop(); what it says goes to a file."""
    with open(log_path, "wb") as log:
        return subprocess.Popen(command, stderr=subprocess.STDOUT,
                                **{"stdin": subprocess.DEVNULL, "stdout": log, **kwargs})


def stop(process, number=signal.SIGTERM):
    """Ends a process that this program started, and waits for it."""
    if process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(condition, processes, log_path, what):
    """Until the condition holds, while all the processes live."""
    end = time.monotonic() + START_TIMEOUT_S
    while not condition():
        if any(p.poll() is not None for p in processes) or time.monotonic() > end:
            raise Failure(f"{what} did not run: {read(log_path)[-400:].strip()}")
        time.sleep(0.005)


class Directory:
    """A directory that is gone afterwards."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="ixy-bench.")
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)


class Cable:
    """A veth pair: va in one namespace, and vb in another one or the same."""

    def __init__(self, one_namespace=False):
        if os.geteuid() != 0:
            raise Skip("needs root to make network namespaces")
        if not shutil.which("ip"):
            raise Skip("needs ip(8), of iproute2")
        self.near = f"ixyb{os.getpid()}"
        self.far = self.near if one_namespace else f"{self.near}f"

    def __enter__(self):
        try:
            for namespace in {self.near, self.far}:
                run_text(["ip", "netns", "add", namespace])
                # neighbour discovery would be frames that nobody sent
                run_text(["ip", "netns", "exec", namespace, "sysctl", "-qw",
                          "net.ipv6.conf.default.disable_ipv6=1"], default="")
            run_text(["ip", "-n", self.near, "link", "add", "va", "type", "veth", "peer", "name",
                      "vb", "netns", self.far])
            for namespace, name in ((self.near, "va"), (self.far, "vb")):
                run_text(["ip", "-n", namespace, "link", "set", name, "up"])
        except Failure:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for namespace in {self.near, self.far}:
            run_text(["ip", "netns", "delete", namespace], default="")

    def inside(self, namespace):
        return ["ip", "netns", "exec", namespace]
