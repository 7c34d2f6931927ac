"""bench_ours.py - how each kind of sample of the service is taken; the table of cases names them"""
import json
import os
import time

from bench_server import Server, leave
from bench_system import Cable, Failure, Skip, run_json, start, stop, threads_ns, wait_for

IDLE_PORT = "quiet=pcap:none"
# Attempts to see the poll loop while no other program takes its CPU away
DEATHS = 6


def with_server_ns(result, options):
    """@result with the server's CPU time for each packet."""
    if "--sink" in options:
        result["sent"] = 0
    result["server_ns_per_packet"] = (result["server_cpu_s"] * 1e9 / result["packets"]
                                      if result["packets"] else 0)
    return result


def through(bench, port="size=64,payload=keep", poll="busy", options=(), idle=0, extra=()):
    """Packets from a null port through clients and back, or to whom the options say."""
    with Server(bench, f"p0=null:{port}", IDLE_PORT, poll=poll, extra=extra) as server:
        crowd = None
        try:
            if idle:
                crowd = server.start("bench_crowd", "-p", "quiet", "--clients", idle, "--slots",
                                     64)
                if '"ready": true' not in crowd.stdout.readline():
                    leave(crowd)
                    raise Failure("bench_crowd ended early")
            if bench.args.inject_miscount:
                options = (*options, "--miscount")
            result = server.run("bench_client", "--stage", "p0:p0", "--seconds",
                                bench.seconds, "--server-pid", server.pid, *options)
            server.compare(result, ["p0"])
        finally:
            if crowd:
                stop(crowd)
                crowd.communicate()
    return with_server_ns(result, options)


def two_workers(bench, workers):
    """One or two workers, each with a port queue and a client on a core of its own."""
    if len(bench.cpus) < 4:
        raise Skip("two workers need four cores: two for the server, two for its clients "
                   "(--cpus A,B,C,D)")
    cpus = bench.cpus[:4]
    servers, clients = (cpus[0], cpus[2])[:workers], (cpus[1], cpus[3])[:workers]
    with Server(bench, f"p0=null:size=64,payload=write,queues={workers},flows=256",
                cpus=",".join(map(str, servers))) as server:
        options = ["--stage", "p0:p0", "--seconds", bench.seconds, "--server-pid", server.pid]
        processes = []
        try:
            for cpu in clients:
                log = os.path.join(server.dir, f"client{cpu}.json")
                processes.append((start(server.command("bench_client", *options, cpu=cpu), log),
                                  log))
            results = []
            for process, log in processes:
                if process.wait(timeout=60) != 0:
                    raise Failure(f"bench_client: {open(log, encoding='utf-8').read()[-300:]}")
                with open(log, encoding="utf-8") as text:
                    results.append(json.load(text))
        finally:
            for process, _ in processes:
                stop(process)
        total = {"sent": sum(r["sent"] for r in results),
                 "received": sum(r["received"] for r in results)}
        server.compare(total, ["p0"])
    return {"mpps": sum(r["mpps"] for r in results), "waited": max(r["waited"] for r in results)}


def chain(bench):
    """Two clients one behind the other, joined by a cable of the kernel's."""
    with Cable(one_namespace=True) as cable:
        with Server(bench, "p0=null:size=64,payload=write", "a=xdp:va", "b=xdp:vb",
                    prefix=cable.inside(cable.near)) as server:
            result = server.run("bench_client", "--stage", "p0:a", "--stage", "b:p0", "--seconds",
                                bench.seconds, "--server-pid", server.pid)
            server.compare(result, ["p0", "a", "b"])
    return result


def xdp(bench, size=64, client=0, options=("--touch",)):
    """A server with an AF_XDP port on veth, and a client that sends everything back with MACs swapped,
    or does what @options say.

    The client is on CPU number @client of the two: the server's, as all of the peer, or the sender's.
    """
    bench.need("packet_blast", "the sender at the far end of the cable")
    with Cable() as cable:
        with Server(bench, "p0=xdp:va", poll="adaptive",
                    prefix=cable.inside(cable.near)) as server:
            with bench.blast(cable, size):
                waited, begin = threads_ns(server.pid, 1), time.monotonic()
                result = run_json(server.command(
                    "bench_client", "--stage", "p0:p0", "--sleep", "--seconds", bench.seconds,
                    "--server-pid", server.pid, *options, cpu=bench.cpus[client]))
                waited = (threads_ns(server.pid, 1) - waited) / 1e9 / (time.monotonic() - begin)
            # the client has left: what was sent at the end is given to the port, or dropped
            server.compare(result, ["p0"])
    result["cpu_seconds"] = result["client_cpu_s"] + result["server_cpu_s"]
    result["packets_per_cpu_second"] = result["packets"] / result["cpu_seconds"]
    # two on one CPU wait for each other: that is no disturbance
    return {**with_server_ns(result, options), "waited": waited if client else 0, "server_waited": waited}


