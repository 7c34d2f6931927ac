#!/usr/bin/env python3
"""bench.py - takes alternating samples of the service, its limits and its peers; tables and JSON

Started by run.sh, which builds the programs. README.md says what each figure means, bench_cases.py
lists what is measured.
"""
import argparse
import os
import sys
import time

import bench_cases
import bench_peers
import bench_report
from bench_samples import Samples
from bench_system import Failure, Skip, machine, prefer, run_json

# When no further sample is begun: --quick may take three minutes, all that is started must end as well
QUICK_S, THOROUGH_S = 165, 2400


class Bench:
    """The run's settings, and what every sample needs."""

    def __init__(self, args):
        self.args = args
        self.cpus = args.cpus
        self.seconds = args.seconds
        self.begin = min(args.started or time.time(), time.time())
        self.least = time.time() + 60  # a long build leaves that much

    def time_left(self):
        limit = QUICK_S if self.args.quick else THOROUGH_S
        return max(self.begin + limit, self.least) - time.time()

    def latency_seconds(self, sleep):
        """Wake-ups are a thousand a second: some hundreds are wanted for p99.9."""
        return max(self.seconds, 0.5) * (2 if sleep and not self.args.quick else 1)

    def program(self, name):
        """A program of this build: the benchmark's own, or one of the tree's (below ixy/)."""
        path = os.path.join(self.args.build_dir, name)
        return path if os.path.exists(path) else os.path.join(self.args.build_dir, "ixy", name)

    def need(self, name, what):
        if not os.path.exists(self.program(name)):
            raise Skip(f"{what}: {name} was not built, for want of its source or its library")

    def blast(self, cable, size):
        return bench_peers.Blast(self, cable, size)

    def plain(self, prefix=("",)):
        """For what sends through the kernel: its own threads (ksoftirqd) have no priority above 0,
        and must get their turn beside the senders. Empty without a prefix: nothing goes there."""
        niceness = os.getpriority(os.PRIO_PROCESS, 0)
        return ["setsid", "nice", "-n", str(-niceness)] if prefix and niceness < 0 else []

    def pingpong(self):
        return run_json([self.program("bench_ring"), "--pingpong",
                         *bench_peers.cpu_option(self)])["pingpong_ns"]

    def say(self, text):
        print(text, file=sys.stderr, flush=True)


def cpu_list(text):
    cpus = [int(cpu) for cpu in text.split(",")]
    if len(cpus) < 2:
        raise ValueError
    return cpus


def parse_args():
    cores = sorted(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(
        prog="tests/bench/run.sh", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Measures the service beside the bare ring, DPDK, memif and libxdp.",
        epilog="cases: " + " ".join(case.name for case in bench_cases.CASES) +
        "\nexample: tests/bench/run.sh --quick --json result.json burst-32 round-trip")
    parser.add_argument("cases", nargs="*", metavar="CASE", help="only these (all)")
    parser.add_argument("--quick", action="store_true",
                        help="three minutes at most: shorter and fewer samples")
    parser.add_argument("--json", metavar="FILE", help="write the result there")
    parser.add_argument("--check", action="store_true", help="exit 1 when a goal is missed")
    parser.add_argument("--rounds", type=int, help="samples of each row (9; quick: as time allows)")
    parser.add_argument("--slow-rounds", type=int,
                        help="of rows that take seconds to start (5; quick: 1)")
    parser.add_argument("--good", type=int, help="undisturbed samples wanted (3; quick: 2)")
    parser.add_argument("--seconds", type=float, help="length of a sample (0.5; quick: 0.3)")
    parser.add_argument("--cpus", type=cpu_list, default=cores[:4], metavar="A,B[,C,D]",
                        help="the server's and the client's; two workers need four")
    parser.add_argument("--near-ns", type=float, default=250,
                        help="cores are near when a round trip takes no longer (250)")
    parser.add_argument("--patience", type=float, metavar="S",
                        help="seconds to wait for near cores and a quiet machine before a sample "
                        "(3; quick: 0.5)")
    parser.add_argument("--nice", type=int, default=-10, metavar="N",
                        help="priority of all that is measured, where root runs it (-10)")
    parser.add_argument("--build-dir", help=argparse.SUPPRESS)
    parser.add_argument("--started", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--inject-miscount", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    defaults = {"rounds": (9, 20), "slow_rounds": (5, 1), "good": (3, 2), "seconds": (0.5, 0.3),
                "patience": (3, 0.5)}
    for name, (thorough, quick) in defaults.items():
        if getattr(args, name) is None:
            setattr(args, name, quick if args.quick else thorough)
    return args


def main():
    args = parse_args()
    if len(args.cpus) < 2:
        sys.exit("bench.py: two CPUs are needed: on one, server and client take turns, and no figure "
                 "means anything")
    try:
        cases = bench_cases.by_name(args.cases)
    except KeyError as error:
        sys.exit(f"bench.py: {error.args[0]}")
    left_out = [(case, row) for case in cases for row in case.rows if args.quick and row.full]
    for case, row in left_out:
        case.rows.remove(row)
    if os.geteuid() == 0:
        prefer(args.nice)
    bench = Bench(args)
    settings = {"quick": args.quick, "rounds": args.rounds, "slow_rounds": args.slow_rounds,
                "seconds": args.seconds, "cpus": args.cpus, "near_ns": args.near_ns,
                "nice": os.getpriority(os.PRIO_PROCESS, 0), "patience_s": args.patience}
    result = {"machine": machine(os.path.dirname(os.path.abspath(__file__))),
              "settings": settings}
    samples = Samples(bench, cases)
    begin = time.time()
    try:
        samples.take_all()
    except Failure as failure:
        sys.exit(f"bench.py: {failure}")

    result["seconds"] = time.time() - begin
    result["samples"] = [sample for row in samples.samples.values() for sample in row]
    result["rows"] = samples.summary()
    result["comparisons"] = samples.comparisons(cases)
    result["not_shown"] = [{"case": samples.rows[key][0].name, "row": samples.rows[key][1].name,
                            "reason": reason} for key, reason in samples.not_shown.items()]
    result["not_shown"] += [{"case": case.name, "row": row.name,
                             "reason": "takes seconds: not with --quick"} for case, row in left_out]
    result["errors"] = samples.errors
    bench_report.print_report(result, {case.name: case.text for case in cases})
    if args.json:
        bench_report.write_json(result, args.json)
    never = [key for key in samples.not_shown
             if any(error.startswith(key + ": ") for error in samples.errors)]
    if never:
        sys.exit(f"bench.py: could not be measured: {', '.join(never)}")
    if args.check and any(line["met"] is False for line in result["comparisons"]):
        sys.exit("bench.py: a goal was missed")


if __name__ == "__main__":
    main()
