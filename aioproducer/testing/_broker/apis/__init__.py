"""The APIs of the cluster: their versions, and what answers each.

What is not in HANDLERS is absent from ApiVersions, and a request for it closes the connection, as in Kafka.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from aioproducer._wire.messages import REQUESTS, ApiKey
from aioproducer._wire.messages.metadata import MetadataRequest
from aioproducer._wire.messages.produce import ProduceRequest
from aioproducer.testing._broker.apis import (
    api_versions,
    configs,
    coordinators,
    fetch,
    list_offsets,
    metadata,
    offsets,
    produce,
    producer_ids,
    sasl,
    topics,
    transactions,
)
from aioproducer.testing._broker.faults import Effect

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from aioproducer._types import TopicPartition
    from aioproducer._wire.messages.api_versions import ApiVersionsResponse
    from aioproducer._wire.schema import Message, Response
    from aioproducer.testing._broker.requests import Outcome, Request
    from aioproducer.testing._broker.state import ClusterState

# The message is of the class that belongs to the api key: a table cannot say so.
Handle: TypeAlias = "Callable[[ClusterState, Request, Any], Outcome]"
Refuse: TypeAlias = "Callable[[Any, Request, int], Response] | None"


class Handler(NamedTuple):
    """Who answers an API.

    Attributes:
        handle: carries a request out.
        refuse: makes the answer that has an error code everywhere; None when handle asks the faults itself, per topic.
    """

    handle: Handle
    refuse: Refuse


HANDLERS: Final[Mapping[int, Handler]] = {
    ApiKey.PRODUCE: Handler(produce.handle, None),
    ApiKey.FETCH: Handler(fetch.handle, fetch.refuse),
    ApiKey.LIST_OFFSETS: Handler(list_offsets.handle, list_offsets.refuse),
    ApiKey.METADATA: Handler(metadata.handle, None),
    ApiKey.OFFSET_COMMIT: Handler(offsets.handle_commit, offsets.refuse_commit),
    ApiKey.OFFSET_FETCH: Handler(offsets.handle_fetch, offsets.refuse_fetch),
    ApiKey.FIND_COORDINATOR: Handler(coordinators.handle, coordinators.refuse),
    ApiKey.SASL_HANDSHAKE: Handler(sasl.handle_handshake, sasl.refuse_handshake),
    ApiKey.API_VERSIONS: Handler(api_versions.handle, api_versions.refuse),
    ApiKey.CREATE_TOPICS: Handler(topics.handle_create, topics.refuse_create),
    ApiKey.DELETE_TOPICS: Handler(topics.handle_delete, topics.refuse_delete),
    ApiKey.INIT_PRODUCER_ID: Handler(producer_ids.handle, producer_ids.refuse),
    ApiKey.ADD_PARTITIONS_TO_TXN: Handler(transactions.handle_add_partitions, transactions.refuse_add_partitions),
    ApiKey.ADD_OFFSETS_TO_TXN: Handler(transactions.handle_add_offsets, transactions.refuse_add_offsets),
    ApiKey.END_TXN: Handler(transactions.handle_end, transactions.refuse_end),
    ApiKey.TXN_OFFSET_COMMIT: Handler(offsets.handle_txn_commit, offsets.refuse_txn_commit),
    ApiKey.DESCRIBE_CONFIGS: Handler(configs.handle, configs.refuse),
    ApiKey.SASL_AUTHENTICATE: Handler(sasl.handle_authenticate, sasl.refuse_authenticate),
    ApiKey.CREATE_PARTITIONS: Handler(topics.handle_create_partitions, topics.refuse_create_partitions),
    ApiKey.DESCRIBE_CLUSTER: Handler(metadata.handle_describe_cluster, metadata.refuse_describe_cluster),
    ApiKey.DESCRIBE_TRANSACTIONS: Handler(transactions.handle_describe, transactions.refuse_describe),
}


def versions(state: ClusterState) -> dict[int, tuple[int, int]]:
    """The lowest and highest version spoken, by api key."""
    found: dict[int, tuple[int, int]] = {}
    for api_key in HANDLERS:
        request = REQUESTS[api_key]
        highest = min(request.max_version, state.options.max_versions.get(api_key, request.max_version))
        if highest >= request.min_version:
            found[api_key] = (request.min_version, highest)
    return found


def is_spoken(state: ClusterState, api_key: int, version: int) -> bool:
    """Whether a request of that version is carried out."""
    spoken = state.versions.get(api_key)
    return spoken is not None and spoken[0] <= version <= spoken[1]


def handle(state: ClusterState, request: Request, message: Message) -> Outcome:
    """Carry out a request of a version that is spoken."""
    handler = HANDLERS[request.api_key]
    if handler.refuse is not None and state.faults:
        fault = state.faults.strike(Effect.FAIL, request.api_key, request.node_id)
        if fault is not None:
            return handler.refuse(message, request, fault.code)
    return handler.handle(state, request, message)


def refusal(message: Message, request: Request, code: int) -> Response | None:
    """The answer that has an error code everywhere; None for an API that has no such answer."""
    if isinstance(message, MetadataRequest):
        return metadata.refuse(message, request, code)
    refuse = HANDLERS[request.api_key].refuse
    return None if refuse is None else refuse(message, request, code)


def touched(state: ClusterState, message: Message) -> tuple[list[TopicPartition] | None, int | None]:
    """The partitions that a Produce request is about, and its acks; (None, None) for others."""
    if isinstance(message, ProduceRequest):
        return produce.partitions_of(state, message), message.acks
    return None, None


def unsupported_version(state: ClusterState) -> ApiVersionsResponse:
    """The answer, in version 0, to an ApiVersions request of a version that is not spoken."""
    return api_versions.unsupported(state)


def throttle(message: Response, throttle_time_ms: int) -> Response:
    """The answer with a throttle time, if it has such a field."""
    if "throttle_time_ms" not in message.FIELDS:
        return message
    values = {name: getattr(message, name) for name in message.FIELDS}
    return type(message)(**{**values, "throttle_time_ms": throttle_time_ms})
