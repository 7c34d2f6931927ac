"""bench_report.py - the result as tables for a person, and as one JSON document

    python3 bench_report.py RESULT.json     prints the comparisons as a table for README.md
"""
import json
import sys


def number(value, width=10):
    if value is None:
        return f"{'-':>{width}}"
    if abs(value) >= 10000:
        return f"{value:{width}.0f}"
    return f"{value:{width}.{3 if abs(value) < 10 else 2 if abs(value) < 1000 else 1}f}"


def print_machine(result, out):
    m, s = result["machine"], result["settings"]
    changed = ", with uncommitted changes" if m["uncommitted_changes"] else ""
    out(f"machine: {m['cpu']}, {m['cores']} cores{', virtual' if m['virtual'] else ''}, "
        f"{m['memory_mib']} MiB; governor {m['governor']}; load before {m['load_before']:.2f}")
    out(f"kernel: {m['kernel']}; commit {m['commit'][:12]}{changed}")
    out("settings: " + ", ".join(f"{key} {value}" for key, value in s.items()))


def print_rows(result, texts, out):
    case = None
    for row in result["rows"]:
        if row["case"] != case:
            case = row["case"]
            out(f"\n{case}: {texts[case]}")
            out(f"  {'':<46}{'median':>10}{'quartiles':>21}{'min':>10}{'max':>10}  used")
        out(f"  {row['text'][:46]:<46}{number(row['median'])} {number(row['quartiles'][0])}"
            f"{number(row['quartiles'][1])}{number(row['min'])}{number(row['max'])}  "
            f"{row['used']}/{row['taken']} {row['basis']}  {row['unit']}")
        if "p999_us" in row:
            out(f"  {'':<20}p50 {row['p50_us']:.3f}  p99 {row['p99_us']:.3f}  p99.9 "
                f"{row['p999_us']:.3f}  maximum {row['max_us']:.1f} us (medians of the samples)")


def elsewhere(comparison):
    """The ratio where cores were far, if the one that is judged is of near ones; or the reverse."""
    other = comparison["other"]
    return f"{other['class']} {other['ratio']:.3g}" if other else ""


def print_comparisons(result, out):
    out(f"\n{'case/row':<26}{'figure':<24}{'ours':>10}{'peer':>10}{'ratio':>9}  {'goal':<8}"
        f"{'':<11}{'compared':<26}{'else':<12}peer")
    for c in result["comparisons"]:
        word = {True: "met", False: "MISSED", None: ""}[c["met"]]
        if c["ours"] is None or (c["peer_name"] and c["peer"] is None):
            word = "not shown"
        ratio = f"{c['ratio']:9.3g}" if c["ratio"] is not None else f"{'-':>9}"
        out(f"{c['case'] + '/' + c['row']:<26}{c['figure']:<24}{number(c['ours'])}"
            f"{number(c['peer'])}{ratio}  {c['goal'] or '':<8}{word:<11}{c['basis']:<26}"
            f"{elsewhere(c):<12}{c['peer_name'] or ''}")


def print_report(result, texts, out=print):
    print_machine(result, out)
    print_rows(result, texts, out)
    print_comparisons(result, out)
    if result["not_shown"]:
        out("\nnot shown:")
        for line in result["not_shown"]:
            out(f"  {line['case']}/{line['row']}: {line['reason']}")
    for error in result["errors"]:
        out(f"failed once: {error}")
    disturbed = sum(1 for s in result["samples"] if not s["quiet"] or s["class"] not in
                    ("near", "any"))
    out(f"\n{len(result['samples'])} samples, {disturbed} of them disturbed, far or mixed; "
        f"{result['seconds']:.0f} s")


def write_json(result, path):
    with open(path, "w", encoding="utf-8") as out:
        json.dump(result, out, indent=1)
        out.write("\n")


def print_markdown(result, out=print):
    """The comparisons, as they stand in README.md."""
    rows = {(row["case"], row["row"]): row for row in result["rows"]}
    out("| case | ours | | peer | ratio | goal | |")
    out("|---|--:|---|--:|--:|---|---|")
    for c in result["comparisons"]:
        word = {True: "met", False: "**missed**", None: ""}[c["met"]]
        if c["ours"] is None or (c["peer_name"] and c["peer"] is None):
            word = "not shown"
        peer = number(c["peer"], 1) if c["peer"] is not None else ""
        ratio = f"{c['ratio']:.3g}" if c["ratio"] is not None else ""
        text = rows[(c["case"], c["row"])]["text"] if (c["case"], c["row"]) in rows else c["row"]
        figure = {"mpps": "Mpps"}.get(c["figure"], c["figure"])
        out(f"| {c['case']}: {text}, {figure} | {number(c['ours'], 1)} | {c['peer_name'] or ''} | "
            f"{peer} | {ratio} | {c['goal'] or ''} | {word} {c['basis']}"
            f"{'; ' + elsewhere(c) if c['other'] else ''} |")


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        print_markdown(json.load(file))
