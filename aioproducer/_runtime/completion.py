"""The last step of a batch whose outcome is final: interceptors, then callbacks, then whoever waits.

In the order of the records. No pass of the loop is held up for long: what is left is done in the next.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from aioproducer._backend.ending import ENDS_THE_PROGRAM
from aioproducer._core.accumulator.batch import ProducerBatch
from aioproducer._core.accumulator.waiting import PendingAppend
from aioproducer._runtime.outcome import outcome_error, record_metadata, run_callback
from aioproducer._types import NO_OFFSET, NO_TIMESTAMP, Headers, RecordMetadata

if TYPE_CHECKING:
    from collections.abc import Callable

    from aioproducer._backend import Backend
    from aioproducer._metrics.counters import Counters
    from aioproducer._runtime.undelivered import Undelivered
    from aioproducer.interceptors import ProducerInterceptor

RecordHolder: TypeAlias = ProducerBatch | PendingAppend
"""What holds a record: its batch, or the entry that waits for one."""

CALLBACK_SECONDS = 0.001
"""For so long in one pass of the loop callbacks are called and tasks are woken."""

WOKEN_AT_ONCE: Final = 32
"""Tasks, until the clock is looked at again."""


class Intercepted(NamedTuple):
    """An entry among a batch's callbacks: a record that interceptors saw, so that they hear of its outcome."""

    headers: Headers


class Completion:
    """Hands the outcome of batches to everybody who wants to know. The core's state is final before any of it runs.

    Args:
        call_after: see `Poller.call_after`.
        undelivered: counts the failures that nobody watches; None for a transactional producer, whose commit tells.
    """

    def __init__(
        self,
        backend: Backend,
        undelivered: Undelivered | None,
        interceptors: Sequence[ProducerInterceptor[Any, Any]],
        clock: Callable[[], float],
        figures: Counters,
        call_after: Callable[[Callable[[], object]], None],
    ) -> None:
        self._backend = backend
        self._call_after = call_after
        self._pending: deque[Iterator[float]] = deque()
        self._is_running = False
        self._until = -math.inf
        self._undelivered = undelivered
        self._interceptors = interceptors
        self._clock = clock
        self._figures = figures

    def schedule(self, holders: Sequence[RecordHolder]) -> None:
        """Finish these outside of any task: at once, or in one of the next passes of the loop."""
        if holders:
            self._begin(self._finish(holders))

    def then(self, function: Callable[[], object]) -> None:
        """Run `function` when everybody has the outcome of what was scheduled before."""
        self._begin(self._once(function))

    def hurry(self) -> None:
        """Make no pauses any more: the loop may be about to end."""
        self._until = math.inf

    def _begin(self, steps: Iterator[float]) -> None:
        self._pending.append(steps)
        if not self._is_running:
            self._is_running = True
            self._call_after(self._run_some)

    def _run_some(self) -> None:
        """Go on for a millisecond; then others have their turn. The tasks that are woken take that time.

        What becomes final in the next moments has only the rest of that time: several answers may come in one pass.
        """
        now = self._clock()
        if now >= self._until:
            self._until = now + CALLBACK_SECONDS
        while self._pending:
            for seconds_to_come in self._pending[0]:
                self._until -= seconds_to_come
                if self._clock() >= self._until:
                    self._backend.call_soon(self._run_some)
                    return
            self._pending.popleft()
        self._is_running = False

    def _finish(self, holders: Iterable[RecordHolder]) -> Iterator[float]:
        """Hand these over, in steps, each of which may be followed by a pause; yields what time it is yet to take."""
        for holder in holders:
            if holder.error is not None or (isinstance(holder, ProducerBatch) and holder.record_errors):
                self._figures.records_failed += _failed_count(holder)
                self._or_later(self._count_unwatched, holder)
            callbacks, holder.callbacks = holder.callbacks, None
            if callbacks is not None:
                # They were registered in any order; sorting is stable, so those of one record keep theirs.
                for index, entry in sorted(callbacks, key=_index):
                    self._or_later(self._call, holder, index, entry)
                    yield 0.0
            waiters, holder.waiters = holder.waiters, None
            if waiters is not None:
                for start in range(0, len(waiters), WOKEN_AT_ONCE):
                    part = [waiter for _, waiter in waiters[start : start + WOKEN_AT_ONCE]]
                    self._or_later(self._backend.wake, part)
                    yield len(part) * self._backend.seconds_to_resume

    def _once(self, function: Callable[[], object]) -> Iterator[float]:
        self._or_later(function)
        yield 0.0

    def _or_later(self, function: Callable[..., object], *arguments: object) -> None:
        """Call it; SystemExit or KeyboardInterrupt of a callback or a task is raised once others had their turn."""
        try:
            function(*arguments)
        except BaseException as error:
            self._backend.raise_soon(error)

    def _call(self, holder: RecordHolder, index: int, entry: Any) -> None:
        if isinstance(entry, Intercepted):
            error = outcome_error(holder, index)
            if error is None:
                metadata = record_metadata(holder, index)
            else:
                partition = holder.partition if holder.partition is not None else -1
                metadata = RecordMetadata(holder.topic, partition, NO_OFFSET, NO_TIMESTAMP)
            acknowledge(self._interceptors, metadata, error, entry.headers)
        else:
            run_callback(*entry)

    def _count_unwatched(self, holder: RecordHolder) -> None:
        if self._undelivered is None:
            return
        watched = {index for index, waiter in holder.waiters or () if self._backend.is_waiting(waiter)}
        watched.update(index for index, entry in holder.callbacks or () if not isinstance(entry, Intercepted))
        errors = [
            error
            for index in range(holder.count if isinstance(holder, ProducerBatch) else 1)
            if index not in watched and (error := outcome_error(holder, index)) is not None
        ]
        if errors:
            possibly_written = any(error.possibly_written for error in errors)
            self._undelivered.add(
                holder.topic, len(errors), errors[0], self._clock(), possibly_written=possibly_written
            )


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
        except BaseException as raised:
            if isinstance(raised, ENDS_THE_PROGRAM):
                raise
            from aioproducer._runtime import log_lines

            log_lines.interceptor_failed("on_acknowledgement", interceptor, raised)


def _failed_count(holder: RecordHolder) -> int:
    if not isinstance(holder, ProducerBatch):
        return 1
    return holder.count if holder.error is not None else len(holder.record_errors or ())


def _index(entry: tuple[int, Any]) -> int:
    return entry[0]
