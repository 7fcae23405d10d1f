"""The Appender on its own: memory, which topics are open, and what the fast way declines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aioproducer.errors import IllegalStateError, ProducerClosedError, RecordTooLargeError
from tests.unit._core.accumulators import TIMESTAMP, Parts, charge_of, cluster, parts

if TYPE_CHECKING:
    from typing import Unpack

    from aioproducer._config import ProducerSettings
    from aioproducer._core.accumulator.batch import ProducerBatch


def knowing(**settings: Unpack[ProducerSettings]) -> Parts:
    """Return an Appender that knows topic "t" of one partition."""
    made = parts(**settings)
    made.topics.metadata = cluster({"t": [0]})
    made.appender.topic("t")
    return made


def append(to: Parts, key: bytes | None = None, value: bytes = b"v") -> ProducerBatch | None:
    return to.appender.try_append("t", None, key, value, None, TIMESTAMP, 0.0)


def test_a_topic_of_the_snapshot_is_open_as_soon_as_it_is_asked_for() -> None:
    made = parts()
    made.topics.metadata = cluster({"t": [0]})
    assert not made.appender.is_open("t")
    assert made.appender.topic("t").is_known
    assert made.appender.is_open("t")
    made.appender.topic("unknown")
    assert not made.appender.is_open("unknown")


def test_a_record_takes_memory_and_what_does_not_fit_is_declined() -> None:
    made = knowing(buffer_memory=charge_of(1) + 1, batch_size=100)
    assert append(made) is not None
    assert made.appender.free_bytes == 1
    assert append(made) is None
    made.appender.give_back(charge_of(1))
    assert append(made) is not None


def test_each_reason_to_wait_closes_all_topics_until_the_last_is_gone() -> None:
    appender = knowing().appender
    appender.pause_for_waiters()
    appender.block(IllegalStateError("no transaction"))
    appender.resume()
    assert not appender.is_open("t")
    appender.unblock()
    assert appender.is_open("t")
    appender.pause_for_waiters()
    appender.unblock()
    assert not appender.is_open("t")


def test_a_closed_appender_is_never_open_again() -> None:
    made = knowing()
    made.appender.close(ProducerClosedError("closed"))
    made.appender.open_topic(made.topics.states["t"])
    made.appender.resume()
    assert not made.appender.is_open("t")


def test_a_topic_where_a_call_waits_is_not_opened() -> None:
    made = knowing()
    state = made.topics.states["t"]
    made.appender.close_topic("t")
    state.call_queue[object()] = None  # type: ignore[index]  # pyright: ignore[reportArgumentType]
    made.appender.open_topic(state)
    assert not made.appender.is_open("t")


def test_the_fast_ways_decline_until_there_is_a_batch_and_then_use_it() -> None:
    made = knowing()
    plain, fast = made.appender.append_plain, made.appender.append_fast
    assert plain("t", b"v", TIMESTAMP) is None
    assert fast("t", None, b"v", None, TIMESTAMP) is None
    batch = append(made)
    assert plain("t", b"v", TIMESTAMP) is batch
    assert fast("t", None, b"v", None, TIMESTAMP) is batch
    assert fast("t", b"k", b"v", None, TIMESTAMP) is None  # the batch has no keys
    assert append(made, b"k") is batch
    assert fast("t", b"k", b"v", None, TIMESTAMP) is batch
    assert fast("t", None, b"v", [("h", b"x")], TIMESTAMP) is None  # nor headers
    assert batch is not None
    assert batch.keys == [None, None, None, b"k", b"k"]


def test_sealing_the_open_batch_ends_appending_to_it() -> None:
    made = knowing()
    batch = append(made)
    assert batch is not None
    made.appender.seal(made.topics.states["t"].queue(0), 0.0)
    assert made.appender.append_plain("t", b"v", TIMESTAMP) is None
    assert made.appender.closed_batches == 1
    assert append(made) is not batch


def test_the_first_refusal_and_the_partitions_are_kept_for_a_transaction_alone() -> None:
    for transactional_id, count in ((None, 0), ("id", 1)):
        made = knowing(transactional_id=transactional_id, max_request_size=1000)
        append(made)
        with pytest.raises(RecordTooLargeError):
            append(made, value=bytes(2000))
        assert isinstance(made.appender.notes.take_refusal(), RecordTooLargeError) == bool(count)
        assert made.appender.notes.take_refusal() is None
        assert len(made.appender.notes.take_touched()) == count
        assert made.appender.notes.take_touched() == set()
