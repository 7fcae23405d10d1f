"""Every call that gave a producer a record, what the call was told, and whether the log agrees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from aioproducer import Delivery, KafkaError, Producer, ProducerRecord, RecordMetadata
from aioproducer.testing._assertions import records_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aioproducer._types import Headers
    from aioproducer.testing._broker.state import ClusterState


@dataclass(eq=False)
class Entry:
    """One call.

    Attributes:
        number: of the call, in the order of all calls; the value begins with it.
        verb: send, submit, submit_nowait; or send_all, whose records cannot be watched one by one.
        deliveries: what its callback was called with: once for each accepted record, if all is well.
        returned: what the call returned, or None while it has not.
        raised: what it raised instead.
        heard: outcomes that the interceptor was told.
        was_intercepted: whether an interceptor saw the record.
    """

    number: int
    topic: str
    value: bytes
    verb: str
    deliveries: list[Delivery] = field(default_factory=lambda: list[Delivery]())
    returned: RecordMetadata | Delivery | None = None
    raised: BaseException | None = None
    heard: list[BaseException | None] = field(default_factory=lambda: list[BaseException | None]())
    was_intercepted: bool = False

    @property
    def is_watched(self) -> bool:
        """Whether there is a callback that would have been called."""
        return self.verb != "send_all"

    @property
    def is_over(self) -> bool:
        """Whether the call has returned or raised."""
        return not self.is_watched or self.returned is not None or self.raised is not None

    def __str__(self) -> str:
        return f"{self.verb} {self.number} to {self.topic}"


class Ledger:
    """Makes the calls and keeps an entry of each. Also an interceptor, for producers that are given it as one."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    async def send(self, producer: Producer[Any, Any], topic: str, size: int = 8, **more: Any) -> RecordMetadata:
        """Producer.send."""
        entry = self.note("send", topic, size)
        try:
            metadata = await producer.send(topic, entry.value, on_delivery=entry.deliveries.append, **more)
        except BaseException as error:
            entry.raised = error
            raise
        entry.returned = metadata
        return metadata

    async def submit(self, producer: Producer[Any, Any], topic: str, size: int = 8, **more: Any) -> Delivery:
        """Producer.submit."""
        entry = self.note("submit", topic, size)
        try:
            delivery = await producer.submit(topic, entry.value, on_delivery=entry.deliveries.append, **more)
        except BaseException as error:
            entry.raised = error
            raise
        entry.returned = delivery
        return delivery

    def submit_nowait(self, producer: Producer[Any, Any], topic: str, size: int = 8, **more: Any) -> Delivery:
        """Producer.submit_nowait."""
        entry = self.note("submit_nowait", topic, size)
        try:
            delivery = producer.submit_nowait(topic, entry.value, on_delivery=entry.deliveries.append, **more)
        except BaseException as error:
            entry.raised = error
            raise
        entry.returned = delivery
        return delivery

    def note(self, verb: str, topic: str, size: int) -> Entry:
        """Make an entry for a call that is about to be made."""
        number = len(self.entries)
        entry = Entry(number, topic, b"%08d" % number + b"x" * (size - 8), verb)
        self.entries.append(entry)
        return entry

    # ── as an interceptor ────────────────────────────────────────────────────────────────────────────────────────────

    def on_send(self, record: ProducerRecord[Any, Any]) -> ProducerRecord[Any, Any]:
        """Mark the record, so that its outcome can be told from others'."""
        assert isinstance(record.value, bytes)
        self.entries[int(record.value[:8])].was_intercepted = True
        return replace(record, headers=[("n", record.value[:8])])

    def on_acknowledgement(self, metadata: RecordMetadata, error: BaseException | None, headers: Headers) -> None:
        """Note the outcome."""
        del metadata
        number = headers[0][1]
        assert number is not None
        self.entries[int(number)].heard.append(error)

    def close(self) -> None:
        """Part of an interceptor."""

    # ── the verdict ──────────────────────────────────────────────────────────────────────────────────────────────────

    def problems(self, state: ClusterState, *, is_exact: bool = True, is_acknowledged: bool = True) -> list[str]:
        """What is wrong, now that the producer is closed.

        Args:
            is_exact: the producer is idempotent: nothing may be in the log twice, or out of order.
            is_acknowledged: it is not one with acks=0, whose records may be lost.
        """
        topics = {entry.topic for entry in self.entries}
        log = {topic: [(r.partition, r.offset, r.value) for r in records_of(state, topic, "read_uncommitted")]
               for topic in topics}  # fmt: skip
        counts = {topic: Counter(value for _, _, value in records) for topic, records in log.items()}
        places = {(topic, *record) for topic, records in log.items() for record in records}
        found = [
            f"{entry}: {problem}"
            for entry in self.entries
            for problem in _problems(entry, counts[entry.topic][entry.value], is_exact)
        ]
        found += [
            f"{entry}: was acknowledged, but is not in the log at {entry.deliveries[0].result()}"
            for entry in self.entries
            if is_acknowledged and _is_lost(entry, counts[entry.topic][entry.value], places)
        ]
        if is_exact:
            for topic, records in log.items():
                found += _disorder(topic, records)
        return found


def _problems(entry: Entry, count: int, is_exact: bool) -> list[str]:
    checks: Sequence[tuple[str, Callable[[], bool]]] = (
        (f"{len(entry.deliveries)} outcomes", lambda: len(entry.deliveries) > 1),
        ("it never ended", lambda: not entry.is_over),
        ("returned, but there was no outcome", lambda: entry.returned is not None and not entry.deliveries),
        ("raised, but was accepted", lambda: _was_taken_back(entry)),
        (f"is in the log {count} times", lambda: is_exact and count > 1),
        ("was never accepted, but is in the log", lambda: entry.is_watched and not entry.deliveries and count > 0),
        ("does not tell what its delivery tells", lambda: _tells_two_things(entry)),
        (f"interceptor heard {entry.heard}", lambda: entry.was_intercepted and len(entry.heard) != 1),
    )
    found = [text for text, is_so in checks if is_so()]
    for delivery in entry.deliveries[:1]:
        error = delivery.exception()
        if error is not None and count and not error.possibly_written:
            found.append(f"failed ({error!r}), not possibly written, but is in the log")
    return found


def _is_lost(entry: Entry, count: int, places: set[tuple[Any, ...]]) -> bool:
    if not entry.deliveries or entry.deliveries[0].exception() is not None:
        return False
    metadata = entry.deliveries[0].result()
    place = (metadata.topic, metadata.partition, metadata.offset, entry.value)
    return place not in places if metadata.has_offset else not count


def _was_taken_back(entry: Entry) -> bool:
    return entry.raised is not None and entry.verb != "send" and bool(entry.deliveries)


def _tells_two_things(entry: Entry) -> bool:
    if not entry.deliveries:
        return False
    delivery = entry.deliveries[0]
    if isinstance(entry.returned, RecordMetadata):
        return delivery.exception() is not None or delivery.result() != entry.returned
    if isinstance(entry.raised, KafkaError):
        return type(delivery.exception()) is not type(entry.raised)
    return False


def _disorder(topic: str, records: Sequence[tuple[int, int, bytes | None]]) -> list[str]:
    """Records of a partition that are not in the order of the calls."""
    last: dict[int, int] = {}
    found: list[str] = []
    for partition, offset, value in records:
        number = int((value or b"")[:8])
        if number < last.get(partition, -1):
            found.append(f"{topic}-{partition} offset {offset}: call {number} comes after call {last[partition]}")
        last[partition] = number
    return found
