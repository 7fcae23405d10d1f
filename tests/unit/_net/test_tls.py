"""_net/tls.py (in the stream of layer.py) against a server's side of TLS in memory."""

from __future__ import annotations

import ssl
from typing import Any

import anyio
import pytest

from aioproducer._backend import Channel
from aioproducer._net.connection import in_words
from aioproducer._net.layer import SLICE_BYTES, LayeredStream
from aioproducer._net.tls import HANDSHAKE_BYTES, TlsLayer, server_name_of
from aioproducer.errors import AuthenticationError, KafkaConnectionError, KafkaError, ProtocolError
from tests.unit._net.tls_peers import (
    HOST,
    GatedChannel,
    Notes,
    Peer,
    PeerStream,
    certificates,
    client_context,
    server_context,
)

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


async def secured(stream: Any, host: str = HOST, context: ssl.SSLContext | None = None) -> LayeredStream:
    layered = LayeredStream(stream, TlsLayer(context or client_context(), host, 9093))
    with anyio.fail_after(10), in_words():
        await layered.open()
    return layered


async def receive_exactly(stream: LayeredStream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += await stream.receive()
    return data


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("piece", [1, 7, 65_536])
async def test_bytes_go_both_ways_whatever_the_pieces(version: ssl.TLSVersion, piece: int) -> None:
    stream = PeerStream(Peer(server_context(version=version), reply=bytes.upper), piece=piece)
    tls = await secured(stream)
    await tls.send(b"abc")
    assert await receive_exactly(tls, 3) == b"ABC"


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_mebibyte_both_ways_in_odd_pieces(version: ssl.TLSVersion) -> None:
    data = bytes(range(256)) * 4096
    stream = PeerStream(Peer(server_context(version=version), reply=bytes), piece=4_093)
    tls = await secured(stream)
    await tls.send(data)
    assert await receive_exactly(tls, len(data)) == data


async def test_no_more_is_received_than_was_asked_for() -> None:
    tls = await secured(PeerStream(Peer(server_context(), reply=bytes)))
    await tls.send(b"abcdef")
    assert [await tls.receive(2), await tls.receive(1), await tls.receive(9)] == [b"ab", b"c", b"def"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_handshake_that_is_cut_at_any_byte_is_a_lost_connection(version: ssl.TLSVersion) -> None:
    whole = PeerStream(Peer(server_context(version=version)))
    await secured(whole)
    assert whole.count > 500
    last = whole.count - 8  # the length of a signature differs by a few bytes
    for cut in [*range(0, 60), *range(60, last, 97), last]:
        stream = PeerStream(Peer(server_context(version=version)), cut_after=cut)
        with pytest.raises(KafkaConnectionError, match="closed the connection during the TLS handshake") as caught:
            await secured(stream)
        assert caught.value.retriable


async def test_a_reset_in_the_handshake_keeps_its_words() -> None:
    stream = PeerStream(Peer(server_context()), cut_after=0)
    stream.error = ConnectionResetError(104, "Connection reset by peer")
    with pytest.raises(KafkaConnectionError, match=r"Connection reset by peer.*plaintext"):
        await secured(stream)


async def test_a_ca_that_is_not_trusted_is_a_refusal_that_names_the_setting() -> None:
    peer = Peer(server_context())
    stream = PeerStream(peer)
    with pytest.raises(AuthenticationError, match=r"certificate.*ssl_truststore_location") as caught:
        await secured(stream, context=client_context(trusts=certificates().other_ca))
    assert caught.value.phase == "tls"
    assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
    # The broker is told: its log says why.
    assert "ALERT_UNKNOWN_CA" in str(getattr(peer.error, "reason", None))


@pytest.mark.parametrize("host", ["other.example", "127.0.0.2"])
async def test_a_certificate_for_another_name_is_a_refusal_with_both_ways_out(host: str) -> None:
    with pytest.raises(AuthenticationError, match=rf"{host}.*advertised\.listeners"):
        await secured(PeerStream(Peer(server_context())), host=host)


@pytest.mark.parametrize("host", [HOST, HOST + ".", "127.0.0.1"])
async def test_the_name_that_is_dialled_is_checked(host: str) -> None:
    await secured(PeerStream(Peer(server_context())), host=host)


async def test_the_name_is_asked_for_though_it_is_not_checked() -> None:
    names: list[str | None] = []
    context = server_context()
    context.sni_callback = lambda _, name, __: names.append(name)
    unchecked = client_context()
    unchecked.check_hostname = False
    for host in ("other.example.", "127.0.0.2"):
        await secured(PeerStream(Peer(context)), host=host, context=unchecked)
    assert names == ["other.example", None]


@pytest.mark.parametrize("host", [".example", "a..example", "x" * 64 + ".example", ""])
async def test_a_name_that_cannot_be_is_a_failed_connection(host: str) -> None:
    with pytest.raises(KafkaConnectionError, match="no name that a certificate can be for"):
        await secured(PeerStream(Peer(server_context())), host=host)


async def test_an_expired_certificate_says_how_to_see_its_date() -> None:
    stream = PeerStream(Peer(server_context(certificates().expired)))
    with pytest.raises(AuthenticationError, match=r"has expired.*clock.*openssl s_client -connect broker.example:9093"):
        await secured(stream)


async def use(stream: PeerStream, context: ssl.SSLContext) -> bytes:
    """As a connection is used: shake hands, ask, read the answer."""
    tls = await secured(stream, context=context)
    await tls.send(b"question")
    return await tls.receive()


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_client_certificate_is_shown(version: ssl.TLSVersion) -> None:
    stream = PeerStream(Peer(server_context(asks=True, version=version), reply=bytes))
    assert await use(stream, client_context(shows=certificates().client)) == b"question"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("shows", "words"), [(None, "asks for a client certificate"), ("stranger", "refused our client certificate")]
)
async def test_a_client_certificate_that_is_missing_or_refused(
    version: ssl.TLSVersion, shows: str | None, words: str
) -> None:
    stream = PeerStream(Peer(server_context(asks=True, version=version)))
    context = client_context(shows=None if shows is None else getattr(certificates(), shows))
    with pytest.raises(AuthenticationError) as caught:  # with TLS 1.3 from the first read, not from the handshake
        await use(stream, context)
    assert caught.value.phase == "tls"
    # OpenSSL's TLS 1.2 has one alert for much: handshake failure.
    assert words in str(caught.value) or "may ask for a client certificate" in str(caught.value)


async def test_a_loss_before_the_first_answer_speaks_of_client_certificates() -> None:
    stream = PeerStream(Peer(server_context()))
    tls = await secured(stream)
    stream.cut_after, stream.error = 0, ConnectionResetError(104, "Connection reset by peer")
    with pytest.raises(KafkaConnectionError, match=r"right after the TLS handshake.*ssl_keystore_location"):
        while True:  # tickets first
            await tls.receive()


async def test_no_version_in_common_names_ours() -> None:
    context = client_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with pytest.raises(AuthenticationError, match=r"in common \(we offer TLSv1.3 to the newest") as caught:
        await secured(PeerStream(Peer(server_context(version=ssl.TLSVersion.TLSv1_2))), context=context)
    assert caught.value.phase == "tls"


async def test_the_end_comes_after_what_was_said_before_it() -> None:
    peer = Peer(server_context())
    stream = PeerStream(peer)
    tls = await secured(stream)
    stream.put(peer.say(b"last") + peer.goodbye())
    assert await tls.receive() == b"last"
    for _ in range(2):
        with pytest.raises(anyio.EndOfStream):
            await tls.receive()


async def test_the_end_without_a_goodbye_is_an_ordinary_end() -> None:
    peer = Peer(server_context())
    stream = PeerStream(peer)
    tls = await secured(stream)
    stream.put(peer.say(b"last"))
    assert await tls.receive() == b"last"
    stream.put(peer.say(b"cut off")[:-1])
    stream.cut_after = 1 << 30
    with pytest.raises(anyio.EndOfStream):
        await tls.receive()


async def test_damaged_bytes_end_the_connection() -> None:
    peer = Peer(server_context())
    stream = PeerStream(peer)
    tls = await secured(stream)
    stream.put(peer.say(b"well"))
    assert await tls.receive() == b"well"
    damaged = bytearray(peer.say(b"damaged"))
    damaged[-1] ^= 1
    stream.put(bytes(damaged))
    with pytest.raises(KafkaError, match=r"TLS with broker.example:9093 failed"):
        await tls.receive()


async def test_closing_says_goodbye_and_waits_for_nothing() -> None:
    peer = Peer(server_context())
    stream = PeerStream(peer)
    tls = await secured(GatedChannel(stream))
    await tls.aclose()
    assert stream.is_closed
    assert peer.is_closed


# ── as a channel ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def served(peer: Peer, stream: Any) -> LayeredStream:
    tls = await secured(stream)
    assert isinstance(tls, Channel)
    peer.received.clear()
    return tls


@pytest.mark.parametrize("is_channel", [False, True])
async def test_a_channel_writes_in_order_and_hands_over_what_comes(is_channel: bool) -> None:
    peer = Peer(server_context(), reply=bytes)
    stream = PeerStream(peer, piece=5_000)
    tls, notes = await served(peer, GatedChannel(stream) if is_channel else stream), Notes()
    frames = [bytes([n]) * 30_000 * n for n in range(1, 8)]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tls.serve, notes)
        await anyio.wait_all_tasks_blocked()
        for frame in frames:
            before = notes.writable
            if not tls.write(frame):
                with anyio.fail_after(5):
                    while notes.writable == before:
                        await anyio.lowlevel.checkpoint()
        with anyio.fail_after(5):
            while len(notes.data) < sum(map(len, frames)):
                await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    assert bytes(notes.data) == b"".join(frames)


