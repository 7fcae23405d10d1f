"""send_path.py: who is let in, what is appended at once, and when a loop of calls lets others run."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from aioproducer import IllegalStateError, InvalidTopicError, ProducerClosedError, ProducerRecord
from aioproducer._core.accumulator.batch import ProducerBatch
from aioproducer._core.accumulator.waiting import PendingAppend
from aioproducer._producer import send_path as module
from aioproducer._producer.prepare import PreparedRecord
from aioproducer._producer.send_path import MISSING, State, check_timeout
from tests.unit._producer.runtimes import opened


def append(send_path: Any, topic: Any = "t", value: Any = b"v", key: Any = None, **rest: Any) -> Any:
    given = (rest.pop("partition", None), rest.pop("timestamp_ms", None), rest.pop("headers", None))
    appended = send_path.try_append(topic, value, key, *given, **rest)
    if appended.__class__ is not tuple:
        return appended
    batch, index = appended
    assert index == batch.count - 1
    return batch


@pytest.mark.parametrize(
    ("key", "headers"), [(None, None), (b"k", None), (None, [("h", b"1")]), (b"k", {"h": None})], ids=str
)
def test_a_record_of_bytes_is_the_last_of_the_batch_returned(key: bytes | None, headers: Any) -> None:
    send_path, runtime = opened("t")
    for count in (1, 2):
        batch = append(send_path, key=key, headers=headers)
        assert isinstance(batch, ProducerBatch)
        assert (batch.count, batch.values[-1]) == (count, b"v")
    assert runtime.wakes == 1, "once for the batch, not for each record"


@pytest.mark.parametrize(
    "rest", [{"partition": 0}, {"timestamp_ms": 5}, {"value": bytearray(b"v")}, {"value": None}], ids=str
)
def test_any_other_record_takes_the_long_way_to_the_same_batch(rest: dict[str, Any]) -> None:
    send_path, _ = opened("t")
    first = append(send_path)
    assert append(send_path, **rest) is first
    assert first.count == 2


def test_serializers_are_applied() -> None:
    send_path, _ = opened("t", value_serializer=str.encode)
    assert append(send_path, value="text").values == [b"text"]
    assert append(send_path, value="text", partition=0).values == [b"text"] * 2


def test_a_record_object_brings_everything_of_its_own() -> None:
    send_path, _ = opened("t")
    record = ProducerRecord("t", b"v", key=b"k")
    assert append(send_path, record, MISSING).keys == [b"k"]
    with pytest.raises(TypeError, match="alone"):
        append(send_path, record, MISSING, b"other")
    with pytest.raises(TypeError, match="value is missing"):
        append(send_path, "t", MISSING)


def test_a_record_for_a_topic_that_is_not_known_is_returned_prepared_and_queued() -> None:
    send_path, runtime = opened()
    record = append(send_path, "new")
    assert isinstance(record, PreparedRecord)
    pending = send_path.enqueue(record, accepted=True)
    assert isinstance(pending, PendingAppend)
    assert runtime.wakes == 1
    assert runtime.accumulator.take_wanted_topics() == {"new"}


def test_a_name_that_is_not_legal_is_refused_at_once() -> None:
    send_path, _ = opened("t")
    with pytest.raises(InvalidTopicError):
        append(send_path, "no/topic")


@pytest.mark.parametrize(("state", "error"), [(State.CLOSED, ProducerClosedError), (State.STARTING, IllegalStateError)])
def test_what_does_not_run_refuses(state: State, error: type[Exception]) -> None:
    send_path, _ = opened("t")
    send_path.close(state)
    with pytest.raises(error, match="c cannot be used"):
        append(send_path)
    with pytest.raises(error):
        send_path.running()


def test_another_loop_thread_or_process_is_refused() -> None:
    send_path, runtime = opened("t")
    runtime.backend.present = "elsewhere"
    with pytest.raises(IllegalStateError, match="belongs to another event loop"):
        append(send_path)


def test_a_loop_of_calls_lets_others_run_once_for_some_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "YIELD_MS", 10**15)  # whatever the clock says
    send_path, runtime = opened("t")
    send_path.has_to_yield()
    assert isinstance(append(send_path, may_yield=True), ProducerBatch)
    runtime.accumulator.appender.closed_batches += module.YIELD_BATCHES
    assert isinstance(append(send_path, may_yield=True), PreparedRecord)
    assert isinstance(append(send_path, may_yield=True), ProducerBatch)
    assert isinstance(append(send_path), ProducerBatch)


def test_many_are_appended_in_one_go_up_to_the_first_that_takes_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "YIELD_MS", 10**15)  # whatever the clock says
    send_path, _ = opened("t")
    append(send_path)
    append(send_path, key=b"k")
    send_path.has_to_yield()
    special = ProducerRecord("t", b"x", partition=0)
    source = iter([ProducerRecord("t", b"a"), ProducerRecord("t", b"b", key=b"k"), special, ProducerRecord("t", b"c")])
    taken: dict[Any, Any] = {}
    assert send_path.append_some(source, 10, taken) is special
    assert [places for places, _ in taken.values()] == [[10, 11]]
    taken.clear()
    assert send_path.append_some(source, 13, taken) is MISSING
    assert [places for places, _ in taken.values()] == [[13]]


def test_an_endless_source_is_left_when_others_are_to_run() -> None:
    send_path, runtime = opened("t")
    runtime.accumulator.appender.closed_batches += module.YIELD_BATCHES
    source = itertools.repeat(ProducerRecord("t", b"a"))
    assert send_path.append_some(source, 0, {}) == ProducerRecord("t", b"a")


@pytest.mark.parametrize("timeout", [None, 0, 1, 2.5, float("inf")])
def test_a_timeout_is_seconds(timeout: float | None) -> None:
    check_timeout(timeout)


@pytest.mark.parametrize(("timeout", "error"), [("1", TypeError), (True, TypeError), (-1, ValueError)])
def test_any_other_timeout_is_refused(timeout: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="timeout is"):
        check_timeout(timeout)