def trip(bench, poll="busy", sleep=False):
    """One buffer sent, and the next one granted: a descriptor there and one back."""
    with Server(bench, "p0=pcap:none", poll=poll) as server:
        return server.run("bench_latency", "-p", "p0", "--trip", *(["--sleep"] if sleep else []),
                          "--seconds", bench.latency_seconds(sleep), "--server-pid", server.pid)


def arrival(bench, poll="adaptive", sleep=True, rate=500):
    """From the server's receive timestamp to the client's hands."""
    with Server(bench, f"p0=null:size=64,rate={rate}", poll=poll) as server:
        return server.run("bench_latency", "-p", "p0", "--arrive",
                          *(["--sleep"] if sleep else []), "--seconds",
                          bench.latency_seconds(sleep), "--server-pid", server.pid)


def life(bench):
    """Attach and detach, one after the other."""
    with Server(bench, "p0=null:rate=1", poll="adaptive") as server:
        before = threads_ns(server.pid, 1)
        result = server.run("bench_life", "-p", "p0", "--turns", "--seconds", bench.seconds)
        waited = (threads_ns(server.pid, 1) - before) / 1e9 / bench.seconds
    return {**result, "waited": waited}


def counter(stats, name):
    return stats["server"]["counters"][name]


def one_death(bench, held):
    """A client that holds so many buffers dies under the traffic of another one."""
    with Server(bench, "p0=null:rate=50000", extra=["--bufs", "65536"]) as server:
        other = server.command("bench_client", "--stage", "p0:p0", "--slots", 8192, "--seconds", 1.5)
        log = os.path.join(server.dir, "other.json")
        process = start(other, log)
        try:
            victim = server.start("bench_life", "--die", held)
            if victim.stdout.readline() != "holding\n":
                leave(victim)
                raise Failure("bench_life ended early")
            before = server.stats()
            victim.stdin.write("\n")
            victim.stdin.flush()
            result = json.loads(leave(victim))
            wait_for(lambda: counter(server.stats(), "reclaimed_bufs") -
                     counter(before, "reclaimed_bufs") >= held, [server.process],
                     server.log_path, "reclaim")
            after = server.stats()
            if process.poll() is not None:
                raise Failure("the other client had left before the death")
            if process.wait(timeout=60) != 0:
                raise Failure(f"bench_client: {open(log, encoding='utf-8').read()[-300:]}")
            with open(log, encoding="utf-8") as text:
                traffic = json.load(text)
            server.compare(traffic, ["p0"])
        finally:
            stop(process)
        no_buffer = sum(p["counters"]["rx_no_buffer"] for p in after["ports"])
    result["longest_slice_us"] = counter(after, "longest_reclaim_ns") / 1e3
    result["others_lost"] = traffic["dropped_ever"] + no_buffer
    return result


def reclaim(bench, held):
    """The least disturbed of several deaths: a slice may hold a moment in which the CPU was another's."""
    deaths = [one_death(bench, held) for _ in range(1 if bench.args.quick else DEATHS)]
    return {"reclaim_ms": min(d["reclaim_ms"] for d in deaths),
            "held_up_us": min(d["longest_slice_us"] for d in deaths),
            "others_lost": sum(d["others_lost"] for d in deaths), "waited": 0}


def idle_cpu(bench, clients=20):
    """CPU time of a server and its clients, all asleep."""
    with Server(bench, IDLE_PORT, "n=null:rate=1", poll="adaptive") as server:
        crowd = server.start("bench_crowd", "-p", "quiet", "--clients", clients, "--slots", 64)
        try:
            if '"ready": true' not in crowd.stdout.readline():
                leave(crowd)
                raise Failure("bench_crowd ended early")
            time.sleep(0.2)
            pids = server.pid, crowd.pid
            before, begin = [threads_ns(pid, 0) for pid in pids], time.monotonic()
            time.sleep(max(1, bench.seconds))
            after, end = [threads_ns(pid, 0) for pid in pids], time.monotonic()
        finally:
            stop(crowd)
            crowd.communicate()
    shares = [(b - a) / 1e9 / (end - begin) * 100 for a, b in zip(before, after)]
    return {"server_percent": shares[0], "clients_percent": shares[1], "clients": clients,
            "waited": 0}


def memory(bench, clients=100):
    """What the server needs beside the pool, and what one client adds to it."""
    with Server(bench, IDLE_PORT, "p0=null:rate=1000", poll="adaptive") as server:
        one = server.run("bench_client", "--stage", "p0:p0", "--seconds", 0.05)
        idle = server.outside_pool_kib()
        crowd = server.start("bench_crowd", "-p", "quiet", "--clients", clients)
        try:
            if '"ready": true' not in crowd.stdout.readline():
                leave(crowd)
                raise Failure("bench_crowd ended early")
            full = server.outside_pool_kib()
        finally:
            stop(crowd)
            crowd.communicate()
        record = server.record_bytes()
    return {"resident_mib": round(idle / 1024, 2), "waited": 0,
            "client_kib": round((full - idle) / clients, 1),
            "lane_kib": one["lane_bytes"] / 1024, **record}
