"""What seems to be wrong in the Java producer, by its code, and is not so here: one test for each.

docs/promises.md has the table. The tests drive the core by hand; the histories meet most of these as well.
"""

from __future__ import annotations

from itertools import pairwise

import pytest

from aioproducer._core.transactions.states import TransactionState
from aioproducer._wire.messages.init_producer_id import InitProducerIdRequest
from aioproducer._wire.messages.metadata import MetadataRequest
from aioproducer.errors import DeliveryTimeoutError, IllegalStateError
from tests.simulation.presets import near_the_wrap
from tests.unit._core.harness import Shell, topic_answer
from tests.unit._core.transactional import TransactionalShell

CLUSTER_AUTHORIZATION_FAILED = 31


def test_a_record_refused_for_want_of_a_transaction_is_in_no_later_transaction() -> None:
    # Java appends the record and then asks whether a transaction is open: it stays in its queue, an orphan, and goes
    # out in the next transaction that touches its partition.
    shell = TransactionalShell(2).start()
    assert shell.accumulator.appender.try_append("t", 0, None, b"orphan", (), 1, shell.now) is None
    with pytest.raises(IllegalStateError):
        shell.accumulator.enqueue("t", 0, None, b"orphan", (), 1, shell.now, shell.now + 1, accepted=False)
    assert shell.accumulator.is_empty
    shell.begin()
    batch = shell.append(0, value=b"in it")
    assert batch.values == [b"in it"]
    assert shell.is_in(TransactionState.IN_TRANSACTION)


def test_a_partition_that_may_not_send_holds_up_no_other_of_its_broker() -> None:
    # Java ends the drain of a broker at such a partition, and begins the next one there.
    shell = Shell(brokers=(1, 2)).start(topic_answer(leaders=(1, 2, 2)))
    shell.send(1)
    shell.acknowledge(2)
    under_way = shell.send(0)
    assert shell.batches(1) == [[under_way]]
    blocked = shell.send(0)  # nothing of its partition is acknowledged yet: one at a time
    shell.accumulator.wait_for_topic("u", shell.now, shell.now + 60)
    shell.wait_until(lambda: shell.has_request(MetadataRequest), within=1.0)
    shell.answer_metadata(topic_answer(leaders=(2, 2, 2), epoch=1), topic_answer("u"))
    for _ in range(3):
        others = [shell.append(partition) for partition in (1, 2)]
        shell.poll(after=0.005)
        sent = [batch for batches in shell.batches(2) for batch in batches]
        assert set(others) <= set(sent)
        assert blocked not in sent
        while shell.batches(2):
            shell.acknowledge(2)
        shell.poll()


def test_a_batch_that_expires_on_its_first_flight_does_not_stop_its_partition() -> None:
    # Java marks only batches that were sent again: those that follow are refused as out of order, not taken to be next,
    # and tried in vain until they expire.
    shell = Shell(delivery_timeout_ms=30_100, request_timeout_ms=30_000, linger_ms=0).start()
    shell.send()
    shell.refuse(0, base_offset=0, throttle_time_ms=20_000)
    lost = shell.send()
    assert shell.batches() == []
    shell.poll(after=20.0)
    assert shell.batches() == [[lost]]
    shell.poll(after=10.1)
    assert isinstance(lost.error, DeliveryTimeoutError)
    assert lost.attempts == 0
    shell.break_connection()  # and it had not arrived
    following = shell.send()
    shell.wait_until(lambda: shell.batches() == [[following]], within=1.0)
    assert (following.producer_epoch, following.base_sequence) == (1, 0), "the broker takes nothing else after a gap"


def test_batches_in_flight_at_the_wrap_of_their_numbers_are_sent_again_in_order() -> None:
    # Java compares and adds sequences as plain integers: the batch with number 0 goes first.
    shell = Shell(linger_ms=0)
    near_the_wrap(shell.sender, 2**31 - 3)
    shell.start()
    shell.send()
    shell.acknowledge()
    shell.poll()
    batches = [shell.send() for _ in range(4)]
    assert [batch.base_sequence for batch in batches] == [2**31 - 2, 2**31 - 1, 0, 1]
    shell.break_connection()
    for _ in batches:
        shell.wait_until(lambda: len(shell.batches()) == 1, within=5.0)
        shell.acknowledge()
        shell.poll()
    assert shell.completed[-4:] == batches


def test_a_broker_that_throttles_is_no_reason_to_start_over_from_the_bootstrap_servers() -> None:
    # Java takes a throttled broker for one that is not there, and with no other forgets what it knows of the cluster.
    shell = Shell(metadata_max_age_ms=1_000).start()
    shell.send()
    shell.refuse(0, base_offset=0, throttle_time_ms=5_000)
    shell.poll()
    before = len(shell.events)
    held = shell.send()
    shell.poll(after=2.0)  # metadata is due meanwhile
    shell.wait_until(lambda: shell.has_request(MetadataRequest), within=4.0)
    assert shell.events[before:] == []  # nothing was connected to, and nothing closed
    assert shell.sender.cluster.leader("t", 0) == 1
    shell.wait_until(lambda: shell.batches() == [[held]], within=0.1)


def test_a_producer_id_that_is_denied_is_asked_for_with_backoff() -> None:
    # Java asks again in the next pass, so that only the round trip slows it down.
    shell = Shell(retry_backoff_ms=100, retry_backoff_max_ms=1_000)
    shell.poll()
    shell.answer_metadata()
    times: list[float] = []
    for _ in range(6):
        shell.wait_until(lambda: shell.has_request(InitProducerIdRequest), within=1.1)
        times.append(shell.now)
        shell.answer_init(error=CLUSTER_AUTHORIZATION_FAILED)
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses == sorted(pauses)
    assert pauses[0] >= 0.08
    assert pauses[-1] >= 0.8
