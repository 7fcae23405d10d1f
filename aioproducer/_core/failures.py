"""The failures that concern more than one batch: what ends the producer, what fails with it, why a batch is late."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aioproducer._core.accumulator.batch import BatchState
from aioproducer._logger import get_logger
from aioproducer.errors import ErrorCode, KafkaError
from aioproducer.errors._from_code import error_for

if TYPE_CHECKING:
    from aioproducer._core.accumulator.accumulator import Accumulator
    from aioproducer._core.accumulator.batch import ProducerBatch
    from aioproducer._core.cluster.metadata import ClusterMetadata
    from aioproducer._core.cluster.metadata_state import MetadataState
    from aioproducer._core.cluster.nodes import Nodes
    from aioproducer._core.produce.produce import Produce
    from aioproducer._core.produce.sequences import Sequences
    from aioproducer.errors import BrokerError

logger = get_logger("aioproducer.sender")


class Failures:
    """Fails what cannot be delivered any more.

    Attributes:
        fatal_error: what the producer cannot go on after; everything fails with it. None while all is well.
    """

    def __init__(
        self,
        accumulator: Accumulator,
        sequences: Sequences,
        metadata: MetadataState,
        nodes: Nodes,
        produce: Produce,
    ) -> None:
        self.fatal_error: KafkaError | None = None
        self._accumulator = accumulator
        self._sequences = sequences
        self._metadata = metadata
        self._nodes = nodes
        self._produce = produce

    def fail_producer(self, error: KafkaError) -> None:
        """The producer cannot go on; everything fails with the error at the end of the poll."""
        self.fatal_error = error

    def fail_queued(self, error: BrokerError, what: str) -> None:
        """Fail what is buffered and not in flight."""
        fields = {"event_name": "producer_id_refused", "node": error.node, "reason": error.name}
        logger.error("%s: %s", what, error, extra=fields)
        self._note_failed(self._accumulator.fail_queued(error))

    def fail_all(self, error: KafkaError) -> None:
        """Fail everything, what is in flight included."""
        self._note_failed(self._accumulator.fail_all(error))

    def _note_failed(self, batches: list[ProducerBatch]) -> None:
        for batch in batches:
            self._sequences.on_failed(batch)
            self._produce.completed.append(batch)

    def why_late(
        self, batch: ProducerBatch, now: float, *, producer_id: KafkaError | None, connection: KafkaError | None
    ) -> KafkaError | None:
        """Return what keeps the batch from being acknowledged now, as far as it is known; what is over comes last.

        Args:
            batch: it has not been acknowledged in time.
            now: monotonic seconds.
            producer_id: the last error on the way to the producer id, or of the transaction.
            connection: the last error of any connection, if none has succeeded since.
        """
        cluster = self._metadata.cluster
        leader = (
            batch.last_node if batch.state is BatchState.IN_FLIGHT else cluster.leader(batch.topic, batch.partition)
        )
        node = None if leader is None else self._nodes.get(leader)
        return (
            (None if node is None else self._nodes.current_error(node, now))
            or (self._metadata.retry_timer.last_error or _no_leader(cluster, batch) if leader is None else None)
            or producer_id
            or batch.last_error
            or connection
            or (None if node is None else self._nodes.current_error(node, now, silence=0.0))
        )


def _no_leader(cluster: ClusterMetadata, batch: ProducerBatch) -> KafkaError:
    """Return why the batch has nowhere to go."""
    return cluster.errors.get(batch.topic) or error_for(
        ErrorCode.LEADER_NOT_AVAILABLE, api="Metadata", topic=batch.topic, partition=batch.partition
    )
