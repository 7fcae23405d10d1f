"""Measure what encoding, sizing and sealing cost per record.

    python -m benchmarks.encode_records

Prints µs per record (the best of seven rounds) for batches of several shapes, and µs per batch for seal_batch.
"""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import TYPE_CHECKING

from aioproducer._records.compression import Codec, compressor, load
from aioproducer._records.decode import decode_batch
from aioproducer._records.encode import encode_records, seal_batch
from aioproducer._records.record_headers import encode_headers
from aioproducer._records.sizes import headers_size, record_size

if TYPE_CHECKING:
    from collections.abc import Callable

BASE_TIMESTAMP = 1_700_000_000_000
HEADERS = (("trace-id", b"0123456789abcdef"), ("content-type", b"application/json"))


def microseconds(call: Callable[[], object], seconds: float = 0.02, rounds: int = 7) -> float:
    """Return the µs of one call, the best of several rounds."""
    start = time.perf_counter()
    call()
    repeats = max(1, int(seconds / (time.perf_counter() - start + 1e-9)))
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        best = min(best, (time.perf_counter() - start) / repeats)
    return best * 1e6


def show_encode(count: int, value_bytes: int) -> None:
    """Print the cost per record of one batch shape: no keys, keys, keys and headers, deltas beyond the tables."""
    values: list[bytes | None] = [bytes([index % 251]) * (value_bytes - index % 10) for index in range(count)]
    keys: list[bytes | None] = [b"key-%08d" % index for index in range(count)]
    timestamps = [BASE_TIMESTAMP + index // 20 for index in range(count)]
    backwards = [BASE_TIMESTAMP, *timestamps[:0:-1]] if count > 1 else timestamps
    backwards[-1] = BASE_TIMESTAMP - 100
    shapes = {
        "values": lambda: encode_records(timestamps, None, values, None),
        "keys": lambda: encode_records(timestamps, keys, values, None),
        "2 headers": lambda: encode_records(timestamps, keys, values, [encode_headers(HEADERS)] * count),
        "old timestamp": lambda: encode_records(backwards, keys, values, None),
    }
    figures = "  ".join(f"{name} {microseconds(call) / count:.3f}" for name, call in shapes.items())
    print(f"encode_records, {count} × {value_bytes} B: {figures} µs/record")


def show_sizes() -> None:
    """Print the cost of record_size."""
    key, value = b"k" * 12, b"v" * 100
    plain = microseconds(lambda: record_size(3, 70, key, value))
    with_headers = microseconds(lambda: record_size(3, 70, key, value, headers_size(HEADERS)))
    print(f"record_size: {plain:.3f} µs, with 2 headers {with_headers:.3f} µs (a lambda's call included)")


def show_seal() -> None:
    """Print the cost of a 16 KiB batch by codec and level, sealed and decoded."""
    values: list[bytes | None] = [
        b'{"id": %d, "name": "customer %d", "amount": %d.50, "open": true}' % (i, i * 7919 % 1000, i * 31)
        for i in range(230)
    ]
    records = encode_records([BASE_TIMESTAMP] * len(values), None, values, None)
    levels: list[tuple[Codec, int | None]] = [
        (Codec.NONE, None),
        (Codec.GZIP, None),
        (Codec.GZIP, 1),
        (Codec.SNAPPY, None),
    ]
    levels += [(Codec.LZ4, level) for level in (1, 2, 3, 9, 17)] + [(Codec.ZSTD, level) for level in (-5, 1, 3)]
    for codec, level in levels:
        load(codec)
        seal = partial(
            seal_batch,
            records,
            count=len(values),
            base_timestamp=BASE_TIMESTAMP,
            max_timestamp=BASE_TIMESTAMP,
            codec=codec,
            compressor=compressor(codec, level),
        )
        batch = seal()
        decode = microseconds(partial(decode_batch, batch)) / len(values)
        ratio = len(records) / (len(batch) - 61)
        print(
            f"{codec.label} {'' if level is None else level}: seal {microseconds(seal):.1f} µs for {len(records):,} B,"
            f" ratio {ratio:.2f}, decode {decode:.2f} µs/record"
        )


if __name__ == "__main__":
    print(f"Python {sys.version.split()[0]}")
    for shape in ((1, 100), (10, 100), (150, 100), (1000, 100), (150, 1000), (10_000, 50)):
        show_encode(*shape)
    show_sizes()
    show_seal()
