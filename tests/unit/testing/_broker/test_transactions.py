"""A transactional id goes through its states as in Kafka's coordinator, with and without KIP-890."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from aioproducer._types import TopicPartition
from aioproducer.errors import ErrorCode
from aioproducer.testing._broker.groups import CommittedOffset, Groups
from aioproducer.testing._broker.requests import Refused
from aioproducer.testing._broker.transactions import LAST_EPOCH, Identity, Transactions, TransactionState

P0 = TopicPartition("orders", 0)
P1 = TopicPartition("orders", 1)


@dataclass
class FakeCluster:
    """Takes down the markers."""

    groups: Groups = field(default_factory=Groups)
    now: float = 0.0
    marker_delay: float = 0.0
    max_transaction_timeout_ms: int = 60_000
    next_producer_id: int = 1000
    leaderless: set[TopicPartition] = field(default_factory=lambda: set[TopicPartition]())
    markers: list[tuple[TopicPartition, int, int, bool]] = field(
        default_factory=lambda: list[tuple[TopicPartition, int, int, bool]]()
    )

    def new_producer_id(self) -> int:
        self.next_producer_id += 1
        return self.next_producer_id - 1

    def end_transaction(
        self, tp: TopicPartition, producer_id: int, epoch: int, coordinator_epoch: int, *, commit: bool
    ) -> bool:
        if tp in self.leaderless:
            return False
        self.markers.append((tp, producer_id, epoch, commit))
        return True


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def transactions(cluster: FakeCluster) -> Transactions:
    return Transactions(cluster)


def refusal_of_end(
    transactions: Transactions, identity: Identity, *, commit: bool, raises_epoch: bool = False
) -> ErrorCode:
    with pytest.raises(Refused) as raised:
        transactions.end("t", identity, commit=commit, raises_epoch=raises_epoch)
    return raised.value.code


def refusal_of_init(transactions: Transactions, expected: Identity | None = None) -> ErrorCode:
    with pytest.raises(Refused) as raised:
        transactions.init_producer("t", 10_000, expected)
    return raised.value.code


def refusal_of_add(transactions: Transactions, identity: Identity) -> ErrorCode:
    with pytest.raises(Refused) as raised:
        transactions.add("t", identity, [P0])
    return raised.value.code


def init(transactions: Transactions, expected: Identity | None = None) -> Identity:
    return transactions.init_producer("t", 10_000, expected)


def test_each_producer_raises_the_epoch(transactions: Transactions) -> None:
    assert init(transactions) == (1000, 0)
    assert init(transactions) == (1000, 1)


def test_timeout_and_id_are_checked(transactions: Transactions) -> None:
    for timeout_ms in (0, 60_001):
        with pytest.raises(Refused) as raised:
            transactions.init_producer("t", timeout_ms, None)
        assert raised.value.code is ErrorCode.INVALID_TRANSACTION_TIMEOUT
    with pytest.raises(Refused) as raised:
        transactions.init_producer("", 10_000, None)
    assert raised.value.code is ErrorCode.INVALID_REQUEST


def test_producer_may_raise_its_own_epoch_once_per_request(transactions: Transactions) -> None:
    first = init(transactions)
    assert init(transactions, first) == (1000, 1)
    assert init(transactions, first) == (1000, 1)  # the answer was lost
    assert init(transactions, Identity(1000, 1)) == (1000, 2)
    assert refusal_of_init(transactions, first) is ErrorCode.PRODUCER_FENCED
    assert refusal_of_init(transactions, Identity(9, 2)) is ErrorCode.PRODUCER_FENCED


def test_epochs_run_out_and_a_new_producer_id_follows(transactions: Transactions) -> None:
    init(transactions)
    txn = transactions.get("t")
    assert txn is not None
    txn.epoch = LAST_EPOCH
    assert init(transactions) == (1001, 0)


def test_commit_writes_markers_to_every_partition(transactions: Transactions, cluster: FakeCluster) -> None:
    identity = init(transactions)
    transactions.add("t", identity, [P1])
    transactions.add("t", identity, [P0, P1])
    assert transactions.end("t", identity, commit=True, raises_epoch=False) == identity
    assert cluster.markers == [(P0, 1000, 0, True), (P1, 1000, 0, True)]


def test_end_again_says_the_same(transactions: Transactions) -> None:
    identity = init(transactions)
    transactions.add("t", identity, [P0])
    transactions.end("t", identity, commit=True, raises_epoch=False)
    assert transactions.end("t", identity, commit=True, raises_epoch=False) == identity
    assert refusal_of_end(transactions, identity, commit=False) is ErrorCode.INVALID_TXN_STATE


def test_nothing_to_end(transactions: Transactions) -> None:
    identity = init(transactions)
    assert refusal_of_end(transactions, identity, commit=True) is ErrorCode.INVALID_TXN_STATE
    assert refusal_of_end(transactions, identity, commit=False) is ErrorCode.INVALID_TXN_STATE
    assert refusal_of_end(transactions, identity, commit=True, raises_epoch=True) is ErrorCode.INVALID_TXN_STATE


def test_old_epoch_and_foreign_id_are_refused(transactions: Transactions) -> None:
    old = init(transactions)
    init(transactions)
    assert refusal_of_add(transactions, old) is ErrorCode.PRODUCER_FENCED
    assert refusal_of_end(transactions, old, commit=True) is ErrorCode.PRODUCER_FENCED
    assert refusal_of_add(transactions, Identity(5, 0)) is ErrorCode.INVALID_PRODUCER_ID_MAPPING
    transactions.expire("t")
    assert refusal_of_add(transactions, Identity(1000, 1)) is ErrorCode.INVALID_PRODUCER_ID_MAPPING


def test_verification_knows_the_partitions(transactions: Transactions) -> None:
    identity = init(transactions)
    transactions.add("t", identity, [P0])
    transactions.verify("t", identity, P0)
    with pytest.raises(Refused) as raised:
        transactions.verify("t", identity, P1)
    assert raised.value.code is ErrorCode.TRANSACTION_ABORTABLE


def test_new_producer_aborts_the_open_transaction_first(transactions: Transactions, cluster: FakeCluster) -> None:
    old = init(transactions)
    transactions.add("t", old, [P0])
    assert refusal_of_init(transactions) is ErrorCode.CONCURRENT_TRANSACTIONS
    assert cluster.markers == [(P0, 1000, 1, False)]
    assert init(transactions) == (1000, 2)
    assert refusal_of_end(transactions, old, commit=True) is ErrorCode.PRODUCER_FENCED


def test_markers_may_be_late(transactions: Transactions, cluster: FakeCluster) -> None:
    cluster.marker_delay = 0.5
    identity = init(transactions)
    transactions.add("t", identity, [P0])
    transactions.end("t", identity, commit=True, raises_epoch=False)
    assert transactions.deadline() == 0.5
    assert cluster.markers == []
    assert refusal_of_add(transactions, identity) is ErrorCode.CONCURRENT_TRANSACTIONS
    assert refusal_of_init(transactions) is ErrorCode.CONCURRENT_TRANSACTIONS
    assert refusal_of_end(transactions, identity, commit=True) is ErrorCode.CONCURRENT_TRANSACTIONS
    assert refusal_of_end(transactions, identity, commit=False) is ErrorCode.INVALID_TXN_STATE
    cluster.now = 0.5
    transactions.advance()
    assert cluster.markers == [(P0, 1000, 0, True)]
    assert transactions.deadline() is None


def test_marker_waits_for_a_leader(transactions: Transactions, cluster: FakeCluster) -> None:
    cluster.leaderless.add(P1)
    identity = init(transactions)
    transactions.add("t", identity, [P0, P1])
    transactions.end("t", identity, commit=True, raises_epoch=False)
    assert [marker[0] for marker in cluster.markers] == [P0]
    assert transactions.deadline() is None
    cluster.leaderless.clear()
    transactions.resume()
    assert [marker[0] for marker in cluster.markers] == [P0, P1]


def test_timeout_aborts_and_fences(transactions: Transactions, cluster: FakeCluster) -> None:
    identity = init(transactions)
    cluster.now = 5.0
    transactions.add("t", identity, [P0])
    assert transactions.deadline() == 15.0
    cluster.now = 15.0
    transactions.advance()
    assert cluster.markers == [(P0, 1000, 1, False)]
    assert refusal_of_end(transactions, identity, commit=True) is ErrorCode.PRODUCER_FENCED


def test_version_2_raises_the_epoch_with_every_end(transactions: Transactions, cluster: FakeCluster) -> None:
    identity = init(transactions)
    transactions.add("t", identity, [P0])
    following = transactions.end("t", identity, commit=True, raises_epoch=True)
    assert following == (1000, 1)
    assert cluster.markers == [(P0, 1000, 1, True)]
    assert transactions.end("t", identity, commit=True, raises_epoch=True) == following  # the answer was lost
    assert refusal_of_end(transactions, identity, commit=False, raises_epoch=True) is ErrorCode.INVALID_TXN_STATE
    assert refusal_of_add(transactions, identity) is ErrorCode.PRODUCER_FENCED
    transactions.add("t", following, [P0])


@pytest.mark.parametrize("is_first", [True, False])
def test_version_2_may_abort_what_is_empty(transactions: Transactions, cluster: FakeCluster, is_first: bool) -> None:
    identity = init(transactions)
    if not is_first:
        transactions.add("t", identity, [P0])
        identity = transactions.end("t", identity, commit=True, raises_epoch=True)
    following = transactions.end("t", identity, commit=False, raises_epoch=True)
    assert following == (identity.producer_id, identity.epoch + 1)


def test_version_2_changes_the_producer_id_when_epochs_run_out(
    transactions: Transactions, cluster: FakeCluster
) -> None:
    init(transactions)
    txn = transactions.get("t")
    assert txn is not None
    txn.epoch = LAST_EPOCH
    last = Identity(1000, LAST_EPOCH)
    transactions.add("t", last, [P0])
    assert transactions.end("t", last, commit=True, raises_epoch=True) == (1001, 0)
    assert cluster.markers == [(P0, 1000, LAST_EPOCH + 1, True)]
    assert transactions.end("t", last, commit=True, raises_epoch=True) == (1001, 0)


def test_the_next_producer_id_has_to_wait_for_the_markers_of_the_one_before(
    transactions: Transactions, cluster: FakeCluster
) -> None:
    cluster.marker_delay = 1.0
    init(transactions)
    txn = transactions.get("t")
    assert txn is not None
    txn.epoch = LAST_EPOCH
    last = Identity(1000, LAST_EPOCH)
    transactions.add("t", last, [P0])
    following = transactions.end("t", last, commit=True, raises_epoch=True)
    assert following == (1001, 0)
    assert refusal_of_add(transactions, following) is ErrorCode.CONCURRENT_TRANSACTIONS
    refusal = refusal_of_end(transactions, following, commit=False, raises_epoch=True)
    assert refusal is ErrorCode.CONCURRENT_TRANSACTIONS
    cluster.now += 1.0
    transactions.advance()
    transactions.add("t", following, [P0])


@pytest.mark.parametrize("commit", [True, False])
def test_offsets_are_committed_with_the_transaction(
    transactions: Transactions, cluster: FakeCluster, commit: bool
) -> None:
    identity = init(transactions)
    with pytest.raises(Refused) as raised:
        transactions.verify_group("t", identity, "g")
    assert raised.value.code is ErrorCode.INVALID_TXN_STATE
    transactions.add("t", identity, groups=["g"])
    transactions.verify_group("t", identity, "g")
    cluster.groups.commit_later("g", 1000, P0, CommittedOffset(42, 1, "m"))
    assert cluster.groups.is_pending("g", P0)
    transactions.end("t", identity, commit=commit, raises_epoch=False)
    assert not cluster.groups.is_pending("g", P0)
    assert cluster.groups.offsets("g") == ({P0: CommittedOffset(42, 1, "m")} if commit else {})


def test_states_of_a_life(transactions: Transactions, cluster: FakeCluster) -> None:
    cluster.marker_delay = 1.0
    identity = init(transactions)
    txn = transactions.get("t")
    assert txn is not None
    states = [txn.state]
    transactions.add("t", identity, [P0])
    states.append(txn.state)
    transactions.end("t", identity, commit=False, raises_epoch=False)
    states.append(txn.state)
    cluster.now = 1.0
    transactions.advance()
    states.append(txn.state)
    assert states == [
        TransactionState.EMPTY,
        TransactionState.ONGOING,
        TransactionState.PREPARE_ABORT,
        TransactionState.COMPLETE_ABORT,
    ]
