from __future__ import annotations

from uuid import UUID

import pytest

from aioproducer._wire.messages import RESPONSES
from aioproducer._wire.messages.fetch import FetchableTopicResponse, FetchResponse, PartitionData
from aioproducer._wire.messages.find_coordinator import FindCoordinatorRequest
from aioproducer._wire.messages.init_producer_id import InitProducerIdRequest
from aioproducer._wire.messages.metadata import (
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponse,
    MetadataResponseTopic,
)
from aioproducer._wire.messages.produce import (
    LeaderIdAndEpoch,
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
    TopicProduceResponse,
)
from aioproducer._wire.schema import ZERO_UUID
from aioproducer.errors import ProtocolError, UnsupportedVersionError

TOPIC_ID = UUID("8d4ad5a0-5b4f-4b5e-9f0c-0123456789ab")


def test_every_keyword_has_a_default() -> None:
    response = PartitionProduceResponse()
    assert (response.index, response.error_code, response.log_append_time_ms) == (0, 0, -1)
    assert (response.record_errors, response.error_message) == ([], None)
    assert response.current_leader == LeaderIdAndEpoch(leader_id=-1, leader_epoch=-1)
    assert TopicProduceResponse().topic_id == ZERO_UUID


def test_each_message_has_lists_of_its_own() -> None:
    first, second = ProduceResponse(), ProduceResponse()
    assert first.responses is not second.responses


def test_unknown_keywords_are_refused() -> None:
    with pytest.raises(TypeError, match="nonsense"):
        ProduceResponse(nonsense=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def test_unknown_attributes_are_refused() -> None:
    with pytest.raises(AttributeError):
        ProduceResponse().nonsense = 1  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def test_messages_are_equal_by_class_and_values() -> None:
    assert InitProducerIdRequest(producer_id=5) == InitProducerIdRequest(producer_id=5)
    assert InitProducerIdRequest(producer_id=5) != InitProducerIdRequest(producer_id=6)
    assert ProduceResponse() != FetchResponse()


def test_reprs_show_neither_records_nor_other_bytes() -> None:
    message = ProduceRequest(
        acks=-1, topic_data=[TopicProduceData(partition_data=[PartitionProduceData(records=b"secret")])]
    )
    assert "acks=-1" in repr(message)
    assert "records=<6 bytes>" in repr(message)
    assert "secret" not in repr(message)
    assert "secret" not in repr(ProduceRequest.decode(message.encode(3), 3))


def test_a_value_that_a_version_has_no_room_for_is_not_dropped() -> None:
    message = InitProducerIdRequest(producer_id=7, producer_epoch=1)
    with pytest.raises(UnsupportedVersionError, match="InitProducerIdRequest has no producer_id in version 2"):
        message.encode(2)
    assert InitProducerIdRequest.decode(message.encode(3), 3) == message


def test_in_arrays_neither() -> None:
    with pytest.raises(UnsupportedVersionError, match="coordinator_keys"):
        FindCoordinatorRequest(coordinator_keys=["t"]).encode(3)
    with pytest.raises(UnsupportedVersionError, match="current_leader"):
        _answer(PartitionProduceResponse(current_leader=LeaderIdAndEpoch(leader_id=1, leader_epoch=2))).encode(9)


def test_a_value_that_may_be_ignored_is_dropped() -> None:
    message = _answer(PartitionProduceResponse(log_start_offset=5))
    assert ProduceResponse.decode(message.encode(4), 4) == _answer(PartitionProduceResponse())


def _answer(partition: PartitionProduceResponse) -> ProduceResponse:
    return ProduceResponse(responses=[TopicProduceResponse(partition_responses=[partition])])


def test_topic_names_give_way_to_topic_ids() -> None:
    def topic_of(version: int) -> TopicProduceData:
        message = ProduceRequest(topic_data=[TopicProduceData(name="orders", topic_id=TOPIC_ID)])
        return ProduceRequest.decode(message.encode(version), version).topic_data[0]

    assert (topic_of(12).name, topic_of(12).topic_id) == ("orders", ZERO_UUID)
    assert (topic_of(13).name, topic_of(13).topic_id) == ("", TOPIC_ID)


def test_a_tagged_field_at_its_default_takes_no_bytes() -> None:
    without = _answer(PartitionProduceResponse()).encode(10)
    leader = _answer(PartitionProduceResponse(current_leader=LeaderIdAndEpoch(leader_id=3, leader_epoch=4))).encode(10)
    tagged_field = b"\x01" + b"\x00" + b"\x09" + b"\x00\x00\x00\x03" + b"\x00\x00\x00\x04" + b"\x00"
    assert len(leader) - len(without) == len(tagged_field) - 1
    assert tagged_field in leader


def test_a_tagged_field_of_a_wrong_size_is_refused() -> None:
    data = _answer(PartitionProduceResponse(current_leader=LeaderIdAndEpoch(leader_id=3, leader_epoch=4))).encode(10)
    for size in (b"\x08", b"\x0a"):
        with pytest.raises(ProtocolError):
            ProduceResponse.decode(data.replace(b"\x01\x00\x09\x00", b"\x01\x00" + size + b"\x00"), 10)


def test_null_and_empty_topics_are_not_the_same() -> None:
    choices: tuple[list[MetadataRequestTopic] | None, ...] = (None, [])
    for version in (1, 12):
        for topics in choices:
            message = MetadataRequest(topics=topics)
            assert MetadataRequest.decode(message.encode(version), version).topics == topics


def test_null_where_it_is_not_allowed_is_refused_both_ways() -> None:
    with pytest.raises(TypeError, match="MetadataRequest v0"):
        MetadataRequest(topics=None).encode(0)
    with pytest.raises(ProtocolError, match=r"MetadataRequest v0: MetadataRequest\.topics is null"):
        MetadataRequest.decode(b"\xff\xff\xff\xff", 0)


def test_a_length_below_null_is_refused() -> None:
    with pytest.raises(ProtocolError, match="size of -2"):
        MetadataRequest.decode(b"\xff\xff\xff\xfe\x00", 4)


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="ProduceRequest v9: a value does not fit"):
        ProduceRequest(acks=40_000).encode(9)


