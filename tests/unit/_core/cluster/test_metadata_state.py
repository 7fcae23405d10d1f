"""What is known of the cluster, what an answer changes of it, and when it is asked for again."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from aioproducer._core.cluster.metadata import NO_EPOCH, NO_LEADER, Broker, ClusterMetadata, PartitionMetadata
from aioproducer._core.cluster.metadata_state import MetadataNeed, MetadataState
from aioproducer.errors import AuthorizationError, InvalidTopicError, KafkaConnectionError, ProtocolError
from tests.gates.counting import Bytecodes
from tests.unit._core.harness import config, metadata_answer, topic_answer

if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Unpack

    from aioproducer._config import ProducerSettings
    from aioproducer._wire.messages.metadata import MetadataResponse, MetadataResponseTopic

LOST = KafkaConnectionError("reset by peer")


class Known(MetadataState):
    """A MetadataState with topic "t" wanted at time 0."""

    def __init__(self, *topics: str, **settings: Unpack[ProducerSettings]) -> None:
        super().__init__(config(**settings), random.Random(1))
        self.want(topics or ("t",), 0.0)

    def exchange(
        self, answer: MetadataResponse, now: float = 0.0, *, version: int = 13, busy: Collection[str] = ()
    ) -> MetadataNeed:
        """Ask and be answered."""
        need = self.begin_request()
        self.apply(answer, version, need, busy, now)
        return need

    def tell(
        self, *topics: MetadataResponseTopic, now: float = 0.0, version: int = 13, busy: Collection[str] = ()
    ) -> ClusterMetadata:
        """Be answered about these topics by brokers 1 and 2."""
        self.exchange(metadata_answer(*topics, brokers=(1, 2)), now, version=version, busy=busy)
        return self.cluster


# ── when ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_first_request_is_due_at_once_and_asks_for_no_topic_but_those_wanted() -> None:
    state = MetadataState(config(), random.Random(1))
    assert state.is_due(0.0)
    assert state.begin_request() == MetadataNeed((), True, 0)


def test_only_one_request_is_under_way() -> None:
    state = Known()
    state.begin_request()
    assert not state.is_due(100.0)


def test_a_new_topic_is_asked_for_alone_and_past_the_backoff() -> None:
    state = Known()
    state.tell(topic_answer())
    state.want(["u"], 0.001)
    assert state.is_due(0.001)
    assert state.begin_request().topics == ("u",)


def test_a_known_topic_that_is_wanted_again_asks_for_nothing() -> None:
    state = Known()
    state.tell(topic_answer())
    state.want(["t"], 1.0)
    assert not state.is_due(1.0)
    assert state.next_at() == 300.0


def test_metadata_is_renewed_in_full_after_its_age() -> None:
    state = Known("t", "u", metadata_max_age_ms=10_000)
    state.tell(topic_answer(), topic_answer("u"))
    assert not state.is_due(9.9)
    assert state.is_due(10.0)
    need = state.begin_request()
    assert need.is_full
    assert set(need.topics) == {"t", "u"}


def test_a_requested_update_waits_for_the_backoff_since_the_last_answer() -> None:
    state = Known()
    state.tell(topic_answer())
    state.request_update()
    assert not state.is_due(0.07)
    assert 0.08 <= state.next_at() <= 0.12
    assert state.is_due(0.12)


def test_an_update_for_one_topic_asks_for_that_topic_only() -> None:
    state = Known("t", "u")
    state.tell(topic_answer(), topic_answer("u"))
    state.request_update("u")
    assert state.is_due(1.0)
    assert state.begin_request() == MetadataNeed(("u",), False, 0)


def test_failures_back_off_exponentially_and_a_success_starts_over() -> None:
    state = Known()
    waits: list[float] = []
    now = 0.0
    for _ in range(8):
        state.begin_request()
        state.fail(LOST, now)
        waits.append(state.next_at() - now)
        now = state.next_at()
    assert 0.08 <= waits[0] <= 0.121
    assert 0.16 <= waits[1] <= 0.241
    assert max(waits) <= 1.0 + 1e-9
    assert state.retry_timer.last_error is LOST
    state.tell(topic_answer(), now=now)
    assert state.retry_timer.last_error is None
    state.request_update()
    assert state.next_at() - now <= 0.121


def test_answers_that_change_nothing_back_off_exponentially() -> None:
    state = Known()
    unknown = topic_answer(leaders=(), error=3)
    waits: list[float] = []
    now = 0.0
    for _ in range(7):
        state.tell(unknown, now=now, busy=["t"])
        waits.append(state.next_at() - now)
        now = state.next_at()
        assert state.is_due(now)
    assert waits[0] <= 0.121
    assert waits[-1] >= 0.8
    state.want(["new"], now)
    assert state.is_due(now)  # a new topic does not wait


@pytest.mark.parametrize("code", [3, 5, 100])
def test_a_busy_topic_with_a_retriable_error_is_asked_for_again_alone(code: int) -> None:
    state = Known("t", "u")
    state.tell(topic_answer(leaders=(), error=code), topic_answer("u"), busy=["t"])
    assert state.begin_request().topics == ("t",)


def test_a_topic_that_nobody_waits_for_any_more_is_not_asked_for_again() -> None:
    state = Known()
    state.tell(topic_answer(leaders=(), error=3))
    assert state.next_at() == 300.0


def test_a_partition_without_a_leader_has_the_topic_asked_for_again() -> None:
    state = Known()
    cluster = state.tell(topic_answer(leaders=(1, -1)))
    assert cluster.available("t") == (0,)
    assert state.begin_request().topics == ("t",)


def test_what_was_asked_for_during_a_request_is_still_needed_after_it() -> None:
    state = Known()
    need = state.begin_request()
    state.request_update()
    state.want(["late"], 0.1)
    state.apply(metadata_answer(topic_answer()), 13, need, (), 0.2)
    assert state.is_due(0.2)
    following = state.begin_request()
    assert following.is_full
    assert set(following.topics) == {"t", "late"}


def test_an_answer_without_brokers_is_a_failure() -> None:
    state = Known()
    state.exchange(metadata_answer(topic_answer(), brokers=()))
    assert state.cluster == ClusterMetadata()
    assert not state.is_due(0.05)
    assert state.is_due(0.2)


def test_how_long_a_refresh_has_been_needed_counts_from_when_it_was_first_due() -> None:
    state = Known()
    assert state.needed_since() is None
    assert state.is_due(5.0)
    state.begin_request()
    state.fail(LOST, 6.0)
    assert state.is_due(10.0)
    assert state.needed_since() == 5.0
    state.tell(topic_answer(), now=10.0)
    assert state.needed_since() is None


# ── what an answer changes ───────────────────────────────────────────────────────────────────────────────────────────


def test_leaders_and_brokers_are_known_after_an_answer() -> None:
    cluster = Known().tell(topic_answer(leaders=(1, 2), epoch=4))
    assert cluster.brokers[2] == Broker(2, "host2", 9092)
    assert [cluster.leader("t", p) for p in range(3)] == [1, 2, None]
    assert cluster.leader_epoch("t", 1) == 4
    assert cluster.leader_epoch("t", 9) == NO_EPOCH
    assert cluster.leader("other", 0) is None
    assert cluster.cluster_id == "c"


def test_a_leader_that_is_not_among_the_brokers_is_none() -> None:
    cluster = Known().tell(topic_answer(leaders=(1, 9)))
    assert cluster.leader("t", 1) is None
    assert cluster.available("t") == (0,)


def test_what_did_not_change_is_the_same_object() -> None:
    state = Known("t", "u")
    before = state.tell(topic_answer(), topic_answer("u"))
    state.request_update("u")
    after = state.tell(topic_answer("u", (2,), epoch=1), now=1.0)
    assert after.topics["t"] is before.topics["t"]
    assert after.brokers is before.brokers
    assert after.topics["u"] is not before.topics["u"]
    assert after.version == before.version + 1


def test_a_partial_answer_keeps_the_other_topics() -> None:
    state = Known()
    state.tell(topic_answer())
    state.want(["u"], 1.0)
    assert set(state.tell(topic_answer("u"), now=1.0).topics) == {"t", "u"}


def test_an_older_epoch_keeps_the_known_leader() -> None:
    state = Known()
    state.tell(topic_answer(leaders=(1,), epoch=5))
    assert state.tell(topic_answer(leaders=(2,), epoch=4), now=1.0).leader("t", 0) == 1
    assert state.tell(topic_answer(leaders=(2,), epoch=5), now=2.0).leader("t", 0) == 2
    assert state.tell(topic_answer(leaders=(1,), epoch=6), now=3.0).leader_epoch("t", 0) == 6


def test_epochs_below_metadata_version_9_are_not_relied_on() -> None:
    state = Known()
    state.tell(topic_answer(leaders=(1,), epoch=5))
    cluster = state.tell(topic_answer(leaders=(2,), epoch=4), now=1.0, version=8)
    assert (cluster.leader("t", 0), cluster.leader_epoch("t", 0)) == (2, NO_EPOCH)


def test_a_topic_made_anew_starts_with_its_own_epochs() -> None:
    state = Known()
    state.tell(topic_answer(leaders=(1, 1), epoch=5))
    cluster = state.tell(topic_answer(leaders=(2,), epoch=0, topic_id=UUID(int=100)), now=1.0)
    assert (cluster.leader("t", 0), cluster.leader_epoch("t", 0)) == (2, 0)
    assert cluster.topics["t"].partition_count == 1
    assert cluster.topics["t"].topic_id == UUID(int=100)


def test_an_answer_without_topic_ids_keeps_the_known_id_and_epochs() -> None:
    state = Known()
    before = state.tell(topic_answer(epoch=5))
    after = state.tell(topic_answer(epoch=4, topic_id=UUID(int=0)), now=1.0, version=9)
    assert after.topics["t"] is before.topics["t"]


@pytest.mark.parametrize(("code", "error"), [(17, InvalidTopicError), (29, AuthorizationError)])
def test_an_invalid_or_forbidden_topic_is_an_error_that_is_not_asked_for_again(code: int, error: type) -> None:
    state = Known()
    cluster = state.tell(topic_answer(leaders=(), error=code))
    assert isinstance(cluster.errors["t"], error)
    assert "t" not in cluster.topics
    assert state.next_at() == 300.0


def test_a_topic_error_is_cleared_by_a_good_answer() -> None:
    state = Known()
    state.tell(topic_answer(leaders=(), error=3))
    assert state.cluster.errors["t"].name == "UNKNOWN_TOPIC_OR_PARTITION"
    cluster = state.tell(topic_answer(), now=1.0)
    assert cluster.errors == {}
    assert cluster.leader("t", 0) == 1


def test_a_passing_error_of_a_known_topic_keeps_its_partitions() -> None:
    state = Known()
    state.tell(topic_answer())
    cluster = state.tell(topic_answer(leaders=(), error=3), now=1.0)
    assert cluster.leader("t", 0) == 1
    assert "t" in cluster.errors


def test_other_topic_errors_are_noted_without_another_request() -> None:
    state = Known()
    cluster = state.tell(topic_answer(leaders=(), error=-1))
    assert "t" in cluster.errors
    assert state.next_at() == 300.0


def test_topics_that_were_not_asked_for_are_ignored() -> None:
    assert set(Known().tell(topic_answer(), topic_answer("stranger")).topics) == {"t"}


def test_an_idle_topic_is_dropped_with_the_next_answer_unless_it_is_busy() -> None:
    state = Known("t", "u", "v", metadata_max_idle_ms=5000)
    state.tell(topic_answer(), topic_answer("u"), topic_answer("v"))
    state.touch("u", 4.0)
    state.request_update()
    state.exchange(metadata_answer(topic_answer(), topic_answer("u"), topic_answer("v")), 8.0, busy=["v"])
    assert set(state.cluster.topics) == {"u", "v"}
    state.want(["t"], 9.0)
    assert state.is_due(9.0)
    assert state.begin_request().topics == ("t",)


def test_the_answer_of_another_cluster_is_refused_and_counts_as_a_failure() -> None:
    state = Known()
    before = state.tell(topic_answer())
    need = state.begin_request()
    with pytest.raises(ProtocolError, match=r"of cluster other, .* sends to cluster c;"):
        state.apply(metadata_answer(topic_answer(leaders=(2,)), cluster_id="other"), 13, need, (), 1.0)
    assert state.cluster is before
    assert state.next_at() > 1.0
    state.tell(topic_answer(leaders=(2,)), now=2.0)
    assert state.cluster.leader("t", 0) == 2


@pytest.mark.parametrize("cluster_id", ["c", None])
def test_an_answer_of_the_same_cluster_or_of_one_without_a_name_is_taken(cluster_id: str | None) -> None:
    state = Known()
    state.tell(topic_answer())
    state.exchange(metadata_answer(topic_answer(leaders=(1, 1)), cluster_id=cluster_id), 1.0)
    assert state.cluster.available("t") == (0, 1)
    assert state.cluster.cluster_id == "c"


def test_a_changed_cluster_id_is_a_warning_if_it_is_allowed(caplog: pytest.LogCaptureFixture) -> None:
    state = Known(metadata_cluster_check_enable=False)
    state.tell(topic_answer())
    state.exchange(metadata_answer(topic_answer(), cluster_id="other"), 1.0)
    assert "the cluster's id changed from c to other" in caplog.text
    assert state.cluster.cluster_id == "other"


# ── a topic made anew, where topics have no ids (below version 10) ───────────────────────────────────────────────────


def test_an_unknown_topic_takes_its_epochs_along() -> None:
    state = Known()
    state.tell(topic_answer(leaders=(1,), epoch=5), version=9)
    state.tell(topic_answer(leaders=(), error=3), version=9, busy=["t"])
    assert state.cluster.leader("t", 0) == 1, "the answer may be one of a broker that lags behind"
    cluster = state.tell(topic_answer(leaders=(2,), epoch=0), version=9)
    assert (cluster.leader("t", 0), cluster.leader_epoch("t", 0)) == (2, 0)
    assert state.take_made_anew() == {"t"}
    assert state.take_made_anew() == set()


def test_with_ids_an_unknown_topic_keeps_its_epochs() -> None:
    state = Known()
    state.tell(topic_answer(leaders=(1,), epoch=5))
    state.tell(topic_answer(leaders=(), error=3), busy=["t"])
    assert state.tell(topic_answer(leaders=(2,), epoch=0)).leader("t", 0) == 1


def test_a_leader_who_denies_it_and_answers_that_repeat_are_believed_over_a_higher_epoch() -> None:
    state = Known()
    state.tell(topic_answer(leaders=(1,), epoch=5), version=9)
    state.doubt("t")
    old = topic_answer(leaders=(2,), epoch=0)
    assert [state.tell(old, version=9).leader("t", 0) for _ in range(3)] == [1, 1, 2]
    assert state.take_made_anew() == {"t"}


def test_answers_that_repeat_are_not_believed_while_no_leader_denies_it() -> None:
    state = Known()
    state.tell(topic_answer(leaders=(1,), epoch=5), version=9)
    old = topic_answer(leaders=(2,), epoch=0)
    assert [state.tell(old, version=9).leader("t", 0) for _ in range(5)] == [1] * 5


def test_an_answer_as_new_as_what_is_known_ends_the_doubt() -> None:
    state = Known()
    state.tell(topic_answer(leaders=(1,), epoch=5), version=9)
    old = topic_answer(leaders=(2,), epoch=0)
    state.doubt("t")
    state.tell(old, version=9)
    state.tell(old, version=9)
    state.tell(topic_answer(leaders=(1,), epoch=5), version=9)
    assert [state.tell(old, version=9).leader("t", 0) for _ in range(5)] == [1] * 5
    assert state.take_made_anew() == set()


def test_a_true_leader_is_taken_again_after_three_answers_that_were_old_after_all() -> None:
    state = Known()
    state.tell(topic_answer(leaders=(1,), epoch=5), version=9)
    state.doubt("t")
    for _ in range(3):
        state.tell(topic_answer(leaders=(2,), epoch=4), version=9)
    assert state.tell(topic_answer(leaders=(1,), epoch=6), version=9).leader("t", 0) == 1


@pytest.mark.parametrize("indices", [(-1,), (0, 0), (2**20,), (2**31 - 1,)])
def test_partitions_with_numbers_that_cannot_be_are_refused_and_count_as_a_failure(indices: tuple[int, ...]) -> None:
    state = Known()
    answer = topic_answer(leaders=(1,) * len(indices))
    for partition, index in zip(answer.partitions, indices, strict=True):
        partition.partition_index = index  # type: ignore[misc]
    need = state.begin_request()
    with pytest.raises(ProtocolError, match="a number that cannot be"):
        state.apply(metadata_answer(answer), 13, need, (), 0.0)
    assert not state.retry_timer.in_progress
    assert state.cluster == ClusterMetadata()
    assert 0.08 <= state.next_at() <= 0.12


def with_numbers(*numbers: int, epoch: int = 0) -> MetadataResponseTopic:
    """An answer about topic "t" with just these partitions, all led by broker 1."""
    answer = topic_answer(leaders=(1,) * len(numbers), epoch=epoch)
    for partition, number in zip(answer.partitions, numbers, strict=True):
        partition.partition_index = number  # type: ignore[misc]
    return answer


def test_a_partition_that_is_left_out_has_no_leader_and_counts() -> None:
    state = Known()
    cluster = state.tell(with_numbers(0, 2))
    assert [each.leader for each in cluster.topics["t"].partitions] == [1, NO_LEADER, 1]
    assert cluster.available("t") == (0, 2)


def test_a_partition_that_is_left_out_later_loses_its_leader_and_keeps_its_epoch() -> None:
    state = Known()
    state.tell(with_numbers(0, 1, 2, epoch=7))
    cluster = state.tell(with_numbers(0, 2, epoch=7), now=1.0)
    assert cluster.topics["t"].partitions[1] == PartitionMetadata(NO_LEADER, 7)
    cluster = state.tell(with_numbers(0, 1, 2, epoch=6), now=2.0)
    assert cluster.leader("t", 1) is None, "an answer of yesterday"


def test_a_gap_in_one_topic_says_nothing_about_another() -> None:
    state = Known("t", "u")
    cluster = state.tell(with_numbers(1), topic_answer("u"))
    assert cluster.leader("u", 0) == 1


# ── an answer is a delta ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_topic_that_an_answer_leaves_out_is_asked_for_again_while_somebody_wants_it() -> None:
    state = Known("t", "u")
    state.tell(topic_answer("t"), busy=("u",))
    assert 0.08 <= state.next_at() <= 0.12, "after the usual pause"
    need = state.begin_request()
    assert need.topics == ("u",)
    state.apply(metadata_answer(topic_answer("u")), 13, need, ("u",), 1.0)
    assert set(state.cluster.topics) == {"t", "u"}
    assert state.next_at() > 100


def test_a_topic_that_nobody_wants_may_be_left_out() -> None:
    state = Known("t", "u")
    state.tell(topic_answer("t"))
    assert state.next_at() > 100


def test_what_was_asked_told_or_dropped_is_what_changed() -> None:
    state = Known("t", "u", metadata_max_idle_ms=5_000)
    state.tell(topic_answer("t"), topic_answer("u"))
    assert list(state.take_changed()) == ["t", "u"]
    assert not state.take_changed()
    state.want(["new"], 4.0)
    need = state.begin_request()
    state.apply(metadata_answer(), 13, need, ("new",), 4.0)
    assert list(state.take_changed()) == ["new"], "waiting calls may need to know that it was not told of"
    state.touch("u", 8.0)
    state.request_update()
    state.tell(topic_answer("u"), topic_answer("new"), now=8.0)
    assert set(state.take_changed()) == {"t", "u", "new"}
    assert "t" not in state.cluster.topics


def test_an_answer_costs_what_it_tells_about_whatever_else_is_known() -> None:
    counts: set[int] = set()
    for known in (10, 1_000):
        names = [f"k{index}" for index in range(known)]
        state = Known(*names)
        state.tell(*[topic_answer(name) for name in names])
        state.want(["new"], 1.0)
        answer = metadata_answer(topic_answer("new"), brokers=(1, 2))
        need = state.begin_request()
        with Bytecodes() as counted:
            state.apply(answer, 13, need, ("new",), 1.0)
            state.take_changed()
        counts.add(counted.count)
    assert len(counts) == 1


def test_a_request_keeps_the_ids_that_it_was_decided_on_with() -> None:
    state = Known("t", "gone")
    old, new, other = UUID(int=1), UUID(int=2), UUID(int=3)
    state.tell(topic_answer(topic_id=old), topic_answer("gone", topic_id=other))
    under_way = state.topic_ids()
    state.request_update("t")
    state.tell(topic_answer(topic_id=new), topic_answer("gone", error=3), now=1.0)
    assert state.topic_ids().by_name["t"] == new
    assert old not in state.topic_ids().names
    assert under_way.by_name == {"t": old, "gone": other}
    assert under_way.names == {old: "t", other: "gone"}


def test_ids_of_topics_that_are_new_are_added_without_a_copy() -> None:
    state = Known()
    state.tell(topic_answer())
    before = state.topic_ids()
    state.want(["u"], 1.0)
    state.tell(topic_answer("u"), now=1.0)
    assert state.topic_ids() is before
    assert set(before.by_name) == {"t", "u"}


# ── leader hints ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_leader_hint_changes_that_partition_only() -> None:
    state = Known()
    before = state.tell(topic_answer(leaders=(1, 1), epoch=5))
    assert state.apply_hint("t", 1, 2, 6, [])
    assert state.cluster.leader("t", 1) == 2
    assert state.cluster.topics["t"].partitions[0] is before.topics["t"].partitions[0]
    assert before.leader("t", 1) == 1


def test_a_leader_hint_may_bring_the_address_of_the_leader() -> None:
    state = Known()
    state.tell(topic_answer(epoch=5))
    assert state.apply_hint("t", 0, 3, 6, [Broker(3, "host3", 9092)])
    assert state.cluster.leader("t", 0) == 3
    assert state.cluster.brokers[3].host == "host3"


@pytest.mark.parametrize(
    ("topic", "partition", "leader", "epoch"),
    [("t", 0, 2, 5), ("t", 0, 2, 4), ("t", 0, -1, 6), ("t", 0, 9, 6), ("t", 7, 2, 6), ("u", 0, 2, 6)],
)
def test_a_leader_hint_that_is_old_or_of_no_use_is_ignored(topic: str, partition: int, leader: int, epoch: int) -> None:
    state = Known()
    before = state.tell(topic_answer(epoch=5))
    assert not state.apply_hint(topic, partition, leader, epoch, [])
    assert state.cluster is before


def test_metadata_older_than_a_hint_does_not_undo_it() -> None:
    state = Known()
    state.tell(topic_answer(epoch=5))
    state.apply_hint("t", 0, 2, 6, [])
    assert state.tell(topic_answer(leaders=(1,), epoch=5), now=1.0).leader("t", 0) == 2


def test_brokers_with_negative_numbers_are_none_as_those_are_the_bootstrap_servers() -> None:
    state = Known()
    state.exchange(metadata_answer(topic_answer(leaders=(1,)), brokers=(1, -1)))
    assert set(state.cluster.brokers) == {1}
    before = state.cluster
    state.exchange(metadata_answer(topic_answer(leaders=(-2,)), brokers=(-2,)), now=1.0)
    assert state.cluster is before, "an answer without brokers is a failure"
    assert state.retry_timer.count == 1
    assert not state.apply_hint("t", 0, -3, 9, [Broker(-3, "h", 9)])
    assert state.apply_hint("t", 0, 1, 9, [Broker(-3, "h", 9)])
    assert set(state.cluster.brokers) == {1}
