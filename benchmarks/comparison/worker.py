"""One client, one workload, one process: python -m benchmarks.comparison.worker '{"client": …}'. Prints its figures.

Clients are loaded here and not at the top, so that none is in the process of another.
"""

from __future__ import annotations

import cProfile
import importlib
import json
import sys
from typing import TYPE_CHECKING, Final, Protocol

from benchmarks.comparison.workload import Figures, Order

if TYPE_CHECKING:
    from collections.abc import Callable

CLIENTS: Final = {
    "aioproducer": "aioproducer_asyncio",
    "aioproducer-uvloop": "aioproducer_uvloop",
    "aioproducer-trio": "aioproducer_trio",
    "aiokafka": "aiokafka_asyncio",
    "confluent-kafka": "confluent_callbacks",
    "confluent-aio": "confluent_aio",
}
"""The function that runs each client, in `clients.py`."""


class Run(Protocol):
    """A client's function: do as ordered, fill in the figures."""

    def __call__(self, order: Order, figures: Figures) -> None:
        """Run to the end."""
        ...


def measure(order: Order) -> dict[str, float]:
    """Run the order in this process."""
    clients = importlib.import_module("benchmarks.comparison.clients")
    run: Run = getattr(clients, CLIENTS[order.client])
    figures = Figures()
    _profiled(order.profile, lambda: run(order, figures))
    return figures.summary(order.count)


def _profiled(path: str, call: Callable[[], None]) -> None:
    if not path:
        call()
        return
    profile = cProfile.Profile()
    try:
        profile.runcall(call)
    finally:
        profile.dump_stats(path)


if __name__ == "__main__":
    print(json.dumps(measure(Order(**json.loads(sys.argv[1])))))
