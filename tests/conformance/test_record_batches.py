"""Do Kafka's own classes read the batches that we write, and do we read theirs?

One JVM answers all questions (java_records/RecordsOracle.java on kafka-clients' classes).
"""

from __future__ import annotations

import random
import subprocess
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import pytest

from aioproducer._records.compression import Codec, compressor, decompress
from aioproducer._records.decode import Record, control_batch, decode_batch, rewrite_for_append, split_batches
from aioproducer._records.encode import encode_records, restamp, seal_batch
from aioproducer._records.record_headers import encode_headers
from aioproducer._records.sizes import headers_size, record_size, record_upper_bound
from aioproducer.testing._real_kafka import fetch_jars, java_command

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aioproducer._types import Headers

pytestmark = pytest.mark.kafka

NOW: Final = 1_700_000_000_000
LIMIT: Final = 1_048_576
ORACLE: Final = Path(__file__).parent / "java_records" / "RecordsOracle.java"

OUR_LEVELS: Final[list[tuple[Codec, int | None]]] = [
    (Codec.NONE, None),
    (Codec.GZIP, None),
    (Codec.GZIP, 1),
    (Codec.GZIP, 9),
    (Codec.SNAPPY, None),
    *[(Codec.LZ4, level) for level in (None, 2, 3, 9, 12, 17)],
    *[(Codec.ZSTD, level) for level in (None, -131072, -5, 1, 12, 22)],
]
JAVA_LEVELS: Final[list[tuple[Codec, int | None]]] = [
    (Codec.NONE, None),
    *[(Codec.GZIP, level) for level in (None, *range(1, 10))],
    (Codec.SNAPPY, None),
    *[(Codec.LZ4, level) for level in (None, *range(1, 18))],
    *[(Codec.ZSTD, level) for level in (None, -131072, -5, -1, *range(1, 23))],
]
KIB: Final = 1024
BORDERS: Final = [size + difference for size in (32 * KIB, 64 * KIB) for difference in (-1, 0, 1)]
SIZES: Final = [0, 1, 63, 64, 8191, 8192, 8193, *BORDERS, 900_000]


class Oracle:
    """Kafka's record classes in a JVM; see the Java file for the commands."""

    def __init__(self, questions: IO[str], answers: IO[str]) -> None:
        self._questions = questions
        self._answers = answers

    def ask(self, *words: object) -> str:
        """Return the answer to one command."""
        print(*words, file=self._questions, flush=True)
        answer = self._answers.readline().rstrip("\n")
        assert answer.startswith("ok "), answer[:1000] or "the JVM has ended"
        return answer[3:]

    def read(self, batch: bytes) -> tuple[list[str], list[Record], list[int]]:
        """Return what Java reads in one batch: the header's fields, the records, and the bytes of each record."""
        header, *lines = self.ask("read", batch.hex()).split(";")
        records = [parse_record(line) for line in lines]
        return header.split(","), [record for record, _ in records], [size for _, size in records]

    def write(
        self,
        records: Sequence[Record],
        codec: Codec = Codec.NONE,
        level: int | None = None,
        *,
        append_time: int | None = None,
        base_offset: int = 0,
        state: tuple[int, int, int] = (-1, -1, -1),
        is_transactional: bool = False,
    ) -> bytes:
        """Return a batch that Java's MemoryRecordsBuilder has written."""
        words = [int(codec), word(level), word(append_time), base_offset, *state, str(is_transactional).lower()]
        return bytes.fromhex(self.ask("write", *words, *map(describe, records)))


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    command = [java_command(), "-Xmx512m", "-XX:TieredStopAtLevel=1", "-cp", f"{fetch_jars()}/*", str(ORACLE)]
    log = tmp_path_factory.mktemp("oracle") / "stderr.txt"
    with (
        log.open("w") as stderr,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True) as process,
    ):
        assert process.stdin is not None and process.stdout is not None
        try:
            yield Oracle(process.stdin, process.stdout)
            process.stdin.close()
            assert process.wait(10) == 0, log.read_text()[-3000:]
        finally:
            process.kill()


def word(value: int | None) -> str:
    return "-" if value is None else str(value)


def hex_or_null(value: bytes | None) -> str:
    return "-" if value is None else value.hex()


def describe(record: Record) -> str:
    headers = "".join(f"{name.encode().hex()}={hex_or_null(value)}&" for name, value in record.headers)
    return f"{record.timestamp_ms}:{hex_or_null(record.key)}:{hex_or_null(record.value)}:{headers}"


def parse_record(line: str) -> tuple[Record, int]:
    offset, timestamp, key, value, headers, size = line.split(":")
    pairs = [pair.split("=") for pair in headers.split("&")[:-1]]
    parsed = tuple([(bytes.fromhex(name).decode(), parse_bytes(text)) for name, text in pairs])
    return Record(int(offset), int(timestamp), parse_bytes(key), parse_bytes(value), parsed), int(size)


