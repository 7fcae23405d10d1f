"""The wall clock: tokens carry times of it. Nothing else here reads it."""

from __future__ import annotations

import time


def wall_clock_ms() -> int:
    """Return the milliseconds since 1970."""
    return time.time_ns() // 1_000_000
