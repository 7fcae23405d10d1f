"""Compare aioproducer with other clients: python -m benchmarks [--case NAME …] [--against CLIENT …]

Examples:
    python -m benchmarks --case pipelined --against confluent-kafka
    python -m benchmarks --case 'tasks-*' one-linger-0 --broker sink --rounds 5
    python -m benchmarks --case pipelined --only aioproducer --broker sink
    python -m benchmarks --checks --docs                # all of it, half an hour: make bench
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.brokers import started
from benchmarks.cases import CASES, Case, brokers_of, chosen
from benchmarks.clients import CLIENTS
from benchmarks.machine import describe
from benchmarks.page import update
from benchmarks.report import special_table, table
from benchmarks.runner import Result, RunError, compare
from benchmarks.saved import Measurement, load
from benchmarks.special import Special, measure_flat, measure_idle, measure_memory
from benchmarks.startup import first_acks, import_times
from benchmarks.targets import checks

if TYPE_CHECKING:
    from benchmarks.brokers import Broker, BrokerKind

FIRST_TOPIC = "first-p6"
QUICK_SECONDS = 0.6


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", nargs="+", default=["*"], help=f"of {', '.join(case.name for case in CASES)}")
    parser.add_argument("--quick", action="store_true", help="a few cases, one round")
    parser.add_argument("--against", nargs="+", choices=list(CLIENTS), help="the clients to compare with; else all")
    parser.add_argument("--only", nargs="+", choices=list(CLIENTS), help="these clients and no other")
    parser.add_argument("--broker", nargs="+", choices=["kafka", "sink"], help="else what the case is for")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="that the timed part of a run takes, about")
    parser.add_argument("--checks", action="store_true", help="memory, an idle producer, large clusters, imports too")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/DATE.json")
    parser.add_argument("--docs", action="store_true", help="the same, then its figures and plots into docs/")
    given = parser.parse_args()
    if given.quick:
        given.rounds, given.seconds = 1, min(given.seconds, QUICK_SECONDS)
    return given


def run_cases(cases: list[Case], kind: BrokerKind, broker: Broker, given: argparse.Namespace) -> list[Result]:
    """Run what is for this broker, printing as it goes."""
    results: list[Result] = []
    for case in cases:
        clients = given.only or (("aioproducer", *given.against) if given.against else case.clients())
        try:
            result = compare(case, kind, broker, clients, given.rounds, given.seconds)
        except Exception as error:  # the broker's admin client has failed; the other cases shall not be lost
            print(f"\n{case.name}, {kind}: {error!r}")
            continue
        results.append(result)
        print("\n".join(table(result)), flush=True)
    return results


def first_acks_of(broker: Broker, rounds: int) -> dict[str, list[float]]:
    """Return ms to the first acknowledgement."""
    broker.make_topic(FIRST_TOPIC, 6)
    try:
        return first_acks(broker.bootstrap, FIRST_TOPIC, rounds)
    finally:
        broker.drop_topic(FIRST_TOPIC)


def measure_special(rounds: int, first_ack_ms: dict[str, list[float]]) -> Special | None:
    """Measure what is no case, and print it; None if one of its processes failed."""
    try:
        special = Special(
            memory_mb=measure_memory(rounds),
            idle_percent=measure_idle(rounds),
            flat=measure_flat(rounds),
            import_ms=import_times(2 * rounds + 1),
            first_ack_ms=first_ack_ms,
        )
    except (subprocess.SubprocessError, RunError) as error:  # what the cases told shall not be lost
        print(f"\nmemory, idle, flat, imports: {error!r}")
        return None
    print("\n".join(special_table(special)), flush=True)
    return special


def measure(given: argparse.Namespace) -> Measurement:
    """Do all that was asked for."""
    machine = describe()
    print(json.dumps(machine), flush=True)
    cases = [case for case in chosen(given.case) if case.is_quick or not given.quick]
    results: list[Result] = []
    first_ack_ms: dict[str, list[float]] = {}
    kinds: list[BrokerKind] = ["kafka", "sink"]
    for kind in kinds:
        mine = [case for case in cases if kind in brokers_of(case, given.broker)]
        if not mine:
            continue
        with started(kind) as broker:
            results += run_cases(mine, kind, broker, given)
            if given.checks and not first_ack_ms:
                first_ack_ms = first_acks_of(broker, given.rounds)
    special = measure_special(given.rounds, first_ack_ms) if given.checks else None
    return Measurement(machine, sys.argv[1:], results, special)


def main() -> None:
    """Measure, print, and keep what is to be kept."""
    given = options()
    begin = time.monotonic()
    measured = measure(given)
    print("\nTargets")
    for check in checks(measured):
        print(check.line())
    print(f"\n{(time.monotonic() - begin) / 60:.1f} minutes")
    if given.save or given.docs:
        path = measured.save()
        print(path)
        if given.docs:
            print(*update(load(path), path.name), sep="\n")


if __name__ == "__main__":
    main()
