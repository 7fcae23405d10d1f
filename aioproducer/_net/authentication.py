"""An authentication, driven from its first request to the session: on a new connection, or again on one in use."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, assert_never

from aioproducer._backend.ending import ends_this_task
from aioproducer._net.setup import Ask, Await, Session
from aioproducer.errors import AuthenticationError, KafkaConnectionError, KafkaError, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from aioproducer._net.setup import Exchange
    from aioproducer._wire.schema import Response


async def authenticated(
    exchange: Exchange, ask: Callable[[Ask], Awaitable[Response]], clock: Callable[[], float]
) -> Session:
    """Do what an exchange wants until it is over; return the session.

    Args:
        exchange: of an `AuthenticateStep`, not begun.
        ask: sends a request over the connection and returns its answer.
        clock: seconds.

    Raises:
        AuthenticationError: we are refused.
        KafkaConnectionError: credentials could not be had, or the connection is lost.
        UnsupportedVersionError, ProtocolError: see `AuthenticateStep.exchange`.
    """
    asked_at = clock()
    outcome: object = None
    while True:
        try:
            wanted = exchange.send(outcome)
        except StopIteration as end:
            return Session(asked_at, end.value)
        match wanted:
            case Ask():
                asked_at = clock()
                outcome = await ask(wanted)
            case Await():
                with failing_as_connection("its credentials could not be had"):
                    outcome = await wanted.work()
            case _:
                assert_never(wanted)


@contextmanager
def named(step: str, broker: str, address: tuple[str, int]) -> Generator[None]:
    """Name a step, and the broker it is done with, in what it raises."""
    try:
        yield
    except AuthenticationError as error:
        refused = AuthenticationError(f"{step} with {broker} failed: {error}", api=error.api)
        refused.code, refused.name, refused.phase = error.code, error.name, error.phase
        raise refused from error
    except KafkaConnectionError as error:
        raise KafkaConnectionError(f"{step} with {broker} failed: {error}", address=address) from error
    except ProtocolError as error:
        raise ProtocolError(f"{step}: {error}") from error


@contextmanager
def failing_as_connection(what: str) -> Generator[None]:
    """Have the code of others fail this connection, not the producer; its words may have a secret in them."""
    try:
        yield
    except (KafkaError, TimeoutError):
        raise
    except BaseException as error:
        if ends_this_task(error):
            raise
        raise KafkaConnectionError(f"{what} ({type(error).__name__}, see __cause__)") from error
