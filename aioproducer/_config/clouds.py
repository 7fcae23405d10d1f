"""What services in the cloud take, for when a start has failed: a sentence about what cannot work with them.

A service is known by its host names. Nothing here changes a setting or is looked at before something failed: a private
name, a proxy or a new listener of theirs makes any of it wrong. From the vendors' pages; none of them was tried.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aioproducer._secret import Secret

if TYPE_CHECKING:
    from aioproducer._config.producer_config import ProducerConfig
    from aioproducer.errors import KafkaError

_PASSWORDS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


class Way(NamedTuple):
    """One way to log in; without mechanisms it is a client certificate or nothing, without ports any."""

    protocol: str
    mechanisms: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()

    def __str__(self) -> str:
        mechanisms = f" with {' or '.join(self.mechanisms)}" if self.mechanisms else ""
        return f"{self.protocol}{mechanisms}{_on(self.ports)}"


class Service(NamedTuple):
    """A service, how it is known, how one logs in, and what else its settings have to be like."""

    name: str
    hosts: re.Pattern[str]
    ways: tuple[Way, ...]
    check: Callable[[ProducerConfig], list[str]]


def add_hints(error: KafkaError, config: ProducerConfig) -> None:
    """Say at the end of an error's text what of the settings cannot work with the service that was called."""
    hints = hints_for(config)
    if hints:
        error.args = ("; ".join([str(error), *hints]), *error.args[1:])


def hints_for(config: ProducerConfig) -> list[str]:
    """Return a sentence for each thing that cannot work, told once for each service; it has no secret in it."""
    hints: dict[str, None] = {}
    for host, port in config.bootstrap_servers:
        for service in SERVICES:
            if service.hosts.fullmatch(host.lower().rstrip(".")):
                wrong = [*_login(service, config, port), *service.check(config)]
                hints.update(dict.fromkeys(f"{service.name}: {sentence}" for sentence in wrong))
    return list(hints)


def _login(service: Service, config: ProducerConfig, port: int) -> list[str]:
    protocol, mechanism = config.security_protocol, config.sasl_mechanism
    fitting = [
        way for way in service.ways if way.protocol == protocol and (not way.mechanisms or mechanism in way.mechanisms)
    ]
    if not fitting:
        given = f"{protocol} with {mechanism}" if mechanism else protocol
        return [f"security_protocol is {given}, and it takes {', or '.join(map(str, service.ways))}"]
    ports = tuple(number for way in fitting for number in way.ports)
    if ports and port not in ports:
        return [f"the port is {port}, and it takes {', or '.join(map(str, fitting))}"]
    return []


def _on(ports: tuple[int, ...]) -> str:
    return f" on port {' or '.join(map(str, ports))}" if ports else ""


def _nothing(_: ProducerConfig) -> list[str]:
    return []


def _event_hubs(config: ProducerConfig) -> list[str]:
    if config.sasl_mechanism != "PLAIN":
        return []
    wrong: list[str] = []
    if config.sasl_username != "$ConnectionString":
        wrong.append("sasl_username has to be the word $ConnectionString; a shell or a template may have replaced it")
    password: Any = config.sasl_password
    if isinstance(password, Secret) and not password.reveal_bytes().startswith(b"Endpoint=sb://"):
        wrong.append("sasl_password has to be the whole connection string, from Endpoint=sb:// to its end")
    return wrong


def _confluent(config: ProducerConfig) -> list[str]:
    if config.sasl_oauthbearer_token_endpoint_url is None or "logicalCluster" in (
        config.sasl_oauthbearer_extensions or {}
    ):
        return []
    return ["sasl_oauthbearer_extensions has to have logicalCluster=lkc-…"]


def _aiven(config: ProducerConfig) -> list[str]:
    if config.ssl_context is not None or not config.security_protocol.endswith("SSL"):
        return []
    wrong: list[str] = []
    if config.ssl_truststore_location is None and config.ssl_truststore_certificates is None:
        wrong.append("ssl_truststore_location has to be the project's ca.pem, whatever the login")
    has_certificate = config.ssl_certfile or config.ssl_keystore_location or config.ssl_keystore_key is not None
    if config.security_protocol == "SSL" and not has_certificate:
        wrong.append("ssl_certfile and ssl_keyfile have to be service.cert and service.key")
    return wrong


def _oci(config: ProducerConfig) -> list[str]:
    return ["it has no idempotence: set enable_idempotence=False"] if config.enable_idempotence else []


_IAM: Final = Way("SASL_SSL", ("OAUTHBEARER",), (9098, 9198))

SERVICES: Final = (
    Service(
        "Confluent Cloud",
        re.compile(r".+\.confluent\.cloud"),
        (Way("SASL_SSL", ("PLAIN", "OAUTHBEARER"), (9092,)),),
        _confluent,
    ),
    Service(
        "Amazon MSK",
        re.compile(r".+\.kafka\.[a-z0-9-]+\.amazonaws\.com(\.cn)?"),
        (
            Way("PLAINTEXT", (), (9092,)),
            Way("SSL", (), (9094, 9194)),
            Way("SASL_SSL", ("SCRAM-SHA-512",), (9096, 9196)),
            _IAM,
        ),
        _nothing,
    ),
    Service(
        "Amazon MSK Serverless",
        re.compile(r".+\.kafka-serverless\.[a-z0-9-]+\.amazonaws\.com(\.cn)?"),
        (Way("SASL_SSL", ("OAUTHBEARER",), (9098,)),),
        _nothing,
    ),
    Service(
        "Azure Event Hubs",
        re.compile(r".+\.servicebus\.windows\.net"),
        (Way("SASL_SSL", ("PLAIN", "OAUTHBEARER"), (9093,)),),
        _event_hubs,
    ),
    Service(
        "Google Managed Kafka",
        re.compile(r".+\.managedkafka\..+\.cloud\.goog"),
        (Way("SASL_SSL", ("OAUTHBEARER", "PLAIN"), (9092,)),),
        _nothing,
    ),
    Service(
        "Aiven",
        re.compile(r".+\.aivencloud\.com"),
        (Way("SSL"), Way("SASL_SSL", _PASSWORDS)),
        _aiven,
    ),
    Service(
        "OCI Streaming",
        re.compile(r".+\.streaming\..+\.oraclecloud\.com"),
        (Way("SASL_SSL", ("PLAIN",), (9092,)),),
        _oci,
    ),
)
"""The services with host names of their own; docs/security.md has settings for each."""
