#!/usr/bin/env python3
"""test_client_syscalls.py - a client is killed at each of its system calls, before and behind it

From the first socket(2) of ixy_attach to the end of the process: the handshake, the mappings, each
doorbell, sleep, the detach, and the exit.
"""
from dying_lib import SANITIZED, Stage, check, killed_at, main, need_root, points, program
from survivors import Survivors

# x86-64: each of these has to be among the calls at which somebody died
CALLS = {"mmap": 9, "munmap": 11, "connect": 42, "sendmsg": 46, "recvmsg": 47, "close": 3,
         "ppoll": 271}
EXIT_GROUP = 231


def die_everywhere(mode):
    with Stage([]) as stage:
        survivors = Survivors(stage)
        life = [program("life"), stage.name, "p0", mode]
        calls = set()
        whole = [killed_at(stage, 0, "client", *life) for _ in range(3)]
        for k in whole:
            check(k["status"] == 0 and k["stops"] > 50, f"a life that nobody ends: {k}")

        def die_at(call, n):
            k = killed_at(stage, n, f"client={call}", *life)
            what = f"{mode}, call {call}, stop {n}: {k}"
            # a life that is over, or that ends itself at this moment: exit_group(2) has no way back
            check(k["status"] == 128 + 9 if k["killed"] and call != EXIT_GROUP
                  else k["status"] in (0, 128 + 9), what)
            if k["killed"]:
                calls.add(call)
            survivors.check(what)
            survivors.check_attach(what)
            return k["killed"]

        # one kind after the other: how often it rings a doorbell depends on who sleeps at that moment
        deaths = sum(points(lambda n, call=call: die_at(call, n))
                     for call in sorted(set.union(*(k["calls"] for k in whole))))
        missed = [name for name, number in CALLS.items() if number not in calls and not SANITIZED]
        check(not missed, f"nobody died at: {missed}")
        passed = survivors.finish()
        return (f"{mode}: killed at {deaths} entries and exits of {len(calls)} kinds of "
                f"system call; the witness passed {passed} frames")


def shared_client_dies_at_each_system_call():
    return die_everywhere("shared")


def readonly_client_dies_at_each_system_call():
    return die_everywhere("readonly")


need_root()
main(shared_client_dies_at_each_system_call, readonly_client_dies_at_each_system_call)
