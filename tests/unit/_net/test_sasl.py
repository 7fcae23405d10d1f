"""_net/sasl.py: the exchange as a generator, driven with made-up answers."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Awaitable, Callable
from types import MappingProxyType
from typing import Any

import pytest

from aioproducer._net.sasl import (
    MAX_TOKEN_BYTES,
    KerberosCredentials,
    SaslStep,
    TokenCredentials,
    plain_credentials,
    scram_credentials,
)
from aioproducer._net.setup import Ask, Await
from aioproducer._wire.messages import ApiKey
from aioproducer._wire.messages.sasl_authenticate import SaslAuthenticateRequest, SaslAuthenticateResponse
from aioproducer._wire.messages.sasl_handshake import SaslHandshakeRequest, SaslHandshakeResponse
from aioproducer._wire.negotiation import ApiVersionRange, BrokerVersions
from aioproducer.errors import AuthenticationError, ErrorCode, KafkaConnectionError, UnsupportedVersionError
from aioproducer.sasl import Mechanism, OAuthBearer, Plain
from aioproducer.security import Token, TokenCache
from aioproducer.security._failures import unavailable
from aioproducer.security._threads import THREAD_NAME

SECRET = "s3cret-word"


def versions(handshake: int = 1, authenticate: int = 2) -> BrokerVersions:
    return BrokerVersions(
        apis=MappingProxyType(
            {
                ApiKey.SASL_HANDSHAKE: ApiVersionRange(0, handshake),
                ApiKey.SASL_AUTHENTICATE: ApiVersionRange(0, authenticate),
            }
        ),
        supported_features=MappingProxyType({}),
        finalized_features=MappingProxyType({}),
        finalized_features_epoch=-1,
    )


async def drive(step: SaslStep, *answers: Any, spoken: BrokerVersions | None = None) -> tuple[list[Ask], Any]:
    """Run the exchange with these answers; return what it asked, and what it came to."""
    exchange = step.exchange("broker", 9092, spoken or versions())
    asked: list[Ask] = []
    waiting, outcome = list(answers), None
    while True:
        try:
            wanted = exchange.send(outcome)
        except StopIteration as end:
            assert not waiting
            return asked, end.value
        if isinstance(wanted, Await):
            outcome = await wanted.work()
        else:
            asked.append(wanted)
            outcome = waiting.pop(0)


def handshake(error_code: int = 0, *mechanisms: str) -> SaslHandshakeResponse:
    return SaslHandshakeResponse(error_code=error_code, mechanisms=list(mechanisms))


def answer(error_code: int = 0, message: str | None = None, data: bytes = b"", lifetime: int = 0) -> Any:
    return SaslAuthenticateResponse(
        error_code=error_code, error_message=message, auth_bytes=data, session_lifetime_ms=lifetime
    )


def plain() -> SaslStep:
    return SaslStep("PLAIN", plain_credentials("alice", SECRET))


async def test_plain_is_two_requests_in_the_newest_versions() -> None:
    asked, lifetime = await drive(plain(), handshake(0, "PLAIN"), answer())
    assert [(type(ask.message), ask.version) for ask in asked] == [
        (SaslHandshakeRequest, 1),
        (SaslAuthenticateRequest, 2),
    ]
    assert asked[0].message == SaslHandshakeRequest(mechanism="PLAIN")
    assert asked[1].message == SaslAuthenticateRequest(auth_bytes=b"\0alice\0" + SECRET.encode())
    assert SECRET not in repr(asked)
    assert lifetime is None


async def test_the_lifetime_of_the_session_is_returned_in_seconds() -> None:
    _, lifetime = await drive(plain(), handshake(), answer(lifetime=3_592_000))
    assert lifetime == 3_592.0


async def test_older_brokers_get_older_versions() -> None:
    asked, _ = await drive(plain(), handshake(), answer(), spoken=versions(1, 0))
    assert [ask.version for ask in asked] == [1, 0]
    with pytest.raises(UnsupportedVersionError, match=r"older than Kafka 1\.0"):
        await drive(plain(), spoken=versions(0))


async def test_a_mechanism_that_is_not_offered_names_those_that_are() -> None:
    with pytest.raises(AuthenticationError, match="does not offer PLAIN, but GSSAPI, OAUTHBEARER") as caught:
        await drive(plain(), handshake(ErrorCode.UNSUPPORTED_SASL_MECHANISM, "OAUTHBEARER", "GSSAPI"))
    assert caught.value.name == "UNSUPPORTED_SASL_MECHANISM"


async def test_a_listener_without_sasl_says_what_to_set() -> None:
    with pytest.raises(AuthenticationError, match="does not use SASL: set security_protocol"):
        await drive(plain(), handshake(ErrorCode.ILLEGAL_SASL_STATE))


async def test_another_error_of_the_handshake_keeps_its_words() -> None:
    with pytest.raises(AuthenticationError, match="ILLEGAL_SASL_STATE"):
        await drive(plain(), handshake(ErrorCode.ILLEGAL_SASL_STATE, "PLAIN"))


async def test_a_refusal_has_the_brokers_words_and_no_secret() -> None:
    refused = answer(ErrorCode.SASL_AUTHENTICATION_FAILED, "Authentication failed: Invalid username or password")
    with pytest.raises(AuthenticationError, match="Invalid username or password") as caught:
        await drive(plain(), handshake(), refused)
    assert SECRET not in str(caught.value)


async def test_a_refusal_of_scram_tells_user_from_password() -> None:
    step = SaslStep("SCRAM-SHA-256", scram_credentials("SCRAM-SHA-256", "alice", SECRET))
    refused = answer(ErrorCode.SASL_AUTHENTICATION_FAILED, "…due to invalid credentials")
    with pytest.raises(AuthenticationError, match=r"invalid credentials.*unknown user 'alice'"):
        await drive(step, handshake(), refused)


async def test_what_is_longer_than_brokers_take_is_not_sent() -> None:
    step = SaslStep("PLAIN", plain_credentials("alice", "x" * MAX_TOKEN_BYTES))
    with pytest.raises(AuthenticationError, match="bytes, more than brokers take"):
        await drive(step, handshake())


async def test_a_slow_step_is_done_in_a_thread() -> None:
    class Slow:
        name = "SLOW"
        hint = ""

        def first(self) -> bytes:
            return b"first"

        def next(self, challenge: bytes) -> Callable[[], bytes] | None:
            return None if challenge == b"end" else lambda: b"second"

    async def make() -> Mechanism:
        return Slow()

    asked, _ = await drive(SaslStep("SLOW", make), handshake(), answer(data=b"go on"), answer(data=b"end"))
    assert [ask.message for ask in asked[1:]] == [
        SaslAuthenticateRequest(auth_bytes=b"first"),
        SaslAuthenticateRequest(auth_bytes=b"second"),
    ]


# ── credentials ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_callable_is_asked_for_each_exchange() -> None:
    passwords = iter(["one", "two"])
    credentials = plain_credentials("alice", lambda: next(passwords))
    sent = [(await credentials()).first() for _ in range(2)]
    assert sent == [b"\0alice\0one", b"\0alice\0two"]


async def test_a_callable_that_fails_fails_this_connection_only() -> None:
    def password() -> str:
        raise OSError("vault is away")

    with pytest.raises(KafkaConnectionError, match="OSError") as caught:
        await plain_credentials("alice", password)()
    assert caught.value.retriable


async def test_a_refused_token_is_not_sent_again() -> None:
    made = 0

    async def provider() -> Token:
        nonlocal made
        made += 1
        return Token(f"token-{made}", expires_at_ms=4_102_444_800_000)

    step = SaslStep("OAUTHBEARER", TokenCredentials(TokenCache(provider)))
    tokens: list[bytes] = []
    for refused in (False, True, False):
        answers = [answer(data=b'{"status":"invalid_token"}'), answer(ErrorCode.SASL_AUTHENTICATION_FAILED, "no")]
        try:
            asked, _ = await drive(step, handshake(), *(answers if refused else [answer()]))
            tokens.append(asked[1].message.auth_bytes)  # type: ignore[attr-defined]
        except AuthenticationError as error:
            assert "invalid_token" in str(error)
    assert [b"token-1" in tokens[0], b"token-2" in tokens[1]] == [True, True]


async def test_a_token_with_its_extensions() -> None:
    async def provider() -> Token:
        return Token("token", expires_at_ms=4_102_444_800_000, extensions={"logicalCluster": "lkc-1"})

    mechanism = await TokenCredentials(TokenCache(provider))()
    assert isinstance(mechanism, OAuthBearer)
    assert b"logicalCluster=lkc-1" in mechanism.first()


async def test_mechanisms_are_made_anew_each_time() -> None:
    credentials: Callable[[], Awaitable[Mechanism]] = plain_credentials("alice", SECRET)
    one, other = await credentials(), await credentials()
    assert isinstance(one, Plain)
    assert one is not other
    assert inspect.iscoroutinefunction(credentials)


# ── Kerberos ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class PlayedContext:
    """A context with one token of each side's, that notes its threads."""

    def __init__(self, threads: list[str], target: str) -> None:
        self.target = target
        self.is_complete = False
        self._threads = threads

    def step(self, token: bytes) -> bytes:
        self._threads.append(threading.current_thread().name)
        self.is_complete = token != b""
        return b"" if token else b"ticket for " + self.target.encode()

    def unwrap(self, message: bytes) -> bytes:
        self._threads.append(threading.current_thread().name)
        return message

    def wrap(self, message: bytes) -> bytes:
        return message


def kerberos(threads: list[str]) -> SaslStep:
    def new_context(host: str) -> PlayedContext:
        if host == "away":
            raise unavailable("no KDC answers")
        return PlayedContext(threads, f"kafka/{host}")

    return SaslStep("GSSAPI", KerberosCredentials(new_context))


async def test_kerberos_is_asked_in_threads_of_its_own() -> None:
    threads: list[str] = []
    layers = answer(data=b"\1\0\0\0")
    answers = handshake(), answer(data=b"theirs"), layers, answer(lifetime=5_000)
    asked, lifetime = await drive(kerberos(threads), *answers)
    sent = [ask.message.auth_bytes for ask in asked if isinstance(ask.message, SaslAuthenticateRequest)]
    assert sent == [b"ticket for kafka/broker", b"", b"\1\0\0\0"]
    assert threads == [THREAD_NAME] * 3
    assert lifetime == 5.0


async def test_a_kdc_that_is_away_fails_the_connection_only() -> None:
    exchange = kerberos([]).exchange("away.", 9092, versions())  # the dot that ends a name is no part of a principal
    wanted = exchange.send(None)
    assert isinstance(wanted, Await)
    with pytest.raises(KafkaConnectionError, match="no KDC answers"):
        await wanted.work()
