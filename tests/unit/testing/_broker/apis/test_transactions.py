"""DescribeTransactions on the embedded cluster: what it tells of a transactional id."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from aioproducer._wire.messages.add_partitions_to_txn import AddPartitionsToTxnRequest, AddPartitionsToTxnTopic
from aioproducer._wire.messages.describe_transactions import DescribeTransactionsRequest, DescribeTransactionsResponse
from aioproducer._wire.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from aioproducer.errors import ErrorCode
from aioproducer.testing._broker import ClusterCore
from aioproducer.testing._broker.core import Reply

if TYPE_CHECKING:
    from aioproducer._wire.schema import Message


def ask(cluster: ClusterCore, message: Message, version: int, now: float) -> Message:
    """The answer that comes at once."""
    (reply,) = cluster.handle(cluster_coordinator(cluster), "c", message, version, 1, now)
    assert isinstance(reply, Reply)
    return reply.message


def cluster_coordinator(cluster: ClusterCore) -> int:
    """The broker that coordinates "x"."""
    node = cluster.state.coordinator_of("x")
    assert node is not None
    return node.id


def described(cluster: ClusterCore, now: float) -> tuple[int, str, int]:
    """(error code, state, epoch) of "x"."""
    answer = ask(cluster, DescribeTransactionsRequest(transactional_ids=["x"]), 0, now)
    assert isinstance(answer, DescribeTransactionsResponse)
    (told,) = answer.transaction_states
    return told.error_code, told.transaction_state, told.producer_epoch


def test_an_unknown_transactional_id_is_not_found() -> None:
    cluster = ClusterCore(rng=random.Random(1))
    assert described(cluster, 0.0) == (ErrorCode.TRANSACTIONAL_ID_NOT_FOUND, "", 0)


def test_a_transaction_that_timed_out_is_told_as_aborted_in_the_next_epoch() -> None:
    cluster = ClusterCore(rng=random.Random(1))
    cluster.state.create_topic("t", 1, 1, None)
    init = InitProducerIdRequest(transactional_id="x", transaction_timeout_ms=5_000)
    identity = ask(cluster, init, 5, 0.0)
    assert isinstance(identity, InitProducerIdResponse)
    assert described(cluster, 0.0) == (0, "Empty", identity.producer_epoch)
    add = AddPartitionsToTxnRequest(
        v3_and_below_transactional_id="x",
        v3_and_below_producer_id=identity.producer_id,
        v3_and_below_producer_epoch=identity.producer_epoch,
        v3_and_below_topics=[AddPartitionsToTxnTopic(name="t", partitions=[0])],
    )
    ask(cluster, add, 3, 1.0)
    assert described(cluster, 1.0) == (0, "Ongoing", identity.producer_epoch)
    assert described(cluster, 6.1) == (0, "CompleteAbort", identity.producer_epoch + 1)
