"""When metadata is asked for, whom, and who hears of the answer; MetadataState has the rules of merging."""

from __future__ import annotations

from aioproducer._core.effects import Connect
from aioproducer._wire.messages.metadata import MetadataRequest
from aioproducer.errors import KafkaConnectionError, UnsupportedVersionError
from tests.unit._core.harness import Shell, topic_answer, versions


def asked(shell: Shell) -> list[str | None]:
    """The topics of the request in flight."""
    message = shell.request(MetadataRequest).message
    assert isinstance(message, MetadataRequest)
    return [topic.name for topic in message.topics or ()]


def test_topics_that_calls_wait_for_are_asked_for_in_one_request_and_in_order() -> None:
    shell = Shell().start()
    for name in ("z", "a"):
        shell.accumulator.wait_for_topic(name, shell.now, shell.now + 60.0)
    shell.poll()
    assert asked(shell) == ["a", "z"]


def test_one_request_is_in_flight_and_what_came_up_meanwhile_goes_in_the_next() -> None:
    shell = Shell().start()
    shell.accumulator.wait_for_topic("a", shell.now, shell.now + 60.0)
    shell.poll()
    shell.accumulator.wait_for_topic("b", shell.now, shell.now + 60.0)
    shell.poll()
    assert asked(shell) == ["a"]
    shell.answer_metadata(topic_answer("a"))
    shell.poll()
    assert asked(shell) == ["b"]


def test_what_is_learned_reaches_those_who_wait_and_the_brokers_to_connect_to() -> None:
    shell = Shell(brokers=(1, 2)).start()
    waiting = shell.accumulator.wait_for_topic("new", shell.now, shell.now + 60.0)
    shell.poll()
    shell.answer_metadata(topic_answer("new", (2,)))
    assert waiting.view is not None
    batch = shell.append(topic="new")
    shell.poll(after=1.0)
    assert [send.produce.batches for send in shell.sent[2] if send.produce is not None] == [[batch]]


def test_a_lost_request_is_sent_again_after_a_pause() -> None:
    shell = Shell().start()
    shell.accumulator.wait_for_topic("a", shell.now, shell.now + 60.0)
    shell.poll()
    shell.break_connection(shell.request(MetadataRequest).node_id)
    assert not shell.has_request(MetadataRequest)
    start = shell.now
    shell.wait_until(lambda: shell.has_request(MetadataRequest), within=0.2)
    assert shell.now - start >= 0.05


def test_when_nobody_can_be_reached_the_bootstrap_servers_are_tried_again() -> None:
    shell = Shell(linger_ms=0).start()
    shell.send()
    shell.answers_connects = False
    shell.break_connection()
    shell.events.clear()
    hosts: set[str] = set()
    for _ in range(40):
        due = shell.sender.deadline(shell.now)
        assert due is not None
        shell.now = max(shell.now, due)
        for effect in shell.sender.poll(shell.now):
            if isinstance(effect, Connect):
                hosts.add(effect.host)
                shell.sender.on_connect_failed(effect.node_id, KafkaConnectionError("refused"), shell.now)
    assert hosts == {"host1", "boot"}


def test_a_broker_that_speaks_no_version_of_it_ends_the_producer() -> None:
    shell = Shell()
    shell.versions = versions(metadata=-1)
    shell.poll()
    assert isinstance(shell.sender.fatal_error, UnsupportedVersionError)
