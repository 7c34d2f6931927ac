"""bench_cases.py - what is measured, as a table: cases, their rows, what is compared, the goals

A row is one contestant: how a sample is taken, and which of its fields is the row's figure. A case is
a few rows that take turns, and comparisons among them (or with a row of another case, "case/row").
A goal is what issue 6 of the project asks for; a comparison without one is stated only.
"""
from dataclasses import dataclass, field

import bench_ours as ours
import bench_peers as peers


@dataclass
class Row:
    name: str
    text: str
    take: object  # function of the run and of @options
    options: dict = field(default_factory=dict)
    figure: str = "mpps"
    unit: str = "Mpps"
    cores: bool = True  # does it matter whether the cores are near? Else samples have no class
    slow: bool = False  # seconds to start: fewer samples with --quick
    full: bool = False  # left out with --quick


@dataclass
class Compare:
    """Medians: ours divided by the peer's, or, without a peer, our figure by itself."""
    ours: str
    peer: str = ""
    goal: str = ""  # such as ">= 2.0"; for the ratio where there is a peer, else for the figure
    figure: str = ""  # another field of the samples than the row's figure
    unit: str = ""


@dataclass
class Case:
    name: str
    text: str
    rows: list
    compares: list = field(default_factory=list)


def through(name, text, poll="busy", **options):
    more = {key: options.pop(key) for key in ("figure", "unit", "slow", "full") if key in options}
    return Row(name, text, ours.through, {"poll": poll, **options}, **more)


BURSTS = (1, 8, 32, 64, 256)
DPDK_GOALS = {1: ">= 1.0", 32: ">= 2.0"}


def burst_case(burst):
    options = ("--burst", burst)
    rows = [
        through("busy", "ours, busy", options=options),
        through("adaptive", "ours, adaptive", poll="adaptive", options=options),
        Row("dpdk", "DPDK primary and secondary", peers.dpdk, {"burst": burst}, slow=True),
        Row("ring", "bare ring, one way", peers.ring, {"burst": burst}),
    ]
    goal = DPDK_GOALS.get(burst, "")
    compares = [Compare("busy", "dpdk", goal), Compare("adaptive", "dpdk", goal),
                Compare("busy", "ring")]
    for name, zero_copy in (("memif", True), ("memif-copy", False)):
        rows.append(Row(name, f"testpmd, memif, {'zero-copy' if zero_copy else 'copying'}",
                        peers.memif, {"zero_copy": zero_copy, "burst": burst}, slow=True,
                        full=burst != 32))
        compares.append(Compare("busy", name,
                                ">= 4.0" if burst == 32 and zero_copy else ""))
    return Case(f"burst-{burst}", f"through a client and back, bursts of {burst}, 64 bytes, "
                "untouched", rows, compares)


def size_case(size):
    rows = [through("write", "ours, the port writes all bytes", port=f"size={size},payload=write")]
    compares = [Compare("write", "burst-32/dpdk" if size == 64 else "dpdk")]
    if size != 64:  # which burst-32 is
        rows = [through("busy", "ours, untouched", port=f"size={size},payload=keep"), *rows,
                Row("dpdk", "DPDK primary and secondary, untouched", peers.dpdk, {"size": size},
                    slow=True),
                Row("memif", "testpmd, memif, zero-copy", peers.memif, {"size": size}, slow=True,
                    full=True)]
        compares = [Compare("busy", "dpdk"), *compares, Compare("busy", "memif")]
    return Case(f"size-{size}", f"through a client and back, bursts of 32, {size} bytes", rows,
                compares)


def members_case(number):
    compares = [] if number == 1 else [Compare("busy", "members-1/busy")]
    return Case(f"members-{number}", f"{number} member{'s' * (number > 1)} of one port, 256 flows", [
        through("busy", f"ours, {number} clients in one thread" if number > 1 else
                "ours, 1 client", port="size=64,payload=write,flows=256",
                options=("--members", number)),
    ], compares)


def monitored(name, text, *options, port="size=64,payload=keep"):
    return [through(f"{name}{'-monitor' * n}", f"{text}{', a monitor' * n}", port=port,
                    options=(*options, "--monitors", n), figure="server_ns_per_packet",
                    unit="ns of server CPU") for n in (0, 1)]


def monitored_xdp():
    return [Row(f"xdp{'-monitor' * n}", f"ours, AF_XDP, a read-only member frees{', a monitor' * n}",
                ours.xdp, {"options": ("--readonly", "--sink", "--monitors", n)},
                figure="server_ns_per_packet", unit="ns of server CPU", slow=True) for n in (0, 1)]


def idle_case(number):
    return Case(f"idle-{number}", f"{number} idle client{'s' * (number > 1)} beside one that is busy", [
        through("busy", f"ours, {number} idle", idle=number, slow=number > 10,
                extra=("--max-clients", 1200, "--bufs", 131072)),
    ], [] if number == 1 else [Compare("busy", "idle-1/busy", ">= 0.98" if number == 1000 else "")])


US = {"figure": "p50_us", "unit": "us"}

