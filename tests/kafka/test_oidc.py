"""A real Kafka that checks tokens, and a real OpenID provider that issues them; only what lies between is ours."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread
import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from aioproducer import Producer
from aioproducer.errors import AuthenticationError, BootstrapError
from aioproducer.security import AssertionFile, Claims, JwtBearer, OidcClientCredentials, SignedAssertion, TokenEndpoint
from aioproducer.testing import RealCluster
from tests.conftest import BACKENDS
from tests.servers import pem
from tests.servers.oidc import AUDIENCE, SCOPE, OidcClient, OidcProvider, has_node

pytestmark = [pytest.mark.kafka, pytest.mark.skipif(not has_node(), reason="node is missing")]

SECRET: Final = "the secret: of a client & more"
SHORT_SECONDS: Final = 4
LISTENERS: Final = {"BEARER": "SASL_PLAINTEXT", "BEARERTLS": "SASL_SSL"}
_OAUTH: Final = "org.apache.kafka.common.security.oauthbearer."


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """What is tried here is far from the event loop: one is enough but where a test says so."""
    return BACKENDS["asyncio"]


@dataclass(frozen=True, slots=True)
class Checked:
    """A cluster that checks tokens by the keys of a provider, and where the client's own keys are."""

    cluster: RealCluster
    provider: OidcProvider
    folder: Path

    def settings(self, tokens: Any, listener: str = "BEARER", **settings: Any) -> dict[str, Any]:
        """What a producer needs."""
        protocol = LISTENERS[listener]
        trust = {"ssl_truststore_location": str(self.folder / "ca.pem")} if protocol == "SASL_SSL" else {}
        return {
            "bootstrap_servers": self.cluster.servers(listener),
            "security_protocol": protocol,
            "sasl_mechanism": "OAUTHBEARER",
            "sasl_oauth_token_provider": tokens,
            "linger_ms": 0,
            "max_block_ms": 30_000,
            **trust,
            **settings,
        }

    def tokens(self, client_id: str, secret: str = SECRET, scope: str = SCOPE) -> OidcClientCredentials:
        """The tokens of a client with a secret, which has characters that the header has to be encoded for."""
        return OidcClientCredentials(self.provider.token_url, client_id, secret, scope=scope, urlencode_header=True)

    def statement(self, client_id: str, algorithm: Any) -> SignedAssertion:
        """What a client with a key says of itself."""
        claims = Claims(audience=self.provider.issuer, issuer=client_id, subject=client_id, has_id=True)
        return SignedAssertion(str(self.folder / f"{client_id}.pem"), claims=claims, algorithm=algorithm)


def _keys(folder: Path) -> dict[str, str]:
    """Write the private keys of two clients; the public ones by the clients' ids."""
    keys: dict[str, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey] = {
        "by-rsa": rsa.generate_private_key(65_537, 2_048),
        "by-ec": ec.generate_private_key(ec.SECP256R1()),
    }
    for name, key in keys.items():
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        pem.write(folder, f"{name}.pem", private)
    return {
        name: key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        for name, key in keys.items()
    }


def _clients(public_keys: dict[str, str]) -> list[OidcClient]:
    return [
        OidcClient("basic", SECRET),
        OidcClient("post", SECRET, method="client_secret_post"),
        OidcClient("by-rsa", method="private_key_jwt", publicKey=public_keys["by-rsa"], algorithm="RS256"),
        OidcClient("by-ec", method="private_key_jwt", publicKey=public_keys["by-ec"], algorithm="ES256"),
        OidcClient("for-others", SECRET, audience="registry"),
        OidcClient("short", SECRET, seconds=SHORT_SECONDS),
        OidcClient("ended", SECRET, seconds=1),
    ]


