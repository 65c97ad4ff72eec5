"""What every bench is around its measuring: its options, its errors, its output and its exit status.

Exit status 0: every goal met. 1: one missed. 2: it could not measure. 130: interrupted.
"""

import argparse
import json
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from goals import is_met, judge
from machine import describe
from receivers import ROOT, CannotMeasure
from rich.console import Console

WIDTH = 120
"""Columns of the tables where there is no terminal."""

errors = Console(stderr=True, highlight=False, soft_wrap=True, width=None if sys.stderr.isatty() else WIDTH)
"""For whoever waits: what is left out, what goes wrong, and the tables too when stdout is for a program."""


def make_parser(description, quick, rounds=0, folder=ROOT / ".cache/bench"):
    """With --json and --quick, with --rounds where `rounds` says how many, with --folder where one is measured."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout, the tables on stderr")
    parser.add_argument("--quick", action="store_true", help=quick)
    if rounds:
        parser.add_argument("--rounds", type=int, help=f"interleaved rounds ({rounds}; 1 when quick)")
    if folder:
        parser.add_argument("--folder", type=Path, default=folder, help="on the disk that is to be measured")
    return parser


def pick(given, options, whole, quick):
    """What was given; otherwise as much as a whole run, or a quick one, takes."""
    return given or (quick if options.quick else whole)


def run(options, measure, show, width=WIDTH):
    """Prints what `measure(options)` returns, by `show(done, console)`; returns the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        done = measure(options)
    except (CannotMeasure, AssertionError) as error:
        errors.print(str(error), style="red", markup=False)
        return 2
    except KeyboardInterrupt:
        errors.print("interrupted: nothing is left running, nothing is left on disk")
        return 130
    if options.json:
        print(json.dumps(done))
    show(done, errors if options.json else Console(width=None if sys.stdout.isatty() else width))
    return 0 if done["met"] else 1


def make_done(folder, figures, goals, /, **more):
    """The object that --json prints. folder: on the disk that was measured. figures: {name: value}, which the `goals`
    are read from. more: replaces or adds entries."""
    verdicts = judge(figures, goals)
    return {
        "machine": describe(folder),
        "date": datetime.now(UTC).date().isoformat(),
        "figures": [{"name": name, "value": value} for name, value in figures.items()],
        "goals": verdicts,
        "met": is_met(verdicts),
    } | more
