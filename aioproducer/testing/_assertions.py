"""What is in a topic of an embedded cluster, and how it differs from what a test expects."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from aioproducer._records.decode import decode_batch
from aioproducer.testing._log_reader import log_records

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aioproducer.testing._broker import ClusterState
    from aioproducer.testing._broker.partition import Partition
    from aioproducer.testing._log_reader import Isolation, LogRecord

_SHOWN_RECORDS: Final = 20
_SHOWN_BYTES: Final = 60


def records_of(state: ClusterState, topic: str, isolation: Isolation) -> list[LogRecord]:
    """The records of a topic by partition, then offset; [] when there is no such topic."""
    found = state.topics.get(topic)
    if found is None:
        return []
    return [record for partition in found.partitions for record in _records(partition, isolation)]


def matches(found: Sequence[LogRecord], count: int | None, values: Sequence[bytes | None] | None) -> bool:
    """Whether the records are as many, and have the values, that are expected."""
    if count is not None and len(found) != count:
        return False
    return values is None or Counter(record.value for record in found) == Counter(values)


def difference(
    topic: str, found: Sequence[LogRecord], count: int | None, values: Sequence[bytes | None] | None, timeout: float
) -> str:
    """What is there and what is missing, for a person who reads a failed test."""
    expected = count if count is not None else len(values or ())
    lines = [f"topic {topic!r} has {len(found)} records after {timeout} s, expected {expected}"]
    if values is not None:
        missing = Counter(values) - Counter(record.value for record in found)
        surplus = Counter(record.value for record in found) - Counter(values)
        lines += [f"  missing  {_shown(value)} × {times}" for value, times in list(missing.items())[:_SHOWN_RECORDS]]
        lines += [f"  surplus  {_shown(value)} × {times}" for value, times in list(surplus.items())[:_SHOWN_RECORDS]]
    lines += [
        f"  {topic}[{record.partition}]@{record.offset} key={_shown(record.key)} value={_shown(record.value)}"
        for record in found[:_SHOWN_RECORDS]
    ]
    if len(found) > _SHOWN_RECORDS:
        lines.append(f"  … and {len(found) - _SHOWN_RECORDS} more")
    return "\n".join(lines)


def _records(partition: Partition, isolation: Isolation) -> list[LogRecord]:
    is_committed = isolation == "read_committed"
    end = partition.last_stable_offset if is_committed else partition.log.end_offset
    found: list[LogRecord] = []
    for stored in partition.log.batches:
        if stored.is_control or stored.last_offset >= end:
            continue
        if is_committed and stored.is_transactional and _is_aborted(partition, stored.producer_id, stored.base_offset):
            continue
        found += log_records(partition.index, decode_batch(stored.data))
    return found


def _is_aborted(partition: Partition, producer_id: int, offset: int) -> bool:
    return any(
        each.producer_id == producer_id and each.first_offset <= offset <= each.last_offset
        for each in partition.log.aborted
    )


def _shown(data: bytes | None) -> str:
    # A test's own data, in its own failure: unlike in logs, values are what its author needs to see.
    if data is None or len(data) <= _SHOWN_BYTES:
        return repr(data)
    return f"{data[:_SHOWN_BYTES]!r}… ({len(data):,} bytes)"
