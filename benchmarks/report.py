"""The tables that are printed: figures of each client, and ratios with their spread."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.runner import Figures, Result
    from benchmarks.special import Special

OURS: Final = "aioproducer"

COLUMNS: Final = (
    ("records_per_s", "records/s", 10, ",.0f"),
    ("mb_per_s", "MB/s", 7, ".1f"),
    ("cpu_us", "CPU µs", 8, ".1f"),
    ("latency_p50_ms", "p50 ms", 8, ".2f"),
    ("latency_p99_ms", "p99", 7, ".1f"),
    ("latency_p999_ms", "p99.9", 7, ".1f"),
    ("lag_p99_ms", "lag p99", 8, ".1f"),
    ("lag_max_ms", "worst", 7, ".1f"),
    ("peak_mb", "peak MB", 8, ".0f"),
)


def median_of(runs: list[Figures]) -> Figures:
    """Return the median of each figure."""
    return {name: statistics.median(each[name] for each in runs) for name in runs[0]}


def ratios(ours: list[Figures], theirs: list[Figures], name: str) -> list[float]:
    """Return the ratio of each round, ours ÷ theirs."""
    return [mine[name] / other[name] for mine, other in zip(ours, theirs, strict=False)]


def spread(values: list[float]) -> str:
    """Return median, least and greatest as text."""
    return f"{statistics.median(values):.2f} [{min(values):.2f}-{max(values):.2f}]"


def table(result: Result) -> Iterator[str]:
    """Yield the lines of a case's table."""
    yield f"\n{result.case}: {result.text} · {result.broker}"
    heads = "".join(f"{head:>{width}}" for _, head, width, _ in COLUMNS)
    yield f"{'':20}{heads}  ours ÷ theirs: records/s · CPU"
    ours = result.rounds.get(OURS, [])
    for client, runs in result.rounds.items():
        median = median_of(runs)
        line = f"{client:20}"
        for name, _, width, form in COLUMNS:
            line += f"{median[name]:>{width}{form}}" if name in median else " " * width
        if client != OURS and ours:
            speed, cpu = ratios(ours, runs, "records_per_s"), ratios(ours, runs, "cpu_us")
            line += f"  {spread(speed)} · {spread(cpu)}"
        yield line
    for client, words in result.failures.items():
        yield f"{client:20}failed: {words}"


def special_table(special: Special) -> Iterator[str]:
    """Yield the lines of what is no case."""
    yield "\nFrom the start of a process to its first acknowledgement, ms"
    yield from (f"{client:45}{spread(values)}" for client, values in special.first_ack_ms.items())
    yield "\nImports, ms beyond an empty process"
    yield from (f"{name:45}{spread(values)}" for name, values in special.import_ms.items())
    yield "\nCPU µs a record, worst loop lag ms"
    for shape, runs in special.flat.items():
        yield f"{shape:45}{spread([run['cpu_us'] for run in runs]):24}{max(run['lag_max_ms'] for run in runs):8.1f}"
