"""Facts that hold for every message in every version."""

from __future__ import annotations

import logging
import random
import struct
from typing import TYPE_CHECKING

import pytest

from aioproducer._wire.messages import REQUESTS, RESPONSES, ApiKey
from aioproducer._wire.messages.metadata import MetadataResponse
from aioproducer._wire.schema import Response
from aioproducer.errors import ProtocolError
from tests.unit._wire.samples import CASES, CLASSES, Case, case_id, random_message

if TYPE_CHECKING:
    from aioproducer._wire.schema import Message

SEED = 20_260_601

each_case = pytest.mark.parametrize("case", CASES, ids=case_id)


@each_case
def test_what_is_encoded_decodes_to_the_same(case: Case) -> None:
    cls, version = case
    rng = random.Random(f"{SEED}-{case_id(case)}")
    for _ in range(10):
        message = random_message(cls, version, rng)
        assert cls.decode(message.encode(version), version) == message


@each_case
def test_defaults_decode_to_defaults(case: Case) -> None:
    cls, version = case
    assert cls.decode(cls().encode(version), version) == cls()


@each_case
def test_every_strict_prefix_is_refused(case: Case) -> None:
    cls, version = case
    rng = random.Random(f"{SEED}-{case_id(case)}")
    for _ in range(3):
        data = random_message(cls, version, rng).encode(version)
        for size in {*range(min(len(data), 60)), *(rng.randrange(len(data)) for _ in range(30) if data), len(data) - 1}:
            if 0 <= size < len(data):
                with pytest.raises(ProtocolError):
                    cls.decode(data[:size], version)


@each_case
def test_bytes_left_over_are_refused_in_requests_and_read_over_in_responses(case: Case) -> None:
    cls, version = case
    data = cls().encode(version) + b"\0"
    if issubclass(cls, Response):
        assert cls.decode(data, version) == cls()
    else:
        with pytest.raises(ProtocolError, match="1 bytes are left over"):
            cls.decode(data, version)


def test_bytes_that_are_read_over_are_told_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "aioproducer.protocol"):
        MetadataResponse.decode(MetadataResponse().encode(12) + b"\0\0", 12)
    assert [record.getMessage() for record in caplog.records] == [
        "MetadataResponse v12: 2 bytes after its end are not read"
    ]


@each_case
def test_damaged_bytes_decode_or_raise_protocol_error(case: Case) -> None:
    cls, version = case
    rng = random.Random(f"{SEED}-{case_id(case)}")
    refused = 0
    for _ in range(30):
        data = bytearray(random_message(cls, version, rng).encode(version))
        for _ in range(rng.randint(1, 4)):
            if data:
                data[rng.randrange(min(len(data), 200))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        refused += _is_refused(case, bytes(data))
    for _ in range(30):
        refused += _is_refused(case, rng.randbytes(rng.randrange(200)))
    refused += _is_refused(case, b"")  # a response of fixed length can hardly be refused for anything else
    assert refused


def _is_refused(case: Case, data: bytes) -> bool:
    try:
        case[0].decode(data, case[1])
    except ProtocolError:
        return True
    return False


@pytest.mark.parametrize("case", [case for case in CASES if case[0].is_flexible_in(case[1])], ids=case_id)
def test_unknown_tagged_fields_are_skipped(case: Case) -> None:
    cls, version = case
    data = cls().encode(version)
    assert data.endswith(b"\0")
    with_one_unknown = data[:-1] + b"\x01" + b"\x63\x03abc"
    assert cls.decode(with_one_unknown, version) == cls()


@each_case
def test_lengths_beyond_the_end_are_refused_before_anything_is_made(case: Case) -> None:
    cls, version = case
    for size in (2**31 - 1, 2**24):
        data = struct.pack(">i", size) * 40
        try:
            message = cls.decode(data, version)
        except ProtocolError:
            continue
        # It has no lengths, or read none of these as one; a response may have more after its end.
        assert issubclass(cls, Response)
        assert len(message.encode(version)) < len(data)


def test_each_request_has_a_response_with_the_same_versions() -> None:
    assert set(REQUESTS) == set(RESPONSES) == set(ApiKey)
    for api_key, request in REQUESTS.items():
        response = RESPONSES[api_key]
        assert (request.min_version, request.max_version, request.flexible_from) == (
            response.min_version,
            response.max_version,
            response.flexible_from,
        )


@pytest.mark.parametrize("cls", CLASSES)
def test_versions_outside_of_the_range_are_refused(cls: type[Message]) -> None:
    for version in (cls.min_version - 1, cls.max_version + 1):
        with pytest.raises(ValueError, match="has versions"):
            cls().encode(version)
        with pytest.raises(ValueError, match="has versions"):
            cls.decode(b"", version)
