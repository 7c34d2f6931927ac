#!/usr/bin/env python3
"""test_server_stores.py - the server dies before, and behind, each of its stores to shared memory

Those of all its threads to lanes, header and pool, from the beginning of an attach to the end of the
detach: a server that is instrumented as the client is in test_client_stores.py. IXY_LONG=1: every
store instead of some.
"""
import signal

from deserted import Deserted
from dying_lib import Hook, Stage, check, main, need_hugepages, need_root, program, sample


class Deaths:
    def __init__(self, stage, mode):
        self.stage, self.mode = stage, mode
        self.hook = Hook(f"{stage.dir}/hook")
        stage.executable = program("server")
        self.deserted = Deserted(stage)
        self.results, self.memories = {}, {}

    def begin(self):
        """Clients are built alike: only the server may see the file."""
        self.stage.environment["IXY_DYING_FILE"] = self.hook.path
        self.hook.reset(0, False, armed=False)
        self.stage.start_server()
        del self.stage.environment["IXY_DYING_FILE"]
        self.deserted.begin_clients()

    def stops_in_order(self):
        """False when a store of its own, between two lives, was the one."""
        self.hook.set(Hook.ARMED, 0)
        self.stage.server.terminate()
        self.stage.wait(self.stage.server)
        if self.hook.get(Hook.DIED):
            return False
        self.deserted.end_in_order()
        return True

    def die_at(self, n, after):
        self.begin()
        self.hook.reset(n, after)
        status, said = self.stage.run_client(program("life"), self.stage.name, "p0", self.mode)
        what = f"{self.mode}, {'behind' if after else 'before'} store {n}, {self.hook.place()}"
        check(status in self.deserted.OUTCOMES, f"{what}: {status}: {said}")
        if status == 0 and self.stops_in_order():
            return  # the life had fewer stores
        memory = self.hook.place()[0].removesuffix("-" + self.stage.name)
        self.memories[memory] = self.memories.get(memory, 0) + 1
        self.results[status] = self.results.get(status, 0) + 1
        self.deserted.end(what)
        check(self.stage.server.returncode == -signal.SIGKILL, what)


def die_everywhere(mode, number):
    with Stage([]) as stage:
        deaths = Deaths(stage, mode)
        deaths.die_at(0, False)
        whole = deaths.hook.get(Hook.COUNT)
        check(whole > 50, f"{whole} stores: the server is not instrumented")
        for after in False, True:
            for n in sample(whole, number):
                deaths.die_at(n, after)
        deaths.deserted.begin()
        deaths.deserted.end_in_order()
        check("ixy-down" in deaths.memories, f"stores were seen to {deaths.memories}")
        where = ", ".join(f"{number} to {name}" for name, number in deaths.memories.items())
        return (f"{mode}: {sum(deaths.results.values())} deaths at the about {whole} stores "
                f"({where}; {deaths.deserted.tell(deaths.results)}); "
                f"{deaths.deserted.tell_hugepages()}")


def server_dies_while_a_shared_client_lives():
    return die_everywhere("shared", 15)


def server_dies_while_a_readonly_client_lives():
    return die_everywhere("readonly", 8)


need_root()
need_hugepages(64)
main(server_dies_while_a_shared_client_lives, server_dies_while_a_readonly_client_lives)
