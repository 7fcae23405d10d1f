"""Tokens that somebody else writes into a file: Kubernetes' projected tokens, Vault's agent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aioproducer._public import public_in
from aioproducer.sasl._oauthbearer import check_extensions
from aioproducer.security._sources import file_secret
from aioproducer.security._token import token_from_text

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from aioproducer.security._token import Token


@public_in("aioproducer.security")
class TokenFile:
    """A file with nothing but a token (Kafka's FileJwtRetriever); read at each call, so it may be replaced at any time.

    Its expiry is read from it if it is a JWT.

    Example:
        from aioproducer.security import TokenFile

        provider = TokenFile("/var/run/secrets/kafka/token")
    """

    def __init__(self, path: str | os.PathLike[str], *, extensions: Mapping[str, str] | None = None) -> None:
        """Name the file; it is not read yet.

        Args:
            path: of the file.
            extensions: sent with each token (KIP-342).

        Raises:
            ConfigurationError: an extension is not as it should be.
        """
        self._path = path
        self._extensions = dict(extensions or {})
        check_extensions(self._extensions)

    async def __call__(self) -> Token:
        """Return the token that is in the file now. Cancel-safe.

        Raises:
            AuthenticationError: it cannot be read, is empty or too long.
        """
        return token_from_text(await file_secret(self._path), extensions=self._extensions)

    def __repr__(self) -> str:
        return f"TokenFile({str(self._path)!r})"
