"""_net/dialer.py over streams in memory: no network. The steps are made up, the order and the errors are not."""

from __future__ import annotations

import socket
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

import anyio
import pytest

from aioproducer._net.dialer import Dialer, Established
from aioproducer._net.setup import NO_STEPS, Await, Exchange, SetupSteps
from aioproducer._wire.frames import decode_request, encode_response
from aioproducer._wire.messages.api_versions import ApiVersion, ApiVersionsResponse
from aioproducer._wire.messages.metadata import MetadataResponse
from aioproducer.errors import (
    AuthenticationError,
    ErrorCode,
    KafkaConnectionError,
    KafkaError,
    ProtocolError,
    UnsupportedVersionError,
)
from tests.unit._net.mask import DATA, HELLO, REFUSAL, Login, Mask, MaskStep, record, wrong_password
from tests.unit._net.script import Script

if TYPE_CHECKING:
    from anyio.abc import ByteStream

    from aioproducer._wire.negotiation import BrokerVersions

PRODUCE, METADATA, API_VERSIONS = 0, 3, 18


def api_versions(version: int = 4, produce: tuple[int, int] = (0, 13), error_code: int = 0) -> bytes:
    """The answer to the first request of a connection."""
    keys = [
        ApiVersion(api_key=PRODUCE, min_version=produce[0], max_version=produce[1]),
        ApiVersion(api_key=METADATA, min_version=0, max_version=13),
        ApiVersion(api_key=API_VERSIONS, min_version=0, max_version=4),
    ]
    return encode_response(ApiVersionsResponse(error_code=error_code, api_keys=keys), version, 0)


async def dial(
    stream: ByteStream, steps: SetupSteps = NO_STEPS, *, now: Callable[[], float] = lambda: 0.0, name: str = ""
) -> Established:
    async def connector(host: str, port: int) -> ByteStream:
        return stream

    return await Dialer(connector, "me", now, steps=steps).dial("broker", 9092, name=name)


async def test_an_open_connection_knows_the_brokers_versions() -> None:
    stream = Script(api_versions())
    established = await dial(stream)
    header, _ = decode_request(stream.sent[0][4:])
    assert (header.api_key, header.api_version, header.client_id) == (API_VERSIONS, 4, "me")
    assert established.versions.usable(PRODUCE) == 13
    assert not stream.is_closed


async def test_the_answer_may_come_in_pieces() -> None:
    answer = api_versions()
    established = await dial(Script(*[answer[at : at + 1] for at in range(len(answer))]))
    assert established.versions.usable(METADATA) == 13


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ((), KafkaConnectionError),
        ((b"\0\0",), KafkaConnectionError),
        ((b"HTTP/1.1 400 Bad Request\r\n",), ProtocolError),
        ((b"\0\0\0\2\0\0",), ProtocolError),
        ((ConnectionResetError(104, "reset"),), KafkaConnectionError),
        ((api_versions(produce=(0, 1)),), UnsupportedVersionError),
        ((api_versions()[:-1] + b"\1",), ProtocolError),
    ],
)
async def test_a_failed_handshake_closes_the_stream(
    answers: tuple[bytes | Exception, ...], error: type[Exception]
) -> None:
    stream = Script(*answers)
    with pytest.raises(error):
        await dial(stream)
    assert stream.is_closed


async def test_a_cancelled_handshake_closes_the_stream() -> None:
    stream = Script(api_versions())
    with anyio.CancelScope() as scope:
        scope.cancel()
        await dial(stream)
    assert scope.cancelled_caught
    assert stream.is_closed


async def _fail(error: OSError, cause: BaseException | None = None) -> str:
    async def connector(host: str, port: int) -> ByteStream:
        raise error from cause

    with pytest.raises(KafkaConnectionError) as caught:
        await Dialer(connector, "me", float).dial("broker", 9092)
    assert caught.value.address == ("broker", 9092)
    return str(caught.value)


async def test_a_refused_connection_is_told_in_the_words_of_the_system() -> None:
    told = await _fail(ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 9092)"))
    assert told == "cannot connect to broker:9092: Connection refused"


async def test_several_addresses_that_fail_are_told_of_once_for_each_reason() -> None:
    refused = [ConnectionRefusedError(111, f"Connect call failed ('127.0.0.{n}', 9092)") for n in (1, 2)]
    group = ExceptionGroup("several", [*refused, OSError(113, "whatever")])
    told = await _fail(OSError("All connection attempts failed"), group)
    assert told == "cannot connect to broker:9092: Connection refused, No route to host"


async def test_an_unknown_name_is_told_as_such() -> None:
    told = await _fail(socket.gaierror(-2, "Name or service not known"))
    assert told == "cannot connect to broker:9092: Name or service not known"


# ── the steps after TCP ──────────────────────────────────────────────────────────────────────────────────────────────


def _shares(errors: list[Exception]) -> Generator[str]:
    """As a stream's own task: it catches an error, shares it, and has something to do before it goes on."""
    try:
        raise OSError("gone")
    except OSError as error:
        errors.append(error)
        yield "waits"
        yield "goes on"


async def test_who_shares_an_error_with_a_login_goes_on() -> None:
    errors: list[Exception] = []
    task = _shares(errors)
    assert next(task) == "waits"
    with pytest.raises(KafkaConnectionError):
        await dial(Script(api_versions(), errors[0]), SetupSteps(authenticate=Login()))
    assert next(task) == "goes on"


def metadata(correlation_id: int) -> bytes:
    return encode_response(MetadataResponse(), 13, correlation_id)


