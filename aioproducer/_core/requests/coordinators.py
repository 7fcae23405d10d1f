"""The coordinators of a transactional id and of consumer groups: looked up when needed, forgotten when they fail.

A coordinator is forgotten when it says that it is none, and when its connection is lost or cannot be made: the cluster
may have chosen another by then, and if it has not, it is asked again with a growing pause.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from aioproducer._core.requests.backoff import RetryTimer

if TYPE_CHECKING:
    import random

    from aioproducer._config import ProducerConfig
    from aioproducer._core.cluster.metadata import Broker
    from aioproducer.errors import KafkaError


class CoordinatorType(IntEnum):
    """What is coordinated, as FindCoordinator numbers it."""

    GROUP = 0
    TRANSACTION = 1


class Coordinator:
    """The coordinator of one key.

    Attributes:
        key_type, key: what it coordinates.
        broker: where it is; None while it is not known.
        lookups: when FindCoordinator may be sent.
    """

    def __init__(self, key_type: CoordinatorType, key: str, config: ProducerConfig, rng: random.Random) -> None:
        self.key_type = key_type
        self.key = key
        self.broker: Broker | None = None
        self.lookups = RetryTimer(config, rng)
        self._losses = 0

    def __repr__(self) -> str:
        return f"<Coordinator of {self.key_type.name} {self.key!r}>"

    @property
    def subject(self) -> str:
        """What it coordinates, as errors say it."""
        kind = "group" if self.key_type is CoordinatorType.GROUP else "transactional id"
        return f"{kind} {self.key!r}"

    def found(self, broker: Broker) -> None:
        """Note where FindCoordinator says that it is: requests to it may be sent there now."""
        self.broker = broker
        self.lookups.succeed()

    def on_answered(self) -> None:
        """Note that it has done what a coordinator does: the pause after its next loss is short again."""
        self._losses = 0

    def lose(self, error: KafkaError | None, now: float) -> None:
        """Forget the broker, which cannot be reached or coordinates no more: it is looked up again, after a pause.

        The pause grows with each loss in a row, as the same broker may be found and lost again and again.
        """
        if self.broker is None:
            return
        self.broker = None
        self._losses += 1
        self.lookups.count = self._losses - 1
        self.lookups.fail(error, now)


class Coordinators:
    """The coordinators that this producer deals with: that of its transactional id, and those of groups."""

    def __init__(self, config: ProducerConfig, rng: random.Random) -> None:
        self._config = config
        self._rng = rng
        self._by_key: dict[tuple[CoordinatorType, str], Coordinator] = {}

    def get(self, key_type: CoordinatorType, key: str) -> Coordinator:
        """Return the entry of a key, made if it is new; nothing is asked yet."""
        coordinator = self._by_key.get((key_type, key))
        if coordinator is None:
            coordinator = self._by_key[key_type, key] = Coordinator(key_type, key, self._config, self._rng)
        return coordinator

    def on_node_lost(self, node_id: int, error: KafkaError | None, now: float) -> None:
        """A connection to the node was lost, or could not be made."""
        for coordinator in self._by_key.values():
            if coordinator.broker is not None and coordinator.broker.node_id == node_id:
                coordinator.lose(error, now)
