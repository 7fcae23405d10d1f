"""The start of a producer's runtime: made in the running loop, and ready when one broker is connected."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import anyio

from aioproducer import _backend
from aioproducer._backend.names import Resolver
from aioproducer._net.dialer import Dialer
from aioproducer._runtime.dns_lookup import with_canonical_servers
from aioproducer._runtime.loop import Runtime
from aioproducer._runtime.setup_steps import prepared_steps
from aioproducer.errors import AuthenticationError, BootstrapError, KafkaError, KafkaTimeoutError, ProducerClosedError
from aioproducer.errors._fresh import fresh

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aioproducer._backend import Connector
    from aioproducer._config import ProducerConfig
    from aioproducer._net.setup import SetupSteps
    from aioproducer.interceptors import ProducerInterceptor


async def open_runtime(
    config: ProducerConfig,
    client_id: str,
    connect: Connector | None,
    interceptors: Sequence[ProducerInterceptor[Any, Any]],
    steps: SetupSteps | None = None,
) -> Runtime:
    """Start the background task and wait for the first connection. Cancelled or failed, nothing is left.

    Raises:
        ConfigurationError: as `begin_runtime`.
        AuthenticationError: a broker does not take us for who we say we are, or we do not take it for the broker.
        BootstrapError: no connection within max_block_ms.
        KafkaTimeoutError: connected, but no producer id for the transactional id within max_block_ms.
        KafkaError: the cluster cannot be used at all, for example because it is too old.
    """
    deadline = anyio.current_time() + config.max_block_ms / 1000
    runtime = await begin_runtime(config, client_id, connect, interceptors, steps)
    try:
        await _wait_connected(runtime, config, deadline)
    except BaseException:
        runtime.abort(ProducerClosedError("the producer could not be started"))
        await _end(runtime)
        raise
    return runtime


async def begin_runtime(
    config: ProducerConfig,
    client_id: str,
    connect: Connector | None,
    interceptors: Sequence[ProducerInterceptor[Any, Any]],
    steps: SetupSteps | None = None,
) -> Runtime:
    """Start the background task, which connects; wait for no broker.

    Raises:
        ConfigurationError: a file that the settings of TLS name cannot be read or used.
    """
    backend = _backend.current()
    if config.client_dns_lookup == "resolve_canonical_bootstrap_servers_only":
        config = await with_canonical_servers(config, Resolver())
    connector = connect or backend.tcp_connector(config.send_buffer_bytes, config.receive_buffer_bytes)
    if steps is None:
        steps = await prepared_steps(config)
    dialer = Dialer(connector, client_id, backend.clock, config.request_timeout_ms / 1000, steps)
    runtime = Runtime(config, client_id, backend, dialer, interceptors, random.Random())
    backend.spawn_host(runtime.run)
    return runtime


async def _end(runtime: Runtime) -> None:
    """Return when the aborted runtime has ended, a few passes of the loop later."""
    cancelled: BaseException | None = None
    with anyio.CancelScope(shield=True):
        while not runtime.finished.is_set():
            try:
                await runtime.finished.wait()
            except anyio.get_cancelled_exc_class() as error:  # asyncio's own Task.cancel() goes through shields
                cancelled = error
    if cancelled is not None:
        raise cancelled


async def _wait_connected(runtime: Runtime, config: ProducerConfig, deadline: float) -> None:
    max_block_ms = config.max_block_ms
    started = runtime.clock()
    async with anyio.create_task_group() as tasks:

        async def until(event: anyio.Event) -> None:
            await event.wait()
            tasks.cancel_scope.cancel()

        tasks.cancel_scope.deadline = deadline
        tasks.start_soon(until, runtime.connected)
        tasks.start_soon(until, runtime.finished)
    if runtime.start_error is not None:
        raise _final(runtime.start_error)
    transactions = runtime.sender.transactions
    if transactions is not None and runtime.sender.is_connected and not transactions.is_ready:
        raise _initialising_error(transactions.last_error, runtime.clock() - started, max_block_ms)
    if not runtime.connected.is_set():
        raise _bootstrap_error(runtime, config, runtime.clock() - started)


def _final(error: KafkaError) -> KafkaError:
    """Return the error to raise: what a running producer tries again is the end of one that has not started."""
    error = fresh(error)
    if isinstance(error, AuthenticationError):
        error.retriable, error.fatal = False, True
    return error


def _initialising_error(cause: KafkaError | None, elapsed: float, max_block_ms: int) -> KafkaTimeoutError:
    error = KafkaTimeoutError(
        f"the transactional id was not initialised within {elapsed:.1f} s (max_block_ms={max_block_ms}):"
        f" {cause or 'its coordinator has not answered'}; check that the cluster can have transactions"
        " (topic __transaction_state), or raise max_block_ms",
        elapsed=elapsed,
    )
    error.__cause__ = cause
    return error


def _bootstrap_error(runtime: Runtime, config: ProducerConfig, elapsed: float) -> BootstrapError:
    reasons = [
        reason if f"{host}:{port}" in reason else f"{host}:{port}: {reason}"
        for (host, port), reason in runtime.failures.items()
    ]
    reasons += [
        f"{host}:{port}: no attempt to connect has ended yet"
        for host, port in config.bootstrap_servers
        if (host, port) not in runtime.failures
    ]
    return BootstrapError(
        f"no bootstrap server could be reached within {elapsed:.1f} s (max_block_ms={config.max_block_ms}):"
        f" {'; '.join(reasons)}; check bootstrap_servers, and that brokers listen there",
        failures=runtime.failures,
    )
