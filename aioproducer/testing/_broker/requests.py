"""What a handler of requests gets, and what it may answer."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from aioproducer.testing._broker.acls import ANONYMOUS

if TYPE_CHECKING:
    from aioproducer._wire.schema import Response
    from aioproducer.errors import ErrorCode


class Refused(Exception):
    """The broker refuses something: becomes an error code in the answer.

    Attributes:
        code: the error code.
        text: the broker's words, or None.
        record_errors: (index in the batch, text) of the records that are to blame (KIP-467).
        log_start_offset: where the log starts, when it is the log that refuses; -1 when it was not asked.
    """

    def __init__(
        self,
        code: ErrorCode,
        text: str | None = None,
        record_errors: tuple[tuple[int, str], ...] = (),
        *,
        log_start_offset: int = -1,
    ) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text
        self.record_errors = record_errors
        self.log_start_offset = log_start_offset


@dataclass(frozen=True, slots=True)
class Request:
    """Where a request came from and when.

    Attributes:
        node_id: the broker that got it.
        connection: whatever identifies the connection.
        api_key, version, correlation_id: from the request's header.
        now: monotonic seconds at which it is handled.
        wall_ms: the broker's wall clock then, milliseconds since 1970.
        principal: who asks.
    """

    node_id: int
    connection: Hashable
    api_key: int
    version: int
    correlation_id: int
    now: float
    wall_ms: int
    principal: str = ANONYMOUS


@dataclass(frozen=True, slots=True)
class Wait:
    """The answer comes later: a long poll, or acks=all before the replicas have it.

    Attributes:
        check: asked again after every change and at the deadline; returns the answer once there is one.
        deadline: monotonic seconds at which check answers in any case.
    """

    check: Callable[[float], Response | None]
    deadline: float


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """No answer is sent: Produce with acks=0.

    Attributes:
        close: the broker closes the connection instead, as it has no other way to tell of an error.
    """

    close: bool = False


@dataclass(frozen=True, slots=True)
class Ending:
    """The connection ends with this request.

    Attributes:
        message: the answer, or None for none.
        answer_after, close_after: seconds until the answer is sent, until the connection is closed.
    """

    message: Response | None = None
    answer_after: float = 0.0
    close_after: float = 0.0


Outcome: TypeAlias = "Response | Wait | NoAnswer | Ending"
