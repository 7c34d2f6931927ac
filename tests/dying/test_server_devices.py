#!/usr/bin/env python3
"""test_server_devices.py - a server with a tap and an xdp port is killed while a client lives

At system calls between the beginning of an attach and the end of the detach, as in
test_server_syscalls.py: the TAP device and the XDP program are gone with it, and the next server gets
both. In a network namespace of its own. IXY_LONG=1: at every system call instead of some.
"""
import json
import os
import shutil
import subprocess
import time

from deserted import Deserted
from dying_lib import (PATIENCE_S, Stage, check, killed_at, main, need_hugepages, need_root,
                       program, sample, skip)

NETNS = f"ixy-dying-{os.getpid()}"


def ip(*arguments):
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout


def links():
    """{name: description} of the namespace's interfaces."""
    return {link["ifname"]: link for link in json.loads(ip("-n", NETNS, "-j", "-d", "link", "show"))}


def devices():
    """(there is the TAP device, there is an XDP program on the cable)"""
    now = links()
    return "tp0" in now, bool(now["wire"].get("xdp"))


def wait_for_no_devices(what):
    """The kernel may take them away a moment after the process."""
    end = time.monotonic() + PATIENCE_S
    while any(devices()):
        check(time.monotonic() < end, f"{what}: left behind: TAP, XDP program: {devices()}")
        time.sleep(0.01)


def die_everywhere(number):
    with Stage([], prefix=["ip", "netns", "exec", NETNS]) as stage:
        deserted = Deserted(stage)
        stage.options = [*Deserted.OPTIONS, "--port", "t=tap:tp0", "--port", "x=xdp:wire"]
        life = [program("life"), stage.name, "p0", "shared"]

        def die_at(n):
            deserted.begin()
            check(devices() == (True, True), f"a server's devices are {devices()}")
            k = killed_at(stage, n, "control", str(stage.server.pid), *life)
            what = f"stop {n}: {k}"
            check(k["status"] in deserted.OUTCOMES, f"{what}: {stage.said_last('syscall')}")
            if k["killed"]:
                deserted.end(what)
            else:
                deserted.end_in_order()
            wait_for_no_devices(what)
            return k

        whole = die_at(0)["stops"]
        deaths = sum(die_at(n)["killed"] for n in sample(whole, number))
        deserted.begin()
        deserted.end_in_order()
        check(deaths, "nobody died")
        return (f"{deaths} deaths at the about {whole} entries and exits of a server with a TAP device "
                f"and an XDP program; both were gone each time")


def devices_go_with_the_server():
    ip("netns", "add", NETNS)
    try:
        ip("-n", NETNS, "link", "add", "wire", "type", "veth", "peer", "name", "far")
        for name in "wire", "far":
            ip("-n", NETNS, "link", "set", name, "up")
        return die_everywhere(10)
    finally:
        ip("netns", "delete", NETNS)


need_root()
if not shutil.which("ip"):
    skip("needs the command ip")
if not os.path.exists("/dev/net/tun"):
    skip("there is no /dev/net/tun")
need_hugepages(64)
main(devices_go_with_the_server)
