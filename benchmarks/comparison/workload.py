"""What is measured, and the figures of one run."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import Final, Self

TOPIC: Final = "bench"
PARTITIONS: Final = 6

WORKLOADS: Final = ("pipelined", "tasks", "latency")
"""pipelined: one task (or thread) submits with back-pressure, and looks at every outcome. tasks: 2,000 tasks each send,
wait for the acknowledgement, and go on. latency: one record at a time, without linger."""

TASKS: Final = 2000
IN_FLIGHT: Final = 10_000
"""Pipelined: records whose outcome was not looked at yet, at most."""


@dataclass(frozen=True, slots=True)
class Order:
    """What one process has to do.

    Attributes:
        client: a name of `worker.CLIENTS`.
        count: records that are timed; a tenth of it goes before, to warm up.
        linger_ms, batch_size: the same for every client.
        profile: a file for the profile of cProfile, or "".
    """

    client: str
    workload: str
    bootstrap: str
    count: int
    value_bytes: int = 100
    linger_ms: int = 5
    batch_size: int = 16_384
    key_count: int = 0
    profile: str = ""

    @property
    def effective_linger_ms(self) -> int:
        """0 where each record is waited for."""
        return 0 if self.workload == "latency" else self.linger_ms


@dataclass(slots=True)
class Figures:
    """What one process has measured.

    Attributes:
        seconds, cpu_seconds: of the timed part; CPU is that of the whole process, all of its threads.
        delivered: outcomes that were looked at and were no failure.
        latencies: seconds of each record, one at a time.
        lags: seconds by which a task that sleeps 2 ms woke late, meanwhile.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    delivered: int = 0
    latencies: list[float] = dataclasses.field(default_factory=list[float])
    lags: list[float] = dataclasses.field(default_factory=list[float])

    def summary(self, count: int) -> dict[str, float]:
        """Return the figures that are compared.

        Raises:
            RuntimeError: not every record was delivered; the run is worth nothing.
        """
        if self.delivered != count:
            raise RuntimeError(f"{self.delivered} of {count} records were delivered")
        figures = {"records_per_s": count / self.seconds, "cpu_us": self.cpu_seconds / count * 1e6}
        for name, values in (("latency", self.latencies), ("lag", self.lags)):
            if values:
                figures |= {
                    f"{name}_p50_ms": quantile(values, 0.5) * 1e3,
                    f"{name}_p99_ms": quantile(values, 0.99) * 1e3,
                }
                figures[f"{name}_max_ms"] = max(values) * 1e3
        return figures


class Timer:
    """Measures wall clock and CPU of a block."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def __enter__(self) -> Self:
        self._cpu = time.process_time()
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self._figures.seconds = time.perf_counter() - self._start
        self._figures.cpu_seconds = time.process_time() - self._cpu


def quantile(values: list[float], share: float) -> float:
    """Return the value that `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
