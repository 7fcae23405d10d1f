"""ClusterCore: what the cluster answers to a request, and when.

As in a broker, the requests of a connection are carried out in order, and one that waits holds up those behind it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypeAlias

from aioproducer._wire.messages import ApiKey
from aioproducer._wire.schema import Message, Response
from aioproducer.testing._broker import apis
from aioproducer.testing._broker.acls import ANONYMOUS
from aioproducer.testing._broker.faults import Effect, Faults
from aioproducer.testing._broker.requests import Ending, NoAnswer, Request, Wait
from aioproducer.testing._broker.sasl import Session
from aioproducer.testing._broker.state import ClusterState, Options, Random

if TYPE_CHECKING:
    from collections.abc import Hashable

    from aioproducer.testing._broker.faults import Fault


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to send now."""

    connection: Hashable
    correlation_id: int
    api_key: int
    version: int
    message: Response


@dataclass(frozen=True, slots=True)
class Closed:
    """The broker closes the connection now."""

    connection: Hashable


Output: TypeAlias = Reply | Closed


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A request with the faults that have struck it."""

    request: Request
    message: Message
    is_lost: bool = False
    delay: float = 0.0
    throttle_ms: int = 0


@dataclass(eq=False, slots=True)
class _Channel:
    """One connection: what is being waited for, what is queued behind it, and answers whose time has not come.

    Attributes:
        principal: who the client is by the way it came; a session knows better.
        session: its authentication; None where there is none.
        is_over: nothing more is carried out, and it closes once its answers are sent.
    """

    connection: Hashable
    principal: str = ANONYMOUS
    session: Session | None = None
    is_over: bool = False
    waiting: tuple[_Arrival, Wait] | None = None
    queue: deque[tuple[Request, Message]] = field(default_factory=lambda: deque[tuple[Request, Message]]())
    outbox: deque[tuple[float, Output]] = field(default_factory=lambda: deque[tuple[float, Output]]())


class ClusterCore:
    """A whole cluster. Every call takes `now`, monotonic seconds, which never goes back.

    Attributes:
        state: topics, leaders, logs, coordinators; tests may look and turn its knobs.
        faults: what goes wrong.
    """

    def __init__(self, brokers: int = 1, *, rng: Random, options: Options | None = None) -> None:
        self.state: Final = ClusterState(brokers, options or Options(), rng)
        self.state.versions = apis.versions(self.state)
        self._channels: dict[Hashable, _Channel] = {}
        self._waiting: dict[_Channel, None] = {}
        self._delayed: dict[_Channel, None] = {}

    @property
    def faults(self) -> Faults:
        return self.state.faults

    def accepts(self, api_key: int, version: int) -> bool:
        """Whether the brokers speak that version of that API."""
        return apis.is_spoken(self.state, api_key, version)

    def limit_version(self, api_key: int, version: int) -> None:
        """Speak an API no higher than that from now on; -1 takes it away."""
        options = self.state.options
        self.state.options = replace(options, max_versions={**options.max_versions, api_key: version})
        self.state.versions = apis.versions(self.state)

    def handle(
        self, node_id: int, connection: Hashable, message: Message, version: int, correlation_id: int, now: float
    ) -> list[Output]:
        """Carry out one request.

        Args:
            node_id: the broker that the connection leads to.
            connection: any object that stands for the connection.
            message: the request.

        Returns:
            What is due now, on this connection and on others; in order for each.
        """
        out = self.poll(now)
        channel = self._channel(connection)
        if channel.is_over:
            return out
        session = channel.session
        principal = channel.principal if session is None else session.principal or ANONYMOUS
        request = Request(
            node_id, connection, message.api_key, version, correlation_id, now, self.state.wall_ms, principal
        )
        if channel.waiting is not None:
            channel.queue.append((request, message))
        else:
            self._serve(channel, request, message, out)
        if self._waiting:
            self._recheck(out)
        return out

    def refuse(
        self, node_id: int, connection: Hashable, api_key: int, version: int, correlation_id: int, now: float
    ) -> list[Output]:
        """Answer a request of a version that is not spoken: ApiVersions says which are, others end the connection."""
        out = self.poll(now)
        channel = self._channel(connection)
        if channel.is_over:
            return out
        may_ask = channel.session is None or channel.session.may_ask_for_versions
        if api_key == ApiKey.API_VERSIONS and may_ask:
            reply = Reply(connection, correlation_id, api_key, 0, apis.unsupported_version(self.state))
            self._emit(channel, reply, now, out)
        else:
            self._close(channel, out)
        return out

    def poll(self, now: float) -> list[Output]:
        """What is due by now."""
        out: list[Output] = []
        self.state.now = now
        if self._delayed:
            self._send_delayed(out)
        if self.state.transactions:
            self.state.transactions.advance()
        if self._waiting:
            self._recheck(out)
        return out

    def deadline(self) -> float | None:
        """Monotonic seconds at which `poll` has something to do, if nothing else happens."""
        deadlines = [channel.outbox[0][0] for channel in self._delayed]
        deadlines += [channel.waiting[1].deadline for channel in self._waiting if channel.waiting is not None]
        transaction = self.state.transactions.deadline()
        if transaction is not None:
            deadlines.append(transaction)
        return min(deadlines, default=None)

    def connected(self, connection: Hashable, principal: str) -> None:
        """A client has come that is known by its certificate; others need not be announced."""
        self._channel(connection).principal = principal

    def is_authenticated(self, connection: Hashable) -> bool:
        """Whether the connection's requests are carried out, and not only those that authenticate it."""
        session = self._channel(connection).session
        return session is None or session.is_authenticated

    def expire_sessions(self) -> int:
        """End all sessions of clients that have authenticated, as when their lifetimes are over; returns how many."""
        sessions = [channel.session for channel in self._channels.values() if channel.session is not None]
        found = [session for session in sessions if session.is_authenticated]
        for session in found:
            session.expire()
        return len(found)

    def disconnected(self, connection: Hashable) -> None:
        """The client closed the connection: what is not answered yet never will be."""
        channel = self._channels.pop(connection, None)
        if channel is not None:
            self._waiting.pop(channel, None)
            self._delayed.pop(channel, None)

    def _channel(self, connection: Hashable) -> _Channel:
        channel = self._channels.get(connection)
        if channel is None:
            session = Session(self.state) if self.state.options.sasl_mechanisms else None
            channel = self._channels[connection] = _Channel(connection, session=session)
        return channel

    def _serve(self, channel: _Channel, request: Request, message: Message, out: list[Output]) -> None:
        node = self.state.nodes.get(request.node_id)
        if node is None or not node.is_alive:
            self._close(channel, out)
            return
        if not self.accepts(request.api_key, request.version):
            out += self.refuse(
                request.node_id,
                channel.connection,
                request.api_key,
                request.version,
                request.correlation_id,
                self.state.now,
            )
            return
        arrival = _Arrival(request, message)
        if self.faults:
            struck = self._strike(request, message)
            if struck is None:
                self._close(channel, out)
                return
            arrival = struck
        outcome = None if channel.session is None else channel.session.on_request(request, message)
        if outcome is None:
            outcome = apis.handle(self.state, request, message)
        if isinstance(outcome, Wait):
            channel.waiting = (arrival, outcome)
            self._waiting[channel] = None
        elif isinstance(outcome, NoAnswer):
            if outcome.close or arrival.is_lost:
                self._close(channel, out)
        elif isinstance(outcome, Ending):
            self._end(channel, arrival, outcome, out)
        else:
            self._answer(channel, arrival, outcome, out)

    def _strike(self, request: Request, message: Message) -> _Arrival | None:
        """The request with the faults that strike it; None when the connection is closed instead."""
        touched, acks = apis.touched(self.state, message)

        def strike(effect: Effect) -> Fault | None:
            return self.faults.strike(effect, request.api_key, request.node_id, touched, acks)

        if strike(Effect.CLOSE) is not None:
            return None
        lost, delay, throttle = strike(Effect.LOSE_RESPONSE), strike(Effect.DELAY), strike(Effect.THROTTLE)
        return _Arrival(
            request,
            message,
            is_lost=lost is not None,
            delay=delay.amount if delay is not None else 0.0,
            throttle_ms=int(throttle.amount) if throttle is not None else 0,
        )

    def _answer(self, channel: _Channel, arrival: _Arrival, message: Response, out: list[Output]) -> None:
        if arrival.is_lost:
            self._close(channel, out)
            return
        if arrival.throttle_ms:
            message = apis.throttle(message, arrival.throttle_ms)
        request = arrival.request
        reply = Reply(channel.connection, request.correlation_id, request.api_key, request.version, message)
        self._emit(channel, reply, self.state.now + arrival.delay, out)

    def _end(self, channel: _Channel, arrival: _Arrival, ending: Ending, out: list[Output]) -> None:
        """Answer when it is time, then close; what comes meanwhile is not looked at."""
        channel.is_over = True
        channel.queue.clear()
        now, request = self.state.now, arrival.request
        if ending.message is not None and not arrival.is_lost:
            reply = Reply(channel.connection, request.correlation_id, request.api_key, request.version, ending.message)
            self._emit(channel, reply, now + ending.answer_after + arrival.delay, out)
        self._emit(channel, Closed(channel.connection), now + ending.close_after + arrival.delay, out)
        if not channel.outbox:
            self.disconnected(channel.connection)

    def _emit(self, channel: _Channel, output: Output, due: float, out: list[Output]) -> None:
        if not channel.outbox and due <= self.state.now:
            out.append(output)
        else:
            channel.outbox.append((due, output))
            self._delayed[channel] = None

    def _close(self, channel: _Channel, out: list[Output]) -> None:
        self.disconnected(channel.connection)
        channel.waiting = None
        channel.queue.clear()
        out.append(Closed(channel.connection))

    def _send_delayed(self, out: list[Output]) -> None:
        for channel in list(self._delayed):
            while channel.outbox and channel.outbox[0][0] <= self.state.now:
                out.append(channel.outbox.popleft()[1])
            if not channel.outbox:
                del self._delayed[channel]
                if channel.is_over:
                    self.disconnected(channel.connection)

    def _recheck(self, out: list[Output]) -> None:
        """Ask everything that waits; what is carried out behind it may be what others wait for."""
        has_changed = True
        while has_changed:
            has_changed = False
            for channel in list(self._waiting):
                if channel.waiting is None:
                    continue
                arrival, wait = channel.waiting
                message = wait.check(self.state.now)
                if message is None:
                    continue
                has_changed = True
                channel.waiting = None
                self._waiting.pop(channel, None)
                self._answer(channel, arrival, message, out)
                while channel.queue and channel.waiting is None:
                    self._serve(channel, *channel.queue.popleft(), out)
