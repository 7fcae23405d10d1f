"""A connection authenticates in Kafka's order, is told late that it has failed, and renews its session or loses it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import pytest

from aioproducer._wire.messages import ApiKey
from aioproducer._wire.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from aioproducer._wire.messages.metadata import MetadataRequest, MetadataResponse
from aioproducer._wire.messages.sasl_authenticate import SaslAuthenticateRequest, SaslAuthenticateResponse
from aioproducer._wire.messages.sasl_handshake import SaslHandshakeRequest, SaslHandshakeResponse
from aioproducer.errors import ErrorCode
from aioproducer.testing._broker import Closed, ClusterCore, Fault, Reply
from aioproducer.testing._broker.faults import Effect
from aioproducer.testing._broker.state import Options
from aioproducer.testing._broker.tokens import unsecured_token
from tests.unit.testing._broker.helpers import WALL_EPOCH_MS, Client, core

if TYPE_CHECKING:
    from aioproducer._wire.schema import Response
    from aioproducer.testing._broker import Output

T = TypeVar("T", bound="Response")
VERSIONS = ApiVersionsRequest(client_software_name="test", client_software_version="1")
METADATA = MetadataRequest(topics=[])
ENABLED = ("PLAIN", "SCRAM-SHA-256", "OAUTHBEARER")


def secured(max_reauth_ms: int = 0, delay_ms: int = 100) -> ClusterCore:
    made = core(
        options=Options(
            sasl_mechanisms=ENABLED,
            connections_max_reauth_ms=max_reauth_ms,
            connection_failed_authentication_delay_ms=delay_ms,
        )
    )
    made.state.users.set("alice", "secret")
    made.state.users.set("bob", "secret")
    return made


def shake(client: Client, mechanism: str = "PLAIN") -> SaslHandshakeResponse:
    return client.ask(SaslHandshakeRequest(mechanism=mechanism), 1, SaslHandshakeResponse)


def token(user: str = "alice", password: str = "secret") -> SaslAuthenticateRequest:
    return SaslAuthenticateRequest(auth_bytes=f"\0{user}\0{password}".encode())


def log_in(client: Client, user: str = "alice") -> SaslAuthenticateResponse:
    assert shake(client).error_code == ErrorCode.NONE
    return client.ask(token(user), 2, SaslAuthenticateResponse)


def at(client: Client, now: float) -> Client:
    client.now = now
    return client


def told_late(client: Client, outputs: list[Output], answer: type[T], delay: float = 0.1) -> T:
    """The answer that comes after the delay, right before the end."""
    assert outputs == []
    assert client.cluster.poll(client.now + delay - 0.01) == []
    reply, closed = client.cluster.poll(client.now + delay)
    assert isinstance(reply, Reply) and isinstance(reply.message, answer)
    assert closed == Closed(client)
    return reply.message


def test_a_client_that_authenticates_is_served() -> None:
    client = Client(secured())
    assert client.ask(VERSIONS, 3, ApiVersionsResponse).error_code == ErrorCode.NONE
    assert shake(client).mechanisms == list(ENABLED)
    answer = client.ask(token(), 2, SaslAuthenticateResponse)
    assert (answer.error_code, answer.error_message, answer.auth_bytes) == (0, "", b"")
    assert answer.session_lifetime_ms == 0
    assert client.ask(METADATA, 9, MetadataResponse).brokers
    assert client.ask(VERSIONS, 3, ApiVersionsResponse).error_code == ErrorCode.NONE


def test_versions_need_not_be_asked_for() -> None:
    client = Client(secured())
    assert log_in(client).error_code == ErrorCode.NONE
    assert client.ask(METADATA, 9, MetadataResponse).brokers


def test_a_version_that_is_not_spoken_may_be_followed_by_one_that_is() -> None:
    client = Client(secured())
    (reply,) = client.cluster.refuse(0, client, ApiKey.API_VERSIONS, 99, 1, 0.0)
    assert isinstance(reply, Reply) and isinstance(reply.message, ApiVersionsResponse)
    assert (reply.version, reply.message.error_code) == (0, ErrorCode.UNSUPPORTED_VERSION)
    assert client.ask(VERSIONS, 0, ApiVersionsResponse).error_code == ErrorCode.NONE
    assert client.cluster.refuse(0, client, ApiKey.API_VERSIONS, 99, 1, 0.0) == [Closed(client)]


@pytest.mark.parametrize("first", [METADATA, token()], ids=["a request", "a token"])
def test_what_comes_before_the_handshake_ends_the_connection(first: MetadataRequest | SaslAuthenticateRequest) -> None:
    client = Client(secured())
    assert client.send(first, 2) == [Closed(client)]
    client = Client(secured())
    client.ask(VERSIONS, 3, ApiVersionsResponse)
    assert client.send(first, 2) == [Closed(client)]


def test_versions_are_told_once() -> None:
    client = Client(secured())
    client.ask(VERSIONS, 3, ApiVersionsResponse)
    assert client.send(VERSIONS, 3) == [Closed(client)]


def test_anything_but_a_token_after_the_handshake_is_told_so_and_ends_the_connection() -> None:
    client = Client(secured())
    shake(client)
    answer = told_late(client, client.send(VERSIONS, 3), ApiVersionsResponse)
    assert answer.error_code == ErrorCode.ILLEGAL_SASL_STATE


def test_a_mechanism_that_is_not_enabled_is_told_which_are() -> None:
    client = Client(secured())
    outputs = client.send(SaslHandshakeRequest(mechanism="GSSAPI"), 1)
    answer = told_late(client, outputs, SaslHandshakeResponse)
    assert (answer.error_code, answer.mechanisms) == (ErrorCode.UNSUPPORTED_SASL_MECHANISM, list(ENABLED))


def test_a_failure_is_told_after_a_while_and_nothing_is_read_meanwhile() -> None:
    client = Client(secured())
    shake(client)
    outputs = client.send(token(password="wrong"), 1)
    assert client.cluster.deadline() == pytest.approx(0.1)
    assert client.send(token(), 1) == []
    answer = told_late(client, outputs, SaslAuthenticateResponse)
    assert answer.error_code == ErrorCode.SASL_AUTHENTICATION_FAILED
    assert answer.error_message == "Authentication failed: Invalid username or password"
    assert client.cluster.deadline() is None


def test_a_failure_can_be_told_at_once() -> None:
    client = Client(secured(delay_ms=0))
    shake(client)
    reply, closed = client.send(token(password="wrong"), 1)
    assert isinstance(reply, Reply)
    assert closed == Closed(client)


def test_what_tells_too_much_is_not_told() -> None:
    client = Client(secured())
    shake(client, "SCRAM-SHA-256")
    outputs = client.send(SaslAuthenticateRequest(auth_bytes=b"n,,n=nobody,r=abc"), 1)
    answer = told_late(client, outputs, SaslAuthenticateResponse)
    assert answer.error_message == (
        "Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-256"
    )


def test_a_fault_refuses_the_right_password() -> None:
    client = Client(secured())
    client.cluster.faults.add(Fault(Effect.FAIL, code=58, api=int(ApiKey.SASL_AUTHENTICATE), remaining=1))
    shake(client)
    answer = told_late(client, client.send(token(), 1), SaslAuthenticateResponse)
    assert answer.error_code == ErrorCode.SASL_AUTHENTICATION_FAILED
    assert log_in(Client(client.cluster)).error_code == ErrorCode.NONE


def test_without_sasl_a_handshake_is_refused_and_the_connection_stays() -> None:
    client = Client(core())
    answer = shake(client)
    assert (answer.error_code, answer.mechanisms) == (ErrorCode.ILLEGAL_SASL_STATE, [])
    refused = client.ask(token(), 1, SaslAuthenticateResponse)
    assert refused.error_code == ErrorCode.ILLEGAL_SASL_STATE
    assert refused.error_message == "SaslAuthenticate request received after successful authentication"
    assert client.ask(METADATA, 9, MetadataResponse).brokers


# ── sessions that end ──


def test_an_expired_session_ends_with_the_next_request() -> None:
    client = Client(secured(max_reauth_ms=2_000))
    assert log_in(client).session_lifetime_ms == 2_000
    assert at(client, 1.99).ask(METADATA, 9, MetadataResponse).brokers
    assert at(client, 2.0).send(METADATA, 9) == [Closed(client)]


def test_an_expired_session_that_is_not_used_can_still_be_renewed() -> None:
    client = Client(secured(max_reauth_ms=2_000))
    log_in(client)
    assert log_in(at(client, 5.0)).session_lifetime_ms == 2_000
    assert at(client, 6.9).ask(METADATA, 9, MetadataResponse).brokers


def test_a_session_is_renewed_once_a_second() -> None:
    client = Client(secured(max_reauth_ms=2_000))
    log_in(client)
    log_in(at(client, 0.1))  # the first may come as soon as it likes
    assert shake(at(client, 1.0)).error_code == ErrorCode.ILLEGAL_SASL_STATE
    assert client.ask(METADATA, 9, MetadataResponse).brokers
    assert log_in(at(client, 1.1)).error_code == ErrorCode.NONE


def test_a_session_without_a_lifetime_is_not_renewed() -> None:
    client = Client(secured())
    log_in(client)
    assert shake(client).error_code == ErrorCode.ILLEGAL_SASL_STATE
    assert client.ask(METADATA, 9, MetadataResponse).brokers


def test_nothing_is_served_while_a_session_is_renewed() -> None:
    client = Client(secured(max_reauth_ms=2_000))
    log_in(client)
    shake(client)
    answer = told_late(client, client.send(METADATA, 13), MetadataResponse)
    assert answer.error_code == ErrorCode.ILLEGAL_SASL_STATE


def test_a_session_cannot_be_renewed_by_somebody_else() -> None:
    client = Client(secured(max_reauth_ms=2_000))
    log_in(client)
    shake(client)
    answer = told_late(client, client.send(token("bob"), 1), SaslAuthenticateResponse)
    assert answer.error_code == ErrorCode.SASL_AUTHENTICATION_FAILED
    assert answer.error_message == ("Cannot change principals during re-authentication from User.alice: User.bob")


@pytest.mark.parametrize("then", [token(), METADATA], ids=["a token", "a request"])
def test_another_mechanism_is_taken_and_the_next_request_ends_the_connection_without_a_word(
    then: SaslAuthenticateRequest | MetadataRequest,
) -> None:
    client = Client(secured(max_reauth_ms=2_000))
    log_in(client)
    assert shake(client, "SCRAM-SHA-256").error_code == ErrorCode.NONE
    assert client.send(then, 1) == []
    assert client.cluster.poll(0.1) == [Closed(client)]


def test_a_session_is_not_renewed_with_a_mechanism_that_is_not_enabled() -> None:
    client = Client(secured(max_reauth_ms=2_000))
    log_in(client)
    assert client.send(SaslHandshakeRequest(mechanism="GSSAPI"), 1) == [Closed(client)]


def test_a_wrong_password_ends_what_is_renewed() -> None:
    client = Client(secured(max_reauth_ms=2_000))
    log_in(client)
    shake(client, "PLAIN")
    answer = told_late(client, client.send(token(password="wrong"), 1), SaslAuthenticateResponse)
    assert answer.error_code == ErrorCode.SASL_AUTHENTICATION_FAILED


@pytest.mark.parametrize(("max_reauth_ms", "expected"), [(0, 3_000), (2_000, 2_000), (9_000, 3_000)])
def test_a_token_limits_the_session(max_reauth_ms: int, expected: int) -> None:
    client = Client(secured(max_reauth_ms))
    shake(client, "OAUTHBEARER")
    bearer = f"n,,\x01auth=Bearer {unsecured_token('alice', WALL_EPOCH_MS, 3.0)}\x01\x01".encode()
    answer = client.ask(SaslAuthenticateRequest(auth_bytes=bearer), 1, SaslAuthenticateResponse)
    assert answer.session_lifetime_ms == expected


def test_an_old_client_is_cut_off_though_it_was_not_told() -> None:
    client = Client(secured(max_reauth_ms=2_000))
    shake(client)
    told = client.ask(token(), 0, SaslAuthenticateResponse)
    assert SaslAuthenticateResponse.decode(told.encode(0), 0).session_lifetime_ms == 0
    assert at(client, 2.0).send(METADATA, 9) == [Closed(client)]


def test_sessions_can_be_ended_from_outside() -> None:
    client, stranger = Client(secured()), Client(secured())
    log_in(client)
    stranger.cluster = client.cluster
    assert stranger.ask(VERSIONS, 3, ApiVersionsResponse).error_code == ErrorCode.NONE
    assert client.cluster.expire_sessions() == 1
    assert client.send(METADATA, 9) == [Closed(client)]
    assert log_in(stranger).error_code == ErrorCode.NONE
