"""A request that Kafka does not have, in one file: its messages, what follows from it, and its place among the others.

Nothing in the package knows of it, and yet it is sent, answered, repeated, throttled and lost as every other is.
"""

from __future__ import annotations

import random
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from aioproducer._core.requests.backoff import RetryTimer
from aioproducer._core.requests.control_request import ControlRequest, ResponseError
from aioproducer._core.requests.verdicts import Verdict
from aioproducer._wire.messages.end_txn import EndTxnResponse
from aioproducer._wire.negotiation import ApiVersionRange, BrokerVersions
from aioproducer._wire.schema import Message, Request, Response, int16, int32, string
from aioproducer.errors import ErrorCode
from tests.unit._core.harness import Shell, broker, topic_answer, versions

if TYPE_CHECKING:
    from aioproducer._core.cluster.metadata import Broker
    from aioproducer.errors import BrokerError, KafkaError, UnsupportedVersionError

WEATHER = 1_000


class WeatherRequest(Request):
    """How is the weather where the broker stands?"""

    api_key = WEATHER
    min_version = 0
    max_version = 2
    flexible_from = 1

    town: str = string()


class WeatherResponse(Response):
    """So many degrees."""

    api_key = WEATHER
    min_version = 0
    max_version = 2
    flexible_from = 1
    throttles_since = 1

    throttle_time_ms: int = int32()
    error_code: int = int16()
    degrees: int = int32()


class Weather(ControlRequest):
    """Asks once a minute."""

    request = WeatherRequest
    verdicts = MappingProxyType({ErrorCode.NONE: Verdict.DELIVERED, ErrorCode.REQUEST_TIMED_OUT: Verdict.RETRY})

    def __init__(self, shell: Shell, where: Broker | None = None) -> None:
        super().__init__(RetryTimer(shell.config, random.Random(1)))
        self.degrees: list[int] = []
        self.refused: list[KafkaError] = []
        self._where = where
        self._asked_again_at = shell.now
        shell.sender.requests.add(self)

    def next_at(self) -> float:
        return max(self.retry_timer.next_at(), self._asked_again_at)

    def target(self) -> Broker | None:
        return self._where

    def build(self, version: int) -> WeatherRequest:
        return WeatherRequest(town=f"v{version}")

    def response_errors(self, message: Message) -> list[ResponseError]:
        assert isinstance(message, WeatherResponse)
        return [ResponseError(message.error_code)]

    def on_success(self, message: Message, now: float) -> None:
        assert isinstance(message, WeatherResponse)
        self.degrees.append(message.degrees)
        self._asked_again_at = now + 60.0

    def on_refused(self, verdict: Verdict, error: BrokerError, now: float) -> None:
        assert verdict is Verdict.FATAL
        self.refused.append(error)
        self._asked_again_at = float("inf")
        self.retry_timer.reset()

    def on_unsupported(self, error: UnsupportedVersionError, now: float) -> None:
        self.refused.append(error)
        self._asked_again_at = float("inf")


def shell_with_weather(highest: int = 2, where: Broker | None = None, **settings: Any) -> tuple[Shell, Weather]:
    """A started shell whose brokers know of the weather; the request is sent."""
    shell = Shell(**settings)
    apis = {**versions().apis, WEATHER: ApiVersionRange(0, highest)} if highest >= 0 else versions().apis
    shell.versions = BrokerVersions(apis=apis)
    shell.start()
    weather = Weather(shell, where)
    shell.poll()
    return shell, weather


def answer(shell: Shell, message: Message) -> None:
    """Have the request answered."""
    shell.answer_out_of(shell.request(WeatherRequest).node_id, WeatherRequest, message)
    shell.poll()


