"""An hour without a working cluster, in virtual time: everything ends when it should, memory stays bounded, and a
cluster that comes back is used at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import pytest

from aioproducer._config import ProducerConfig
from aioproducer._wire.api_keys import ApiKey
from aioproducer.errors import BufferTimeoutError, DeliveryTimeoutError, ErrorCode
from aioproducer.testing._broker import Fault
from aioproducer.testing._broker.faults import Effect
from tests.simulation import evidence
from tests.simulation.history import History
from tests.simulation.scenario import HARMLESS, Scenario, draw

HOUR: Final = 3600.0
BEFORE: Final = 30.0
BROKERS: Final = 3
SEED: Final = 20_240_905

SETTINGS: Final[Mapping[str, Any]] = {
    # Kafka's defaults, but for a buffer that a minute of records fills, and attempts seconds apart.
    "buffer_memory": 8_000,
    "batch_size": 2_000,
    "reconnect_backoff_max_ms": 10_000,
    "retry_backoff_max_ms": 10_000,
}


def scenario_of(faults: tuple[str, ...] = (), *, fault_gap: float = HOUR, calls: int = 720) -> Scenario:
    """A record every five seconds or so, of some hundred bytes, for an hour and a minute."""
    return replace(
        draw(SEED),
        settings=SETTINGS,
        brokers=BROKERS,
        replication=BROKERS,
        topics={"t0": 3},
        topic_settings={},
        max_versions={},
        calls=calls,
        duration=HOUR + 2 * BEFORE,
        values=(300, 900),
        latency=(0.0005, 0.02),
        poll_lateness=0.001,
        write_lateness=0.001,
        is_trio=False,
        faults=faults,
        fault_gap=fault_gap,
        ending="flush",
        theme="anything",
        is_patient=False,
        first_sequence=0,
        first_epoch=0,
        config=ProducerConfig(bootstrap_servers=["b0:9092", "b1:9092", "b2:9092"], **SETTINGS),
    )


class HourOfOutages(History):
    """A history with an outage from its thirtieth second on, an hour long.

    Args:
        kind: "away": the brokers are stopped; "silent": they take connections and say nothing; "refusing": they answer
            that they have too few replicas; "none".
    """

    def __init__(self, scenario: Scenario, kind: str) -> None:
        super().__init__(scenario)
        self._kind = kind
        self._refusal = Fault(Effect.FAIL, code=int(ErrorCode.NOT_ENOUGH_REPLICAS), api=ApiKey.PRODUCE)
        self.recovered_at = 0.0

    def _set_events(self) -> None:
        super()._set_events()
        self.clock.after(BEFORE, self._go_away)
        self.clock.after(BEFORE + HOUR, self._come_back)

    def _go_away(self) -> None:
        if self._kind == "away":
            for connection in self.network.open_connections():
                self.network.lose(connection, "broker stopped")
            for broker in range(BROKERS):
                self.cluster.state.stop_node(broker)
        elif self._kind == "silent":
            self.network.stuck_until.update(dict.fromkeys(range(BROKERS), self.clock.now + HOUR))
        elif self._kind == "refusing":
            self.cluster.faults.add(self._refusal)

    def _come_back(self) -> None:
        self.faults.heal()
        self.recovered_at = self.clock.now

    def _end(self) -> None:
        # All is well by now: each partition has to take a record.
        self._ended_at = self.clock.now + evidence.recovery_time(self)
        self.clock.at(self._ended_at, self._probe)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["away", "silent", "refusing"])
def test_an_hour_without_a_cluster_ends_each_record_in_time_and_is_got_over(kind: str) -> None:
    history = HourOfOutages(scenario_of(), kind)
    history.run()
    calls = history.calls.calls
    config = history.scenario.config
    lifetime = config.delivery_timeout_ms / 1000
    lives = [call.done_at - call.accepted_at for call in calls if call.accepted_at is not None and call.done_at]
    assert lifetime <= max(lives) < lifetime + 1
    assert sum(isinstance(call.error, DeliveryTimeoutError) for call in calls) > 300
    # The buffer was full all the time, and calls waited for room as long as they may.
    assert sum(isinstance(call.refusal, BufferTimeoutError) for call in calls) > 100
    late = [call for call in calls if call.accepted_at is not None and call.accepted_at > history.recovered_at + 20]
    assert late
    assert [call.error for call in late if call.error is not None] == []


@pytest.mark.slow
def test_an_hour_of_faults_of_all_kinds_keeps_every_promise() -> None:
    history = HourOfOutages(
        scenario_of(tuple(kind for kind in HARMLESS if kind != "add_partitions"), fault_gap=20), "none"
    )
    history.run()
    calls = history.calls.calls
    assert len(calls) > 500
    delivered = [call for call in calls if call.accepted_at is not None and call.error is None]
    assert len(delivered) > 0.9 * len(calls)
