"""statistics.py: what is told is what was counted, under the public names."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

from aioproducer import KafkaConnectionError
from aioproducer._producer.statistics import statistics_of, status_of
from aioproducer.metrics import GAUGES, TOTALS, WINDOWED
from tests.unit._producer.runtimes import opened


class FakeSender:
    """A sender with so many brokers."""

    def __init__(self, *states: str, fatal_error: Any = None, first_id: int = 0) -> None:
        brokers = [SimpleNamespace(node_id=number + first_id, state=state) for number, state in enumerate(states)]
        self.told = SimpleNamespace(brokers=brokers, fatal_error=fatal_error, cluster_id="cid")
        self.last_connection_error = KafkaConnectionError("gone")

    def status(self, now: float) -> Any:
        return self.told

    def statistics(self) -> Any:
        return SimpleNamespace(
            batch_splits=4,
            requests_in_flight=2,
            metadata_at=None,
            reauthentications=5,
            reauthentication_seconds_max=0.25,
        )


def runtime(sender: FakeSender) -> Any:
    _, made = opened("t")
    made.sender = sender  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    made.finished = SimpleNamespace(is_set=lambda: False)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    return made


def test_every_public_name_is_told() -> None:
    told = statistics_of(runtime(FakeSender()))
    assert set(told) == {*TOTALS, *GAUGES, *WINDOWED}


def test_counts_stand_under_their_names() -> None:
    made = runtime(FakeSender())
    made.figures.records_sent = 7
    made.figures.connections_made, made.figures.connections_closed = 3, 1
    told = statistics_of(made)
    assert (told["record-send-total"], told["connection-count"], told["batch-split-total"]) == (7, 2, 4)
    assert (told["successful-reauthentication-total"], told["reauthentication-latency-max"]) == (5, 250)
    assert math.isnan(told["metadata-age"])
    assert told["buffer-available-bytes"] == told["buffer-total-bytes"] > 0


def test_it_is_ready_with_a_broker_and_without_a_fatal_error() -> None:
    assert status_of(runtime(FakeSender("READY", "CONNECTING"))).is_ready
    assert not status_of(runtime(FakeSender("CONNECTING"))).is_ready
    fatal = KafkaConnectionError("the end")
    status = status_of(runtime(FakeSender("READY", fatal_error=fatal)))
    assert (status.is_ready, status.last_error) == (False, fatal)


def test_bootstrap_servers_count_until_brokers_are_known() -> None:
    assert status_of(runtime(FakeSender("READY", "READY", first_id=-2))).brokers_known == 2
    assert status_of(runtime(FakeSender("READY", "READY", first_id=-1))).brokers_known == 1
