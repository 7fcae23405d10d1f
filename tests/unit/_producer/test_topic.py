"""topic.py: a handle's records are the producer's, with serializers of its own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aioproducer import Delivery, InvalidTopicError, KafkaError, ProducerRecord
from aioproducer._producer.prepare import RecordPreparer
from aioproducer._producer.topic import TopicHandle
from tests.unit._producer.runtimes import FakeRuntime, opened


def handle(*topics: str, name: str = "t", value_serializer: Any = None) -> tuple[TopicHandle[Any, Any], FakeRuntime]:
    send_path, runtime = opened(*topics)
    return TopicHandle(name, send_path, RecordPreparer(None, value_serializer, ())), runtime


def test_it_has_one_topic_whose_name_is_legal() -> None:
    topic, _ = handle("t")
    assert (topic.topic, repr(topic)) == ("t", "<TopicHandle 't'>")
    with pytest.raises(InvalidTopicError):
        handle(name="no/topic")


def test_its_serializers_are_its_own() -> None:
    topic, runtime = handle("t", value_serializer=str.encode)
    delivery = topic.submit_nowait("text", key=b"k")
    assert isinstance(delivery, Delivery)
    (batch,) = runtime.accumulator.fail_all(KafkaError("of the test"))
    assert delivery.done()
    assert (batch.topic, batch.count) == ("t", 1)


def test_a_topic_that_is_not_known_accepts_records_too() -> None:
    topic, runtime = handle()
    assert not topic.submit_nowait(b"v").done()
    assert runtime.accumulator.take_wanted_topics() == {"t"}


@pytest.mark.parametrize("verb", ["submit", "send"])
def test_a_coroutine_function_is_no_callback(verb: str) -> None:
    async def callback(delivery: object) -> None:
        """Never run."""

    topic, _ = handle("t")
    with pytest.raises(TypeError, match="plain function"):
        asyncio.run(getattr(topic, verb)(b"v", on_delivery=callback))
    with pytest.raises(TypeError, match="plain function"):
        topic.submit_nowait(b"v", on_delivery=callback)


def test_a_record_of_another_topic_is_refused() -> None:
    topic, _ = handle("t")
    record = ProducerRecord("u", b"v")
    with pytest.raises(ValueError, match="topic 'u' was given to the handle of topic 't'"):
        topic._prepare_one(record.topic, record.value, None, None, None, None)  # pyright: ignore[reportPrivateUsage]
