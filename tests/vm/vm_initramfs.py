"""vm_initramfs.py - what a guest boots into: busybox, modules, and the programs of the build tree

Written as a cpio archive (format newc, kernel Documentation/driver-api/early-userspace/buffer-format.rst)
without compression, which would only cost the guest time. Programs are this machine's dynamic ones, with their
shared libraries at the very paths where the loader found them: what is tested is what was built.
"""
import os
import shutil
import subprocess

SOURCE = os.environ.get("IXY_SOURCE_DIR", os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("IXY_BUILD_DIR", os.path.join(SOURCE, "build"))
HERE = os.path.join(SOURCE, "tests", "vm")

PROGRAMS = ["server/ixy-server", "client-lib/tools/ixyctl", "examples/ixy-fwd", "examples/ixy-echo",
            "examples/ixy-hello", "examples/ixy-pktgen"]
MODULES = ["virtio_pci", "virtio_net", "vfio_iommu_type1", "vfio-pci"]


class Unavailable(Exception):
    """This machine cannot run the guest: the test is skipped."""


def kernel_dir(name="kernel"):
    """@name: "kernel", the small one of the cloud, or "kernel-full", with drivers of real cards."""
    cache = os.environ.get("IXY_VM_CACHE")
    if not cache:
        base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("HOME", "/var/tmp") + "/.cache"
        cache = base + "/ixy-vm"
    path = os.path.join(cache, name)
    if not os.path.exists(path + "/vmlinuz"):
        raise Unavailable(f"no {name} for guests; run tests/vm/setup")
    return path


def command(name):
    path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not path:
        raise Unavailable(f"needs the command {name}; run tests/vm/setup")
    return path


class Tree:
    """Files of the archive, in the order in which they were added: directories before what is in them."""

    def __init__(self):
        self.entries = {}

    def directory(self, path):
        if path in ("", "/") or path in self.entries:
            return
        self.directory(os.path.dirname(path))
        self.entries[path] = (0o40755, b"")

    def file(self, path, data, mode=0o755):
        self.directory(os.path.dirname(path))
        self.entries[path] = (0o100000 | mode, data if isinstance(data, bytes) else data.encode())

    def link(self, path, target):
        self.directory(os.path.dirname(path))
        self.entries[path] = (0o120777, target.encode())

    def copy(self, path, source):
        with open(source, "rb") as file:
            self.file(path, file.read())

    def program(self, source):
        """A program into /bin, and the libraries that its loader names."""
        if not os.path.exists(source):
            raise FileNotFoundError(f"{source} has not been built")
        self.copy("/bin/" + os.path.basename(source), source)
        said = subprocess.run(["ldd", source], capture_output=True, text=True, check=False).stdout
        for line in said.splitlines():
            for word in line.split():
                if word.startswith("/") and word not in self.entries:
                    # a build tree may lie where the guest mounts something; init looks there too
                    system = word.startswith(("/lib", "/usr/"))
                    self.copy(word if system else "/lib/vm/" + line.split()[0], word)

    def write(self, path):
        with open(path, "wb") as out:
            for number, (name, (mode, data)) in enumerate(self.entries.items(), 1):
                self.entry(out, number, name[1:], mode, data)
            self.entry(out, 0, "TRAILER!!!", 0, b"")

    @staticmethod
    def entry(out, number, name, mode, data):
        fields = [number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
        head = b"070701" + b"".join(b"%08X" % value for value in fields) + name.encode() + b"\0"
        out.write(head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4))


def needed_by(module):
    """Names in the module's "depends=" (section .modinfo); the package has no modules.dep."""
    at = module.find(b"\0depends=")
    if at < 0:
        at = module.find(b"depends=") - 1
    names = module[at + 9:module.index(b"\0", at + 9)].decode()
    return [name for name in names.split(",") if name]


def add_modules(tree, kernel, wanted):
    """Each after what it needs; /modules/order is what init loads."""
    paths, order = {}, []
    for base, _, names in os.walk(kernel + "/modules"):
        paths.update({name[:-3].replace("-", "_"): os.path.join(base, name)
                      for name in names if name.endswith(".ko")})

    def add(name):
        name = name.replace("-", "_")
        if name in order or name not in paths:  # not there: built into the kernel
            return
        with open(paths[name], "rb") as file:
            data = file.read()
        for other in needed_by(data):
            add(other)
        order.append(name)
        tree.file(f"/modules/{name}.ko", data)

    for name in wanted:
        add(name)
    tree.file("/modules/order", "".join(name + "\n" for name in order))


def build(path, case_text, environment, programs, kernel="kernel", modules=()):
    """The archive of one case; @environment is what its script finds as variables."""
    tree = Tree()
    for directory in ("/proc", "/sys", "/dev", "/tmp", "/run", "/dev/hugepages", "/root"):
        tree.directory(directory)
    tree.copy("/bin/busybox", command("busybox"))
    tree.program(command("setpriv"))
    for program in PROGRAMS + programs:
        tree.program(os.path.join(BUILD, program))
    add_modules(tree, kernel_dir(kernel), MODULES + list(modules))
    for name in sorted(os.listdir(HERE + "/guest")):
        if name == "init":
            tree.copy("/init", HERE + "/guest/init")
        elif not name.endswith(".c"):
            tree.copy("/lib/vm/" + name, f"{HERE}/guest/{name}")
    tree.file("/etc/passwd", "root:x:0:0::/root:/bin/sh\nixy:x:990:990::/:/bin/false\n", 0o644)
    tree.file("/etc/group", "root:x:0:\nixy:x:990:\n", 0o644)
    tree.file("/etc/case.env", "".join(f"{k}='{v}'\n" for k, v in environment.items()), 0o644)
    tree.file("/case", case_text)
    tree.write(path)
