"""A ledger that forgets: each record is compared with the log as soon as both its outcome and its place are known."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from aioproducer._records.decode import decode_batch
from tests.chaos.ledger import CALLS, is_possibly_written, number_of

if TYPE_CHECKING:
    from aioproducer import Delivery, RecordMetadata
    from aioproducer.testing import EmbeddedCluster

SHOWN: Final = 10

Place = tuple[int, int]


class RunningLedger:
    """What `Load` writes to and the auditor compares; holds only records whose outcome or place is not known yet.

    Attributes:
        acknowledged: how many were.
        failures: how many failed, by the name of the error.
        violations: the first promises that were broken.
        violation_count: how many were.
    """

    def __init__(self) -> None:
        self.acknowledged = 0
        self.failures: Counter[str] = Counter()
        self.violations: list[str] = []
        self.violation_count = 0
        self._calls = 0
        self._done = 0
        self._called: dict[int, int] = {}  # number → stream: neither acknowledged nor failed
        self._told: dict[int, Place] = {}  # acknowledged, not found yet
        self._found: dict[int, Place] = {}  # found, and not acknowledged yet
        self._maybe: set[int] = set()  # failed, and perhaps written
        self._streams: dict[int, int] = {}
        self._latest: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        return self._calls

    @property
    def open_count(self) -> int:
        """How many have no outcome yet."""
        return len(self._called)

    def call(self, stream: int = CALLS) -> int:
        """Note that a record is about to be sent, and return its number."""
        number = self._calls
        self._calls += 1
        self._called[number] = stream
        return number

    def acknowledge(self, number: int, metadata: RecordMetadata) -> None:
        """Note where a record is."""
        stream = self._called.pop(number, None)
        if stream is None:
            self._violated(f"record {number} has two outcomes")
            return
        self.acknowledged += 1
        place = (metadata.partition, metadata.offset)
        found = self._found.pop(number, None)
        if found is None:
            self._told[number] = place
            self._streams[number] = stream
        else:
            self._compare(number, place, found)

    def fail(self, number: int, error: BaseException) -> None:
        """Note that a record failed, or was refused."""
        if self._called.pop(number, None) is None:
            self._violated(f"record {number} has two outcomes")
            return
        self.failures[type(error).__name__] += 1
        found = self._found.pop(number, None)
        if not is_possibly_written(error):
            if found is not None:
                self._violated(f"record {number} failed as not written, and is at {found}")
        elif found is None:
            self._maybe.add(number)

    def close(self, number: int, delivery: Delivery) -> None:
        """Note the outcome of a Delivery that is done."""
        error = delivery.exception()
        if error is None:
            self.acknowledge(number, delivery.result())
        else:
            self.fail(number, error)

    def find(self, partition: int, offset: int, number: int) -> None:
        """Note that a record is in the log; of each partition in the order of offsets."""
        place = (partition, offset)
        if number in self._called and number not in self._found:
            stream = self._called[number]
            self._found[number] = place
        elif number in self._told:
            stream = self._streams.pop(number)
            self._compare(number, self._told.pop(number), place)
        elif number in self._maybe:
            self._maybe.remove(number)
            return
        else:
            self._violated(f"record {number} is at {place}, though it failed, or was found before")
            return
        before = self._latest.get((partition, stream), -1)
        if number < before:
            self._violated(f"record {number} is at {place}, behind record {before}, a later call")
        self._latest[partition, stream] = max(number, before)

    def end(self) -> None:
        """Everything has its outcome, and all of the log was found: whatever is open now is a violation."""
        for number in self._called:
            self._violated(f"record {number} has no outcome")
        for number, place in self._told.items():
            self._violated(f"record {number} was acknowledged at {place}, and is lost")

    def forget_streams(self) -> None:
        """Drop what is remembered for the order of streams that are over, those of send_all."""
        for key in [key for key in self._latest if key[1] != CALLS]:
            del self._latest[key]

    def _compare(self, number: int, told: Place, found: Place) -> None:
        if told[0] != found[0] or told[1] not in (-1, found[1]):
            self._violated(f"record {number} was acknowledged at {told}, and is at {found}")

    def _violated(self, text: str) -> None:
        self.violation_count += 1
        if len(self.violations) < SHOWN:
            self.violations.append(text)


class Auditor:
    """Reads the logs of an embedded cluster as they grow, and deletes what it has read."""

    def __init__(self, cluster: EmbeddedCluster, topic: str, ledger: RunningLedger) -> None:
        self._cluster = cluster
        self._topic = topic
        self._ledger = ledger
        self._positions: Counter[int] = Counter()

    def audit(self) -> None:
        """Find everything that was written since the last time."""
        for partition in self._cluster.core.state.topics[self._topic].partitions:
            position = self._positions[partition.index]
            log = partition.log
            new = len(log.batches)
            while new and log.batches[new - 1].base_offset >= position:
                new -= 1
            for stored in log.batches[new:]:
                for index, record in enumerate(decode_batch(stored.data).records):
                    self._ledger.find(partition.index, stored.base_offset + index, number_of(record.value))
            self._positions[partition.index] = log.end_offset
            log.retain(0)  # the last batch stays
