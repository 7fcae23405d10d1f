"""What a seed stands for: the settings, the cluster, the load and the faults of one history.

Everything is drawn here, so that a history is a pure function of its seed, and a scenario can be read in one line of a
trace.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Final

from aioproducer._wire.api_keys import ApiKey
from aioproducer.config import ProducerConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

HARMLESS: Final = (
    "kill_connection",
    "lose_response",
    "close_at_request",
    "delay",
    "throttle",
    "pause_broker",
    "stop_broker",
    "move_leader",
    "hold_replication",
    "shrink_isr",
    "refuse",
    "refuse_long",
    "stale_metadata",
    "refuse_metadata",
    "refuse_init",
    "slow_network",
    "black_hole",
    "add_partitions",
)
"""Faults that a patient producer gets over without losing a record."""

HARMFUL: Final = ("fail_batch", "spurious_gap", "doubt_then_fail", "fail_topic", "fail_init")
"""Faults that may fail records, and yet must not break a promise."""

QUICK: Final = ("lose_response", "close_at_request", "refuse", "add_partitions", "kill_connection")
"""Faults after which the producer has no reason to wait for longer than its backoffs."""

FORGETFUL: Final = ("recreate_topic", "forget_producers")
"""Faults by which brokers lose what they have promised to keep; little is promised after them."""


ENDINGS: Final = ("close", "close", "flush", "flush", "early close", "abort")
"""How a producer is closed. There is one more, "lapse": an outage as long as delivery_timeout_ms, and then all is well.
"""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One history, before it happens. Times are in seconds unless their name says otherwise.

    Attributes:
        settings: of the producer.
        brokers: how many.
        replication: of each topic.
        topics: partitions of each topic, by name; 0 for one that only comes to be by being asked for.
        topic_settings: by Kafka's names.
        max_versions: of the brokers, by api key.
        calls: how many calls are made, over about `duration`.
        values: sizes of the values are drawn between these.
        latency: of the network, one way, drawn between these.
        poll_lateness: how late the shell may poll.
        write_lateness: how long the shell may take to write a request.
        is_trio: woken calls run in no fixed order and cannot be cancelled any more.
        faults: what may go wrong.
        fault_gap: mean time between two faults.
        ending: how the producer is closed.
        is_sparse: calls are seconds apart and faults are QUICK, so that each record is delivered before the next.
        is_patient: delivery_timeout_ms is so long that, the faults over, everything has to be delivered.
        first_sequence: of each partition, in the first epoch; near 2**31 - 1 so that it wraps.
        first_epoch: of the first producer id, as its broker gives it.
    """

    seed: int
    settings: Mapping[str, Any]  # Any: ProducerConfig checks them
    brokers: int
    replication: int
    topics: Mapping[str, int]
    topic_settings: Mapping[str, str]
    max_versions: Mapping[int, int]
    calls: int
    duration: float
    values: tuple[int, int]
    latency: tuple[float, float]
    poll_lateness: float
    write_lateness: float
    is_trio: bool
    faults: tuple[str, ...]
    fault_gap: float
    ending: str
    is_sparse: bool
    is_patient: bool
    first_sequence: int
    first_epoch: int
    config: ProducerConfig = field(repr=False)

    @property
    def is_idempotent(self) -> bool:
        """Whether nothing may be written twice."""
        return self.config.enable_idempotence

    @property
    def is_ordered(self) -> bool:
        """Whether the order within a partition is promised."""
        return self.is_idempotent or (self.config.max_in_flight_requests_per_connection == 1 and self.config.acks != 0)

    @property
    def keeps_promises(self) -> bool:
        """Whether the brokers keep acknowledged data and producer state."""
        return not set(self.faults) & set(FORGETFUL)


def draw(seed: int) -> Scenario:
    """Return the scenario of a seed."""
    rng = Random(seed)
    is_sparse = rng.random() < 0.05
    is_patient = is_sparse or rng.random() < 0.35
    faults = _faults(rng, is_patient=is_patient)
    if is_sparse:
        faults = tuple(kind for kind in faults if kind in QUICK)
    brokers = rng.choice((1, 1, 2, 3, 3))
    replication = rng.randint(1, brokers)
    topics = {f"t{index}": rng.choice((1, 1, 2, 3, 6)) for index in range(rng.choice((1, 1, 2, 3)))}
    if rng.random() < 0.3:
        topics["made-later"] = 0
    values = rng.choice(((8, 20), (8, 60), (20, 200), (8, 800)))
    latency = rng.choice(((0.0002, 0.001), (0.0005, 0.02), (0.005, 0.05)))
    settings = _settings(rng, values, latency[1], is_patient=is_patient)
    if is_sparse:  # nothing but what is due may wake the core
        settings |= dict.fromkeys(("metadata_max_age_ms", "metadata_recovery_rebootstrap_trigger_ms"), 300_000)
    topic_settings: dict[str, str] = {}
    if rng.random() < 0.2:
        topic_settings["max.message.bytes"] = str(rng.randint(values[1] + 100, 3 * values[1] + 500))
    calls = rng.randint(10, 40) if is_sparse else rng.randint(80, 220)
    duration = calls * (rng.uniform(3, 10) if is_sparse else rng.choice((0.0005, 0.002, 0.005, 0.01, 0.03)))
    return Scenario(
        seed=seed,
        settings=settings,
        brokers=brokers,
        replication=replication,
        topics=topics,
        topic_settings=topic_settings,
        max_versions=_versions(rng, settings),
        calls=calls,
        duration=duration,
        values=values,
        latency=latency,
        poll_lateness=rng.choice((0.0, 0.0005, 0.01)),
        write_lateness=rng.choice((0.0, 0.0005, 0.02)),
        is_trio=rng.random() < 0.5,
        faults=faults,
        fault_gap=duration / rng.uniform(3, 25),
        ending=rng.choice(ENDINGS if is_patient else (*ENDINGS, "lapse")),
        is_sparse=is_sparse,
        is_patient=is_patient,
        first_sequence=2**31 - rng.choice((3, 30, 100)) if rng.random() < 0.25 else 0,
        first_epoch=2**15 - rng.randint(1, 4) if rng.random() < 0.15 else 0,
        config=ProducerConfig(bootstrap_servers=_bootstrap(brokers), **settings),
    )


