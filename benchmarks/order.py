"""What one process has to do, and what it has measured."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import Final, Literal, Protocol, Self

Workload = Literal["pipelined", "tasks", "workers", "one", "forget", "send_all"]
"""pipelined: one task (or thread) submits with back-pressure, looks at every outcome, at most IN_FLIGHT records later.
tasks: a task for each record, N at a time, as the requests of a web server. workers: N tasks that each send, wait, and
go on. one: one record at a time. forget: submit without looking, then flush. send_all: all of an iterable, then all
outcomes."""

Keys = Literal["none", "few", "different"]
"""none; a thousand of them in turn; 36 bytes as UUIDs have them, all different."""

IN_FLIGHT: Final = 10_000
SAMPLE: Final = 64
"""Of the pipelined records, one in so many is timed to its acknowledgement; of the tasks, one in SAMPLE_TASKS."""
SAMPLE_TASKS: Final = 8


@dataclass(frozen=True, slots=True)
class Order:
    """What one process has to do.

    Attributes:
        client: a name of `clients.CLIENTS`.
        count: records that are timed; 0: as many as take about `seconds`, as the warm-up tells.
        topics: how many; record after record they take turns. Their names are `topic` and "topic.1", "topic.2", …
        tasks: how many wait at the same time, where the workload has tasks.
        linger_ms, batch_size, codec, level: the same for every client that can be told.
        buffer_memory: 0 is the client's default.
        ca: the file of the CA whose broker is spoken to over TLS; "" is plaintext. Of aioproducer and confluent-kafka.
        profile: a file for samples of where the time goes, or, if its name ends in "calls", for cProfile's; or "".
    """

    client: str
    workload: Workload
    bootstrap: str
    topic: str
    seconds: float = 1.0
    count: int = 0
    topics: int = 1
    partitions: int = 6
    tasks: int = 1000
    value_bytes: int = 100
    keys: Keys = "none"
    headers: int = 0
    linger_ms: int = 5
    batch_size: int = 16_384
    codec: str = "none"
    level: int = 0
    buffer_memory: int = 0
    ca: str = ""
    profile: str = ""

    @property
    def minimum(self) -> int:
        """Records below which a run would say nothing."""
        return {"tasks": 2 * self.tasks, "workers": 3 * self.tasks, "one": 20}.get(self.workload, 500)


class Profiler(Protocol):
    """Finds out where time goes."""

    def start(self) -> None:
        """Begin."""
        ...

    def stop(self) -> None:
        """End."""
        ...


@dataclass(slots=True)
class Figures:
    """What one process has measured.

    Attributes:
        count: records of the timed part.
        seconds, cpu_seconds: of the timed part; CPU is that of the whole process, all of its threads.
        delivered: outcomes of the timed part that were no failure.
        sent: records in all, those of the warm-up included: what the broker must have afterwards.
        latencies: seconds from the call to the acknowledgement, of a sample.
        lags: seconds by which a task that sleeps woke late, meanwhile.
        base_mb, peak_mb: resident memory before the first record, and the most that there was since.
        profiler: runs during the timed part.
    """

    count: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    delivered: int = 0
    sent: int = 0
    latencies: list[float] = dataclasses.field(default_factory=list[float])
    lags: list[float] = dataclasses.field(default_factory=list[float])
    base_mb: float = 0.0
    peak_mb: float = 0.0
    profiler: Profiler | None = None

    def summary(self, value_bytes: int) -> dict[str, float]:
        """Return the figures that are compared.

        Raises:
            RuntimeError: not every record was delivered; the run is worth nothing.
        """
        if self.delivered != self.count or not self.count:
            raise RuntimeError(f"{self.delivered} of {self.count} records were delivered")
        figures = {
            "records_per_s": self.count / self.seconds,
            "mb_per_s": self.count * value_bytes / self.seconds / 1e6,
            "cpu_us": self.cpu_seconds / self.count * 1e6,
            "count": float(self.count),
            "sent": float(self.sent),
            "base_mb": self.base_mb,
            "peak_mb": self.peak_mb,
        }
        for name, values in (("latency", self.latencies), ("lag", self.lags)):
            if values:
                figures |= {f"{name}_{label}_ms": quantile(values, share) * 1e3 for label, share in QUANTILES.items()}
                figures[f"{name}_max_ms"] = max(values) * 1e3
        return figures


QUANTILES: Final = {"p50": 0.5, "p99": 0.99, "p999": 0.999}


class Timer:
    """Measures wall clock and CPU of a block."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def __enter__(self) -> Self:
        if self._figures.profiler is not None:
            self._figures.profiler.start()
        self._cpu = time.process_time()
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self._figures.seconds = time.perf_counter() - self._start
        self._figures.cpu_seconds = time.process_time() - self._cpu
        if self._figures.profiler is not None:
            self._figures.profiler.stop()


def quantile(values: list[float], share: float) -> float:
    """Return the least value that at least `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]
