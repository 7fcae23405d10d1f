"""The one loop of a producer: ask the core what is due, do it, sleep until something changes."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, assert_never, cast

import anyio

from aioproducer._core.accumulator.accumulator import Accumulator, PendingAppend
from aioproducer._core.accumulator.append import BUSY
from aioproducer._core.effects import Completed, Connect, Disconnect, Effect, Reauthenticate, Send
from aioproducer._core.sender import Sender
from aioproducer._logger import get_logger
from aioproducer._metrics.counters import Counters
from aioproducer._metrics.sampled import SampledMetrics
from aioproducer._runtime.broker_connection import BrokerConnection
from aioproducer._runtime.buffer_wait import BufferWaiters
from aioproducer._runtime.completion import Completion
from aioproducer._runtime.encoding import Encoder
from aioproducer._runtime.undelivered import Undelivered
from aioproducer.errors import FatalProducerError, IllegalStateError, KafkaError, ProducerClosedError
from aioproducer.errors._redact import redacted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from random import Random

    from aioproducer._backend import Backend
    from aioproducer._config import ProducerConfig
    from aioproducer._core.accumulator.accumulator import Waiting
    from aioproducer._core.accumulator.batch import ProducerBatch
    from aioproducer._core.cluster.node import InFlight
    from aioproducer._net.dialer import Dialer, Established
    from aioproducer._net.setup import Session
    from aioproducer._runtime.broker_connection import PausedWriter
    from aioproducer._wire.schema import Message
    from aioproducer.interceptors import ProducerInterceptor

_log = get_logger("aioproducer.producer")

T = TypeVar("T")

WRITING_SECONDS = 0.002
"""For so long in one pass of the loop requests are made and written, in all its polls: the answers of a hundred brokers
may come in one pass, and each has the core polled. One request of 1 MiB, of a thousand partitions, takes 4 ms."""

LOOP_ENDED: Final = (
    "the event loop ended before the producer was closed; leave its `async with` block, or await close(), in the same"
    " asyncio.run (or trio.run) that it was started in"
)


CANCELLED_FROM_OUTSIDE: Final = (
    "the producer's background tasks were cancelled by other code, so that it cannot go on; make a new producer, and"
    " cancel none of its tasks"
)


CALLED_FROM_WITHIN: Final = (
    "called from the middle of another call of the same producer (by __del__, a signal or logging handler, or a"
    " partitioner), where only submit_nowait can be used: start a task, or use the loop's call_soon"
)


class Runtime:
    """Everything of a producer that exists between start() and the end of close().

    All of it runs in one event loop. The core's methods are called only between suspensions, so they need no lock. But
    whatever runs may be interrupted, by a garbage collection that calls the `__del__` of somebody's object, by a signal
    handler, by a handler of the core's own log lines, and that code may come back here. So while the
    core does anything `Appender.open_topics` is BUSY: records that come then are accepted for later, and all else is
    refused.
    """

    def __init__(
        self,
        config: ProducerConfig,
        client_id: str,
        backend: Backend,
        dialer: Dialer,
        interceptors: Sequence[ProducerInterceptor[Any, Any]],
        rng: Random,
    ) -> None:
        self.client_id = client_id
        self.backend = backend
        self.clock = backend.clock
        self.accumulator = Accumulator(config, rng)
        self.sender = Sender(config, self.accumulator, rng)
        self._appender = self.accumulator.appender
        self.encoder = Encoder(config)
        self.undelivered = Undelivered()
        self.figures = Counters(
            windowed=SampledMetrics(config.metrics_num_samples, config.metrics_sample_window_ms / 1000)
        )
        self.room = BufferWaiters(self.accumulator, backend)
        self.connected = anyio.Event()
        self.finished = anyio.Event()
        self.start_error: KafkaError | None = None  # why start() is to raise at once
        self.failures: dict[tuple[str, int], str] = {}  # why each address could not be connected to, until one could
        watched = self.undelivered if config.transactional_id is None else None
        self._poller = backend.new_poller(self._poll)
        self._completion = Completion(backend, watched, interceptors, self.clock, self.figures, self._poller.call_after)
        self._dialer = dialer
        self._connections: dict[int, BrokerConnection] = {}
        self._asking: list[Awaitable[None]] = []
        self._asked: deque[Callable[[], object]] = deque()
        self._has_asked = backend.new_wake_up()
        self._is_closing = False
        self._deadline: float | None = None  # what the last poll returned
        self._has_to_poll = True  # something besides answers asks for a poll
        self._has_answers = False
        self._write_until = 0.0  # in this pass of the loop
        self._is_pass_marked = False  # we shall hear when this pass is over; until then it gets no more time
        self._to_write: list[PausedWriter] = []  # in the next

    # ── called by the Producer ───────────────────────────────────────────────────────────────────────────────────────

    def wake(self) -> None:
        """Have the core polled in the next pass of the loop: something was appended, asked for or given up."""
        self.accumulator.needs_wake = False
        self._wake_poller()

    def begin_close(self) -> None:
        """Deliver what was accepted, then end. Bounded by delivery_timeout_ms."""
        self.call(self.sender.begin_close, self.clock())
        self._is_closing = True
        self._wake_poller()

    def abort(self, error: KafkaError) -> None:
        """Fail everything that is not delivered with `error`, then end."""
        self.call(self.sender.abort, error, self.clock())
        self._is_closing = True
        self._wake_poller()

    def check_idle(self) -> None:
        """Raise IllegalStateError when called from the middle of another call, or of a poll."""
        if self._appender.is_busy:
            raise IllegalStateError(CALLED_FROM_WITHIN)

    def call(self, function: Callable[..., T], *arguments: object) -> T:
        """Have the core do something that an application has called for.

        Raises:
            IllegalStateError: it is called from the middle of another call.
        """
        appender = self._appender
        if appender.open_topics is BUSY or appender.free_bytes < 0:
            raise IllegalStateError(CALLED_FROM_WITHIN)
        appender.open_topics = BUSY
        try:
            if appender.has_late_calls:
                self.accumulator.serve_late_calls()
            return function(*arguments)
        finally:
            appender.open_topics = appender.idle_topics

    def _tell(self, function: Callable[..., object], *arguments: object) -> None:
        """As `call`, for what happens in a poll as well as at other times."""
        if self._appender.is_busy:
            function(*arguments)
        else:
            self.call(function, *arguments)

    def call_or_later(self, function: Callable[..., object], *arguments: object) -> None:
        """As `call`, for the end of a wait: it cannot be refused, as coroutines may be dropped anywhere."""
        if self.accumulator.is_busy:
            self.accumulator.call_later(partial(function, *arguments))
        else:
            self.call(function, *arguments)

    async def wait_told(self) -> None:
        """Return when everybody has been told of all outcomes that are final by now: callbacks have run, failures are
        counted. The core knows of an outcome before the poll that tells the shell.
        """
        waiter = self.backend.new_waiter()
        self._asking.append(waiter)
        if self.finished.is_set():
            self._wake_asking()
        else:
            self._wake_poller()
        await waiter

    async def run(self) -> None:
        """The host task. Lets no Exception out: a bug in here makes the producer fatal, and hurts nobody else's
        task.
        """
        is_over = False  # nothing is left to do, and the tasks are cancelled by us
        try:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                tasks.start_soon(self._call_asked)
                if self._dialer.steps.keep_ready is not None:
                    tasks.start_soon(self._dialer.steps.keep_ready)
                await self._poller.serve()
                is_over = True
                tasks.cancel_scope.cancel()
            if not is_over:  # its tasks were cancelled by somebody else, of which a task group says nothing
                self._die(FatalProducerError(CANCELLED_FROM_OUTSIDE), None)
        except Exception as error:
            bug = _innermost(error)
            text = f"the producer's background task failed ({type(bug).__name__}, see __cause__); make a new producer"
            self._die(FatalProducerError(text), bug)  # before it is logged: a handler may raise as well
            _log.critical(
                "the producer stopped because of a bug in it; records are failed, close it",
                exc_info=redacted(bug),
                extra={"event_name": "producer_failed"},
            )
        except BaseException as error:
            self._die(ProducerClosedError(LOOP_ENDED), error)
            raise
        finally:
            self.room.check()
            # After the outcomes that are still to be told: what they add to it would not be written any more.
            self._completion.then(lambda: self.undelivered.write_rest(self.clock()))
            self._wake_asking()
            self.finished.set()

    def call_in_task(self, function: Callable[[], object]) -> None:
        """Call `function` soon, in a task of the producer: a poll often runs in none, and anyio starts none there."""
        self._asked.append(function)
        self._has_asked.set()

    async def _call_asked(self) -> None:
        while True:
            while self._asked:
                self._asked.popleft()()
            await self._has_asked.wait_until(None)

    def _wake_poller(self) -> None:
        self._has_to_poll = True
        self._poller.wake()

    # ── the loop ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _poll(self) -> float | None:
        """Do what is due; return when to come back by itself."""
        # As in `call`, in line: a record that is sent alone has three polls, and each would cost 30 bytecodes more.
        appender = self._appender
        appender.open_topics = BUSY
        try:
            if appender.has_late_calls:
                self.accumulator.serve_late_calls()
            has_answers, self._has_answers = self._has_answers, False
            if has_answers and not self._has_to_poll:
                delivered = self.sender.take_delivered()
                if delivered is not None:
                    self._completion.schedule(delivered)
                    self.room.check()
                    return self._deadline
            self._has_to_poll = False
            now = self.clock()
            if now >= self._write_until and not self._is_pass_marked:
                self._write_until = now + WRITING_SECONDS
            # What has had to wait is older than what the core sends now: it has its turn before.
            if self._to_write and not self.has_written_long():
                self._write_on()
            self._act(self.sender.poll(now))
            # After the effects: outcomes are scheduled there first, so a call that waits for an older record is woken
            # before one that has just got memory, and before the transaction's step that waits for those records.
            self._wake(self.accumulator.take_woken())
            self._wake_transaction()
            self._wake_asking()
            self.room.check()
            if not self.connected.is_set():
                self._end_start()
            if self._is_closing and self.sender.is_drained:
                self._poller.stop()
                return None
            # Not for each poll: another pass of the loop takes 5 µs.
            if not self._is_pass_marked and self.clock() >= self._write_until - WRITING_SECONDS / 2:
                self._mark_pass()
            self._deadline = self.sender.deadline(now)
            return self._deadline
        finally:
            appender.open_topics = appender.idle_topics

    def _end_start(self) -> None:
        """Let start() go on if it is known how it ends."""
        sender = self.sender
        # One broker that accepts us is enough to start, whatever another says in the same moment.
        self.start_error = sender.fatal_error or (None if sender.is_started else sender.authentication_error)
        if sender.is_started or self.start_error is not None:
            self.connected.set()
            self.failures.clear()

    def _write_on(self) -> None:
        waiting, self._to_write = self._to_write, []
        for writer in waiting:
            writer.go_on()
        # The first has written, and perhaps nobody else: another one is the first next time.
        if self._to_write and self._to_write[0] is waiting[0]:
            self._to_write.append(self._to_write.pop(0))

    def _mark_pass(self) -> None:
        self._is_pass_marked = True
        self.backend.call_soon(self._on_next_pass)

    def _on_next_pass(self) -> None:
        self._is_pass_marked = False
        self._write_until = self.clock() + WRITING_SECONDS
        if self._to_write:
            self._wake_poller()

    def _act(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send():
                    connection = self._connections.get(effect.node_id)
                    if connection is not None:  # otherwise it broke a moment ago, and the core is about to hear of it
                        connection.send(effect)
                case Completed():
                    self._completion.schedule(effect.batches)
                case Connect():
                    self._connect(effect)
                case Reauthenticate():
                    connection = self._connections.get(effect.node_id)
                    if connection is not None:
                        connection.reauthenticate()
                case Disconnect():
                    connection = self._connections.get(effect.node_id)
                    if connection is not None:
                        connection.close(effect.error)
                case _:
                    assert_never(effect)

    def _connect(self, effect: Connect) -> None:
        # The core connects to a node again only when it has heard of the end of the connection before: there is one
        # connection for each node, and whatever comes from a connection comes from that of its node.
        assert effect.node_id not in self._connections, "a node has one connection"
        connection = BrokerConnection(self, effect, self._dialer, self.client_id, self.clock)
        self._connections[effect.node_id] = connection
        self.call_in_task(partial(self._tasks.start_soon, connection.run))

    def _wake(self, woken: Sequence[Waiting]) -> None:
        if not woken:
            return
        self._completion.schedule([entry for entry in woken if isinstance(entry, PendingAppend) and entry.accepted])
        self.resume_soon(woken)

    def resume_soon(self, waiting: Sequence[Waiting]) -> None:
        """Resume the tasks of waits that are over, in the order of these calls.

        1. A and B are granted, in this order. 2. A's task is cancelled, which it learns at its next step. 3. B's task
        runs before that, and would append A's record before its own, though A's call raises. So a grant whose task
        was cancelled by then is given back here; one that is resumed here cannot be cancelled any more.
        """
        self.backend.call_soon(self._resume, waiting)

    def _resume(self, woken: Sequence[Waiting]) -> None:
        for entry in woken:
            if (
                isinstance(entry, PendingAppend)
                and entry.waiter is not None
                and not self.backend.is_waiting(entry.waiter)
            ):
                self.call(self.accumulator.cancel, entry)
        self.backend.wake([entry.waiter for entry in woken if entry.waiter is not None])

    def _wake_asking(self) -> None:
        """Wake those who wait until all is told."""
        if self._asking:
            asking, self._asking = self._asking, []
            self._completion.then(lambda: self.backend.wake(asking))

    def _wake_transaction(self) -> None:
        """Wake the calls whose step of the transaction is done, after everybody who waits for a record of it."""
        if self.sender.transactions is not None:
            woken = self.sender.transactions.take_woken()
            waiters = [ticket.waiter for ticket in woken if ticket.waiter is not None]
            if waiters:
                self._completion.then(lambda: self.backend.wake(waiters))

    def _die(self, outcome: KafkaError, cause: BaseException | None) -> None:
        """Fail whatever is open; nothing runs in the background any more."""
        self._completion.hurry()
        outcome.__cause__ = cause if isinstance(cause, Exception) else None
        try:
            self.call(self.sender.abort, outcome, self.clock())
        except Exception as error:
            _log.critical(
                "the producer's core failed too; its records are failed without it",
                exc_info=redacted(error),
                extra={"event_name": "producer_failed"},
            )
        # Those that had their outcome before, too: the poll that was to tell of it may be the one that failed.
        batches = self.sender.take_completed() + self.call(self.accumulator.fail_all, outcome)
        self._log_lost(outcome, batches)
        self._completion.schedule(batches)
        self._wake(self.accumulator.take_woken())
        self._wake_transaction()

    @staticmethod
    def _log_lost(outcome: KafkaError, batches: Iterable[ProducerBatch]) -> None:
        lost: dict[str, int] = {}
        for batch in batches:
            if batch.error is not None:
                lost[batch.topic] = lost.get(batch.topic, 0) + batch.count
        if lost:
            _log.error(
                "%s; not delivered: %s",
                outcome,
                lost,
                extra={"event_name": "records_lost", "lost": lost},
            )

    def bury(self) -> None:
        """The event loop has ended. If it did so without ending its tasks, fail what is open: the log is told, and
        whoever asks a Delivery; there is no loop to call anybody in.
        """
        if self.finished.is_set():
            return  # its task was ended, and has done that
        self.finished.set()
        outcome = ProducerClosedError(LOOP_ENDED)
        self.call(self.sender.abort, outcome, self.clock())
        self._log_lost(outcome, self.sender.take_completed() + self.call(self.accumulator.fail_all, outcome))

    # ── as the host of the connections (ConnectionHost) ──────────────────────────────────────────────────────────────

    @property
    def can_lose_tasks(self) -> bool:
        """See `ConnectionHost.can_lose_tasks`."""
        return self.backend.name == "asyncio" and not self._tasks.cancel_scope.cancel_called

    def has_written_long(self) -> bool:
        """Whether the requests written in this pass have taken so long that others should have their turn."""
        return self.clock() >= self._write_until

    def write_later(self, writer: PausedWriter) -> None:
        """See `ConnectionHost.write_later`."""
        self._to_write.append(writer)
        if not self._is_pass_marked:
            self._mark_pass()

    def on_encoded(self, batch: ProducerBatch, records_size: int, encoded_size: int) -> None:
        """See `ConnectionHost.on_encoded`."""
        self.sender.on_encoded(batch, records_size, encoded_size)  # no call from within touches what this changes

    def on_open(self, connection: BrokerConnection, established: Established) -> None:
        """See `ConnectionHost.on_open`."""
        asked_at, lifetime = established.session or (0.0, None)
        self.call(self.sender.on_connected, connection.node_id, established.versions, self.clock(), asked_at, lifetime)
        self._wake_poller()

    def on_reauthenticated(self, connection: BrokerConnection, session: Session) -> None:
        """See `ConnectionHost.on_reauthenticated`."""
        asked_at, lifetime = session
        self.call(self.sender.on_reauthenticated, connection.node_id, asked_at, lifetime, self.clock())
        self._wake_poller()

    def on_failed(self, connection: BrokerConnection, error: KafkaError) -> None:
        """See `ConnectionHost.on_failed`."""
        if not self.connected.is_set():  # only start() tells of them
            self.failures[connection.address] = str(error)
        del self._connections[connection.node_id]
        self.call(self.sender.on_connect_failed, connection.node_id, error, self.clock())
        self._wake_poller()

    def on_closed(self, connection: BrokerConnection, error: KafkaError | None) -> None:
        """See `ConnectionHost.on_closed`."""
        del self._connections[connection.node_id]
        self.call(self.sender.on_disconnected, connection.node_id, error, self.clock())
        self._wake_poller()

    def on_written(self, connection: BrokerConnection, request: InFlight) -> None:
        """See `ConnectionHost.on_written`."""
        self._tell(self.sender.on_written, connection.node_id, request, self.clock())
        self._wake_poller()

    def on_response(self, connection: BrokerConnection, request: InFlight, message: Message) -> None:
        """See `ConnectionHost.on_response`."""
        appender = self._appender
        appender.open_topics = BUSY  # as in `_poll`, which follows
        try:
            self.sender.on_response(connection.node_id, request, message, self.clock())
        finally:
            appender.open_topics = appender.idle_topics

    def on_read(self) -> None:
        """See `ConnectionHost.on_read`."""
        self._has_answers = True
        self._poller.wake_now()


def _innermost(error: Exception) -> Exception:
    """The exception that task groups have wrapped, if it is one alone, in however many tasks."""
    leaves = {id(leaf): leaf for leaf in _leaves(error)}
    return next(iter(leaves.values())) if len(leaves) == 1 else error


def _leaves(error: Exception) -> list[Exception]:
    if not isinstance(error, ExceptionGroup):
        return [error]
    group = cast("ExceptionGroup[Exception]", error)
    return [leaf for each in group.exceptions for leaf in _leaves(each)]