def _bootstrap(brokers: int) -> str:
    return ",".join(f"b{index}:9092" for index in range(brokers))


def _faults(rng: Random, *, is_patient: bool) -> tuple[str, ...]:
    if rng.random() < 0.08:
        return ()
    share = rng.choice((0.1, 0.3, 0.6))
    kinds = [kind for kind in HARMLESS if rng.random() < share]
    if not is_patient:
        kinds += [kind for kind in HARMFUL if rng.random() < share / 2]
        if rng.random() < 0.1:
            kinds.append(rng.choice(FORGETFUL))
    return tuple(kinds)


def _settings(rng: Random, values: tuple[int, int], latency: float, *, is_patient: bool) -> dict[str, Any]:
    linger_ms = rng.choice((0, 1, 5, 20, 100))
    request_timeout_ms = rng.choice((60, 200, 1000))
    setup_ms = rng.choice((100, 500))
    if is_patient:  # a request that is answered as soon as can be must not be too late
        request_timeout_ms = max(request_timeout_ms, int(latency * 10_000))
        setup_ms = max(setup_ms, int(latency * 10_000))
    lifetime_ms = rng.choice((20, 200, 1000, 5000))
    delivery_ms = 3_600_000 if is_patient else linger_ms + request_timeout_ms + lifetime_ms
    batch_size = rng.choice((0, 200, 1000, 4000))
    least_memory = max(batch_size, values[1] + 400)
    backoff_ms = rng.choice((1, 10, 100))
    settings: dict[str, Any] = {
        "linger_ms": linger_ms,
        "request_timeout_ms": request_timeout_ms,
        "delivery_timeout_ms": delivery_ms,
        "max_block_ms": 3_600_000 if is_patient else rng.choice((30, 300, 3000)),
        "batch_size": batch_size,
        "buffer_memory": rng.choice((least_memory, 4 * least_memory, 40 * least_memory, 1_000_000)),
        "max_request_size": rng.choice((values[1] + 300, 3000, 1_048_576)),
        "retry_backoff_ms": backoff_ms,
        "retry_backoff_max_ms": backoff_ms * rng.choice((1, 10)),
        "reconnect_backoff_ms": rng.choice((1, 10, 50)),
        "reconnect_backoff_max_ms": rng.choice((50, 500)),
        "metadata_max_age_ms": rng.choice((100, 1000, 300_000)),
        "metadata_recovery_rebootstrap_trigger_ms": rng.choice((100, 1000, 300_000)),
        "socket_connection_setup_timeout_ms": setup_ms,
        "socket_connection_setup_timeout_max_ms": 1000,
        "connections_max_idle_ms": rng.choice((50, 1000, 540_000, -1)),
        "max_in_flight_requests_per_connection": rng.choice((1, 2, 5, 5, 5)),
        "partitioner_availability_timeout_ms": rng.choice((0, 0, 50)),
        "partitioner_ignore_keys": rng.random() < 0.2,
    }
    _choose_guarantee(rng, settings, is_patient=is_patient)
    if rng.random() < 0.1:
        settings["compression_type"] = rng.choice(("gzip", "lz4"))
    return settings


def _choose_guarantee(rng: Random, settings: dict[str, Any], *, is_patient: bool) -> None:
    drawn = rng.random()
    if drawn < 0.75:
        if not is_patient and rng.random() < 0.1:
            settings["retries"] = rng.choice((1, 3, 20))
        return
    settings["enable_idempotence"] = False
    settings["acks"] = rng.choice((-1, -1, 1, 0))
    if settings["acks"] == -1 and rng.random() < 0.7:
        settings["max_in_flight_requests_per_connection"] = 1


def _versions(rng: Random, settings: Mapping[str, Any]) -> dict[int, int]:
    if rng.random() < 0.7:
        return {}
    return {
        int(ApiKey.PRODUCE): rng.choice((3, 7, 9, 12)),
        int(ApiKey.METADATA): rng.choice((4, 8, 9, 10, 12)),
        int(ApiKey.INIT_PRODUCER_ID): rng.choice((0, 1, 3)),
    }
