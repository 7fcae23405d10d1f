"""_net/tls_errors.py: whom a TLS client met, and what to do about it."""

from __future__ import annotations

import re
import ssl
from typing import Any

import anyio
import pytest

from aioproducer._net.certificate import Certificate
from aioproducer._net.tls_errors import REFUSALS, VERIFY_HINTS, tls_error
from aioproducer.errors import AuthenticationError, KafkaConnectionError
from tests.unit._net.tls_peers import HOST, Peer, PeerStream, Says, certificates, client_context, secure, server_context


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", "answers like an HTTP server"),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "answers like an SSH server"),
        (b"220 mail.example ESMTP\r\n", "answers like a mail"),
        (b"-ERR unknown command\r\n", "answers like a Redis"),
        (b"\0\0\0\x0a\0\0\0\0\0\x23\0\0\0\0", "may be a plaintext listener"),
    ],
)
async def test_what_is_not_tls_is_told_by_its_first_bytes(answer: bytes, words: str) -> None:
    with (
        anyio.fail_after(5),
        pytest.raises(KafkaConnectionError, match=rf"broker.example:9093 does not speak TLS.*{words}"),
    ):
        await secure(PeerStream(Says(answer)), client_context(), HOST, 9093)


@pytest.mark.parametrize(
    ("alert", "words"),
    [
        (40, "in common"),
        (42, "asks for a client certificate"),
        (43, "refused our client certificate"),
        (44, "was revoked"),
        (45, "has expired"),
        (46, "refused our client certificate"),
        (47, "SNI"),
        (48, "refused our client certificate"),
        (49, "refused our client certificate"),
        (70, "in common"),
        (71, "in common"),
        (112, "SNI"),
        (116, "asks for a client certificate"),
    ],
)
async def test_each_alert_is_explained_with_openssls_words(alert: int, words: str) -> None:
    answer = bytes([21, 3, 3, 0, 2, 2, alert])
    with anyio.fail_after(5), pytest.raises(AuthenticationError, match=words) as caught:
        await secure(PeerStream(Says(answer)), client_context(), HOST, 9093)
    assert caught.value.phase == "tls"
    assert "broker.example:9093" in str(caught.value)
    assert "alert" in str(caught.value) or "name" in str(caught.value)


async def test_an_alert_that_says_nothing_is_a_lost_connection() -> None:
    answer = bytes([21, 3, 3, 0, 2, 2, 80])
    with anyio.fail_after(5), pytest.raises(KafkaConnectionError, match="alert internal error"):
        await secure(PeerStream(Says(answer)), client_context(), HOST, 9093)


@pytest.mark.parametrize("code", sorted(VERIFY_HINTS))
def test_every_reason_against_a_certificate_has_a_hint(code: int) -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, "as OpenSSL says"
    told = _told(error)
    assert isinstance(told, AuthenticationError)
    assert "as OpenSSL says; " in str(told)
    assert "{" not in str(told)


def test_a_reason_without_a_hint_has_openssls_words_only() -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = 999, "something new"
    assert str(_told(error)).endswith("something new")


@pytest.mark.parametrize("end", sorted(REFUSALS))
def test_every_refusal_can_be_told(end: str) -> None:
    error = ssl.SSLError(1, "x")
    error.reason = f"TLSV1_{end}"
    assert isinstance(_told(error), AuthenticationError)


def test_an_error_without_a_reason_is_told_by_its_words() -> None:
    assert "some words" in str(_told(ssl.SSLError("some words")))


def _told(error: Any) -> Exception:
    context = client_context()
    return tls_error(error, context, HOST, 9093)


# ── what certificates say ────────────────────────────────────────────────────────────────────────────────────────────


async def refused(context: ssl.SSLContext, peer: Peer, host: str = HOST) -> str:
    with anyio.fail_after(5), pytest.raises(AuthenticationError) as caught:
        await secure(PeerStream(peer), context, host, 9093)
    return str(caught.value)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_name_that_does_not_fit_is_told_with_those_that_do(version: ssl.TLSVersion) -> None:
    told = await refused(client_context(), Peer(server_context(version=version)), "other.example")
    assert "it is for 'broker.example', 'localhost', '127.0.0.1', and 'other.example' was called" in told
    told = await refused(client_context(), Peer(server_context(version=version)), "127.0.0.9")
    assert "and '127.0.0.9' was called" in told


async def test_a_certificate_that_has_ended_is_told_with_its_dates_and_our_clock() -> None:
    told = await refused(client_context(), Peer(server_context(certificates().expired)))
    assert re.search(
        r"\(it is good from [\d :-]+ UTC until [\d :-]+ UTC, and this host's clock says [\d :-]+ UTC\)", told
    )


async def test_a_certificate_of_a_stranger_is_told_with_who_has_signed_it() -> None:
    told = await refused(client_context(certificates().other_ca), Peer(server_context()))
    assert "(it is signed by 'O=trustme" in told
    assert "set ssl_truststore_location" in told


def test_a_refusal_of_ours_is_told_with_its_dates() -> None:
    ours = Certificate((), "CN=CA", 0, 86_400)
    error = ssl.SSLError(1, "alert")
    error.reason = "SSLV3_ALERT_CERTIFICATE_EXPIRED"
    told = str(tls_error(error, client_context(), HOST, 9093, ours=ours))
    assert "the one that was shown is good from 1970-01-01 00:00 UTC until 1970-01-02 00:00 UTC, signed by" in told
    error.reason = "TLSV1_ALERT_PROTOCOL_VERSION"
    assert "was shown" not in str(tls_error(error, client_context(), HOST, 9093, ours=ours))
