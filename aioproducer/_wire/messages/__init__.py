"""Every message that is spoken: one file per request and its response, and the tables of all by number.

The modules are imported by name where one message is needed; this package imports them all.
"""

from __future__ import annotations

from typing import Final

from aioproducer._wire.api_keys import ApiKey
from aioproducer._wire.messages.add_offsets_to_txn import AddOffsetsToTxnRequest, AddOffsetsToTxnResponse
from aioproducer._wire.messages.add_partitions_to_txn import AddPartitionsToTxnRequest, AddPartitionsToTxnResponse
from aioproducer._wire.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from aioproducer._wire.messages.create_partitions import CreatePartitionsRequest, CreatePartitionsResponse
from aioproducer._wire.messages.create_topics import CreateTopicsRequest, CreateTopicsResponse
from aioproducer._wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicsResponse
from aioproducer._wire.messages.describe_cluster import DescribeClusterRequest, DescribeClusterResponse
from aioproducer._wire.messages.describe_configs import DescribeConfigsRequest, DescribeConfigsResponse
from aioproducer._wire.messages.describe_transactions import DescribeTransactionsRequest, DescribeTransactionsResponse
from aioproducer._wire.messages.end_txn import EndTxnRequest, EndTxnResponse
from aioproducer._wire.messages.fetch import FetchRequest, FetchResponse
from aioproducer._wire.messages.find_coordinator import FindCoordinatorRequest, FindCoordinatorResponse
from aioproducer._wire.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from aioproducer._wire.messages.list_offsets import ListOffsetsRequest, ListOffsetsResponse
from aioproducer._wire.messages.metadata import MetadataRequest, MetadataResponse
from aioproducer._wire.messages.offset_commit import OffsetCommitRequest, OffsetCommitResponse
from aioproducer._wire.messages.offset_fetch import OffsetFetchRequest, OffsetFetchResponse
from aioproducer._wire.messages.produce import ProduceRequest, ProduceResponse
from aioproducer._wire.messages.txn_offset_commit import TxnOffsetCommitRequest, TxnOffsetCommitResponse
from aioproducer._wire.schema import Message, Request, Response

__all__ = ["REQUESTS", "RESPONSES", "ApiKey", "Message", "Request", "Response"]

REQUESTS: Final[dict[int, type[Request]]] = {
    request.api_key: request
    for request in (
        ProduceRequest,
        FetchRequest,
        ListOffsetsRequest,
        MetadataRequest,
        OffsetCommitRequest,
        OffsetFetchRequest,
        FindCoordinatorRequest,
        ApiVersionsRequest,
        CreateTopicsRequest,
        DeleteTopicsRequest,
        InitProducerIdRequest,
        AddPartitionsToTxnRequest,
        AddOffsetsToTxnRequest,
        EndTxnRequest,
        TxnOffsetCommitRequest,
        DescribeConfigsRequest,
        CreatePartitionsRequest,
        DescribeClusterRequest,
        DescribeTransactionsRequest,
    )
}
"""The request classes by ApiKey."""

RESPONSES: Final[dict[int, type[Response]]] = {
    response.api_key: response
    for response in (
        ProduceResponse,
        FetchResponse,
        ListOffsetsResponse,
        MetadataResponse,
        OffsetCommitResponse,
        OffsetFetchResponse,
        FindCoordinatorResponse,
        ApiVersionsResponse,
        CreateTopicsResponse,
        DeleteTopicsResponse,
        InitProducerIdResponse,
        AddPartitionsToTxnResponse,
        AddOffsetsToTxnResponse,
        EndTxnResponse,
        TxnOffsetCommitResponse,
        DescribeConfigsResponse,
        CreatePartitionsResponse,
        DescribeClusterResponse,
        DescribeTransactionsResponse,
    )
}
"""The response classes by ApiKey."""
