"""Runs the clients in turn, each in a process of its own, against the same broker.

The rounds alternate, every other one backwards, so that what else the machine does hits all clients alike. A run whose
records are not all in the topic afterwards is an error.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final

from benchmarks.clients import UNABLE
from benchmarks.machine import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.brokers import Broker, BrokerKind
    from benchmarks.cases import Case
    from benchmarks.order import Order

RUN_SECONDS: Final = 90.0

Figures = dict[str, float]


class RunError(Exception):
    """A client did not do what it was told; the text has its last words."""


@dataclass(slots=True)
class Result:
    """All runs of a case against one broker.

    Attributes:
        rounds: by client, the figures of each round.
        failures: by client, what it said; such a client has no rounds.
    """

    case: str
    broker: BrokerKind
    text: str
    rounds: dict[str, list[Figures]] = field(default_factory=dict[str, list[Figures]])
    failures: dict[str, str] = field(default_factory=dict[str, str])


def run(order: Order) -> Figures:
    """Run one client in a process of its own.

    Raises:
        RunError: it failed.
    """
    command = [sys.executable, "-m", "benchmarks.worker", json.dumps(asdict(order))]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=RUN_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise RunError(f"not done after {RUN_SECONDS:.0f} s") from error
    if done.returncode != 0:
        raise RunError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit {done.returncode}")
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def checked(order: Order, broker: Broker) -> Figures:
    """Run one client; then the topic has to have as many records more as were sent.

    Raises:
        RunError: it failed, or records are missing or there twice.
    """
    if order.client == "bare-tasks":
        return run(order)  # sends nothing
    before = broker.count(order.topic, order.partitions)
    figures = run(order)
    after = broker.count(order.topic, order.partitions)
    if before is not None and after is not None and after - before != figures["sent"]:
        raise RunError(f"sent {figures['sent']:,.0f} records, the broker has {after - before:,}")
    return figures


def compare(
    case: Case, kind: BrokerKind, broker: Broker, clients: Iterable[str], rounds: int, seconds: float
) -> Result:
    """Run all clients in turn, as often as there are rounds."""
    result = Result(case.name, kind, case.text)
    able = [client for client in clients if case.workload not in UNABLE.get(client, ())]
    broker.make_topic(case.topic, case.partitions)
    try:
        for number in range(rounds):
            for client in able if number % 2 == 0 else reversed(able):
                if client in result.failures:
                    continue
                try:
                    figures = checked(case.order(client, broker.bootstrap, seconds), broker)
                except RunError as error:
                    result.failures[client] = str(error)
                    result.rounds.pop(client, None)
                else:
                    result.rounds.setdefault(client, []).append(figures)
    finally:
        broker.drop_topic(case.topic)
    result.rounds = {client: result.rounds[client] for client in able if client in result.rounds}
    return result
