"""Compare aioproducer with other clients: python -m benchmarks [--case NAME …] [--against CLIENT …]

Examples:
    python -m benchmarks --case pipelined --against confluent-kafka
    python -m benchmarks --case 'tasks-*' one-linger-0 --broker sink --rounds 5
    python -m benchmarks --case pipelined --only aioproducer --broker sink
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from benchmarks.brokers import started
from benchmarks.cases import CASES, brokers_of, chosen
from benchmarks.clients import CLIENTS
from benchmarks.machine import ROOT, describe
from benchmarks.report import table
from benchmarks.runner import Result, compare

if TYPE_CHECKING:
    from benchmarks.brokers import BrokerKind


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", nargs="+", default=["*"], help=f"of {', '.join(case.name for case in CASES)}")
    parser.add_argument("--against", nargs="+", choices=list(CLIENTS), help="the clients to compare with; else all")
    parser.add_argument("--only", nargs="+", choices=list(CLIENTS), help="these clients and no other")
    parser.add_argument("--broker", nargs="+", choices=["kafka", "sink"], help="else what the case is for")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="that the timed part of a run takes, about")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/DATE.json")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    given = options()
    begin = time.monotonic()
    machine = describe()
    print(json.dumps(machine))
    cases = chosen(given.case)
    results: list[Result] = []
    kinds: list[BrokerKind] = ["kafka", "sink"]
    for kind in kinds:
        mine = [case for case in cases if kind in brokers_of(case, given.broker)]
        if not mine:
            continue
        with started(kind) as broker:
            for case in mine:
                clients = given.only or (("aioproducer", *given.against) if given.against else case.clients())
                result = compare(case, kind, broker, clients, given.rounds, given.seconds)
                results.append(result)
                print("\n".join(table(result)), flush=True)
    print(f"\n{(time.monotonic() - begin) / 60:.1f} minutes")
    if given.save:
        path = ROOT / "benchmarks" / "results" / f"{str(machine['date'])[:16].replace(':', '')}.json"
        saved = {**machine, "command": sys.argv[1:], "results": [asdict(result) for result in results]}
        path.write_text(json.dumps(saved, indent=1) + "\n")
        print(path)


if __name__ == "__main__":
    main()
