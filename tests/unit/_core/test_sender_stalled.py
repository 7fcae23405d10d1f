"""What the sender does about a broker that cannot be reached from here and is a leader by metadata."""

from __future__ import annotations

from aioproducer._core.effects import Connect
from aioproducer.errors import KafkaConnectionError
from tests.unit._core.harness import Shell, topic_answer

LOST = KafkaConnectionError("reset by peer")


def two_brokers() -> Shell:
    """Both lead a partition of the topic and are connected; each record is a batch of its own."""
    shell = Shell(brokers=(1, 2), linger_ms=0, batch_size=0, reconnect_backoff_ms=100)
    shell.start(topic_answer(leaders=(1, 2)))
    for partition, node in ((0, 1), (1, 2)):
        shell.send(partition)
        shell.acknowledge(node)
    return shell


def keyless(shell: Shell) -> int:
    """Append a record that may go anywhere; return where it went."""
    appender = shell.accumulator.appender
    batch = appender.try_append("t", None, None, b"v", (), 1_000, shell.now)
    assert batch is not None
    return batch.partition


def attempts(shell: Shell, node_id: int) -> int:
    return sum(isinstance(event, Connect) and event.node_id == node_id for event in shell.events)


def test_records_leave_it_as_soon_as_its_connection_is_lost() -> None:
    shell = two_brokers()
    assert {keyless(shell) for _ in range(20)} == {0, 1}
    shell.answers_connects = False
    shell.sender.on_disconnected(2, LOST, shell.now)
    shell.poll()
    assert {keyless(shell) for _ in range(20)} == {0}


def test_records_leave_it_when_it_is_silent() -> None:
    shell = two_brokers()
    shell.send(1)
    shell.wait_until(lambda: {keyless(shell) for _ in range(20)} == {0}, within=1.0)


def test_it_is_tried_while_records_are_kept_from_it_and_used_again_when_it_is_there() -> None:
    shell = two_brokers()
    shell.answers_connects = False
    shell.sender.on_disconnected(2, LOST, shell.now)
    shell.poll()
    before = attempts(shell, 2)
    keyless(shell)
    shell.poll(after=0.2)
    shell.acknowledge(1, offset=1)
    assert attempts(shell, 2) == before + 1
    shell.sender.on_connect_failed(2, LOST, shell.now)
    shell.poll(after=10.0)
    assert attempts(shell, 2) == before + 1, "nobody has wanted to go there since"
    keyless(shell)
    shell.poll(after=0.1)
    assert attempts(shell, 2) == before + 2
    shell.sender.on_connected(2, shell.versions, shell.now)
    shell.poll()
    assert {keyless(shell) for _ in range(20)} == {0, 1}


def test_an_attempt_that_has_to_wait_is_made_when_its_pause_is_over() -> None:
    shell = two_brokers()
    shell.answers_connects = False
    before = attempts(shell, 2)
    shell.sender.on_disconnected(2, LOST, shell.now)
    shell.poll()
    keyless(shell)
    shell.poll()
    assert attempts(shell, 2) == before, "it backs off"
    shell.wait_until(lambda: attempts(shell, 2) > before, within=1.0)
