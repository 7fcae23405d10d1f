from __future__ import annotations

import random

import pytest

from aioproducer._wire.frames import (
    MAX_FRAME_BYTES,
    FrameBuffer,
    RequestHeader,
    decode_request,
    decode_request_body,
    decode_response,
    decode_response_header,
    encode_request,
    encode_response,
)
from aioproducer._wire.messages import REQUESTS, RESPONSES, ApiKey
from aioproducer._wire.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from aioproducer._wire.messages.end_txn import EndTxnRequest
from aioproducer._wire.messages.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse
from aioproducer._wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from aioproducer.errors import ProtocolError


def test_a_request_before_flexible_versions_has_header_1() -> None:
    message = EndTxnRequest(transactional_id="t", producer_id=1, producer_epoch=2, committed=True)
    assert encode_request(message, 2, 7, "me") == (
        b"\x00\x00\x00\x1a"  # 26 bytes follow
        b"\x00\x1a\x00\x02\x00\x00\x00\x07\x00\x02me"  # api key, version, correlation id, client id
        b"\x00\x01t" + (1).to_bytes(8, "big") + b"\x00\x02\x01"
    )


def test_a_flexible_request_has_header_2_with_the_client_id_in_its_old_form() -> None:
    message = EndTxnRequest(transactional_id="t", producer_id=1, producer_epoch=2, committed=True)
    assert encode_request(message, 3, 7, "me") == (
        b"\x00\x00\x00\x1b"
        b"\x00\x1a\x00\x03\x00\x00\x00\x07\x00\x02me\x00"  # no tagged fields
        b"\x02t" + (1).to_bytes(8, "big") + b"\x00\x02\x01\x00"
    )


def test_no_client_id_is_a_null_string() -> None:
    frame = encode_request(ApiVersionsRequest(), 0, 1, None)
    assert frame == b"\x00\x00\x00\x0a\x00\x12\x00\x00\x00\x00\x00\x01\xff\xff"
    assert decode_request(frame[4:])[0] == RequestHeader(18, 0, 1, None)


@pytest.mark.parametrize("api_key", ApiKey)
def test_requests_come_back_from_their_frames(api_key: ApiKey) -> None:
    request = REQUESTS[api_key]
    for version in range(request.min_version, request.max_version + 1):
        frame = encode_request(request(), version, 99, "café")
        header, body = decode_request(frame[4:])
        assert int.from_bytes(frame[:4], "big") == len(frame) - 4
        assert header == RequestHeader(api_key, version, 99, "café")
        assert decode_request_body(header.api_key, header.api_version, body) == request()


@pytest.mark.parametrize("api_key", ApiKey)
def test_responses_come_back_from_their_frames(api_key: ApiKey) -> None:
    response = RESPONSES[api_key]
    for version in range(response.min_version, response.max_version + 1):
        frame = encode_response(response(), version, -5)
        correlation_id, body = decode_response_header(frame[4:], api_key, version)
        assert int.from_bytes(frame[:4], "big") == len(frame) - 4
        assert correlation_id == -5
        assert response.decode(body, version) == response()
        assert decode_response(frame[4:], api_key, version, -5) == response()


def test_a_response_header_is_flexible_from_the_first_flexible_version_on() -> None:
    assert len(encode_response(MetadataResponse(), 9, 1)) - len(MetadataResponse().encode(9)) == 4 + 4 + 1
    assert len(encode_response(MetadataResponse(), 8, 1)) - len(MetadataResponse().encode(8)) == 4 + 4


def test_the_header_of_an_api_versions_response_is_never_flexible() -> None:
    assert len(encode_response(ApiVersionsResponse(), 4, 1)) - len(ApiVersionsResponse().encode(4)) == 4 + 4


def test_tagged_fields_in_headers_are_skipped() -> None:
    frame = encode_response(MetadataResponse(), 9, 1)[4:]
    with_tag = frame[:4] + b"\x01\x05\x02ab" + frame[5:]
    correlation_id, body = decode_response_header(with_tag, ApiKey.METADATA, 9)
    assert (correlation_id, MetadataResponse.decode(body, 9)) == (1, MetadataResponse())
    assert decode_response(with_tag, ApiKey.METADATA, 9, 1) == MetadataResponse()


def test_the_answer_to_another_request_is_refused() -> None:
    frame = encode_response(MetadataResponse(), 9, 1)[4:]
    with pytest.raises(ProtocolError, match="answered request 1; the next is 2"):
        decode_response(frame, ApiKey.METADATA, 9, 2)


