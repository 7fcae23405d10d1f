"""The parts of the transactions, each on its own: what they are made of, and an owner of requests that takes notes."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final

from aioproducer._config import ProducerConfig
from aioproducer._core.accumulator.accumulator import Accumulator
from aioproducer._core.cluster.node import Node
from aioproducer._core.requests.backoff import RetryTimer
from aioproducer._core.requests.coordinators import Coordinator, CoordinatorType
from aioproducer._core.requests.producer_id import ProducerIdAndEpoch
from aioproducer._core.transactions.open_transaction import OpenTransaction
from aioproducer._core.transactions.requests import VERSION_2, AddPartitions

if TYPE_CHECKING:
    from aioproducer._core.requests.control_request import ControlRequest

CONFIG: Final = ProducerConfig(bootstrap_servers="b:9092", transactional_id="x", transaction_timeout_ms=7_000)
PRODUCER: Final = ProducerIdAndEpoch(7, 3)
NODE: Final = Node(4, "host4", 9092)


class Owner:
    """An owner of requests that wants them all, and notes what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def is_wanted(self, request: ControlRequest) -> bool:
        """Always."""
        return True

    def on_success(self, request: ControlRequest, message: Any, now: float) -> None:
        """Note it."""
        self.told.append((request, message))

    def on_error(self, request: ControlRequest, verdict: Any, error: Any, now: float) -> None:
        """Note it."""
        self.told.append((request, verdict, error))

    def on_unsupported(self, request: ControlRequest, error: Any) -> None:
        """Note it."""
        self.told.append((request, error))


def accumulator() -> Accumulator:
    """One that is empty."""
    return Accumulator(CONFIG, random.Random(1))


def timer() -> RetryTimer:
    """One of which nothing has failed."""
    return RetryTimer(CONFIG, random.Random(1))


def coordinator() -> Coordinator:
    """That of the transactional id."""
    return Coordinator(CoordinatorType.TRANSACTION, "x", CONFIG, random.Random(1))


def adding(owner: Owner | None = None) -> AddPartitions:
    """What adds partitions."""
    return AddPartitions(owner or Owner(), timer(), coordinator(), "x", PRODUCER)


def begun(version: int = VERSION_2) -> OpenTransaction:
    """A transaction in which nothing has happened."""
    return OpenTransaction(version, PRODUCER, adding())
