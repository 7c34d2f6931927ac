#!/usr/bin/env python3
"""test_client_stores.py - a client dies before, and behind, each of its stores to shared memory

The n-th death is at the n-th store of a full life, for every n. The library makes none in attach and
detach: these are test_client_syscalls.py's.
"""
import signal

from dying_lib import SANITIZED, Hook, Stage, check, main, need_root, program, sample
from survivors import Survivors

PHASES = {"shared": {"receive", "rewrite", "send", "free", "allocate", "fill", "send own", "free own",
                     "wait", "arm", "hold"},
          "readonly": {"receive", "send", "free", "wait", "arm", "hold"}}


class Deaths:
    def __init__(self, stage, mode):
        # first: the witness is built alike, and must not count
        self.survivors = Survivors(stage)
        self.stage, self.mode = stage, mode
        self.hook = Hook(f"{stage.dir}/hook")
        stage.environment["IXY_DYING_FILE"] = self.hook.path
        self.phases, self.memories = set(), set()

    def full_life(self):
        self.hook.reset(0, False)
        status, said = self.stage.run_client(program("life"), self.stage.name, "p0", self.mode)
        check(status == 0, f"a life that nobody ends: {status}: {said}")
        self.survivors.check("after a full life")
        return self.hook.get(Hook.COUNT)

    def die_at(self, n, after):
        self.hook.reset(n, after)
        status, said = self.stage.run_client(program("life"), self.stage.name, "p0", self.mode)
        what = f"{self.mode}, {'behind' if after else 'before'} store {n} ({self.hook.place()})"
        check(status == -signal.SIGKILL, f"{what}: {status}: {said}")
        check(self.hook.get(Hook.DIED) and self.hook.get(Hook.COUNT) == n,
              f"{what}: died of something else")
        memory, _, phase = self.hook.place()
        self.phases.add(phase)
        self.memories.add(memory.split("-")[1])
        self.survivors.check(what)
        self.survivors.check_attach(what)


def die_everywhere(mode):
    with Stage([]) as stage:
        deaths = Deaths(stage, mode)
        counts = {deaths.full_life() for _ in range(3)}
        check(len(counts) == 1, f"lives differ in their number of stores: {counts}")
        stores = counts.pop()
        check(stores > 10, f"a life has {stores} stores: it is not instrumented")
        # a sanitized server is slow
        which = sample(stores, 10) if SANITIZED else range(1, stores + 1)
        for after in False, True:
            for n in which:
                deaths.die_at(n, after)
        missed = PHASES[mode] - deaths.phases
        check(not missed or len(which) < stores, f"nobody died in: {missed}")
        wanted = {"up", "pool"} if mode == "shared" else {"up"}
        check(deaths.memories == wanted, f"stores were seen to {deaths.memories}")
        passed = deaths.survivors.finish()
        return (f"{mode}: dies before and behind {len(which)} of the {stores} stores of a life, "
                f"in {len(deaths.phases)} phases; the witness passed {passed} frames")


def shared_client_dies_at_each_store():
    return die_everywhere("shared")


def readonly_client_dies_at_each_store():
    return die_everywhere("readonly")


need_root()
main(shared_client_dies_at_each_store, readonly_client_dies_at_each_store)
