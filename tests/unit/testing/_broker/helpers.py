"""Batches and requests for the tests of the broker's core."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from aioproducer._records.compression import Codec, compressor
from aioproducer._records.encode import encode_records, seal_batch
from aioproducer._wire.messages import ApiKey
from aioproducer._wire.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from aioproducer._wire.messages.produce import (
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from aioproducer.testing._broker import ClusterCore, Reply
from aioproducer.testing._broker.state import Options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aioproducer._wire.schema import Message
    from aioproducer.testing._broker import Output

T = TypeVar("T", bound="Message")
WALL_EPOCH_MS = 1_700_000_000_000
TIMESTAMP = WALL_EPOCH_MS + 5


def batch(
    values: Sequence[bytes | None] = (b"value",),
    *,
    producer_id: int = -1,
    epoch: int = -1,
    sequence: int = -1,
    transactional: bool = False,
    codec: Codec = Codec.NONE,
    timestamps: Sequence[int] | None = None,
    keys: Sequence[bytes | None] | None = None,
) -> bytes:
    """One RecordBatch as a producer makes it."""
    times = list(timestamps or [TIMESTAMP] * len(values))
    return seal_batch(
        encode_records(times, keys, list(values), None),
        count=len(values),
        base_timestamp=times[0],
        max_timestamp=max(times),
        codec=codec,
        compressor=compressor(codec),
        producer_id=producer_id,
        producer_epoch=epoch,
        base_sequence=sequence,
        is_transactional=transactional,
    )


def core(brokers: int = 1, options: Options | None = None) -> ClusterCore:
    """A cluster at the time WALL_EPOCH_MS."""
    made = replace(options or Options(), wall_epoch_ms=WALL_EPOCH_MS)
    return ClusterCore(brokers, rng=random.Random(1), options=made)


def produce_request(
    topic: str, records: bytes | None, *, partition: int = 0, acks: int = -1, transactional_id: str | None = None
) -> ProduceRequest:
    """A Produce request of one batch, below version 13."""
    data = PartitionProduceData(index=partition, records=records)
    return ProduceRequest(
        transactional_id=transactional_id,
        acks=acks,
        timeout_ms=1000,
        topic_data=[TopicProduceData(name=topic, partition_data=[data])],
    )


class Client:
    """Asks a cluster over one connection."""

    def __init__(self, cluster: ClusterCore, node_id: int = 0) -> None:
        self.cluster = cluster
        self.node_id = node_id
        self.now = 0.0
        self._correlation_id = 0

    def send(self, request: Message, version: int) -> list[Output]:
        """What comes out of the cluster upon a request."""
        self._correlation_id += 1
        return self.cluster.handle(self.node_id, self, request, version, self._correlation_id, self.now)

    def ask(self, request: Message, version: int, answer: type[T]) -> T:
        """The answer to a request, which must come at once."""
        (output,) = self.send(request, version)
        assert isinstance(output, Reply)
        assert output.correlation_id == self._correlation_id
        assert isinstance(output.message, answer)
        output.message.encode_parts(version)  # it has no field that the version lacks
        return output.message

    def produce(
        self,
        topic: str,
        records: bytes | None,
        *,
        version: int = 12,
        partition: int = 0,
        acks: int = -1,
        transactional_id: str | None = None,
    ) -> PartitionProduceResponse:
        """The answer for one batch."""
        request = produce_request(topic, records, partition=partition, acks=acks, transactional_id=transactional_id)
        return self.ask(request, version, ProduceResponse).responses[0].partition_responses[0]

    def init_producer(self, transactional_id: str | None = None, version: int = 5) -> InitProducerIdResponse:
        """A producer id."""
        request = InitProducerIdRequest(transactional_id=transactional_id, transaction_timeout_ms=10_000)
        assert request.api_key == ApiKey.INIT_PRODUCER_ID
        return self.ask(request, version, InitProducerIdResponse)
