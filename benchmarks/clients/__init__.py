"""The same workloads, as the users of each client would write them: a module for each client.

They are loaded by name, in the process that measures them, so that none is in the process of another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from benchmarks.order import Figures, Order

CLIENTS: Final = {
    "aioproducer": "ours",
    "aioproducer-uvloop": "ours",
    "aioproducer-trio": "ours",
    "aiokafka": "for_aiokafka",
    "confluent-kafka": "for_confluent",
    "confluent-aio": "for_confluent_aio",
    "kafka-python": "for_kafka_python",
    "bare-tasks": "floors",
    "bare-socket": "floors",
}
"""The module that runs each client. The last two are no clients: see `floors`."""

ASYNC_ONLY: Final = frozenset({"tasks", "workers"})

UNABLE: Final[dict[str, frozenset[str]]] = {
    "kafka-python": ASYNC_ONLY,
    "bare-tasks": frozenset({"pipelined", "one", "forget", "send_all"}),
    "bare-socket": frozenset({"pipelined", "forget", "send_all"}) | ASYNC_ONLY,
}
"""The workloads that a client has no way to do: kafka-python has nothing that a task could await."""


class Run(Protocol):
    """A client's function: do as ordered, fill in the figures."""

    def __call__(self, order: Order, figures: Figures) -> None:
        """Run to the end."""
        ...