def _properties(folder: Path, provider: OidcProvider) -> dict[str, str]:
    properties = {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(folder / "server.pem"),
    }
    for listener in LISTENERS:
        prefix = f"listener.name.{listener.lower()}."
        properties |= {
            f"{prefix}sasl.enabled.mechanisms": "OAUTHBEARER",
            f"{prefix}oauthbearer.sasl.jaas.config": f"{_OAUTH}OAuthBearerLoginModule required;",
            f"{prefix}oauthbearer.sasl.server.callback.handler.class": f"{_OAUTH}OAuthBearerValidatorCallbackHandler",
            f"{prefix}oauthbearer.sasl.oauthbearer.jwks.endpoint.url": provider.keys_url,
            f"{prefix}oauthbearer.sasl.oauthbearer.expected.issuer": provider.issuer,
            f"{prefix}oauthbearer.sasl.oauthbearer.expected.audience": AUDIENCE,
        }
    return properties


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checked]:
    folder = tmp_path_factory.mktemp("checked")
    ca = trustme.CA()
    pem.write(folder, "ca.pem", ca.cert_pem.bytes())
    pem.write(folder, "server.pem", pem.key_and_chain(ca.issue_cert("localhost", "127.0.0.1")))
    with OidcProvider(_clients(_keys(folder))) as provider:
        # Brokers open no address for keys that the Java options do not name, and want the keys when they start.
        allowed = f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={provider.keys_url}"
        properties = _properties(folder, provider)
        with RealCluster(listeners=LISTENERS, properties=properties, java_options=[allowed]) as cluster:
            yield Checked(cluster, provider, folder)


@pytest.fixture
def stopped(checked: Checked) -> Iterator[OidcProvider]:
    """The provider, stopped; it runs again after the test."""
    checked.provider.stop()
    yield checked.provider
    checked.provider.stop()
    checked.provider.start()


async def delivers(settings: dict[str, Any], **more: Any) -> None:
    with anyio.fail_after(45):
        async with Producer(**settings, **more) as producer:
            assert (await producer.send("checked", b"x")).offset >= 0


async def refusal(settings: dict[str, Any]) -> AuthenticationError:
    """Start; how it is refused, at once."""
    with anyio.fail_after(15), pytest.raises(AuthenticationError) as caught:
        await Producer[bytes, bytes](**settings).start()
    assert SECRET not in f"{caught.value}{caught.value.__cause__}"
    return caught.value


# ── tokens that are good ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("anyio_backend", BACKENDS.values(), ids=list(BACKENDS))
async def test_tokens_for_a_secret(checked: Checked) -> None:
    await delivers(checked.settings(checked.tokens("basic")))


async def test_over_tls(checked: Checked) -> None:
    await delivers(checked.settings(checked.tokens("basic"), "BEARERTLS"))


async def test_id_and_secret_in_the_form(checked: Checked) -> None:
    tokens = OidcClientCredentials(checked.provider.token_url, "post", SECRET, scope=SCOPE, client_auth="post")
    await delivers(checked.settings(tokens))


async def test_by_settings_alone(checked: Checked) -> None:
    await delivers(
        checked.settings(None),
        sasl_oauthbearer_token_endpoint_url=checked.provider.token_url,
        sasl_oauthbearer_client_credentials_client_id="basic",
        sasl_oauthbearer_client_credentials_client_secret=SECRET,
        sasl_oauthbearer_scope=SCOPE,
        sasl_oauthbearer_header_urlencode=True,
    )


@pytest.mark.parametrize(("client_id", "algorithm"), [("by-rsa", "RS256"), ("by-ec", "ES256")])
async def test_a_signed_statement_in_place_of_the_secret(checked: Checked, client_id: str, algorithm: str) -> None:
    tokens = OidcClientCredentials(
        checked.provider.token_url, client_id, assertion=checked.statement(client_id, algorithm), scope=SCOPE
    )
    await delivers(checked.settings(tokens))


async def test_a_statement_that_somebody_else_signs(checked: Checked, tmp_path: Path) -> None:
    statement = await checked.statement("by-rsa", "RS256")()
    path = pem.write(tmp_path, "statement.jwt", statement.reveal_bytes() + b"\n")
    tokens = OidcClientCredentials(checked.provider.token_url, "by-rsa", assertion=AssertionFile(path), scope=SCOPE)
    await delivers(checked.settings(tokens))


# ── refused ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_wrong_secret_is_told_at_once(checked: Checked) -> None:
    error = await refusal(checked.settings(checked.tokens("basic", "wrong-one")))
    assert f"{checked.provider.token_url} answered HTTP 401: 'invalid_client'" in str(error)
    assert "wrong-one" not in str(error)


