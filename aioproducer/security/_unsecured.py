"""Tokens that nobody has signed, for development: a broker that is set up so believes what they say (KIP-255)."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Final

from aioproducer._public import public_in
from aioproducer._secret import Secret
from aioproducer.errors import ConfigurationError
from aioproducer.sasl._oauthbearer import check_extensions
from aioproducer.security._clock import wall_clock_ms
from aioproducer.security._token import Token, token_from_text

if TYPE_CHECKING:
    from collections.abc import Mapping

LIFETIME_SECONDS: Final = 3600


@public_in("aioproducer.security")
class UnsecuredToken:
    """A token without signature (alg "none"). Brokers accept it only with a validator for development.

    Example:
        from aioproducer.security import UnsecuredToken

        provider = UnsecuredToken("alice")
        assert (await provider()).principal == "alice"
    """

    def __init__(
        self,
        subject: str,
        *,
        claims: Mapping[str, object] | None = None,
        lifetime_seconds: int = LIFETIME_SECONDS,
        extensions: Mapping[str, str] | None = None,
    ) -> None:
        """Take what the token says.

        Args:
            subject: whom it stands for (`sub`).
            claims: more of them, such as scope; JSON values.
            lifetime_seconds: from each call on.
            extensions: sent with each token (KIP-342).

        Raises:
            ConfigurationError: the subject is empty, the lifetime is not positive, or an extension is not as it should
                be.
        """
        self._subject = subject
        if not subject or lifetime_seconds <= 0:
            raise ConfigurationError("an unsecured token needs a subject, and more than 0 seconds to live")
        self._claims = dict(claims or {})
        self._lifetime_seconds = lifetime_seconds
        self._extensions = dict(extensions or {})
        check_extensions(self._extensions)

    async def __call__(self) -> Token:
        """Return a new token. Does not suspend."""
        now = wall_clock_ms() // 1000
        times = {"iat": now, "exp": now + self._lifetime_seconds}
        claims = {**self._claims, "sub": self._subject, **times}
        text = f"{_part({'alg': 'none'})}.{_part(claims)}."
        return token_from_text(Secret(text), extensions=self._extensions)

    def __repr__(self) -> str:
        return f"UnsecuredToken({self._subject!r})"


def _part(content: Mapping[str, object]) -> str:
    encoded = base64.urlsafe_b64encode(json.dumps(content, separators=(",", ":")).encode())
    return encoded.rstrip(b"=").decode()