CASES = [
    *(burst_case(burst) for burst in BURSTS),
    Case("touch", "both sides touch the bytes: the port writes 64, the client swaps the MACs", [
        through("busy", "ours, busy", port="size=64,payload=write", options=("--touch",)),
        through("adaptive", "ours, adaptive", poll="adaptive", port="size=64,payload=write",
                options=("--touch",)),
        Row("dpdk", "DPDK, the client touches", peers.dpdk, {"touch": True}, slow=True),
        Row("memif", "testpmd, memif, zero-copy, macswap", peers.memif, {"mode": "macswap"},
            slow=True, full=True),
    ], [Compare("busy", "dpdk", ">= 1.4"), Compare("adaptive", "dpdk", ">= 1.4"),
        Compare("busy", "memif")]),
    *(size_case(size) for size in (64, 512, 1518)),
    *(members_case(number) for number in (1, 2, 4, 8)),
    Case("monitor", "a monitor attached: CPU time of the server for each packet of the member", [
        *monitored("readonly", "ours, a read-only member sends back", "--readonly"),
        *monitored("sink", "ours, a read-only member frees", "--readonly", "--sink"),
        *monitored("copies", "ours, a member sends back in place"),
        *monitored_xdp(),
    ], [Compare("readonly-monitor", "readonly", "<= 1.10"),
        Compare("sink-monitor", "sink", "<= 1.10"),
        Compare("xdp-monitor", "xdp", "<= 1.10"),
        Compare("copies-monitor", "copies")]),
    Case("chain", "two clients in a chain, joined by a veth cable of the kernel's", [
        Row("cable", "ours, null port, client, cable, client, null port", ours.chain, slow=True),
    ], [Compare("cable", "burst-32/busy")]),
    Case("round-trip", "one descriptor there and one back, both sides polling", [
        Row("busy", "ours, busy", ours.trip, {}, **US),
        Row("adaptive", "ours, adaptive", ours.trip, {"poll": "adaptive"}, **US),
        Row("ring", "bare ring", peers.ring_trip, {}, **US),
        Row("dpdk", "DPDK primary and secondary", peers.dpdk, {"trip": True, "burst": 1},
            slow=True, **US),
    ], [Compare("busy", "ring", "<= 1.6"), Compare("adaptive", "ring"),
        Compare("busy", "ring", figure="p999_us", unit="us"), Compare("busy", "dpdk"),
        Compare("busy", "dpdk", figure="p999_us", unit="us")]),
    Case("arrival", "one packet at a time, from the server's timestamp to a client that polls", [
        Row("busy", "ours, both poll", ours.arrival, {"poll": "busy", "sleep": False,
                                                      "rate": 20000}, **US),
    ], [Compare("busy")]),
    Case("wake-up", "one packet at a time, both sides asleep before", [
        Row("arrival", "ours, from the server's timestamp to the client's hands", ours.arrival, {},
            **US),
        Row("pipe", "a bare pipe, from write to the end of read", peers.pipe, {}, **US),
        Row("trip", "ours, there and back", ours.trip, {"poll": "adaptive", "sleep": True}, **US),
        Row("pipe-trip", "bare pipes, there and back", peers.pipe, {"trip": True}, **US),
    ], [Compare("arrival", "pipe", "<= 1.5"), Compare("trip", "pipe-trip", "<= 1.5"),
        Compare("arrival", "pipe", figure="p999_us", unit="us")]),
    *(idle_case(number) for number in (1, 10, 100, 1000)),
    Case("workers", "two workers, each with a port queue and a client on a core of its own", [
        Row("one", "ours, 1 worker, 1 client", ours.two_workers, {"workers": 1}),
        Row("two", "ours, 2 workers, 2 clients", ours.two_workers, {"workers": 2}),
    ], [Compare("two", "one")]),
    Case("xdp", "an AF_XDP port on veth, 64 bytes sent back with MACs swapped", [
        Row("ours", "ours, server and client on one CPU", ours.xdp, {},
            figure="packets_per_cpu_second", unit="packets per CPU second", slow=True),
        Row("apart", "ours, the client beside the sender", ours.xdp, {"client": 1},
            figure="packets_per_cpu_second", unit="packets per CPU second", slow=True),
        Row("forwarder", "one process on libxdp", peers.xdp_forward, {},
            figure="packets_per_cpu_second", unit="packets per CPU second", slow=True),
    ], [Compare("ours", "forwarder", ">= 0.8"),
        Compare("ours", "forwarder", figure="mpps", unit="Mpps"),
        Compare("apart", "forwarder")]),
    Case("life", "attaching and detaching a default client", [
        Row("attach", "ours, attach", ours.life, {}, figure="attach_ms", unit="ms", cores=False),
    ], [Compare("attach"), Compare("attach", figure="detach_ms", unit="ms")]),
    Case("reclaim", "the death of a client that holds 32,768 buffers, beside one with traffic", [
        Row("32768", "ours, longest slice of taking them back", ours.reclaim, {"held": 32768},
            figure="held_up_us", unit="us", cores=False, slow=True),
    ], [Compare("32768", goal="<= 50"), Compare("32768", figure="reclaim_ms", unit="ms"),
        Compare("32768", goal="<= 0", figure="others_lost", unit="frames")]),
    Case("idle-cpu", "a server and twenty clients, all asleep", [
        Row("server", "ours, the server", ours.idle_cpu, {}, figure="server_percent",
            unit="% of a CPU", cores=False, slow=True),
    ], [Compare("server"), Compare("server", figure="clients_percent", unit="% of a CPU")]),
    Case("memory", "the server's memory beside the pool", [
        Row("server", "ours, without the pool", ours.memory, {}, figure="resident_mib",
            unit="MiB", cores=False, slow=True),
    ], [Compare("server", goal="<= 16"), Compare("server", figure="client_kib", unit="KiB a client"),
        Compare("server", goal="<= 256", figure="lane_kib", unit="KiB of rings"),
        Compare("server", goal="<= 16", figure="bytes_per_buffer", unit="bytes a buffer")]),
]


def by_name(names):
    """The cases of these names (all without any), and those with whose rows they are compared."""
    known = {case.name: case for case in CASES}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise KeyError(f"there is no case {unknown[0]}; there are: {' '.join(known)}")
    wanted = set(names or known)
    for case in CASES:
        if case.name in wanted:
            wanted |= {compare.peer.split("/")[0] for compare in case.compares
                       if "/" in compare.peer}
    return [case for case in CASES if case.name in wanted]
