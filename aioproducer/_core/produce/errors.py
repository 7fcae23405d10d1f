"""The errors of batches and their records, with all that is needed to find the cause."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aioproducer._core.accumulator.batch import BatchState
from aioproducer.errors import (
    BrokerError,
    DeliveryTimeoutError,
    ErrorCode,
    InvalidRecordError,
    KafkaError,
)
from aioproducer.errors._from_code import error_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aioproducer._core.accumulator.batch import ProducerBatch
    from aioproducer._wire.messages.produce import BatchIndexAndErrorMessage


def delivery_timeout(batch: ProducerBatch, now: float, limit_ms: int, cause: KafkaError | None) -> DeliveryTimeoutError:
    """Return the error of a batch that was not acknowledged in time.

    Args:
        batch: the batch, before its outcome is set.
        now: monotonic seconds.
        limit_ms: delivery_timeout_ms.
        cause: what is in its way at present (its broker, the metadata), else how its last attempt ended.
    """
    sent = batch.attempts + (batch.state is BatchState.IN_FLIGHT)  # attempts are those that are over
    elapsed = now - batch.created_at
    node = "" if batch.last_node is None else f", last to broker {batch.last_node}"
    history = f"sent {'once' if sent == 1 else f'{sent} times'}{node}" if sent else "never sent"
    written = "possibly written" if batch.possibly_written else "not written"
    why = f"; last failure: {cause}" if cause is not None else ""
    if batch.last_error is not None and str(batch.last_error) != str(cause):
        why += f"; its last attempt ended with: {batch.last_error}"
    error = DeliveryTimeoutError(
        f"{_records(batch)} of topic {batch.topic!r} partition {batch.partition} not acknowledged within"
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


def _records(batch: ProducerBatch) -> str:
    return "1 record" if batch.count == 1 else f"{batch.count} records"


def _advice(batch: ProducerBatch, sent: int) -> str:
    if batch.possibly_written:
        return "sending again may duplicate; look at the brokers, or raise delivery_timeout_ms"
    if sent:
        return "it is safe to send again; look at the brokers, or raise delivery_timeout_ms"
    return "check that the partition's leader can be reached, or raise delivery_timeout_ms"


def renumbering_failure(batch: ProducerBatch) -> KafkaError:
    """Return the error of a batch that may have been written and can never be confirmed, as the sequence has a gap."""
    error = BrokerError(
        f"{_records(batch)} of topic {batch.topic!r} partition {batch.partition} cannot be confirmed: it may have been"
        " written, and the broker cannot tell any more, as an earlier batch is missing; sending again may duplicate",
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
        error.possibly_written = batch.possibly_written
        own[entry.batch_index] = error
    others = KafkaError(
        f"not written, as the broker refused {len(named)} other records of the same batch (topic {batch.topic!r}"
        f" partition {batch.partition}); this record can be sent again",
        retriable=True,
        possibly_written=batch.possibly_written,
    )
    others.__cause__ = next(iter(own.values()), None)
    return others, own
