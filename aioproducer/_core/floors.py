"""The least that intervals are, whatever a setting says: what fails at once must not be tried as fast as it fails.

A setting of 0 reads as "no pause", and would have the producer take a core for itself while something is wrong. What a
broker gives has its limits where it is taken: throttles and sessions in `cluster.node`, coordinators without a number
in `transactions.requests`.
"""

from __future__ import annotations

from typing import Final

BACKOFF: Final = 0.01
"""Seconds of the first pause before a retry or a reconnect, if the setting is 0."""
BACKOFF_MAX: Final = 0.1
"""Seconds that such a pause may grow to, if the setting for that is less."""
IDLE: Final = 0.05
"""Seconds for which a connection is kept at least: it is made for a request, which has to get onto it."""
METADATA_AGE: Final = 0.1
"""Seconds after which metadata may count as old; also for how long an answer is waited for before starting over."""


def backoff(base_ms: int, maximum_ms: int) -> tuple[float, float]:
    """Return the first pause and the longest, in seconds, of two settings in milliseconds.

    Whoever writes a number has thought of one, and gets it; 0 is the shortest that does no harm, and grows.
    """
    if base_ms > 0:
        return base_ms / 1000, maximum_ms / 1000
    return BACKOFF, max(maximum_ms / 1000, BACKOFF_MAX)


def idle(max_idle_ms: int) -> float:
    """Return after how many seconds a connection counts as idle; infinity for a negative setting."""
    return max(max_idle_ms / 1000, IDLE) if max_idle_ms >= 0 else float("inf")


def metadata_age(age_ms: int) -> float:
    """Return the seconds of a setting about the age of metadata."""
    return max(age_ms / 1000, METADATA_AGE)
