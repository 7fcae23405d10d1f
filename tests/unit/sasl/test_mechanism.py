"""Every mechanism here is one by its types, and an exchange goes in its order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aioproducer.errors import IllegalStateError
from aioproducer.sasl import AwsCredentials, AwsMskIamMechanism, Mechanism, OAuthBearer, Plain, Scram
from tests.unit.sasl.canary import CANARY, assert_hidden, assert_object_hides

if TYPE_CHECKING:
    from collections.abc import Callable


def plain() -> Mechanism:
    return Plain("alice", CANARY)


def scram() -> Mechanism:
    return Scram("SCRAM-SHA-256", "alice", CANARY, nonce="0123456789abcdef")


def oauth() -> Mechanism:
    return OAuthBearer(CANARY)


def msk() -> Mechanism:
    credentials = AwsCredentials("AKID", CANARY, CANARY)
    return AwsMskIamMechanism(credentials, host="b-1", region="us-east-1", timestamp_ms=0, user_agent="x/1")


MECHANISMS = [plain, scram, oauth, msk]


@pytest.mark.parametrize("make", MECHANISMS)
def test_it_takes_no_answer_before_it_has_begun(make: Callable[[], Mechanism]) -> None:
    with pytest.raises(IllegalStateError, match="nothing sent yet"):
        make().next(b"")


@pytest.mark.parametrize("make", MECHANISMS)
def test_it_begins_once(make: Callable[[], Mechanism]) -> None:
    mechanism = make()
    assert mechanism.first()
    with pytest.raises(IllegalStateError, match="has begun"):
        mechanism.first()


@pytest.mark.parametrize("make", MECHANISMS)
def test_it_hides_its_secrets(make: Callable[[], Mechanism]) -> None:
    mechanism = make()
    mechanism.first()
    assert_hidden(f"{mechanism.name} {mechanism.hint}")
    assert_object_hides(mechanism)
