"""How a batch's columns become bytes: once, kept until its outcome."""

from __future__ import annotations

import struct
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread

from aioproducer._core.accumulator.batch import BatchState
from aioproducer._records.compression import Codec, compressor, load
from aioproducer._records.encode import encode_records, restamp, seal_batch
from aioproducer._records.sizes import BATCH_OVERHEAD

if TYPE_CHECKING:
    from collections.abc import Callable

    from aioproducer._config import ProducerConfig
    from aioproducer._core.accumulator.batch import ProducerBatch

_THREAD_BYTES: Final = {Codec.GZIP: 16_384}
_THREAD_BYTES_OTHERS: Final = 32_768
_STAMP: Final = struct.Struct(">qhi")
_STAMP_OFFSET: Final = 43  # producer id, epoch and base sequence in a RecordBatch v2


class Encoder:
    """Makes the bytes of batches. One for each producer, used from its loop.

    The records are written by the loop itself, where they take 0.4 µs each; compressing more than 32 KiB (gzip: 16
    KiB) goes to a worker thread, which a smaller batch is not worth: the hop costs 50 to 100 µs.

    Attributes:
        is_compressing: there is a codec.
    """

    def __init__(self, config: ProducerConfig) -> None:
        self._codec = Codec[config.compression_type.upper()]
        self._level = {
            Codec.GZIP: config.compression_gzip_level,
            Codec.LZ4: config.compression_lz4_level,
            Codec.ZSTD: config.compression_zstd_level,
        }.get(self._codec)
        self.is_compressing = self._codec is not Codec.NONE
        load(self._codec)
        self._compress = compressor(self._codec, self._level)  # the loop's own; worker threads make theirs
        self._thread_bytes = _THREAD_BYTES.get(self._codec, _THREAD_BYTES_OTHERS)
        self._is_transactional = config.transactional_id is not None
        self._limiter = anyio.CapacityLimiter(2)

    def encode(self, batch: ProducerBatch, on_encoded: Callable[[ProducerBatch, int, int], None]) -> bytes | None:
        """Return the batch's bytes with its present producer state, or None when its outcome came meanwhile.

        `on_encoded` is told how well it was compressed, if it was.
        """
        if batch.state is BatchState.DONE:  # expired or aborted between its Send effect and its turn on the connection
            return None
        encoded = batch.encoded
        if encoded is None:
            records = encode_records(batch.timestamps, batch.keys, batch.values, batch.headers)
            encoded = batch.encoded = self._job(batch, records)(compressor=self._compress)
            if self.is_compressing:
                on_encoded(batch, len(records), len(encoded) - BATCH_OVERHEAD)
        elif _STAMP.unpack_from(encoded, _STAMP_OFFSET) != _stamp(batch):
            encoded = batch.encoded = restamp(encoded, *_stamp(batch), self._is_transactional)
        return encoded

    def wants_thread(self, batch: ProducerBatch) -> bool:
        """Whether `encode` would hold up the loop: call `encode_aside` before."""
        return (
            self.is_compressing
            and batch.size - BATCH_OVERHEAD > self._thread_bytes
            and batch.encoded is None
            and not batch.is_done
        )

    async def encode_aside(self, batch: ProducerBatch, on_encoded: Callable[[ProducerBatch, int, int], None]) -> None:
        """Give a batch that wants a thread its bytes, compressed in one. Its outcome may come meanwhile.

        Cancelled, the batch stays without bytes and can be encoded again.
        """
        if not self.wants_thread(batch):
            return
        records = encode_records(batch.timestamps, batch.keys, batch.values, batch.headers)
        job = self._job(batch, records)
        # A zstd compressor used by two threads at once crashes the interpreter: each job has its own (14 µs).
        encoded = await anyio.to_thread.run_sync(
            lambda: job(compressor=compressor(self._codec, self._level)), limiter=self._limiter, abandon_on_cancel=True
        )
        if not batch.is_done:
            batch.encoded = encoded
            on_encoded(batch, len(records), len(encoded) - BATCH_OVERHEAD)

    def _job(self, batch: ProducerBatch, records: bytes) -> Callable[..., bytes]:
        """Take what is needed from the batch now: it may change while a worker thread is busy with it."""
        timestamps = batch.timestamps
        return partial(
            seal_batch,
            records,
            count=len(timestamps),
            base_timestamp=timestamps[0],
            max_timestamp=max(timestamps),
            codec=self._codec,
            producer_id=batch.producer_id,
            producer_epoch=batch.producer_epoch,
            base_sequence=batch.base_sequence,
            is_transactional=self._is_transactional,
        )


def _stamp(batch: ProducerBatch) -> tuple[int, int, int]:
    return batch.producer_id, batch.producer_epoch, batch.base_sequence
