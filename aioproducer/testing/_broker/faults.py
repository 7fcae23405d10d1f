"""The faults that are set, and whether one strikes now."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aioproducer._types import TopicPartition


class Effect(Enum):
    """What a fault does to a request that it strikes.

    FAIL: it is answered with an error code. LOSE_RESPONSE: it is carried out, then the connection is closed without an
    answer. CLOSE: the connection is closed and the request not carried out. DELAY: the answer comes later. THROTTLE:
    the answer tells the client to pause.
    """

    FAIL = auto()
    LOSE_RESPONSE = auto()
    CLOSE = auto()
    DELAY = auto()
    THROTTLE = auto()


@dataclass(eq=False, slots=True)
class Fault:
    """One fault: what it does, which requests it strikes, how often.

    Attributes:
        code: the error code, for FAIL.
        amount: seconds for DELAY, milliseconds for THROTTLE.
        api: api key, or None for all.
        node_id: the broker, or None for all.
        topic, partition: what the request must be about, or None for all.
        acks: the acks that a Produce request must have, or None for all.
        remaining: strikes left; None: until it is removed.
        hits: how often it has struck.
    """

    effect: Effect
    code: int = 0
    amount: float = 0
    api: int | None = None
    node_id: int | None = None
    topic: str | None = None
    partition: int | None = None
    acks: int | None = None
    remaining: int | None = None
    hits: int = 0

    def strikes(self, api: int, node_id: int, acks: int | None) -> bool:
        """Whether it is about such a request, whatever the topic."""
        return (
            self.remaining != 0
            and (self.api is None or self.api == api)
            and (self.node_id is None or self.node_id == node_id)
            and (self.acks is None or self.acks == acks)
        )

    def strikes_partition(self, topic: str | None, partition: int | None) -> bool:
        """Whether it is about that partition."""
        return (self.topic is None or self.topic == topic) and (self.partition is None or self.partition == partition)


class Faults:
    """The faults of a cluster, in the order in which they were set; the first that fits strikes."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        """Set a fault."""
        self._faults.append(fault)
        return fault

    def remove(self, fault: Fault) -> None:
        """Take a fault away; one that is gone already is no error."""
        fault.remaining = 0
        if fault in self._faults:
            self._faults.remove(fault)

    def clear(self) -> None:
        """Take all faults away."""
        for fault in list(self._faults):
            self.remove(fault)

    def __bool__(self) -> bool:
        return bool(self._faults)

    def strike(
        self,
        effect: Effect,
        api: int,
        node_id: int,
        touched: Iterable[TopicPartition] | None = None,
        acks: int | None = None,
    ) -> Fault | None:
        """The fault of this effect that strikes a request, counted as struck; None when none does.

        Args:
            touched: the partitions that it is about; None when it is about none. A fault for a topic then never fits.
        """
        for fault in self._faults:
            if fault.effect is effect and fault.strikes(api, node_id, acks) and _fits(fault, touched):
                return self._count(fault)
        return None

    def _count(self, fault: Fault) -> Fault:
        fault.hits += 1
        if fault.remaining is not None:
            fault.remaining -= 1
            if fault.remaining == 0:
                self._faults.remove(fault)
        return fault


def _fits(fault: Fault, touched: Iterable[TopicPartition] | None) -> bool:
    if fault.topic is None and fault.partition is None:
        return True
    return any(fault.strikes_partition(tp.topic, tp.partition) for tp in touched or ())
