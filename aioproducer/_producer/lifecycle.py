"""The life of a producer: its settings, start, close, and `async with`."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar

import anyio

from aioproducer._config import ProducerConfig
from aioproducer._producer.prepare import RecordPreparer
from aioproducer._producer.send_path import SendPath, State, check_timeout
from aioproducer.errors import IllegalStateError, KafkaError, ProducerClosedError
from aioproducer.errors._redact import redacted
from aioproducer.metrics import MetricsSnapshot

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from typing import Self, Unpack

    from aioproducer._backend import Backend, Connector
    from aioproducer._config import ProducerSettings
    from aioproducer._net.setup import SetupSteps
    from aioproducer._runtime.loop import Runtime


class Lifecycle:
    """What starts and closes a producer. Producer, which has the verbs, derives from it; nobody else does."""

    _numbers: ClassVar[Iterator[int]] = itertools.count(1)  # for client ids, as the Java producer counts them

    def __init__(
        self,
        config: ProducerConfig | None = None,
        *,
        connect: Connector | None = None,
        on_error: Callable[[KafkaError], object] | None = None,
        **settings: Unpack[ProducerSettings],
    ) -> None:
        if config is not None and settings:
            raise TypeError("give a ProducerConfig or settings by name, not both")
        if config is not None and not isinstance(config, ProducerConfig):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(
                f"config is {type(config).__name__}; it must be a ProducerConfig: give settings by name "
                "(bootstrap_servers=...), or a mapping to Producer.from_config"
            )
        self._config = ProducerConfig(**settings) if config is None else config
        given = self._config.client_id
        name = self._config.transactional_id or next(self._numbers)
        self._client_id = f"producer-{name}" if given is None else given
        self._connect = connect
        self._setup_steps: SetupSteps | None = None  # beside TCP and ApiVersions
        self._on_error = on_error
        self._interceptors = tuple(self._config.interceptors)
        preparer = RecordPreparer(self._config.key_serializer, self._config.value_serializer, self._interceptors)
        self._send_path = SendPath(self._config, self._client_id, preparer)
        self._try_append = self._send_path.try_append
        self._runtime: Runtime | None = None
        self._backend: Backend | None = None  # set by the first start
        self._last_statistics = MetricsSnapshot({})
        if self._config.warnings or self._config.notes:
            self._tell_of_settings()

    @classmethod
    def from_config(cls, config: Mapping[str, Any], **settings: Unpack[ProducerSettings]) -> Self:
        """Make one from a mapping with dotted or other names; see ProducerConfig.from_config."""
        return cls(ProducerConfig.from_config(config, **settings))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], **settings: Unpack[ProducerSettings]) -> Self:
        """Make one from a .properties or .toml file; see ProducerConfig.from_file."""
        return cls(ProducerConfig.from_file(path, **settings))

    @classmethod
    def from_env(cls, prefix: str, /, **settings: Unpack[ProducerSettings]) -> Self:
        """Make one from environment variables; see ProducerConfig.from_env."""
        return cls(ProducerConfig.from_env(prefix, **settings))

    def __repr__(self) -> str:
        return f"<Producer {self._client_id} {self._send_path.state.name.lower()}>"

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        runtime = getattr(self, "_runtime", None)  # absent when the constructor has raised
        if runtime is not None and not runtime.finished.is_set():
            _warn(f"{self!r} was not closed: use `async with`, or await close()", ResourceWarning, source=self)

    @property
    def config(self) -> ProducerConfig:
        """The effective settings."""
        return self._config

    # ── life cycle ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        """Connect: return when one broker is connected, within max_block_ms.

        Cancelled or failed, nothing is left open. A closed producer may be started again.

        Raises:
            AuthenticationError: a broker refuses who we are, or we do not trust it; `start` does not wait any longer.
            BootstrapError: no bootstrap server could be reached in time; `failures` says why, for each address.
            IllegalStateError: it is started already.

        Example:
            producer = Producer(bootstrap_servers="localhost:9092")
            await producer.start()
            await producer.close()
        """
        send_path = self._send_path
        if send_path.state not in {State.NEW, State.CLOSED}:
            raise IllegalStateError(f"cannot start {self._client_id}: {send_path.state.value}")
        # Here and not at the top: it loads the event loop, crc32c and the codec, 100 ms that only start() should cost.
        import logging

        from aioproducer._runtime.startup import open_runtime

        send_path.close(State.STARTING)
        try:
            self._runtime = await open_runtime(
                self._config, self._client_id, self._connect, self._interceptors, self._setup_steps
            )
        except BaseException:
            send_path.close(State.CLOSED)
            raise
        self._backend = self._runtime.backend
        self._runtime.undelivered.on_error = self._on_error
        send_path.open(self._runtime)
        log = logging.getLogger("aioproducer.producer")
        log.info("%s is started", self._client_id, extra={"event": "started", "client_id": self._client_id})

    async def close(self, timeout: float | None = None) -> None:
        """Deliver what was accepted, then close every connection. Sockets and tasks are gone on return.

        May be called from any task of the loop, any number of times; each call returns when the producer is closed.
        Cancelling it leaves the closing going on in the background; call it again to wait for the end.

        Args:
            timeout: seconds after which what is left fails with ProducerClosedError; 0 drops everything at once;
                None is bounded by delivery_timeout_ms.

        Raises:
            TypeError, ValueError: the timeout is no number of seconds, or negative.
            IllegalStateError: called from another loop, thread or process, or while start() runs.

        Example:
            await producer.close(timeout=20)
        """
        check_timeout(timeout)
        send_path, runtime = self._send_path, self._runtime
        if send_path.state is State.STARTING:
            raise IllegalStateError(f"cannot close {self._client_id}: {send_path.state.value}; cancel start() instead")
        if runtime is None:
            send_path.close(State.CLOSED)
            return
        if not runtime.backend.is_current():
            raise send_path.refusal()
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
        if self._runtime is runtime:
            import logging

            from aioproducer._producer.statistics import statistics_of  # the runtime has loaded it

            self._last_statistics = statistics_of(runtime)
            self._runtime = None
            send_path.close(State.CLOSED)
            self._close_interceptors()
            log = logging.getLogger("aioproducer.producer")
            log.info("%s is closed", self._client_id, extra={"event": "closed", "client_id": self._client_id})

    def _tell_of_settings(self) -> None:
        import logging

        log = logging.getLogger("aioproducer.producer")
        for text in self._config.warnings:
            log.warning("%s: %s", self._client_id, text, extra={"event": "settings", "client_id": self._client_id})
        for text in self._config.notes:
            log.info("%s: %s", self._client_id, text, extra={"event": "settings", "client_id": self._client_id})

    def _close_interceptors(self) -> None:
        for interceptor in self._interceptors:
            try:
                interceptor.close()
            except Exception as error:
                import logging

                log = logging.getLogger("aioproducer.producer")
                log.warning(
                    "an interceptor's close raised (%s)",
                    type(interceptor).__name__,
                    exc_info=redacted(error),
                    extra={"event": "interceptor_failed", "interceptor": type(interceptor).__name__},
                )

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if exc is None:
            try:
                await self.close()
            except anyio.get_cancelled_exc_class():
                await self._close_bounded()
                raise
        else:
            await self._close_bounded()

    async def _close_bounded(self) -> None:
        """Give accepted records close_timeout_ms, cancelled or not, so that nothing outlives the `async with`."""
        with anyio.CancelScope(shield=True):
            try:
                await self.close(timeout=self._config.close_timeout_ms / 1000)
            except anyio.get_cancelled_exc_class():
                # asyncio's own Task.cancel() goes through shields: no more time, but still no connection left behind.
                await self.close(timeout=0)
                raise
