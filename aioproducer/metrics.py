"""Metrics: the names of what a producer counts and measures, and one reading of all.

The names are those of the Java producer where it has the same figure. Totals count since start() and only grow; gauges
say how things are now. Windowed metrics are averages and maxima of the last metrics_num_samples windows of
metrics_sample_window_ms; they are NaN, as in Java, when nothing happened within them. Rates are left to whoever reads
the totals twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

__all__ = ["GAUGES", "TOTALS", "WINDOWED", "MetricsSnapshot"]

TOTALS: Final[dict[str, str]] = {
    "record-send-total": "records put into a Produce request; a record that is sent again counts again",
    "record-retry-total": "records put into a Produce request again, after an attempt that failed",
    "record-error-total": "records that were accepted and failed",
    "batch-split-total": "batches split because the broker found them too large",
    "buffer-exhausted-total": "calls that found too little of buffer_memory free within max_block_ms",
    "request-total": "requests written to any broker; the first of each connection, which asks for versions, apart",
    "response-total": "answers read from any broker, likewise",
    "outgoing-byte-total": "bytes of those requests",
    "incoming-byte-total": "bytes of those answers",
    "connection-creation-total": "connections made",
    "connection-close-total": "connections closed, by either side",
    "successful-reauthentication-total": "sessions renewed on their connections (KIP-368)",
}
"""Names of the totals, and what each counts."""

GAUGES: Final[dict[str, str]] = {
    "requests-in-flight": "requests written and not answered",
    "connection-count": "connections open",
    "reauthentication-latency-max": "the most milliseconds that a broker was sent nothing while a session was renewed",
    "metadata-age": "seconds since metadata was last refreshed; NaN before the first time",
    "buffer-total-bytes": "the setting buffer_memory",
    "buffer-available-bytes": "bytes of buffer_memory not taken by records without an outcome",
    "waiting-threads": "calls that wait for buffer_memory (tasks; the name is Java's)",
}
"""Names of the gauges, and what each says."""

WINDOWED: Final[dict[str, str]] = {
    "request-latency-avg": "milliseconds from writing a Produce request to its answer, on average",
    "request-latency-max": "the longest of them",
    "produce-throttle-time-avg": "milliseconds that brokers said they throttle by, on average over answers to Produce",
    "produce-throttle-time-max": "the longest of them",
    "record-queue-time-avg": "milliseconds from a batch's first record until it is first in a request, on average",
    "record-queue-time-max": "the longest of them",
    "batch-size-avg": "bytes of a batch as it is sent, on average",
    "batch-size-max": "the largest of them",
    "compression-rate-avg": "bytes of a batch's records after compression to those before, on average",
    "records-per-request-avg": "records in a Produce request, on average",
}
"""Names of the windowed metrics, and what each says."""


class MetricsSnapshot(Mapping[str, float]):
    """One reading of a producer's metrics: an immutable mapping from name to number. Reading it costs nothing later.

    Example:
        >>> MetricsSnapshot({"record-send-total": 3})["record-send-total"]
        3
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, float]) -> None:
        """Copy the values.

        Raises:
            ValueError: a name is in none of `TOTALS`, `GAUGES` and `WINDOWED`.
        """
        unknown = values.keys() - TOTALS.keys() - GAUGES.keys() - WINDOWED.keys()
        if unknown:
            raise ValueError(f"there is no metric {', '.join(sorted(unknown))}")
        self._values = dict(values)

    def __getitem__(self, name: str) -> float:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"MetricsSnapshot({self._values!r})"

    def since(self, earlier: MetricsSnapshot) -> MetricsSnapshot:
        """Return the growth of each total since an earlier reading, and all others as they are in this one."""
        return MetricsSnapshot(
            {name: number - earlier.get(name, 0) if name in TOTALS else number for name, number in self.items()}
        )
