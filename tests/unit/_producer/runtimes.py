"""What tests of _producer share: a runtime that is an accumulator, a clock and a loop that the test turns by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from aioproducer._config import ProducerConfig
from aioproducer._metrics.counters import Counters
from aioproducer._producer.prepare import RecordPreparer
from aioproducer._producer.send_path import SendPath
from tests.unit._core.accumulators import accumulator

if TYPE_CHECKING:
    from collections.abc import Callable


class FakeBackend:
    """A loop that nothing runs in."""

    def __init__(self) -> None:
        self.token: object = "here"
        self.present: object = "here"
        self.soon: list[Callable[[], object]] = []

    def current_token(self) -> object:
        return self.present

    def is_current(self) -> bool:
        return self.present == self.token

    def call_soon(self, function: Callable[..., object], *arguments: object) -> None:
        self.soon.append(lambda: function(*arguments))


class FakeRuntime:
    """As much of a runtime as a call needs that does not wait."""

    def __init__(self, topics: tuple[str, ...]) -> None:
        self.backend = FakeBackend()
        self.accumulator = accumulator({name: [0] for name in topics})
        self.accumulator.needs_wake = False
        self.figures = Counters()
        self.now = 0.0
        self.wakes = 0

    def clock(self) -> float:
        return self.now

    def call(self, function: Callable[..., Any], *arguments: object) -> Any:
        return function(*arguments)

    def wake(self) -> None:
        self.accumulator.needs_wake = False
        self.wakes += 1


def opened(*topics: str, interceptors: tuple[Any, ...] = (), **settings: Any) -> tuple[SendPath, FakeRuntime]:
    """A send path that lets records in, and the runtime behind it."""
    config = ProducerConfig(bootstrap_servers="localhost:9092", **settings)
    preparer = RecordPreparer(config.key_serializer, config.value_serializer, interceptors)
    send_path = SendPath(config, "c", preparer)
    runtime = FakeRuntime(topics)
    send_path.open(cast("Any", runtime))
    return send_path, runtime
