"""threads.py: what the entry for other threads does before it gets to the event loop."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any, cast

import pytest

from aioproducer import IllegalStateError, RecordMetadata, ThreadEntry
from aioproducer._producer.threads import _resolve  # pyright: ignore[reportPrivateUsage]
from tests.unit._producer.runtimes import FakeBackend


class FakeDelivery:
    """One that has its outcome."""

    def __init__(self, outcome: RecordMetadata | Exception) -> None:
        self.outcome = outcome

    def exception(self) -> Exception | None:
        return self.outcome if isinstance(self.outcome, Exception) else None

    def result(self) -> RecordMetadata:
        assert isinstance(self.outcome, RecordMetadata)
        return self.outcome


@pytest.mark.parametrize("verb", ["send", "submit"])
def test_the_thread_of_the_loop_is_refused(verb: str) -> None:
    entry = ThreadEntry[bytes, bytes](cast("Any", _Verbs()), cast("Any", FakeBackend()), cast("Any", None))
    with pytest.raises(IllegalStateError, match="await the producer's own calls"):
        getattr(entry, verb)("t", b"v")
    with pytest.raises(IllegalStateError):
        entry.send_all([])
    with pytest.raises(IllegalStateError):
        entry.flush()


class _Verbs:
    """Verbs that are never called."""

    send = submit = send_all = flush = print


def test_a_future_gets_the_outcome() -> None:
    metadata, error = RecordMetadata("t", 0, 1, 2), ValueError()
    delivered: Future[RecordMetadata] = Future()
    failed: Future[RecordMetadata] = Future()
    _resolve(delivered, cast("Any", FakeDelivery(metadata)))
    _resolve(failed, cast("Any", FakeDelivery(error)))
    assert (delivered.result(0), failed.exception(0)) == (metadata, error)
