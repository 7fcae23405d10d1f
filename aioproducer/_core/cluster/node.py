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

if TYPE_CHECKING:
    from aioproducer._wire.negotiation import BrokerVersions
    from aioproducer.errors import KafkaError


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
    is_current: bool = True  # in the latest metadata, or a bootstrap server in use
    closing_error: KafkaError | None = None
    last_error: KafkaError | None = None
    outage: OutageLog = field(default_factory=OutageLog)

    @property
    def address(self) -> str:
        """The broker as messages name it."""
        name = f"{self.host}:{self.port}"
        return f"bootstrap server {name}" if self.node_id < 0 else f"broker {self.node_id} ({name})"

    def move(self, event: NodeEvent) -> None:
        """Go to the next state.

        Raises:
            AssertionError: the table does not have this event in this state.
        """
        following = TRANSITIONS.get((self.state, event))
        if following is None:
            raise AssertionError(f"{self.address}: {event.name} cannot happen in state {self.state.name}")
        self.state = following
