"""The errors of getting credentials."""

from __future__ import annotations

from aioproducer.errors import AuthenticationError
from aioproducer.security._failures import refused, unavailable


def test_one_is_worth_trying_again_and_the_other_is_not() -> None:
    later, never = unavailable("a"), refused("b")
    assert isinstance(later, AuthenticationError)
    assert isinstance(never, AuthenticationError)
    assert (later.retriable, later.fatal) == (True, False)
    assert (never.retriable, never.fatal) == (False, True)