async def test_a_scope_that_is_not_given(checked: Checked) -> None:
    error = await refusal(checked.settings(checked.tokens("basic", scope="others-only")))
    assert "HTTP 400: 'invalid_scope'" in str(error)


async def test_a_statement_of_another_key(checked: Checked) -> None:
    claims = Claims(audience=checked.provider.issuer, issuer="by-rsa", subject="by-rsa", has_id=True)
    other = SignedAssertion(str(checked.folder / "by-ec.pem"), claims=claims, algorithm="ES256")
    tokens = OidcClientCredentials(checked.provider.token_url, "by-rsa", assertion=other, scope=SCOPE)
    assert "HTTP 401: 'invalid_client'" in str(await refusal(checked.settings(tokens)))


async def test_a_grant_that_the_provider_does_not_have(checked: Checked) -> None:
    tokens = JwtBearer(checked.provider.token_url, checked.statement("by-rsa", "RS256"), scope=SCOPE)
    error = await refusal(checked.settings(tokens))
    assert "HTTP 400: 'invalid_request'" in str(error)


async def test_the_broker_refuses_a_token_for_another_audience(checked: Checked) -> None:
    error = await refusal(checked.settings(checked.tokens("for-others")))
    assert error.name == "SASL_AUTHENTICATION_FAILED"
    assert "the broker refuses the token: 'invalid_token'" in str(error)
    assert "for another audience" in str(error)


async def test_a_token_that_has_ended_when_it_arrives_tells_of_clocks(checked: Checked) -> None:
    settings = checked.settings(checked.tokens("ended"), max_block_ms=1_500)
    with anyio.fail_after(15), pytest.raises(BootstrapError, match="check both clocks"):
        await Producer[bytes, bytes](**settings).start()


# ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_records_flow_past_the_end_of_a_token(checked: Checked) -> None:
    tokens, asked = checked.tokens("short"), 0

    async def counted() -> Any:
        nonlocal asked
        asked += 1
        return await tokens()

    async with Producer(**checked.settings(counted)) as producer:
        began, offsets = time.monotonic(), list[int]()
        while time.monotonic() < began + SHORT_SECONDS + 1.5:
            offsets.append((await producer.send("past-the-end", b"x")).offset)
            await anyio.sleep(0.1)
    assert offsets == list(range(len(offsets)))
    assert asked >= 2


async def test_start_waits_for_a_provider_that_is_down(checked: Checked, stopped: OidcProvider) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(delivers, checked.settings(checked.tokens("basic")))
        await anyio.sleep(1)
        await anyio.to_thread.run_sync(stopped.start)


async def test_a_provider_that_stays_down_is_named(checked: Checked, stopped: OidcProvider) -> None:
    endpoint = TokenEndpoint(stopped.token_url, retry_backoff_max_ms=300)
    settings = checked.settings(OidcClientCredentials(endpoint, "basic", SECRET, scope=SCOPE), max_block_ms=2_000)
    with anyio.fail_after(15), pytest.raises(BootstrapError, match=stopped.token_url):
        await Producer[bytes, bytes](**settings).start()


async def test_records_wait_while_the_provider_is_down_and_none_is_lost(checked: Checked) -> None:
    endpoint = TokenEndpoint(checked.provider.token_url, retry_backoff_max_ms=500)
    tokens = OidcClientCredentials(endpoint, "short", SECRET, scope=SCOPE, urlencode_header=True)
    async with Producer(**checked.settings(tokens)) as producer:
        await producer.send("provider-down", b"before")
        checked.provider.stop()
        try:
            ended = time.monotonic() + SHORT_SECONDS + 1
            deliveries = list[Any]()
            while time.monotonic() < ended:
                deliveries.append(producer.submit_nowait("provider-down", b"while it is down"))
                await anyio.sleep(0.2)
        finally:
            checked.provider.start()
        with anyio.fail_after(40):
            offsets = [(await delivery).offset for delivery in deliveries]
    assert offsets == list(range(1, len(offsets) + 1))
