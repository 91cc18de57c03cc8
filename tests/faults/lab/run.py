#!/usr/bin/env python3
"""The fault lab: real services on real stores, broken on purpose, and a judge outside of them.

run.py PROGRAM DISK [--minutes N] [--seed S] [--only NAME…] [--short] [--list]

PROGRAM is ha-signer, DISK the library disk_faults. Without --minutes every scenario runs once; with it they, and random
schedules, go on for that long. Each scenario has a seed of its own, which it prints: `--seed S --only NAME` repeats it
(the faults and their order, not the moments at which threads run).

Exit code: 0 if the rule held, 1 if not.
"""

import argparse
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "e2e"))

import e2e_support as e2e  # noqa: E402
from clients import KEYS  # noqa: E402
from cluster import Report  # noqa: E402
from ledger import Curve  # noqa: E402
from scenarios import SCENARIOS  # noqa: E402
import postgres_scenarios  # noqa: E402,F401
import schedules  # noqa: E402,F401
import sqlite_scenarios  # noqa: E402,F401

SHORT = ("judge-notices-two-stores", "judge-notices-synchronous-normal", "power-cut", "killed-at-every-write", "two-processes-on-one-file",
         "kill-nodes", "restart-postgres", "every-message-of-the-protocol")
RANDOM = "random-schedule"


class Lab:
    """What a scenario is given: its random numbers, and how long it may take."""

    def __init__(self, seed, disk, is_short):
        self.seed, self.disk, self.is_short = seed, disk, is_short
        self.random = random.Random(seed)
        self.began = time.monotonic()
        self.validators = [Curve().address_of(key) for key in KEYS]

    def times(self, count):
        """How often to repeat something."""
        return max(1, count // 3) if self.is_short else count

    def pause(self, longest_s):
        """So that a fault comes at any phase of what the nodes do."""
        time.sleep(self.random.uniform(0, longest_s))

    def is_enough(self, seconds):
        """Whether the scenario has run for so long."""
        return time.monotonic() - self.began > seconds

    def sample(self, choices, count):
        return self.random.sample(choices, min(count, len(choices)))


def run_one(name, seed, options):
    """The report, or None if the scenario cannot run here."""
    function = SCENARIOS[name]
    if function.needs_root and os.geteuid() != 0:
        print(f"{name}: skipped, since only root may mount its small file system", flush=True)
        return None
    began = time.monotonic()
    try:
        report = function(Lab(seed, options.disk, options.short))
    except Exception:
        report = Report(name, problems=[f"the scenario failed: {traceback.format_exc()}"])
    report.scenario = name
    print_report(report, seed, time.monotonic() - began)
    return report


COLUMNS = ("scenario", "attempts", "signatures", "refusals", "misses", "longest gap", "verdict")
LINE = "{:<42} {:>9} {:>10} {:>9} {:>7} {:>11}  {}"


def verdict_of(report):
    return "BROKEN" if report.problems else "known limit" if report.known_limits else "held"


def line_of(report, name=None):
    return LINE.format(name or report.scenario, report.attempts, report.signatures, report.refusals, report.misses,
                       f"{report.longest_gap_s:.1f} s", verdict_of(report))


def print_report(report, seed, seconds):
    print(line_of(report), f"(seed {seed}, {seconds:.0f} s)", flush=True)
    for note in report.notes + report.known_limits:
        print(f"    {note}", flush=True)
    for problem in report.problems:
        print(f"    PROBLEM: {problem}", flush=True)


def print_table(reports):
    """One line for each scenario, all its runs together."""
    print("\n" + LINE.format(*COLUMNS))
    names = sorted({report.scenario for report in reports}, key=[report.scenario for report in reports].index)
    for name in names:
        runs = [report for report in reports if report.scenario == name]
        total = Report(name, *(sum(getattr(run, field) for run in runs) for field in ("attempts", "signatures", "refusals", "misses")),
                       max(run.longest_gap_s for run in runs), *([entry for run in runs for entry in getattr(run, field)]
                                                             for field in ("problems", "known_limits")))
        print(line_of(total, f"{name} ({len(runs)})"))
    attempts, signatures = (sum(getattr(report, field) for report in reports) for field in ("attempts", "signatures"))
    broken = [report for report in reports if report.problems]
    print(f"{len(reports)} runs, {attempts} attempts, {signatures} signatures: " + (f"{len(broken)} runs BROKE the rule" if broken else "the rule held"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path)
    parser.add_argument("disk", type=Path)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--only", nargs="+", choices=sorted(SCENARIOS), metavar="NAME")
    parser.add_argument("--short", action="store_true", help="a few scenarios, in less than a minute")
    parser.add_argument("--list", action="store_true", help="show the scenarios")
    options = parser.parse_args()
    if options.list:
        for name, function in SCENARIOS.items():
            print(f"{name}: {function.__doc__.splitlines()[0]}")
        return 0
    # So that services and servers end with the lab.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    e2e.PROGRAM = str(options.program.resolve())
    options.disk = options.disk.resolve()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(2**32)
    names = options.only or (SHORT if options.short else tuple(SCENARIOS))
    if options.minutes and not options.only:
        # A random schedule after every other scenario.
        names = [name for number, each in enumerate(names) for name in ((each, RANDOM) if number % 2 else (each,))]
    until = time.monotonic() + 60 * (options.minutes or 0)
    reports = []
    while True:
        for name in names:
            if report := run_one(name, seed, options):
                reports.append(report)
            seed += 1
            if options.minutes and time.monotonic() > until:
                break
        if not options.minutes or time.monotonic() > until:
            break
    print_table(reports)
    return 1 if any(report.problems for report in reports) else 0


if __name__ == "__main__":
    sys.exit(main())
