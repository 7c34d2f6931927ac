#!/usr/bin/env python3
"""test_bench.py - the script end to end, in seconds: it measures, compares like with like, and notices

    test_bench.py BUILD_DIR

Nothing here judges a figure. Started by ctest (label bench).
"""
import json
import os
import subprocess
import sys
import tempfile
import types
import unittest
import xml.etree.ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import bench_cases  # noqa: E402 pylint: disable=wrong-import-position
import bench_samples  # noqa: E402 pylint: disable=wrong-import-position

BUILD_DIR = None
SHORT = ["--quick", "--rounds", "1", "--seconds", "0.1", "--patience", "0", "--good", "1"]


def run(*arguments):
    return subprocess.run([os.path.join(HERE, "run.sh"), *SHORT, *arguments], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=150,
                          env={**os.environ, "IXY_BENCH_BUILD_DIR": BUILD_DIR})


class Script(unittest.TestCase):
    def measure(self, *cases):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "result.json")
            done = run("--json", path, *cases)
            self.assertEqual(done.returncode, 0, done.stderr)
            with open(path, encoding="utf-8") as file:
                result = json.load(file)
            plots = self.plots(path, os.path.join(directory, "plots"))
        return result, done.stdout, plots

    def plots(self, path, directory):
        """What plot.py makes of it, with Debian's interpreter; None where there is no matplotlib."""
        probe = subprocess.run(["/usr/bin/python3", "-c", "import matplotlib"], check=False,
                               stderr=subprocess.DEVNULL)
        if probe.returncode != 0:
            print("no matplotlib: the plots were not tried")
            return None
        subprocess.run(["/usr/bin/python3", os.path.join(HERE, "plot.py"), path, directory],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return [xml.etree.ElementTree.parse(os.path.join(directory, name)).getroot().tag
                for name in os.listdir(directory)]

    def test_result_has_samples_and_comparisons(self):
        result, text, plots = self.measure("round-trip", "members-2")
        for key in ("cpu", "cores", "kernel", "commit"):
            self.assertIn(key, result["machine"])
        self.assertEqual(result["settings"]["seconds"], 0.1)
        # members-2 is compared with members-1, which is therefore measured as well
        self.assertEqual({s["case"] for s in result["samples"]},
                         {"round-trip", "members-1", "members-2"})
        for sample in result["samples"]:
            self.assertGreater(sample["value"], 0)
            self.assertIn(sample["class"], ("near", "far", "mixed"))
            self.assertEqual(len(sample["pingpong_ns"]), 2)
        for line in result["comparisons"]:
            self.assertLessEqual({"case", "ours", "peer", "peer_name", "ratio", "goal", "met"},
                                 set(line))
        # as long as the contestants were alike the ratio is of what stands beside it
        line = next(c for c in result["comparisons"] if c["goal"])
        if line["ratio"] is not None:
            self.assertAlmostEqual(line["ratio"], line["ours"] / line["peer"])
        if not line["basis"].endswith(bench_samples.NOT_JUDGED):
            self.assertEqual(line["met"], line["ratio"] <= float(line["goal"].split()[1]))
        for row in result["rows"]:
            self.assertLessEqual(row["min"], row["median"])
            self.assertLessEqual(row["median"], row["max"])
            if row["case"] == "round-trip":
                self.assertLessEqual(row["p50_us"], row["p999_us"])
        for line in result["not_shown"]:
            self.assertTrue(line["reason"])
            self.assertIn(line["reason"], text)
        if plots is not None:
            self.assertTrue(plots)
            self.assertEqual(set(plots), {"{http://www.w3.org/2000/svg}svg"})

    def test_disagreement_of_counts_fails(self):
        done = run("--inject-miscount", "members-1")
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stderr, r"the client sent \d+ frames, the ports were given \d+")

    def test_unknown_case_is_refused(self):
        done = run("burst-33")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("there is no case burst-33; there are: burst-1", done.stderr)


def made_up(**rows):
    """Samples that nobody took: each a value, a class and whether it was quiet."""
    cases = [bench_cases.Case("c", "", [bench_cases.Row(name, name, None) for name in rows])]
    samples = bench_samples.Samples(types.SimpleNamespace(args=types.SimpleNamespace(good=2)), cases)
    for name, taken in rows.items():
        samples.samples[f"c/{name}"] = [
            {"detail": {"mpps": value, "waited": 0 if quiet else 0.5}, "class": kind}
            for value, kind, quiet in taken]
    return samples, cases[0]


class Comparison(unittest.TestCase):
    def compare(self, goal=">= 2.0", **rows):
        samples, case = made_up(**rows)
        return samples.compare(case, bench_cases.Compare("ours", "peer", goal))

    def test_near_is_compared_with_near(self):
        line = self.compare(
            ours=[(90, "near", True), (91, "near", True), (20, "far", True), (21, "far", True)],
            peer=[(9, "far", True), (40, "near", True), (41, "near", True), (8, "far", True)])
        self.assertEqual((line["ours"], line["peer"], line["basis"]), (90.5, 40.5, "near, quiet"))
        self.assertTrue(line["met"])
        self.assertEqual(line["other"], {"class": "far", "ours": 20.5, "peer": 8.5,
                                         "ratio": 20.5 / 8.5, "used": [2, 2]})

    def test_far_is_compared_with_far_where_one_side_was_never_near(self):
        line = self.compare(ours=[(90, "near", True), (91, "near", True), (20, "far", True),
                                  (22, "far", True)],
                            peer=[(15, "far", True), (17, "far", True)])
        self.assertEqual((line["ours"], line["peer"], line["basis"]), (21, 16, "far, quiet"))
        self.assertFalse(line["met"])

    def test_unlike_is_shown_but_not_judged(self):
        line = self.compare(ours=[(90, "near", True)] * 2, peer=[(15, "far", True)] * 2)
        self.assertEqual((line["basis"], line["met"]), ("unlike", None))
        self.assertIsNone(line["other"])

    def test_disturbed_samples_count_only_where_there_are_no_others(self):
        line = self.compare(ours=[(90, "near", True)] * 2 + [(10, "near", False)],
                            peer=[(40, "near", True)] * 2 + [(4, "near", False)])
        self.assertEqual((line["ours"], line["basis"]), (90, "near, quiet"))
        line = self.compare(ours=[(90, "near", False)] * 2, peer=[(40, "near", True)] * 2)
        self.assertEqual((line["basis"], line["ratio"], line["met"]), ("near, disturbed", 2.25, None))

    def test_missing_peer_is_no_ratio(self):
        line = self.compare(ours=[(90, "near", True)] * 2, peer=[])
        self.assertEqual((line["ratio"], line["met"]), (None, None))


class Table(unittest.TestCase):
    def test_comparisons_name_rows_that_exist(self):
        rows = {f"{case.name}/{row.name}" for case in bench_cases.CASES for row in case.rows}
        for case in bench_cases.CASES:
            for line in case.compares:
                for name in filter(None, (line.ours, line.peer)):
                    self.assertIn(name if "/" in name else f"{case.name}/{name}", rows)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    BUILD_DIR = sys.argv.pop(1)
    if len(os.sched_getaffinity(0)) < 2:
        print("skipped: needs two CPUs")
        sys.exit(77)
    unittest.main()