def parse_bytes(text: str) -> bytes | None:
    return None if text == "-" else bytes.fromhex(text)


def seal(
    records: Sequence[Record],
    codec: Codec = Codec.NONE,
    level: int | None = None,
    *,
    state: tuple[int, int, int] = (-1, -1, -1),
    is_transactional: bool = False,
) -> bytes:
    timestamps = [record.timestamp_ms for record in records]
    keys = [record.key for record in records]
    headers = [encode_headers(record.headers) for record in records]
    return seal_batch(
        encode_records(timestamps, keys if any(key is not None for key in keys) else None, values_of(records), headers),
        count=len(records),
        base_timestamp=timestamps[0],
        max_timestamp=max(timestamps),
        codec=codec,
        compressor=compressor(codec, level),
        producer_id=state[0],
        producer_epoch=state[1],
        base_sequence=state[2],
        is_transactional=is_transactional,
    )


def values_of(records: Sequence[Record]) -> list[bytes | None]:
    return [record.value for record in records]


def payload(size: int, kind: str) -> bytes:
    """Bytes that compress well, not at all, or about as JSON does."""
    if kind == "zeros":
        return bytes(size)
    if kind == "random":
        return random.Random(size).randbytes(size)
    rng = random.Random(size)
    rows = [b'{"id": %d, "amount": %d.5}' % (rng.randrange(10**6), rng.randrange(10**4)) for _ in range(size // 20 + 1)]
    return b",".join(rows)[:size]


def one(value: bytes | None, key: bytes | None = None, headers: Headers = (), timestamp: int = NOW) -> list[Record]:
    return [Record(0, timestamp, key, value, headers)]


def odd_batches() -> dict[str, list[Record]]:
    """Batches with everything that a record may have, by name."""
    backwards = [NOW, NOW - 1, NOW - 65, NOW - 10**9, NOW + 10**9, 0, NOW + 64]
    cells: list[bytes | None] = [None, b"", b"x", bytes(63), bytes(64)]
    return {
        "null key and value": one(None),
        "empty key and value": one(b"", b""),
        "null header value": one(b"v", b"k", (("h", b"x"), ("n", None), ("", b""), ("ü✓𝄞", b"\xff"))),
        "1,000 headers": one(b"v", None, tuple((f"name-{i % 7}", bytes(i % 70)) for i in range(1000))),
        "negative timestamp deltas": [Record(i, ts, None, b"v", ()) for i, ts in enumerate(backwards)],
        "every mixture": [Record(i, NOW + i, key, cells[i % 5], ()) for i, key in enumerate(cells * 5)],
        "headers on some": [Record(i, NOW, b"k", b"v", (("a", b"1"),) * (i % 3)) for i in range(200)],
        "10,000 records": [Record(i, NOW + i, None, b"%d" % i, ()) for i in range(10_000)],
        "long key": one(None, bytes(70_000)),
    }


@pytest.mark.parametrize(("codec", "level"), OUR_LEVELS)
def test_java_reads_values_of_every_size(oracle: Oracle, codec: Codec, level: int | None) -> None:
    for kind in ("zeros", "random", "json"):
        for size in SIZES:
            records = one(payload(size, kind), b"key")
            assert oracle.read(seal(records, codec, level))[1] == records, (kind, size)


@pytest.mark.parametrize(("codec", "level"), OUR_LEVELS)
def test_java_reads_records_sections_that_end_at_a_block_border(
    oracle: Oracle, codec: Codec, level: int | None
) -> None:
    # snappy is cut into blocks of 32 KiB, lz4 of 64 KiB, zstd of 128 KiB.
    for size in (32 * KIB, 64 * KIB, 128 * KIB):
        for difference in (-1, 0, 1):
            records = one(payload(size + difference - 9, "json"))
            batch = seal(records, codec, level)
            section = decompress(codec, batch[61:])
            records = one(payload(2 * size + 2 * difference - 9 - len(section), "json"))
            batch = seal(records, codec, level)
            assert len(decompress(codec, batch[61:])) == size + difference
            assert oracle.read(batch)[1] == records


@pytest.mark.parametrize(("codec", "level"), OUR_LEVELS)
@pytest.mark.parametrize("name", odd_batches())
def test_java_reads_odd_records(oracle: Oracle, codec: Codec, level: int | None, name: str) -> None:
    records = odd_batches()[name]
    header, read, sizes = oracle.read(seal(records, codec, level, state=(2**40, 7, 2**31 - 5), is_transactional=True))
    assert read == records
    assert header[4:6] == [str(int(codec)), "0"]
    assert header[6] == str(max(record.timestamp_ms for record in records))
    assert header[7:10] == [str(2**40), "7", str(2**31 - 5)]
    assert header[11:14] == ["true", "false", str(len(records))]
    expected = [
        record_size(
            record.timestamp_ms - records[0].timestamp_ms,
            record.offset,
            record.key,
            record.value,
            headers_size(record.headers),
        )
        for record in records
    ]
    assert sizes == expected


@pytest.mark.parametrize("codec", Codec)
def test_java_reads_a_record_exactly_at_the_limit(oracle: Oracle, codec: Codec) -> None:
    headers: Headers = (("trace", b"0123456789abcdef"),)
    value = bytes(LIMIT - record_upper_bound(b"key", b"", headers_size(headers)) - 2)
    records = one(value, b"key", headers)
    assert record_upper_bound(b"key", value, headers_size(headers)) == LIMIT
    assert oracle.ask("bound", describe(records[0])) == str(LIMIT)
    assert oracle.read(seal(records, codec))[1] == records


@pytest.mark.parametrize("name", odd_batches())
def test_batches_without_compression_have_javas_bytes(oracle: Oracle, name: str) -> None:
    records = odd_batches()[name]
    state = (77, 3, 12)
    theirs = oracle.write(records, state=state, is_transactional=True)
    assert seal(records, state=state, is_transactional=True) == theirs
    assert restamp(theirs, 5, 1, 0, False) == oracle.write(records, state=(5, 1, 0))
    assert restamp(theirs, -1, -1, -1, False) == oracle.write(records)


@pytest.mark.parametrize(("codec", "level"), JAVA_LEVELS)
def test_java_batches_are_read(oracle: Oracle, codec: Codec, level: int | None) -> None:
    batches = [one(payload(200_000, "json")), one(payload(64 * KIB + 1, "random")), odd_batches()["every mixture"]]
    if level is None:  # at the highest levels of zstd Java takes half a second for each
        batches += [one(payload(size, kind), b"key") for kind in ("zeros", "random") for size in SIZES]
        batches += odd_batches().values()
    for records in batches:
        batch = oracle.write(records, codec, level, state=(9, 0, 1), base_offset=10**12)
        decoded = decode_batch(batch)
        assert decoded.records == [record._replace(offset=10**12 + record.offset) for record in records]
        assert decoded.header.codec is codec


@pytest.mark.parametrize("codec", Codec)
def test_log_append_time_of_java_is_read(oracle: Oracle, codec: Codec) -> None:
    records = [Record(i, NOW + i, None, b"v", ()) for i in range(3)]
    decoded = decode_batch(oracle.write(records, codec, append_time=NOW + 500))
    assert decoded.header.log_append_time
    assert [record.timestamp_ms for record in decoded.records] == [NOW + 500] * 3


@pytest.mark.parametrize("codec", Codec)
@pytest.mark.parametrize("append_time", [None, NOW + 12345])
def test_appended_batches_have_javas_bytes(oracle: Oracle, codec: Codec, append_time: int | None) -> None:
    batch = seal([Record(i, NOW + i, b"k", b"v", ()) for i in range(5)], codec, state=(1, 2, 3))
    theirs = bytes.fromhex(oracle.ask("append", batch.hex(), 1004, 17, word(append_time)))
    assert rewrite_for_append(batch, 1000, 17, append_time) == theirs


@pytest.mark.parametrize("commit", [True, False])
def test_markers_have_javas_bytes(oracle: Oracle, commit: bool) -> None:
    theirs = oracle.ask("marker", 2**50, 4, 2**41, str(commit).lower(), 31, NOW, 6)
    assert control_batch(2**50, 4, 2**41, commit, 31, NOW, leader_epoch=6).hex() == theirs


def test_upper_bounds_are_javas(oracle: Oracle) -> None:
    edges = [0, 1, 63, 64, 8191, 8192, 2**20 - 1, 2**20]
    for key_size in (None, 0, 64, 8192):
        for value_size in (None, *edges):
            key, value = (None if size is None else bytes(size) for size in (key_size, value_size))
            for headers in ((), (("h", b"x"), ("n", None)), (("é", bytes(64)),) * 64):
                described = describe(Record(0, 0, key, value, headers))
                assert str(record_upper_bound(key, value, headers_size(headers))) == oracle.ask("bound", described)


def test_java_reads_several_batches_in_one_buffer(oracle: Oracle) -> None:
    batches = [seal(one(b"%d" % codec), codec) for codec in Codec]
    answers = oracle.ask("read", b"".join(batches).hex()).split(" ")
    assert [parse_record(answer.split(";")[1])[0].value for answer in answers] == [b"%d" % codec for codec in Codec]
    assert [bytes(batch) for batch in split_batches(b"".join(batches))] == batches
