#!/usr/bin/env python3
"""test_server_syscalls.py - the server is killed at each of its system calls while a client lives

From the beginning of an attach to the end of the detach, before and behind each system call, those
of the control thread and those of the workers. Beside the client that lives, one sleeps and one
monitors. IXY_LONG=1: every point instead of some.
"""
from deserted import Deserted
from dying_lib import Stage, check, killed_at, main, need_hugepages, need_root, program, sample


def die_everywhere(thread, mode, number):
    with Stage([]) as stage:
        deserted = Deserted(stage)
        results, calls = {}, set()
        life = [program("life"), stage.name, "p0", mode]

        def die_at(n):
            deserted.begin()
            k = killed_at(stage, n, thread, str(stage.server.pid), *life)
            what = f"{thread}, {mode}, stop {n}: {k}"
            check(k["status"] in deserted.OUTCOMES, f"{what}: {stage.said_last('syscall')}")
            if not k["killed"]:
                check(k["status"] == 0, what)
                stage.lives()
                deserted.end_in_order()
                return k
            calls.add(k["call"])
            results[k["status"]] = results.get(k["status"], 0) + 1
            deserted.end(what)
            return k

        whole = die_at(0)["stops"]
        for n in sample(whole, number):
            die_at(n)
        deserted.begin()
        deserted.end_in_order()
        check(results, "nobody died")
        return (f"{thread}, {mode}: {sum(results.values())} deaths at the about {whole} entries and "
                f"exits of {len(calls)} kinds of system call ({deserted.tell(results)}); "
                f"{deserted.tell_hugepages()}")


def control_thread_dies_while_a_shared_client_lives():
    return die_everywhere("control", "shared", 20)


def control_thread_dies_while_a_readonly_client_lives():
    return die_everywhere("control", "readonly", 10)


def worker_dies_while_a_shared_client_lives():
    return die_everywhere("worker", "shared", 15)


need_root()
need_hugepages(64)
main(control_thread_dies_while_a_shared_client_lives,
     control_thread_dies_while_a_readonly_client_lives, worker_dies_while_a_shared_client_lives)
