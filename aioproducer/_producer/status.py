"""ProducerStatus: one answer for health checks and for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aioproducer._public import public_in

if TYPE_CHECKING:
    from aioproducer.errors import KafkaError


@public_in("aioproducer")
@dataclass(frozen=True, slots=True)
class ProducerStatus:
    """How a producer is now. Made for readiness checks; a liveness check should not depend on Kafka.

    Attributes:
        is_ready: it runs, a broker is connected, and nothing has happened that it cannot go on after.
        brokers_connected: how many brokers are connected now. Connections are made when there is something to send, so
            fewer than `brokers_known` is normal.
        brokers_known: how many the cluster has, as far as is known; bootstrap servers do not count once it is.
        oldest_unsent_seconds: age of the oldest record (or call) that waits for its outcome; 0.0 when none does.
        buffer_used: share of buffer_memory that is taken, from 0.0 to 1.0.
        last_error: why it is not ready or may soon not be: the fatal error, else the last failure of a connection
            since one was made; None when all is well.
        cluster_id: as the cluster calls itself; None when not known yet.
    """

    is_ready: bool = False
    brokers_connected: int = 0
    brokers_known: int = 0
    oldest_unsent_seconds: float = 0.0
    buffer_used: float = 0.0
    last_error: KafkaError | None = None
    cluster_id: str | None = None
