"""One attack: a producer works, foreign code raises once, and everything that was promised must go on to hold."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import anyio

from aioproducer import KafkaError, Producer, RecordMetadata
from aioproducer.errors import ErrorCode
from aioproducer.testing import EmbeddedCluster
from tests.attack.points import ENDING, NETWORK_POINTS, Handler, Interceptor, Network, Strike
from tests.contract.support import producer_tasks, until

if TYPE_CHECKING:
    from aioproducer import Delivery

LOOPS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "asyncio": ("asyncio", {"use_uvloop": False}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}
BOUND: Final = 6.0
"""Seconds for one call; the timeouts of the producer are below."""


@dataclass
class Verdict:
    """What was wrong; empty when every promise was kept."""

    problems: list[str] = field(default_factory=lambda: list[str]())

    def expect(self, is_so: bool, problem: str) -> None:
        """Note a problem unless it is so."""
        if not is_so:
            self.problems.append(problem)


def attack(point: str, error: str, loop: str) -> list[str]:
    """Play one attack in an event loop of its own; return what was wrong."""
    strike = Strike(point, error)
    verdict = Verdict()
    handler = Handler(strike)
    logger = logging.getLogger("aioproducer")
    logger.addHandler(handler)
    level, propagate = logger.level, logger.propagate
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    backend, options = LOOPS[loop]
    began = time.process_time()
    try:
        anyio.run(_play, strike, verdict, backend=backend, backend_options=options)
    except (KeyboardInterrupt, SystemExit) as raised:
        # The program is at its end, and whatever still ran was cancelled by that.
        verdict.problems = [] if type(raised).__name__ == error else [f"{type(raised).__name__} ended the program"]
    except BaseException as raised:
        verdict.problems.append(f"the program ended with {raised!r}")
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate
    if error not in ENDING:
        verdict.problems += [f"critical: {line}" for line in handler.critical]
    verdict.expect(strike.struck > 0 or not strike.is_armed, "it never struck")
    verdict.expect(time.process_time() - began < BOUND / 2, "something spins")
    return verdict.problems


async def _play(strike: Strike, verdict: Verdict) -> None:
    async with EmbeddedCluster(brokers=2, partitions=2) as cluster:
        await cluster.create_topic("t", 2)
        network = Network(strike)
        producer = _producer(cluster, network, strike)
        await producer.start()
        told: list[Delivery] = []
        try:
            await _bounded(verdict, "the first send", lambda: producer.send("t", "0", key="k"))
            strike.is_armed = strike.point != "interceptor.close"
            await _provoke(cluster, network, producer, strike, verdict, told)
            await _after(producer, verdict, strike)
        finally:
            strike.is_armed = strike.is_armed or (strike.point == "interceptor.close" and not strike.struck)
            await _bounded(verdict, "close", producer.close, strike)
        await _quiet(verdict)


def _producer(cluster: EmbeddedCluster, network: Network, strike: Strike) -> Producer[Any, Any]:
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
        bootstrap_servers=cluster.bootstrap_servers,
        connect=network.connect if strike.point in NETWORK_POINTS else None,
        on_error=lambda error: strike.at("on_error"),
        key_serializer=serializer("key_serializer"),
        value_serializer=serializer("value_serializer"),
        partitioner=partitioner,
        interceptors=[Interceptor(strike)],
        linger_ms=0,
        request_timeout_ms=800,
        delivery_timeout_ms=3_000,
        max_block_ms=3_000,
        retry_backoff_ms=10,
        reconnect_backoff_ms=10,
        reconnect_backoff_max_ms=100,
        close_timeout_ms=1_000,
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
    await _bounded(verdict, "flush", producer.flush, strike)


async def _after(producer: Producer[Any, Any], verdict: Verdict, strike: Strike) -> None:
    """The producer goes on, for every kind of call."""
    strike.is_armed = False
    metadata = await _bounded(verdict, "a send", lambda: producer.send("t", "after", key="k"))
    verdict.expect(isinstance(metadata, RecordMetadata), f"a send after it gave {metadata!r}")
    await _bounded(verdict, "flush", producer.flush, strike)
    await _bounded(verdict, "partitions_for", lambda: producer.partitions_for("t"))


async def _bounded(
    verdict: Verdict, what: str, call: Callable[[], Awaitable[object]], strike: Strike | None = None
) -> object:
    """Make a call; it must end in time, without an error but those of this library (or what was struck)."""
    try:
        with anyio.fail_after(BOUND):
            return await call()
    except TimeoutError as error:
        if isinstance(error, KafkaError):
            verdict.problems.append(f"{what} raised {error!r}")
        else:
            verdict.problems.append(f"{what} did not end within {BOUND} s")
    except KafkaError as error:
        verdict.expect(type(error).__name__ == "UndeliveredError", f"{what} raised {error!r}")
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        if isinstance(error, asyncio.CancelledError | GeneratorExit) or not _is_foreign(error, strike):
            verdict.problems.append(f"{what} raised {error!r}")
    return None


def _is_foreign(error: BaseException | None, strike: Strike | None) -> bool:
    while error is not None:
        if strike is not None and type(error).__name__ == strike.error:
            return True
        error = error.__cause__
    return False


async def _quiet(verdict: Verdict) -> None:
    try:
        await until(lambda: not producer_tasks(), 2.0)
    except TimeoutError:
        verdict.problems.append(f"tasks are left: {producer_tasks()}")
