"""Tokens that nobody has signed."""

from __future__ import annotations

import time
from typing import cast

import pytest

from aioproducer.errors import ConfigurationError
from aioproducer.sasl._oauthbearer import OAuthBearer
from aioproducer.security._unsecured import UnsecuredToken
from tests.unit.security.jwts import claims_in


async def test_it_says_what_it_was_told() -> None:
    provider = UnsecuredToken("alice", claims={"scope": ["a", "b"], "sub": "not"}, extensions={"x": "y"})
    token = await provider()
    text = token.value.reveal()
    assert text.endswith(".")
    assert claims_in(text, 0) == {"alg": "none"}
    claims = claims_in(text)
    now = cast("int", claims["iat"])
    assert abs(now - time.time()) < 60
    assert claims == {"scope": ["a", "b"], "sub": "alice", "iat": now, "exp": now + 3600}
    assert (token.principal, token.expires_at_ms, dict(token.extensions)) == ("alice", (now + 3600) * 1000, {"x": "y"})
    assert OAuthBearer(token.value).first()


def test_what_cannot_be_right_is_refused() -> None:
    for subject, lifetime_seconds in (("", 60), ("a", 0)):
        with pytest.raises(ConfigurationError, match="needs a subject"):
            UnsecuredToken(subject, lifetime_seconds=lifetime_seconds)
    with pytest.raises(ConfigurationError, match="extension"):
        UnsecuredToken("a", extensions={"1": "x"})
    assert repr(UnsecuredToken("a")) == "UnsecuredToken('a')"
