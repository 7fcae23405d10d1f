"""_net/setup.py: the ApiVersions exchange, bytes in and bytes out."""

from __future__ import annotations

import re

import pytest

from aioproducer._net.setup import ApiVersionsExchange
from aioproducer._version import __version__
from aioproducer._wire.frames import decode_request, decode_request_body, encode_response
from aioproducer._wire.messages import ApiKey
from aioproducer._wire.messages.api_versions import (
    ApiVersion,
    ApiVersionsRequest,
    ApiVersionsResponse,
    FinalizedFeatureKey,
    SupportedFeatureKey,
)
from aioproducer._wire.negotiation import SOFTWARE_NAME, ApiVersionRange, BrokerVersions
from aioproducer.errors import BrokerError, ErrorCode, ProtocolError, UnsupportedVersionError

PRODUCE = ApiVersion(api_key=ApiKey.PRODUCE, min_version=0, max_version=13)


def _request(frame: bytes) -> tuple[int, int, ApiVersionsRequest]:
    """(version, correlation id, body) of a request that is sent."""
    header, body = decode_request(frame[4:])
    request = decode_request_body(header.api_key, header.api_version, body)
    assert isinstance(request, ApiVersionsRequest)
    assert header.client_id == "me"
    return header.api_version, header.correlation_id, request


def _answer(message: ApiVersionsResponse, version: int, correlation_id: int = 0) -> bytes:
    return encode_response(message, version, correlation_id)[4:]


def test_the_first_request_is_the_newest_and_names_the_software() -> None:
    version, correlation_id, request = _request(ApiVersionsExchange("me").first_request())
    assert (version, correlation_id) == (4, 0)
    assert request == ApiVersionsRequest(client_software_name="aioproducer", client_software_version=__version__)


def test_brokers_accept_the_name_and_version_of_the_software() -> None:
    allowed = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?")
    assert allowed.fullmatch(SOFTWARE_NAME)
    assert allowed.fullmatch(__version__)


def test_the_answer_tells_versions_and_features() -> None:
    message = ApiVersionsResponse(
        api_keys=[PRODUCE, ApiVersion(api_key=999, min_version=1, max_version=2)],
        supported_features=[SupportedFeatureKey(name="transaction.version", min_version=0, max_version=2)],
        finalized_features=[FinalizedFeatureKey(name="transaction.version", min_version_level=1, max_version_level=2)],
        finalized_features_epoch=42,
    )
    versions = ApiVersionsExchange("me").on_response(_answer(message, 4))
    assert isinstance(versions, BrokerVersions)
    assert versions.apis == {0: ApiVersionRange(0, 13), 999: ApiVersionRange(1, 2)}
    assert versions.supported_features == {"transaction.version": ApiVersionRange(0, 2)}
    assert versions.finalized_features == {"transaction.version": 2}
    assert versions.finalized_features_epoch == 42


def test_an_older_broker_is_asked_again_with_the_version_it_lists() -> None:
    exchange = ApiVersionsExchange("me")
    refusal = ApiVersionsResponse(
        error_code=ErrorCode.UNSUPPORTED_VERSION,
        api_keys=[ApiVersion(api_key=ApiKey.API_VERSIONS, min_version=0, max_version=3)],
    )
    again = exchange.on_response(_answer(refusal, 0))
    assert isinstance(again, bytes)
    assert _request(again)[:2] == (3, 1)
    versions = exchange.on_response(_answer(ApiVersionsResponse(api_keys=[PRODUCE]), 3, 1))
    assert isinstance(versions, BrokerVersions)
    assert versions.usable(ApiKey.PRODUCE) == 13


@pytest.mark.parametrize("listed", [[], [9], [4], [-1]])
def test_without_a_usable_version_in_the_refusal_it_is_asked_with_version_0(listed: list[int]) -> None:
    exchange = ApiVersionsExchange("me")
    refusal = ApiVersionsResponse(
        error_code=ErrorCode.UNSUPPORTED_VERSION,
        api_keys=[ApiVersion(api_key=ApiKey.API_VERSIONS, min_version=0, max_version=highest) for highest in listed],
    )
    again = exchange.on_response(_answer(refusal, 0))
    assert isinstance(again, bytes)
    assert _request(again) == (0, 1, ApiVersionsRequest())
    versions = exchange.on_response(_answer(ApiVersionsResponse(api_keys=[PRODUCE]), 0, 1))
    assert isinstance(versions, BrokerVersions)
    assert versions.finalized_features_epoch == -1


def test_a_refusal_of_version_0_ends_it() -> None:
    exchange = ApiVersionsExchange("me")
    refusal = ApiVersionsResponse(error_code=ErrorCode.UNSUPPORTED_VERSION)
    exchange.on_response(_answer(refusal, 0))
    with pytest.raises(UnsupportedVersionError):
        exchange.on_response(_answer(refusal, 0, 1))


def test_other_errors_end_it() -> None:
    with pytest.raises(BrokerError, match="ApiVersions") as caught:
        ApiVersionsExchange("me").on_response(
            _answer(ApiVersionsResponse(error_code=ErrorCode.CLUSTER_AUTHORIZATION_FAILED), 4)
        )
    assert caught.value.code == ErrorCode.CLUSTER_AUTHORIZATION_FAILED


def test_an_answer_to_something_else_is_refused() -> None:
    with pytest.raises(ProtocolError, match="correlation id 5"):
        ApiVersionsExchange("me").on_response(_answer(ApiVersionsResponse(), 4, 5))


@pytest.mark.parametrize(
    "frame", [b"", b"\x00\x00", b"\x00\x00\x00\x00", b"\x00\x00\x00\x00\x00\x00\x07", b"\x00" * 4 + b"\x00\x23"]
)
def test_what_is_no_answer_is_refused(frame: bytes) -> None:
    with pytest.raises(ProtocolError):
        ApiVersionsExchange("me").on_response(frame)


def test_a_broker_without_magic_2_is_too_old() -> None:
    old = ApiVersion(api_key=ApiKey.PRODUCE, min_version=0, max_version=2)
    with pytest.raises(
        UnsupportedVersionError, match="Produce in versions 0 to 2, needed is one of 3 to 13; upgrade the broker"
    ):
        ApiVersionsExchange("me").on_response(_answer(ApiVersionsResponse(api_keys=[old]), 4))
