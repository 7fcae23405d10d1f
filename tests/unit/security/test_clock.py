"""The wall clock."""

from __future__ import annotations

import time

from aioproducer.security._clock import wall_clock_ms


def test_it_is_in_milliseconds() -> None:
    assert abs(wall_clock_ms() - time.time() * 1000) < 60_000
