"""One client, one workload, one process: python -m benchmarks.worker '{"client": …}'. Prints its figures as JSON."""

from __future__ import annotations

import cProfile
import importlib
import json
import sys

from benchmarks.clients import CLIENTS, Run
from benchmarks.order import Figures, Order
from benchmarks.sampler import Sampler


class Calls:
    """cProfile, in the form that the timer starts and stops."""

    def __init__(self) -> None:
        self._profile = cProfile.Profile()

    def start(self) -> None:
        """Begin."""
        self._profile.enable()

    def stop(self) -> None:
        """End."""
        self._profile.disable()

    def dump(self, path: str) -> None:
        """Write what pstats reads."""
        self._profile.dump_stats(path)


def work(order: Order) -> dict[str, float]:
    """Do the order in this process."""
    run: Run = importlib.import_module(f"benchmarks.clients.{CLIENTS[order.client]}").run
    figures = Figures()
    if not order.profile:
        run(order, figures)
        return figures.summary(order.value_bytes)
    figures.profiler = profiler = Calls() if order.profile.endswith("calls") else Sampler()
    run(order, figures)
    profiler.dump(order.profile)
    return figures.summary(order.value_bytes)


if __name__ == "__main__":
    print(json.dumps(work(Order(**json.loads(sys.argv[1])))))
