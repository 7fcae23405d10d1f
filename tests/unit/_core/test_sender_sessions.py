"""Authentication again (KIP-368) as the sender goes about it: held requests go on where they were."""

from __future__ import annotations

from aioproducer._core.effects import Send
from tests.unit._core.harness import Shell


def at_its_end() -> Shell:
    """One batch is delivered, and the session is due to be renewed."""
    shell = Shell(linger_ms=0)
    shell.session_lifetime = 10.0
    shell.start()
    shell.send()
    shell.acknowledge()
    shell.poll()
    shell.poll(after=9.9)
    return shell


def test_it_is_begun_by_whoever_has_something_to_send() -> None:
    shell = at_its_end()
    assert shell.renewals == [], "an idle connection is left alone"
    shell.send()
    assert shell.renewals == [1]


def test_nothing_is_sent_in_the_middle_and_all_in_its_order_after_it() -> None:
    shell = at_its_end()
    held = [shell.send() for _ in range(3)]
    assert not any(isinstance(effect, Send) for effect in shell.effects)
    assert all(batch.is_queued for batch in held)
    shell.sender.on_reauthenticated(1, shell.now, 10.0, shell.now)
    shell.poll()
    sent = [batch for batches in shell.batches() for batch in batches]
    assert sent == held[: len(sent)]
    assert sent
    assert [batch.base_sequence for batch in sent] == list(range(1, 1 + len(sent)))
    assert shell.sender.statistics().reauthentications == 1


def test_batches_in_flight_are_answered_meanwhile() -> None:
    shell = Shell(linger_ms=0)
    shell.session_lifetime = 10.0
    shell.start()
    shell.send()
    shell.acknowledge()
    shell.poll(after=8.4)
    under_way = shell.send()
    shell.now += 1.5
    shell.send()
    assert shell.renewals == [1]
    shell.acknowledge(offset=1)
    shell.poll()
    assert under_way.is_done
    assert under_way.error is None
