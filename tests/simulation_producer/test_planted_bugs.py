"""Mistakes that somebody could make in the shell in a line or two: a history, or a test of this kind, notices."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, cast

import pytest
import trio

from aioproducer._backend.asyncio_ import AsyncioBackend
from aioproducer._backend.trio_ import TrioBackend, TrioWaiter
from aioproducer._core.accumulator.accumulator import Accumulator
from aioproducer._core.transactions.manager import TransactionManager
from aioproducer._core.transactions.waiters import TransactionWaiters
from aioproducer._producer import send_path
from aioproducer._producer.transaction import TransactionBlock
from aioproducer._runtime.broker_connection import BrokerConnection
from aioproducer._runtime.completion import Completion
from aioproducer._runtime.loop import Runtime
from tests.cancellation import test_flush_at_every_step as flushing
from tests.cancellation.driver import Flavour, play_at_every_point
from tests.cancellation.test_every_point import PLAYS
from tests.simulation_producer.story import Story, run
from tests.simulation_producer.test_waking import play
from tests.simulation_producer.transactional_story import TransactionalStory

# Some mistakes leave a producer behind that is never closed, which warns when it is let go.
pytestmark = pytest.mark.filterwarnings("ignore:.*__del__.*:pytest.PytestUnraisableExceptionWarning")

SEEDS: Final = 150
"""So many histories are played at most until one notices."""

Plant = Callable[[pytest.MonkeyPatch], None]
Notice = Callable[[pytest.MonkeyPatch, Plant], bool]


@pytest.fixture(autouse=True)
def what_is_left_goes_with_its_test() -> Iterator[None]:
    yield
    gc.collect()


def _nothing(*arguments: Any, **more: Any) -> None:
    del arguments, more


def _no_wake_after_completing(patch: pytest.MonkeyPatch) -> None:
    # A call that has waited appends, and nobody polls: the record lies there until something else happens.
    complete_append = Accumulator.complete_append
    wake = Runtime.wake
    is_muted: list[bool] = []

    def muting(self: Any, *arguments: Any) -> Any:
        is_muted.append(True)
        return complete_append(self, *arguments)

    def unless_muted(self: Any) -> None:
        if is_muted:
            is_muted.clear()
        else:
            wake(self)

    patch.setattr(Accumulator, "complete_append", muting)
    patch.setattr(Runtime, "wake", unless_muted)


def _woken_twice(patch: pytest.MonkeyPatch) -> None:
    def resume(self: Any) -> None:
        self._is_pending = False
        self._is_pending = True  # it seems to wait still, so whoever holds it wakes it again

    original = TrioWaiter.resume

    def twice(self: Any) -> None:
        original(self)
        resume(self)

    patch.setattr(TrioWaiter, "resume", twice)


def _cancelled_waiter_woken(patch: pytest.MonkeyPatch) -> None:
    def whatever_its_state(self: Any, waiters: Sequence[Any]) -> None:
        for waiter in waiters:
            waiter.set_result(None)

    patch.setattr(AsyncioBackend, "wake", whatever_its_state)


def _disconnected_not_reported(patch: pytest.MonkeyPatch) -> None:
    def forget(self: Any, connection: Any, error: Any) -> None:
        del error, self._connections[connection.node_id]

    patch.setattr(Runtime, "on_closed", forget)


def _connect_failed_not_reported(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Runtime, "on_failed", _nothing)


def _cancelled_call_stays_in_line(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Accumulator, "cancel", _nothing)


def _waiters_of_a_batch_forgotten(patch: pytest.MonkeyPatch) -> None:
    finish: Any = getattr(Completion, "_finish")  # noqa: B009 - private to it

    def without_waiters(self: Any, homes: Sequence[Any]) -> Iterator[float]:
        for home in homes:
            home.waiters = None
        return cast("Iterator[float]", finish(self, homes))

    patch.setattr(Completion, "_finish", without_waiters)


def _only_the_first_is_woken(patch: pytest.MonkeyPatch) -> None:
    def wake(self: Any, waiters: Sequence[Any]) -> None:
        for waiter in waiters[:1]:
            waiter.resume()

    patch.setattr(TrioBackend, "wake", wake)


def _told_twice(patch: pytest.MonkeyPatch) -> None:
    schedule = Completion.schedule

    def twice(self: Any, homes: Sequence[Any]) -> None:
        callbacks = {home: list(home.callbacks or ()) for home in homes}
        schedule(self, homes)
        for home, entries in callbacks.items():
            self.then(partial(setattr, home, "callbacks", entries))
        schedule(self, homes)

    patch.setattr(Completion, "schedule", twice)


def _granted_taken_for_woken(patch: pytest.MonkeyPatch) -> None:
    # What was wrong once: the record of a call that is cancelled between its grant and its wake is appended.
    def resume(self: Any, woken: Sequence[Any]) -> None:
        self.backend.wake([entry.waiter for entry in woken if entry.waiter is not None])

    patch.setattr(Runtime, "_resume", resume)


def _grant_kept_over_a_mere_checkpoint(patch: pytest.MonkeyPatch) -> None:
    # Wrong once, in the same way: on trio a cancelled checkpoint takes two steps, in which others append.
    async def yield_only(runtime: Runtime, pending: Any) -> None:
        del pending
        await runtime.backend.yield_now()

    patch.setattr(send_path, "yield_with_grant", yield_only)


def _flush_does_not_wait_until_told(patch: pytest.MonkeyPatch) -> None:
    # What was wrong once, too.
    async def without(self: Any) -> None:
        await self.backend.yield_now()

    patch.setattr(Runtime, "wait_told", without)


def _written_in_another_order(patch: pytest.MonkeyPatch) -> None:
    def send(self: Any, effect: Any) -> None:
        (self._outbox.append if effect.produce is None else self._outbox.appendleft)(effect)
        self._pump()

    patch.setattr(BrokerConnection, "send", send)


def _connection_left_open(patch: pytest.MonkeyPatch) -> None:
    from aioproducer._net.connection import Connection

    async def leave(self: Any) -> None:
        del self

    patch.setattr(Connection, "aclose", leave)


def _ends_of_waits_not_told(patch: pytest.MonkeyPatch) -> None:
    def one(self: Any) -> list[Any]:
        woken: list[Any] = list(self._woken)
        self._woken.clear()
        return woken[1:]

    patch.setattr(TransactionWaiters, "take_woken", one)


def _left_block_not_aborted(patch: pytest.MonkeyPatch) -> None:
    async def leave(self: Any, transaction: Any) -> None:
        del self, transaction

    patch.setattr(TransactionBlock, "_abort", leave)


def _cancelled_commit_always_aborted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TransactionManager, "is_commit_sent", False)


def _closed_in_doubt_told_as_not_committed(patch: pytest.MonkeyPatch) -> None:
    # What was wrong once: close ends the wait for a commit, and says nothing of what it may have done.
    def without_doubt(self: Any, error: Any) -> None:
        self._responses.fail_fatal(error)

    patch.setattr(TransactionManager, "on_fatal", without_doubt)


def _background_ends_silently(patch: pytest.MonkeyPatch) -> None:
    # Wrong once, too: its tasks are cancelled from outside, of which a task group says nothing.
    patch.setattr(Runtime, "_die", _nothing)


def _noticed_by_a_transactional_history(patch: pytest.MonkeyPatch, plant: Plant) -> bool:
    return _noticed_by_a_history(patch, plant, TransactionalStory)


def _noticed_by_a_history(patch: pytest.MonkeyPatch, plant: Plant, make: Callable[[int], Story] = Story) -> bool:
    for seed in range(SEEDS):
        with patch.context() as inner:
            try:
                report = run(seed, inner, partial(plant, inner), make)
            except (BaseExceptionGroup, trio.TrioInternalError) as error:
                if not _is_an_assertion(error):
                    raise
                return True  # trio itself has noticed that a task is woken which does not wait
        if report.problems:
            print(f"after {seed + 1} histories: {report.problems[0]}")  # noqa: T201 - how soon, for people
            return True
    return False


def _is_an_assertion(error: BaseException) -> bool:
    """Whether an assertion is at the bottom of it: in a group, or as the cause of trio's own complaint."""
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return any(map(_is_an_assertion, group.exceptions))
    cause = error.__cause__ or error.__context__
    return isinstance(error, AssertionError) or (cause is not None and _is_an_assertion(cause))


