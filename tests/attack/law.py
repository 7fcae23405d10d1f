"""The law of every attack: what must hold whatever is done to a producer, and how that is looked at.

Every call ends in its time with one outcome; nothing spins; no task, socket or thread is left; what was told to be
acknowledged is in the log once, in the order of the calls, and what was told not to be written is not.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import anyio
from anyio.lowlevel import checkpoint

from aioproducer import KafkaError
from tests.contract.support import open_descriptors, producer_tasks, until

if TYPE_CHECKING:
    from aioproducer import Delivery, RecordMetadata
    from aioproducer.testing import LogRecord
    from tests.attack.points import Handler

LOOPS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "asyncio": ("asyncio", {"use_uvloop": False}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}
BOUND: Final = 6.0
"""Seconds for one call; the timeouts of the producers are below."""


@dataclass
class Verdict:
    """What was wrong; empty when every promise was kept."""

    problems: list[str] = field(default_factory=lambda: list[str]())

    def expect(self, is_so: bool, problem: str) -> None:
        """Note a problem unless it is so."""
        if not is_so:
            self.problems.append(problem)


def run_in(loop: str, main: Callable[[], Awaitable[None]]) -> None:
    """Run it in an event loop of its own."""
    backend, options = LOOPS[loop]
    anyio.run(main, backend=backend, backend_options=options)


@contextmanager
def logging_to(handler: Handler, level: int = logging.NOTSET) -> Generator[None]:
    """Send what the producers log to this handler alone."""
    logger = logging.getLogger("aioproducer")
    before, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(level or before)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
        logger.propagate = propagate


@contextmanager
def bounded_cost(verdict: Verdict, seconds: float) -> Generator[None]:
    """Expect what runs meanwhile to need no more processor time than that."""
    began = time.process_time()
    yield
    spent = time.process_time() - began
    verdict.expect(spent < seconds, f"something spins: {spent:.1f} s of CPU")


@contextmanager
def nothing_left(verdict: Verdict, loop: str) -> Generator[None]:
    """Expect no more sockets and threads of producers than there were, once the loop that runs meanwhile is gone."""
    run_in(loop, checkpoint)  # the first loop of a kind opens what stays
    gc.collect()
    descriptors = open_descriptors()
    yield
    gc.collect()
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith("aioproducer")]
    for _ in range(100):  # a thread that looks up a name is told to end, and does so soon
        if not left:
            break
        time.sleep(0.01)
        left = [thread.name for thread in threading.enumerate() if thread.name.startswith("aioproducer")]
    verdict.expect(not left, f"threads are left: {left}")
    grown = open_descriptors() - descriptors
    verdict.expect(grown <= 0, f"{grown} descriptors are left")


async def bounded(
    verdict: Verdict,
    what: str,
    call: Callable[[], Awaitable[object]],
    is_allowed: Callable[[BaseException], bool] = lambda error: False,
    seconds: float = BOUND,
) -> object:
    """Make a call; it must end in time, without an error but those that are allowed. Return its result, or None."""
    try:
        with anyio.fail_after(seconds):
            return await call()
    except TimeoutError as error:
        if not isinstance(error, KafkaError):
            verdict.problems.append(f"{what} did not end within {seconds} s")
        elif not is_allowed(error):
            verdict.problems.append(f"{what} raised {error!r}")
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        if isinstance(error, asyncio.CancelledError | GeneratorExit) or not is_allowed(error):
            verdict.problems.append(f"{what} raised {error!r}")
    return None


async def quiet(verdict: Verdict) -> None:
    """Expect no task of a producer to be alive soon."""
    try:
        await until(lambda: not producer_tasks(), 2.0)
    except TimeoutError:
        verdict.problems.append(f"tasks are left: {producer_tasks()}")


@dataclass
class Entry:
    """One record of an attack, and what was told of it.

    Attributes:
        number: in the order of the calls.
        acknowledged: where it was told to be.
        failed: what was told instead.
    """

    line: str
    number: int
    value: str
    acknowledged: RecordMetadata | None = None
    failed: BaseException | None = None

    def on_delivery(self, delivery: Delivery) -> None:
        """Note the outcome."""
        self.tell(delivery.exception() or delivery.result())

    def tell(self, outcome: object) -> None:
        """Note what a call returned or raised."""
        if isinstance(outcome, BaseException):
            self.failed = outcome
        else:
            self.acknowledged = outcome  # type: ignore[assignment]  # a RecordMetadata


class Ledger:
    """Records with values that tell which is which; at the end they are compared with the log.

    Those of one line are sent by one task, one call after the other, to one partition: they keep their order.

    Args:
        unordered: lines of which that is not so, as calls are made in the middle of others.
    """

    def __init__(self, *unordered: str) -> None:
        self.entries: list[Entry] = []
        self._numbers = itertools.count()  # in one step: what is made in the middle of this has another
        self.unordered = unordered

    def new(self, line: str) -> Entry:
        """Another record of a line."""
        number = next(self._numbers)
        entry = Entry(line, number, f"{line}-{number}")
        self.entries.append(entry)
        return entry

    async def send(self, line: str, send: Callable[[str], Awaitable[RecordMetadata]]) -> RecordMetadata:
        """Send one, and note what it is told."""
        entry = self.new(line)
        try:
            entry.acknowledged = await send(entry.value)
        except KafkaError as error:
            entry.failed = error
            raise
        return entry.acknowledged

    def problems(self, log: Iterable[LogRecord]) -> list[str]:
        """What was told and is not so."""
        places: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for record in log:
            if record.value is not None:
                places[record.value.decode()].append((record.partition, record.offset))
        found = [f"{value} is in the log at {at}" for value, at in places.items() if len(at) > 1]
        last: dict[tuple[str, int], int] = {}
        for entry in self.entries:
            at = places.get(entry.value, [])
            told = entry.acknowledged
            if told is None:
                if isinstance(entry.failed, KafkaError) and not entry.failed.possibly_written and at:
                    found.append(f"{entry.value} was told not to be written ({entry.failed!r}), and is at {at}")
            elif not told.has_offset:  # the broker recognised it as a duplicate, and tells no more
                found += [] if at else [f"{entry.value} was acknowledged, and is nowhere"]
            else:
                found += self._misplaced(entry, told, at, last)
        return found

    def _misplaced(
        self, entry: Entry, told: RecordMetadata, at: list[tuple[int, int]], last: dict[tuple[str, int], int]
    ) -> list[str]:
        if (told.partition, told.offset) not in at:
            return [f"{entry.value} was acknowledged at {told.partition}/{told.offset}, and is at {at}"]
        line = (entry.line, told.partition)
        before, last[line] = last.get(line, -1), told.offset
        if told.offset < before and entry.line not in self.unordered:
            return [f"{entry.value} is before an earlier one of its line"]
        return []
