"""What statistics() and status() answer: the metrics and the state of a runtime, read at one moment."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, TypeVar

from aioproducer._producer.status import ProducerStatus
from aioproducer.metrics import MetricsSnapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from aioproducer._runtime.loop import Runtime


T = TypeVar("T")

READ_AT_MOST: Final = 1000


def read(what: Callable[[Runtime], T], runtime: Runtime) -> T:
    """Read it, in any thread: what the loop's thread changes while it is read is read once more.

    Nothing is locked, as the loop would have to take the lock for each batch. A dictionary that was changed while it
    was gone through says so; that a number is a moment older than another one does no harm.
    """
    for _ in range(READ_AT_MOST):
        try:
            return what(runtime)
        except RuntimeError:
            continue
    return what(runtime)


def statistics_of(runtime: Runtime) -> MetricsSnapshot:
    """Return all metrics as they are now. Costs what is known (topics, brokers), not what was sent."""
    figures = runtime.figures
    held = runtime.accumulator.statistics()
    sender = runtime.sender.statistics()
    now = runtime.clock()
    return MetricsSnapshot(
        {
            "record-send-total": figures.records_sent,
            "record-retry-total": figures.records_sent_again,
            "record-error-total": figures.records_failed,
            "batch-split-total": sender.batch_splits,
            "buffer-exhausted-total": figures.calls_without_room,
            "request-total": figures.requests,
            "response-total": figures.responses,
            "outgoing-byte-total": figures.bytes_out,
            "incoming-byte-total": figures.bytes_in,
            "connection-creation-total": figures.connections_made,
            "connection-close-total": figures.connections_closed,
            "successful-reauthentication-total": sender.reauthentications,
            "reauthentication-latency-max": sender.reauthentication_seconds_max * 1000,
            "connection-count": figures.connections_made - figures.connections_closed,
            "requests-in-flight": sender.requests_in_flight,
            "metadata-age": math.nan if sender.metadata_at is None else now - sender.metadata_at,
            "buffer-total-bytes": held.buffer_total_bytes,
            "buffer-available-bytes": held.buffer_available_bytes,
            "waiting-threads": held.waiting_for_memory,
            **figures.windowed.read(now),
        }
    )


def status_of(runtime: Runtime) -> ProducerStatus:
    """Return how the producer is now."""
    sender = runtime.sender
    told = sender.status(runtime.clock())
    held = runtime.accumulator.statistics()
    oldest_at = runtime.accumulator.oldest_at
    connected = [broker for broker in told.brokers if broker.state == "READY"]
    return ProducerStatus(
        is_ready=bool(connected) and told.fatal_error is None and not runtime.finished.is_set(),
        brokers_connected=len(connected),
        brokers_known=sum(broker.node_id >= 0 for broker in told.brokers) or len(told.brokers),
        oldest_unsent_seconds=0.0 if oldest_at is None else max(0.0, runtime.clock() - oldest_at),
        buffer_used=1 - held.buffer_available_bytes / max(1, held.buffer_total_bytes),
        last_error=told.fatal_error or sender.last_connection_error,
        cluster_id=told.cluster_id,
    )
