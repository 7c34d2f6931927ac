#!/usr/bin/env python3
"""plot.py - the JSON of a run -> plots as SVG, which README.md shows

    tests/bench/plot.py RESULT.json [DIRECTORY]     default: plots/ beside this script

Needs matplotlib (Debian: python3-matplotlib). Bars are medians, whiskers quartiles. A row that was not
measured is missing.
"""
import json
import os
import sys

try:
    import matplotlib
except ImportError:
    sys.exit("plot.py: needs matplotlib; on Debian: apt-get install python3-matplotlib, and call "
             "/usr/bin/python3")
matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402 pylint: disable=wrong-import-position

# Colours that the colour-blind can tell apart (Okabe and Ito), one for each contestant in all plots
COLOURS = {"busy": "#0072B2", "adaptive": "#56B4E9", "dpdk": "#D55E00", "memif": "#E69F00",
           "memif-copy": "#F0E442", "ring": "#999999"}
NAMES = {"busy": "ours, busy", "adaptive": "ours, adaptive", "dpdk": "DPDK primary, secondary",
         "memif": "memif, zero-copy", "memif-copy": "memif, copying", "ring": "bare ring"}
STYLE = {"svg.fonttype": "none", "svg.hashsalt": "ixy", "font.size": 9, "axes.spines.top": False,
         "axes.spines.right": False, "axes.axisbelow": True}


class Result:
    def __init__(self, document):
        self.document = document
        self.rows = {(row["case"], row["row"]): row for row in document["rows"]}

    def get(self, case, row):
        return self.rows.get((case, row))

    def note(self):
        m, s = self.document["machine"], self.document["settings"]
        return (f"{m['cpu']}, {m['cores']} cores{', virtual' if m['virtual'] else ''}, Linux "
                f"{m['kernel'].split('-')[0]}; commit {m['commit'][:10]}; samples of "
                f"{s['seconds']:g} s")


def grouped(result, axes, groups, rows, colours=COLOURS, names=None):
    """Bars in groups: @groups is a list of (case, label), @rows the names of the rows in each."""
    shown = [row for row in rows if any(result.get(case, row) for case, _ in groups)]
    width = 0.8 / max(1, len(shown))
    for i, row in enumerate(shown):
        for at, (case, _) in enumerate(groups):
            line = result.get(case, row)
            if not line:
                continue
            x = at + (i - (len(shown) - 1) / 2) * width
            low, high = line["quartiles"]
            axes.bar(x, line["median"], width * 0.92, color=colours[row],
                     yerr=[[max(0, line["median"] - low)], [max(0, high - line["median"])]],
                     error_kw={"elinewidth": 0.8, "capsize": 1.5})
            axes.text(x, high, f" {line['median']:.3g}", rotation=90, ha="center", va="bottom",
                      fontsize=7)
    axes.set_xticks(range(len(groups)), [label for _, label in groups])
    axes.grid(axis="y", linewidth=0.3)
    handles = [pyplot.Rectangle((0, 0), 1, 1, color=colours[row]) for row in shown]
    axes.legend(handles, [(names or NAMES)[row] for row in shown], frameon=False, fontsize=8,
                ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return bool(shown)


def throughput(result, figure):
    axes = figure.subplots()
    groups = [(f"burst-{n}", f"burst {n}") for n in (1, 8, 32, 64, 256)] + [("touch", "touched")]
    axes.set_yscale("log")
    axes.set_ylabel("Mpps through a client and back")
    axes.margins(y=0.15)
    return grouped(result, axes, [g for g in groups if result.get(g[0], "busy")], list(NAMES))


def latency(result, figure):
    """Percentiles of one packet at a time: left both sides poll, right both slept."""
    panels = [("both sides poll", [("round-trip", "busy", "ours, busy", "#0072B2"),
                                   ("round-trip", "adaptive", "ours, adaptive", "#56B4E9"),
                                   ("round-trip", "dpdk", "DPDK", "#D55E00"),
                                   ("round-trip", "ring", "bare ring", "#999999")]),
              ("both slept", [("wake-up", "arrival", "ours, one way", "#0072B2"),
                              ("wake-up", "pipe", "pipe, one way", "#999999"),
                              ("wake-up", "trip", "ours, there and back", "#56B4E9"),
                              ("wake-up", "pipe-trip", "pipes, there and back", "#CCCCCC")])]
    marks = ("p50_us", "p99_us", "p999_us", "max_us")
    any_shown = False
    for axes, (title, lines) in zip(figure.subplots(1, 2), panels):
        for case, row, text, colour in lines:
            found = result.get(case, row)
            if found:
                any_shown = True
                axes.plot(range(4), [found[mark] for mark in marks], "o-", color=colour,
                          label=text, markersize=4, linewidth=1)
        axes.set_xticks(range(4), ["median", "99 %", "99.9 %", "maximum"])
        axes.set_yscale("log")
        axes.set_ylabel("us")
        axes.set_title(title, fontsize=9)
        axes.grid(axis="y", linewidth=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize=8)
    return any_shown


def many(result, figure):
    """What more clients cost: members of one port, and idle ones."""
    any_shown = False
    panels = [("members of one port", "members", (1, 2, 4, 8)),
              ("idle clients beside a busy one", "idle", (1, 10, 100, 1000))]
    for axes, (title, case, numbers) in zip(figure.subplots(1, 2), panels):
        groups = [(f"{case}-{n}", str(n)) for n in numbers if result.get(f"{case}-{n}", "busy")]
        any_shown |= grouped(result, axes, groups, ["busy"])
        axes.get_legend().remove()
        axes.set_xlabel(title)
        axes.set_ylabel("Mpps")
    return any_shown


def goals(result, figure):
    """Each ratio that has a goal: 1 is the goal, to the right of it is better; grey: not judged."""
    axes = figure.subplots()
    lines = []
    for c in result.document["comparisons"]:
        if not c["goal"] or c["ratio"] is None:
            continue
        sign, limit = c["goal"].split()
        share = c["ratio"] / float(limit) if sign == ">=" else float(limit) / c["ratio"]
        lines.append((f"{c['case']}/{c['row']} : {c['peer_name'][:28]}", share, c))
    for at, (_, share, c) in enumerate(reversed(lines)):
        axes.barh(at, share, color={True: "#009E73", False: "#CC79A7", None: "#CCCCCC"}[c["met"]])
        axes.text(share, at, f" {c['ratio']:.2f} ({c['goal']})", va="center", fontsize=7)
    axes.set_yticks(range(len(lines)), [text for text, _, _ in reversed(lines)], fontsize=7)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlabel("how far beyond its goal (1) each ratio is; in brackets the goal")
    axes.margins(x=0.25)
    return bool(lines)


PLOTS = {"throughput": throughput, "latency": latency, "many": many, "goals": goals}


def main():
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        result = Result(json.load(file))
    here = os.path.dirname(os.path.abspath(__file__))
    directory = sys.argv[2] if len(sys.argv) == 3 else os.path.join(here, "plots")
    os.makedirs(directory, exist_ok=True)
    for name, draw in PLOTS.items():
        with pyplot.rc_context(STYLE):
            figure = pyplot.figure(figsize=(7.5, 3.4), layout="constrained")
            if draw(result, figure):
                figure.supxlabel(result.note(), fontsize=6.5, color="#555555")
                path = os.path.join(directory, f"{name}.svg")
                figure.savefig(path, metadata={"Date": None, "Creator": None})
                print(path)
            else:
                print(f"plot.py: nothing in {sys.argv[1]} for {name}", file=sys.stderr)
            pyplot.close(figure)


if __name__ == "__main__":
    main()
