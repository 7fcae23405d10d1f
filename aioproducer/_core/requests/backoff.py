"""The timer of a request that is repeated until it is answered, and the pause between its attempts (KIP-580)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from aioproducer._core import floors

if TYPE_CHECKING:
    import random

    from aioproducer._config import ProducerConfig
    from aioproducer.errors import KafkaError

SOON: Final = 0.02
"""Seconds to wait first for a coordinator that is still busy ending the transaction before: that takes milliseconds."""


def exponential_backoff(attempts: int, base: float, maximum: float, rng: random.Random) -> float:
    """Return seconds to wait after the given number of attempts: base, doubled each time, ±20 %, at most maximum.

    The limit applies after the jitter too (KIP-580). Without room to grow (base >= maximum) it is base, without jitter.
    """
    if base >= maximum:
        return base
    doublings = min(max(attempts, 1) - 1, 30)
    return min(maximum, base * 2.0**doublings * rng.uniform(0.8, 1.2))


class RetryTimer:
    """One request at a time, with a growing pause after each failure in a row.

    Attributes:
        in_progress: it is sent and not answered.
        count: failures in a row.
        last_error: of the last failure; None after a success.
    """

    def __init__(self, config: ProducerConfig, rng: random.Random) -> None:
        self.in_progress = False
        self.count = 0
        self.last_error: KafkaError | None = None
        self._rng = rng
        self._backoff, self._backoff_max = floors.backoff(config.retry_backoff_ms, config.retry_backoff_max_ms)
        self._not_before = -math.inf

    def is_due(self, now: float) -> bool:
        """Whether it may be sent now."""
        return not self.in_progress and now >= self._not_before

    def next_at(self) -> float:
        """Return when it may be sent; infinity while it is in flight."""
        return math.inf if self.in_progress else self._not_before

    def begin(self) -> None:
        """It is handed to the shell; `succeed`, `fail` or `reset` follows."""
        self.in_progress = True

    def succeed(self) -> None:
        """It has its answer; the next one may be sent at once."""
        self.reset()
        self.last_error = None

    def reset(self) -> None:
        """Forget the failures: what comes next is another request."""
        self.in_progress = False
        self.count = 0
        self._not_before = -math.inf

    def skip_pause(self, now: float) -> None:
        """Let it be sent at once, whatever has failed: what it would ask for is new. Failures still count."""
        self._not_before = now

    def pause(self, count: int, now: float) -> None:
        """Wait as after so many failures, though it was answered: the answer brought nothing new."""
        self._not_before = now + exponential_backoff(count, self._backoff, self._backoff_max, self._rng)

    def fail(self, error: KafkaError | None, now: float, *, is_soon: bool = False) -> None:
        """It was not answered, or is to be repeated; `is_soon` when that will help in a moment."""
        self.in_progress = False
        self.count += 1
        self.last_error = error or self.last_error
        base = min(SOON, self._backoff) if is_soon else self._backoff
        self._not_before = now + exponential_backoff(self.count, base, self._backoff_max, self._rng)
