"""prepare.py: interceptors first, then checks and serializers, and nothing of None reaches a serializer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aioproducer import ProducerInterceptor, ProducerRecord, RecordMetadata, SerializationError
from aioproducer._producer.prepare import PreparedRecord, RecordPreparer, as_function


def prepared(preparer: RecordPreparer, value: Any, key: Any = None, **rest: Any) -> PreparedRecord:
    return preparer.prepare("t", value, key, rest.get("partition"), rest.get("timestamp_ms"), rest.get("headers"))


def refuse(value: Any) -> bytes:
    raise ValueError("no")


class Noting(ProducerInterceptor[Any, Any]):
    """One that adds a header, or does something else, and hears what came of records."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.heard: list[tuple[RecordMetadata, BaseException | None]] = []

    def on_send(self, record: ProducerRecord[Any, Any]) -> ProducerRecord[Any, Any]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return replace(record, headers=[("n", b"1")]) if self.answer is None else self.answer

    def on_acknowledgement(self, metadata: RecordMetadata, error: BaseException | None, headers: Any) -> None:
        self.heard.append((metadata, error))


def test_bytes_stay_what_they_are_and_the_rest_is_checked() -> None:
    record = prepared(RecordPreparer(None, None, ()), b"v", b"k", partition=3, timestamp_ms=5, headers={"h": b"x"})
    assert record == ("t", 3, b"k", b"v", (("h", b"x"),), 5)
    assert repr(record) == "<PreparedRecord for 't'>"


@pytest.mark.parametrize(("rest", "error"), [({"partition": -1}, ValueError), ({"timestamp_ms": 1.5}, TypeError)])
def test_wrong_arguments_are_refused(rest: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        prepared(RecordPreparer(None, None, ()), b"v", **rest)


def test_none_never_reaches_a_serializer() -> None:
    record = prepared(RecordPreparer(refuse, refuse, ()), None)
    assert (record.key, record.value) == (None, None)
    assert RecordPreparer(refuse, refuse, ()).serialize("t", None, None) == (None, None)


def test_both_forms_of_serializer_are_one() -> None:
    class Upper:
        """The form that knows topic and headers."""

        def serialize(self, topic: str, value: str, headers: Any) -> bytes:
            return f"{topic}:{value}:{len(headers)}".encode()

    assert as_function(None) is None
    preparer = RecordPreparer(str.encode, Upper(), ())
    assert prepared(preparer, "v", "k", headers=[("h", None)])[2:4] == (b"k", b"t:v:1")
    assert preparer.serialize("t", "v", "k") == (b"k", b"t:v:0")


@pytest.mark.parametrize("part", ["key", "value"])
def test_what_a_serializer_raises_is_the_cause_and_not_quoted(part: str) -> None:
    preparer = RecordPreparer(refuse if part == "key" else None, refuse if part == "value" else None, ())
    for call in (lambda: prepared(preparer, b"v", b"k"), lambda: preparer.serialize("t", b"v", b"k")):
        with pytest.raises(SerializationError, match=f"the {part} serializer raised ValueError") as raised:
            call()
        assert (raised.value.part, raised.value.topic, type(raised.value.__cause__)) == (part, "t", ValueError)


def test_a_serializer_returns_bytes() -> None:
    assert prepared(RecordPreparer(None, bytearray, ()), 3).value == b"\0\0\0"
    with pytest.raises(SerializationError, match="returned str"):
        prepared(RecordPreparer(None, str, ()), 3)


def test_interceptors_change_the_record_each_what_the_one_before_made() -> None:
    record = prepared(RecordPreparer(None, None, (Noting(), Noting(ProducerRecord("u", b"w")))), b"v")
    assert (record.topic, record.value, record.headers) == ("u", b"w", None)


def test_an_interceptor_that_raises_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    assert prepared(RecordPreparer(None, None, (Noting(KeyError()), Noting())), b"v").headers == (("n", b"1"),)
    assert [record.__dict__["event_name"] for record in caplog.records] == ["interceptor_failed"]


def test_an_interceptor_returns_a_record() -> None:
    with pytest.raises(TypeError, match="must return a ProducerRecord"):
        prepared(RecordPreparer(None, None, (Noting("no record"),)), b"v")


def test_interceptors_hear_of_a_record_that_is_refused() -> None:
    noting = Noting()
    with pytest.raises(TypeError):
        prepared(RecordPreparer(None, None, (noting,)), 3.5)
    ((metadata, error),) = noting.heard
    assert (metadata, type(error)) == (RecordMetadata("t", -1, -1, -1), TypeError)


@pytest.mark.parametrize(
    ("preparer", "is_plain", "is_serializing"),
    [
        (RecordPreparer(None, None, ()), True, False),
        (RecordPreparer(None, str.encode, ()), False, True),
        (RecordPreparer(None, str.encode, (Noting(),)), False, False),
    ],
)
def test_it_says_which_short_way_is_open(preparer: RecordPreparer, is_plain: bool, is_serializing: bool) -> None:
    assert (preparer.is_plain, preparer.is_serializing) == (is_plain, is_serializing)
