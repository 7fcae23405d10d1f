"""No password, token or key is in what a failed login leaves behind, tracebacks with locals included."""

from __future__ import annotations

import base64
import traceback
from typing import TYPE_CHECKING, Any, Final

import anyio
import pytest

from aioproducer import ConfigurationError, ProducerConfig
from aioproducer._net.dialer import Dialer
from aioproducer._net.sasl import (
    KerberosCredentials,
    SaslStep,
    TokenCredentials,
    plain_credentials,
    scram_credentials,
)
from aioproducer._net.setup import SetupSteps
from aioproducer._net.tls_context import TlsSettings, make_context
from aioproducer._secret import Secret
from aioproducer._wire.frames import decode_request, encode_response
from aioproducer._wire.messages import ApiKey
from aioproducer._wire.messages.api_versions import ApiVersion, ApiVersionsResponse
from aioproducer.errors import ErrorCode, KafkaError
from aioproducer.security import Token, TokenCache
from tests.unit._net.mask import Mask, MaskStep
from tests.unit._net.script import Script
from tests.unit._net.test_sasl import answer, drive, handshake
from tests.unit._net.test_tls_context import chain_of, key_of
from tests.unit._net.tls_peers import certificates

if TYPE_CHECKING:
    from pathlib import Path

    from anyio.abc import ByteStream

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


class Held:
    """A GSSAPI context whose first message is the word."""

    target = "kafka/broker"
    is_complete = False

    def step(self, token: bytes) -> bytes:
        """Return the word."""
        return WORD.encode()

    def unwrap(self, message: bytes) -> bytes:
        """Not asked for."""
        raise AssertionError

    def wrap(self, message: bytes) -> bytes:
        """Not asked for."""
        raise AssertionError


def steps_of(kind: str) -> SaslStep:
    async def provider() -> Token:
        return Token(WORD, expires_at_ms=4_102_444_800_000)

    if kind == "PLAIN":
        return SaslStep(kind, plain_credentials("alice", WORD))
    if kind == "SCRAM-SHA-256":
        return SaslStep(kind, scram_credentials("SCRAM-SHA-256", "alice", WORD))
    if kind == "GSSAPI":
        return SaslStep(kind, KerberosCredentials(lambda host: Held()))
    return SaslStep(kind, TokenCredentials(TokenCache(provider)))


class Ending(Script):
    """Answers ApiVersions and SaslHandshake; what carries the credentials meets the end that is wanted."""

    def __init__(self, end: str, is_masked: bool) -> None:
        super().__init__()
        self._end = end
        self._mask = Mask() if is_masked else None
        self._asked: list[bytes] = []

    async def send(self, item: bytes) -> None:
        """Take a request."""
        await super().send(item)
        if self._mask is not None:
            item = self._mask.feed(item)
            self.answers += [answer for answer in [self._mask.take_outgoing()] if answer]
        if not item:
            return
        self._asked.append(item)
        number = len(self._asked)
        if number == LAST:
            assert decode_request(item[4:])[0].api_key == ApiKey.SASL_AUTHENTICATE
            if self._end == "broken while it is written":
                raise anyio.BrokenResourceError
            if self._end == "an exception of somebody else's":
                raise Words(item)
        answer = self._answer_to(number)
        if answer and self._mask is not None:
            self._mask.write(memoryview(answer))
            answer = self._mask.take_outgoing()
        self.answers += [answer] if answer else []

    def _answer_to(self, number: int) -> bytes:
        if number == 1:
            listed = [ApiVersion(api_key=key, min_version=0, max_version=most) for key, most in SPOKEN.items()]
            return encode_response(ApiVersionsResponse(api_keys=listed), 4, 0)
        if number == 2:
            return encode_response(handshake(), 1, 1)
        return encode_response(handshake(), 1, 77) if self._end == "no answer to it" else b""

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """Return an answer."""
        if self._end == "silence" and not self.answers:
            await anyio.sleep_forever()
        return await super().receive(max_bytes)


class Words(Exception):
    """What a stream that somebody else wrote raises: it quotes the request."""


SPOKEN: Final = {ApiKey.API_VERSIONS: 4, ApiKey.SASL_HANDSHAKE: 1, ApiKey.SASL_AUTHENTICATE: 2}
LAST: Final = 3


@pytest.mark.parametrize("is_masked", [False, True], ids=["plain", "through a layer"])
@pytest.mark.parametrize(
    "end",
    ["broken while it is written", "an exception of somebody else's", "closed", "no answer to it", "silence"],
)
@pytest.mark.parametrize("kind", ["PLAIN", "OAUTHBEARER", "SCRAM-SHA-256", "GSSAPI"])
async def test_a_connection_that_ends_during_a_login(kind: str, end: str, is_masked: bool) -> None:
    stream = Ending(end, is_masked)

    async def connector(host: str, port: int) -> ByteStream:
        return stream

    step = steps_of(kind)
    secure = MaskStep() if is_masked else None
    timeout = 0.05 if end == "silence" else 30.0
    dialer = Dialer(connector, "me", anyio.current_time, timeout, SetupSteps(secure=secure, authenticate=step))
    with pytest.raises(KafkaError) as caught:
        await dialer.dial("broker", 9092)
    assert len(stream.sent) >= LAST
    hidden(caught.value)
    hidden_in_frames_of_others(caught.value)


def hidden_in_frames_of_others(error: BaseException) -> None:
    """Nor is it in a variable of a frame of the stream's."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    seen: list[str] = []
    left = [told]
    for one in left:  # which grows
        seen += [f"{frame.name}: {frame.locals}" for frame in one.stack]
        left += [each for each in (one.__cause__, one.__context__) if each is not None]
    assert not [line for line in seen if any(form in line for form in FORMS)]


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
