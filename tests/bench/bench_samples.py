"""bench_samples.py - takes samples in turns, says which are alike, and compares like with like

A sample stands between two ping-pongs. Its class is near or far, as both of them say, or mixed; it is
quiet when nobody else took more than MAX_WAITED of the time. Two rows are compared by the medians of
their samples of one class, of the best kind that both have: first how little they were disturbed, then
how near the cores were.
"""
import statistics
import time

from bench_system import Disagreement, Failure, Skip, busy_share

MAX_WAITED = 0.02  # of the time without the CPU: more, and the sample was disturbed
DISTURBED = ((MAX_WAITED, "quiet"), (0.1, "a little disturbed"), (float("inf"), "disturbed"))
NOT_JUDGED = ("unlike", ", disturbed", "none")
MAX_BUSY = 0.05  # of the machine, before a sample
LATENCIES = ("p50", "p99", "p999", "max")


class Samples:
    """All samples of a run, by row; and why there is none of a row."""

    def __init__(self, bench, cases):
        self.bench = bench
        self.args = bench.args
        self.rows = {}  # "case/row" -> (case, row)
        for case in cases:
            for row in case.rows:
                self.rows[f"{case.name}/{row.name}"] = case, row
        self.samples = {key: [] for key in self.rows}
        self.not_shown = {}
        self.errors = []

    # -- taking ----------------------------------------------------------------------------------------
    def wait_for_quiet(self, row):
        """Waits, within the patience that is left, for a quiet machine and near cores."""
        end = time.monotonic() + min(self.args.patience, self.bench.time_left() / 4)
        while time.monotonic() < end and busy_share(0.1) > MAX_BUSY:
            pass
        before = self.bench.pingpong() if row.cores else None
        while before and before > self.args.near_ns and time.monotonic() < end:
            time.sleep(0.2)
            before = self.bench.pingpong()
        return before

    def take(self, key):
        """One sample of a row."""
        case, row = self.rows[key]
        if key in self.not_shown:
            return
        try:
            before = self.wait_for_quiet(row)
            detail = row.take(self.bench, **row.options)
            after = self.bench.pingpong() if row.cores else None
        except Skip as skip:
            self.not_shown[key] = str(skip)
            self.bench.say(f"  {key:<28} not shown: {skip}")
            return
        except Disagreement:
            raise
        except Failure as failure:
            self.errors.append(f"{key}: {failure}")
            self.bench.say(f"  {key:<28} FAILED: {failure}")
            return
        for name in LATENCIES:
            if f"{name}_ns" in detail:
                detail[f"{name}_us"] = detail.pop(f"{name}_ns") / 1e3
        sample = {"case": case.name, "row": row.name, "value": detail[row.figure],
                  "unit": row.unit, "class": self.kind(before, after),
                  "quiet": detail["waited"] <= MAX_WAITED,
                  "pingpong_ns": [before, after] if row.cores else None,
                  "detail": {name: round(value, 6) if isinstance(value, float) else value
                             for name, value in detail.items()}}
        self.samples[key].append(sample)
        pings = f"ping-pong {before:.0f}, {after:.0f} ns" if row.cores else ""
        self.bench.say(f"  {key:<28} {detail[row.figure]:12.3f} {row.unit:<22} {pings}"
                       f"  waited {detail['waited']:.1%}")

    def kind(self, before, after):
        if before is None:
            return "any"
        if max(before, after) <= self.args.near_ns:
            return "near"
        return "far" if min(before, after) > self.args.near_ns else "mixed"

    def take_all(self):
        """Rounds; then once more what has too few good samples. Stops when the time is up."""
        keys = list(self.rows)
        for number in range(self.args.rounds):
            left = self.bench.time_left()
            if number and left <= 0:
                break
            self.bench.say(f"round {number + 1} of at most {self.args.rounds}")
            # contestants of one case stay neighbours; each round begins elsewhere and turns round
            turn = number * len(keys) // max(1, self.args.rounds)
            order = keys[turn:] + keys[:turn]
            for key in reversed(order) if number % 2 else order:
                slow = self.rows[key][1].slow and number >= self.args.slow_rounds
                # the first round shows everything, unless this machine is too slow for that
                if not slow and self.bench.time_left() > (0 if number else -8):
                    self.take(key)
        for _ in range(self.args.rounds):
            short = [key for key in keys if key not in self.not_shown and
                     sum(map(is_good, self.samples[key])) < self.args.good]
            for key in short:
                if self.bench.time_left() > 0:
                    self.take(key)
        for key in keys:
            if not self.samples[key] and key not in self.not_shown:
                why = [error for error in self.errors if error.startswith(key + ": ")]
                self.not_shown[key] = why[-1] if why else "there was no time for it"

    # -- comparing -------------------------------------------------------------------------------------
    def values(self, key, figure, kind):
        waited, cores = kind
        return [sample["detail"][figure] for sample in self.samples[key]
                if figure in sample["detail"] and sample["detail"]["waited"] <= waited and
                (cores is None or sample["class"] in (cores, "any"))]

    def alike(self, keys, figure):
        """Values of these rows that can be compared, and what they have in common."""
        kinds = [((waited, cores), f"{cores}, {text}") for waited, text in DISTURBED
                 for cores in ("near", "far")] + [((float("inf"), None), "unlike")]
        best = None
        for kind, text in kinds:
            values = [self.values(key, figure, kind) for key in keys]
            least = min(map(len, values))
            if least >= self.args.good:
                return values, self.nearness(keys, text)
            if least and (best is None or least > best[0]):
                best = least, values, text
        return (best[1], self.nearness(keys, best[2])) if best else ([[] for _ in keys], "none")

    def other(self, keys, figure, basis):
        """The ratio where the cores were the other way, far for near, if there are samples; or None."""
        cores = {"near": "far", "far": "near"}.get(basis.split(",")[0])
        values = [self.values(key, figure, (DISTURBED[1][0], cores)) for key in keys]
        if cores is None or not all(self.rows[key][1].cores for key in keys) or not all(values):
            return None
        ours, peer = map(statistics.median, values)
        return {"class": cores, "ours": ours, "peer": peer, "ratio": ours / peer,
                "used": [len(v) for v in values]} if peer else None

    def nearness(self, keys, text):
        """Rows for which it does not matter how near the cores are have samples of no class."""
        return text if any(self.rows[key][1].cores for key in keys) else "any, " + text.split(
            ", ")[-1]

    def summary(self):
        rows = []
        for key, (case, row) in self.rows.items():
            (values,), basis = self.alike([key], row.figure)
            if not values:
                continue
            quarters = (statistics.quantiles(values, n=4, method="inclusive")
                        if len(values) > 1 else [values[0]] * 3)
            line = {"case": case.name, "row": row.name, "text": row.text, "unit": row.unit,
                    "median": statistics.median(values), "quartiles": [quarters[0], quarters[2]],
                    "min": min(values), "max": max(values), "used": len(values),
                    "taken": len(self.samples[key]), "basis": basis}
            for name in LATENCIES:
                if f"{name}_us" in self.samples[key][0]["detail"]:
                    (figures,), _ = self.alike([key], f"{name}_us")
                    line[f"{name}_us"] = statistics.median(figures)
            rows.append(line)
        return rows

    def comparisons(self, cases):
        return [self.compare(case, compare) for case in cases for compare in case.compares
                if not self.left_out(case, compare)]

    def left_out(self, case, compare):
        """Of rows that a quick run does not take."""
        return any(self.full_key(case, name) not in self.rows
                   for name in (compare.ours, compare.peer) if name)

    def full_key(self, case, name):
        return name if "/" in name else f"{case.name}/{name}"

    def compare(self, case, compare):
        keys = [self.full_key(case, name) for name in (compare.ours, compare.peer) if name]
        line = {"case": case.name, "row": compare.ours, "ours": None, "peer": None,
                "peer_name": None, "ratio": None, "other": None, "goal": compare.goal or None,
                "met": None}
        if compare.peer:
            line["peer_name"] = self.rows[keys[1]][1].text
        row = self.rows[keys[0]][1]
        figure = compare.figure or row.figure
        if compare.peer and not self.samples[keys[1]]:
            (values,), basis = self.alike(keys[:1], figure)
            values = [values, []]
        else:
            values, basis = self.alike(keys, figure)
        line.update({"unit": compare.unit or row.unit, "figure": figure, "basis": basis,
                     "used": [len(v) for v in values]})
        medians = [statistics.median(v) if v else None for v in values]
        line["ours"] = medians[0]
        if compare.peer and medians[1]:
            line["peer"] = medians[1]
            line["ratio"] = medians[0] / medians[1]
            line["other"] = self.other(keys, figure, basis)
        judged = line["ratio"] if compare.peer else line["ours"]
        # what was disturbed much, or is not alike, is shown and not judged
        if compare.goal and judged is not None and not basis.endswith(NOT_JUDGED):
            sign, limit = compare.goal.split()
            line["met"] = judged >= float(limit) if sign == ">=" else judged <= float(limit)
        return line


def is_good(sample):
    return sample["quiet"] and sample["class"] in ("near", "any")
