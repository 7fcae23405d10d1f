"""_runtime/encoding.py: columns become bytes once, and never when nobody needs them any more."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aioproducer._config import ProducerConfig
from aioproducer._core.accumulator.batch import BatchState, ProducerBatch
from aioproducer._records.decode import decode_batch
from aioproducer._records.record_headers import encode_headers
from aioproducer._runtime.encoding import Encoder

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
SMALL, LARGE = 10, 5_000  # records of 20 bytes: one is compressed on the loop, the other in a thread


def encoder(codec: Any) -> Encoder:
    return Encoder(ProducerConfig(bootstrap_servers="localhost:9092", compression_type=codec))


def batch_of(count: int) -> ProducerBatch:
    batch = ProducerBatch("orders", 0, 0.0)
    for number in range(count):
        batch.append(
            1_000 - number, b"k" if number % 2 else None, b"value %04d" % number, encode_headers((("h", None),)), 20
        )
    batch.producer_id, batch.producer_epoch, batch.base_sequence = 7, 1, 100
    return batch


class Told:
    """Notes the sizes that it is told."""

    def __init__(self) -> None:
        self.sizes: list[tuple[ProducerBatch, int, int]] = []

    def __call__(self, batch: ProducerBatch, records_size: int, encoded_size: int) -> None:
        self.sizes.append((batch, records_size, encoded_size))


async def encode(
    make: Encoder, batch: ProducerBatch, on_encoded: Callable[[ProducerBatch, int, int], None]
) -> bytes | None:
    """As a connection does it."""
    if make.wants_thread(batch):
        await make.encode_aside(batch, on_encoded)
    return make.encode(batch, on_encoded)


def ignore(batch: ProducerBatch, records_size: int, encoded_size: int) -> None:
    """Nobody wants to know the sizes."""


@pytest.mark.parametrize("count", [SMALL, LARGE])
@pytest.mark.parametrize("codec", CODECS)
async def test_a_batch_is_encoded_with_its_codec_and_stamp(codec: str, count: int) -> None:
    batch = batch_of(count)
    told = Told()
    encoded = await encode(encoder(codec), batch, told)
    assert encoded is not None
    assert batch.encoded is encoded
    decoded = decode_batch(encoded)
    header = decoded.header
    assert (header.producer_id, header.producer_epoch, header.base_sequence) == (7, 1, 100)
    assert header.codec.name == codec.upper()
    assert (header.base_timestamp, header.max_timestamp) == (1_000, 1_000)
    assert [(r.timestamp_ms, r.key, r.value, r.headers) for r in decoded.records] == [
        (1_000 - number, b"k" if number % 2 else None, b"value %04d" % number, (("h", None),))
        for number in range(count)
    ]
    if codec == "none":
        assert not told.sizes
        return
    ((which, records_size, encoded_size),) = told.sizes
    assert which is batch
    assert encoded_size == len(encoded) - 61 != records_size


async def test_a_batch_is_encoded_once() -> None:
    batch = batch_of(SMALL)
    told = Told()
    make = encoder("lz4")
    first = await encode(make, batch, told)
    second = await encode(make, batch, told)
    assert first is second
    assert len(told.sizes) == 1


async def test_a_new_sequence_or_epoch_is_stamped_into_the_bytes() -> None:
    batch = batch_of(SMALL)
    make = encoder("zstd")
    before = await encode(make, batch, ignore)
    batch.producer_epoch, batch.base_sequence = 2, 0
    after = await encode(make, batch, ignore)
    assert before is not None
    assert after is not None
    old, new = decode_batch(before), decode_batch(after)  # decoding checks the CRC
    assert (new.header.producer_id, new.header.producer_epoch, new.header.base_sequence) == (7, 2, 0)
    assert new.records == old.records


async def test_a_batch_that_is_done_is_not_encoded() -> None:
    batch = batch_of(SMALL)
    batch.state = BatchState.DONE
    batch.drop_payload()
    assert await encode(encoder("none"), batch, ignore) is None


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
async def test_a_batch_that_is_done_while_a_thread_compresses_it_is_left_out(codec: str) -> None:
    batch = batch_of(LARGE)
    results: list[bytes | None] = []

    async def run() -> None:
        results.append(await encode(encoder(codec), batch, ignore))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        batch.state = BatchState.DONE
        batch.drop_payload()
    assert results == [None]
    assert batch.encoded is None


async def test_a_cancelled_encoding_leaves_the_batch_as_it_was() -> None:
    batch = batch_of(LARGE)
    make = encoder("zstd")
    with anyio.CancelScope() as scope:
        scope.cancel()
        await encode(make, batch, ignore)
    assert scope.cancelled_caught
    assert batch.encoded is None
    again = await encode(make, batch, ignore)
    assert again is not None
    assert len(decode_batch(again).records) == LARGE


@pytest.mark.parametrize("codec", CODECS)
async def test_many_at_once_do_not_disturb_each_other(codec: str) -> None:
    make = encoder(codec)
    batches = [batch_of(LARGE if number % 2 else SMALL) for number in range(12)]
    async with anyio.create_task_group() as tasks:
        for batch in batches:
            tasks.start_soon(partial(encode, make, batch, ignore))
    for batch in batches:
        assert batch.encoded is not None
        assert len(decode_batch(batch.encoded).records) == batch.count


async def test_small_batches_are_compressed_without_a_thread() -> None:
    make = encoder("gzip")
    before = threading.active_count()
    assert not make.wants_thread(batch_of(SMALL))
    assert make.encode(batch_of(SMALL), ignore) is not None
    assert threading.active_count() == before
