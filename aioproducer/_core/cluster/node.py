"""One broker as the core knows it: how far the connection to it is, and what may happen to it next.

Only what is known: `nodes` decides.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final

from aioproducer._core.cluster.outage_log import OutageLog
from aioproducer.errors import AuthenticationError

if TYPE_CHECKING:
    from aioproducer._wire.negotiation import BrokerVersions
    from aioproducer.errors import KafkaError


LAST_CORRELATION_IDS: Final = 8
MAX_CORRELATION_ID: Final = 2**31 - 1 - LAST_CORRELATION_IDS
"""The last eight are kept for authentication on a connection in use, as Kafka's clients do."""


MAX_THROTTLE: Final = 60.0
"""Seconds. Quotas are kept over windows of seconds, and brokers throttle by no more than what is left of one; an answer
of days is a broker gone mad."""


MIN_RENEWED_SESSION: Final = 1.5
"""Seconds. Brokers let a session be renewed once a second; a shorter one is followed by another connection."""
MIN_SESSION_AGE: Final = 1.1
"""Seconds. Not renewed before, by the same reason."""
MAX_SESSION: Final = 365 * 86_400.0


class NodeState(Enum):
    """How far the connection to a broker is."""

    DISCONNECTED = "no connection"
    CONNECTING = "asked for"
    READY = "usable: connected, versions known"
    CLOSING = "asked to close, end not reported yet"


class NodeEvent(Enum):
    """What happens to a connection."""

    CONNECT = "Connect effect"
    CONNECTED = "on_connected"
    CONNECT_FAILED = "on_connect_failed"
    LOST = "on_disconnected"
    CLOSE = "Disconnect effect"


TRANSITIONS: Final[dict[tuple[NodeState, NodeEvent], NodeState]] = {
    (NodeState.DISCONNECTED, NodeEvent.CONNECT): NodeState.CONNECTING,
    (NodeState.CONNECTING, NodeEvent.CONNECTED): NodeState.READY,
    (NodeState.CONNECTING, NodeEvent.CONNECT_FAILED): NodeState.DISCONNECTED,
    (NodeState.CONNECTING, NodeEvent.CLOSE): NodeState.CLOSING,
    (NodeState.READY, NodeEvent.LOST): NodeState.DISCONNECTED,
    (NodeState.READY, NodeEvent.CLOSE): NodeState.CLOSING,
    # The shell had opened it before it saw that it should be closed.
    (NodeState.CLOSING, NodeEvent.CONNECTED): NodeState.CLOSING,
    (NodeState.CLOSING, NodeEvent.CONNECT_FAILED): NodeState.DISCONNECTED,
    (NodeState.CLOSING, NodeEvent.LOST): NodeState.DISCONNECTED,
}
"""A pair that is missing is an error of the caller."""


class InFlight:
    """A request in flight: all that is known of it until its answer comes, in the core and on its connection.

    Attributes:
        api_key, version, correlation_id: of its header; they tell what the answer has to be.
        context: the asker's: what it needs to make sense of the answer.
        sent_at: when the core decided on it.
        deadline: when its answer is given up; with it the connection.
        expects_response: False for acks=0.
        written_at: when its bytes were given to the socket. Set by the connection, for its latency.
    """

    __slots__ = (
        "api_key",
        "context",
        "correlation_id",
        "deadline",
        "expects_response",
        "sent_at",
        "version",
        "written_at",
    )

    def __init__(
        self,
        api_key: int,
        version: int,
        correlation_id: int,
        context: object,
        sent_at: float,
        deadline: float,
        expects_response: bool = True,
    ) -> None:
        self.api_key = api_key
        self.version = version
        self.correlation_id = correlation_id
        self.context = context
        self.sent_at = sent_at
        self.deadline = deadline
        self.expects_response = expects_response
        self.written_at = sent_at


