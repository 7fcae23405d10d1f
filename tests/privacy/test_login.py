"""No password, token or key is in what a failed login leaves behind, tracebacks with locals included."""

from __future__ import annotations

import base64
import traceback
from typing import TYPE_CHECKING, Any, Final

import pytest

from aioproducer import ConfigurationError, ProducerConfig
from aioproducer._net.sasl import SaslStep, TokenCredentials, plain_credentials, scram_credentials
from aioproducer._net.tls_context import TlsSettings, make_context
from aioproducer._secret import Secret
from aioproducer.errors import ErrorCode, KafkaError
from aioproducer.security import Token, TokenCache
from tests.unit._net.test_sasl import answer, drive, handshake
from tests.unit._net.test_tls_context import chain_of, key_of
from tests.unit._net.tls_peers import certificates

if TYPE_CHECKING:
    from pathlib import Path

WORD: Final = "SENTINEL-WORD"
FORMS: Final = [WORD, base64.b64encode(WORD.encode()).decode().rstrip("="), WORD.encode().hex()]
REFUSED: Final = answer(ErrorCode.SASL_AUTHENTICATION_FAILED, "Authentication failed")
SERVER_FIRST: Final = b"r=%s,s=QSXCR+Q6sek8bf92,i=4096"


def hidden(error: BaseException) -> None:
    """Nothing of the word is in the whole traceback with the locals of its frames in the package."""
    frames = traceback.TracebackException.from_exception(error, capture_locals=True)
    text = "".join(_of_package(frames)) + repr(error) + str(error)
    assert not [form for form in FORMS if form in text], text


def _of_package(told: traceback.TracebackException) -> list[str]:
    lines = [f"{frame.name}: {frame.locals}" for frame in told.stack if "/aioproducer/" in frame.filename]
    for other in (told.__cause__, told.__context__):
        lines += [] if other is None else _of_package(other)
    return lines


async def test_plain() -> None:
    with pytest.raises(KafkaError) as caught:
        await drive(SaslStep("PLAIN", plain_credentials("alice", WORD)), handshake(), REFUSED)
    hidden(caught.value)


async def test_scram() -> None:
    step = SaslStep("SCRAM-SHA-256", scram_credentials("SCRAM-SHA-256", "alice", WORD))
    with pytest.raises(KafkaError) as caught:
        await drive(step, handshake(), REFUSED)
    hidden(caught.value)
    with pytest.raises(KafkaError) as caught:
        await drive(step, handshake(), answer(data=SERVER_FIRST % b"another-nonce"))
    hidden(caught.value)


async def test_tokens() -> None:
    async def provider() -> Token:
        return Token(WORD, expires_at_ms=4_102_444_800_000)

    step = SaslStep("OAUTHBEARER", TokenCredentials(TokenCache(provider)))
    with pytest.raises(KafkaError) as caught:
        await drive(step, handshake(), REFUSED)
    hidden(caught.value)


def test_keys(tmp_path: Path) -> None:
    alice = certificates().client
    (tmp_path / "a.pem").write_text(key_of(alice, WORD) + chain_of(alice))
    settings = TlsSettings(keystore_location=str(tmp_path / "a.pem"), key_password=Secret(f"{WORD}x"))
    with pytest.raises(ConfigurationError) as caught:
        make_context(settings)
    hidden(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"sasl_mechanism": "PLAIN", "sasl_username": "u", "sasl_password": f"{WORD}\0"},
        {
            "sasl_mechanism": "PLAIN",
            "sasl_jaas_config": f'x.PlainLoginModule required username="u" password={WORD}@;',
        },
        {"sasl_mechanism": "OAUTHBEARER", "sasl_password": WORD},
    ],
)
def test_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ProducerConfig(bootstrap_servers="a:1", security_protocol="SASL_SSL", **settings)
    hidden(caught.value)


def test_settings_from_a_mapping_and_a_file(tmp_path: Path) -> None:
    given = {"bootstrap.servers": "a:1", "sasl.mechanism": "PLAIN", "sasl.password": WORD}
    with pytest.raises(ConfigurationError) as caught:
        ProducerConfig.from_config(given)
    hidden(caught.value)
    (tmp_path / "a.properties").write_text("\n".join(f"{name}={value}" for name, value in given.items()))
    with pytest.raises(ConfigurationError) as caught:
        ProducerConfig.from_file(tmp_path / "a.properties")
    hidden(caught.value)
