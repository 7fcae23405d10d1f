"""What a seed stands for: the settings, the cluster, the load and the faults of one history.

Everything is drawn here, so that a history is a pure function of its seed, and a scenario can be read in one line of a
trace.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, TypeAlias

from aioproducer._config import ProducerConfig
from aioproducer._wire.api_keys import ApiKey
from tests.simulation.transactional import SUITABLE, Transactional, make_transactional

Theme: TypeAlias = Callable[[Random, dict[str, Any], dict[str, Any]], None]  # Any: values of a scenario, and settings
"""Changes what was drawn: (rng, fields of the scenario, settings)."""

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


TRANSACTIONAL_SEEDS: Final = 3
"""Seeds that leave this when divided by four are of histories with transactions."""

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
        theme: of THEMES.
        is_patient: delivery_timeout_ms is so long that, the faults over, everything has to be delivered.
        first_sequence: of each partition, in the first epoch; near 2**31 - 1 so that it wraps.
        first_epoch: of the first producer id, as its broker gives it.
        transactional: what is particular to a history with transactions; None for one without.
        session: seconds after which a broker takes no more requests on a connection without another login; 0: for ever.
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
    theme: str
    is_patient: bool
    first_sequence: int
    first_epoch: int
    config: ProducerConfig = field(repr=False)
    transactional: Transactional | None = None
    session: float = 0.0

    @property
    def is_sparse(self) -> bool:
        """Whether each record is delivered before the next call."""
        return self.theme == "sparse"

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


SESSIONS: Final = 10**9
"""Seeds of their own: what else is in a history does not depend on them."""


def _session(rng: Random) -> float:
    return rng.choice((1.2, 1.6, 2.5)) if rng.random() < 0.15 else 0.0


def draw(seed: int) -> Scenario:
    """Return the scenario of a seed."""
    rng = Random(seed)
    theme = "anything" if rng.random() < 0.6 else rng.choice(list(THEMES))
    is_transactional = seed % 4 == TRANSACTIONAL_SEEDS
    if is_transactional and theme not in SUITABLE:
        theme = "anything"
    is_patient = theme in ("sparse", "cold", "wrap") or (theme == "anything" and rng.random() < 0.4)
    brokers = rng.choice((1, 2, 3, 3))
    topics = {f"t{index}": rng.choice((1, 1, 2, 3, 6)) for index in range(rng.choice((1, 1, 2, 3)))}
    if rng.random() < 0.3:
        topics["made-later"] = 0
    values = rng.choice(((8, 20), (8, 60), (20, 200), (8, 800)))
    latency = rng.choice(((0.0002, 0.001), (0.0005, 0.02), (0.005, 0.05)))
    settings = _settings(rng, values, latency[1], is_patient=is_patient)
    calls = rng.randint(80, 220)
    duration = calls * rng.choice((0.0005, 0.002, 0.005, 0.01, 0.03))
    drawn: dict[str, Any] = {
        "brokers": brokers,
        "replication": rng.randint(1, brokers),
        "topics": topics,
        "topic_settings": _topic_settings(rng, values),
        "max_versions": _versions(rng),
        "calls": calls,
        "duration": duration,
        "values": values,
        "latency": latency,
        "poll_lateness": rng.choice((0.0, 0.0005, 0.01)),
        "write_lateness": rng.choice((0.0, 0.0005, 0.02)),
        "is_trio": rng.random() < 0.5,
        "faults": _faults(rng, is_patient=is_patient),
        "fault_gap": duration / rng.uniform(3, 25),
        "ending": rng.choice(ENDINGS if is_patient else (*ENDINGS, "lapse")),
        "first_sequence": 2**31 - rng.choice((3, 30, 100)) if rng.random() < 0.15 else 0,
        "first_epoch": 2**15 - rng.randint(1, 4) if rng.random() < 0.15 else 0,
    }
    if theme != "anything":
        THEMES[theme](rng, drawn, settings)
    if is_transactional:
        make_transactional(rng, drawn, settings, theme, is_patient=is_patient)
    config = ProducerConfig(bootstrap_servers=_bootstrap(drawn["brokers"]), **settings)
    return Scenario(
        seed=seed,
        theme=theme,
        is_patient=is_patient,
        settings=settings,
        config=config,
        session=_session(Random(seed + SESSIONS)),
        **drawn,
    )


# ── themes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _sparse(rng: Random, drawn: dict[str, Any], settings: dict[str, Any]) -> None:
    """Calls are seconds apart and faults are QUICK: nothing but what is due wakes the core."""
    calls = rng.randint(10, 40)
    duration = calls * rng.uniform(3, 10)
    faults = ("refuse", *(kind for kind in QUICK if rng.random() < 0.3))
    drawn |= {"calls": calls, "duration": duration, "fault_gap": duration / calls, "faults": faults}
    settings |= dict.fromkeys(("metadata_max_age_ms", "metadata_recovery_rebootstrap_trigger_ms"), 300_000)


def _order(rng: Random, drawn: dict[str, Any], settings: dict[str, Any]) -> None:
    """Only one request at a time keeps the order, while leaders move and connections break."""
    faults = ("move_leader", "move_leader", "pause_broker", "delay", "kill_connection", "lose_response")
    drawn |= {"brokers": 3, "replication": 3, "faults": faults, "fault_gap": drawn["duration"] / 25}
    drawn["topics"] = {"t0": rng.choice((2, 3))}
    settings |= {"metadata_max_age_ms": 100, "request_timeout_ms": 1000, "batch_size": rng.choice((0, 200))}
    settings["delivery_timeout_ms"] = max(settings["delivery_timeout_ms"], settings["linger_ms"] + 3000)
    settings |= {"enable_idempotence": False, "acks": -1, "max_in_flight_requests_per_connection": 1}
    settings.pop("retries", None)


def _wrap(rng: Random, drawn: dict[str, Any], settings: dict[str, Any]) -> None:
    """Sequence numbers wrap while batches are under way and get lost."""
    faults = ("kill_connection", "lose_response", "refuse", "close_at_request")
    duration = drawn["calls"] * rng.choice((0.003, 0.008))
    drawn |= {"first_sequence": 2**31 - rng.choice((20, 40, 60)), "first_epoch": 0, "faults": faults}
    drawn |= {"topics": {"t0": rng.choice((1, 2))}, "duration": duration, "fault_gap": duration / 12}
    drawn |= {"latency": (0.0005, 0.02), "ending": "flush"}
    settings |= {"batch_size": rng.choice((0, 200)), "max_in_flight_requests_per_connection": 5, "linger_ms": 0}
    _make_idempotent(settings)


def _lapse(rng: Random, drawn: dict[str, Any], settings: dict[str, Any]) -> None:
    """An outage that is longer than delivery_timeout_ms, and then all is well."""
    drawn |= {"ending": "lapse", "latency": (0.0002, 0.001), "duration": min(drawn["duration"], 1.0)}
    settings |= {"request_timeout_ms": 1000, "reconnect_backoff_max_ms": 50, "max_block_ms": 3000}
    settings |= {"delivery_timeout_ms": settings["linger_ms"] + 2000 + rng.choice((0, 3000))}
    _make_idempotent(settings)


def _cold(rng: Random, drawn: dict[str, Any], settings: dict[str, Any]) -> None:
    """Many calls are made before anything is known of the cluster, and the buffer is small."""
    drawn["topics"] = {"t0": 2, "t1": 1, **({"made-later": 0} if rng.random() < 0.5 else {})}
    settings |= {"batch_size": 0, "buffer_memory": drawn["values"][1] + rng.choice((300, 600, 2000))}
    settings["max_request_size"] = drawn["values"][1] + 200


def _split(rng: Random, drawn: dict[str, Any], settings: dict[str, Any]) -> None:
    """Batches are too large for their topic, and what they are cut into may not get through in time."""
    faults = ("refuse_long", "stop_broker", "pause_broker", "black_hole", "lose_response", "move_leader")
    drawn["topic_settings"] = {"max.message.bytes": str(drawn["values"][1] + 300)}
    drawn |= {"faults": faults, "fault_gap": drawn["duration"] / 10}
    settings |= {"batch_size": 4000, "buffer_memory": 100_000, "linger_ms": 20}
    settings["delivery_timeout_ms"] = settings["request_timeout_ms"] + rng.choice((100, 1000))


def _denied(rng: Random, drawn: dict[str, Any], settings: dict[str, Any]) -> None:
    """Topics may not be asked for while batches are being sent again."""
    faults = ("fail_topic", "refuse", "refuse_long", "kill_connection", "close_at_request")
    drawn |= {"faults": faults, "fault_gap": drawn["duration"] / 25}
    settings |= {"metadata_max_age_ms": rng.choice((100, 300_000)), "retry_backoff_ms": 20}
    settings["retry_backoff_max_ms"] = rng.choice((20, 300))


THEMES: Final[Mapping[str, Theme]] = {
    "sparse": _sparse,
    "order": _order,
    "wrap": _wrap,
    "lapse": _lapse,
    "cold": _cold,
    "denied": _denied,
    "split": _split,
}
"""What four histories in ten are about; the others are about anything."""


def _make_idempotent(settings: dict[str, Any]) -> None:
    for name in ("enable_idempotence", "acks", "retries"):
        settings.pop(name, None)


# ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────────


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
    if rng.random() < 0.7:
        if not is_patient and rng.random() < 0.1:
            settings["retries"] = rng.choice((1, 3, 20))
        return
    settings["enable_idempotence"] = False
    settings["acks"] = rng.choice((-1, -1, 1, 0))
    if settings["acks"] == -1 and rng.random() < 0.7:
        settings["max_in_flight_requests_per_connection"] = 1


def _topic_settings(rng: Random, values: tuple[int, int]) -> dict[str, str]:
    if rng.random() < 0.8:
        return {}
    return {"max.message.bytes": str(rng.randint(values[1] + 100, 3 * values[1] + 500))}


def _versions(rng: Random) -> dict[int, int]:
    if rng.random() < 0.7:
        return {}
    return {
        int(ApiKey.PRODUCE): rng.choice((3, 7, 9, 12)),
        int(ApiKey.METADATA): rng.choice((4, 8, 9, 10, 12)),
        int(ApiKey.INIT_PRODUCER_ID): rng.choice((0, 1, 3)),
    }