def test_a_version_that_is_not_known_can_still_be_answered() -> None:
    frame = b"\x00\x12\x00\x63\x00\x00\x00\x07\x00\x02me\x00whatever"
    header, _ = decode_request(frame)
    assert header == RequestHeader(18, 99, 7, "me")
    with pytest.raises(ProtocolError, match="request 18 version 99"):
        decode_request_body(18, 99, b"")


def test_a_request_that_is_not_known_has_a_header_all_the_same() -> None:
    header, body = decode_request(b"\x03\xe7\x00\x00\x00\x00\x00\x07\xff\xffbody")
    assert (header, bytes(body)) == (RequestHeader(999, 0, 7, None), b"body")
    with pytest.raises(ProtocolError, match="request 999"):
        decode_request_body(999, 0, body)


def test_every_strict_prefix_of_a_header_is_refused() -> None:
    request = encode_request(MetadataRequest(), 12, 1, "me")[4:]
    for size in range(8 + 2 + 2 + 1):
        with pytest.raises(ProtocolError):
            decode_request(request[:size])
    response = encode_response(MetadataResponse(), 12, 1)[4:]
    for size in range(4 + 1):
        with pytest.raises(ProtocolError):
            decode_response_header(response[:size], ApiKey.METADATA, 12)
    for size in range(len(response)):
        with pytest.raises(ProtocolError):
            decode_response(response[:size], ApiKey.METADATA, 12, 1)


def test_records_in_chunks_are_sent_as_one_field() -> None:
    def request(records: bytes | list[bytes]) -> ProduceRequest:
        return ProduceRequest(topic_data=[TopicProduceData(partition_data=[PartitionProduceData(records=records)])])

    for version in (3, 13):
        assert encode_request(request([b"ab", b"", b"c"]), version, 1, "x") == encode_request(
            request(b"abc"), version, 1, "x"
        )


# ── FrameBuffer ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _frame(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 7, 64, 10_000])
def test_frames_do_not_depend_on_how_the_stream_is_cut(step: int) -> None:
    rng = random.Random(step)
    frames = [rng.randbytes(size) for size in (0, 1, 3, 4, 5, 100, 0, 0, 1000)]
    stream = b"".join(map(_frame, frames))
    buffer = FrameBuffer()
    received = [frame for start in range(0, len(stream), step) for frame in buffer.feed(stream[start : start + step])]
    assert received == frames
    assert buffer.buffered_bytes == 0


def test_an_incomplete_frame_is_kept() -> None:
    buffer = FrameBuffer()
    assert buffer.feed(_frame(b"abc") + _frame(b"defg")[:6]) == [b"abc"]
    assert buffer.buffered_bytes == 6
    assert buffer.feed(b"fg") == [b"defg"]


@pytest.mark.parametrize("length", [-1, -(2**31), MAX_FRAME_BYTES + 1, 2**31 - 1])
def test_a_length_that_no_broker_sends_is_refused(length: int) -> None:
    with pytest.raises(ProtocolError, match="is announced"):
        FrameBuffer().feed(length.to_bytes(4, "big", signed=True))


def test_a_length_at_the_limit_is_accepted() -> None:
    assert FrameBuffer().feed(MAX_FRAME_BYTES.to_bytes(4, "big")) == []
    assert FrameBuffer(max_frame_bytes=3).feed(_frame(b"abc")) == [b"abc"]
    with pytest.raises(ProtocolError):
        FrameBuffer(max_frame_bytes=3).feed(_frame(b"abcd"))


def test_metadata_topics_keep_their_order() -> None:
    message = MetadataRequest(topics=[MetadataRequestTopic(name="b"), MetadataRequestTopic(name="a")])
    _, body = decode_request(encode_request(message, 12, 1, None)[4:])
    assert MetadataRequest.decode(body, 12) == message


@pytest.mark.parametrize(
    ("first", "words"),
    [
        (b"\x15\x03\x03\x00\x02\x02\x50", "TLS: set security_protocol to SSL or SASL_SSL"),
        (b"HTTP/1.1 400", "the text 'HTTP'.*is the port right"),
        (b"SSH-2.0", "the text 'SSH-'"),
        (b"\xff\xff\xff\xff", "does this port speak Kafka"),
    ],
)
def test_who_answers_instead_of_a_broker_is_told_by_the_first_bytes(first: bytes, words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        FrameBuffer().feed(first)
