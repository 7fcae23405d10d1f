"""Every public call of a producer and of what it hands out, found in the classes themselves.

A call that needs arguments has them in ARGUMENTS; test_calls.py fails for one that is missing there.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final

from aioproducer import (
    Delivery,
    OffsetAndMetadata,
    Producer,
    ProducerRecord,
    ThreadEntry,
    TopicHandle,
    TopicPartition,
    Transaction,
)

if TYPE_CHECKING:
    from tests.attack.law import Ledger

OWNERS: Final[dict[str, type]] = {
    owner.__name__: owner for owner in (Producer, TopicHandle, ThreadEntry, Transaction, Delivery)
}
AWAITED: Final = ("__aenter__", "__aexit__", "__await__")
"""Of the names with underscores, those that a program calls by `async with` and `await`."""

TOPIC: Final = "t"
LINE: Final = "calls"
"""What the records of all calls are in a Ledger. They come from several tasks, so that nothing says in which order."""


class Kind(Enum):
    """How a call is made."""

    AWAITED = auto()
    PLAIN = auto()
    BLOCKING = auto()  # in another thread than the loop's


@dataclass(frozen=True)
class Call:
    """One public call."""

    owner: str
    name: str

    def __str__(self) -> str:
        return f"{self.owner}.{self.name}"

    @property
    def function(self) -> Callable[..., Any]:
        """What the class has by that name."""
        found: Callable[..., Any] = inspect.getattr_static(OWNERS[self.owner], self.name)
        return found

    @property
    def kind(self) -> Kind:
        """How it is made."""
        if self.owner == "ThreadEntry":
            return Kind.BLOCKING
        return Kind.AWAITED if inspect.iscoroutinefunction(self.function) or self.name in AWAITED else Kind.PLAIN

    @property
    def is_end(self) -> bool:
        """Whether the producer is closed when it returns."""
        return str(self) in {"Producer.close", "Producer.__aexit__"}

    @property
    def needs_transactions(self) -> bool:
        """Whether only a producer with a transactional id has it."""
        return self.owner == "Transaction" or "transaction" in self.name

    def on(self, target: Any, ledger: Ledger) -> Any:
        """Make it: what a plain call returns, or what is to be awaited."""
        make = ARGUMENTS.get(str(self), no_arguments)
        arguments, more = make(ledger)
        return getattr(target, self.name)(*arguments, **more)


def calls() -> Iterator[Call]:
    """Give every public call of a living object; what makes a producer is none."""
    for owner, declared in OWNERS.items():
        for name in sorted(dir(declared)):
            found = inspect.getattr_static(declared, name)
            is_public = not name.startswith("_") or name in AWAITED
            if is_public and callable(found) and not isinstance(found, classmethod | staticmethod):
                yield Call(owner, name)


Arguments = tuple[tuple[Any, ...], dict[str, Any]]


def no_arguments(ledger: Ledger) -> Arguments:
    """Those of a call that needs none."""
    del ledger
    return (), {}


def _fixed(*arguments: Any) -> Callable[[Ledger], Arguments]:
    return lambda ledger: (arguments, {})


def _ignore(delivery: Delivery) -> None:
    del delivery


def _record(ledger: Ledger) -> Arguments:
    entry = ledger.new(LINE)
    return (TOPIC, entry.value), {"on_delivery": entry.on_delivery}


def _record_for_a_thread(ledger: Ledger) -> Arguments:
    return (TOPIC, ledger.new(LINE).value), {}


def _value(ledger: Ledger) -> Arguments:
    entry = ledger.new(LINE)
    return (entry.value,), {"on_delivery": entry.on_delivery}


def _records(ledger: Ledger) -> Arguments:
    return ([ProducerRecord[str, str](TOPIC, ledger.new(LINE).value) for _ in range(3)],), {}


def _values(ledger: Ledger) -> Arguments:
    return ([ledger.new(LINE).value for _ in range(3)],), {}


ARGUMENTS: Final[dict[str, Callable[[Ledger], Arguments]]] = {
    "Producer.__aexit__": _fixed(None, None, None),
    "Producer.partitions_for": _fixed(TOPIC),
    "Producer.send": _record,
    "Producer.send_all": _records,
    "Producer.submit": _record,
    "Producer.submit_nowait": _record,
    "Producer.topic": _fixed(TOPIC),
    "TopicHandle.send": _value,
    "TopicHandle.send_all": _values,
    "TopicHandle.submit": _value,
    "TopicHandle.submit_nowait": _value,
    "ThreadEntry.send": _record_for_a_thread,
    "ThreadEntry.send_all": _records,
    "ThreadEntry.submit": _record_for_a_thread,
    "Transaction.send_offsets": _fixed({TopicPartition(TOPIC, 0): OffsetAndMetadata(7)}, "group"),
    "Delivery.add_done_callback": _fixed(_ignore),
}
"""By the name of the call: makes its arguments, positional and named."""


async def awaited(call: Call, target: Any, ledger: Ledger) -> object:
    """Make an awaited call."""
    made = call.on(target, ledger)
    if call.name == "__await__":
        return await target
    returned: Awaitable[object] = made
    return await returned
