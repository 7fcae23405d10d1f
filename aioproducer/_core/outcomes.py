"""How does a batch's failure read? The errors that records get, with all that is needed to find the cause."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aioproducer._core.batch import BatchState
from aioproducer.errors import (
    BrokerError,
    DeliveryTimeoutError,
    ErrorCode,
    InvalidRecordError,
    KafkaError,
    error_for,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aioproducer._core.batch import ProducerBatch
    from aioproducer._wire.messages.produce import BatchIndexAndErrorMessage


def delivery_timeout(batch: ProducerBatch, now: float, limit_ms: int, cause: KafkaError | None) -> DeliveryTimeoutError:
    """Return the error of a batch that was not acknowledged in time.

    Args:
        batch: the batch, before its outcome is set.
        now: monotonic seconds.
        limit_ms: delivery_timeout_ms.
        cause: the last failure on its way (of the batch, else of its broker's connection or of the metadata).
    """
    sent = batch.attempts + (batch.state is BatchState.IN_FLIGHT)  # attempts are those that are over
    elapsed = now - batch.created_at
    node = "" if batch.last_node is None else f", last to broker {batch.last_node}"
    history = f"sent {sent} times{node}" if sent else "never sent"
    written = "they may have been written" if batch.possibly_written else "they were not written"
    why = f"; last failure: {cause}" if cause is not None else ""
    error = DeliveryTimeoutError(
        f"{batch.count} records of topic {batch.topic!r} partition {batch.partition} were not acknowledged within"
        f" delivery_timeout_ms={limit_ms} ({elapsed:.1f} s since the batch began; {history}); {written}{why};"
        f" {_advice(batch, sent)}",
        elapsed=elapsed,
        topic=batch.topic,
        partition=batch.partition,
        attempts=sent,
        node=batch.last_node,
        possibly_written=batch.possibly_written,
    )
    error.__cause__ = cause
    return error


def _advice(batch: ProducerBatch, sent: int) -> str:
    if batch.possibly_written:
        return "sending them again may duplicate them; look at the brokers, or raise delivery_timeout_ms"
    if sent:
        return "they can be sent again; look at the brokers, or raise delivery_timeout_ms"
    return "check that the partition's leader can be reached, or raise delivery_timeout_ms"


def final_failure(batch: ProducerBatch, error: KafkaError) -> KafkaError:
    """Return the error with `possibly_written` as it is for this batch."""
    error.possibly_written = batch.possibly_written
    return error


def renumbering_failure(batch: ProducerBatch) -> KafkaError:
    """Return the error of a batch that may have been written and can never be confirmed, as the sequence has a gap."""
    error = BrokerError(
        f"{batch.count} records of topic {batch.topic!r} partition {batch.partition} may have been written, and the"
        " broker cannot tell any more, as an earlier batch is missing; sending them again may duplicate them",
        code=ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
        api="Produce",
        node=batch.last_node,
        topic=batch.topic,
        partition=batch.partition,
        retriable=False,
        possibly_written=True,
    )
    error.__cause__ = batch.last_error
    return error


def record_failures(
    batch: ProducerBatch, code: int, message: str | None, named: Sequence[BatchIndexAndErrorMessage], node: int | None
) -> tuple[KafkaError, dict[int, KafkaError]]:
    """Return the errors of a batch whose records the broker refused one by one (KIP-467).

    Returns:
        The error of the records that the broker did not name (they were not written either), and for the index of each
        that it named, its own: of the class of the code if it is the only one, else InvalidRecordError.
    """
    own: dict[int, KafkaError] = {}
    for entry in named:
        text = entry.batch_index_error_message or message
        error: BrokerError = error_for(
            code if len(named) == 1 else ErrorCode.INVALID_RECORD,
            text,
            api="Produce",
            node=node,
            topic=batch.topic,
            partition=batch.partition,
        )
        if isinstance(error, InvalidRecordError):
            error.record_errors = ((entry.batch_index, text),)
        own[entry.batch_index] = final_failure(batch, error)
    others = KafkaError(
        f"not written, as the broker refused {len(named)} other records of the same batch (topic {batch.topic!r}"
        f" partition {batch.partition}); this record can be sent again",
        retriable=True,
        possibly_written=batch.possibly_written,
    )
    others.__cause__ = next(iter(own.values()), None)
    return others, own
