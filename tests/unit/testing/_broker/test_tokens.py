"""Unsecured tokens are accepted until they expire, and what only looks like one is not."""

from __future__ import annotations

import pytest

from aioproducer.testing._broker.tokens import AcceptedToken, TokenError, unsecured_token, validate_unsecured

NOW_MS = 1_700_000_000_000
TOKEN = unsecured_token("alice", NOW_MS, 60.0)


def test_a_token_is_good_until_it_expires() -> None:
    assert validate_unsecured(TOKEN, NOW_MS + 59_999) == AcceptedToken("alice", NOW_MS + 60_000)
    with pytest.raises(TokenError):
        validate_unsecured(TOKEN, NOW_MS + 60_000)


@pytest.mark.parametrize(
    "token",
    [
        "e30.e30.",
        "not a token",
        "a.b",
        TOKEN + "signature",
        unsecured_token("alice", NOW_MS, 0.0),
        unsecured_token(" ", NOW_MS, 60.0),
        unsecured_token("alice", NOW_MS, 60.0, {"exp": "soon"}),
        "eyJhbGciOiJub25lIn0.W10.",
    ],
)
def test_unsecured_tokens_that_are_not_good(token: str) -> None:
    with pytest.raises(TokenError):
        validate_unsecured(token, NOW_MS)
