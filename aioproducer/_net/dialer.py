"""The Dialer: sets up connections to brokers, step by step (see `setup`), within one deadline."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, cast

import anyio

from aioproducer._backend import Stream
from aioproducer._backend.ending import ends_this_task
from aioproducer._net.authentication import authenticated, failing_as_connection, named
from aioproducer._net.connection import Connection, close, in_words, reason
from aioproducer._net.layer import LayeredStream
from aioproducer._net.setup import NO_STEPS, ApiVersionsExchange
from aioproducer._wire.frames import FrameBuffer, decode_response, encode_request
from aioproducer._wire.negotiation import BrokerVersions
from aioproducer.errors import (
    ConnectionTimeoutError,
    KafkaConnectionError,
    KafkaError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from aioproducer._backend import Connector
    from aioproducer._net.setup import Ask, AuthenticateStep, SecureStep, Session, SetupSteps
    from aioproducer._wire.schema import Response


class Established(NamedTuple):
    """A connection that is set up.

    Attributes:
        connection: takes frames.
        versions: what the broker speaks on it.
        session: what authentication has led to; None if there was none.
    """

    connection: Connection
    versions: BrokerVersions
    session: Session | None


class Dialer:
    """Sets up connections.

    Args:
        connect: opens the byte stream.
        client_id: our name for ourselves.
        clock: seconds.
        answer_timeout: seconds that each step after the first may take, as any request may: a broker that connects and
            stays silent is given up as soon as one that stops to answer. None: as long as all steps together.
        steps: what there is to do besides TCP and ApiVersions.
    """

    def __init__(
        self,
        connect: Connector,
        client_id: str | None,
        clock: Callable[[], float],
        answer_timeout: float | None = None,
        steps: SetupSteps = NO_STEPS,
    ) -> None:
        self.connect = connect
        self.client_id = client_id
        self.clock = clock
        self.answer_timeout = answer_timeout
        self.steps = steps

    async def dial(self, host: str, port: int, timeout: float | None = None, *, name: str = "") -> Established:
        """Set up a connection. Cancelled or failed, it leaves no socket open.

        Args:
            host, port: whereto.
            timeout: seconds for all steps together.
            name: the broker as messages name it, with its address; default: host:port.

        Raises:
            ConnectionTimeoutError: it was not ready in time.
            KafkaConnectionError: refused, unreachable, unknown name, or closed during a step.
            AuthenticationError: the broker does not take us for who we say we are, or we do not take it for the broker.
            UnsupportedVersionError: the broker is too old.
            ProtocolError: whoever listens there does not speak Kafka's protocol.
        """
        attempt = _Attempt(self, host, port, name or f"{host}:{port}")
        started = self.clock()
        try:
            with anyio.fail_after(timeout):
                return await attempt.run()
        except TimeoutError:
            elapsed = self.clock() - started
            raise ConnectionTimeoutError(
                f"{host}:{port} was not ready within {elapsed:.1f} s (waiting for {attempt.step});"
                f" check the address, firewalls, and that the port speaks {attempt.expected}",
                elapsed=elapsed,
            ) from None

    async def authenticate_again(
        self, host: str, port: int, versions: BrokerVersions, ask: Callable[[Ask], Awaitable[Response]], *, name: str
    ) -> Session:
        """Authenticate on a connection that is in use (KIP-368).

        Args:
            host, port, name: as for `dial`.
            versions: what the broker speaks on it.
            ask: sends a request over it and returns its answer.

        Raises:
            KafkaError: as `dial`, but for what is about connecting.
        """
        step = self.steps.authenticate
        assert step is not None, "a session without authentication has no end"
        with named(f"{step.name} (again)", name or f"{host}:{port}", (host, port)):
            try:
                return await authenticated(step.exchange(host, port, versions), ask, self.clock)
            except BaseException as error:
                _forget_frames(error)
                raise


class _Attempt:
    """One connection that is being set up.

    Attributes:
        step: what it waits for, for people.
    """

    def __init__(self, dialer: Dialer, host: str, port: int, name: str) -> None:
        self.step = "TCP connect"
        self._dialer = dialer
        self._host = host
        self._port = port
        self._name = name
        self._correlation_id = 0

    @property
    def expected(self) -> str:
        """What the port should speak."""
        secure = self._dialer.steps.secure
        return "plain Kafka" if secure is None else f"Kafka after a {secure.name}"

    async def run(self) -> Established:
        """Do all steps."""
        stream = await self._connect()
        try:
            secure, authenticate = self._dialer.steps.secure, self._dialer.steps.authenticate
            if secure is not None:
                stream = await self._secure(secure, stream)
            connection = Connection(stream, FrameBuffer())
            versions = await self._learn_versions(connection)
            session = None
            if authenticate is not None:
                session = await self._authenticate(authenticate, connection, versions)
        except BaseException:
            await close(stream)
            raise
        return Established(connection, versions, session)

    # ── the steps, in their order ────────────────────────────────────────────────────────────────────────────────────

    async def _connect(self) -> Stream:
        address = self._host, self._port
        try:
            stream: object = await self._dialer.connect(self._host, self._port)
        except OSError as error:
            text = f"cannot connect to {self._host}:{self._port}: {reason(error)}"
            raise KafkaConnectionError(text, address=address) from error
        except BaseException as error:
            if isinstance(error, KafkaError) or ends_this_task(error):
                raise
            told = f"connect= raised {type(error).__name__}: {reason(error)}"
            text = f"cannot connect to {self._host}:{self._port}: {told}"
            raise KafkaConnectionError(text, address=address) from error
        if not isinstance(stream, Stream):  # pyright: ignore[reportUnnecessaryIsInstance] - somebody else's function
            text = (
                f"cannot connect to {self._host}:{self._port}: connect= returned {type(stream).__name__};"
                " it must return a byte stream, as anyio.connect_tcp does"
            )
            raise KafkaConnectionError(text, address=address)
        return stream

    async def _secure(self, step: SecureStep, stream: Stream) -> Stream:
        with self._during(step.name):
            with failing_as_connection("it could not be prepared"):
                layer = await step.new_layer(self._host, self._port)
            secured = LayeredStream(stream, layer)
            with in_words():
                await secured.open()
            return secured

    async def _learn_versions(self, connection: Connection) -> BrokerVersions:
        with self._during("ApiVersions"):
            exchange = ApiVersionsExchange(self._dialer.client_id)
            request = exchange.first_request()
            while True:
                answer = exchange.on_response(await self._heard(connection, request))
                if isinstance(answer, BrokerVersions):
                    return answer
                request = answer

    async def _heard(self, connection: Connection, request: bytes) -> bytes:
        """Ask; a listener that speaks TLS ends the connection on what is no TLS, mostly without its alert arriving."""
        try:
            return await _ask(connection, request)
        except KafkaConnectionError as error:
            if self._dialer.steps.secure is not None:
                raise  # told with TLS
            raise KafkaConnectionError(
                f"{error}, without an answer: if it speaks TLS, set security_protocol to SSL or SASL_SSL; otherwise a"
                " proxy or firewall has closed it, or it is no broker",
                address=error.address,
            ) from error

    async def _authenticate(self, step: AuthenticateStep, connection: Connection, versions: BrokerVersions) -> Session:
        with self._during(step.name):
            exchange = step.exchange(self._host, self._port, versions)
            return await authenticated(exchange, partial(self._request, connection), self._dialer.clock)

    async def _request(self, connection: Connection, ask: Ask) -> Response:
        self._correlation_id += 1
        message, version = ask
        try:
            answer = await _ask(
                connection, encode_request(message, version, self._correlation_id, self._dialer.client_id)
            )
        except BaseException as error:
            _forget_frames(error)
            raise
        return decode_response(answer, message.api_key, version, self._correlation_id)

    @contextmanager
    def _during(self, step: str) -> Generator[None]:
        """Bound a step in time, and name it in what it raises."""
        self.step = step
        with named(step, self._name, (self._host, self._port)), anyio.fail_after(self._dialer.answer_timeout):
            yield


async def _ask(connection: Connection, request: bytes) -> bytes:
    await connection.send(request)
    frames: list[bytes] = []
    while not frames:
        frames = await connection.read_frames()
    return frames[0]


def _forget_frames(error: BaseException) -> None:
    """Have an error forget where it came through.

    The request that was on its way may be a password, and it is a variable of every frame down to the stream, which may
    be somebody else's code (`connect=`): error trackers print them. Not by `traceback.clear_frames`, which would keep
    the lines: 1. A stream's own task catches an error, shares it, and waits in that `except`. 2. We are given the same
    error. 3. Before Python 3.13, clearing its frames ends the coroutine that waits.
    """
    found: list[BaseException] = [error]
    for one in found:  # which grows
        one.__traceback__ = None
        nested: list[BaseException | None] = [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            nested += cast("BaseExceptionGroup[BaseException]", one).exceptions
        found += [each for each in nested if each is not None and not any(each is known for known in found)]
