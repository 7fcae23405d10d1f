"""What was called, what its outcome was, and does that agree with what is in the log?"""

from __future__ import annotations

import time
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from aioproducer.errors import KafkaError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aioproducer import Delivery, RecordMetadata

NO_PARTITION: Final = -1
CALLS: Final = 0
"""The stream of all records whose calls are ordered among each other: those of send, submit and submit_nowait."""


@dataclass(slots=True)
class Verdict:
    """What a log says against a ledger, as the numbers of the records concerned; all are empty when promises are kept.

    Attributes:
        records: how many were found.
        lost: acknowledged, and not found.
        twice: found again.
        out_of_order: found behind a record of the same partition and stream that was called later.
        misplaced: acknowledged, and found elsewhere than the acknowledgement says.
        unexpected: failed as not written, or never called, and found.
        failed: those that have failed.
        unfinished: those without an outcome.
    """

    records: int = 0
    lost: list[int] = field(default_factory=list[int])
    twice: list[int] = field(default_factory=list[int])
    out_of_order: list[int] = field(default_factory=list[int])
    misplaced: list[int] = field(default_factory=list[int])
    unexpected: list[int] = field(default_factory=list[int])
    failed: list[int] = field(default_factory=list[int])
    unfinished: list[int] = field(default_factory=list[int])

    def complaints(self) -> dict[str, list[int]]:
        """What is not as promised: the first of the numbers for each kind, {} when all is well."""
        kinds = ("lost", "twice", "out_of_order", "misplaced", "unexpected", "failed", "unfinished")
        return {kind: numbers[:10] for kind in kinds if (numbers := getattr(self, kind))}


class Ledger:
    """Every record by its number, in the order of the calls: 19 bytes each.

    Attributes:
        acknowledged: how many were.
        failures: the error of each that failed.
        told_twice: those whose outcome was told again.
        longest_wait: seconds from a call to its acknowledgement, the longest since it was set to 0.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.acknowledged = 0
        self.failures: dict[int, BaseException] = {}
        self.told_twice: list[int] = []
        self.longest_wait = 0.0
        self._clock = clock
        self._first_open = 0
        self._partitions = array("h")
        self._offsets = array("q")
        self._called_at = array("d")
        self._streams = array("B")

    def __len__(self) -> int:
        return len(self._offsets)

    @property
    def open_count(self) -> int:
        """How many have no outcome yet."""
        return len(self) - self.acknowledged - len(self.failures)

    @property
    def first_open(self) -> int:
        """The first that has no outcome yet; all before it have one."""
        while self._first_open < len(self) and not self._is_open(self._first_open):
            self._first_open += 1
        return self._first_open

    def call(self, stream: int = CALLS) -> int:
        """Note that a record is about to be sent, and return its number."""
        self._partitions.append(NO_PARTITION)
        self._offsets.append(-1)
        self._called_at.append(self._clock())
        self._streams.append(stream)
        return len(self._offsets) - 1

    def acknowledge(self, number: int, metadata: RecordMetadata) -> None:
        """Note where a record is."""
        if not self._is_open(number):
            self.told_twice.append(number)
            return
        self._partitions[number] = metadata.partition
        self._offsets[number] = metadata.offset
        self.acknowledged += 1
        self.longest_wait = max(self.longest_wait, self._clock() - self._called_at[number])

    def fail(self, number: int, error: BaseException) -> None:
        """Note that a record failed, or was refused."""
        if not self._is_open(number):
            self.told_twice.append(number)
            return
        self.failures[number] = error

    def close(self, number: int, delivery: Delivery) -> None:
        """Note the outcome of a Delivery that is done."""
        error = delivery.exception()
        if error is None:
            self.acknowledge(number, delivery.result())
        else:
            self.fail(number, error)

    def judge(self, found: Iterable[tuple[int, int, int]]) -> Verdict:
        """Compare with a log.

        Args:
            found: (partition, offset, number) of each record of it; of each partition in the order of offsets.
        """
        verdict = Verdict(failed=sorted(self.failures))
        seen = bytearray(len(self))
        latest: dict[tuple[int, int], int] = {}
        for partition, offset, number in found:
            verdict.records += 1
            if not 0 <= number < len(self):
                verdict.unexpected.append(number)
                continue
            if seen[number]:
                verdict.twice.append(number)
                continue
            seen[number] = True
            self._compare(verdict, partition, offset, number)
            stream = (partition, self._streams[number])
            if number < latest.get(stream, -1):
                verdict.out_of_order.append(number)
            else:
                latest[stream] = number
        for number, partition in enumerate(self._partitions):
            if self._is_open(number):
                verdict.unfinished.append(number)
            elif partition != NO_PARTITION and not seen[number]:
                verdict.lost.append(number)
        return verdict

    def _is_open(self, number: int) -> bool:
        return self._partitions[number] == NO_PARTITION and number not in self.failures

    def _compare(self, verdict: Verdict, partition: int, offset: int, number: int) -> None:
        if number in self.failures:
            if not is_possibly_written(self.failures[number]):
                verdict.unexpected.append(number)
        elif self._partitions[number] != NO_PARTITION:
            # A duplicate that a broker remembers too little of is acknowledged without an offset.
            known = self._offsets[number]
            if self._partitions[number] != partition or known not in (-1, offset):
                verdict.misplaced.append(number)


def is_possibly_written(error: BaseException) -> bool:
    """Whether a record that failed with this error may be in the log."""
    return not isinstance(error, KafkaError) or error.possibly_written


def value_of(number: int, size: int) -> bytes:
    """A value of at least so many bytes that tells its number."""
    return (b"%d;" % number).ljust(size, b".")


def number_of(value: bytes | None) -> int:
    """The number of a value; -1 for one that `value_of` did not make."""
    digits, _, _ = (value or b"").partition(b";")
    return int(digits) if digits.isdigit() else -1


def numbered(log: Iterable[Any]) -> Iterable[tuple[int, int, int]]:
    """What `Ledger.judge` takes, from LogRecords."""
    for record in log:
        yield record.partition, record.offset, number_of(record.value)