async def test_the_broker_is_asked_who_it_is_before_it_is_told_who_we_are() -> None:
    stream = Script(api_versions(), metadata(1), metadata(2))
    times = iter([0.0, 1.0, 2.0, 3.0])
    established = await dial(stream, SetupSteps(authenticate=Login(lifetime=60.0)), now=lambda: next(times))
    assert [decode_request(sent[4:])[0].api_key for sent in stream.sent] == [API_VERSIONS, METADATA, METADATA]
    assert [decode_request(sent[4:])[0].correlation_id for sent in stream.sent[1:]] == [1, 2]
    assert established.session is not None
    assert established.session == (3.0, 60.0)  # from when the last request was written
    assert not stream.is_closed


async def test_a_connection_without_authentication_has_no_session() -> None:
    assert (await dial(Script(api_versions()))).session is None


async def test_what_an_exchange_waits_for_is_sent_into_it() -> None:
    async def token() -> str:
        await anyio.lowlevel.checkpoint()
        return "abc"

    class Bearer:
        name = "SASL OAUTHBEARER"
        told: object = None

        def exchange(self, host: str, port: int, versions: BrokerVersions) -> Exchange:
            self.told = yield Await(token)
            return None

    step = Bearer()
    await dial(Script(api_versions()), SetupSteps(authenticate=step))
    assert step.told == "abc"


@pytest.mark.parametrize("name", ["", "broker 2 (broker:9092)"])
async def test_a_refusal_names_the_step_and_the_broker_and_closes_the_stream(name: str) -> None:
    stream = Script(api_versions(), metadata(1), metadata(2))
    with pytest.raises(AuthenticationError) as caught:
        await dial(stream, SetupSteps(authenticate=Login(wrong_password())), name=name)
    assert f"login with {name or 'broker:9092'} failed: " in str(caught.value)
    assert "Invalid username or password" in str(caught.value)
    assert (caught.value.code, caught.value.api) == (ErrorCode.SASL_AUTHENTICATION_FAILED, "SaslAuthenticate")
    assert isinstance(caught.value.__cause__, AuthenticationError)
    assert stream.is_closed


@pytest.mark.parametrize(
    ("answers", "error", "text"),
    [
        ((api_versions(),), KafkaConnectionError, "login with broker:9092 failed: the broker closed the connection"),
        ((api_versions(), metadata(2)), ProtocolError, "login: the broker answered request 2; the next is 1"),
        ((), KafkaConnectionError, "ApiVersions with broker:9092 failed: the broker closed the connection"),
        ((OSError(104, "x"),), KafkaConnectionError, "ApiVersions with broker:9092 failed: the connection broke: Con"),
    ],
)
async def test_what_breaks_a_step_is_told_with_its_name(
    answers: tuple[bytes | Exception, ...], error: type[KafkaError], text: str
) -> None:
    stream = Script(*answers)
    with pytest.raises(error) as caught:
        await dial(stream, SetupSteps(authenticate=Login()))
    assert type(caught.value) is error
    assert text in str(caught.value)
    assert stream.is_closed


async def test_credentials_that_cannot_be_had_fail_the_connection_without_their_words() -> None:
    async def token() -> object:
        await anyio.lowlevel.checkpoint()
        raise ValueError("the secret is abc")

    class Bearer:
        name = "SASL OAUTHBEARER"

        def exchange(self, host: str, port: int, versions: BrokerVersions) -> Exchange:
            yield Await(token)
            raise AssertionError("never sent a token")

    with pytest.raises(KafkaConnectionError, match="ValueError, see __cause__") as caught:
        await dial(Script(api_versions()), SetupSteps(authenticate=Bearer()))
    assert "abc" not in str(caught.value)


async def test_all_bytes_go_through_the_layer() -> None:
    peer = Mask()
    peer.feed(peer.take_outgoing())  # it is ready
    stream = Script(record(HELLO) + record(DATA, api_versions()[:9]), record(DATA, api_versions()[9:]))
    step = MaskStep()
    established = await dial(stream, SetupSteps(secure=step))
    assert step.asked_for == [("broker", 9092)]
    assert stream.sent[0] == record(HELLO)
    header, _ = decode_request(peer.feed(stream.sent[1])[4:])
    assert header.api_key == API_VERSIONS
    assert established.versions.usable(PRODUCE) == 13


async def test_a_layer_that_does_not_trust_the_broker_says_so_to_both() -> None:
    stream = Script(record(HELLO))
    with pytest.raises(AuthenticationError, match=r"^masking with broker:9092 failed: the certificate of the broker"):
        await dial(stream, SetupSteps(secure=MaskStep(distrusts=True)))
    assert stream.sent == [record(HELLO), record(REFUSAL)]
    assert stream.is_closed


async def test_a_broker_that_refuses_us_only_after_the_handshake_is_understood_too() -> None:
    stream = Script(record(HELLO), record(REFUSAL))
    with pytest.raises(AuthenticationError, match="ApiVersions with broker:9092 failed: the broker does not know our"):
        await dial(stream, SetupSteps(secure=MaskStep()))
    assert stream.is_closed


async def test_a_layer_that_cannot_be_made_fails_the_connection() -> None:
    stream = Script()
    with pytest.raises(KafkaConnectionError, match=r"masking .* could not be prepared \(FileNotFoundError"):
        await dial(stream, SetupSteps(secure=MaskStep(FileNotFoundError())))
    assert stream.is_closed
