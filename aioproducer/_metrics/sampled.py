"""Averages and maxima of the last minute or so: samples of a fixed length, of which the newest few count.

The same rule as in Java (class SampledStat), so that the metrics can be compared. A value counts for at least
num_samples - 1 windows, and for at most num_samples + 1.
"""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple


class SampledReading(NamedTuple):
    """What the samples say together. NaN when nothing happened within them."""

    average: float
    maximum: float


class _Sample:
    __slots__ = ("count", "last", "maximum", "total")

    def __init__(self, value: float, now: float) -> None:
        self.last = now
        self.count = 1
        self.total = value
        self.maximum = value


_NOTHING = SampledReading(math.nan, math.nan)


class SampledStat:
    """The average and the maximum of a value over the newest samples. Costs one sample each, however much is recorded.

    Example:
        >>> windows = SampledStat(num_samples=2, window=30.0)
        >>> windows.record(1.0, now=0.0)
        >>> windows.record(3.0, now=10.0)
        >>> windows.read(now=20.0)
        SampledReading(average=2.0, maximum=3.0)
    """

    __slots__ = ("_length", "_newest", "_samples", "_until", "_window")

    def __init__(self, num_samples: int, window: float) -> None:
        """Keep `num_samples` samples of `window` seconds each."""
        self._window = window
        self._length = num_samples * window
        self._samples: deque[_Sample] = deque(maxlen=num_samples)
        self._newest = _Sample(0.0, -math.inf)
        self._until = -math.inf

    def record(self, value: float, now: float) -> None:
        """Add a value to the newest sample, or to one that starts now when that is full."""
        if now >= self._until:
            self._newest = _Sample(value, now)
            self._samples.append(self._newest)
            self._until = now + self._window
            return
        sample = self._newest
        sample.last = now
        sample.count += 1
        sample.total += value
        if value > sample.maximum:
            sample.maximum = value

    def read(self, now: float) -> SampledReading:
        """Return what the samples say; one whose newest value is older than all samples are long is left out."""
        # A copy, made at once: whoever reads may be in another thread than who records.
        samples = [sample for sample in tuple(self._samples) if now - sample.last < self._length]
        if not samples:
            return _NOTHING
        count = sum(sample.count for sample in samples)
        total = sum(sample.total for sample in samples)
        return SampledReading(total / count, max(sample.maximum for sample in samples))


class SampledMetrics:
    """The windowed metrics of one producer; each is recorded once per batch or request, never per record."""

    __slots__ = (
        "batch_size",
        "compression_rate",
        "queue_time_ms",
        "records_per_request",
        "request_latency_ms",
        "throttle_ms",
    )

    def __init__(self, num_samples: int = 2, window: float = 30.0) -> None:
        """Take the settings metrics_num_samples and metrics_sample_window_ms, the latter in seconds."""
        self.request_latency_ms = SampledStat(num_samples, window)
        self.throttle_ms = SampledStat(num_samples, window)
        self.queue_time_ms = SampledStat(num_samples, window)
        self.batch_size = SampledStat(num_samples, window)
        self.compression_rate = SampledStat(num_samples, window)
        self.records_per_request = SampledStat(num_samples, window)

    def read(self, now: float) -> dict[str, float]:
        """Return them under the names of `metrics.WINDOWED`."""
        latency, throttle = self.request_latency_ms.read(now), self.throttle_ms.read(now)
        queue, size = self.queue_time_ms.read(now), self.batch_size.read(now)
        return {
            "request-latency-avg": latency.average,
            "request-latency-max": latency.maximum,
            "produce-throttle-time-avg": throttle.average,
            "produce-throttle-time-max": throttle.maximum,
            "record-queue-time-avg": queue.average,
            "record-queue-time-max": queue.maximum,
            "batch-size-avg": size.average,
            "batch-size-max": size.maximum,
            "compression-rate-avg": self.compression_rate.read(now).average,
            "records-per-request-avg": self.records_per_request.read(now).average,
        }
