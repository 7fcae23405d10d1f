"""_net/tls.py alone."""

from __future__ import annotations

import ssl

import pytest

from aioproducer._net.tls import HANDSHAKE_BYTES, TlsSession, server_name_of
from tests.unit._net.tls_peers import HOST, Peer, client_context, server_context


def established(peer: Peer) -> TlsSession:
    session = TlsSession(client_context(), HOST)
    while not session.handshake():
        session.put(peer.talk(session.take()))
    session.put(peer.talk(session.take()))
    return session


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("a.example", "a.example"),
        ("a.example.", "a.example"),
        ("::1", "::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("a_b", "a_b"),
    ],
)
def test_the_name_that_is_asked_for(host: str, name: str) -> None:
    assert server_name_of(host) == name


def test_plaintext_and_ciphertext_are_exchanged() -> None:
    peer = Peer(server_context(), reply=bytes.upper)
    session = established(peer)
    assert session.is_established
    assert not session.has_received
    session.encrypt(b"abc")
    session.put(peer.talk(session.take()))
    assert session.read() == (b"ABC", None)
    assert session.has_received
    assert session.read() == (b"", None)
    assert session.take() == b""


def test_many_records_are_read_at_once() -> None:
    peer = Peer(server_context())
    session = established(peer)
    session.put(b"".join(peer.say(bytes([n]) * 20_000) for n in range(5)))
    plaintext, error = session.read()
    assert error is None
    assert plaintext == b"".join(bytes([n]) * 20_000 for n in range(5))


def test_an_endless_handshake_ends() -> None:
    session = TlsSession(client_context(), HOST)
    session.handshake()
    with pytest.raises(ssl.SSLError, match="went on for more"):
        for _ in range(2):
            session.put(bytes(HANDSHAKE_BYTES))


def test_a_goodbye_ends_it_and_what_follows_means_nothing() -> None:
    peer = Peer(server_context())
    session = established(peer)
    session.put(peer.say(b"x") + peer.goodbye())
    assert session.read() == (b"x", None)
    assert session.is_ended
    session.put(b"more")
    assert session.read()[0] == b""


def test_closing_before_the_handshake_says_nothing() -> None:
    session = TlsSession(client_context(), HOST)
    session.close()
    assert session.take() == b""
