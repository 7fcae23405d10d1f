"""Who we are is refused, or we do not trust the broker: at the start, and while a producer runs. Steps are made up."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from aioproducer import Producer, _backend
from aioproducer._backend import Channel
from aioproducer._net.setup import SetupSteps
from aioproducer.errors import (
    AuthenticationError,
    BootstrapError,
    DeliveryTimeoutError,
    ErrorCode,
    KafkaConnectionError,
    KafkaError,
    MetadataTimeoutError,
)
from aioproducer.testing import EmbeddedCluster
from tests.contract.support import producer_tasks
from tests.unit._net.mask import Login, Mask, MaskStep, wrong_password

if TYPE_CHECKING:
    from aioproducer._backend import Receiver, Stream

QUICK: dict[str, Any] = {
    "delivery_timeout_ms": 600,
    "request_timeout_ms": 300,
    "max_block_ms": 500,
    "linger_ms": 0,
    "retry_backoff_ms": 20,
    "retry_backoff_max_ms": 100,
    "reconnect_backoff_ms": 20,
    "reconnect_backoff_max_ms": 100,
}


class Secured(Producer[bytes, bytes]):
    """A producer whose connections have these steps."""

    def __init__(self, steps: SetupSteps, **settings: Any) -> None:
        super().__init__(**settings)
        self._lifecycle.setup_steps = steps


class FarEnd:
    """A broker that masks what it says: a stream to one that does not."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._mask = Mask()
        self._pending = self._mask.take_outgoing()

    async def send(self, item: bytes, /) -> None:
        """Have it read by the broker."""
        data = self._mask.feed(item)
        if data:
            await self._stream.send(data)

    async def receive(self, max_bytes: int = 65536, /) -> bytes:
        """Return what it says."""
        if not self._pending:
            self._mask.write(memoryview(await self._stream.receive(max_bytes)))
            self._pending = self._mask.take_outgoing()
        data, self._pending = self._pending[:max_bytes], self._pending[max_bytes:]
        return data

    async def aclose(self) -> None:
        """Close it."""
        await self._stream.aclose()


class FarEndChannel(FarEnd):
    """The same, where the stream to the broker is a channel."""

    def __init__(self, stream: Stream) -> None:
        super().__init__(stream)
        assert isinstance(stream, Channel)
        self._channel = stream

    def write(self, data: bytes) -> bool:
        """See `Channel.write`."""
        read = self._mask.feed(data)
        return not read or self._channel.write(read)

    async def serve(self, receiver: Receiver) -> None:
        """See `Channel.serve`."""
        self._receiver = receiver
        await self._channel.serve(self)

    def on_bytes(self, data: bytes) -> None:
        """See `Receiver.on_bytes`."""
        self._mask.write(memoryview(data))
        self._receiver.on_bytes(self._mask.take_outgoing())

    def on_writable(self) -> None:
        """See `Receiver.on_writable`."""
        self._receiver.on_writable()


async def connect_masked(host: str, port: int) -> Stream:
    stream = await _backend.current().tcp_connector(-1, -1)(host, port)
    return FarEndChannel(stream) if isinstance(stream, Channel) else FarEnd(stream)


async def connect_masked_stream(host: str, port: int) -> Stream:
    return FarEnd(await _backend.current().tcp_connector(-1, -1)(host, port))


@pytest.mark.parametrize("connect", [connect_masked, connect_masked_stream])
async def test_records_are_delivered_through_a_layer_and_after_a_login(embedded: EmbeddedCluster, connect: Any) -> None:
    login = Login()
    steps = SetupSteps(MaskStep(), login)
    async with Secured(steps, bootstrap_servers=embedded.bootstrap_servers, connect=connect) as producer:
        await embedded.create_topic("t", partitions=3)
        for partition in range(3):
            await producer.send("t", b"small", partition=partition)
        large = await producer.send("t", bytes(900_000), partition=0)
    assert large.offset == 1
    assert login.count >= 3


@pytest.mark.parametrize(
    ("steps", "connect"),
    [
        (SetupSteps(authenticate=Login(wrong_password())), None),
        (SetupSteps(secure=MaskStep(distrusts=True)), connect_masked),
    ],
    ids=["authenticate", "secure"],
)
async def test_a_refusal_ends_start_at_once(embedded: EmbeddedCluster, steps: SetupSteps, connect: Any) -> None:
    producer = Secured(
        steps, bootstrap_servers=embedded.bootstrap_servers[:1], connect=connect, **(QUICK | {"max_block_ms": 60_000})
    )
    with anyio.fail_after(5), pytest.raises(AuthenticationError) as caught:
        await producer.start()
    assert f"bootstrap server {embedded.bootstrap_servers[0]}" in str(caught.value)
    assert isinstance(caught.value.__cause__, AuthenticationError)
    assert (caught.value.fatal, caught.value.retriable) == (True, False)
    assert producer_tasks() == []