def _noticed_by_waking(name: str) -> Notice:
    def is_noticed(patch: pytest.MonkeyPatch, plant: Plant) -> bool:
        plant(patch)
        return bool(play(name))

    return is_noticed


def _noticed_by_the_core(name: str) -> Notice:
    def is_noticed(patch: pytest.MonkeyPatch, plant: Plant) -> bool:
        plant(patch)
        with pytest.raises(BaseExceptionGroup) as caught:
            play(name)
        return _is_an_assertion(caught.value)

    return is_noticed


def _noticed_by_cancelling(name: str, flavour: Flavour = "asyncio scope") -> Notice:
    def is_noticed(patch: pytest.MonkeyPatch, plant: Plant) -> bool:
        plant(patch)
        with pytest.raises((AssertionError, BaseExceptionGroup), match=r"cancelled at step|unhandled errors"):
            play_at_every_point(PLAYS[name], flavour)
        return True

    return is_noticed


def _noticed_by_flushing(patch: pytest.MonkeyPatch, plant: Plant) -> bool:
    plant(patch)
    with pytest.raises(BaseExceptionGroup, match="unhandled errors"):
        flushing.test_callbacks_that_take_long_have_all_run_when_flush_returns()
    return True


BUGS: Final[dict[str, tuple[Plant, Notice]]] = {
    "no wake after a grant is completed": (_no_wake_after_completing, _noticed_by_waking("for room, alone")),
    "waiter woken twice": (_woken_twice, _noticed_by_a_history),
    "cancelled waiter woken": (_cancelled_waiter_woken, _noticed_by_cancelling("await delivery")),
    "disconnection not reported": (_disconnected_not_reported, _noticed_by_a_history),
    "failed connection not reported": (_connect_failed_not_reported, _noticed_by_waking("refused")),
    "cancelled call stays in line": (_cancelled_call_stays_in_line, _noticed_by_a_history),
    "waiters of a batch forgotten": (_waiters_of_a_batch_forgotten, _noticed_by_a_history),
    "only the first waiter woken": (_only_the_first_is_woken, _noticed_by_a_history),
    "callbacks told twice": (_told_twice, _noticed_by_a_history),
    "granted taken for woken": (_granted_taken_for_woken, _noticed_by_cancelling("submit, no room")),
    "grant kept over a mere checkpoint": (
        _grant_kept_over_a_mere_checkpoint,
        _noticed_by_cancelling("submit, yielding", "trio scope"),
    ),
    "flush does not wait until all is told": (_flush_does_not_wait_until_told, _noticed_by_flushing),
    "written in another order": (_written_in_another_order, _noticed_by_the_core("calm")),
    "connection left open": (_connection_left_open, _noticed_by_a_history),
    "ends of waits not told": (_ends_of_waits_not_told, _noticed_by_a_transactional_history),
    "closed in doubt, told as not committed": (
        _closed_in_doubt_told_as_not_committed,
        _noticed_by_a_transactional_history,
    ),
    "the background ends silently": (_background_ends_silently, _noticed_by_waking("the background is cancelled")),
    "left block not aborted": (_left_block_not_aborted, _noticed_by_cancelling("async with transaction()")),
    "cancelled commit always aborted": (
        _cancelled_commit_always_aborted,
        _noticed_by_cancelling("async with transaction()"),
    ),
}


@pytest.mark.parametrize("name", BUGS)
def test_mistake_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, is_noticed = BUGS[name]
    assert is_noticed(monkeypatch, plant)
