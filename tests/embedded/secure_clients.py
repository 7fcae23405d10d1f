"""How other clients, as released, come in: one record by each, with TLS, a client certificate and SASL as it has them.

`send` blocks, returns when the record is written, and raises RefusedError with all that the client has to say when it
does not come in.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import ssl
import threading
import time
import warnings
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Generator

    from aioproducer.testing import BlockingCluster

# Modules without types, or with types that are not those of the code: so nothing of them is checked.
aiokafka: Any = import_module("aiokafka")
aiokafka_abc: Any = import_module("aiokafka.abc")
confluent_kafka: Any = import_module("confluent_kafka")
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it reads its schemas with a function that is going away
    kafka_python: Any = import_module("kafka")
    kafka_python_oauth: Any = import_module("kafka.net.sasl.oauth")

SECONDS: Final = 10.0
SECONDS_TO_REFUSE: Final = 3.0


class RefusedError(Exception):
    """The client does not come in; the message is what it says."""


@dataclass(frozen=True)
class Access:
    """What a client is told."""

    servers: list[str]
    protocol: str
    ca_file: str | None = None
    certfile: str | None = None
    keyfile: str | None = None
    mechanism: str | None = None
    user: str = "alice"
    password: str = "secret"
    token: str = ""

    @classmethod
    def to(cls, cluster: BlockingCluster, mechanism: str | None = None, user: str = "alice") -> Self:
        """What comes in."""
        told = cluster.settings_for(user if mechanism else None, mechanism)
        return cls(
            servers=told["bootstrap_servers"],
            protocol=told.get("security_protocol", "PLAINTEXT"),
            ca_file=told.get("ssl_truststore_location"),
            certfile=told.get("ssl_certfile"),
            keyfile=told.get("ssl_keyfile"),
            mechanism=mechanism,
            user=user,
            password=told.get("sasl_password", ""),
            token=cluster.oauth_token(user),
        )

    def but(self, **changed: Any) -> Self:
        """The same with something else."""
        return replace(self, **changed)


class SecureClient(Protocol):
    """Another library."""

    name: ClassVar[str]

    def send(self, access: Access, topic: str, value: bytes) -> None:
        """Write one record. Raises RefusedError."""
        ...


class ConfluentKafka:
    """librdkafka."""

    name: ClassVar[str] = "confluent-kafka"

    def send(self, access: Access, topic: str, value: bytes) -> None:
        told: list[str] = []
        refused = threading.Event()

        def on_error(error: Any) -> None:
            told.append(f"{error.name()}: {error.str()}")
            if error.name() in ("_AUTHENTICATION", "_SSL", "_ALL_BROKERS_DOWN"):
                refused.set()

        settings = self._settings(access) | {"error_cb": on_error}
        producer = confluent_kafka.Producer(settings)
        producer.produce(topic, value)
        deadline = time.monotonic() + SECONDS
        while producer.flush(0.05) and time.monotonic() < deadline and not refused.is_set():
            pass
        if len(producer):
            producer.purge()
            producer.flush(1)
            raise RefusedError("; ".join(told) or "it says nothing")

    def _settings(self, access: Access) -> dict[str, Any]:
        settings: dict[str, Any] = {
            "bootstrap.servers": ",".join(access.servers),
            "security.protocol": access.protocol,
            "linger.ms": 0,
            "log_level": 0,
        }
        if access.ca_file:
            settings["ssl.ca.location"] = access.ca_file
        if access.certfile:
            settings |= {"ssl.certificate.location": access.certfile, "ssl.key.location": access.keyfile}
        if access.mechanism:
            settings["sasl.mechanism"] = access.mechanism
        if access.mechanism == "OAUTHBEARER":
            settings["oauth_cb"] = partial(_token, access)
        elif access.mechanism:
            settings |= {"sasl.username": access.user, "sasl.password": access.password}
        return settings


def _token(access: Access, _: str) -> tuple[str, float, str, dict[str, str]]:
    """What librdkafka asks for: token, expiry, principal, extensions."""
    return access.token, time.time() + 3600, access.user, {}


class KafkaPython:
    """kafka-python."""

    name: ClassVar[str] = "kafka-python"

    def send(self, access: Access, topic: str, value: bytes) -> None:
        settings: dict[str, Any] = {
            "bootstrap_servers": access.servers,
            "security_protocol": access.protocol,
            "max_block_ms": SECONDS_TO_REFUSE * 1000,
            "bootstrap_timeout_ms": SECONDS_TO_REFUSE * 1000,
            "ssl_cafile": access.ca_file,
            "ssl_certfile": access.certfile,
            "ssl_keyfile": access.keyfile,
        }
        if access.mechanism == "OAUTHBEARER":
            settings |= {"sasl_mechanism": access.mechanism, "sasl_oauth_token_provider": _Provided(access.token)}
        elif access.mechanism:
            settings |= {
                "sasl_mechanism": access.mechanism,
                "sasl_plain_username": access.user,
                "sasl_plain_password": access.password,
            }
        with _quiet("kafka"), contextlib.ExitStack() as stack:
            producer = kafka_python.KafkaProducer(**settings)
            stack.callback(producer.close, timeout=1)
            producer.send(topic, value).get(timeout=SECONDS)


class AioKafka:
    """aiokafka, in an event loop of its own."""

    name: ClassVar[str] = "aiokafka"

    def send(self, access: Access, topic: str, value: bytes) -> None:
        with _quiet("aiokafka"):
            asyncio.run(self._send(access, topic, value))

    async def _send(self, access: Access, topic: str, value: bytes) -> None:
        settings: dict[str, Any] = {"bootstrap_servers": access.servers, "security_protocol": access.protocol}
        if access.ca_file:
            context = ssl.create_default_context(cafile=access.ca_file)
            if access.certfile:
                context.load_cert_chain(access.certfile, access.keyfile)
            settings["ssl_context"] = context
        if access.mechanism == "OAUTHBEARER":
            provider = _token_provider(access.token)
            settings |= {"sasl_mechanism": access.mechanism, "sasl_oauth_token_provider": provider}
        elif access.mechanism:
            settings |= {
                "sasl_mechanism": access.mechanism,
                "sasl_plain_username": access.user,
                "sasl_plain_password": access.password,
            }
        producer = aiokafka.AIOKafkaProducer(**settings)
        try:
            await asyncio.wait_for(producer.start(), SECONDS_TO_REFUSE)
            await asyncio.wait_for(producer.send_and_wait(topic, value), SECONDS)
        finally:
            await producer.stop()


class _Provided(kafka_python_oauth.AbstractTokenProvider):  # type: ignore[misc]  # the base has no types
    """What kafka-python asks for tokens."""

    def __init__(self, token: str) -> None:
        self._token = token

    def token(self) -> str:
        return self._token

    def extensions(self) -> dict[str, str]:
        return {}


def _token_provider(token: str) -> Any:
    class Provider(aiokafka_abc.AbstractTokenProvider):  # type: ignore[misc]  # the base has no types
        async def token(self) -> str:
            return token

    return Provider()


@contextlib.contextmanager
def _quiet(name: str) -> Generator[None]:
    """What a refused client logs is what its exception says again; and it leaves sockets open for the collector."""
    logger = logging.getLogger(name)
    before, logger.level = logger.level, logging.CRITICAL + 1
    refusal = ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            yield
        except Exception as error:
            refusal = f"{type(error).__name__}: {error}"
        finally:
            logger.level = before
        gc.collect()
    if refusal:
        raise RefusedError(refusal)


CLIENTS: Final[list[SecureClient]] = [ConfluentKafka(), KafkaPython(), AioKafka()]