def test_a_string_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(ProtocolError, match="not UTF-8"):
        FindCoordinatorRequest.decode(b"\x00\x02\xc3\x28", 0)


def test_records_are_slices_of_the_buffer() -> None:
    message = FetchResponse(responses=[FetchableTopicResponse(partitions=[PartitionData(records=b"0123456789")])])
    for version in (4, 17):
        data = message.encode(version)
        records = FetchResponse.decode(data, version).responses[0].partitions[0].records
        assert isinstance(records, memoryview)
        assert records.obj is data


def test_any_buffer_is_decoded() -> None:
    data = MetadataResponse(topics=[MetadataResponseTopic(name="orders")]).encode(12)
    assert MetadataResponse.decode(memoryview(data), 12) == MetadataResponse.decode(data, 12)
    assert MetadataResponse.decode(bytearray(data), 12).topics[0].name == "orders"


def test_every_response_that_can_ask_for_a_pause_says_since_when_the_client_has_to_keep_it() -> None:
    can = {cls.__name__ for cls in RESPONSES.values() if "throttle_time_ms" in cls.FIELDS}
    assert can == {cls.__name__ for cls in RESPONSES.values() if cls.throttles_since is not None}
    for cls in RESPONSES.values():
        assert cls.throttles_since is None or cls.FIELDS["throttle_time_ms"].is_in(cls.throttles_since)


@pytest.mark.parametrize(("version", "pause"), [(5, 0), (6, 70), (13, 70)])
def test_a_pause_is_the_brokers_own_business_before_that_version(version: int, pause: int) -> None:
    assert ProduceResponse(throttle_time_ms=70).throttle_ms(version) == pause