async def test_what_came_with_the_end_of_the_handshake_is_handed_over_first() -> None:
    peer = Peer(server_context())
    stream = PeerStream(peer)
    tls, notes = await served(peer, stream), Notes()
    stream.put(peer.say(b"early"))
    assert await tls.receive(1) == b"e"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tls.serve, notes)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert notes.data == b"arly"


async def test_a_slow_socket_holds_one_slice_and_then_goes_on() -> None:
    peer = Peer(server_context())
    channel = GatedChannel(PeerStream(peer))
    tls, notes = await served(peer, channel), Notes()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tls.serve, notes)
        await anyio.wait_all_tasks_blocked()
        channel.is_open = False
        assert not tls.write(bytes(3 * SLICE_BYTES + 1))
        for _ in range(4):
            assert notes.writable == 0
            assert len(channel.held) == 1
            assert len(channel.held[0]) < SLICE_BYTES + 4_096
            channel.open()
        assert notes.writable == 1
        assert peer.received == bytes(3 * SLICE_BYTES + 1)
        channel.is_open = True
        assert tls.write(b"more")
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("is_channel", [False, True])
async def test_our_alert_is_sent_before_the_connection_ends(is_channel: bool) -> None:
    peer = Peer(server_context())
    stream = PeerStream(peer)
    channel = GatedChannel(stream) if is_channel else stream
    tls, notes = await served(peer, channel), Notes()
    damaged = bytearray(peer.say(b"damaged"))
    damaged[-1] ^= 1
    async with anyio.create_task_group() as tasks:
        if isinstance(channel, GatedChannel):
            tasks.start_soon(tls.serve, notes)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(KafkaError, match="TLS with"):
                channel.receiver.on_bytes(bytes(damaged))
            with pytest.raises(KafkaError, match="TLS with"):
                channel.receiver.on_bytes(b"what follows means nothing")
        else:
            stream.put(bytes(damaged))
            with pytest.raises(KafkaError, match="TLS with"):
                await tls.receive()
        tasks.cancel_scope.cancel()
    assert notes.data == b""
    assert "ALERT_BAD_RECORD_MAC" in str(getattr(peer.error, "reason", None))


