"""When the next token is fetched, and how long the present one is good: decisions only, times and chance are passed in.

Times are wall clock, in milliseconds, as tokens have them. Apache Kafka's rule (ExpiringCredentialRefreshingLogin),
with one thing bettered: a token that has expired when it arrives does not end refreshing for good.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aioproducer._public import public_in
from aioproducer.errors import ConfigurationError

if TYPE_CHECKING:
    from aioproducer.security._token import Token

RETRY_SECONDS: Final = 10.0
"""After a refresh that failed; the old token stays in use (as Java)."""

_LEAST_LEFT_MS: Final = 2_000
"""With less than this left a token is not sent: it would end on the way."""

_KEPT_UNTIL_MS: Final = 10_000
_KEPT_UNTIL_PART: Final = 0.05


@public_in("aioproducer.security")
@dataclass(frozen=True, slots=True)
class RefreshSettings:
    """When tokens are refreshed; names, defaults and ranges of Kafka's settings sasl.login.refresh.*.

    Attributes:
        window_factor: this part of a token's life passes first; 0.5 to 1.
        window_jitter: at most this part more, by chance, so that many clients don't ask at once; 0 to 0.25.
        min_period_seconds: not sooner after the last time; 0 to 900.
        buffer_seconds: not later before the end; 0 to 3,600.
    """

    window_factor: float = 0.8
    window_jitter: float = 0.05
    min_period_seconds: int = 60
    buffer_seconds: int = 300

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigurationError: with every value that is out of its range.
        """
        ranges = {
            "window_factor": (0.5, 1.0),
            "window_jitter": (0.0, 0.25),
            "min_period_seconds": (0, 900),
            "buffer_seconds": (0, 3600),
        }
        problems = [
            f"{name} is {getattr(self, name)}: it is between {low} and {high}"
            for name, (low, high) in ranges.items()
            if not low <= getattr(self, name) <= high
        ]
        if problems:
            raise ConfigurationError(problems)


def refresh_at_ms(token: Token, settings: RefreshSettings, *, now_ms: int, chance: float) -> int | None:
    """Return when the next token is to be fetched, or None: this one does not end.

    Args:
        token: just arrived.
        settings: see there.
        now_ms: wall clock.
        chance: from 0 to 1, drawn for this token.
    """
    expires_at_ms = token.expires_at_ms
    if expires_at_ms is None:
        return None
    part = settings.window_factor + settings.window_jitter * chance
    min_period_ms, buffer_ms = 1000 * settings.min_period_seconds, 1000 * settings.buffer_seconds
    if now_ms + min_period_ms + buffer_ms > expires_at_ms:  # too short a life for both limits: neither counts
        return now_ms + int((expires_at_ms - now_ms) * part)
    start_ms = now_ms if token.issued_at_ms is None else token.issued_at_ms
    planned_ms = start_ms + int((expires_at_ms - start_ms) * part)
    return max(min(planned_ms, expires_at_ms - buffer_ms), now_ms + min_period_ms)


def is_kept(token: Token, *, arrived_at_ms: int, now_ms: int) -> bool:
    """Return whether a token is given out without asking for another one first.

    One without expiry is not: nobody knows whether it is still good. Others are until 10 seconds, or 5 % of their life
    here, before their end.
    """
    if token.expires_at_ms is None:
        return False
    margin_ms = max(_KEPT_UNTIL_MS, int(_KEPT_UNTIL_PART * (token.expires_at_ms - arrived_at_ms)))
    return now_ms < token.expires_at_ms - margin_ms


def is_sendable(token: Token, *, now_ms: int) -> bool:
    """Return whether a token is worth sending: it has two seconds left, or no known end."""
    return token.expires_at_ms is None or token.expires_at_ms - now_ms >= _LEAST_LEFT_MS