async def test_a_transactional_producer_is_refused_as_soon(embedded: EmbeddedCluster) -> None:
    steps = SetupSteps(authenticate=Login(wrong_password()))
    producer = Secured(steps, bootstrap_servers=embedded.bootstrap_servers, transactional_id="x")
    with anyio.fail_after(5), pytest.raises(AuthenticationError, match="Invalid username or password") as caught:
        await producer.start()
    assert caught.value.code == ErrorCode.SASL_AUTHENTICATION_FAILED


async def test_a_connection_that_breaks_in_a_step_is_no_refusal(embedded: EmbeddedCluster) -> None:
    steps = SetupSteps(authenticate=Login(KafkaConnectionError("reset")))
    producer = Secured(steps, bootstrap_servers=embedded.bootstrap_servers[:1], **QUICK)
    with pytest.raises(
        KafkaConnectionError, match=r"no bootstrap server .*login with bootstrap server .* failed: reset"
    ):
        await producer.start()


async def test_a_running_producer_goes_on_and_every_timeout_has_the_refusal_as_its_cause(
    embedded: EmbeddedCluster, caplog: pytest.LogCaptureFixture
) -> None:
    login = Login()
    async with Secured(
        SetupSteps(authenticate=login), bootstrap_servers=embedded.bootstrap_servers, **QUICK
    ) as producer:
        await embedded.create_topic("t", partitions=1)
        await producer.send("t", b"before")
        login.error = wrong_password()
        with caplog.at_level(logging.ERROR, "aioproducer.connection"):
            for broker in range(3):
                await embedded.stop_broker(broker)
                await embedded.start_broker(broker)
            await _fails(producer.send("t", b"refused"), DeliveryTimeoutError)
            await _fails(producer.send("unknown", b"refused"), MetadataTimeoutError)
        assert isinstance(producer.status().last_error, AuthenticationError)
        lines = [record for record in caplog.records if record.name == "aioproducer.connection"]
        nodes = [getattr(record, "node", None) for record in lines]
        assert nodes, "no line"
        assert len(nodes) == len(set(nodes)), "more than one line for a broker"
        assert {getattr(record, "event_name", None) for record in lines} == {"authentication_failed"}
        login.error = None
        with anyio.fail_after(10):
            while True:
                try:
                    await producer.send("t", b"after")
                    break
                except DeliveryTimeoutError:
                    continue
    assert producer_tasks() == []


async def _fails(sending: Any, error: type[KafkaError]) -> None:
    with pytest.raises(error) as caught:
        await sending
    assert isinstance(caught.value.__cause__, AuthenticationError), repr(caught.value.__cause__)
    assert "Invalid username or password" in str(caught.value)


# ── what is left out of the settings ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("protocol", ["SSL", "SASL_SSL"])
async def test_plaintext_to_a_listener_that_speaks_tls_is_told_what_to_set(protocol: Any) -> None:
    users: Any = {"users": {"alice": "secret"}} if protocol == "SASL_SSL" else {}
    async with EmbeddedCluster(security_protocol=protocol, **users) as cluster:
        producer = Producer[bytes, bytes](bootstrap_servers=cluster.bootstrap_servers, max_block_ms=300)
        with pytest.raises(BootstrapError, match="if it speaks TLS, set security_protocol to SSL or SASL_SSL"):
            await producer.start()


@pytest.mark.parametrize(("ours", "theirs"), [("PLAINTEXT", "SASL_PLAINTEXT"), ("SSL", "SASL_SSL")])
async def test_nobody_to_a_listener_that_wants_a_login_is_told_what_to_set(ours: Any, theirs: Any) -> None:
    async with EmbeddedCluster(security_protocol=theirs, users={"alice": "secret"}) as cluster:
        trust = {"ssl_truststore_location": cluster.ca_file} if ours == "SSL" else {}
        settings: dict[str, Any] = {"bootstrap_servers": cluster.bootstrap_servers, "max_block_ms": 500, **trust}
        async with Producer[bytes, bytes](security_protocol=ours, **settings) as producer:
            with pytest.raises(MetadataTimeoutError, match=f"if it asks for SASL, set security_protocol={theirs}"):
                await producer.send("t", b"x")


async def test_a_broker_that_answers_and_then_goes_is_not_taken_for_one_that_wants_a_login(
    embedded: EmbeddedCluster, caplog: pytest.LogCaptureFixture
) -> None:
    async with Producer[bytes, bytes](bootstrap_servers=embedded.bootstrap_servers, **QUICK) as producer:
        await producer.send("t", b"x")
        for node_id in range(len(embedded.bootstrap_servers)):
            await embedded.stop_broker(node_id)
        with pytest.raises((MetadataTimeoutError, DeliveryTimeoutError)):
            await producer.send("t", b"x")
    assert "asks for SASL" not in caplog.text
