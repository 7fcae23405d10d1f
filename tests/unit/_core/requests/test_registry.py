"""The order in which control requests are asked, and that one which ends the producer is the last."""

from __future__ import annotations

from aioproducer._core.requests.control_request import ControlRequest
from aioproducer._wire.messages.metadata import MetadataRequest
from aioproducer.errors import KafkaError
from tests.unit._core.harness import Shell, versions
from tests.unit._core.transaction_parts import timer


class Asked(ControlRequest):
    """A request that only notes when it is asked."""

    request = MetadataRequest

    def __init__(self, name: str, asked: list[str]) -> None:
        super().__init__(timer())
        self._name = name
        self._asked = asked

    def is_due(self, now: float) -> bool:
        self._asked.append(self._name)
        return False


def test_they_are_asked_in_the_order_in_which_they_were_added() -> None:
    shell = Shell().start()
    asked: list[str] = []
    for name in ("a", "b", "c"):
        shell.sender.requests.add(Asked(name, asked))
    shell.sender.poll(shell.now)
    assert asked == ["a", "b", "c"]


def test_after_one_that_ends_the_producer_none_is_asked() -> None:
    shell = Shell()
    shell.versions = versions(metadata=-1)
    asked: list[str] = []
    shell.sender.requests.add(Asked("a", asked))
    shell.poll()
    before = list(asked)
    shell.poll(after=10.0)
    assert isinstance(shell.sender.fatal_error, KafkaError)
    assert asked == before


def test_the_time_of_each_is_among_the_times() -> None:
    shell = Shell().start()
    count = len(shell.sender.requests.times())
    request = Asked("a", [])
    request.retry_timer.fail(None, shell.now)
    shell.sender.requests.add(request)
    times = shell.sender.requests.times()
    assert (len(times), times[-1]) == (count + 1, request.next_at())
