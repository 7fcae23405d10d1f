"""The control requests: every request of the core but Produce.

A control request is an object that lives as long as somebody may want what it asks for. It knows all that concerns its
kind: when it is due, whom to ask, what to say in each version, and what follows from an answer, from its loss, and from
a broker that is too old for it. It is sent until it has its answer, one at a time, with a growing pause after each
failure (`retry_timer`). `registry` brings it to a broker and its answer back; to add a kind, derive a class, make one,
and register it: nothing else has to know of it.

What the error codes of an answer lead to is its table (`verdicts`). The plain course is taken here: it has succeeded,
it is sent again, or its coordinator is looked up anew. All other verdicts are for `on_refused`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple, Protocol

from aioproducer._core.requests.verdicts import SEVERITY, Verdict, control_verdict
from aioproducer.errors import BrokerError, ErrorCode, KafkaError, ProtocolError
from aioproducer.errors._from_code import error_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aioproducer._core.cluster.metadata import Broker
    from aioproducer._core.cluster.node import Node
    from aioproducer._core.requests.backoff import RetryTimer
    from aioproducer._core.requests.coordinators import Coordinator
    from aioproducer._wire.schema import Message, Request
    from aioproducer.errors import UnsupportedVersionError

_ONLY_SUCCESS: Final[Mapping[int, Verdict]] = {ErrorCode.NONE: Verdict.DELIVERED}


class ResponseError(NamedTuple):
    """One error code of a response (0 too), and what it is about."""

    code: int
    message: str | None = None
    topic: str | None = None
    partition: int | None = None


class ControlRequest:
    """A request that is sent until it is answered.

    Attributes:
        request: the class of its message.
        verdicts: by error code, what follows; codes that are not listed: see `control_verdict`.
        at_most: the highest version that may be spoken; None for no limit.
        coordinator: whom to ask, once it is known where that is; None for any broker.
        retry_timer: when it may be sent.
        version: in which it was sent last.
    """

    request: ClassVar[type[Request]]
    verdicts: Mapping[int, Verdict] = _ONLY_SUCCESS
    at_most: int | None = None

    def __init__(self, retry_timer: RetryTimer, coordinator: Coordinator | None = None) -> None:
        self.retry_timer = retry_timer
        self.coordinator = coordinator
        self.version = -1

    def __repr__(self) -> str:
        return f"<{type(self).__name__}{' in flight' if self.retry_timer.in_progress else ''}>"

    @property
    def api(self) -> str:
        """The name that errors call it by."""
        return self.request.__name__.removesuffix("Request")

    @property
    def subject(self) -> str:
        """What it is about, besides a topic, as errors say it; empty: nothing that has a name."""
        return "" if self.coordinator is None else self.coordinator.subject

    # ── asked, at each poll ──────────────────────────────────────────────────────────────────────────────────────────

    def is_due(self, now: float) -> bool:
        """Whether it is to be sent now."""
        return now >= self.next_at()

    def next_at(self) -> float:
        """Return when it is to be sent, may lie in the past; infinity while it is in flight or nobody wants it."""
        return self.retry_timer.next_at()

    def target(self) -> Broker | None:
        """Return the broker to ask, None if any can answer."""
        return None if self.coordinator is None else self.coordinator.broker

    def build(self, version: int) -> Message:
        """Return the message in a version; it is sent then.

        Raises:
            UnsupportedVersionError: what it has to say cannot be said in this version.
        """
        raise NotImplementedError

    def response_errors(self, message: Message) -> list[ResponseError]:
        """Return the error codes in a response; one of a wrong class has none and is a bug of the caller."""
        raise NotImplementedError

    # ── told ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def on_response(self, message: Message, node: Node, now: float) -> None:
        """Act on the response to it.

        Raises:
            ProtocolError: the response makes no sense; the connection is closed.
        """
        errors = self.response_errors(message)
        if not errors:
            self.on_lost(ProtocolError(f"an empty answer to {self.request.__name__}"), now)
            return
        verdict, worst = max(
            ((control_verdict(self.verdicts, each.code), each) for each in errors),
            key=lambda judged: SEVERITY.index(judged[0]),
        )
        if verdict is Verdict.DELIVERED:
            self.retry_timer.succeed()
            if self.coordinator is not None:
                self.coordinator.on_answered()
            self.on_success(message, now)
            return
        error = error_for(
            worst.code,
            worst.message,
            api=self.api,
            node=node.node_id,
            topic=worst.topic,
            partition=worst.partition,
            subject=self.subject,
        )
        self.on_error(verdict, error, now)

    def on_lost(self, error: KafkaError, now: float) -> None:
        """Its answer was lost with the connection, or was none: it may have taken effect, and is sent again."""
        self.retry_timer.fail(error, now)

    def on_no_broker(self, now: float) -> bool:
        """No broker can be asked now, or connected to; return whether there are others since this call."""
        return False

    # ── what follows ─────────────────────────────────────────────────────────────────────────────────────────────────

    def on_success(self, message: Message, now: float) -> None:
        """It has what it asked for."""
        raise NotImplementedError

    def on_error(self, verdict: Verdict, error: BrokerError, now: float) -> None:
        """A broker answered with an error."""
        if not self.retry(verdict, error, now):
            self.on_refused(verdict, error, now)

    def retry(self, verdict: Verdict, error: BrokerError, now: float, *, is_soon: bool = False) -> bool:
        """Have it sent again after a pause (`is_soon`: a short one), if that is the verdict; return whether it is."""
        if verdict is Verdict.RETRY:
            self.retry_timer.fail(error, now, is_soon=is_soon)
            return True
        if verdict is Verdict.COORDINATOR:
            self.retry_timer.fail(error, now)
            if self.coordinator is not None:
                self.coordinator.lose(error, now)
            return True
        return False

    def on_refused(self, verdict: Verdict, error: BrokerError, now: float) -> None:
        """The same request will not succeed."""
        raise NotImplementedError

    def on_unsupported(self, error: UnsupportedVersionError, now: float) -> None:
        """It cannot be made in a version that the broker speaks; it was not sent."""
        raise NotImplementedError


class RequestOwner(Protocol):
    """Who decides what follows from the answers to its requests."""

    def is_wanted(self, request: ControlRequest) -> bool:
        """Whether the request is to be sent, or its answer of any use."""
        ...

    def on_success(self, request: ControlRequest, message: Message, now: float) -> None:
        """The request has what it asked for."""
        ...

    def on_error(self, request: ControlRequest, verdict: Verdict, error: BrokerError, now: float) -> None:
        """A broker answered with an error: `request.retry`, or whatever else it leads to."""
        ...

    def on_unsupported(self, request: ControlRequest, error: UnsupportedVersionError) -> None:
        """The request cannot be made in a version that the broker speaks."""
        ...


class OwnedRequest(ControlRequest):
    """A control request that only knows what to say; its owner decides what follows."""

    def __init__(self, owner: RequestOwner, retry_timer: RetryTimer, coordinator: Coordinator | None = None) -> None:
        super().__init__(retry_timer, coordinator)
        self._owner = owner

    def next_at(self) -> float:
        return self.retry_timer.next_at() if self._owner.is_wanted(self) else math.inf

    def on_response(self, message: Message, node: Node, now: float) -> None:
        if self._owner.is_wanted(self):
            super().on_response(message, node, now)

    def on_success(self, message: Message, now: float) -> None:
        self._owner.on_success(self, message, now)

    def on_error(self, verdict: Verdict, error: BrokerError, now: float) -> None:
        self._owner.on_error(self, verdict, error, now)

    def on_unsupported(self, error: UnsupportedVersionError, now: float) -> None:
        self._owner.on_unsupported(self, error)
