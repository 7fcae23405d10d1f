"""Lifecycle: starts and closes what a producer runs on, and knows how far that is."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

import anyio

from aioproducer._producer.prepare import RecordPreparer
from aioproducer._producer.send_path import SendPath, State, check_timeout
from aioproducer._types import is_coroutine_function
from aioproducer.errors import (
    AuthenticationError,
    IllegalStateError,
    KafkaConnectionError,
    KafkaError,
    ProducerClosedError,
)
from aioproducer.metrics import MetricsSnapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from anyio.lowlevel import EventLoopToken

    from aioproducer._backend import Connector
    from aioproducer._config import ProducerConfig
    from aioproducer._net.setup import SetupSteps
    from aioproducer._producer.status import ProducerStatus
    from aioproducer._runtime.loop import Runtime


LOOP_IS_GONE: Final = (
    "the event loop that it was started in has ended before it was closed, and what it had not delivered is lost;"
    " await close() here, then it can be started again"
)


class Lifecycle:
    """The life of one producer: NEW → STARTING → RUNNING → CLOSING → CLOSED, and from there to STARTING again.

    The state itself is the send path's, which refuses records in its words.

    Attributes:
        config: the settings.
        send_path: the way of a record into its batch; open while the producer runs.
        interceptors: those of the settings.
        setup_steps: what its connections need beside TCP and ApiVersions.
        runtime: what sends in the background; None before a start and after a close.
        loop_token: of the event loop of the last start. anyio gives it to a task alone, and callbacks want it, too.
    """

    _numbers: ClassVar[Iterator[int]] = itertools.count(1)  # for client ids, as the Java producer counts them

    def __init__(
        self,
        config: ProducerConfig,
        connect: Connector | None = None,
        on_error: Callable[[KafkaError], object] | None = None,
    ) -> None:
        check_functions(connect, on_error)
        self.config = config
        self.interceptors = tuple(config.interceptors)
        name = config.transactional_id or next(self._numbers)
        self._client_id = f"producer-{name}" if config.client_id is None else config.client_id
        self._connect = connect
        self.setup_steps: SetupSteps | None = None
        self._on_error = on_error
        preparer = RecordPreparer(config.key_serializer, config.value_serializer, self.interceptors)
        self.send_path = SendPath(config, self._client_id, preparer)
        self.runtime: Runtime | None = None
        self.loop_token: EventLoopToken | None = None
        self._last_statistics = MetricsSnapshot({})
        self._process_id = os.getpid()  # of the last start
        if config.warnings or config.notes:
            from aioproducer._runtime import log_lines

            log_lines.settings(self._client_id, config.warnings, config.notes)

    def __repr__(self) -> str:
        return f"{self._client_id} {self.send_path.state.name.lower()}"

    @property
    def is_abandoned(self) -> bool:
        """Whether it was started and never closed, as far as can be said now."""
        return self.runtime is not None and not self.runtime.finished.is_set()

    async def start(self, *, wait: bool = True) -> Runtime:
        """Connect and let records in; as `Producer.start`. Cancelled or failed, it is CLOSED, and nothing is open."""
        send_path = self.send_path
        if send_path.state not in {State.NEW, State.CLOSED}:
            reason = LOOP_IS_GONE if self._is_loop_gone() else send_path.state.value
            raise IllegalStateError(f"cannot start {self._client_id}: {reason}")
        # Here and not at the top: they load the event loop, crc32c and the codec, 100 ms that only start() should cost.
        from anyio.lowlevel import current_token

        from aioproducer._runtime import log_lines
        from aioproducer._runtime.startup import begin_runtime, open_runtime

        open_or_begin = open_runtime if wait else begin_runtime
        send_path.close(State.STARTING)
        self._process_id = os.getpid()
        try:
            self.loop_token = current_token()
            self.runtime = await open_or_begin(
                self.config, self._client_id, self._connect, self.interceptors, self.setup_steps
            )
        except BaseException as error:
            send_path.close(State.CLOSED)
            if isinstance(error, (AuthenticationError, KafkaConnectionError)):
                from aioproducer._config.clouds import add_hints  # for a start that failed

                add_hints(error, self.config)
            raise
        self.runtime.undelivered.on_error = self._on_error
        send_path.open(self.runtime)
        log_lines.started(self._client_id)
        return self.runtime

    async def close(self, timeout: float | None = None) -> None:
        """Deliver what was accepted, then end; as `Producer.close`. Any number of tasks may be in here at once.

        1. RUNNING becomes CLOSING: no record is accepted any more. 2. The runtime delivers until the timeout has
        passed, then it is aborted. 3. Callbacks are run. 4. The first that gets there makes it CLOSED; all return.
        """
        check_timeout(timeout)
        send_path, runtime = self.send_path, self.runtime
        if send_path.state is State.STARTING:
            raise IllegalStateError(f"cannot close {self._client_id}: {send_path.state.value}; cancel start() instead")
        if runtime is None:
            send_path.close(State.CLOSED)
            return
        if self._is_loop_gone():
            runtime.bury()
            self._end(runtime)
            return
        self.check_loop(runtime)
        runtime.check_idle()
        if send_path.state is State.RUNNING:
            send_path.close(State.CLOSING)
            if timeout != 0:  # else nothing more is to be sent
                runtime.begin_close()
        if timeout != 0:
            with anyio.move_on_after(timeout):
                await runtime.finished.wait()
        if not runtime.finished.is_set():
            runtime.abort(ProducerClosedError("the producer was closed before the record was delivered"))
            await runtime.finished.wait()
        await runtime.wait_told()
        if self.runtime is runtime:
            self._end(runtime)

    def _end(self, runtime: Runtime) -> None:
        from aioproducer._producer.statistics import statistics_of  # the runtime has loaded all of them
        from aioproducer._runtime import log_lines

        self._last_statistics = statistics_of(runtime)
        self.runtime = None
        self.send_path.close(State.CLOSED)
        for interceptor in self.interceptors:
            try:
                interceptor.close()
            except BaseException as error:
                if isinstance(error, (KeyboardInterrupt, SystemExit)):
                    raise
                log_lines.interceptor_failed("close", interceptor, error)
        log_lines.closed(self._client_id)

    def statistics(self) -> MetricsSnapshot:
        """What was counted since the last start; as `Producer.statistics`."""
        runtime = self.runtime  # once: another thread may close it meanwhile
        if runtime is None:
            return self._last_statistics
        from aioproducer._producer.statistics import read, statistics_of  # start() has loaded it

        return read(statistics_of, self._runtime_to_read(runtime))

    def status(self) -> ProducerStatus:
        """How it is now; as `Producer.status`."""
        runtime = self.runtime
        if runtime is None:
            from aioproducer._producer.status import ProducerStatus

            return ProducerStatus()
        from aioproducer._producer.statistics import read, status_of

        return read(status_of, self._runtime_to_read(runtime))

    def _runtime_to_read(self, runtime: Runtime) -> Runtime:
        if self._process_id != os.getpid():  # the copy in a forked child would tell of its parent as it was
            raise self.send_path.refusal()
        return runtime

    def _is_loop_gone(self) -> bool:
        """Whether the event loop that it was started in has ended without it being closed."""
        runtime = self.runtime
        if runtime is None or self._process_id != os.getpid() or runtime.backend.is_current():
            return False
        return runtime.finished.is_set() or runtime.backend.is_closed()

    def check_loop(self, runtime: Runtime) -> None:
        """Refuse calls from another event loop, thread or process."""
        if not runtime.backend.is_current():
            raise self.send_path.refusal()


def check_functions(connect: object, on_error: object) -> None:
    """Refuse what could not be called, or would be and never run.

    Raises:
        TypeError: one of them is no function, or on_error is a coroutine function.
    """
    if connect is not None and not callable(connect):
        raise TypeError(f"connect is {type(connect).__name__}; it must be an async function (host, port) -> stream")
    if on_error is None:
        return
    if not callable(on_error):
        raise TypeError(f"on_error is {type(on_error).__name__}; it must be a function of one argument")
    if is_coroutine_function(on_error):
        raise TypeError("on_error is a coroutine function; it must be a plain one, as nothing would await it")


class Close(Protocol):
    """The close() of a producer, or of what derives from it."""

    async def __call__(self, timeout: float | None = None) -> None:
        """Deliver what was accepted, then end."""
        ...


async def close_at_exit(close: Close, close_timeout_ms: int, *, has_failed: bool) -> None:
    """Close at the end of an `async with`: in full after a body that came to its end, else in close_timeout_ms."""
    if has_failed:
        await _close_bounded(close, close_timeout_ms / 1000)
        return
    try:
        await close()
    except KafkaError:
        raise  # before a thread is asked how a cancellation looks in its loop, which it may not have
    except anyio.get_cancelled_exc_class():
        await _close_bounded(close, close_timeout_ms / 1000)
        raise


async def _close_bounded(close: Close, seconds: float) -> None:
    """Give accepted records some time, cancelled or not, so that nothing outlives the `async with`."""
    with anyio.CancelScope(shield=True):
        try:
            await close(timeout=seconds)
        except anyio.get_cancelled_exc_class():
            # asyncio's own Task.cancel() goes through shields: no more time, but still no connection left behind.
            await close(timeout=0)
            raise
