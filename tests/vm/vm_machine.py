"""vm_machine.py - one QEMU process: its console, its second serial line for questions, its monitor"""
import json
import os
import select
import socket
import subprocess
import sys
import time

import vm_initramfs

APPEND = "console=ttyS0 quiet panic=-1 mitigations=off ipv6.disable=1 random.trust_cpu=on"
POWEROFF_S = 15  # after its result line a guest has nothing more to say; some do not manage to power off


class Machine:
    """Started by start(); ended, in whatever way, by stop(): this very process and no other."""

    def __init__(self, directory, memory="1G", smp="2", append="", arguments=(), watch=False,
                 interactive=False, kernel="kernel", qemu=None):
        self.directory, self.watch, self.interactive = directory, watch, interactive
        self.console, self.partial = [], b""
        self.process = self.control = None
        self.control_text = b""
        self.command = [
            *(qemu or [vm_initramfs.command("qemu-system-x86_64")]), "-M", "q35",
            "-accel", "tcg,thread=multi", "-cpu", "max", "-m", memory, "-smp", smp, "-nodefaults",
            "-display", "none", "-no-reboot",
            "-kernel", vm_initramfs.kernel_dir(kernel) + "/vmlinuz", "-initrd", directory + "/initramfs",
            "-append", f"{APPEND} {append}".strip(),
            "-serial", "mon:stdio" if interactive else "stdio",
            "-chardev", f"socket,id=control,path={directory}/control,server=on,wait=off",
            "-serial", "chardev:control",
            "-qmp", f"unix:{directory}/qmp,server=on,wait=off", *arguments]

    def start(self):
        pipes = {} if self.interactive else {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                                             "stderr": subprocess.STDOUT}
        # a terminal's Ctrl-C is ours to handle
        self.process = subprocess.Popen(self.command, start_new_session=not self.interactive, **pipes)
        self.control = self.connect("control")

    def connect(self, name):
        end = time.monotonic() + 20
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(f"{self.directory}/{name}")
                return connection
            except OSError:
                connection.close()
                if self.process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"QEMU did not start: {self.read_rest()}") from None
                time.sleep(0.02)

    def read_rest(self):
        return "" if self.interactive else self.process.stdout.read().decode(errors="replace")

    def lines(self, timeout):
        """What has come within @timeout: (new console lines, new questions, whether QEMU has ended)."""
        console, questions, ended = [], [], False
        ready = select.select([self.process.stdout, self.control], [], [], timeout)[0]
        if self.process.stdout in ready:
            data = os.read(self.process.stdout.fileno(), 65536)
            ended = not data
            *whole, self.partial = (self.partial + data).split(b"\n")
            console = [line.decode(errors="replace").rstrip("\r") for line in whole]
        if self.control in ready:
            try:
                data = self.control.recv(65536)
            except ConnectionResetError:
                data = b""
            ended = ended or not data
            *whole, self.control_text = (self.control_text + data).split(b"\n")
            questions = [line.decode(errors="replace").strip() for line in whole]
        self.console += console
        if self.watch:
            for line in console:
                print("   |", line, flush=True)
        return console, questions, ended

    def answer(self, text):
        self.control.sendall(text.encode() + b"\n")

    def monitor(self, command, **arguments):
        """One command of the monitor (QMP); waits for DEVICE_DELETED after device_del."""
        connection = self.connect("qmp")
        connection.settimeout(30)
        with connection, connection.makefile("rw") as file:
            for line in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}):
                file.write(json.dumps(line) + "\n")
                file.flush()
            deleted, replies = command != "device_del", 0
            while replies < 2 or not deleted:
                message = json.loads(file.readline())
                if "error" in message:
                    raise RuntimeError(f"{command}: {message['error']['desc']}")
                replies += "return" in message
                deleted = deleted or message.get("event") == "DEVICE_DELETED"

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.control:
            self.control.close()

    def powers_off(self):
        try:
            self.process.wait(POWEROFF_S)
            return True
        except subprocess.TimeoutExpired:
            return False

    def show_console(self):
        for line in self.console + [self.partial.decode(errors="replace")]:
            print("   |", line)
        sys.stdout.flush()
