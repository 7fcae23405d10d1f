"""What the source of a decoder looks like, and what its code refuses."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import pytest

from aioproducer._wire.codegen import decoder_source
from aioproducer._wire.messages.add_partitions_to_txn import AddPartitionsToTxnTopic
from aioproducer._wire.messages.fetch import FetchRequest
from aioproducer._wire.messages.find_coordinator import FindCoordinatorRequest
from aioproducer._wire.messages.metadata import MetadataRequest, MetadataResponse, MetadataResponsePartition
from aioproducer.errors import ProtocolError

if TYPE_CHECKING:
    from aioproducer._wire.schema import Message


def test_neighbours_of_fixed_width_are_one_struct() -> None:
    decoder = decoder_source(MetadataResponsePartition, 12, flexible=True)
    assert "(m.error_code, m.partition_index, m.leader_id, m.leader_epoch,) = unpack" in decoder


def test_fields_that_a_version_lacks_cost_no_reading() -> None:
    decoder = decoder_source(MetadataResponsePartition, 6, flexible=False)
    assert "m.leader_epoch = -1" in decoder
    assert "(m.error_code, m.partition_index, m.leader_id,) = unpack" in decoder


def test_structs_without_known_tags_have_the_short_check_for_tags() -> None:
    assert "if b[p]: p = skip_tagged_fields(b, p)" in decoder_source(AddPartitionsToTxnTopic, 3, flexible=True)
    assert "skip_tagged_fields" not in decoder_source(AddPartitionsToTxnTopic, 2, flexible=False)


@pytest.mark.parametrize(
    ("cls", "version", "data", "claim"),
    [
        (FindCoordinatorRequest, 0, b"\x00\x05abcd", "key claims 5 bytes or elements where 4 bytes are left"),
        (FindCoordinatorRequest, 3, b"\x06abcd", "key claims 5 bytes or elements where 4 bytes are left"),
        (FindCoordinatorRequest, 4, b"\x00\x03\x01", "coordinator_keys claims 2 bytes or elements where 1 bytes"),
        (MetadataRequest, 1, b"\x7f\xff\xff\xff\x00\x00", "topics claims 2,147,483,647 bytes or elements where 2"),
        (MetadataRequest, 1, b"\x00\x00\x00\x02\x00\x00\x00", "topics claims 2 bytes or elements where 3"),
        (FetchRequest, 12, b"\x00" * 25 + b"\x01\x01\x01" + b"\x01\x00\xff\xff\x03a", "FetchRequest claims 65,535"),
    ],
)
def test_a_length_larger_than_what_is_left_is_named(cls: type[Message], version: int, data: bytes, claim: str) -> None:
    with pytest.raises(ProtocolError, match=claim):
        cls.decode(data, version)


def test_a_large_count_is_refused_before_anything_is_made() -> None:
    # A million brokers are claimed, in bytes that would do for 83,333 of the smallest.
    data = b"\x00" * 4 + (1_000_000).to_bytes(4, "big") + b"\x00" * 1_000_000
    MetadataResponse.decode(MetadataResponse().encode(5), 5)  # what is made on first use
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError, match="brokers claims"):
            MetadataResponse.decode(data, 5)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
