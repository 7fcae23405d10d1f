"""A split loses nothing of a record but its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aioproducer._core.accumulator.batch import BatchEvent, ProducerBatch
from aioproducer._core.accumulator.splitting import split_batch
from aioproducer._records.record_headers import NO_HEADERS, encode_headers

if TYPE_CHECKING:
    from aioproducer._types import Headers


def test_splits_keep_keys_headers_and_timestamps() -> None:
    several: list[Headers] = [(), (("a", b"1"), ("a", None)), (("é", b""),)]
    records: list[tuple[int, bytes | None, bytes | None, bytes]] = [
        (
            1_000 - index,
            b"k%d" % index if index % 3 else None,
            None if index == 4 else b"v" * (40 + index),
            encode_headers(headers),
        )
        for index, headers in enumerate(several * 4)
    ]
    batch = ProducerBatch("t", 0, 1.0, flush_epoch=0)
    for timestamp_ms, key, value, headers in records:
        batch.append(timestamp_ms, key, value, headers, batch.next_record_size(timestamp_ms, key, value, headers))
        batch.charged += 1_000
    batch.apply(BatchEvent.SEAL)
    batch.apply(BatchEvent.DRAIN)
    parts = split_batch(batch, 300, 1.0)
    assert len(parts) >= 3
    kept = [
        (
            part.timestamps[index],
            None if part.keys is None else part.keys[index],
            part.values[index],
            NO_HEADERS if part.headers is None else part.headers[index],
        )
        for part in parts
        for index in range(part.count)
    ]
    assert kept == records
    for part in parts:
        again = ProducerBatch("t", 0, 1.0, flush_epoch=0)
        for index in range(part.count):
            key = None if part.keys is None else part.keys[index]
            own = NO_HEADERS if part.headers is None else part.headers[index]
            size = again.next_record_size(part.timestamps[index], key, part.values[index], own)
            again.append(part.timestamps[index], key, part.values[index], own, size)
        assert part.size == again.size
