"""Snapshots of the sender for people and metrics; no payload, no credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from aioproducer.errors import KafkaError


class BrokerStatus(NamedTuple):
    """One broker, or bootstrap server (negative id).

    Attributes:
        node_id, host, port: who it is and where.
        state: of its connection (the names of NodeState).
        requests_in_flight: requests without an answer.
        throttled_seconds: how long it wants not to be sent anything.
        last_error: why the last connection failed or was lost; None while connected.
    """

    node_id: int
    host: str
    port: int
    state: str
    requests_in_flight: int
    throttled_seconds: float
    last_error: KafkaError | None


class SenderStatus(NamedTuple):
    """The sender and the cluster as it knows it.

    Attributes:
        cluster_id: as the cluster calls itself, or None.
        brokers: all of them, bootstrap servers too.
        topics: how many are known.
        producer_id, producer_epoch: -1 while there is none.
        fatal_error: what the producer cannot go on after, or None.
    """

    cluster_id: str | None
    brokers: tuple[BrokerStatus, ...]
    topics: int
    producer_id: int
    producer_epoch: int
    fatal_error: KafkaError | None


class SenderStatistics(NamedTuple):
    """Counters since the start, but for the last two, which are of now.

    Attributes:
        batch_retries: batches queued again after a failed attempt.
        batch_splits: batches cut in parts as they were too large for the broker.
        expired_batches: batches that were not acknowledged in time.
        late_deliveries: expired batches that turned out to be written.
        producer_epoch_bumps: how often a gap in the sequence made a new producer epoch necessary.
        reauthentications: how often a session was renewed on its connection (KIP-368).
        reauthentication_seconds_max: for how long nothing could be sent to that broker, at most.
        requests_in_flight: requests without an answer.
        metadata_at: when metadata was last refreshed; None before the first time.
    """

    batch_retries: int
    batch_splits: int
    expired_batches: int
    late_deliveries: int
    producer_epoch_bumps: int
    reauthentications: int
    reauthentication_seconds_max: float
    requests_in_flight: int
    metadata_at: float | None
