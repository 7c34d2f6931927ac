#!/usr/bin/env python3
"""bench_ixgbe.py - ns and instructions for each packet in the 82599's driver, beside the null port

    tests/bench/bench_ixgbe.py [--burst N] [--json FILE]

bench_ixgbe drives the driver's bursts over descriptor rings in plain memory; callgrind counts the instructions
of what is received and sent (needs valgrind; without it only times are shown). Instructions do not move with
the machine, times do: compare those of one run. Needs tests/bench/run.sh to have built build-bench once.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROUNDS = 2000
GOAL = 60  # instructions for each packet, at a burst of 32
WAYS = (("null", ["--null"]), ("ixgbe", []), ("ixgbe, one at a time", ["--narrow"]))


def program():
    build = os.environ.get("IXY_BENCH_BUILD_DIR") or os.path.join(
        os.path.dirname(os.path.abspath(__file__)), "../../build-bench")
    path = os.path.join(build, "bench_ixgbe")
    if not os.path.exists(path):
        sys.exit(f"bench_ixgbe.py: {path} is not there; build it: tests/bench/run.sh --quick burst-32")
    return path


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"bench_ixgbe.py: {' '.join(command)}: {done.stderr.strip()[-300:]}")
    return done


def times(burst, options):
    return json.loads(run([program(), "--cpu", "1", "--burst", str(burst), *options]).stdout)


def instructions(burst, options):
    """Of a packet, in all and by function; None without valgrind."""
    if not shutil.which("valgrind"):
        return None
    with tempfile.TemporaryDirectory() as directory:
        out = os.path.join(directory, "out")
        said = run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}",
                    "--toggle-collect=counted_*", program(), "--burst", str(burst), "--rounds",
                    str(ROUNDS), *options]).stderr
        listing = run(["callgrind_annotate", "--threshold=100", out]).stdout
    packets = burst * ROUNDS
    functions = {}
    for count, name in re.findall(r"^ *([\d,]+) \([ \d.]+%\)\s+\S*?:(\S+)", listing, re.M):
        name = name.split(".")[0]
        functions[name] = functions.get(name, 0) + int(count.replace(",", "")) / packets
    total = int(re.search(r"Collected : (\d+)", said).group(1)) / packets
    if abs(sum(functions.values()) - total) > 1:
        sys.exit(f"bench_ixgbe.py: the functions add up to {sum(functions.values()):.1f}, not {total:.1f}")
    return {"total": total, "functions": functions}


def main():
    parser = argparse.ArgumentParser(description="What the 82599's driver costs for each packet.")
    parser.add_argument("--burst", type=int, default=32)
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    result = []
    for name, options in WAYS:
        result.append({**times(arguments.burst, options), "driver": name,
                       "instructions": instructions(arguments.burst, options)})
    print(f"received and sent again, bursts of {arguments.burst}, for each packet:")
    print(f"{'':<24}{'ns':>8}{'quartiles':>16}{'instructions':>14}")
    for line in result:
        count = f"{line['instructions']['total']:.1f}" if line["instructions"] else "no valgrind"
        low, high = line["quartiles"]
        print(f"{line['driver']:<24}{line['ns_per_packet']:>8.2f}{low:>8.2f}{high:>8.2f}{count:>14}")
    counted = result[1]["instructions"]
    if counted:
        print("\nwhere they go:")
        for name, count in sorted(counted["functions"].items(), key=lambda item: -item[1]):
            if count >= 0.05:
                print(f"{name:<24}{count:>8.1f}")
        if arguments.burst == 32:
            print(f"goal: at most {GOAL}: {'met' if counted['total'] <= GOAL else 'MISSED'}")
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as out:
            json.dump(result, out, indent=1)


if __name__ == "__main__":
    main()
