"""_wire/negotiation.py: the version that both sides know."""

from __future__ import annotations

import pytest

from aioproducer._wire.messages import ApiKey
from aioproducer._wire.messages.end_txn import EndTxnRequest
from aioproducer._wire.messages.produce import ProduceRequest
from aioproducer._wire.negotiation import ApiVersionRange, BrokerVersions
from aioproducer.errors import ErrorCode, UnsupportedVersionError


def test_the_highest_common_version_is_usable() -> None:
    versions = BrokerVersions({0: ApiVersionRange(0, 9), 26: ApiVersionRange(3, 99), 10: ApiVersionRange(40, 41)})
    assert versions.usable(ApiKey.PRODUCE) == 9
    assert versions.usable(ApiKey.END_TXN) == 5
    assert versions.usable(ApiKey.FIND_COORDINATOR) is None
    assert versions.usable(ApiKey.METADATA) is None
    assert versions.usable(999) is None


def test_a_version_can_be_capped() -> None:
    versions = BrokerVersions({0: ApiVersionRange(0, 13), 26: ApiVersionRange(3, 5)})
    assert versions.version_for(ProduceRequest) == 13
    assert versions.version_for(ProduceRequest, at_most=11) == 11
    assert versions.version_for(EndTxnRequest, at_most=4) == 4


def test_no_common_version_names_the_request_and_who_is_behind() -> None:
    versions = BrokerVersions({26: ApiVersionRange(7, 9)})
    with pytest.raises(UnsupportedVersionError, match=r"EndTxn in versions 7 to 9.*upgrade aioproducer") as caught:
        versions.version_for(EndTxnRequest)
    assert (caught.value.api, caught.value.code) == ("EndTxn", ErrorCode.UNSUPPORTED_VERSION)
    with pytest.raises(UnsupportedVersionError, match="does not know Produce"):
        versions.version_for(ProduceRequest)
    with pytest.raises(UnsupportedVersionError):
        versions.version_for(EndTxnRequest, at_most=4)
