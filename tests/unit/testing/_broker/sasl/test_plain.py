"""PLAIN takes the right password and says why it takes no other."""

from __future__ import annotations

import random

import pytest

from aioproducer.testing._broker.sasl.plain import Plain
from aioproducer.testing._broker.sasl.steps import Authenticated, SaslError
from aioproducer.testing._broker.users import Users


@pytest.fixture
def users() -> Users:
    made = Users(4096, random.Random(1).randbytes)
    made.set("alice", "secret")
    made.set("bob", "secret", ["SCRAM-SHA-256"])
    return made


@pytest.mark.parametrize("token", [b"\0alice\0secret", b"alice\0alice\0secret"])
def test_the_right_password_is_taken(users: Users, token: bytes) -> None:
    assert Plain(users).step(token) == Authenticated("alice")


@pytest.mark.parametrize(
    ("token", "text"),
    [
        (b"\0alice\0wrong", "Authentication failed: Invalid username or password"),
        (b"\0nobody\0secret", "Authentication failed: Invalid username or password"),
        (b"\0bob\0secret", "Authentication failed: Invalid username or password"),
        (b"\0\0secret", "Authentication failed: username not specified"),
        (b"\0alice\0", "Authentication failed: password not specified"),
        (b"alice\0secret", "Invalid SASL/PLAIN response: expected 3 tokens, got 2"),
        (b"\0alice\0sec\0ret\0", "Invalid SASL/PLAIN response: expected 3 tokens, got 4"),
        (
            b"bob\0alice\0secret",
            "Authentication failed: Client requested an authorization id that is different from username",
        ),
    ],
)
def test_anything_else_is_refused_with_kafkas_words(users: Users, token: bytes, text: str) -> None:
    with pytest.raises(SaslError) as caught:
        Plain(users).step(token)
    assert caught.value.text == text
