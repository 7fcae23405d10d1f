"""States that take long to get into: sequence numbers about to wrap, epochs about to run out.

And how the tests reach inside the core.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aioproducer.testing._broker.transactions import Transaction
from tests.simulation.transactional import ID

if TYPE_CHECKING:
    from aioproducer._core.sender import Sender
    from aioproducer.testing._broker import ClusterCore


def inside(owner: object, *names: str) -> Any:  # Any: a part of the core that is private to it
    """Return a private part of the core, by the attributes that lead to it."""
    part: Any = owner
    for name in names:
        part = getattr(part, name)
    return part


def near_the_wrap(sender: Sender, first_sequence: int) -> None:
    """Have each partition begin with this sequence number, as if all before it had been acknowledged long ago.

    The brokers know nothing of the producer then, as after producer.id.expiration.ms, and take any number.
    """
    inside(sender, "_sequences")._partitions = _NearTheWrap(first_sequence)


class _NearTheWrap(dict[tuple[str, int], Any]):
    """The states of partitions; for want of a method to replace, as the compiled core has none."""

    def __init__(self, first_sequence: int) -> None:
        super().__init__()
        self._first_sequence = first_sequence
        self._begun: set[tuple[str, int]] = set()

    def __setitem__(self, key: tuple[str, int], known: Any) -> None:
        if key not in self._begun:
            self._begun.add(key)
            known.next_sequence = self._first_sequence
            known.last_acked = self._first_sequence - 1
        super().__setitem__(key, known)


def put_at_epoch(cluster: ClusterCore, epoch: int) -> None:
    """Have the coordinator know the transactional id, and many producers that had it: the next one gets this epoch."""
    known = Transaction(ID, cluster.state.new_producer_id(), 60_000, epoch=epoch - 1)
    inside(cluster.state.transactions, "_by_id")[ID] = known
