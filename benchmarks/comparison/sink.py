"""A broker that takes everything and keeps nothing: what remains is the cost of the client.

    python -m benchmarks.comparison.sink

Prints its port, serves until its standard input ends. It checks nothing; the batches are not looked at.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING
from uuid import UUID

from aioproducer._wire.frames import FrameBuffer, decode_request, decode_request_body, encode_response
from aioproducer._wire.messages import REQUESTS, ApiKey
from aioproducer._wire.messages.api_versions import ApiVersion, ApiVersionsRequest, ApiVersionsResponse
from aioproducer._wire.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from aioproducer._wire.messages.metadata import (
    MetadataRequest,
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)
from aioproducer._wire.messages.produce import (
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceResponse,
)
from benchmarks.comparison.workload import PARTITIONS, TOPIC

if TYPE_CHECKING:
    from aioproducer._wire.schema import Request, Response

TOPIC_ID = UUID(int=1)
UNSUPPORTED_VERSION = 35


class Sink(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._frames = FrameBuffer()
        self._offset = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._port: int = transport.get_extra_info("sockname")[1]

    def data_received(self, data: bytes) -> None:
        """Answer what is complete."""
        for frame in self._frames.feed(data):
            header, body = decode_request(frame)
            if header.api_key == ApiKey.API_VERSIONS and header.api_version > ApiVersionsRequest.max_version:
                refusal = ApiVersionsResponse(error_code=UNSUPPORTED_VERSION, api_keys=_versions())
                self._transport.write(encode_response(refusal, 0, header.correlation_id))
                continue
            request = decode_request_body(header.api_key, header.api_version, body)
            answer = self._answer(request)
            self._transport.write(encode_response(answer, header.api_version, header.correlation_id))

    def _answer(self, request: Request) -> Response:
        match request:
            case ProduceRequest():
                return self._produced(request)
            case ApiVersionsRequest():
                return ApiVersionsResponse(api_keys=_versions())
            case MetadataRequest():
                return self._metadata()
            case InitProducerIdRequest():
                return InitProducerIdResponse(producer_id=1, producer_epoch=0)
            case _:
                raise RuntimeError(f"the sink has no answer to {type(request).__name__}")

    def _produced(self, request: ProduceRequest) -> ProduceResponse:
        self._offset += 1_000_000  # more than the records of a batch
        return ProduceResponse(
            responses=[
                TopicProduceResponse(
                    name=topic.name,
                    topic_id=topic.topic_id,
                    partition_responses=[
                        PartitionProduceResponse(index=data.index, base_offset=self._offset)
                        for data in topic.partition_data
                    ],
                )
                for topic in request.topic_data
            ]
        )

    def _metadata(self) -> MetadataResponse:
        partitions = [
            MetadataResponsePartition(
                partition_index=index, leader_id=1, leader_epoch=0, replica_nodes=[1], isr_nodes=[1]
            )
            for index in range(PARTITIONS)
        ]
        return MetadataResponse(
            brokers=[MetadataResponseBroker(node_id=1, host="127.0.0.1", port=self._port)],
            cluster_id="sink",
            controller_id=1,
            topics=[MetadataResponseTopic(name=TOPIC, topic_id=TOPIC_ID, partitions=partitions)],
        )


def _versions() -> list[ApiVersion]:
    # librdkafka wants to see Produce 0, or it takes compression to be impossible, and some others to know the age.
    return [
        ApiVersion(
            api_key=key,
            min_version=0 if key == ApiKey.PRODUCE else request.min_version,
            max_version=request.max_version,
        )
        for key, request in REQUESTS.items()
    ]


async def serve() -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Sink, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()
    server.close()


if __name__ == "__main__":
    asyncio.run(serve())
