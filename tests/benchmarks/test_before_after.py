"""benchmarks/before_after.py: the sides that are compared, and what a list of ratios says."""

from __future__ import annotations

import random
import sys
from pathlib import Path

from benchmarks.before_after import Side, interval


def test_a_side_is_a_folder_and_perhaps_a_python() -> None:
    assert Side.parse("/a/tree") == Side(Path("/a/tree"), Path(sys.executable))
    assert Side.parse("/a/tree:/a/python") == Side(Path("/a/tree"), Path("/a/python"))


def test_the_interval_holds_the_median_in_nineteen_of_twenty_cases() -> None:
    rng = random.Random(1)
    held = 0
    for _ in range(1000):
        low, high = interval([rng.gauss(1.0, 0.05) for _ in range(20)])
        held += low <= 1.0 <= high
    assert 930 <= held <= 990


def test_the_interval_of_few_ratios_is_all_of_them() -> None:
    assert interval([1.1, 0.9, 1.0]) == (0.9, 1.1)
