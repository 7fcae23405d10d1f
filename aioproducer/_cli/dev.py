"""`aioproducer dev`: a cluster to develop against, for any client in any language, and a line for each record."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import anyio

from aioproducer.testing import EmbeddedCluster, RealCluster
from aioproducer.testing._real_kafka import RealKafkaError
from aioproducer.testing._tail import Arrival, Tail

if TYPE_CHECKING:
    from aioproducer.testing._security import SecuritySettings


_SHOWN: Final = ("security_protocol", "ssl_truststore_location", "sasl_mechanism", "sasl_username")
"""Of what clients need, what is printed: no password."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks for.

    Attributes:
        port: of the first broker; those after it have the next ones. 0: any that are free.
        topics: "name" or "name:partitions", made at the start.
        users: "name:password", who may log in; none: nobody has to.
    """

    port: int
    brokers: int
    partitions: int
    topics: Sequence[str]
    is_real: bool
    shows_values: bool
    has_tls: bool = False
    users: Sequence[str] = ()

    @property
    def security(self) -> SecuritySettings:
        """What the embedded cluster is made with."""
        if self.users:
            passwords = {name: password for name, _, password in (user.partition(":") for user in self.users)}
            return {"security_protocol": "SASL_SSL" if self.has_tls else "SASL_PLAINTEXT", "users": passwords}
        return {"security_protocol": "SSL"} if self.has_tls else {}

    @property
    def ports(self) -> list[int]:
        return [self.port + index for index in range(self.brokers)] if self.port else []


def run(wanted: Wanted, *, loop: str) -> int:
    """Keep a cluster running until SIGINT or SIGTERM; return the exit status."""
    status = 0
    try:
        anyio.run(_serve, wanted, backend=loop)
    except* BrokenPipeError:
        # Whoever read the lines has gone, as `| head` does. Python would complain once more when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except* (OSError, RealKafkaError, ValueError) as errors:
        for error in _leaves(errors):
            print(f"the cluster did not start: {error}", file=sys.stderr)
        status = 1
    return status


def _leaves(errors: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in errors.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(cast("BaseExceptionGroup[BaseException]", error))
        else:
            yield error


async def _serve(wanted: Wanted) -> None:
    async with anyio.create_task_group() as tasks:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            tasks.start_soon(_print_arrivals, wanted)
            async for _ in signals:
                tasks.cancel_scope.cancel()
                break


async def _print_arrivals(wanted: Wanted) -> None:
    async with _running(wanted) as (kind, settings):
        servers = settings["bootstrap_servers"]
        print(f"{kind}: {','.join(servers)}", flush=True)
        if len(settings) > 1:
            print(" ".join(f"{name}={settings[name]}" for name in _SHOWN if name in settings), flush=True)
        print("records are shown as they arrive; Ctrl-C ends it", flush=True)
        async for arrival in Tail(servers, settings).arrivals():
            print(line_of(arrival, shows_values=wanted.shows_values), flush=True)


@asynccontextmanager
async def _running(wanted: Wanted) -> AsyncGenerator[tuple[str, dict[str, Any]]]:
    if wanted.is_real:
        if wanted.security:
            raise ValueError("--tls and --user are for the embedded cluster; a real one is without")
        if wanted.topics:
            raise ValueError("--topic is for the embedded cluster; a real one makes topics when they are asked for")
        real = RealCluster(wanted.brokers, default_partitions=wanted.partitions, client_ports=wanted.ports)
        async with real:
            yield "Apache Kafka", {"bootstrap_servers": real.bootstrap_servers.split(",")}
        return
    async with EmbeddedCluster(
        wanted.brokers, partitions=wanted.partitions, ports=wanted.ports, **wanted.security
    ) as cluster:
        for topic in wanted.topics:
            name, _, partitions = topic.partition(":")
            await cluster.create_topic(name, int(partitions) if partitions else None)
        yield "embedded cluster", cluster.client_settings


def line_of(arrival: Arrival, *, shows_values: bool) -> str:
    """`topic[partition]@offset key size`, and the value when it is asked for."""
    topic, record = arrival
    size = "null" if record.value is None else f"{len(record.value)} bytes"
    line = f"{topic}[{record.partition}]@{record.offset} key={_text(record.key)} {size}"
    return f"{line} {_text(record.value)}" if shows_values else line


def _text(data: bytes | None) -> str:
    """Bytes on one line: as text where they are, with escapes for what would disturb a terminal."""
    if data is None:
        return "null"
    text = data.decode("utf-8", "backslashreplace")
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
