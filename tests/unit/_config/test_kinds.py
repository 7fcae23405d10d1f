"""Single values, from Python and from text."""

from __future__ import annotations

from typing import Any

import pytest

from aioproducer._config.kinds import (
    Acks,
    Boolean,
    Choice,
    Integer,
    Interceptors,
    PartitionerKind,
    SerializerKind,
    Servers,
    Text,
)
from aioproducer.interceptors import ProducerInterceptor
from aioproducer.serializers import utf8


class Interceptor(ProducerInterceptor[Any, Any]):
    pass


class TopicWise:
    def serialize(self, topic: str, value: str, headers: object) -> bytes:
        return value.encode()


GOOD = [
    (Integer(-1), -1),
    (Integer(), 2**31 - 1),
    (Integer(1, 9, also=-1), -1),
    (Boolean(), False),
    (Choice(("a", "b")), "b"),
    (Text(), ""),
    (Text(may_be_empty=False), None),
    (Acks(), 0),
    (SerializerKind(), None),
    (SerializerKind(), utf8),
    (PartitionerKind(), None),
    (PartitionerKind(), "fnv1a"),
    (PartitionerKind(), len),
    (Interceptors(), ()),
]

BAD: list[tuple[Any, object]] = [
    (Integer(), -1),
    (Integer(), 2**31),
    (Integer(1, 9, also=-1), 0),
    (Integer(), True),
    (Integer(), 5.0),
    (Integer(), "5"),
    (Integer(), None),
    (Boolean(), 1),
    (Boolean(), "true"),
    (Choice(("a", "b")), "A"),
    (Choice(("a", "b")), None),
    (Choice(("a", "b")), 1),
    (Text(), 5),
    (Text(), b"x"),
    (Text(may_be_empty=False), ""),
    (Acks(), 2),
    (Acks(), "All"),
    (Acks(), True),
    (Acks(), None),
    (Servers(), 9092),
    (Servers(), None),
    (SerializerKind(), "utf8"),
    (SerializerKind(), TopicWise),
    (SerializerKind(), str),
    (PartitionerKind(), "murmur3"),
    (PartitionerKind(), 5),
    (PartitionerKind(), dict),
    (Interceptors(), Interceptor()),
    (Interceptors(), [Interceptor]),
    (Interceptors(), [object()]),
    (Interceptors(), "x"),
]

TEXTS: list[tuple[Any, str, object]] = [
    (Integer(), "100", 100),
    (Integer(-1), "-1", -1),
    (Boolean(), "TRUE", True),
    (Boolean(), "false", False),
    (Choice(("rebootstrap", "none"), folds_case=True), "ReBootstrap", "rebootstrap"),
    (Text(), "x", "x"),
    (Acks(), "all", -1),
    (Acks(), "-1", -1),
    (Acks(), "1", 1),
    (Servers(), "a:1,b:2", (("a", 1), ("b", 2))),
    (SerializerKind(), "org.apache.kafka.common.serialization.StringSerializer", utf8),
    (SerializerKind(), "org.apache.kafka.common.serialization.ByteArraySerializer", None),
    (PartitionerKind(), "org.apache.kafka.clients.producer.RoundRobinPartitioner", "round_robin"),
    (PartitionerKind(), "consistent_random", "consistent_random"),
    (Interceptors(), "", ()),
]

BAD_TEXTS: list[tuple[Any, str]] = [
    (Integer(), ""),
    (Integer(), "1_000"),
    (Integer(), "1.0"),
    (Integer(), "0x10"),
    (Integer(), "٣"),
    (Integer(), "9" * 5000),
    (Boolean(), "yes"),
    (Boolean(), "1"),
    (Acks(), "quorum"),
    (SerializerKind(), "com.example.Mine"),
    (PartitionerKind(), "com.example.Mine"),
    (Interceptors(), "com.example.Mine"),
]


@pytest.mark.parametrize(("kind", "value"), GOOD)
def test_legal_values_are_kept(kind: Any, value: object) -> None:
    assert kind.native(value) == value


@pytest.mark.parametrize(("kind", "value"), BAD)
def test_other_values_are_refused_with_what_is_expected(kind: Any, value: object) -> None:
    with pytest.raises(ValueError, match=r"^(is|has) .*(; |empty)"):
        kind.native(value)


@pytest.mark.parametrize(("kind", "text", "value"), TEXTS)
def test_texts_are_read(kind: Any, text: str, value: object) -> None:
    assert kind.text(text) == value


@pytest.mark.parametrize(("kind", "text"), BAD_TEXTS)
def test_other_texts_are_refused(kind: Any, text: str) -> None:
    with pytest.raises(ValueError, match=r"^is "):
        kind.text(text)


def test_none_may_stand_for_a_word() -> None:
    assert Choice(("none", "gzip"), none_is="none").native(None) == "none"


def test_acks_takes_words_from_python_too() -> None:
    assert Acks().native("all") == -1


def test_objects_are_kept() -> None:
    serializer, interceptor = TopicWise(), Interceptor()
    assert SerializerKind().native(serializer) is serializer
    assert Interceptors().native([interceptor]) == (interceptor,)


def test_labels_tell_range_and_words() -> None:
    assert Integer(5_000).label == "int, at least 5000"
    assert Integer(1, 9, also=-1).label == "int, 1 to 9, or -1"
    assert Choice(("a", "b")).label == "one of a, b"


def test_a_text_is_as_long_as_the_protocol_has_it() -> None:
    assert Text().native("é" * 16_383) is not None
    with pytest.raises(ValueError, match="more than 32,767 bytes"):
        Text().native("é" * 16_384)
