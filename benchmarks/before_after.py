"""Two forms of this client, one after the other in turn, against the same sink: what has a change made of the cost?

    git worktree add /tmp/before main~20
    python -m benchmarks.before_after --before /tmp/before --pairs 20
    python -m benchmarks.before_after --before OLD/tree:OLD/venv/bin/python --after NEW/tree:NEW/venv/bin/python

Each side is a folder with `benchmarks` in it and, after a colon, the Python to run there. The package is the one in
that folder or, where there is none, the one that this Python has installed: what `make test-compiled` leaves below
build/compiled is such a tree and venv. Told is the CPU time for each record, as the ratio within a pair: the median,
the interval that holds the median with 95 % (ranks of the sorted ratios), the extremes. Drift hits both of a pair.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from benchmarks.brokers import sink
from benchmarks.cases import CASES

ROOT: Final = Path(__file__).parents[1]
USUAL: Final = ("pipelined", "tasks-1000", "one-linger-0", "send-all", "headers")


@dataclass(frozen=True, slots=True)
class Side:
    """A form of the client: where, and run by what."""

    tree: Path
    python: Path

    @classmethod
    def parse(cls, text: str) -> Side:
        """Take TREE or TREE:PYTHON."""
        tree, _, python = text.partition(":")
        return cls(Path(tree).absolute(), Path(python).absolute() if python else Path(sys.executable))

    def cpu_us(self, case: str, bootstrap: str, seconds: float) -> float:
        """Run a case in a process of its own; return µs of CPU for each record."""
        order = next(each for each in CASES if each.name == case).order("aioproducer", bootstrap, seconds)
        command = [str(self.python), "-m", "benchmarks.worker", json.dumps(asdict(order))]
        env = {**os.environ, "PYTHONPATH": str(self.tree)}
        done = subprocess.run(command, cwd=self.tree, env=env, capture_output=True, text=True, timeout=60, check=True)
        figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return figures["cpu_us"]


def interval(ratios: list[float]) -> tuple[float, float]:
    """Return what holds the median with 95 %: ranks by the normal approximation of the binomial distribution."""
    ordered = sorted(ratios)
    count = len(ordered)
    reach = 0.98 * count**0.5
    low = max(0, int(count / 2 - reach))
    high = min(count - 1, int(count / 2 + reach))
    return ordered[low], ordered[high]


def compare(before: Side, after: Side, case: str, pairs: int, seconds: float) -> list[float]:
    """Return after / before of each pair; every other pair begins with the other side."""
    ratios: list[float] = []
    with sink() as bootstrap:
        for number in range(pairs + 1):
            sides = (before, after) if number % 2 else (after, before)
            cost = {side: side.cpu_us(case, bootstrap, seconds) for side in sides}
            if number:  # the first warms up
                ratios.append(cost[after] / cost[before])
    return ratios


def main() -> int:
    """Compare and print; 1 if an interval lies wholly above --limit."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.before_after")
    parser.add_argument("--before", type=Side.parse, required=True)
    parser.add_argument("--after", type=Side.parse, default=Side.parse(str(ROOT)))
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--limit", type=float, default=1.03)
    parser.add_argument("--case", nargs="*", default=USUAL)
    arguments = parser.parse_args()
    is_ok = True
    for case in arguments.case:
        ratios = compare(arguments.before, arguments.after, case, arguments.pairs, arguments.seconds)
        low, high = interval(ratios)
        is_ok = is_ok and low <= arguments.limit
        middle = sorted(ratios)[len(ratios) // 2]
        extremes = f"{min(ratios):.3f} to {max(ratios):.3f}"
        print(f"{case:16} {middle:.3f} [{low:.3f}, {high:.3f}] of {len(ratios)} pairs, {extremes}", flush=True)
    return 0 if is_ok else 1


if __name__ == "__main__":
    sys.exit(main())
