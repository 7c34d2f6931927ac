"""vm_model.py - cards that are processes of ours: tests/models, attached to QEMU by vfio-user

Only QEMU 11 can do that (tests/models/get_qemu11.sh). The model's examiner has a say in the result: whatever it
reports of the driver makes the case fail, unless the case expects it ("reports=rule,rule" in its "nic:" line), or allows
it where a server is killed ("may=rule,rule").
"""
import json
import os
import signal
import subprocess
import time

import vm_initramfs

PROGRAMS = {"ixgbe-model": "tests/models/ixgbe_model"}


def qemu():
    """The command of QEMU 11, fetched before (tests/vm/setup): a test does not install a system."""
    script = os.path.join(vm_initramfs.SOURCE, "tests", "models", "get_qemu11.sh")
    done = subprocess.run([script, "--have"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise vm_initramfs.Unavailable(done.stderr.strip() or "no QEMU 11")
    return done.stdout.split()


def shared_memory(size):
    """The guest's memory, so that it can be given to the model."""
    return ["-object", f"memory-backend-memfd,id=mem,size={size},share=on", "-machine", "memory-backend=mem"]


class Model:
    def __init__(self, name, device, mac, wire, directory, options):
        self.name = name
        self.socket = f"{directory}/{name}.vfio"
        self.log = f"{directory}/{name}.model"
        self.expected = set(options.get("reports", "").split(",")) - {""}
        self.allowed = self.expected | set(options.get("may", "").split(",")) - {""}
        self.pulled = False
        self.command = [os.path.join(vm_initramfs.BUILD, PROGRAMS[device]), self.socket, wire.there, wire.here, mac]
        if os.environ.get("IXY_MODEL_TRACE"):
            self.command.insert(1, "--trace")
            self.log = f"{os.environ['IXY_MODEL_TRACE']}.{name}"
        self.process = None

    def arguments(self, number, slot):
        device = {"driver": "vfio-user-pci", "id": self.name + "-nic", "bus": f"rp{number}",
                  "socket": {"path": self.socket, "type": "unix"}}
        return ["-device", f"pcie-root-port,id=rp{number},chassis={number + 1},addr={slot:#x}",
                "-device", json.dumps(device)]

    def start(self):
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True)
        end = time.monotonic() + 20
        while not os.path.exists(self.socket):
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the model {self.name} did not start: {self.lines()}")
            time.sleep(0.01)

    def lines(self):
        with open(self.log, errors="replace") as log:
            return log.read().splitlines()

    def judge(self):
        """Once QEMU has ended: what is wrong."""
        if self.pulled:
            return []
        try:
            status = self.process.wait(20)
        except subprocess.TimeoutExpired:
            return [f"{self.name}: the model does not end"]
        reports = [line.split(": ", 2)[1:] for line in self.lines() if line.startswith("examiner: ")]
        wrong = [f"{self.name}: {rule}: {text}" for rule, text in reports if rule not in self.allowed]
        wrong += [f"{self.name}: the examiner did not report {rule}"
                  for rule in self.expected - {rule for rule, _ in reports}]
        if status != (3 if reports else 0):
            wrong.append(f"{self.name}: the model ended with status {status}: " + "\n".join(self.lines()[-10:]))
        print(f"{self.name}: {self.lines()[-1] if self.lines() else ''}")
        return wrong

    def pull(self):
        """The card is gone from one moment to the next: QEMU answers reads of it with all ones."""
        self.pulled = True
        self.process.kill()
        self.process.wait()

    def num_hangs(self):
        return sum("hang from now on" in line for line in self.lines())

    def hang(self):
        """Its requests to memory hang until it has been reset twice."""
        said = self.num_hangs()
        self.process.send_signal(signal.SIGUSR1)
        end = time.monotonic() + 20
        while self.num_hangs() == said:
            if time.monotonic() > end:
                raise RuntimeError(f"the model {self.name} does not hang")
            time.sleep(0.01)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
