"""What the tests of the core share: settings, brokers' versions, and a hand-driven shell around a Sender."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from aioproducer._core.metadata import Broker
from aioproducer._wire.api_keys import ApiKey
from aioproducer._wire.messages.metadata import (
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)
from aioproducer._wire.negotiation import ApiVersionRange, BrokerVersions
from aioproducer.config import ProducerConfig, ProducerSettings

if TYPE_CHECKING:
    from typing import Unpack

TOPIC_ID = UUID(int=99)


def config(**settings: Unpack[ProducerSettings]) -> ProducerConfig:
    """Return settings with a bootstrap server."""
    settings.setdefault("bootstrap_servers", "boot:9092")
    return ProducerConfig(**settings)


def versions(*, produce: int = 13, metadata: int = 13, init_producer_id: int = 5) -> BrokerVersions:
    """Return what a broker can do, by the highest versions of its requests."""
    return BrokerVersions(
        apis={
            ApiKey.PRODUCE: ApiVersionRange(0, produce),
            ApiKey.METADATA: ApiVersionRange(0, metadata),
            ApiKey.INIT_PRODUCER_ID: ApiVersionRange(0, init_producer_id),
        }
    )


def broker(node_id: int, host: str = "", port: int = 9092) -> Broker:
    """Return a broker of the metadata."""
    return Broker(node_id, host or f"host{node_id}", port)


def topic_answer(
    name: str = "t", leaders: tuple[int, ...] = (1,), *, epoch: int = 0, error: int = 0, topic_id: UUID = TOPIC_ID
) -> MetadataResponseTopic:
    """Return a topic of a Metadata answer whose partitions have these leaders."""
    return MetadataResponseTopic(
        error_code=error,
        name=name,
        topic_id=topic_id,
        partitions=[
            MetadataResponsePartition(
                error_code=0 if leader >= 0 else 5, partition_index=index, leader_id=leader, leader_epoch=epoch
            )
            for index, leader in enumerate(leaders)
        ],
    )


def metadata_answer(
    *topics: MetadataResponseTopic, brokers: tuple[int, ...] = (1,), cluster_id: str | None = "c", error: int = 0
) -> MetadataResponse:
    """Return a Metadata answer."""
    return MetadataResponse(
        brokers=[MetadataResponseBroker(node_id=i, host=f"host{i}", port=9092) for i in brokers],
        cluster_id=cluster_id,
        topics=list(topics),
        error_code=error,
    )
