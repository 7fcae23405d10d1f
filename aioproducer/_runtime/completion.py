"""What happens when a batch's outcome is final: interceptors, then callbacks, then whoever waits.

In the order of the records.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from aioproducer._core.batch import ProducerBatch
from aioproducer._core.waiting import PendingAppend
from aioproducer.delivery import outcome_error, record_metadata, run_callback
from aioproducer.errors.wordless import wordless
from aioproducer.records import NO_OFFSET, NO_TIMESTAMP, Headers, RecordMetadata

if TYPE_CHECKING:
    from collections.abc import Callable

    from aioproducer._backend import Backend
    from aioproducer._runtime.figures import Figures
    from aioproducer._runtime.undelivered import Undelivered
    from aioproducer.interceptors import ProducerInterceptor

Home: TypeAlias = ProducerBatch | PendingAppend
"""What holds a record: its batch, or the entry that waits for one."""

_log = logging.getLogger("aioproducer.delivery")


class Intercepted(NamedTuple):
    """An entry among a batch's callbacks: a record that interceptors saw, so that they hear of its outcome."""

    headers: Headers


class Completion:
    """Tells the outcome of batches to everybody who wants to know. The core's state is final before any of it runs.

    Args:
        undelivered: counts the failures that nobody watches; None for a transactional producer, whose commit tells.
    """

    def __init__(
        self,
        backend: Backend,
        undelivered: Undelivered | None,
        interceptors: Sequence[ProducerInterceptor[Any, Any]],
        clock: Callable[[], float],
        figures: Figures,
    ) -> None:
        self._backend = backend
        self._undelivered = undelivered
        self._interceptors = interceptors
        self._clock = clock
        self._figures = figures

    def schedule(self, homes: Sequence[Home]) -> None:
        """Finish these in the next pass of the loop, outside of any task."""
        if homes:
            self._backend.call_soon(self._finish_all, homes)

    def _finish_all(self, homes: Iterable[Home]) -> None:
        waiters: list[Any] = []
        for home in homes:
            if home.error is not None or (isinstance(home, ProducerBatch) and home.record_errors):
                self._figures.records_failed += _failed_count(home)
                self._count_unwatched(home)
            callbacks, home.callbacks = home.callbacks, None
            if callbacks is not None:
                # They were registered in any order; sorting is stable, so those of one record keep theirs.
                for index, entry in sorted(callbacks, key=_index):
                    try:
                        self._call(home, index, entry)
                    except BaseException as error:  # SystemExit or KeyboardInterrupt: raised once all others are told
                        self._backend.call_soon(_raise, error)
            if home.waiters is not None:
                waiters.extend(waiter for _, waiter in home.waiters)
                home.waiters = None
        self._backend.wake(waiters)

    def _call(self, home: Home, index: int, entry: Any) -> None:
        if isinstance(entry, Intercepted):
            error = outcome_error(home, index)
            if error is None:
                metadata = record_metadata(home, index)
            else:
                partition = home.partition if home.partition is not None else -1
                metadata = RecordMetadata(home.topic, partition, NO_OFFSET, NO_TIMESTAMP)
            acknowledge(self._interceptors, metadata, error, entry.headers)
        else:
            run_callback(*entry)

    def _count_unwatched(self, home: Home) -> None:
        if self._undelivered is None:
            return
        watched = {index for index, waiter in home.waiters or () if waiter.is_waiting()}
        watched.update(index for index, entry in home.callbacks or () if not isinstance(entry, Intercepted))
        errors = [
            error
            for index in range(home.count if isinstance(home, ProducerBatch) else 1)
            if index not in watched and (error := outcome_error(home, index)) is not None
        ]
        if errors:
            self._undelivered.add(home.topic, len(errors), errors[0], self._clock())


def acknowledge(
    interceptors: Iterable[ProducerInterceptor[Any, Any]],
    metadata: RecordMetadata,
    error: BaseException | None,
    headers: Headers,
) -> None:
    """Tell each interceptor of one outcome; what it raises is logged and goes no further."""
    for interceptor in interceptors:
        try:
            interceptor.on_acknowledgement(metadata, error, headers)
        except Exception as raised:
            _log.warning(
                "an interceptor's on_acknowledgement raised (%s)",
                type(interceptor).__name__,
                exc_info=wordless(raised),
                extra={"event": "interceptor_failed", "interceptor": type(interceptor).__name__},
            )


def _failed_count(home: Home) -> int:
    if not isinstance(home, ProducerBatch):
        return 1
    return home.count if home.error is not None else len(home.record_errors or ())


def _raise(error: BaseException) -> None:
    raise error


def _index(entry: tuple[int, Any]) -> int:
    return entry[0]
