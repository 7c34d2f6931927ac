#!/usr/bin/env python3
"""vm_case.py - runs one case: boots its guest, does outside what its script asks for, judges

usage: vm_case.py [--watch | --shell] NAME [VARIABLE=VALUE...]

  --watch   the guest's console as it comes, not only when the case fails
  --shell   boots the guest of the case and gives you a shell in it; leave with "poweroff -f"

A case is cases/NAME.case: comments "# key: value" that describe the machine (README.md), then the script that runs
in the guest. It passes if the guest says RESULT ok on its console, once, and nothing that was seen out here was wrong.
Exit status: 0, 1, or 77 if it was skipped.
"""
import os
import random
import re
import subprocess
import sys
import tempfile
import time

import vm_initramfs
import vm_model
import vm_wire
from vm_machine import Machine
from vm_wire import Wrong

IOMMU = ["-device", "intel-iommu,intremap=on,caching-mode=on,device-iotlb=on"]
BOOT_S = 60


class Case:
    def __init__(self, name):
        self.name = name
        with open(f"{vm_initramfs.HERE}/cases/{name}.case") as file:
            self.script = file.read()
        # the first comments describe the machine
        found = re.findall(r"^# (\w+): +(.*)$", self.script, re.M)
        self.all = lambda key: [value for k, value in found if k == key]
        self.get = lambda key, default="": (self.all(key) or [default])[-1]
        self.flag = lambda key: self.get(key) == "yes"


class Outside:
    """The words that a guest's script can say to us. Each returns what to answer, or is Wrong."""

    def __init__(self, wires, chance, machine, models=()):
        self.wires, self.chance, self.machine = wires, chance, machine
        self.models = {model.name: model for model in models}
        self.traffic = {}

    def do(self, line):
        word, *arguments = line.split()
        plain = [a for a in arguments if "=" not in a]
        named = dict(a.split("=", 1) for a in arguments if "=" in a)
        method = getattr(self, "word_" + word, None)
        if not method:
            raise Wrong(f"nobody knows \"{word}\"")
        return method(*plain, **named)

    def exchange_of(self, source, sink=None, flows="4", ip="0", size=None):
        return vm_wire.Exchange(self.wires[source], self.wires[sink or source], self.chance, int(flows),
                                ip == "1", size and int(size))

    def word_exchange(self, source, sink=None, count="300", **more):
        return self.exchange_of(source, sink, **more).run(int(count))

    def word_send(self, source, count="1", size=None):
        """Frames of which nothing has to come back."""
        exchange = self.exchange_of(source)
        for _ in range(int(count)):
            exchange.send_one(size and int(size))
        return f"{count} sent"

    def word_traffic(self, source, sink=None, gap="0.001", **more):
        self.traffic[source] = vm_wire.Traffic(self.exchange_of(source, sink, **more), float(gap))
        return "begins"

    def word_traffic_flows(self, source, count="20"):
        """Waits until so many more frames have come through."""
        exchange = self.traffic[source].exchange
        wanted, end = exchange.num_back + int(count), time.monotonic() + vm_wire.PATIENCE_S
        while exchange.num_back < wanted:
            if time.monotonic() > end or self.traffic[source].wrong:
                raise Wrong(f"traffic into {source} does not flow: {exchange.num_back} of "
                            f"{exchange.num_sent} came out; {self.traffic[source].wrong or ''}")
            time.sleep(0.02)
        return f"{exchange.num_back} of {exchange.num_sent} came out so far"

    def word_stop(self, source):
        said = self.traffic.pop(source).stop()
        for wire in self.wires.values():
            wire.drain()
        return said

    def word_ping(self, source, address, count="20"):
        return vm_wire.ping(self.wires[source], self.chance, address, int(count))

    def word_unplug(self, nic):
        self.machine.monitor("device_del", id=f"{nic}-nic")
        return "gone"

    def word_pull(self, nic):
        self.models[nic].pull()
        return "gone, without a word"

    def word_hang(self, nic):
        self.models[nic].hang()
        return "hangs"

    def end(self):
        for traffic in self.traffic.values():
            traffic.ending = True


def parse_nic(text):
    """ "wan virtio-net-pci,disable-modern=on slot=0x10 queues=2" """
    name, device, *more = text.split()
    return name, device, dict(item.split("=", 1) for item in more)


def network(case, directory):
    """The cards: (wires by name, models, QEMU's arguments, what the script is told)."""
    wires, models, arguments, told = {}, [], [], {}
    for number, text in enumerate(case.all("nic")):
        name, device, more = parse_nic(text)
        mac = f"52:54:00:a5:00:{number + 1:02x}"
        if "queues" in more:
            wire = vm_wire.TapWire(name, mac, f"ixyvm{number}", int(more["queues"]))
        else:
            wire = vm_wire.DgramWire(name, mac, directory)
        wires[name] = wire
        slot = 0x10 + number
        if device in vm_model.PROGRAMS:  # a process of ours is the card
            models.append(vm_model.Model(name, device, mac, wire, directory, more))
            arguments += models[-1].arguments(number, slot)
            told[name], told[name + "_mac"] = f"0000:{number + 1:02x}:00.0", mac
            continue
        arguments += ["-netdev", wire.netdev()]
        place = f"addr={slot:#x}"
        told[name] = f"0000:00:{slot:02x}.0"
        if more.get("port") == "yes":  # a root port of its own, so that it can be unplugged
            arguments += ["-device", f"pcie-root-port,id=rp{number},chassis={number + 1},addr={slot:#x}"]
            place, told[name] = f"bus=rp{number}", f"0000:{number + 1:02x}:00.0"
        if "at" in more:  # "qemu:" lines have made a bus for it
            place, told[name] = f"bus={more['bus']}", more["at"]
        arguments += ["-device", f"{device},id={name}-nic,netdev={name},mac={mac},{place}"]
        told[name + "_mac"] = mac
    return wires, models, arguments, told


