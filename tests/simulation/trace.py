"""What happened, in lines to read, when somebody asks for it; and nothing at all otherwise, as it costs more than a
history.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from aioproducer._core.accumulator.batch import ProducerBatch
from aioproducer._core.effects import Completed, Send
from aioproducer._wire.messages.metadata import MetadataRequest, MetadataResponse
from aioproducer._wire.messages.produce import ProduceRequest, ProduceResponse

if TYPE_CHECKING:
    from tests.simulation.clock import Clock


class Trace:
    """Collects lines if it is on."""

    def __init__(self, clock: Clock, *, is_on: bool) -> None:
        self.lines: list[str] = []
        self._clock = clock
        self._is_on = is_on

    def __call__(self, what: str, *details: object) -> None:
        if self._is_on:
            self.lines.append(f"{self._clock.now - 1000:9.4f}  {what:12} " + " ".join(map(describe, details)))


def describe(detail: object) -> str:
    """Return what a trace says of a message, an effect or anything else."""
    match detail:
        case ProduceRequest():
            batches = [f"{topic.name}-{data.index}" for topic in detail.topic_data for data in topic.partition_data]
            return "Produce " + ", ".join(batches)
        case ProduceResponse():
            answers = [
                f"{topic.name}-{answer.index} code {answer.error_code} offset {answer.base_offset}"
                for topic in detail.responses
                for answer in topic.partition_responses
            ]
            return "Produce answer " + ", ".join(answers)
        case MetadataRequest():
            return "Metadata " + ", ".join(topic.name or "?" for topic in detail.topics or ())
        case MetadataResponse():
            topics = [
                f"{topic.name}: {topic.error_code or [(p.leader_id, p.leader_epoch) for p in topic.partitions]}"
                for topic in detail.topics
            ]
            return f"Metadata answer brokers {[b.node_id for b in detail.brokers]}, " + ", ".join(topics)
        case Send():
            what = describe(detail.message) if detail.produce is None else describe(detail.produce.batches)
            return f"Send to node {detail.node_id} #{detail.request.correlation_id}: {what}"
        case Completed():
            return "Completed " + describe(detail.batches)
        case ProducerBatch():
            stamp = f"{detail.producer_id}/{detail.producer_epoch}/{detail.base_sequence}"
            outcome = f" -> {detail.error or detail.base_offset}" if detail.is_done else ""
            return f"[{detail.topic}-{detail.partition} {stamp} x{detail.count} {detail.state.name}{outcome}]"
        case list():
            return ", ".join(describe(each) for each in cast("list[object]", detail))
        case _:
            return str(detail)
