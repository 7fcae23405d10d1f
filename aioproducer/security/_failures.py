"""The errors of getting credentials: one class, and whether it is worth trying again."""

from __future__ import annotations

from aioproducer.errors import AuthenticationError


def unavailable(text: str) -> AuthenticationError:
    """Return the error for credentials that could not be had now: retriable, and not fatal."""
    return AuthenticationError(text, retriable=True, fatal=False)


def refused(text: str) -> AuthenticationError:
    """Return the error for credentials that will not be had by asking again."""
    return AuthenticationError(text, retriable=False, fatal=True)
