"""What a transactional producer that is closed says."""

from __future__ import annotations

import pytest

from aioproducer import Producer, TopicPartition
from aioproducer.errors import IllegalStateError, KafkaError
from tests.contract.support import Cluster, new_topic_name


async def test_transactional_calls_after_close_are_refused(cluster: Cluster) -> None:
    topic = await cluster.create_topic()
    producer = Producer[bytes, bytes](
        bootstrap_servers=cluster.bootstrap_servers, transactional_id=new_topic_name("closed")
    )
    async with producer:
        transaction = await producer.begin_transaction()
        await producer.send(topic, b"never committed")
    with pytest.raises(IllegalStateError):
        await producer.begin_transaction()
    with pytest.raises(IllegalStateError):
        async with producer.transaction():
            raise AssertionError("it has begun")
    with pytest.raises(KafkaError):
        await transaction.commit()
    with pytest.raises(KafkaError):
        await transaction.send_offsets({TopicPartition(topic, 0): 1}, "g")
    assert [record.value for record in await cluster.read(topic, "read_committed")] == []
