"""Interception: something done at the very moment when a request of a certain kind passes a proxy.

    commit = Interception(26, "answer", lambda: cluster.kill(2))  # EndTxn
    cluster.intercept(commit)
    ...                              # the producer commits; the coordinator has done so, and is dead before it tells
    commit.wait(10)

Bytes are looked at while they pass, and are never held back for that: only while the interception acts does its
connection stand still, in the direction of the bytes it acts on.
"""

from __future__ import annotations

import struct
import threading
from typing import TYPE_CHECKING, Final, Literal

from aioproducer._public import public_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Moment = Literal["request", "forwarded", "answer"]
"""request: before its broker can have it. forwarded: the broker's side has taken all of it. answer: the broker has
answered, and the client cannot have it yet."""

REQUEST_HEAD: Final = struct.Struct(">ihhi")  # size, API key, version, correlation id
RESPONSE_HEAD: Final = struct.Struct(">ii")  # size, correlation id
_SIZE_BYTES: Final = 4


@public_in("aioproducer.testing")
class Interception:
    """Acts once, on the first request of a kind that passes; give it to a proxy, or to several.

    Args:
        api_key: the kind of request, by its number in Kafka's protocol.
        moment: when.
        act: called in a worker thread while that connection waits; it may block, and kill brokers.
        skip: let so many pass before.
    """

    def __init__(self, api_key: int, moment: Moment, act: Callable[[], object], *, skip: int = 0) -> None:
        self.api_key = api_key
        self.moment = moment
        self._act = act
        self._skip = skip
        self._is_claimed = False
        self._ended = threading.Event()
        self._error: Exception | None = None

    @property
    def is_over(self) -> bool:
        """Whether it has acted."""
        return self._ended.is_set()

    def wait(self, timeout: float) -> None:
        """Block until it has acted.

        Raises:
            TimeoutError: it has not, within `timeout` seconds.
            Exception: what the act has raised.
        """
        if not self._ended.wait(timeout):
            raise TimeoutError(f"no request {self.api_key} came to the moment {self.moment!r} within {timeout:g} s")
        if self._error is not None:
            raise self._error

    def claim(self, api_key: int, moment: Moment) -> bool:
        """Whether `run` is to be called now; it is true once. All calls come from one thread."""
        if self._is_claimed or (api_key, moment) != (self.api_key, self.moment):
            return False
        if self._skip:
            self._skip -= 1
            return False
        self._is_claimed = True
        return True

    def run(self) -> None:
        """Act; an error is kept for `wait`."""
        try:
            self._act()
        except Exception as error:
            self._error = error
        finally:
            self._ended.set()


class FrameTracker:
    """Finds the frames in one direction of a connection."""

    def __init__(self, head: struct.Struct) -> None:
        self._head = head
        self._seen = b""
        self._left = 0

    def feed(self, data: bytes) -> Iterator[tuple[bytes, tuple[int, ...] | None, bool]]:
        """Yield the bytes in pieces of one frame each: (piece, the head if it ends within it, is this its end?)."""
        while data:
            head: tuple[int, ...] | None = None
            taken = min(len(data), self._left)
            if not self._left:
                taken = min(len(data), self._head.size - len(self._seen))
                self._seen += data[:taken]
                if len(self._seen) < self._head.size:
                    yield data, None, False
                    return
                head = self._head.unpack(self._seen)
                self._seen = b""
                self._left = max(0, head[0] + _SIZE_BYTES - self._head.size) + taken
                taken = min(len(data), self._left)
            self._left -= taken
            yield data[:taken], head, self._left == 0
            data = data[taken:]


class Conversation:
    """What is under way on one connection."""

    def __init__(self) -> None:
        self._requests = FrameTracker(REQUEST_HEAD)
        self._responses = FrameTracker(RESPONSE_HEAD)
        self._sending = -1
        self._asked: dict[int, int] = {}

    def feed(self, is_response: bool, data: bytes) -> Iterator[tuple[bytes, int | None, int | None]]:
        """Yield the bytes in pieces of one frame each: (piece, API key if it begins there, API key if it ends there).

        A frame begins when so much of it is there that it is known which one it is.
        """
        tracker = self._responses if is_response else self._requests
        for piece, head, is_end in tracker.feed(data):
            begun = None
            if head is not None:
                begun = self._on_response(*head) if is_response else self._on_request(*head)
            yield piece, begun, self._sending if is_end else None

    def _on_request(self, _size: int, api_key: int, _version: int, correlation_id: int) -> int:
        self._sending = self._asked[correlation_id] = api_key
        return api_key

    def _on_response(self, _size: int, correlation_id: int) -> int:
        if correlation_id not in self._asked:
            return -1
        # Answers come in order; a Produce with acks=0 has none.
        while True:
            oldest = next(iter(self._asked))
            api_key = self._asked.pop(oldest)
            if oldest == correlation_id:
                return api_key
