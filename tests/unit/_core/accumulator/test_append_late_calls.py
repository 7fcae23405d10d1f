"""What comes in the middle of something else: taken later, in its turn; and a record that is half appended is taken
out again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from aioproducer._core.accumulator.append import BUSY
from aioproducer._hashing import IS_COMPILED
from aioproducer.errors import BufferFullError, ProducerClosedError, RecordTooLargeError
from tests.unit._core.accumulators import TIMESTAMP, accumulator, append

if TYPE_CHECKING:
    from aioproducer._core.accumulator.accumulator import Accumulator
    from aioproducer._core.accumulator.waiting import PendingAppend


def late(accumulate: Accumulator, value: bytes) -> PendingAppend:
    return accumulate.accept_later("t", None, None, value, None, TIMESTAMP, 0.0, 60.0)


def serve(accumulate: Accumulator) -> None:
    accumulate.appender.open_topics = BUSY
    accumulate.serve_late_calls()
    accumulate.appender.open_topics = accumulate.appender.idle_topics


def busy(**settings: Any) -> Accumulator:
    accumulate = accumulator({"t": [0]}, **settings)
    append(accumulate, value=b"first")
    accumulate.appender.open_topics = BUSY
    return accumulate


def test_while_it_is_busy_nothing_is_appended() -> None:
    accumulate = busy()
    assert accumulate.is_busy
    for key in (None, b"k"):
        assert accumulate.appender.try_append("t", None, key, b"v", None, TIMESTAMP, 0.0) is None


def test_a_late_record_is_appended_before_any_that_comes_after_it() -> None:
    accumulate = busy()
    pending = late(accumulate, b"late")
    accumulate.appender.open_topics = accumulate.appender.idle_topics
    assert not accumulate.is_busy
    assert not accumulate.is_empty
    assert accumulate.appender.try_append("t", None, None, b"v", None, TIMESTAMP, 0.0) is None, "it would pass it"
    serve(accumulate)
    assert append(accumulate, value=b"after") is pending.batch
    assert pending.batch is not None
    assert (pending.index, pending.batch.values) == (1, [b"first", b"late", b"after"])


def test_what_cannot_be_accepted_is_refused_at_once_or_has_its_outcome_later() -> None:
    accumulate = busy(buffer_memory=1000, max_request_size=900, batch_size=500)
    with pytest.raises(RecordTooLargeError):
        late(accumulate, bytes(2000))
    with pytest.raises(BufferFullError):
        late(accumulate, bytes(750))
    pending = [late(accumulate, bytes(250)) for _ in range(3)]
    serve(accumulate)
    assert [each.batch is not None for each in pending] == [True, False, False]
    assert [type(each.error) for each in pending[1:]] == [BufferFullError] * 2
    assert accumulate.take_woken() == pending[1:]


def test_after_a_close_late_records_fail_and_new_ones_are_refused() -> None:
    accumulate = busy()
    pending = late(accumulate, b"late")
    accumulate.close(ProducerClosedError("it is closed"))
    with pytest.raises(ProducerClosedError):
        late(accumulate, b"too late")
    serve(accumulate)
    assert isinstance(pending.error, ProducerClosedError)


class Column(list[Any]):
    """A column in which appending is interrupted."""

    def append(self, value: object) -> None:
        super().append(value)
        raise KeyboardInterrupt


@pytest.mark.skipif(IS_COMPILED, reason="compiled, nothing is interrupted there")
@pytest.mark.parametrize("key", [None, b"k"])
@pytest.mark.parametrize("column", ["timestamps", "values", "headers"])
def test_a_record_whose_append_was_interrupted_is_taken_out_again(column: str, key: bytes | None) -> None:
    accumulate = accumulator({"t": [0]})
    headers = (("h", b"1"),)
    batch = append(accumulate, partition=None, key=key, value=b"first", headers=headers)
    before = accumulate.appender.free_bytes, batch.size, batch.count
    setattr(batch, column, Column(getattr(batch, column)))
    with pytest.raises(KeyboardInterrupt):
        accumulate.appender.append_fast("t", key, b"second", headers, TIMESTAMP)
    assert (accumulate.appender.free_bytes, batch.size, batch.count) == before
    assert not accumulate.is_busy
    setattr(batch, column, list(getattr(batch, column)))
    assert append(accumulate, partition=None, key=key, value=b"third", headers=headers) is batch
    assert batch.values == [b"first", b"third"]
    assert [len(each) for each in (batch.timestamps, batch.values, batch.headers or [])] == [2, 2, 2]
