"""All brokers, as far as deciding goes: which can take a request now, and if none can, when.

A connection has at most `max_in_flight_requests_per_connection` requests in flight, answered in order. One that is not
answered in time closes the connection (time in which the broker throttles us does not count, KIP-219). Attempts to
connect back off exponentially per broker, and so does the time they may take (KIP-601).

A broker may have us authenticate again from time to time (KIP-368). When that is due, nothing more is sent to it; what
is in flight is answered before; then it goes on where it was. That is begun by whoever has something to send, so that
an idle connection is left alone.

Metadata says who leads; only the connections show who can be reached from here. `stalled` has the brokers to which
nothing gets: records that may go to any partition are kept from them (`accumulator.topics`).

`next_due` is a lower bound of when a timer may run out, so that a poll looks at the nodes only when one may have.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from aioproducer._core import floors
from aioproducer._core.cluster.node import InFlight, Node, NodeEvent, NodeState
from aioproducer._core.effects import Connect, Disconnect, Reauthenticate
from aioproducer._core.requests.backoff import exponential_backoff
from aioproducer._logger import get_logger
from aioproducer.errors import (
    AuthenticationError,
    KafkaConnectionError,
    KafkaError,
    RequestTimeoutError,
)

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

    from aioproducer._config import ProducerConfig
    from aioproducer._core.cluster.metadata import Broker
    from aioproducer._wire.negotiation import BrokerVersions
    from aioproducer._wire.schema import Message

logger = get_logger("aioproducer.connection")

RENEWED_AFTER: Final = (0.85, 0.95)
"""Of a session's lifetime, between which it is renewed, at random: not all connections at once (as Java's client)."""

SILENCE: Final = 1.0
"""Seconds without an answer that are worth telling, if there is something else to tell."""
STALL: Final = 0.5
"""Seconds without an answer after which a broker counts as stalled. Leaving one that is only slow costs nothing."""
UNHEARD: Final = 10.0
"""Seconds without an answer of any broker, though one was asked, after which the bootstrap servers are asked first (the
request timeout, if that is shorter): all addresses may be others by now, and a name is resolved for each connection."""
REFUSED_BACKOFF_MIN: Final = 0.05
REFUSED_BACKOFF_MAX: Final = 30.0
"""Seconds between two attempts, in the end, at a broker that refuses who we are: accounts that are tried too often are
locked, and yet a password is changed, or a new user comes to be known on all brokers, while the producer runs."""


class Nodes:
    """All brokers. Told what happened, asked who can take what.

    Attributes:
        stalled: the ids of those whose last attempt or connection failed, or whose answers do not come; a new set
            whenever one joins or leaves.
    """

    def __init__(self, config: ProducerConfig, bootstrap: Sequence[tuple[str, int]], rng: random.Random) -> None:
        self.next_due = math.inf
        self.stalled: frozenset[int] = frozenset()
        self._rng = rng
        self._max_in_flight = config.max_in_flight_requests_per_connection
        self._request_timeout = config.request_timeout_ms / 1000
        self._unheard = min(UNHEARD, self._request_timeout)
        availability = config.partitioner_availability_timeout_ms / 1000
        self._stall = min(STALL, availability) if availability > 0 else STALL
        self._first_due = min(self._stall, self._request_timeout)
        self._backoff, self._backoff_max = floors.backoff(config.reconnect_backoff_ms, config.reconnect_backoff_max_ms)
        self._setup = config.socket_connection_setup_timeout_ms / 1000
        self._setup_max = config.socket_connection_setup_timeout_max_ms / 1000
        self._max_idle = floors.idle(config.connections_max_idle_ms)
        self._nodes = {-1 - i: Node(-1 - i, host, port) for i, (host, port) in enumerate(bootstrap)}
        self._bootstrap = list(self._nodes.values())
        self._moved: dict[int, tuple[str, int]] = {}
        self._heard_at = -math.inf  # when any broker last answered anything
        self._unheard_since: float | None = None  # when that was asked which failed first; holds unless heard since

    # ── who there is ─────────────────────────────────────────────────────────────────────────────────────────────────

    def __getitem__(self, node_id: int) -> Node:
        return self._nodes[node_id]

    def all(self) -> list[Node]:
        """Return all of them, bootstrap servers too."""
        return list(self._nodes.values())

    def has_all(self, brokers: Mapping[int, Broker]) -> bool:
        """Whether exactly these brokers are the candidates now."""
        return set(brokers) == {node.node_id for node in self._nodes.values() if node.is_current}

    def get(self, node_id: int) -> Node | None:
        """Return the node, None if the cluster has none of that id."""
        return self._nodes.get(node_id)

    @property
    def is_connected(self) -> bool:
        """Whether any broker can be talked to now."""
        return any(node.state is NodeState.READY for node in self._nodes.values())

    def update(self, brokers: Mapping[int, Broker], now: float) -> None:
        """Take over the brokers of new metadata. Bootstrap servers and vanished brokers are let go once idle."""
        for broker in brokers.values():
            node = self._nodes.get(broker.node_id)
            if node is None:
                self._nodes[broker.node_id] = Node(broker.node_id, broker.host, broker.port)
            elif (node.host, node.port) != (broker.host, broker.port):
                self._relocate(node, broker)
        for node in list(self._nodes.values()):
            node.is_current = node.node_id in brokers
            self._forget_if_gone(node)
        self.next_due = min(self.next_due, now)

    def add(self, broker: Broker) -> Node:
        """Take in a broker that metadata has not told of yet, a coordinator; return it."""
        node = self._nodes[broker.node_id] = Node(broker.node_id, broker.host, broker.port)
        return node

    def rebootstrap(self) -> bool:
        """Ask the bootstrap servers again, besides the brokers known so far (KIP-899); False if that was so before."""
        is_new = not all(node.is_current for node in self._bootstrap)
        for node in self._bootstrap:
            node.is_current = True
        return is_new

    def is_unheard(self, now: float) -> bool:
        """Whether no broker has answered anything for a while (`UNHEARD`), though one was asked."""
        since = self._unheard_since
        return since is not None and since >= self._heard_at and now - since >= self._unheard

    def _note_unheard(self, asked_at: float) -> None:
        if self._unheard_since is None or self._unheard_since < self._heard_at:
            self._unheard_since = max(asked_at, self._heard_at)

    def close_all(self, error: KafkaError) -> list[Disconnect]:
        """Close every connection; what is in flight there fails when the end is reported."""
        open_states = (NodeState.CONNECTING, NodeState.READY)
        return [self._close(node, error) for node in self._nodes.values() if node.state in open_states]

    def _relocate(self, node: Node, broker: Broker) -> None:
        # The open connection leads to the old address: it is closed in the next check, and the new address used after
        # it.
        if node.state is NodeState.DISCONNECTED:
            node.relocate(broker.host, broker.port)
            self._note_stall(node)
        else:
            self._moved[node.node_id] = (broker.host, broker.port)

    def _forget_if_gone(self, node: Node) -> None:
        if not node.is_current and node.node_id >= 0 and node.state is NodeState.DISCONNECTED:
            del self._nodes[node.node_id]
            self.stalled -= {node.node_id}

    def _note_stall(self, node: Node) -> None:
        """Something happened after which the broker may be stalled, or not any more."""
        if node.is_stalled != (node.node_id in self.stalled):
            self.stalled ^= {node.node_id}

    # ── who can take a request ───────────────────────────────────────────────────────────────────────────────────────

    def can_send(self, node: Node, now: float) -> bool:
        """Whether a request may be given to the broker now."""
        return (
            node.state is NodeState.READY
            and now >= node.throttled_until
            and now < node.renew_at
            and len(node.in_flight) < self._max_in_flight
            and node.node_id not in self._moved
        )

    def has_to_renew(self, node: Node, now: float) -> bool:
        """Whether the broker has to be authenticated with again before anything more is sent to it, and that may begin.

        Where sessions are too short for that, `check` closes the connection instead, once all is answered on it.
        """
        return (
            node.state is NodeState.READY
            and now >= node.renew_at
            and node.is_renewable
            and node.renewing_since is None
            and now >= node.throttled_until
            and node.node_id not in self._moved
        )

    def renew(self, node: Node, now: float) -> Reauthenticate:
        """Begin another session; `has_to_renew` must hold."""
        node.renewing_since = now
        self.next_due = min(self.next_due, now + self._first_due)
        return Reauthenticate(node.node_id)

    def blocked_until(self, node: Node, now: float) -> float:
        """Return when a broker that cannot take a request may be able to; infinity if an event must come first."""
        if node.state is NodeState.DISCONNECTED:
            return max(node.not_before, now)
        if node.state is NodeState.READY and now < node.throttled_until:
            return node.throttled_until
        return math.inf

    def can_connect(self, node: Node, now: float) -> bool:
        """Whether an attempt to connect may be made now."""
        return node.state is NodeState.DISCONNECTED and now >= node.not_before

    def least_loaded(self, now: float) -> Node | None:
        """Return the node to ask something that any broker can answer; None if all back off or are throttled.

        Bootstrap servers that may be asked come first when no broker has answered for a while. Among equals:
        A usable connection with the fewest requests under way; else one that is being opened (wait for it); else the
        one whose last attempt was longest ago (connect to it). Ties are broken at random. Cost: the number of
        brokers.
        """
        if self.is_unheard(now):
            node = self._least_loaded([node for node in self._bootstrap if node.is_current], now)
            if node is not None:
                return node
        return self._least_loaded(self._candidates(), now)

    def _least_loaded(self, nodes: list[Node], now: float) -> Node | None:
        if not nodes:
            return None
        offset = int(self._rng.random() * len(nodes))
        nodes = nodes[offset:] + nodes[:offset]
        ready = [node for node in nodes if self.can_send(node, now)]
        if ready:
            return min(ready, key=lambda node: len(node.in_flight))
        connecting = next((node for node in nodes if node.state is NodeState.CONNECTING), None)
        if connecting is not None:
            return connecting
        # One that is being logged in to first: it is waited for, rather than log in to another one as well.
        renewing = next((node for node in nodes if node.renewing_since is not None and not node.is_silent), None)
        renewing = renewing or next((node for node in nodes if self.has_to_renew(node, now)), None)
        if renewing is not None:
            return renewing
        connectable = [node for node in nodes if self.can_connect(node, now)]
        return min(connectable, key=lambda node: node.last_attempt) if connectable else None

    def has_other_for(self, node: Node, request: type[Message]) -> bool:
        """Whether another broker is connected that knows a request which any broker can answer."""
        return any(
            other is not node
            and other.state is NodeState.READY
            and other.versions is not None
            and request.api_key in other.versions.apis
            for other in self._candidates()
        )

    def is_cut_off(self) -> bool:
        """Whether no candidate is connected (a throttled one is) or being connected; asked when none is connectable."""
        busy = (NodeState.READY, NodeState.CONNECTING, NodeState.CLOSING)
        return not any(node.state in busy for node in self._candidates())

    def next_candidate_at(self, now: float) -> float:
        """Return when the first candidate can be connected to or asked; infinity if an event has to come first."""
        return min((self.blocked_until(node, now) for node in self._candidates()), default=math.inf)

    def _candidates(self) -> list[Node]:
        return [node for node in self._nodes.values() if node.is_current]

    # ── what is done ─────────────────────────────────────────────────────────────────────────────────────────────────

    def connect(self, node: Node, now: float) -> Connect:
        """Begin an attempt to connect; `can_connect` must hold."""
        timeout = exponential_backoff(node.setup_failures + 1, self._setup, self._setup_max, self._rng)
        node.begin_connect(now, timeout)
        self.next_due = min(self.next_due, node.connect_deadline)
        fields = {"event_name": "broker_connecting", "node": node.node_id, "address": node.address}
        logger.debug("connecting to %s", node.address, extra=fields)
        return Connect(node.node_id, node.host, node.port, timeout, node.address)

    def begin_request(
        self, node: Node, api_key: int, version: int, context: object, now: float, *, expects_response: bool = True
    ) -> InFlight:
        """Note a request that is handed to the shell now, and return it.

        Raises:
            AssertionError: the node cannot take one.
        """
        if not self.can_send(node, now):
            raise AssertionError(f"{node.address} cannot take a request now (state {node.state.name})")
        deadline = now + self._request_timeout
        self.next_due = min(self.next_due, now + self._first_due)
        return node.begin_request(api_key, version, context, now, deadline, expects_response)

    def check(self, now: float) -> list[Disconnect]:
        """Return the connections to close now: set-up or a request took too long, idle, moved, or not needed."""
        if now < self.next_due:
            return []
        closed: list[Disconnect] = []
        following = math.inf
        for node in self._nodes.values():
            due = self._due_at(node)
            if due <= now:
                closed.append(self._close(node, self._why_closed(node, now)))
                continue
            stalls_at = self._stalls_at(node)
            if stalls_at <= now:
                node.is_silent = True
                self._note_stall(node)
                stalls_at = math.inf
            following = min(following, due, stalls_at)
        self.next_due = following
        return closed

    def _stalls_at(self, node: Node) -> float:
        """Return when a broker counts as stalled unless an answer comes; infinity if it does already.

        Counted from the last answer: one that answers many requests slowly, in turn, does move.
        """
        if node.is_silent:
            return math.inf
        since = node.in_flight[0].sent_at if node.in_flight else node.renewing_since
        return math.inf if since is None else max(since, node.answered_at) + self._stall

    def _due_at(self, node: Node) -> float:
        if node.state is NodeState.CONNECTING:
            return node.connect_deadline
        if node.state is not NodeState.READY:
            return math.inf
        if node.node_id in self._moved:
            return -math.inf
        if node.in_flight:
            return node.in_flight[0].deadline
        if node.renewing_since is not None:
            return node.renewing_since + self._request_timeout
        if not node.is_current and self._has_ready_candidate():
            return -math.inf
        idle_at = node.last_used + self._max_idle
        return idle_at if node.is_renewable else min(idle_at, node.renew_at)

    def _has_ready_candidate(self) -> bool:
        return any(node.is_current and node.state is NodeState.READY for node in self._nodes.values())

    def _why_closed(self, node: Node, now: float) -> KafkaError | None:
        if node.state is NodeState.CONNECTING:
            return KafkaConnectionError(
                f"{node.address} was not connected within {now - node.last_attempt:.1f} s, its first answer included;"
                " check the address, firewalls, and that a Kafka broker answers there",
                node=node.node_id,
                address=(node.host, node.port),
            )
        if node.in_flight and node.node_id not in self._moved:
            return RequestTimeoutError(
                f"{node.address} did not answer within request_timeout_ms={self._request_timeout * 1000:.0f};"
                " its connection is closed and the requests on it are sent again",
                elapsed=now - node.in_flight[0].sent_at,
            )
        if node.renewing_since is not None and node.node_id not in self._moved:
            return RequestTimeoutError(
                f"{node.address} did not authenticate us again within"
                f" request_timeout_ms={self._request_timeout * 1000:.0f}; its connection is closed",
                elapsed=now - node.renewing_since,
            )
        return None

    def current_error(self, node: Node, now: float, silence: float = SILENCE) -> KafkaError | None:
        """Return what is wrong with the broker at present: it is away, or has been silent for so long."""
        if node.in_flight and now - node.in_flight[0].sent_at >= silence:
            silent = now - node.in_flight[0].sent_at
            return RequestTimeoutError(f"{node.address} has not answered for {silent:.1f} s", elapsed=silent)
        return node.last_error

    def _close(self, node: Node, error: KafkaError | None) -> Disconnect:
        node.begin_close(error)
        self._note_stall(node)
        return Disconnect(node.node_id, error)

    def disconnect(self, node: Node, error: KafkaError) -> Disconnect:
        """Close the connection because of what came over it."""
        return self._close(node, error)

    # ── what happened ────────────────────────────────────────────────────────────────────────────────────────────────

    def on_connected(
        self,
        node: Node,
        versions: BrokerVersions,
        now: float,
        authenticated_at: float = 0.0,
        session_lifetime: float | None = None,
    ) -> None:
        """The connection is usable; see `Node.begin_session` for how long its session lasts."""
        node.on_connected(versions, now)
        self._heard_at = now
        self._begin_session(node, authenticated_at, session_lifetime)
        self._note_stall(node)
        if node.state is NodeState.READY:
            self.next_due = -math.inf  # others may not be needed any more

    def on_reauthenticated(
        self, node: Node, authenticated_at: float, session_lifetime: float | None, now: float
    ) -> float | None:
        """Another session has begun; return for how long nothing could be sent. None: it is being closed meanwhile."""
        since = node.renewing_since
        if node.state is not NodeState.READY or since is None:
            return None
        self._begin_session(node, authenticated_at, session_lifetime)
        node.last_used = now
        node.is_silent = False
        self._note_stall(node)
        fields = {"event_name": "broker_reauthenticated", "node": node.node_id, "seconds": now - since}
        logger.debug("authenticated with %s again in %.0f ms", node.address, (now - since) * 1000, extra=fields)
        return now - since

    def _begin_session(self, node: Node, authenticated_at: float, lifetime: float | None) -> None:
        node.end_session()
        if lifetime is not None:
            node.begin_session(authenticated_at, lifetime, self._rng.uniform(*RENEWED_AFTER))

    def on_connect_failed(self, node: Node, error: KafkaError, now: float) -> KafkaError:
        """The attempt failed; return the error as people should read it, with the broker's name."""
        node.move(NodeEvent.CONNECT_FAILED)
        if isinstance(error, AuthenticationError):
            self._heard_at = now
            reason: KafkaError = error  # also if we were about to close it: what the broker has said counts more
        else:
            self._note_unheard(node.last_attempt)
            node.setup_failures += 1
            reason = node.closing_error or error
        named = self._named(node, reason, "cannot connect to")
        self._log_failure(node, named, now)
        self._end(node, named, now)
        return named

    def on_disconnected(
        self, node: Node, error: KafkaError | None, now: float
    ) -> tuple[KafkaError | None, list[InFlight]]:
        """The connection is gone; return why and the requests that fail, oldest first.

        An error of None means that it was closed from this side; if nothing was in flight either, that is no failure.
        """
        was_asked = node.state is NodeState.CLOSING
        node.move(NodeEvent.LOST)
        reason = node.closing_error if was_asked else error
        is_renewal = node.renewing_since is not None and isinstance(reason, AuthenticationError)
        if is_renewal:
            # It may be this connection only that it takes us on no more: credentials may name us otherwise now.
            # Whether it takes us at all shows at once, on another one.
            why, reason = reason, KafkaConnectionError(f"lost the connection to {node.address}: {reason}")
            reason.__cause__ = why
        failed = list(node.in_flight)
        named: KafkaError | None = None
        if reason is not None:
            self._note_unheard(failed[0].sent_at if failed else now)
            named = self._named(node, reason, "lost the connection to")
            if failed or was_asked or not node.outage.is_stable(now):
                self._log_failure(node, named, now)
            else:
                node.outage.closed_idle(node.node_id, node.address, named, now)
        elif failed:  # the producer ends and has nothing more to wait for: no news to anybody
            named = self._named(node, KafkaConnectionError("it was closed from this side"), "lost the connection to")
        self._end(node, named, now)
        if is_renewal:
            node.not_before = now
        return named, failed

    def on_written(self, node: Node, request: InFlight, now: float) -> bool:
        """See `Node.on_written`."""
        is_complete = node.on_written(request, now)
        if is_complete:
            self._after_answer(node, now)
        return is_complete

    def on_response(self, node: Node, request: InFlight, now: float) -> list[InFlight]:
        """See `Node.on_response`."""
        completed = node.on_response(request, now)
        self._heard_at = now
        if node.is_silent:
            node.is_silent = False
            self._note_stall(node)
            self.next_due = min(self.next_due, self._stalls_at(node))
        self._after_answer(node, now)
        return completed

    def throttle(self, node: Node, throttle_time_ms: int, now: float) -> None:
        """The broker asks not to be sent anything for a while (KIP-219)."""
        if throttle_time_ms > 0:
            node.throttle(throttle_time_ms / 1000, now)

    def _after_answer(self, node: Node, now: float) -> None:
        if not node.is_current:
            self.next_due = -math.inf
        elif not node.in_flight:  # else the next request was counted when sent
            if now + self._max_idle < self.next_due:
                self.next_due = now + self._max_idle
            if not node.is_renewable:
                self.next_due = min(self.next_due, node.renew_at)

    def _end(self, node: Node, error: KafkaError | None, now: float) -> None:
        node.on_ended(error)
        if error is not None:
            node.not_before = now + self._pause_after(node, error)
        moved = self._moved.pop(node.node_id, None)
        if moved is not None:
            node.relocate(*moved)
        self._note_stall(node)
        self._forget_if_gone(node)

    def _pause_after(self, node: Node, error: KafkaError) -> float:
        if isinstance(error, AuthenticationError):
            base = max(self._backoff, REFUSED_BACKOFF_MIN)
            return exponential_backoff(node.refusals, base, REFUSED_BACKOFF_MAX, self._rng)
        return exponential_backoff(node.failures, self._backoff, self._backoff_max, self._rng)

    @staticmethod
    def _log_failure(node: Node, error: KafkaError, now: float) -> None:
        log = node.outage.refused if isinstance(error, AuthenticationError) else node.outage.failed
        log(node.node_id, node.address, error, now)

    @staticmethod
    def _named(node: Node, error: KafkaError, what: str) -> KafkaError:
        """Return the error with the broker named in its text.

        It is always one that may pass: it is about this connection, and says nothing of what others wait for.
        """
        if isinstance(error, AuthenticationError):
            return _refusal(node, error)
        if node.address in str(error) and error.retriable:
            return error
        text = f"{what} {node.address}: {error}"
        if node.address in str(error):
            text = str(error)
        elif f"{node.host}:{node.port}" in str(error):
            text = f"{'bootstrap server' if node.node_id < 0 else f'broker {node.node_id}'}: {error}"
        named = KafkaConnectionError(text, node=node.node_id, address=(node.host, node.port))
        named.__cause__ = error
        return named


def _refusal(node: Node, error: AuthenticationError) -> AuthenticationError:
    """Return the error with the broker named in its text. Not fatal: this producer goes on, and tries again."""
    text = str(error) if node.address in str(error) else f"{node.address} and we do not trust each other: {error}"
    named = AuthenticationError(text, api=error.api, node=node.node_id, retriable=True, fatal=False)
    named.code, named.name, named.phase = error.code, error.name, error.phase
    named.__cause__ = error
    return named