def test_it_is_sent_in_the_highest_version_and_answered_and_sent_again_when_due() -> None:
    shell, weather = shell_with_weather()
    sent = shell.request(WeatherRequest)
    assert (sent.request.version, sent.message) == (2, WeatherRequest(town="v2"))
    answer(shell, WeatherResponse(degrees=21))
    assert weather.degrees == [21]
    start = shell.now
    shell.wait_until(lambda: shell.has_request(WeatherRequest), within=60.1)
    assert shell.now - start >= 60.0


def test_an_error_has_it_repeated_after_a_pause_that_grows() -> None:
    shell, weather = shell_with_weather()
    pauses: list[float] = []
    for _ in range(3):
        answer(shell, WeatherResponse(error_code=ErrorCode.REQUEST_TIMED_OUT))
        assert not shell.has_request(WeatherRequest)
        start = shell.now
        shell.wait_until(lambda: shell.has_request(WeatherRequest), within=1.1)
        pauses.append(shell.now - start)
    assert 0.08 <= pauses[0] <= 0.121
    assert 0.159 <= pauses[1] <= 0.241
    assert 0.319 <= pauses[2] <= 0.481
    assert weather.retry_timer.count == 3
    answer(shell, WeatherResponse(degrees=3))
    assert weather.retry_timer.count == 0


def test_a_broker_that_asks_for_a_pause_gets_it_since_the_version_that_says_so() -> None:
    for version, throttled in ((2, 0.5), (1, 0.5), (0, 0.0)):
        shell, _ = shell_with_weather(version)
        node_id = shell.request(WeatherRequest).node_id
        answer(shell, WeatherResponse(degrees=1, throttle_time_ms=500))
        told = {status.node_id: status.throttled_seconds for status in shell.sender.status(shell.now).brokers}
        assert told[node_id] == throttled


def test_a_lost_connection_has_it_repeated_after_a_pause() -> None:
    shell, weather = shell_with_weather()
    shell.break_connection(shell.request(WeatherRequest).node_id)
    shell.poll()
    assert not shell.has_request(WeatherRequest)
    assert weather.retry_timer.last_error is not None
    shell.wait_until(lambda: shell.has_request(WeatherRequest), within=0.2)
    answer(shell, WeatherResponse(degrees=4))
    assert weather.degrees == [4]


def test_an_answer_to_something_else_closes_the_connection_and_it_is_repeated() -> None:
    shell, weather = shell_with_weather()
    answer(shell, EndTxnResponse())
    assert "EndTxnResponse that was not asked for" in str(weather.retry_timer.last_error)
    shell.wait_until(lambda: shell.has_request(WeatherRequest), within=0.2)


def test_what_is_refused_and_what_the_broker_does_not_know_is_for_the_request_to_decide() -> None:
    shell, weather = shell_with_weather()
    answer(shell, WeatherResponse(error_code=ErrorCode.POLICY_VIOLATION))
    assert [error.code for error in weather.refused] == [ErrorCode.POLICY_VIOLATION]
    assert "answered Weather with POLICY_VIOLATION" in str(weather.refused[0])
    shell, weather = shell_with_weather(-1)
    assert [error.code for error in weather.refused] == [ErrorCode.UNSUPPORTED_VERSION]
    assert not shell.has_request(WeatherRequest)
    assert shell.sender.fatal_error is None


def test_a_request_for_one_broker_goes_to_that_one() -> None:
    shell, _ = shell_with_weather(where=broker(2), brokers=(1, 2))
    assert shell.request(WeatherRequest).node_id == 2


def test_it_waits_for_a_broker_that_has_room_and_metadata_goes_first() -> None:
    shell, _ = shell_with_weather(max_in_flight_requests_per_connection=1)
    answer(shell, WeatherResponse(error_code=ErrorCode.REQUEST_TIMED_OUT))
    shell.accumulator.wait_for_topic("new", shell.now, shell.now + 60.0)
    shell.poll(after=1.0)  # both are due
    assert not shell.has_request(WeatherRequest)
    shell.answer_metadata(topic_answer("new"))
    shell.poll()
    assert shell.has_request(WeatherRequest)
