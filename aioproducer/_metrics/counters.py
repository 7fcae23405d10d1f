"""Counters: what a producer counts from start() on."""

from __future__ import annotations

from aioproducer._metrics.sampled import SampledMetrics


class Counters:
    """Counts since start(), kept by whoever does the thing: `metrics.TOTALS` and `metrics.WINDOWED` say which."""

    def __init__(self, windowed: SampledMetrics | None = None) -> None:
        self.records_sent = 0
        self.records_sent_again = 0
        self.records_failed = 0
        self.calls_without_room = 0
        self.requests = 0
        self.responses = 0
        self.bytes_out = 0
        self.bytes_in = 0
        self.connections_made = 0
        self.connections_closed = 0
        self.windowed = windowed or SampledMetrics()
