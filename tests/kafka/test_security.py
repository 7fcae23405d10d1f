"""TLS and SASL with a real Kafka: who gets in, who does not, and what is said."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio
import pytest
import trustme

from aioproducer import Producer
from aioproducer.errors import AuthenticationError, BootstrapError, KafkaConnectionError
from aioproducer.testing import RealCluster
from tests.servers import pem

pytestmark = pytest.mark.kafka

USER: Final = "alice"
PLAIN_PASSWORD: Final = "plain-password"
SCRAM_PASSWORD: Final = "scram-password"
ITERATIONS: Final = 8192  # more than the least, so that a thread derives the keys
LISTENERS: Final = {"TLS": "SSL", "MTLS": "SSL", "OLDTLS": "SSL", "SASL": "SASL_PLAINTEXT", "BOTH": "SASL_SSL"}
MECHANISMS: Final = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


@dataclass(frozen=True, slots=True)
class Secured:
    """A cluster of one node with a listener of each kind, and the files for it."""

    cluster: RealCluster
    folder: Path

    def path(self, name: str) -> str:
        """One of the files."""
        return str(self.folder / name)

    def settings(self, listener: str, **settings: Any) -> dict[str, Any]:
        """What a producer needs for a listener, but for who it is."""
        protocol = LISTENERS[listener]
        trust = {"ssl_truststore_location": self.path("ca.pem")} if protocol.endswith("SSL") else {}
        return {
            "bootstrap_servers": self.cluster.servers(listener),
            "security_protocol": protocol,
            "linger_ms": 0,
            "max_block_ms": 30_000,
            **trust,
            **settings,
        }


def _properties(folder: Path) -> dict[str, str]:
    plain = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PLAIN_PASSWORD}";'
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    oauth = "org.apache.kafka.common.security.oauthbearer"
    bearer = f'{oauth}.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="x";'
    unsecured = f"{oauth}.internals.unsecured.OAuthBearerUnsecuredValidatorCallbackHandler"
    properties = {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(folder / "server.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(folder / "ca.pem"),
        "listener.name.mtls.ssl.client.auth": "required",
        "listener.name.oldtls.ssl.enabled.protocols": "TLSv1.2",
    }
    for listener in ("sasl", "both"):
        prefix = f"listener.name.{listener}."
        properties |= {
            f"{prefix}sasl.enabled.mechanisms": f"{','.join(MECHANISMS)},OAUTHBEARER",
            f"{prefix}plain.sasl.jaas.config": plain,
            f"{prefix}scram-sha-256.sasl.jaas.config": scram,
            f"{prefix}scram-sha-512.sasl.jaas.config": scram,
            f"{prefix}oauthbearer.sasl.jaas.config": bearer,
            f"{prefix}oauthbearer.sasl.server.callback.handler.class": unsecured,
        }
    return properties


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    ca, other_ca = trustme.CA(), trustme.CA()
    server = ca.issue_cert("localhost", "127.0.0.1")
    # An address, as trustme otherwise writes an empty and critical list of names, which Java refuses.
    alice, stranger = ca.issue_cert("alice@example.test"), other_ca.issue_cert("mallory@example.test")
    pem.write(folder, "server.pem", pem.key_and_chain(server))
    pem.write(folder, "ca.pem", ca.cert_pem.bytes())
    pem.write(folder, "other-ca.pem", other_ca.cert_pem.bytes())
    pem.write(folder, "alice.pem", pem.key_and_chain(alice))
    pem.write(folder, "alice-locked.pem", pem.key_and_chain(alice, b"key-password"))
    pem.write(folder, "stranger.pem", pem.key_and_chain(stranger))
    users = [
        argument
        for mechanism in MECHANISMS[1:]
        for argument in ("--add-scram", f"{mechanism}=[name={USER},password={SCRAM_PASSWORD},iterations={ITERATIONS}]")
    ]
    with RealCluster(listeners=LISTENERS, properties=_properties(folder), format_arguments=users) as cluster:
        yield Secured(cluster, folder)


async def delivers(settings: dict[str, Any]) -> None:
    """Send with these settings: small, and larger than any buffer."""
    with anyio.fail_after(60):
        async with Producer(**settings, max_request_size=2 << 20, compression_type=None) as producer:
            first = await producer.send("secured", b"x")
            large = await producer.send("secured", bytes(900_000))
    assert large.offset > first.offset >= 0


async def refusal(settings: dict[str, Any]) -> AuthenticationError:
    """Start with these settings; how it is refused, at once."""
    with anyio.fail_after(15), pytest.raises(AuthenticationError) as caught:
        async with Producer(**settings):
            pass
    text = "".join(str(error) for error in (caught.value, caught.value.__cause__))
    assert not [secret for secret in (PLAIN_PASSWORD, SCRAM_PASSWORD, "wrong-one") if secret in text]
    return caught.value


def password_of(mechanism: str) -> str:
    return PLAIN_PASSWORD if mechanism == "PLAIN" else SCRAM_PASSWORD


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("listener", ["TLS", "OLDTLS"])
async def test_tls(secured: Secured, listener: str) -> None:
    await delivers(secured.settings(listener))


async def test_tls_with_a_context_of_the_programs(secured: Secured) -> None:
    context = ssl.create_default_context(cafile=secured.path("ca.pem"))
    await delivers(secured.settings("TLS", ssl_truststore_location=None, ssl_context=context))


async def test_a_ca_that_is_not_trusted(secured: Secured) -> None:
    error = await refusal(secured.settings("TLS", ssl_truststore_location=secured.path("other-ca.pem")))
    assert error.phase == "tls"
    assert "ssl_truststore_location" in str(error)


async def test_the_systems_certificates_do_not_have_it(secured: Secured) -> None:
    error = await refusal(secured.settings("TLS", ssl_truststore_location=None))
    assert "not signed by a CA that is trusted here" in str(error)


async def test_client_certificates(secured: Secured) -> None:
    await delivers(secured.settings("MTLS", ssl_keystore_location=secured.path("alice.pem")))
    locked = {"ssl_keystore_location": secured.path("alice-locked.pem"), "ssl_key_password": "key-password"}
    await delivers(secured.settings("MTLS", **locked))


@pytest.mark.parametrize("shows", [None, "stranger.pem"])
async def test_a_client_certificate_that_is_missing_or_not_trusted(secured: Secured, shows: str | None) -> None:
    own = {} if shows is None else {"ssl_keystore_location": secured.path(shows)}
    error = await refusal(secured.settings("MTLS", **own))
    assert error.phase == "tls"
    assert "client certificate" in str(error)


async def test_no_version_in_common(secured: Secured) -> None:
    error = await refusal(secured.settings("OLDTLS", ssl_enabled_protocols="TLSv1.3"))
    assert "ssl_enabled_protocols" in str(error)


async def test_tls_on_a_plaintext_listener(secured: Secured) -> None:
    settings = secured.settings("TLS", bootstrap_servers=secured.cluster.bootstrap_servers, max_block_ms=1_500)
    with pytest.raises(BootstrapError, match="set security_protocol to PLAINTEXT"):
        async with Producer(**settings):
            pass


# ── SASL ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("listener", ["SASL", "BOTH"])
async def test_passwords(secured: Secured, listener: str, mechanism: str) -> None:
    who = {"sasl_mechanism": mechanism, "sasl_username": USER, "sasl_password": password_of(mechanism)}
    await delivers(secured.settings(listener, **who))


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("user", [USER, "nobody"])
async def test_a_wrong_password_or_user_is_told_at_once(secured: Secured, mechanism: str, user: str) -> None:
    error = await refusal(
        secured.settings("BOTH", sasl_mechanism=mechanism, sasl_username=user, sasl_password="wrong-one")
    )
    assert (error.phase, error.name) == (None, "SASL_AUTHENTICATION_FAILED")
    assert f"SASL {mechanism}" in str(error)
    assert "Authentication failed" in str(error)  # the broker's own words
    if mechanism != "PLAIN":
        assert ("wrong password" if user == USER else "unknown user") in str(error)


async def test_a_password_is_asked_for_at_each_start(secured: Secured) -> None:
    passwords = ["wrong-one", PLAIN_PASSWORD]

    async def password() -> str:
        return passwords.pop(0)

    settings = secured.settings("SASL", sasl_mechanism="PLAIN", sasl_username=USER, sasl_password=password)
    producer = Producer[bytes, bytes](**settings)
    with pytest.raises(AuthenticationError):
        await producer.start()
    await producer.start()
    await producer.close()


async def test_javas_form_of_credentials(secured: Secured) -> None:
    jaas = (
        "org.apache.kafka.common.security.scram.ScramLoginModule required"
        f' username="{USER}" password="{SCRAM_PASSWORD}";'
    )
    await delivers(secured.settings("BOTH", sasl_mechanism="SCRAM-SHA-512", sasl_jaas_config=jaas))


async def test_a_mechanism_that_is_not_offered_names_those_that_are(secured: Secured) -> None:
    settings = secured.settings("SASL", sasl_mechanism="PLAIN", sasl_username="x", sasl_password="x")
    settings |= {"bootstrap_servers": secured.cluster.bootstrap_servers}
    error = await refusal(settings)  # a listener without SASL
    assert "does not use SASL" in str(error)


async def test_tokens(secured: Secured) -> None:
    asked = 0

    async def token() -> str:
        nonlocal asked
        asked += 1
        return _unsecured_token()

    await delivers(secured.settings("SASL", sasl_mechanism="OAUTHBEARER", sasl_oauth_token_provider=token))
    assert asked >= 1


async def test_a_refused_token_says_why(secured: Secured) -> None:
    def token() -> str:
        return _unsecured_token(age=-3_600)  # good from an hour on

    error = await refusal(secured.settings("SASL", sasl_mechanism="OAUTHBEARER", sasl_oauth_token_provider=token))
    assert "token" in str(error)


async def test_a_provider_that_fails_is_asked_again(secured: Secured) -> None:
    answers: list[Exception | str] = [OSError("identity provider is away"), _unsecured_token()]

    async def token() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        answers.append(answer)
        return answer

    await delivers(secured.settings("SASL", sasl_mechanism="OAUTHBEARER", sasl_oauth_token_provider=token))


async def test_a_password_without_tls_is_not_sent_by_scram(secured: Secured) -> None:
    with pytest.raises((AuthenticationError, KafkaConnectionError)):
        settings = secured.settings("SASL", sasl_mechanism="SCRAM-SHA-256", sasl_username=USER, sasl_password="x")
        async with Producer(**settings):
            pass


def _unsecured_token(expires_in: int = 600, age: int = 0) -> str:
    import base64
    import json
    import time

    def part(content: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

    now = int(time.time())
    claims = {"sub": USER, "iat": now - age, "exp": now + expires_in, "nbf": now - age}
    return f"{part({'alg': 'none'})}.{part(claims)}."
