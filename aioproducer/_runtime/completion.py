"""What happens when a batch's outcome is final: interceptors, then callbacks, then whoever waits. In the order of the
records.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from aioproducer._core.batch import ProducerBatch
from aioproducer.delivery import outcome_error, record_metadata, run_callback

if TYPE_CHECKING:
    from aioproducer._backend import Backend
    from aioproducer._core.accumulator import PendingAppend
    from aioproducer._runtime.undelivered import Undelivered
    from aioproducer.errors import KafkaError
    from aioproducer.interceptors import ProducerInterceptor

    Home = ProducerBatch | PendingAppend

_log = logging.getLogger("aioproducer.delivery")


class Completion:
    """Tells the outcome of batches to everybody who wants to know. The core's state is final before any of it runs."""

    def __init__(
        self,
        backend: Backend,
        undelivered: Undelivered,
        interceptors: Sequence[ProducerInterceptor[Any, Any]],
        clock: Callable[[], float],
    ) -> None:
        self._backend = backend
        self._undelivered = undelivered
        self._interceptors = interceptors
        self._clock = clock

    def schedule(self, homes: Sequence[Home]) -> None:
        """Finish these batches (or entries that failed before they had one) in the next pass of the loop, outside of
        any task.
        """
        self._backend.call_soon(self._finish_all, homes)

    def _finish_all(self, homes: Iterable[Home]) -> None:
        waiters: list[Any] = []
        for home in homes:
            if home.error is not None or _has_record_errors(home):
                self._count_unwatched(home)
            if self._interceptors:
                self._tell_interceptors(home)
            callbacks, home.callbacks = home.callbacks, None
            if callbacks is not None:
                # They were registered in any order; sorting is stable, so two of one record keep theirs.
                for _, (callback, delivery, context) in sorted(callbacks, key=_index):
                    run_callback(callback, delivery, context)
            if home.waiters is not None:
                waiters.extend(waiter for _, waiter in home.waiters)
                home.waiters = None
        self._backend.wake(waiters)

    def _count_unwatched(self, home: Home) -> None:
        watched = {index for index, waiter in home.waiters or () if waiter.is_waiting()}
        watched.update(index for index, _ in home.callbacks or ())
        first: KafkaError | None = None
        count = 0
        for index in range(home.count if isinstance(home, ProducerBatch) else 1):
            error = outcome_error(home, index)
            if error is not None and index not in watched:
                first = first or error
                count += 1
        if first is not None:
            self._undelivered.add(home.topic, count, first, self._clock())

    def _tell_interceptors(self, home: Home) -> None:
        for index in range(home.count if isinstance(home, ProducerBatch) else 1):
            error = outcome_error(home, index)
            metadata = record_metadata(home, index) if error is None else None
            acknowledge(self._interceptors, metadata, error)


def acknowledge(interceptors: Iterable[Any], metadata: object, error: BaseException | None) -> None:
    """Tell each interceptor of one outcome; what it raises is logged and goes no further."""
    for interceptor in interceptors:
        try:
            interceptor.on_acknowledgement(metadata, error)
        except Exception:
            _log.warning("an interceptor's on_acknowledgement raised (%s)", type(interceptor).__name__, exc_info=True)


def _has_record_errors(home: Home) -> bool:
    return isinstance(home, ProducerBatch) and bool(home.record_errors)


def _index(entry: tuple[int, Any]) -> int:
    return entry[0]
