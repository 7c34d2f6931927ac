#!/usr/bin/env python3
"""test_chaos.py - clients killed, stopped and detached at random, under load: laws 1, 4 and 5

Each episode starts some victims, does something to each of them at random, and kills the rest. The
witnesses (chaos_witness.c) must not notice, the server must have every buffer and descriptor back.

    IXY_CHAOS_SEED=N      the same victims with the same fate; default: other ones each time
    IXY_CHAOS_KILLS=N     default: 40; 10000 with IXY_LONG=1
    IXY_CHAOS_WORKERS=N   one of the numbers of workers only; default: 1, and 2 if the server can
"""
import os
import random
import signal
import subprocess
import tempfile
import time

import chaos_lib as lib

SEED = int(os.environ.get("IXY_CHAOS_SEED") or random.SystemRandom().randrange(2 ** 31))
KILLS = int(os.environ.get("IXY_CHAOS_KILLS") or (10000 if lib.LONG else 40))
KINDS = ["member", "threads", "forks", "sleeper", "attacher", "greedy", "deaf", "readonly",
         "monitor"]
BUFS = 32768  # for each worker: a pool of n parts promises only what each part could


class Victim:
    """Leads a process group of its own, so that what it forked can be found when it is dead"""
    last_id = 0

    def __init__(self, server, kind, seed):
        Victim.last_id += 1
        self.server, self.kind, self.fate, self.attached = server, kind, "lives", False
        self.process = server.start(f"{lib.HELPERS}/chaos_victim", "main", kind,
                                    str(Victim.last_id), str(seed), stdout=subprocess.PIPE)

    def look(self, wait):
        """It says when it is attached; not all come that far"""
        os.set_blocking(self.process.stdout.fileno(), wait)
        try:
            self.attached = self.attached or os.read(self.process.stdout.fileno(), 1) != b""
        except BlockingIOError:
            pass

    def suffer(self, how):
        self.fate = how
        self.process.send_signal({"killed": signal.SIGKILL, "stopped": signal.SIGSTOP,
                                  "continued": signal.SIGCONT, "ended": signal.SIGTERM}[how])

    def bury(self):
        """Its children live on; how it ended is judged. True if it was killed while attached"""
        status = self.process.wait(lib.WAIT_S)
        self.look(False)
        self.process.stdout.close()
        self.server.forget(self.process)
        # SIGTERM kills one that has not come to set its handler
        if status not in (0, -signal.SIGKILL, -signal.SIGTERM):
            self.server.check_errors()
            raise lib.Failure(f"{self.kind} ended with status {status}, it was {self.fate}; clients "
                              f"said: {self.server.said()[-2000:]}")
        return status == -signal.SIGKILL and self.attached

    def end_children(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it left none, or died before it had a group


def episode(server, rng):
    """Returns how many victims were killed by SIGKILL while they were attached, and how many others"""
    victims = [Victim(server, rng.choice(KINDS), rng.randrange(2 ** 31))
               for _ in range(rng.randint(3, 8))]
    try:
        if rng.random() < 0.8:  # otherwise some are killed while they attach
            for victim in victims:
                victim.look(True)
        for _ in range(rng.randint(0, 6)):
            time.sleep(rng.random() * 0.02)
            victim = rng.choice(victims)
            how = rng.choice(["stopped", "continued", "killed", "ended"])
            if victim.fate not in ("killed", "ended"):
                victim.suffer(how)
        time.sleep(rng.random() * 0.05)
        for victim in victims:  # several at once: no time in between
            if victim.fate != "killed":
                victim.suffer("killed")
        killed = sum(victim.bury() for victim in victims)
        # while their children, which inherited everything, are alive
        if rng.random() < 0.5:
            server.wait_for_pool(lib.WITNESSES)
        return killed, len(victims) - killed
    finally:
        for victim in victims:
            victim.end_children()


def settle(server, witnesses, num_fds):
    """Between two episodes: nothing is missing, and the witnesses get on"""
    server.check_alive()
    witnesses.ask("quiet")
    stats = server.wait_for_pool(lib.WITNESSES)
    witnesses.ask("go")
    witnesses.wait_for_progress()
    server.wait_for_fds(num_fds)
    server.check_errors()
    lib.check_ports(stats)


def chaos(workers, kills, seed):
    rng = random.Random(seed)
    killed = others = episodes = 0
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        server = lib.Server(*lib.ports(directory), "--bufs", str(BUFS * workers),
                            workers=workers)
        try:
            at_start = server.num_fds_at_rest()
            witnesses = lib.Witnesses(server)
            server.wait_for_pool(lib.WITNESSES)
            num_fds = server.num_fds_at_rest()
            before = server.stats()
            while killed < kills:
                more = episode(server, rng)
                killed, others = killed + more[0], others + more[1]
                episodes += 1
                settle(server, witnesses, num_fds)
                if episodes % 100 == 0:
                    print(f"     {killed} killed, {time.monotonic() - begin:.0f} s")
            seen = witnesses.stop()
            stats = server.wait_for_pool(set())
            server.wait_for_fds(at_start)
            for kind in lib.VIOLATIONS:
                if lib.counter(stats, f"violation_{kind}"):
                    raise lib.Failure(f"violation_{kind} was counted, but nobody broke a rule")
            if seen["foreign"]:
                raise lib.Failure(f"{seen['foreign']} frames in sink that nobody sent")
            server.stop()
        finally:
            server.kill()
    sessions = lib.counter(stats, "sessions") - lib.counter(before, "sessions")
    print(f"ok   workers={workers}: {killed} killed while attached, {others} otherwise ended, in "
          f"{episodes} episodes, {sessions} sessions, {time.monotonic() - begin:.1f} s; "
          f"{lib.counter(stats, 'reclaimed_bufs')} buffers reclaimed, none missing")
    print("     witnesses: " + ", ".join(f"{key} {seen[key]}" for key in seen if seen[key]))
    print(f"     longest loop {lib.counter(before, 'longest_loop_ns') / 1000:.0f} us before, "
          f"{lib.counter(stats, 'longest_loop_ns') / 1000:.0f} us in all")


def numbers_of_workers():
    if os.environ.get("IXY_CHAOS_WORKERS"):
        return [int(os.environ["IXY_CHAOS_WORKERS"])]
    usage = subprocess.run([f"{lib.BUILD}/server/ixy-server", "--help"], text=True,
                           stdout=subprocess.PIPE, check=True).stdout
    return [1, 2] if "--workers" in usage else [1]


def run():
    print(f"IXY_CHAOS_SEED={SEED} IXY_CHAOS_KILLS={KILLS} repeats this")
    counts = numbers_of_workers()
    for workers in counts:
        chaos(workers, -(-KILLS // len(counts)), SEED + workers)


lib.main(run)