async def test_the_end_of_a_channel_is_the_streams() -> None:
    peer = Peer(server_context())
    stream = PeerStream(peer)
    tls, notes = await served(peer, stream), Notes()
    stream.put(peer.say(b"last") + peer.goodbye())
    with pytest.raises(anyio.EndOfStream):
        await tls.serve(notes)
    assert notes.data == b"last"


# ── alone ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def established(peer: Peer) -> TlsLayer:
    layer = TlsLayer(client_context(), HOST, 9093)
    while not layer.is_ready:
        layer.feed(peer.talk(layer.take_outgoing()))
    layer.feed(peer.talk(layer.take_outgoing()))
    return layer


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


@pytest.mark.parametrize("version", VERSIONS)
def test_plaintext_and_ciphertext_are_exchanged(version: ssl.TLSVersion) -> None:
    peer = Peer(server_context(version=version), reply=bytes.upper)
    layer = established(peer)
    assert layer.version == version.name.replace("_", ".")
    layer.write(memoryview(b"abc"))
    assert layer.feed(peer.talk(layer.take_outgoing())) == b"ABC"
    assert layer.take_outgoing() == b""


def test_many_records_are_read_at_once() -> None:
    peer = Peer(server_context())
    layer = established(peer)
    data = [bytes([n]) * 20_000 for n in range(5)]
    assert layer.feed(b"".join(map(peer.say, data))) == b"".join(data)


def test_an_endless_handshake_ends() -> None:
    layer = TlsLayer(client_context(), HOST, 9093)
    layer.take_outgoing()
    with pytest.raises(ProtocolError, match="went on for more"):
        layer.feed(bytes([22, 3, 3, 255, 255]) + bytes(HANDSHAKE_BYTES))


def test_a_goodbye_ends_it_and_what_follows_means_nothing() -> None:
    peer = Peer(server_context())
    layer = established(peer)
    assert layer.feed(peer.say(b"x") + peer.goodbye()) == b"x"
    assert layer.is_ended
    assert layer.feed(b"more") == b""


def test_what_came_before_an_error_is_handed_over_first() -> None:
    peer = Peer(server_context())
    layer = established(peer)
    damaged = bytearray(peer.say(b"well") + peer.say(b"damaged"))
    damaged[-1] ^= 1
    assert layer.feed(bytes(damaged)) == b"well"
    assert layer.is_ended
    assert "bad record mac" in str(layer.explained(anyio.EndOfStream()))
    with pytest.raises(KafkaError, match="bad record mac"):
        layer.feed(b"")
    layer.write(memoryview(b"lost"))


def test_closing_before_the_handshake_says_nothing() -> None:
    layer = TlsLayer(client_context(), HOST, 9093)
    layer.take_outgoing()
    layer.close()
    assert layer.take_outgoing() == b""
