"""Records, their results, and what is checked of them."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from aioproducer._types import (
    ConsumerGroupMetadata,
    OffsetAndMetadata,
    ProducerRecord,
    RecordMetadata,
    TopicPartition,
    check_partition,
    check_timestamp_ms,
    check_topic,
    copy_bytes,
    normalize_headers,
)
from aioproducer.errors import InvalidTopicError


def test_a_record_has_nothing_but_topic_and_value_by_default() -> None:
    record = ProducerRecord("orders", b"v")
    assert (record.key, record.partition, record.timestamp_ms, record.headers) == (None, None, None, None)


def test_a_record_takes_only_topic_and_value_by_position() -> None:
    make: Any = ProducerRecord
    with pytest.raises(TypeError):
        make("orders", b"v", b"k")


def test_equal_records_are_equal_and_hash_alike() -> None:
    left = ProducerRecord("t", b"v", key=b"k", headers=(("h", b"x"),))
    right = ProducerRecord("t", b"v", key=b"k", headers=(("h", b"x"),))
    assert left == right
    assert hash(left) == hash(right)
    assert left != replace(left, partition=1)


def test_a_record_can_be_made_with_its_types_and_pickled() -> None:
    record = ProducerRecord[bytes, str]("t", "text", key=b"k")
    assert pickle.loads(pickle.dumps(record)) == record


@pytest.mark.parametrize("name", ["topic", "value", "unknown"])
def test_a_record_cannot_be_changed(name: str) -> None:
    record = ProducerRecord("t", b"v")
    with pytest.raises(FrozenInstanceError):
        setattr(record, name, "x")
    with pytest.raises(FrozenInstanceError):
        delattr(record, name)


def test_a_records_repr_shows_neither_value_nor_key_nor_headers() -> None:
    text = repr(ProducerRecord("orders", "SECRET-V", key=b"SECRET-K", headers=[("SECRET-H", b"SECRET")]))
    assert "SECRET" not in text
    assert "orders" in text
    assert "value=<str>" in text
    assert "headers=<1>" in text


@pytest.mark.parametrize(
    ("record", "error"),
    [
        (ProducerRecord("", b"v"), InvalidTopicError),
        (ProducerRecord("t", b"v", partition=-1), ValueError),
        (ProducerRecord("t", b"v", timestamp_ms=-1), ValueError),
        (ProducerRecord("t", b"v", headers=[("h", 1)]), TypeError),  # type: ignore[list-item]
    ],
)
def test_validate_refuses_what_cannot_be_sent(record: ProducerRecord[bytes, bytes], error: type[Exception]) -> None:
    with pytest.raises(error):
        record.validate()


def test_validate_accepts_the_limits() -> None:
    ProducerRecord("t", None, partition=2**31 - 1, timestamp_ms=0, headers={}).validate()


def test_a_result_has_an_offset_unless_it_is_minus_one() -> None:
    assert RecordMetadata("t", 0, 0, 5).has_offset
    assert not RecordMetadata("t", 0, -1, 5).has_offset


def test_a_topic_partition_is_a_tuple() -> None:
    assert {("t", 1): "x"}[TopicPartition("t", 1)] == "x"


@pytest.mark.parametrize("topic", ["a", "orders.v1_x-Y9", "x" * 249, "...", "_"])
def test_legal_topic_names_pass(topic: str) -> None:
    check_topic(topic)


@pytest.mark.parametrize("topic", ["", ".", "..", "x" * 250, "a b", "a/b", "é", "a\n", "a:b"])
def test_other_topic_names_are_refused(topic: str) -> None:
    with pytest.raises(InvalidTopicError, match="is not legal") as caught:
        check_topic(topic)
    assert caught.value.code == 17


@pytest.mark.parametrize("topic", [None, b"orders", 3])
def test_a_topic_must_be_str(topic: Any) -> None:
    with pytest.raises(TypeError, match="topic is"):
        check_topic(topic)


@pytest.mark.parametrize("number", [True, "1", 1.0])
def test_partition_and_timestamp_must_be_int(number: Any) -> None:
    with pytest.raises(TypeError, match="partition"):
        check_partition(number)
    with pytest.raises(TypeError, match="timestamp_ms"):
        check_timestamp_ms(number)


def test_partition_and_timestamp_have_a_range() -> None:
    check_partition(2**31 - 1)
    check_timestamp_ms(2**63 - 1)
    with pytest.raises(ValueError, match="partition is"):
        check_partition(2**31)
    with pytest.raises(ValueError, match="timestamp_ms is"):
        check_timestamp_ms(2**63)


def test_bytes_like_values_are_copied_at_once() -> None:
    given = bytearray(b"abc")
    copied, viewed = copy_bytes("value", given), copy_bytes("value", memoryview(given)[1:])
    given[:] = b"xyz"
    assert (copied, viewed) == (b"abc", b"bc")
    assert (type(copied), type(viewed)) == (bytes, bytes)


def test_a_view_of_wider_items_or_with_steps_is_copied_as_its_bytes() -> None:
    assert copy_bytes("value", memoryview(b"abcdef")[::2]) == b"ace"
    assert copy_bytes("value", memoryview(b"abcd").cast("H")) == b"abcd"


def test_other_values_are_refused_with_the_way_out_and_without_the_value() -> None:
    with pytest.raises(TypeError, match="key_serializer") as caught:
        copy_bytes("key", "SECRET")
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("headers", [None, [], (), {}])
def test_no_headers_become_an_empty_tuple(headers: Any) -> None:
    assert normalize_headers(headers) == ()


def test_headers_keep_order_and_duplicates_and_none() -> None:
    assert normalize_headers([("b", b"1"), ("a", None), ("b", b"2")]) == (("b", b"1"), ("a", None), ("b", b"2"))


def test_headers_may_be_a_mapping_or_lists_as_pairs() -> None:
    assert normalize_headers({"a": b"1", "b": None}) == (("a", b"1"), ("b", None))
    listed: Any = [["a", b"1"]]
    assert normalize_headers(listed) == (("a", b"1"),)


def test_header_values_are_copied() -> None:
    value = bytearray(b"1")
    headers = normalize_headers([("a", value), ("b", memoryview(value))])
    value[0] = 0
    assert headers == (("a", b"1"), ("b", b"1"))


@pytest.mark.parametrize(
    "headers",
    ["ab", b"ab", 7, [("a",)], ["ab"], [b"ab"], [("a", b"1", b"2")], [(b"a", b"1")], [(None, b"1")], iter([])],
)
def test_what_is_no_headers_is_refused(headers: Any) -> None:
    with pytest.raises(TypeError):
        normalize_headers(headers)


def test_a_header_value_of_another_type_is_refused_without_the_value() -> None:
    headers: Any = [("trace", "SECRET")]
    with pytest.raises(TypeError, match="'trace' is str") as caught:
        normalize_headers(headers)
    assert "SECRET" not in str(caught.value)


def test_a_header_name_without_utf8_form_is_refused() -> None:
    assert normalize_headers([("é", None)]) == (("é", None),)
    with pytest.raises(ValueError, match="surrogates"):
        normalize_headers([("\ud800", None)])


@pytest.mark.parametrize("arguments", [{"offset": -1}, {"offset": 0, "leader_epoch": -1}])
def test_offsets_are_at_least_zero(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 0"):
        OffsetAndMetadata(**arguments)  # type: ignore[arg-type]


def test_a_generation_belongs_to_a_member() -> None:
    assert ConsumerGroupMetadata("g").generation_id == -1
    assert ConsumerGroupMetadata("g", 0, "m").member_id == "m"
    with pytest.raises(ValueError, match="generation_id=3 has no member_id"):
        ConsumerGroupMetadata("g", 3)
    with pytest.raises(ValueError, match="group_id is empty"):
        ConsumerGroupMetadata("")


def test_a_member_that_has_not_joined_has_no_generation() -> None:
    assert ConsumerGroupMetadata("g", member_id="x").generation_id == -1  # KIP-848
