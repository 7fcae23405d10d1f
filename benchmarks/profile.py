"""Where does the CPU time of a case go? python -m benchmarks.profile CASE … [--client aioproducer-trio] [--calls]

Runs the client against the sink and prints the functions with most time of their own, without start and warm-up.
By samples; with --calls by cProfile, which counts calls, but makes small functions look dear.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import pstats
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.brokers import sink
from benchmarks.cases import chosen
from benchmarks.clients import CLIENTS
from benchmarks.runner import run

if TYPE_CHECKING:
    from benchmarks.order import Order

FIVE: Final = ["pipelined", "tasks-1000", "one-linger-0", "forget", "send-all"]
"""The five workloads."""


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.profile", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("case", nargs="*", default=FIVE)
    parser.add_argument("--client", choices=list(CLIENTS), default="aioproducer")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--top", type=int, default=25)
    parser.add_argument("--lines", action="store_true", help="lines in place of functions")
    parser.add_argument("--calls", action="store_true", help="cProfile in place of samples")
    return parser.parse_args()


def show_samples(path: Path, top: int, kind: str) -> None:
    """Print shares of the samples."""
    seen: dict[str, int] = json.loads(path.read_text())[kind]
    total = sum(seen.values())
    for place, count in sorted(seen.items(), key=lambda item: -item[1])[:top]:
        print(f"{count / total:7.1%}  {place}")


def show(order: Order, given: argparse.Namespace) -> None:
    """Run one case and print where its time went."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("calls" if given.calls else "samples")
        figures = run(dataclasses.replace(order, profile=str(path)))
        print(f"{figures['cpu_us']:.1f} µs of CPU a record while profiled, {figures['count']:,.0f} records")
        if given.calls:
            pstats.Stats(str(path)).sort_stats("tottime").print_stats(given.top)
        else:
            show_samples(path, given.top, "lines" if given.lines else "functions")


def main() -> None:
    """Profile each case."""
    given = options()
    with contextlib.ExitStack() as stack:
        bootstrap = stack.enter_context(sink())
        for case in chosen(given.case):
            print(f"\n{case.name}: {case.text} · {given.client}, the sink")
            show(case.order(given.client, bootstrap, given.seconds), given)


if __name__ == "__main__":
    main()
