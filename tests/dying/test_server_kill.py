#!/usr/bin/env python3
"""test_server_kill.py - kill -9 of a busy server with clients asleep, sending and attaching

At a random moment, many times: each of them learns of it, whatever it was doing.
IXY_LONG=1: more often.
"""
import time

from deserted import Deserted
from dying_lib import (ENDED, LONG, REFUSED, Stage, chance, check, main, need_hugepages, need_root,
                       program)

ROUNDS = 300 if LONG else 12
CROWD = [("p1", "asleep"), ("p1", "asleep"), ("p0", "asleep"), ("p0", "monitor"), ("p1", "monitor"),
         ("p0", "sending"), ("p0", "sending"), ("p0", "attaching"), ("p1", "attaching"),
         ("p0", "attaching")]


def kill_once(stage, deserted, outcomes):
    stage.start_server()
    crowd = [stage.start(program("mourner"), stage.name, port, role, log=f"{role}-{i}")
             for i, (port, role) in enumerate(CROWD)]
    for client in crowd:
        stage.wait_for(client, "ready")
    time.sleep(chance.random() / 50)
    stage.server.kill()
    stage.wait(stage.server)
    for client, (port, role) in zip(crowd, CROWD):
        status = stage.wait(client)
        # only who attaches at this very moment finds nobody there
        allowed = (ENDED, REFUSED) if role == "attaching" else (ENDED,)
        check(status in allowed, f"{role} on {port}: {status}: {stage.said(client)}")
        outcomes[role, status] = outcomes.get((role, status), 0) + 1
    check(not stage.mappers_of_pool(), "the pool is still mapped")


def everybody_learns_that_the_server_was_killed():
    with Stage([]) as stage:
        deserted = Deserted(stage)
        stage.options = [*Deserted.OPTIONS[:4], "--port", "p0=null:rate=200k,flows=64",
                         "--port", "p1=pcap:none"]
        outcomes = {}
        for _ in range(ROUNDS):
            kill_once(stage, deserted, outcomes)
        deserted.begin()
        deserted.end_in_order()
        told = ", ".join(f"{number} {role} {'could not attach' if status == REFUSED else 'ended'}"
                         for (role, status), number in sorted(outcomes.items()))
        return f"{ROUNDS} kills of a server with {len(CROWD)} clients: {told}; " + \
               deserted.tell_hugepages()


need_root()
need_hugepages(64)
main(everybody_learns_that_the_server_was_killed)
