"""One attack: a producer works, foreign code raises once, and everything that was promised must go on to hold."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import anyio

from aioproducer import Producer, RecordMetadata
from aioproducer.errors import ErrorCode
from aioproducer.testing import BlockingCluster, EmbeddedCluster
from tests.attack.law import Verdict, bounded, bounded_cost, logging_to, quiet, run_in
from tests.attack.points import ENDING, NETWORK_POINTS, Handler, Interceptor, Network, Strike

if TYPE_CHECKING:
    from aioproducer import Delivery


CPU_SECONDS: Final = 3.0

SETTINGS: Final[dict[str, Any]] = {
    "linger_ms": 0,
    "request_timeout_ms": 800,
    "delivery_timeout_ms": 3_000,
    "max_block_ms": 3_000,
    "retry_backoff_ms": 10,
    "reconnect_backoff_ms": 10,
    "reconnect_backoff_max_ms": 100,
    "close_timeout_ms": 1_000,
}
"""Of a producer that is attacked: every timeout is below BOUND."""


def attack(point: str, error: str, loop: str) -> list[str]:
    """Play one attack in an event loop of its own; return what was wrong."""
    strike = Strike(point, error)
    verdict = Verdict()
    handler = Handler(strike)
    with bounded_cost(verdict, CPU_SECONDS), logging_to(handler, logging.DEBUG):
        try:
            run_in(loop, lambda: _play(strike, verdict))
        except (KeyboardInterrupt, SystemExit) as raised:
            # The program is at its end, and whatever still ran was cancelled by that.
            is_struck = type(raised).__name__ == error
            verdict.problems = [] if is_struck else [f"{type(raised).__name__} ended the program"]
        except BaseException as raised:
            verdict.problems.append(f"the program ended with {raised!r}")
    if error not in ENDING:
        verdict.problems += [f"critical: {line}" for line in handler.critical]
    verdict.expect(strike.struck > 0 or not strike.is_armed, "it never struck")
    return verdict.problems


async def _play(strike: Strike, verdict: Verdict) -> None:
    async with EmbeddedCluster(brokers=2, partitions=2) as cluster:
        await cluster.create_topic("t", 2)
        network = Network(strike)
        producer = new_producer(cluster, strike, network if strike.point in NETWORK_POINTS else None)
        await producer.start()
        told: list[Delivery] = []
        try:
            await bounded(verdict, "the first send", lambda: producer.send("t", "0", key="k"), _allowing(None))
            strike.is_armed = strike.point != "interceptor.close"
            await _provoke(cluster, network, producer, strike, verdict, told)
            await _after(producer, verdict, strike)
        finally:
            strike.is_armed = strike.is_armed or (strike.point == "interceptor.close" and not strike.struck)
            await bounded(verdict, "close", producer.close, _allowing(strike))
        await quiet(verdict)


def new_producer(
    cluster: EmbeddedCluster | BlockingCluster, strike: Strike, network: Network | None = None, **settings: Any
) -> Producer[Any, Any]:
    """Make a producer that calls a strike wherever it calls what an application gives it; the timeouts are short."""

    given: dict[str, Any] = {"bootstrap_servers": cluster.bootstrap_servers, **SETTINGS, **settings}

    def serializer(point: str) -> Callable[[str], bytes]:
        def serialize(value: str) -> bytes:
            strike.at(point)
            return value.encode()

        return serialize

    def partitioner(view: Any, key: bytes | None, value: bytes | None) -> int | None:
        del view, value
        strike.at("partitioner")
        return None if key is None else 0

    return Producer(
        connect=None if network is None else network.connect,
        on_error=lambda error: strike.at("on_error"),
        key_serializer=serializer("key_serializer"),
        value_serializer=serializer("value_serializer"),
        partitioner=partitioner,
        interceptors=[Interceptor(strike)],
        **given,
    )


async def _provoke(
    cluster: EmbeddedCluster,
    network: Network,
    producer: Producer[Any, Any],
    strike: Strike,
    verdict: Verdict,
    told: list[Delivery],
) -> None:
    """Make the point be called, with records and calls in every state around it."""
    if strike.point in {"connect", "connected", "aclose", "extra"}:
        await network.cut()
    if strike.point == "on_error":
        with cluster.fail_next(ErrorCode.INVALID_RECORD):
            producer.submit_nowait("t", "nobody waits for it")
            await anyio.sleep(0.1)
        return

    def on_delivery(delivery: Delivery) -> None:
        told.append(delivery)
        strike.at("on_delivery")

    for number in range(3):
        try:
            delivery = await producer.submit("t", f"{number}", key="k", on_delivery=on_delivery)
            delivery.add_done_callback(lambda _: strike.at("done_callback"))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            # What was raised comes out of the call that called the application's code, if it is that.
            verdict.expect(_is_foreign(error, strike), f"submit raised {error!r}")
    await bounded(verdict, "flush", producer.flush, _allowing(strike))


async def _after(producer: Producer[Any, Any], verdict: Verdict, strike: Strike) -> None:
    """The producer goes on, for every kind of call."""
    strike.is_armed = False
    metadata = await bounded(verdict, "a send", lambda: producer.send("t", "after", key="k"), _allowing(None))
    verdict.expect(isinstance(metadata, RecordMetadata), f"a send after it gave {metadata!r}")
    await bounded(verdict, "flush", producer.flush, _allowing(strike))
    await bounded(verdict, "partitions_for", lambda: producer.partitions_for("t"), _allowing(None))


def _allowing(strike: Strike | None) -> Callable[[BaseException], bool]:
    """What a call may raise: records that nobody waited for have failed, or what was struck comes out of it."""
    return lambda error: type(error).__name__ == "UndeliveredError" or _is_foreign(error, strike)


def _is_foreign(error: BaseException | None, strike: Strike | None) -> bool:
    while error is not None:
        if strike is not None and type(error).__name__ == strike.error:
            return True
        error = error.__cause__
    return False
