"""A broker that takes everything and keeps nothing: what remains is the cost of the client.

    python -m benchmarks.sink [--nodes 100] [--stall 2.5] [--certificate PEM]

Prints its ports, then serves until its standard input ends. It checks nothing; of a batch only the number of records is
looked at, for the offsets. Every topic exists; the end of its name tells how many partitions it has: "any-p6".
"""

from __future__ import annotations

import argparse
import asyncio
import re
import ssl
import struct
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid5

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

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aioproducer._wire.schema import Records, Request, Response

UNSUPPORTED_VERSION: Final = 35
NAMESPACE: Final = UUID(int=1)
COUNT_AT: Final = 57
"""Where in a RecordBatch the number of its records is."""


def partitions_of(topic: str) -> int:
    """Return how many partitions a topic has: what its name says after "-p", or 6."""
    told = re.search(r"-p(\d+)", topic)
    return int(told.group(1)) if told else 6


@dataclass(slots=True)
class Cluster:
    """What the nodes share."""

    stall: float
    ports: list[int] = field(default_factory=list[int])
    ends: dict[tuple[str | UUID, int], int] = field(default_factory=dict[tuple[str | UUID, int], int])
    producers: int = 0

    def append(self, topic: str | UUID, partition: int, records: Records) -> int:
        """Return the base offset of a batch."""
        assert isinstance(records, bytes | memoryview)
        base = self.ends.get((topic, partition), 0)
        self.ends[topic, partition] = base + int(struct.unpack_from(">i", records, COUNT_AT)[0])
        return base

    def metadata(self, names: Iterable[str]) -> MetadataResponse:
        """Tell of all nodes and of these topics."""
        nodes = len(self.ports)
        return MetadataResponse(
            brokers=[
                MetadataResponseBroker(node_id=index + 1, host="127.0.0.1", port=port)
                for index, port in enumerate(self.ports)
            ],
            cluster_id="sink",
            controller_id=1,
            topics=[
                MetadataResponseTopic(
                    name=name,
                    topic_id=uuid5(NAMESPACE, name),
                    partitions=[
                        self._partition(index, (index + number) % nodes + 1) for index in range(partitions_of(name))
                    ],
                )
                for number, name in enumerate(names)
            ],
        )

    def _partition(self, index: int, leader: int) -> MetadataResponsePartition:
        return MetadataResponsePartition(
            partition_index=index, leader_id=leader, leader_epoch=0, replica_nodes=[leader], isr_nodes=[leader]
        )


class Sink(asyncio.Protocol):
    """One connection."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._frames = FrameBuffer()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer what is complete."""
        for frame in self._frames.feed(data):
            header, body = decode_request(frame)
            if header.api_key == ApiKey.API_VERSIONS and header.api_version > ApiVersionsRequest.max_version:
                refusal = ApiVersionsResponse(error_code=UNSUPPORTED_VERSION, api_keys=_versions())
                self._transport.write(encode_response(refusal, 0, header.correlation_id))
                continue
            request = decode_request_body(header.api_key, header.api_version, body)
            answer = encode_response(self._answer(request), header.api_version, header.correlation_id)
            if self._cluster.stall and isinstance(request, ProduceRequest):
                asyncio.get_running_loop().call_later(self._cluster.stall, self._transport.write, answer)
            else:
                self._transport.write(answer)

    def _answer(self, request: Request) -> Response:
        match request:
            case ProduceRequest():
                return self._produced(request)
            case ApiVersionsRequest():
                return ApiVersionsResponse(api_keys=_versions())
            case MetadataRequest():
                return self._cluster.metadata(topic.name for topic in request.topics or () if topic.name is not None)
            case InitProducerIdRequest():
                self._cluster.producers += 1
                return InitProducerIdResponse(producer_id=self._cluster.producers, producer_epoch=0)
            case _:
                raise RuntimeError(f"the sink has no answer to {type(request).__name__}")

    def _produced(self, request: ProduceRequest) -> ProduceResponse:
        append = self._cluster.append
        return ProduceResponse(
            responses=[
                TopicProduceResponse(
                    name=topic.name,
                    topic_id=topic.topic_id,
                    partition_responses=[
                        PartitionProduceResponse(
                            index=data.index, base_offset=append(topic.name or topic.topic_id, data.index, data.records)
                        )
                        for data in topic.partition_data
                        if data.records is not None
                    ],
                )
                for topic in request.topic_data
            ]
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


async def serve(nodes: int, stall: float, certificate: str) -> None:
    """Serve until standard input ends; over TLS if there is a certificate."""
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    loop = asyncio.get_running_loop()
    cluster = Cluster(stall)
    servers = [await loop.create_server(lambda: Sink(cluster), "127.0.0.1", 0, ssl=context) for _ in range(nodes)]
    cluster.ports.extend(server.sockets[0].getsockname()[1] for server in servers)
    print(*cluster.ports, flush=True)
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()
    for server in servers:
        server.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--stall", type=float, default=0.0, help="seconds by which answers to Produce are late")
    parser.add_argument("--certificate", default="", help="a file with a key and its certificate: speak TLS")
    chosen = parser.parse_args()
    asyncio.run(serve(chosen.nodes, chosen.stall, chosen.certificate))
