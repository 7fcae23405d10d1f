"""Histories that have found a bug, each with the bug planted anew, so that both are known to do what they are for.

When the scenarios are changed, a seed stands for another history, and the test of this table fails: look for the new
seeds with `python -m tests.simulation --bugs`.
"""

from __future__ import annotations

from typing import Final

FIXED_SEEDS: Final[tuple[tuple[int, str], ...]] = (
    (58, "completed out of turn"),
    (20, "due too late"),
    (74, "room of others"),
    (304, "place of the call"),
    (133, "re-sequenced in doubt"),
    (177, "first flight ignored"),
    (388, "five before the first answer"),
    (70, "plain arithmetic"),
    (57, "older doubt cleared"),
    (157, "not muted"),
)
"""(seed, name of the planted bug that breaks a promise in this history)"""
