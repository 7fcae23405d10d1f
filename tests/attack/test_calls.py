"""Every public call, cancelled, timed out, made again from a callback, at a wrong time, in a wrong place.

Some are drawn here; `make attack` plays all of them on every loop.
"""

from __future__ import annotations

import inspect
from typing import Final

import anyio
import anyio.lowlevel
import pytest

from aioproducer import BufferFullError, RecordMetadata
from aioproducer.testing import LogRecord
from tests.attack import calls as table
from tests.attack.calls import Call, calls
from tests.attack.law import Entry, Ledger, Verdict, bounded
from tests.attack.sample import again, drawn
from tests.attack.ways import WAYS, Suspensions, applies, attack_call

DRAWN: Final = 4
"""Of the calls, for each way."""


FOUND: Final = (
    (Call("Producer", "__aexit__"), "another thread"),
    (Call("Producer", "thread_entry"), "on_acknowledgement"),
    (Call("ThreadEntry", "flush"), "another loop"),
    (Call("ThreadEntry", "send"), "forked child"),
)
"""What once broke a promise."""


def chosen() -> list[tuple[Call, str]]:
    """Return DRAWN calls for each way, and what is always among them."""
    found = [(call, way) for way in WAYS for call in drawn((each for each in calls() if applies(each, way)), DRAWN)]
    return found + [each for each in FOUND if each not in found]


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
@pytest.mark.parametrize(("call", "way"), chosen(), ids=str)
def test_whatever_happens_to_a_call_it_ends_and_all_else_goes_on(call: Call, way: str, loop: str) -> None:
    assert attack_call(call, way, loop) == [], again("--call", str(call), "--way", way, "--loop", loop)


def test_every_call_has_the_arguments_that_it_needs() -> None:
    found = {str(call): call for call in calls()}
    assert set(table.ARGUMENTS) <= set(found), "a call is gone, and its arguments are still there"
    for name, call in found.items():
        arguments, more = table.ARGUMENTS.get(name, table.no_arguments)(Ledger())
        try:
            inspect.signature(call.function).bind(object(), *arguments, **more)
        except TypeError as error:
            raise AssertionError(f"{name} needs arguments in ARGUMENTS: {error}") from error


def test_the_calls_are_found() -> None:
    assert {"Producer.send", "TopicHandle.submit_nowait", "ThreadEntry.flush", "Transaction.commit"} <= {
        str(call) for call in calls()
    }


@pytest.mark.parametrize("call", list(calls()), ids=str)
def test_every_call_has_every_kind_of_attack(call: Call) -> None:
    assert sum(applies(call, way) for way in WAYS) >= len(WAYS) - 6


async def test_a_call_is_cancelled_at_its_second_await() -> None:
    passed: list[int] = []

    async def call() -> None:
        for number in range(3):
            passed.append(number)
            await anyio.lowlevel.checkpoint()

    scope = anyio.CancelScope()
    steps = Suspensions(call, 2, scope.cancel)
    with scope:
        await steps
    assert scope.cancelled_caught
    assert passed == [0, 1]
    assert steps.count >= 2  # trio asks once more, for the way out


async def test_a_call_that_does_not_end_or_raises_what_it_may_not_is_noticed() -> None:
    verdict = Verdict()

    async def wrong() -> None:
        raise KeyError("x")

    await bounded(verdict, "one", wrong)
    await bounded(verdict, "two", anyio.sleep_forever, seconds=0.01)
    assert verdict.problems == ["one raised KeyError('x')", "two did not end within 0.01 s"]


def _entry(number: int, offset: int | None, failed: BaseException | None = None) -> Entry:
    told = None if offset is None else RecordMetadata("t", 0, offset, 0)
    return Entry("a", number, f"a-{number}", told, failed)


@pytest.mark.parametrize(
    ("entries", "log", "problem"),
    [
        ([_entry(0, 0), _entry(1, 1)], ["a-0", "a-1"], ""),
        ([_entry(0, 0)], [], "was acknowledged at"),
        ([_entry(0, 0)], ["a-0", "a-0"], "is in the log at"),
        ([_entry(0, 1), _entry(1, 0)], ["a-1", "a-0"], "before an earlier one"),
        ([_entry(0, None, BufferFullError("no room"))], ["a-0"], "told not to be written"),
    ],
)
def test_a_log_that_is_not_what_was_told_is_noticed(entries: list[Entry], log: list[str], problem: str) -> None:
    ledger = Ledger()
    ledger.entries = entries
    found = ledger.problems(
        LogRecord(0, offset, 0, None, value.encode(), (), -1, -1, -1, 0, False) for offset, value in enumerate(log)
    )
    assert len(found) == bool(problem)
    assert not problem or problem in found[0]
