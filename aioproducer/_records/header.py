"""The header of a RecordBatch.

The 61 bytes, big-endian, magic 2 (KIP-98)::

     0 base_offset int64            the broker's; outside of the CRC
     8 batch_length int32           of what follows this field; outside of the CRC
    12 partition_leader_epoch int32 the broker's; outside of the CRC
    16 magic int8                   2; outside of the CRC
    17 crc uint32                   CRC-32C of everything from attributes on
    21 attributes int16             bits 0-2 codec, 3 LogAppendTime, 4 transactional, 5 control, 6 delete horizon
    23 last_offset_delta int32
    27 base_timestamp int64         of the first record
    35 max_timestamp int64          with LogAppendTime the broker's time of append
    43 producer_id int64            -1 without idempotence; so are the next two
    51 producer_epoch int16
    53 base_sequence int32
    57 count int32
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, Final

from aioproducer._records.compression import Codec
from aioproducer._records.sizes import BATCH_OVERHEAD
from aioproducer.errors import CorruptRecordError, ProtocolError

if TYPE_CHECKING:
    from aioproducer._types import BytesLike

MAGIC: Final = 2
LENGTH_OFFSET: Final = 8
LENGTH_END: Final = 12
LEADER_EPOCH_OFFSET: Final = 12
MAGIC_OFFSET: Final = 16
CRC_OFFSET: Final = 17
ATTRIBUTES_OFFSET: Final = 21
"""The CRC covers everything from here."""

LAST_OFFSET_DELTA_OFFSET: Final = 23
MAX_TIMESTAMP_OFFSET: Final = 35
PRODUCER_STATE_OFFSET: Final = 43

HEAD: Final = Struct(">qiibI")
"""base_offset to crc."""

CHECKED_HEAD: Final = Struct(">hiqqqhii")
"""attributes to count."""

HEADER: Final = Struct(">qiibIhiqqqhii")
PRODUCER_STATE: Final = Struct(">qhi")

CODEC_MASK: Final = 0b111
LOG_APPEND_TIME_BIT: Final = 1 << 3
TRANSACTIONAL_BIT: Final = 1 << 4
CONTROL_BIT: Final = 1 << 5

MIN_BATCH_LENGTH: Final = BATCH_OVERHEAD - LENGTH_END


@dataclass(frozen=True, slots=True)
class BatchHeader:
    """The header of a RecordBatch, as it is in the bytes.

    Attributes:
        base_offset: the offset of the first record; 0 from a producer.
        batch_length: the bytes of the batch after this field; the whole batch has 12 more.
        partition_leader_epoch: of the leader that appended it; -1 from a producer.
        magic: always 2.
        crc: CRC-32C, unsigned.
        attributes: all bits; the properties tell them apart.
        last_offset_delta: the offset of the last record, less base_offset.
        base_timestamp: milliseconds; the records' deltas count from here.
        max_timestamp: milliseconds; with LogAppendTime the timestamp of every record.
        producer_id: or -1.
        producer_epoch: or -1.
        base_sequence: the sequence number of the first record, or -1.
        count: how many records it says it has.
    """

    base_offset: int
    batch_length: int
    partition_leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    count: int

    @property
    def codec(self) -> Codec:
        """How the records are compressed."""
        return Codec(self.attributes & CODEC_MASK)

    @property
    def log_append_time(self) -> bool:
        """Whether the timestamps are the broker's."""
        return bool(self.attributes & LOG_APPEND_TIME_BIT)

    @property
    def is_transactional(self) -> bool:
        """Whether the batch belongs to a transaction."""
        return bool(self.attributes & TRANSACTIONAL_BIT)

    @property
    def is_control(self) -> bool:
        """Whether it is a marker of the broker's, not for consumers."""
        return bool(self.attributes & CONTROL_BIT)

    @property
    def size(self) -> int:
        """The bytes of the whole batch."""
        return LENGTH_END + self.batch_length


def read_header(buffer: BytesLike, offset: int = 0) -> BatchHeader:
    """Read the header that begins at `offset`; the records need not be there.

    Raises:
        ProtocolError: it is of an older format (magic 0 or 1).
        CorruptRecordError: it is cut off, or a field has a value that it cannot have.
    """
    if offset < 0 or len(buffer) - offset < BATCH_OVERHEAD:
        raise CorruptRecordError(f"a batch header has {BATCH_OVERHEAD} bytes; {max(0, len(buffer) - offset)} are left")
    header = BatchHeader(*HEADER.unpack_from(buffer, offset))
    check_magic(header.magic)
    if header.batch_length < MIN_BATCH_LENGTH:
        raise CorruptRecordError(f"batch length {header.batch_length}; it must be at least {MIN_BATCH_LENGTH}")
    if header.attributes & CODEC_MASK > max(Codec):
        raise CorruptRecordError(f"compression codec {header.attributes & CODEC_MASK} does not exist")
    if header.count < 0:
        raise CorruptRecordError(f"record count {header.count}; it must be at least 0")
    return header


def check_magic(magic: int) -> None:
    """Refuse the formats from before Kafka 0.11.

    Raises:
        ProtocolError: magic is not 2.
    """
    if magic != MAGIC:
        raise ProtocolError(f"record batch of magic {magic}; only {MAGIC} is understood, the format since Kafka 0.11")