@dataclass(slots=True, eq=False)
class Node:
    """One broker, or one bootstrap server (negative id)."""

    node_id: int
    host: str
    port: int
    state: NodeState = NodeState.DISCONNECTED
    versions: BrokerVersions | None = None
    in_flight: deque[InFlight] = field(default_factory=deque[InFlight])
    last_correlation_id: int = 0
    failures: int = 0  # in a row: attempts that did not lead to a usable connection, and connections lost
    setup_failures: int = 0  # in a row: attempts only; they lengthen the time an attempt may take
    refusals: int = 0  # in a row: attempts that ended in an AuthenticationError, others between them not counted
    not_before: float = -math.inf  # of the next attempt
    connect_deadline: float = math.inf
    last_attempt: float = -math.inf
    last_used: float = -math.inf
    throttled_until: float = -math.inf
    renew_at: float = math.inf  # when the session has to be authenticated again, before anything more is sent
    is_renewable: bool = True  # it lasts long enough for that; else another connection follows
    renewing_since: float | None = None
    answered_at: float = -math.inf  # last, on this connection
    is_silent: bool = False  # what is in flight has not been answered for so long that nothing seems to move there
    is_current: bool = True  # in the latest metadata, or a bootstrap server in use
    closing_error: KafkaError | None = None
    last_error: KafkaError | None = None
    outage: OutageLog = field(default_factory=OutageLog)

    @property
    def address(self) -> str:
        """The broker as messages name it."""
        name = f"{self.host}:{self.port}"
        return f"bootstrap server {name}" if self.node_id < 0 else f"broker {self.node_id} ({name})"

    @property
    def is_stalled(self) -> bool:
        """Whether what is meant for this broker does not get there, as far as its connection shows.

        A broker that was never connected to, or was let go while idle, has shown nothing.
        """
        if self.state is NodeState.READY:
            return self.is_silent
        return self.is_silent or self.closing_error is not None or self.last_error is not None

    # ── the connection ───────────────────────────────────────────────────────────────────────────────────────────────

    def move(self, event: NodeEvent) -> None:
        """Go to the next state.

        Raises:
            AssertionError: the table does not have this event in this state.
        """
        following = TRANSITIONS.get((self.state, event))
        if following is None:
            raise AssertionError(f"{self.address}: {event.name} cannot happen in state {self.state.name}")
        self.state = following

    def begin_connect(self, now: float, timeout: float) -> None:
        """A connection is asked for, which may take so long."""
        self.move(NodeEvent.CONNECT)
        self.last_attempt = now
        self.connect_deadline = now + timeout

    def on_connected(self, versions: BrokerVersions, now: float) -> None:
        """The connection is there; it is usable unless it has been asked to close meanwhile."""
        self.move(NodeEvent.CONNECTED)
        if self.state is not NodeState.READY:
            return
        self.versions = versions
        self.last_correlation_id = 0
        self.failures = self.setup_failures = self.refusals = 0
        self.last_used = now
        self.answered_at = -math.inf
        self.is_silent = False
        self.last_error = None
        self.outage.connected(self.node_id, self.address, now)

    def end_session(self) -> None:
        """Whatever was known of a session is over; without another, the connection is good as long as it lives."""
        self.renewing_since = None
        self.renew_at = math.inf
        self.is_renewable = True

    def begin_session(self, authenticated_at: float, lifetime: float, share: float) -> None:
        """The broker has accepted who we are, for so many seconds (KIP-368).

        Args:
            authenticated_at: when we asked for it last, before the broker's own count began.
            lifetime: seconds.
            share: the part of it after which it is renewed.
        """
        lifetime = min(lifetime, MAX_SESSION)
        self.is_renewable = lifetime >= MIN_RENEWED_SESSION
        self.renew_at = authenticated_at + lifetime * share
        if self.is_renewable:
            self.renew_at = max(self.renew_at, authenticated_at + MIN_SESSION_AGE)

    def begin_close(self, error: KafkaError | None) -> None:
        """The connection is asked to close, because of the error or because it is not needed."""
        self.move(NodeEvent.CLOSE)
        self.closing_error = error

    def on_ended(self, error: KafkaError | None) -> None:
        """Forget what was of the connection, or of the attempt to make one, and count what ended it."""
        self.versions = None
        self.in_flight = deque()
        self.throttled_until = -math.inf
        self.closing_error = None
        self.is_silent = False
        self.end_session()
        self.last_error = error
        if isinstance(error, AuthenticationError):
            self.refusals += 1
        elif error is not None:
            self.failures += 1

    def relocate(self, host: str, port: int) -> None:
        """The broker has another address; what was wrong at the old one is over."""
        self.host, self.port = host, port
        self.failures = self.refusals = 0
        self.last_error = None
        self.not_before = -math.inf

    # ── its requests ─────────────────────────────────────────────────────────────────────────────────────────────────

    def begin_request(
        self, api_key: int, version: int, context: object, now: float, deadline: float, expects_response: bool
    ) -> InFlight:
        """Number a request and keep it until it is complete."""
        self.last_correlation_id = self.last_correlation_id % MAX_CORRELATION_ID + 1
        request = InFlight(api_key, version, self.last_correlation_id, context, now, deadline, expects_response)
        self.in_flight.append(request)
        self.last_used = now
        return request

    def on_written(self, request: InFlight, now: float) -> bool:
        """All bytes of the request are with the socket; return whether it is complete by that (acks=0)."""
        if request.expects_response or request not in self.in_flight:  # an answer to a later one has completed it
            return False
        self.in_flight.remove(request)
        self.last_used = now
        return True

    def on_response(self, request: InFlight, now: float) -> list[InFlight]:
        """The answer to a request came; return those that it completes: those before it that expect none, and itself.

        The connection has checked that it is the answer which is due: they come in the order of the requests.
        """
        completed: list[InFlight] = []
        while not completed or completed[-1] is not request:
            oldest = self.in_flight.popleft()
            assert oldest is request or not oldest.expects_response, f"{self.address} answered out of turn"
            completed.append(oldest)
        self.last_used = self.answered_at = now
        return completed

    def throttle(self, seconds: float, now: float) -> None:
        """Nothing more may be sent for so long; requests in flight get that time on top.

        Not for longer than MAX_THROTTLE at once: a broker that means it says so again with its next answer.
        """
        seconds = min(seconds, MAX_THROTTLE)
        self.throttled_until = max(self.throttled_until, now + seconds)
        for request in self.in_flight:
            request.deadline += seconds
