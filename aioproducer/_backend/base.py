"""What the shell needs from an event loop beyond anyio."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import Context
from typing import Any, Literal, Protocol, runtime_checkable

from aioproducer._public import public_in


class Receiver(Protocol):
    """Who is told what happens on a `Channel`. Called from the loop, outside of the caller's task."""

    def on_bytes(self, data: bytes) -> None:
        """Bytes came."""
        ...

    def on_writable(self) -> None:
        """All bytes of the last write that returned False are with the socket."""
        ...


@public_in("aioproducer")
@runtime_checkable
class Stream(Protocol):
    """Bytes to and from one broker, as anyio has them; `ByteStream` is one."""

    async def send(self, item: bytes, /) -> None:
        """Return when all bytes are with the socket."""
        ...

    async def receive(self, max_bytes: int = 65536, /) -> bytes:
        """Wait for some bytes."""
        ...

    async def aclose(self) -> None:
        """Close the socket."""
        ...


@runtime_checkable
class Channel(Protocol):
    """Bytes to and from one broker by calls instead of tasks: what comes is handed over in the pass of the loop that
    reads it, what is written goes to the socket at once. A task switch for each costs about as much as the request.
    """

    def write(self, data: bytes) -> bool:
        """Write all bytes. False: some are not with the socket yet; write nothing more before `on_writable`."""
        ...

    async def serve(self, receiver: Receiver) -> None:
        """Hand over what comes until the connection ends; that is, until this raises.

        Raises:
            anyio.EndOfStream: the peer has closed it.
            OSError, anyio.BrokenResourceError: it broke.
        """
        ...


Connector = Callable[[str, int], Awaitable[Stream]]
"""How a stream to (host, port) is opened; replaced in simulations by one that needs no network."""


class Poller(Protocol):
    """Calls `step` whenever there may be something to do; what `step` returns is when to call it again by itself."""

    def wake(self) -> None:
        """Have `step` called in the next pass of the loop, once for any number of calls."""
        ...

    def wake_now(self) -> None:
        """As `wake`, or before this returns where the loop can; never called from `step`."""
        ...

    def call_after(self, function: Callable[[], object]) -> None:
        """Run `function` outside of any task: right after the present `step`, or in the next pass of the loop."""
        ...

    def stop(self) -> None:
        """Call `step` no more; `serve` returns."""
        ...

    async def serve(self) -> None:
        """Work until `stop`. Raises what `step` raises."""
        ...


class WakeUp(Protocol):
    """A flag for one waiting task: setting it twice before it is seen wakes once."""

    def set(self) -> None:
        """Wake the waiting task, now or at its next wait. Called from the loop's own thread."""
        ...

    async def wait_until(self, deadline: float | None) -> None:
        """Suspend until the flag is set or `deadline` (the backend's clock) has come, then clear it. Always
        suspends.
        """
        ...


class Backend(Protocol):
    """One event loop, as the shell uses it. Bound to the loop in which it was made."""

    name: Literal["asyncio", "trio"]
    clock: Callable[[], float]
    """Monotonic seconds; under trio's MockClock, its virtual time."""

    current_token: Callable[[], object]
    """Returns `token` in this loop, thread and process, and something else anywhere else. Asked once per record: a
    plain function of C where there is one.
    """

    token: object

    def is_current(self) -> bool:
        """True in this loop, thread and process only."""
        ...

    def is_closed(self) -> bool:
        """True when nothing will ever run in this loop again, though its tasks were not ended. Asked from anywhere."""
        ...

    def spawn_host(self, main: Callable[[], Coroutine[Any, Any, None]], name: str = "aioproducer") -> None:
        """Run `main` in a task that belongs to the loop, not to the caller. `main` lets no Exception out."""
        ...

    def call_soon(self, function: Callable[..., object], *arguments: object, context: Context | None = None) -> None:
        """Run `function` in one of the next passes of the loop, in the order of the calls, outside of the caller's
        task; without `context`, in one that has no variables of the caller's.
        """
        ...

    def raise_soon(self, error: BaseException) -> None:
        """Have the error come out of the loop, as KeyboardInterrupt and SystemExit do, once others had their turn.

        trio lets nothing out of a callback: there Ctrl-C is pressed again, and the program's main task meets it.
        """
        ...

    new_waiter: Callable[[], Awaitable[None]]
    """Makes what one task awaits, once, until `wake`; cancelling the task cancels nothing else. One is made for each
    record that a task waits for, so it is what the loop itself has for it.
    """

    seconds_to_resume: float
    """How long a task takes, about, that `wake` wakes, if it does so after `wake` has returned; 0.0 if before."""

    def is_waiting(self, waiter: Any) -> bool:
        """False once it was woken or its task cancelled."""
        ...

    def wake(self, waiters: Sequence[Any]) -> None:
        """Wake them in order; those cancelled meanwhile are left out. Called from `call_soon`, not from a task."""
        ...

    def new_wake_up(self) -> WakeUp:
        """A flag for one task to sleep on."""
        ...

    def new_poller(self, step: Callable[[], float | None]) -> Poller:
        """See `Poller`. `step` returns a time of `clock`, None for never; it lets no task run meanwhile."""
        ...

    def tcp_connector(self, send_buffer_bytes: int, receive_buffer_bytes: int) -> Connector:
        """Return a connector for TCP. It resolves the name at each call and tries all of its addresses (RFC 8305).

        Args:
            send_buffer_bytes: SO_SNDBUF in bytes; -1 leaves it to the system.
            receive_buffer_bytes: SO_RCVBUF in bytes; -1 leaves it to the system.
        """
        ...

    async def yield_now(self) -> None:
        """Let every other ready task run once. A cancellation point."""
        ...
