"""Readings of figures."""

from __future__ import annotations

from typing import Any

import pytest

from aioproducer.metrics import GAUGES, TOTALS, WINDOWED, MetricsSnapshot


def test_a_name_is_of_one_kind() -> None:
    assert len(TOTALS.keys() | GAUGES.keys() | WINDOWED.keys()) == len(TOTALS) + len(GAUGES) + len(WINDOWED)
    assert all(name.endswith("-total") for name in TOTALS)
    assert all(name.endswith(("-avg", "-max")) for name in WINDOWED)


def test_a_snapshot_is_a_mapping_that_later_changes_do_not_reach() -> None:
    figures = {"record-send-total": 3.0}
    snapshot = MetricsSnapshot(figures)
    figures["record-send-total"] = 9.0
    assert dict(snapshot) == {"record-send-total": 3.0}
    assert len(snapshot) == 1
    assert "request-total" not in snapshot


def test_a_snapshot_cannot_be_changed() -> None:
    snapshot: Any = MetricsSnapshot({"record-send-total": 3})
    with pytest.raises(TypeError):
        snapshot["record-send-total"] = 4


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="no metric record-sent"):
        MetricsSnapshot({"record-sent": 1})


def test_since_subtracts_totals_and_keeps_the_others() -> None:
    earlier = MetricsSnapshot({"record-send-total": 3, "requests-in-flight": 5, "batch-size-avg": 7.0})
    gauges = {"requests-in-flight": 1, "batch-size-avg": 9.5}
    later = MetricsSnapshot({"record-send-total": 10, "request-total": 2, **gauges})
    assert dict(later.since(earlier)) == {"record-send-total": 7, "request-total": 2, **gauges}