class Run:
    """One boot. Use as a context: nothing is left behind."""

    def __init__(self, case, options):
        self.case, self.options = case, options
        self.seed = vm_wire.seed_of()
        self.wires, self.models = {}, []
        self.machine = self.outside = None

    def __enter__(self):
        case = self.case
        self.place = tempfile.TemporaryDirectory(prefix="ixyvm.")
        directory = self.place.name
        self.wires, self.models, arguments, told = network(case, directory)
        kernel = "kernel-full" if case.get("kernel") == "full" else "kernel"
        memory = case.get("memory", "1G")
        told.update(case_name=case.name, hugepages=case.get("hugepages", "64"))
        told.update(o.split("=", 1) for o in self.options if "=" in o)
        interactive = "--shell" in self.options
        if interactive:
            told["shell"] = "yes"
        vm_initramfs.build(directory + "/initramfs", case.script, told, case.get("programs").split(), kernel,
                           case.get("modules").split())
        append = case.get("append")
        if case.flag("iommu"):
            arguments = IOMMU + arguments
            append = "intel_iommu=on iommu=pt " + append  # a case may say otherwise
        arguments = [word for text in case.all("qemu") for word in text.split()] + arguments
        if self.models:
            arguments = vm_model.shared_memory(memory) + arguments
        self.machine = Machine(directory, memory, case.get("smp", "2"), append, arguments,
                               "--watch" in self.options, interactive, kernel,
                               vm_model.qemu() if self.models else None)
        self.outside = Outside(self.wires, random.Random(self.seed), self.machine, self.models)
        return self

    def __exit__(self, *_):
        if self.outside:
            self.outside.end()
        if self.machine:
            self.machine.stop()
        for model in self.models:
            model.stop()
        for wire in self.wires.values():
            if wire.thread:
                wire.close()
        self.place.cleanup()

    def boot(self):
        for model in self.models:
            model.start()
        self.machine.start()
        for wire in self.wires.values():
            if isinstance(wire, vm_wire.TapWire):
                subprocess.run([vm_initramfs.command("ip"), "link", "set", wire.interface, "up"], check=True)
                wire.open()

    def serve(self):
        """Until the guest has said its result; returns ("ok" | "fail: why" | ..., what was wrong here)."""
        end = time.monotonic() + BOOT_S + float(self.case.get("timeout", "60"))
        results, wrong = [], []
        while time.monotonic() < end:
            console, questions, ended = self.machine.lines(0.5)
            results += [line[7:] for line in console if line.startswith("RESULT ")]
            for question in questions:
                wrong += self.reply(question)
            if results or ended:
                break
        if not results:
            results = ["fail: the guest " + ("ended" if ended else "said nothing more, and was stopped,")
                       + " before it had a result"]
        elif not self.machine.powers_off():
            print("(the guest did not power off, and was stopped)")
        results += [line[7:] for line in self.machine.lines(0)[0] if line.startswith("RESULT ")]
        if len(results) > 1:
            wrong.append(f"more than one result: {results}")
        return results[0], wrong

    def reply(self, question):
        try:
            said = self.outside.do(question)
        except (Wrong, OSError, RuntimeError, KeyError, TypeError) as error:
            said = f"{type(error).__name__}: {error}" if not isinstance(error, Wrong) else str(error)
            self.machine.answer("fail " + said)
            return [f"{question}: {said}"]
        self.machine.answer("ok " + said)
        return []


def in_namespace(case):
    """A card with several queues needs a TAP device: in a network namespace of our own, which ends with us."""
    if not any("queues=" in nic for nic in case.all("nic")) or os.environ.get("IXY_VM_NAMESPACE"):
        return
    if os.getuid():
        raise vm_initramfs.Unavailable("needs root, for a TAP device in a network namespace")
    os.environ["IXY_VM_NAMESPACE"] = "1"
    unshare = vm_initramfs.command("unshare")
    os.execv(unshare, [unshare, "--net", sys.executable, *sys.argv])


def main():
    options = [a for a in sys.argv[1:] if a.startswith("--") or "=" in a]
    names = [a for a in sys.argv[1:] if a not in options]
    if len(names) != 1 or not set(o for o in options if "=" not in o) <= {"--watch", "--shell"}:
        print(__doc__)
        return 2
    began = time.monotonic()
    try:
        case = Case(names[0])
        in_namespace(case)
        run = Run(case, options)
        print(f"{case.name}: seed {run.seed} (IXY_SEED)", flush=True)
        with run:
            run.boot()
            if run.machine.interactive:
                return run.machine.process.wait()
            result, wrong = run.serve()
            run.machine.stop()
            for model in run.models:
                wrong += model.judge()
            if result.startswith("skip: ") and not wrong:
                print("skipped:", result[6:])
                return 77
            if result == "ok" and not wrong:
                said = [line for line in run.machine.console if line.startswith("vm: ")]
                print("\n".join(said if "--watch" not in options else []))
                print(f"ok: {case.name} ({time.monotonic() - began:.0f} s)")
                return 0
            if "--watch" not in options:
                run.machine.show_console()
            print(f"FAILED: {case.name}: {result}" + "".join(f"\n  outside: {w}" for w in wrong))
            return 1
    except vm_initramfs.Unavailable as why:
        print("skipped:", why)
        return 77


if __name__ == "__main__":
    sys.exit(main())
