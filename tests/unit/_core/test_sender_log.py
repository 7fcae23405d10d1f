"""How much does the whole core log while brokers are away? A line at first, one every 30 seconds, one at the return."""

from __future__ import annotations

import logging
from collections import Counter

import pytest

from aioproducer._core.effects import Connect
from aioproducer.errors import KafkaConnectionError
from tests.unit._core.harness import Shell, topic_answer

MINUTES = 2


def outage(shell: Shell, seconds: float) -> int:
    """Let time pass with each connection refused; how many attempts were made."""
    end, attempts = shell.now + seconds, 0
    while True:
        due = shell.sender.deadline(shell.now)
        if due is None or due >= end:
            shell.now = end
            return attempts
        shell.now = max(due, shell.now)
        for effect in shell.sender.poll(shell.now):
            if isinstance(effect, Connect):
                attempts += 1
                shell.sender.on_connect_failed(effect.node_id, KafkaConnectionError("Connection refused"), shell.now)


def at_least(caplog: pytest.LogCaptureFixture, level: int) -> Counter[str]:
    """The events of this level and above, by their number."""
    return Counter(str(getattr(record, "event_name", "")) for record in caplog.records if record.levelno >= level)


@pytest.mark.parametrize("brokers", [(1,), (1, 2, 3)])
def test_minutes_without_a_broker_are_few_lines(brokers: tuple[int, ...], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "aioproducer")
    shell = Shell(brokers=brokers).start(topic_answer(leaders=brokers))
    for partition in range(len(brokers)):
        shell.send(partition)
    caplog.clear()
    shell.answers_connects = False
    for node_id in brokers:
        shell.break_connection(node_id)
    attempts = outage(shell, MINUTES * 60)
    told = at_least(caplog, logging.INFO)
    servers = len(brokers) + 1  # and the bootstrap server
    assert attempts > MINUTES * 60 / 2
    assert told["broker_away"] <= servers
    assert told["broker_still_away"] <= servers * MINUTES * 2
    assert sum(told.values()) <= servers * (MINUTES * 2 + 1) + 1  # rebootstrap, once
    assert at_least(caplog, logging.ERROR) == Counter()


def test_the_return_is_one_line_for_each_broker(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "aioproducer")
    shell = Shell().start()
    shell.send()
    shell.acknowledge()
    shell.poll(after=10)  # long enough for its loss to be news
    shell.answers_connects = False
    shell.break_connection()
    shell.append()
    outage(shell, 45)
    caplog.clear()
    shell.answers_connects = True
    shell.wait_until(lambda: at_least(caplog, logging.INFO)["broker_back"], within=5)
    back = [record.getMessage() for record in caplog.records if getattr(record, "event_name", "") == "broker_back"]
    assert 1 <= len(back) <= 2  # and the bootstrap server
    assert all("is back after 4" in line for line in back), back


def test_an_idle_connection_that_is_closed_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "aioproducer")
    shell = Shell().start()
    shell.send()
    shell.acknowledge()
    shell.poll(after=60)
    caplog.clear()
    shell.break_connection()
    assert at_least(caplog, logging.INFO) == Counter()
    assert at_least(caplog, logging.DEBUG)["broker_closed_idle"] == 1
