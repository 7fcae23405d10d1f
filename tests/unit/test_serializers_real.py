"""The serializers with the packages that they are for: what goes in comes out of the package's own decoder."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import orjson
import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary, to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import BaseModel

from aioproducer import ProducerRecord
from aioproducer._producer.prepare import PreparedRecord, RecordPreparer
from aioproducer.errors import SerializationError
from aioproducer.serializers import Serializer, json_serializer, protobuf, pydantic_json, utf8

DOCUMENT: Final[dict[str, Any]] = {"id": 7, "name": "Zoë", "items": [1.5, None, True]}


class Order(BaseModel):
    """A model."""

    id: int
    placed: datetime
    items: list[str] = []


class Price(msgspec.Struct):
    """A struct."""

    item: str
    cents: int


def serialized(serializer: Serializer[Any], value: object) -> PreparedRecord:
    """What the producer makes of the value."""
    return RecordPreparer(None, serializer, ()).prepare("orders", value, None, None, None, None)


@pytest.mark.parametrize(
    "serializer",
    [json_serializer(), json_serializer(orjson.dumps), json_serializer(msgspec.json.encode), orjson.dumps],
    ids=["stdlib", "orjson wrapped", "msgspec wrapped", "orjson"],
)
def test_every_json_encoder_makes_the_same_document(serializer: Serializer[Any]) -> None:
    value = serialized(serializer, DOCUMENT).value
    assert value == '{"id":7,"name":"Zoë","items":[1.5,null,true]}'.encode()


def test_the_standard_library_reads_what_orjson_and_msgspec_wrote() -> None:
    for encode in (orjson.dumps, msgspec.json.encode):
        value = serialized(encode, DOCUMENT).value
        assert value is not None
        assert json.loads(value) == DOCUMENT


def test_a_pydantic_model_comes_back() -> None:
    order = Order(id=7, placed=datetime(2025, 1, 2, tzinfo=UTC), items=["tea"])
    value = serialized(pydantic_json, order).value
    assert value is not None
    assert Order.model_validate_json(value) == order


def test_a_msgspec_struct_comes_back_from_json_and_msgpack() -> None:
    price = Price("tea", 350)
    as_json = serialized(msgspec.json.encode, price).value
    packed = serialized(msgspec.msgpack.encode, price).value
    assert as_json is not None and packed is not None
    assert msgspec.json.decode(as_json, type=Price) == price
    assert msgspec.msgpack.decode(packed, type=Price) == price


def test_a_protobuf_message_comes_back() -> None:
    message = Struct()
    message.update({"id": 7, "name": "Zoë"})
    value = serialized(protobuf, message).value
    assert value is not None
    assert Struct.FromString(value) == message


def test_an_empty_protobuf_message_is_an_empty_value_and_no_tombstone() -> None:
    assert serialized(protobuf, Timestamp()).value == b""


@pytest.mark.parametrize("is_binary", [True, False], ids=["binary", "structured"])
def test_a_cloud_event_comes_back_from_the_record_that_the_sdk_makes(is_binary: bool) -> None:
    attributes = {"type": "order.placed", "source": "/shop", "id": "1", "partitionkey": "customer-7"}
    event = CloudEvent(attributes, {"id": 7})
    message = (to_binary if is_binary else to_structured)(event, JSONFormat())
    record = ProducerRecord("events", message.value, key=message.key, headers=message.headers)
    prepared = RecordPreparer(utf8, None, ()).prepare(
        record.topic, record.value, record.key, record.partition, record.timestamp_ms, record.headers
    )
    assert prepared.key == b"customer-7"
    if is_binary:
        headers = {name: value for name, value in prepared.headers or () if value is not None}
        assert prepared.value is not None
        back = from_binary(KafkaMessage(headers, prepared.key, prepared.value), JSONFormat(), CloudEvent)
        assert (back.get_type(), back.get_source(), back.get_data()) == ("order.placed", "/shop", {"id": 7})
    else:
        assert json.loads(prepared.value or b"")["data"] == {"id": 7}


@pytest.mark.parametrize(
    ("serializer", "wrong"),
    [
        (orjson.dumps, {1, 2}),
        (msgspec.json.encode, object()),
        (json_serializer(), {1, 2}),
        (pydantic_json, {"id": 7}),
        (protobuf, {"id": 7}),
        (utf8, 7),
        (utf8, "\ud800"),
    ],
    ids=["orjson", "msgspec", "json", "pydantic", "protobuf", "utf8", "utf8 surrogate"],
)
def test_what_a_package_cannot_serialize_is_an_error_of_ours_with_its_error_as_the_cause(
    serializer: Serializer[Any], wrong: object
) -> None:
    with pytest.raises(SerializationError, match="the value serializer raised") as caught:
        serialized(serializer, wrong)
    assert caught.value.__cause__ is not None
