"""One client, one workload, one process: python -m benchmarks.worker '{"client": …}'. Prints its figures as JSON."""

from __future__ import annotations

import cProfile
import importlib
import json
import sys
from typing import TYPE_CHECKING

from benchmarks.clients import CLIENTS, Run
from benchmarks.order import Figures, Order

if TYPE_CHECKING:
    from collections.abc import Callable


def work(order: Order) -> dict[str, float]:
    """Do the order in this process."""
    run: Run = importlib.import_module(f"benchmarks.clients.{CLIENTS[order.client]}").run
    figures = Figures()
    _profiled(order.profile, lambda: run(order, figures))
    return figures.summary(order.value_bytes)


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
    print(json.dumps(work(Order(**json.loads(sys.argv[1])))))
