"""Which broker coordinates a transactional id or a consumer group? Looked up when needed, forgotten when it fails.

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

    def found(self, broker: Broker) -> None:
        """It is this one."""
        self.broker = broker
        self.lookups.succeed()

    def serves(self) -> None:
        """It has answered as a coordinator does."""
        self._losses = 0

    def lose(self, error: KafkaError | None, now: float) -> None:
        """It is not that broker any more, or it cannot be reached: look it up again, after a pause that grows."""
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
        found = self._by_key.get((key_type, key))
        if found is None:
            found = self._by_key[key_type, key] = Coordinator(key_type, key, self._config, self._rng)
        return found

    def on_node_lost(self, node_id: int, error: KafkaError | None, now: float) -> None:
        """A connection to the node was lost, or could not be made."""
        for coordinator in self._by_key.values():
            if coordinator.broker is not None and coordinator.broker.node_id == node_id:
                coordinator.lose(error, now)
