"""Users come and go, and have credentials for the mechanisms that they may use."""

from __future__ import annotations

import random

import pytest

from aioproducer.testing._broker.users import Users


@pytest.fixture
def users() -> Users:
    return Users(4096, random.Random(1).randbytes)


def test_a_password_can_be_changed_and_a_user_removed(users: Users) -> None:
    users.set("alice", "old")
    users.set("alice", "new")
    assert (users.is_password("alice", "old"), users.is_password("alice", "new")) == (False, True)
    assert (users.names(), users.password("alice")) == (["alice"], "new")
    users.remove("alice")
    assert not users.is_password("alice", "new")
    assert users.scram("SCRAM-SHA-256", "alice") is None


def test_a_user_may_have_some_mechanisms_only(users: Users) -> None:
    users.set("bob", "secret", ["SCRAM-SHA-512"])
    assert not users.is_password("bob", "secret")
    assert users.scram("SCRAM-SHA-256", "bob") is None
    assert users.scram("SCRAM-SHA-512", "bob") is not None


def test_secrets_are_not_shown(users: Users) -> None:
    users.set("alice", "secret")
    token = users.add_token("alice", 1_000)
    assert token.hmac not in repr(token)
    assert users.token(token.token_id) is token
    assert users.token("other") is None
