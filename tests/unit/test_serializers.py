"""Serializers that ship."""

from __future__ import annotations

import json
from typing import Any

import pytest

import aioproducer
from aioproducer.serializers import Serializer, json_serializer, protobuf, pydantic_json, utf8


def test_utf8_encodes_text() -> None:
    assert utf8("é中") == "é中".encode()


def test_utf8_refuses_other_types_without_showing_them() -> None:
    secret: Any = b"SECRET"
    with pytest.raises(TypeError, match="not bytes") as caught:
        utf8(secret)
    assert "SECRET" not in str(caught.value)


def test_json_is_compact_utf8() -> None:
    assert json_serializer()({"a": [1, None], "b": "é"}) == '{"a":[1,null],"b":"é"}'.encode()


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_json_refuses_what_json_does_not_have(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_serializer()(number)


def test_json_takes_another_encoder_to_text_or_bytes() -> None:
    def to_bytes(value: Any) -> bytes:
        return json.dumps(value).encode()

    assert json_serializer(json.dumps)([1, 2]) == b"[1, 2]"
    assert json_serializer(to_bytes)([1, 2]) == b"[1, 2]"


def test_models_and_messages_are_asked_for_their_bytes() -> None:
    class Model:
        def model_dump_json(self) -> str:
            return '{"name":"é"}'

    class Message:
        def SerializeToString(self) -> bytes:
            return b"\x08\x01"

    assert pydantic_json(Model()) == '{"name":"é"}'.encode()
    assert protobuf(Message()) == b"\x08\x01"


def test_both_forms_of_a_serializer_fit_the_type() -> None:
    class WithTopic:
        def serialize(self, topic: str, value: str, headers: tuple[tuple[str, bytes | None], ...]) -> bytes:
            return f"{topic}:{value}:{len(headers)}".encode()

    both: list[Serializer[str]] = [utf8, WithTopic()]
    assert len(both) == 2
    alias: Any = aioproducer.Serializer
    assert alias[str] != alias[int]
